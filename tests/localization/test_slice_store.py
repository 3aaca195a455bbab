"""Stored slices: the same bytes as decoded ones, nothing held in memory, resumed, shared, and renewed when the source
changes."""

from __future__ import annotations

import gc
import os
import pickle
import shutil
import weakref
from pathlib import Path

import numpy as np
import pytest
import torch
from cohort_files import write_cohort
from torch.utils.data import DataLoader

from spinekit.anatomy import AXIAL_T2, SAGITTAL_T1, SAGITTAL_T2
from spinekit.errors import CannotWrite
from spinekit.io import cohort
from spinekit.learning.recipe import TrainRecipe
from spinekit.localization import resampling, slice_store
from spinekit.localization.heatmaps import Blur, Slices
from spinekit.localization.localizer import LocalizerRecipe, find_all, train, training_targets
from spinekit.localization.resampling import CanonicalStudy, Grid
from spinekit.localization.slice_store import DecodedSlices, StoredSlices, StoreError, kept_within, read_all

GRIDS = {SAGITTAL_T1: Grid(4.0, (48, 40)), SAGITTAL_T2: Grid(4.0, (48, 40)), AXIAL_T2: Grid(3.0, (40, 40))}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two labelled studies and one without labels."""
    return write_cohort(tmp_path_factory.mktemp("written") / "cohort")


@pytest.fixture
def data(written: Path, tmp_path: Path) -> cohort.Cohort:
    """The cohort in a folder that a test may change."""
    return cohort.load(shutil.copytree(written, tmp_path / "cohort"))


def stored(data: cohort.Cohort, folder: Path, first: tuple[int, ...] = (1, 2, 3)) -> dict[int, CanonicalStudy]:
    return read_all(data, data.studies(), GRIDS, folder, first, progress=False)


def held(data: cohort.Cohort) -> dict[int, CanonicalStudy]:
    """The same studies with their slices in memory."""
    return {i: resampling.read_canonical(data, i, GRIDS, with_points=True) for i in data.studies()}


def assert_same(one: CanonicalStudy, other: CanonicalStudy) -> None:
    assert one.study_id == other.study_id and one.findings == other.findings
    for name in ("centre_xyz_mm", "points_xyz_mm", "targets"):
        assert getattr(one, name).tobytes() == getattr(other, name).tobytes()
    assert len(one.stacks) == len(other.stacks) > 0
    for a, b in zip(one.stacks, other.stacks, strict=True):
        assert (a.series_id, a.kind, a.frame.shape_rc) == (b.series_id, b.kind, b.frame.shape_rc)
        for name in ("origins_xyz_mm", "direction_cosines", "spacing_rc_mm"):
            assert getattr(a.frame, name).tobytes() == getattr(b.frame, name).tobytes()
        assert a.images.shape == b.images.shape and len(a.images) == len(b.images)
        assert np.asarray(a.images).tobytes() == np.asarray(b.images).tobytes()


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def only_from_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """From here on no study can be decoded."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a study was decoded although it is stored")

    monkeypatch.setattr(slice_store, "read_canonical", refuse)


def test_stored_and_decoded_slices_have_the_bytes_of_those_held_in_memory(
    data: cohort.Cohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slice_store, "MAX_BYTES", 0)
    expected = held(data)
    fresh, again = (stored(data, tmp_path / "slices", first=(1, 2)) for _ in range(2))
    for studies in (fresh, again):
        assert list(studies) == data.studies()
        for i, study in studies.items():
            assert_same(study, expected[i])
            kind = StoredSlices if i in (1, 2) else DecodedSlices
            assert all(isinstance(stack.images, kind) for stack in study.stacks)
    assert len(expected[1].points_xyz_mm) and not len(expected[3].points_xyz_mm)


