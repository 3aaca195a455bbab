"""Bad series are named, and the rest of the study goes on: to 25 landmarks wherever one series can be read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from dicom_files import AXIAL, SAGITTAL, dataset, save, write_series
from spines import spines

from spinekit.anatomy import AXIAL_T2, KINDS, SAGITTAL_T1, SAGITTAL_T2
from spinekit.course.profiles import SMOKE
from spinekit.io.study import read_study
from spinekit.learning.encoders import heatmap_unet
from spinekit.localization.assembly import CARRIED
from spinekit.localization.heatmaps import CHANNELS
from spinekit.localization.localizer import Localizer, Localizers, find_landmarks
from spinekit.localization.peaks import Spread
from spinekit.localization.resampling import Grid
from spinekit.localization.shape_model import learn_shape

IMAGES = np.random.default_rng(0).integers(0, 200, (9, 32, 32)).astype(np.uint16)
LIES = {"spacing": (4.0, 4.0), "origin": (-60.0, -60.0, 60.0)}


@pytest.fixture(scope="module")
def localizers() -> Localizers:
    """Models that learned nothing: what counts here is that whatever they say becomes 25 places."""
    torch.manual_seed(0)
    recipe = SMOKE.localizer
    recipe = type(recipe)(Grid(4.0, (32, 32)), Grid(4.0, (32, 32)), recipe.train, "tu-test_resnet", (32, 16, 16, 16))
    models = {
        kind: Localizer(kind, recipe, heatmap_unet("tu-test_resnet", CHANNELS[kind], (32, 16, 16, 16)).eval(), spread)
        for kind in KINDS
        for spread in [Spread.unknown(CHANNELS[kind])]
    }
    return Localizers(models, learn_shape(spines(20)))


def good(folder: Path) -> None:
    write_series(folder / "1", IMAGES, orientation=SAGITTAL, **LIES)


def nothing(folder: Path) -> None:
    """No series beside the good one."""


def two_slices(folder: Path) -> None:
    write_series(folder / "2", IMAGES[:2], orientation=AXIAL, **LIES)


def one_slice(folder: Path) -> None:
    write_series(folder / "2", IMAGES[:1], orientation=AXIAL, **LIES)


def all_in_one_place(folder: Path) -> None:
    write_series(folder / "2", IMAGES, orientation=AXIAL, step_mm=0.0, **LIES)


def repeated(folder: Path) -> None:
    files = write_series(folder / "2", IMAGES, orientation=AXIAL, **LIES)
    (folder / "2" / "77.dcm").write_bytes(files[3].read_bytes())


def no_spacing(folder: Path) -> None:
    write_series(folder / "2", IMAGES, orientation=AXIAL, spacing=(0.0, 0.0))


def far_away(folder: Path) -> None:
    write_series(folder / "2", IMAGES, orientation=AXIAL, spacing=(4.0, 4.0), origin=(0.0, 0.0, 1e9))


def one_slice_far_away(folder: Path) -> None:
    write_series(folder / "2", IMAGES, orientation=AXIAL, **LIES)
    save(folder / "2" / "50.dcm", dataset(IMAGES[0], (0, 0, -1e7), AXIAL, (4.0, 4.0), 50, series="1.2"))


def empty(folder: Path) -> None:
    (folder / "2").mkdir()


CASES: list[tuple[Callable[[Path], None], str]] = [
    (one_slice, "single_slice"),
    (two_slices, "few_slices"),
    (all_in_one_place, "repeated_slice"),
    (repeated, "repeated_slice"),
    (no_spacing, "no_spacing"),
    (far_away, "no_position"),
    (one_slice_far_away, "no_position"),
]


@pytest.mark.parametrize(("bad", "code"), [*CASES, (nothing, ""), (empty, "")])
def test_a_bad_series_is_named_and_the_study_goes_on(
    tmp_path: Path, localizers: Localizers, bad: Callable[[Path], None], code: str
) -> None:
    folder = tmp_path / "1"
    good(folder)
    bad(folder)
    study = read_study(folder, {"1": SAGITTAL_T2, "2": AXIAL_T2})
    codes = {finding.code for finding in study.findings}
    assert code in codes if code else not any(f.severity == "error" for f in study.findings if f.series_id == "1")
    assert study.of_kind(SAGITTAL_T2) and np.abs(study.stacks[0].frame.origins_xyz_mm).max() < 1000
    found = find_landmarks(study, localizers)
    assert np.isfinite(found.xyz_mm).all() and np.isfinite(found.sd_mm).all()
    assert np.abs(found.xyz_mm).max() < 1000


def test_axial_alone_still_gives_all_landmarks_the_others_carried(tmp_path: Path, localizers: Localizers) -> None:
    write_series(tmp_path / "1" / "2", IMAGES, orientation=AXIAL, **LIES)
    found = find_landmarks(read_study(tmp_path / "1", {"2": AXIAL_T2}), localizers)
    assert np.isfinite(found.xyz_mm).all() and set(found.source[:15]) == {CARRIED}
    assert (found.visible[:15] == 0).all() and np.isnan(found.level_confidence)


def test_a_study_without_a_readable_series_says_so(tmp_path: Path, localizers: Localizers) -> None:
    no_spacing(tmp_path / "1")
    study = read_study(tmp_path / "1", {"2": SAGITTAL_T1})
    assert not study.stacks and {finding.severity for finding in study.findings} == {"error"}
    assert np.isnan(find_landmarks(study, localizers).xyz_mm).all()
