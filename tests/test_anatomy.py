"""The words of the field: 25 targets in the competition's order, names, mirror."""

import pytest

from spinekit import anatomy
from spinekit.anatomy import FLIPPED_TARGET, TARGET_INDEX, TARGETS, row_id, targets_of, words_to_name

# The header of the competition's train.csv, typed once by hand so that the composed names have something to fail on.
SPINAL_COLUMNS = [f"spinal_canal_stenosis_{level}" for level in ("l1_l2", "l2_l3", "l3_l4", "l4_l5", "l5_s1")]
FIRST_OF_EACH = {
    0: "spinal_canal_stenosis_l1_l2",
    5: "left_neural_foraminal_narrowing_l1_l2",
    10: "right_neural_foraminal_narrowing_l1_l2",
    15: "left_subarticular_stenosis_l1_l2",
    20: "right_subarticular_stenosis_l1_l2",
    24: "right_subarticular_stenosis_l5_s1",
}


def test_targets_are_the_columns_of_train_csv():
    names = [target.name for target in TARGETS]
    assert len(names) == len(set(names)) == 25
    assert names[:5] == SPINAL_COLUMNS
    assert {i: names[i] for i in FIRST_OF_EACH} == FIRST_OF_EACH
    assert [TARGET_INDEX[name] for name in names] == list(range(25))


def test_mirror_swaps_sides_and_nothing_else():
    assert [FLIPPED_TARGET[i] for i in FLIPPED_TARGET] == list(range(25))  # its own inverse
    for i, target in enumerate(TARGETS):
        other = TARGETS[FLIPPED_TARGET[i]]
        assert (other.group, other.level) == (target.group, target.level)
        assert {target.side, other.side} in ({None}, {"left", "right"})
    assert FLIPPED_TARGET[0] == 0 and FLIPPED_TARGET[5] == 10 and FLIPPED_TARGET[24] == 19


@pytest.mark.parametrize(
    ("group", "kind", "count"),
    [("spinal", "Sagittal T2/STIR", 5), ("foraminal", "Sagittal T1", 10), ("subarticular", "Axial T2", 10)],
)
def test_each_group_is_annotated_on_its_kind(group, kind, count):
    targets = [TARGETS[i] for i in targets_of(group)]
    assert len(targets) == count
    assert {target.kind for target in targets} == {kind}
    assert kind in anatomy.KINDS


def test_words_of_the_tables_become_names():
    assert words_to_name("Left Neural Foraminal Narrowing") == "left_neural_foraminal_narrowing"
    assert words_to_name(" L5/S1 ") == "l5_s1"
    assert row_id(44036939, TARGETS[5]) == "44036939_left_neural_foraminal_narrowing_l1_l2"
    assert anatomy.CONDITIONS == (
        "spinal_canal_stenosis",
        "left_neural_foraminal_narrowing",
        "right_neural_foraminal_narrowing",
        "left_subarticular_stenosis",
        "right_subarticular_stenosis",
    )
