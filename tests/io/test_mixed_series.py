"""Series that mix contrasts: each is a stack of its own, one alone has the kind, and a finding says so."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from dicom_files import SAGITTAL, dataset, one_header, save, write_series

from spinekit.anatomy import SAGITTAL_T1, SAGITTAL_T2
from spinekit.io.mixed_series import across_folders, by_contrast, order_for
from spinekit.io.study import read_series, read_study

RNG = np.random.default_rng(0)
PLACES = 5
IMAGES = {value: RNG.integers(0, 4096, (PLACES, 8, 6)).astype(np.uint16) for value in (0, 1, 2)}


def mixed(folder, *tags, places=None, same_numbers=False):
    """One series of sagittal slices with each of ``tags`` at each place, numbered in another order at each place."""
    for k in range(PLACES):
        order = list(range(len(tags)))
        for rank, i in enumerate(order if k % 2 == 0 else order[::-1]):
            if places and k not in places[i]:
                continue
            number = k + 1 if same_numbers else k * len(tags) + rank + 1
            ds = dataset(IMAGES[i][k], (-4.0 * k, 0, 0), SAGITTAL, number=number, **tags[i])
            save(folder / f"{k}_{rank}.dcm", ds)
    return folder


def codes(findings):
    return [finding.code for finding in findings]


def image_type(*words):
    return {"ImageType": ["ORIGINAL", "PRIMARY", *words]}


PAIRS = {
    "water and fat": (image_type("DIXON", "WATER"), image_type("DIXON", "FAT")),
    "in and out of phase": (image_type("M", "IN_PHASE"), image_type("M", "OUT_PHASE")),
    "magnitude and phase": (image_type("M", "ND"), image_type("P", "ND")),
    "magnitude and real, Philips": (image_type("M_FFE", "M", "FFE"), image_type("R_FFE", "R", "FFE")),
    "echo times": ({"EchoTime": 98, "EchoNumbers": 2}, {"EchoTime": 12, "EchoNumbers": 1}),
    "echo numbers": ({"EchoNumbers": 1}, {"EchoNumbers": 2}),
    "inversion times": ({"InversionTime": 150}, {"InversionTime": 2500}),
    "b-values": ({"DiffusionBValue": 0.0}, {"DiffusionBValue": 800.0}),
    "b-values in the name alone": ({"SequenceName": "*ep_b0"}, {"SequenceName": "*ep_b800t"}),
    "time points": ({"TemporalPositionIdentifier": 1}, {"TemporalPositionIdentifier": 2}),
    "acquisitions": ({"AcquisitionNumber": 1}, {"AcquisitionNumber": 2}),
    "acquisition times": ({"AcquisitionTime": "101000"}, {"AcquisitionTime": "101500"}),
    "with and without filter": (image_type("M", "NORM"), image_type("M", "ND")),
    "flip angles": ({"FlipAngle": 5}, {"FlipAngle": 30}),
    "as acquired and reformatted": (image_type("M"), image_type("MPR")),
    "derived": (image_type("M"), {"ImageType": ["DERIVED", "SECONDARY", "M"]}),
    "two series": ({"series": "1.1"}, {"series": "1.2"}),
}


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("same_numbers", [False, True])
def test_two_contrasts_are_two_stacks(tmp_path, name, same_numbers):
    stacks, findings = read_series(mixed(tmp_path, *PAIRS[name], same_numbers=same_numbers), SAGITTAL_T2)
    assert [len(stack) for stack in stacks] == [PLACES, PLACES]
    main, other = sorted(stacks, key=lambda stack: not stack.main)
    assert (main.main, main.kind, other.main, other.kind) == (True, SAGITTAL_T2, False, None)
    np.testing.assert_array_equal(main.pixels, IMAGES[0])
    np.testing.assert_array_equal(other.pixels, IMAGES[1])
    assert main.contrast and other.contrast and main.contrast != other.contrast
    assert set(codes(findings)) - {"ambiguous_instance_number"} == {"several_contrasts"}
    message = findings[-1].message
    assert main.contrast in message and other.contrast in message and "5 images" in message


def test_three_time_points_of_two_echoes(tmp_path):
    tags = [{"TemporalPositionIdentifier": t, "EchoTime": te} for te in (90,) for t in (1, 2, 3)]
    stacks, _ = read_series(mixed(tmp_path, *tags))
    assert [(len(stack), stack.main) for stack in stacks] == [(5, True), (5, False), (5, False)]
    assert [stack.contrast for stack in stacks] == ["time point 1", "time point 2", "time point 3"]


def test_contrasts_at_places_of_their_own_are_not_interleaved(tmp_path):
    """Water at every second place and fat between: no place is shown twice, and still they are no one stack."""
    folder = mixed(tmp_path, *PAIRS["water and fat"], places=[(0, 2, 4), (1, 3)])
    stacks, findings = read_series(folder)
    assert sorted((stack.contrast, len(stack), stack.main) for stack in stacks) == [
        ("fat", 2, False),
        ("water", 3, True),
    ]
    assert "several_contrasts" in codes(findings)


def test_blocks_of_another_echo_time_are_all_graded(tmp_path):
    """Upper and lower block of an axial series: no place is shown twice, so both have the kind."""
    write_series(tmp_path, IMAGES[0], EchoTime=90)
    write_series(tmp_path, IMAGES[1], EchoTime=105, origin=(0, 0, 100), numbers=range(11, 16))
    stacks, findings = read_series(tmp_path, "Axial T2")
    assert [(len(stack), stack.main, stack.kind) for stack in stacks] == [(5, True, "Axial T2")] * 2
    assert codes(findings) == ["several_contrasts"] and "to grade" not in findings[0].message


def test_what_differs_from_slice_to_slice_separates_nothing(tmp_path):
    for k, image in enumerate(IMAGES[0]):
        tags = {"EchoTime": 98 + 0.3 * k, "AcquisitionTime": f"10100{k}", "AcquisitionNumber": k, "FlipAngle": 150 + k}
        tags |= {"EchoNumbers": k % 2, "RepetitionTime": 3000 + k, "TemporalPositionIdentifier": k}
        save(tmp_path / f"{k}.dcm", dataset(image, (-4.0 * k, 0, 0), SAGITTAL, number=k + 1, **tags))
    (stack,), findings = read_series(tmp_path)
    assert len(stack) == PLACES and stack.contrast == "" and findings == []
    assert stack.echo_time_ms == 98 and stack.repetition_time_ms == 3000


def test_one_slice_taken_again_is_a_repeat(tmp_path):
    write_series(tmp_path, IMAGES[0], AcquisitionNumber=1)
    save(tmp_path / "9.dcm", dataset(IMAGES[1][2], (0, 0, 8.0), number=9, AcquisitionNumber=2))
    (stack,), findings = read_series(tmp_path)
    assert len(stack) == PLACES and codes(findings) == ["repeated_slice"]


def test_images_that_no_tag_distinguishes_are_told(tmp_path):
    (stack,), findings = read_series(mixed(tmp_path, {}, {}))
    assert len(stack) == PLACES
    assert codes(findings) == ["repeated_slice"] * PLACES + ["mixed_images"]
    assert "5 of 5 places" in findings[-1].message


def test_copies_are_no_mixture(tmp_path):
    for file in write_series(tmp_path, IMAGES[0]):
        (tmp_path / f"copy_{file.name}").write_bytes(file.read_bytes())
    (_,), findings = read_series(tmp_path)
    assert set(codes(findings)) == {"repeated_slice", "ambiguous_instance_number"}


def test_the_echo_to_grade_depends_on_the_kind(tmp_path):
    folder = mixed(tmp_path, {"EchoTime": 12}, {"EchoTime": 90})
    for kind, echo in ((SAGITTAL_T1, 12), (SAGITTAL_T2, 90), (None, 90)):
        stacks, _ = read_series(folder, kind)
        assert [stack.echo_time_ms for stack in stacks if stack.main] == [echo]


def test_order_puts_plain_images_first(write_slice):
    plain, phase, fat = (one_header(write_slice(**tags)) for tags in ({}, image_type("P"), image_type("DIXON", "FAT")))
    assert sorted([phase, fat, plain], key=lambda header: order_for(None, header)) == [plain, fat, phase]
    assert len(by_contrast([plain])) == 1 and by_contrast([plain])[0].label == ""
    assert math.isnan(plain.contrast.echo_time_ms)


def test_folders_that_share_a_series_are_told(tmp_path):
    for k, file in enumerate(write_series(tmp_path / "1" / "5", IMAGES[0])):
        other = tmp_path / "1" / str(5 + k % 2) / file.name
        other.parent.mkdir(exist_ok=True)
        file.rename(other)
    (finding,) = [finding for finding in read_study(tmp_path / "1").findings if finding.code == "split_series"]
    assert "folders 5, 6" in finding.message


def by_order(kind, *headers):
    return sorted(headers, key=lambda header: order_for(kind, header))


@pytest.mark.parametrize(("kind", "usual_ms"), [(SAGITTAL_T1, 10), (SAGITTAL_T2, 100), (None, 100)])
def test_of_several_echoes_the_one_nearest_to_the_usual_time_comes_first(write_slice, kind, usual_ms):
    """Near by their ratio: half as long is as far as twice as long. A time of 0 is the farthest, not an error."""
    times = [usual_ms * factor for factor in (1.0, 1.05, 0.9, 1.2, 0.5, 3)] + [0.5, 0.3, 0]
    headers = [one_header(write_slice(name=f"{i}.dcm", EchoTime=time)) for i, time in enumerate(times)]
    assert [one.contrast.echo_time_ms for one in by_order(kind, *reversed(headers))] == times


def test_derived_images_come_after_original_ones_whatever_else_their_type_says(write_slice):
    derived = one_header(write_slice(ImageType=["DERIVED", "PRIMARY", "M"], EchoTime=100))
    original = one_header(write_slice(name="8.dcm", ImageType=["ORIGINAL", "PRIMARY", "M"], EchoTime=50))
    assert by_order(SAGITTAL_T2, derived, original) == [original, derived]


def test_folders_of_one_series_are_put_together_where_no_place_is_shown_twice(write_slice):
    one, copy, two, three = (
        replace(one_header(write_slice()), file=Path(name), origin_xyz_mm=(0.0, 0.0, z))
        for name, z in (("one", 0.0), ("copy", 0.0), ("two", 4.0), ("three", 8.0))
    )
    assert across_folders([[one, two], [copy], [three]]) == [[one, two, three], [copy]]
    assert across_folders([[one], [two], [copy, three]]) == [[one, two], [copy, three]]


@pytest.mark.parametrize(("z", "main"), [(0.0, 1), (0.9, 1), (1.1, 2)])
def test_single_slices_of_two_contrasts_show_one_place_within_a_millimetre(tmp_path, z, main):
    for number, (height, tags) in enumerate([(0.0, PAIRS["water and fat"][0]), (z, PAIRS["water and fat"][1])]):
        save(tmp_path / f"{number}.dcm", dataset(IMAGES[number][0], (0, 0, height), number=number, **tags))
    assert sum(stack.main for stack in read_series(tmp_path)[0]) == main


@pytest.mark.parametrize(("z", "main"), [(3.0, 1), (7.0, 1), (9.0, 2)])
def test_a_stack_of_two_slices_reaches_a_step_further(tmp_path, z, main):
    water, fat = PAIRS["water and fat"]
    write_series(tmp_path, IMAGES[0][:2], step_mm=4.0, **water)
    save(tmp_path / "9.dcm", dataset(IMAGES[1][0], (0, 0, z), number=9, **fat))
    assert sum(stack.main for stack in read_series(tmp_path)[0]) == main
