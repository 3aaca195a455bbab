"""Read-outs side by side, on drawn heat-maps: finer than a pixel, levels put right, and what no method can say."""

import numpy as np
import pandas as pd
import pytest
from spines import spines, study_of

from spinekit.anatomy import KINDS, SPINAL, SUBARTICULAR, TARGET_INDEX, TARGETS
from spinekit.course.profiles import SMOKE
from spinekit.evaluation.landmarks import directions, errors_by_method, errors_mm, with_directions
from spinekit.figures import decoders as figures
from spinekit.localization import decoders, localizer
from spinekit.localization.assembly import channel_of
from spinekit.localization.heatmaps import CHANNELS, Blur, encode_targets, target_heatmaps
from spinekit.localization.localizer import Localizer, Localizers
from spinekit.localization.peaks import Spread
from spinekit.localization.shape_model import learn_shape

DECOY = TARGET_INDEX["spinal_canal_stenosis_l3_l4"]
SPINE = spines(1, seed=4)[0]


def drawn_maps(_model, stack):
    """What a perfect model would say, but for L3/L4's channel, which is a little surer of the disc below."""
    maps = target_heatmaps(encode_targets(stack, SPINE, Blur()), Blur())
    if DECOY in [i for i, t in enumerate(TARGETS) if t.kind == stack.kind]:
        at = channel_of(stack.kind, DECOY)
        maps[:, at] = np.maximum(0.9 * maps[:, at], maps[:, channel_of(stack.kind, DECOY + 1)])
    return maps


@pytest.fixture(scope="module")
def errors():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decoders, "predict", drawn_maps)
        patch.setattr(localizer, "predict", drawn_maps)
        its = {kind: Localizer(kind, SMOKE.localizer, None, Spread.unknown(CHANNELS[kind])) for kind in KINDS}
        study = study_of(SPINE)
        found = decoders.compare(Localizers(its, learn_shape(spines(60))), {1: study})
    return with_directions(errors_mm(found, {1: SPINE}), {1: study})


def of(errors, method, group):
    return errors[(errors["method"] == method) & (errors["group"] == group)]


def test_a_read_out_between_pixels_is_nearer(errors):
    pixel, finer = (of(errors, m, "foraminal") for m in (decoders.HIGHEST_PIXEL, decoders.SUB_PIXEL))
    assert len(pixel) == len(finer) == 10  # left and right are told apart
    assert pixel["plane_mm"].max() <= np.sqrt(2) + 0.1 and pixel["across_mm"].max() <= 2.3  # half a pixel, half a step
    assert finer["plane_mm"].median() < 0.2 < pixel["plane_mm"].median()
    assert finer["across_mm"].median() < 0.5 * pixel["across_mm"].median()


def test_only_levels_taken_together_see_that_two_have_one_name(errors):
    for method in decoders.METHODS:
        its = of(errors, method, SPINAL).set_index("target")["error_mm"]
        alone = method in (decoders.HIGHEST_PIXEL, decoders.SUB_PIXEL)
        assert (its[TARGETS[DECOY].name] > 20) == alone
        assert its.drop(TARGETS[DECOY].name).max() < 3


def test_axial_slices_alone_do_not_know_their_level(errors):
    assert of(errors, decoders.SUB_PIXEL, SUBARTICULAR).empty
    assert len(of(errors, decoders.LEVELS_TOGETHER, SUBARTICULAR)) == 10


def test_directions_are_summed_up_by_hand():
    study = study_of(SPINE)
    names = [TARGETS[i].name for i in range(2)]
    xyz = SPINE[:2] + [[3.0, 4.0, 0.0], [0.0, 0.0, 20.0]]  # slices of Sagittal T2 follow each other along x
    table = pd.DataFrame(xyz, columns=["x_mm", "y_mm", "z_mm"])
    table = table.assign(study_id=1, target=names, series_id="Sagittal T2/STIR", source="found")
    split = with_directions(errors_mm(table, {1: SPINE}), {1: study})
    assert split["plane_mm"].tolist() == pytest.approx([4, 20]) and split["across_mm"].tolist() == pytest.approx([3, 0])
    row = directions(split, "group").loc[SPINAL]
    assert row["plane_median_mm"] == pytest.approx(12) and row["other_level_%"] == 50 and row["landmarks"] == 2
    assert with_directions(errors_mm(table.assign(series_id=""), {1: SPINE}), {1: study}).empty


def test_the_figure_has_a_row_for_each_method(errors):
    figure = figures.methods(directions(errors, ["method", "group"]))
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == list(decoders.METHODS)
    assert len(figure.axes[0].lines) == 3


def test_without_a_study_nothing_is_compared_and_a_sentence_says_so():
    found = decoders.compare(Localizers({}, learn_shape(spines(60))), {})
    by_method = errors_by_method(found, {}, None, None)
    assert by_method.empty and directions(by_method[by_method["method"] == decoders.ALL_SERIES], "level").empty
    assert "no study here has readers' points" in figures.methods(directions(by_method, ["method", "group"])).words
