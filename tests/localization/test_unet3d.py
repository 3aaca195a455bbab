"""The 3D network on painted spines: shapes, what padding counts, same bytes for the same seed, landmarks found."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from painted_spines import TINY, painted
from spines import spines

from spinekit.anatomy import AXIAL_T2, SAGITTAL_T2
from spinekit.learning import recipe
from spinekit.localization import unet3d
from spinekit.localization.assembly import assemble
from spinekit.localization.heatmaps import CHANNELS, Slices
from spinekit.localization.localizer import LocalizerError, training_targets
from spinekit.localization.peaks import Spread, find_peaks
from spinekit.localization.resampling import CanonicalStudy
from spinekit.localization.shape_model import learn_shape
from spinekit.localization.unet3d import HeatmapUNet3d, Network3d, Volumes, depths, predict, train

SMALL = Network3d((8, 16, 16), 4)
SLICES = 7  # of a painted stack


@pytest.fixture(scope="module")
def studies() -> list[CanonicalStudy]:
    return [painted(i, spine) for i, spine in enumerate(spines(14, seed=3))]


def test_a_volume_goes_in_and_a_map_for_each_slice_and_channel_comes_out(studies: list[CanonicalStudy]) -> None:
    model = HeatmapUNet3d(15, SMALL.filters, 2.5).eval()
    assert model(torch.zeros(2, 5, 32, 16)).shape == (2, 5 * 15, 32, 16)
    maps = predict(model, studies[0].stacks[0])
    assert maps.shape == (SLICES, 15, 64, 32) and maps.min() >= 0 and maps.max() <= 1


def test_slices_are_mixed_only_where_pixels_are_as_large_as_slices_are_apart() -> None:
    def kernels(mm_per_px: float) -> list[tuple[int, ...]]:
        nest = HeatmapUNet3d(15, SMALL.filters, mm_per_px).unet[0]
        blocks = [nest.downsample, nest.next_layer.downsample, nest.next_layer.next_layer]
        return [tuple(block.conv1.conv.kernel_size) for block in blocks]

    assert kernels(0.75) == [(1, 3, 3), (1, 3, 3), (1, 3, 3)]
    assert kernels(1.25) == depths(SMALL, 1.25)["kernel"].tolist()
    assert kernels(1.25) == [(1, 3, 3), (1, 3, 3), (3, 3, 3)]
    assert kernels(4.0) == [(3, 3, 3)] * 3


def test_outputs_are_ordered_as_lessons_are() -> None:
    """Slice by slice, in each channel by channel: where kernels look at one slice, a changed slice changes its own maps
    (and a little of the others: normalisation is over the whole stack)."""
    model = HeatmapUNet3d(3, SMALL.filters, 0.1).eval()  # such fine pixels that no slice sees another
    images = torch.rand(1, 4, 16, 16)
    changed = images.clone()
    changed[:, 2] = changed[:, 2].flip(-1)
    with torch.inference_mode():
        off = (model(images) - model(changed)).abs().amax((0, 2, 3)).reshape(4, 3)
    assert off[2].min() > 2 * off[[0, 1, 3]].max()


def test_where_slices_run_out_the_last_is_repeated_and_does_not_count(studies: list[CanonicalStudy]) -> None:
    taught = training_targets(studies[:1], SAGITTAL_T2, TINY.blur)
    images, xy, height, weight = Volumes(taught, 10)[0]
    assert images.shape == (10, 64, 32) and xy.shape == (10 * CHANNELS[SAGITTAL_T2], 2)
    assert weight.dtype == height.dtype == torch.float32
    assert (images[SLICES:] == images[SLICES - 1]).all()
    weight = weight.reshape(10, -1)
    assert not weight[SLICES:].any() and np.array_equal(weight[:SLICES], taught[0].weight)
    assert np.array_equal(height.reshape(10, -1)[:SLICES], taught[0].height)


def test_volumes_lie_within_the_stack_and_about_the_slices_of_the_2d_network(studies: list[CanonicalStudy]) -> None:
    taught = training_targets(studies[:2], SAGITTAL_T2, TINY.blur)
    data = Volumes(taught, 4)
    assert data.index == Slices(taught).index
    for item, (i, k) in enumerate(data.index):
        images, _, height, weight = data[item]
        first = min(max(k - 2, 0), SLICES - 4)
        assert np.array_equal(images, taught[i].stack.images[first : first + 4])
        assert np.array_equal(height.reshape(4, -1), taught[i].height[first : first + 4]) and weight.all()


def test_as_many_slices_are_shown_as_to_the_2d_network(
    studies: list[CanonicalStudy], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = []

    def count(_model, data, _loss, recipe, *_args) -> None:
        shown.append((recipe.epochs * len(data) * SMALL.slices, recipe.batch_size * SMALL.slices))

    monkeypatch.setattr(unet3d, "fit", count)
    different = len(Slices(training_targets(studies[:3], SAGITTAL_T2, TINY.blur)))
    for slices in (8, 40, 400, 0):
        train(studies[:3], SAGITTAL_T2, replace(TINY, slices=slices), SMALL, tmp_path)
    epochs = TINY.train.epochs
    assert [n for n, _ in shown] == pytest.approx([8, 40, 400, epochs * different], rel=0.05)
    assert {batch for _, batch in shown} == {TINY.train.batch_size}


def test_finds_the_levels_of_studies_it_never_saw(studies: list[CanonicalStudy], tmp_path: Path) -> None:
    model = train(studies[:12], SAGITTAL_T2, replace(TINY, slices=1000), Network3d((8, 16, 32, 32), 4), tmp_path)
    off = []
    for study in studies[12:]:
        (stack,) = study.stacks
        peaks = find_peaks(stack, predict(model, stack), 8, Spread.unknown(CHANNELS[SAGITTAL_T2]))
        found = assemble({SAGITTAL_T2: peaks}, learn_shape(spines(60)), study)
        off.append(found.xyz_mm[:5] - study.points_xyz_mm[:5])
    assert np.median(np.linalg.norm(off, axis=-1)) < 4  # pixels of 5 mm, slices of 4 mm


def test_same_seed_same_bytes(studies: list[CanonicalStudy], tmp_path: Path) -> None:
    quick = replace(TINY, slices=64)
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        train(studies[:3], SAGITTAL_T2, quick, SMALL, tmp_path / name, seed)
    a, b, c = ((tmp_path / name / "model.safetensors").read_bytes() for name in "abc")
    assert a == b != c


def test_nothing_to_learn_from_is_named(studies: list[CanonicalStudy], tmp_path: Path) -> None:
    with pytest.raises(LocalizerError, match="no annotated slice of kind Axial T2"):
        train(studies, AXIAL_T2, TINY, SMALL, tmp_path)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, None])
def test_prediction_computes_in_the_type_that_suits_the_device(
    studies: list[CanonicalStudy], monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype | None
) -> None:
    monkeypatch.setattr(recipe, "autocast_dtype", lambda device, precision="auto": dtype)
    types = []

    class Product(torch.nn.Linear):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            out = super().forward(images)
            types.append(out.dtype)
            return out

    (stack,) = studies[0].stacks
    columns = stack.images.shape[-1]
    assert predict(Product(columns, columns), stack).dtype == np.float32
    assert types == [dtype or torch.float32]