@pytest.mark.parametrize("limit", [0, 10**9])
def test_slices_are_indexed_as_an_array_is(
    data: cohort.Cohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    monkeypatch.setattr(slice_store, "MAX_BYTES", limit)
    lazy = stored(data, tmp_path / "slices", first=())[1].stacks[0]
    array = held(data)[1].stacks[0].images
    n = len(array)
    indices = (0, -1, slice(1, 3), slice(None), slice(None, None, -2), [2, 0, 0], np.array([n - 1, n - 1, 0]), [])
    for index in (*indices, (slice(0, 2), 5, slice(3, 9)), (1, slice(2, 7))):
        got, expected = lazy.images[index], array[index]
        assert got.shape == expected.shape and (got == expected).all()
    assert (lazy.images[lazy.neighbours(0)] == array[[0, 0, 1]]).all()
    with pytest.raises(IndexError):
        lazy.images[n]


def test_what_is_stored_is_not_decoded_again(
    data: cohort.Cohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored(data, tmp_path / "slices")
    before = [(file, file.stat().st_mtime_ns) for file in files(tmp_path / "slices")]
    only_from_disk(monkeypatch)
    again = stored(data, tmp_path / "slices")
    assert all(np.asarray(stack.images).any() for study in again.values() for stack in study.stacks)
    assert before == [(file, file.stat().st_mtime_ns) for file in files(tmp_path / "slices")]


def test_a_run_that_was_killed_goes_on_where_it_was(
    data: cohort.Cohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, decoded = slice_store.read_canonical, []

    def killed(alone: cohort.Cohort, study: int, *rest: object, **named: object) -> CanonicalStudy:
        if len(decoded) == 2:
            raise KeyboardInterrupt
        decoded.append(study)
        return read(alone, study, *rest, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(slice_store, "read_canonical", killed)
    with pytest.raises(KeyboardInterrupt):
        stored(data, tmp_path / "slices")
    assert decoded == [1, 2] and len(files(tmp_path / "slices")) == 2
    decoded.clear()
    studies = stored(data, tmp_path / "slices")
    assert decoded == [3]
    for i, study in held(data).items():
        assert_same(studies[i], study)


def test_a_damaged_file_is_named_and_written_anew(
    data: cohort.Cohort, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    studies = stored(data, tmp_path / "slices")
    cut_short, foreign, gone = files(tmp_path / "slices")
    cut_short.write_bytes(cut_short.read_bytes()[:-1000])
    foreign.write_bytes(b"PK\3\4 something else altogether")
    gone.unlink()
    with pytest.raises(StoreError, match=f"{gone.name}.*run again"):
        studies[int(gone.name.split("-")[0])].stacks[0].images[0]
    slice_store._opened.cache_clear()
    for i, study in stored(data, tmp_path / "slices").items():
        assert_same(study, held(data)[i])
    assert cut_short.name in caplog.text and foreign.name in caplog.text


@pytest.mark.parametrize("change", ["file", "points", "grid"])
def test_a_study_whose_source_changed_is_written_anew_and_the_others_stay(
    data: cohort.Cohort, tmp_path: Path, change: str
) -> None:
    folder, grids = tmp_path / "slices", dict(GRIDS)
    stored(data, folder)
    before = set(files(folder))
    if change == "file":
        file = next((data.folder / "train_images/1").rglob("*.dcm"))
        os.utime(file, ns=(1, 1))
    elif change == "points":
        points = data.points.copy()
        points.loc[points["study_id"] == 1, "x_px"] += 1.0
        data = cohort.Cohort(data.folder, data.series, data.grades, points)
    else:
        grids[AXIAL_T2] = Grid(2.0, (40, 40))
    studies = read_all(data, data.studies(), grids, folder, (1, 2, 3), progress=False)
    after = set(files(folder))
    if change == "grid":  # another folder: both are in use, by notebooks 03 and 11
        assert len(after) == 6 and before < after
    else:  # nothing piles up
        assert len(after) == 3 and len(after & before) == 2
    assert_same(studies[1], resampling.read_canonical(data, 1, grids, with_points=True))


def test_one_study_that_cannot_be_read_is_named_stops_nothing_and_is_tried_again(
    data: cohort.Cohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = data.folder / "train_images/2"
    shutil.move(folder, tmp_path / "away")
    folder.mkdir()
    studies = stored(data, tmp_path / "slices")
    assert not studies[2].stacks
    monkeypatch.setattr(cohort.Cohort, "read", lambda *_: (_ for _ in ()).throw(OSError("the disk hiccups")))
    for file in files(tmp_path / "slices"):
        file.unlink()
    broken = stored(data, tmp_path / "slices")
    assert all("the disk hiccups" in study.findings[0].message for study in broken.values())
    monkeypatch.undo()
    folder.rmdir()
    shutil.move(tmp_path / "away", folder)
    assert_same(stored(data, tmp_path / "slices")[2], held(data)[2])


def test_training_studies_are_stored_first_and_others_while_there_is_room() -> None:
    sizes = {1: 50, 2: 40, 3: 30, 4: 20}
    assert kept_within(100, sizes, [3]) == {3, 1, 4}
    assert kept_within(0, sizes, [3, 4, 9]) == {3, 4}
    assert kept_within(10**9, sizes, []) == set(sizes)


def test_a_study_that_becomes_one_to_train_on_is_stored_then(
    data: cohort.Cohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slice_store, "MAX_BYTES", 0)
    stored(data, tmp_path / "slices", first=(1,))
    small = sum(file.stat().st_size for file in files(tmp_path / "slices"))
    other_fold = stored(data, tmp_path / "slices", first=(2,))
    assert sum(file.stat().st_size for file in files(tmp_path / "slices")) > 1.5 * small
    assert [isinstance(other_fold[i].stacks[0].images, StoredSlices) for i in (1, 2, 3)] == [True, True, False]
    assert len(files(tmp_path / "slices")) == 3


def test_nothing_is_held_but_the_study_decoded_last(
    data: cohort.Cohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slice_store, "MAX_BYTES", 0)
    read, alive, most = slice_store.read_canonical, [], []

    def counted(*arguments: object, **named: object) -> CanonicalStudy:
        gc.collect()
        most.append(sum(ref() is not None for ref in alive))
        study = read(*arguments, **named)  # type: ignore[arg-type]
        alive.append(weakref.ref(study))
        return study

    monkeypatch.setattr(slice_store, "read_canonical", counted)
    studies = stored(data, tmp_path / "slices", first=())
    for study in studies.values():
        for stack in study.stacks:
            stack.images[0]
    assert len(most) == 6 and max(most) <= 1  # each study decoded twice, whatever its number of stacks
    assert len(pickle.dumps(studies)) < 100_000 < sum(s.images[:].nbytes for x in studies.values() for s in x.stacks)


@pytest.mark.parametrize("context", ["fork", "spawn"])
def test_a_loader_with_workers_gives_the_same_batches(data: cohort.Cohort, tmp_path: Path, context: str) -> None:
    studies = stored(data, tmp_path / "slices")
    slices, expected = (
        Slices(training_targets(source.values(), SAGITTAL_T2, Blur())) for source in (studies, held(data))
    )
    assert len(slices) and len(pickle.dumps(slices)) < 100_000
    loader = DataLoader(slices, batch_size=4, num_workers=1, multiprocessing_context=context)
    for ours, theirs in zip(loader, DataLoader(expected, batch_size=4), strict=True):
        assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


def test_models_and_landmarks_from_stored_slices_have_the_bytes_of_those_from_memory(tmp_path: Path) -> None:
    quick = TrainRecipe(epochs=1, batch_size=8, learning_rate=2e-3, precision="no")
    grid = Grid(6.0, (32, 32))
    recipe = LocalizerRecipe(grid, grid, quick, encoder="tu-test_resnet", decoder_channels=(32, 16, 16, 16))
    data = cohort.load(write_cohort(tmp_path / "cohort", train=range(1, 6), test=(6,)))
    labelled = data.studies("train")
    stored_studies = read_all(data, data.studies(), recipe.grids(), tmp_path / "slices", labelled, progress=False)
    held_studies = {i: resampling.read_canonical(data, i, recipe.grids(), with_points=True) for i in data.studies()}
    tables = {}
    for name, studies in (("stored", stored_studies), ("held", held_studies)):
        localizers = train([studies[i] for i in labelled], recipe, tmp_path / name, [SAGITTAL_T2])
        tables[name] = find_all(studies, localizers).to_csv()
    assert tables["stored"] == tables["held"]
    for file in files(tmp_path / "held"):
        assert file.read_bytes() == (tmp_path / "stored" / file.relative_to(tmp_path / "held")).read_bytes()


def test_a_folder_that_cannot_be_written_is_named(
    data: cohort.Cohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(slice_store, "save_file", full)
    with pytest.raises(CannotWrite, match=r"slices.*its disk is full"):
        stored(data, tmp_path / "slices")
    assert not files(tmp_path / "slices")
    (tmp_path / "a file").touch()
    with pytest.raises(StoreError, match="a file.*cannot be made"):
        stored(data, tmp_path / "a file")
