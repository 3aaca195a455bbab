"""The sheets show what they say: as many pictures as asked for, points inside them."""

import numpy as np

from spinekit.figures.phantom import DISEASES, SHAPES, contact_sheet, disease_sheet, shapes_sheet


def _images(figure):
    return [axis.images[0].get_array() for axis in figure.axes if axis.images]


def test_three_pictures_for_each_patient():
    images = _images(contact_sheet(patients=2, pixels=48))
    assert len(images) == 6 and all(image.shape == (48, 48) and np.ptp(image) > 0.1 for image in images)


def test_a_row_for_each_disease_with_the_point_in_the_picture():
    figure = disease_sheet(pixels=40, steps=(0.0, 1.0))
    assert len(_images(figure)) == 2 * len(DISEASES)
    for axis in figure.axes[::2]:
        (cross,) = [line for line in axis.lines if line.get_marker() == "+"]
        x, y = (float(values[0]) for values in cross.get_data())
        assert 0 < x < 39 and 0 < y < 39
    first, last = _images(figure)[0], _images(figure)[1]
    assert np.abs(first - last).max() > 0.1, "disease changes the picture"


def test_side_level_and_scale_can_be_read():
    figure = disease_sheet(pixels=40, steps=(0.0, 1.0))
    names = [axis.get_ylabel() for axis in figure.axes[::2]]
    assert names[2] == "left foramen\nL4/L5, sagittal T1" and names[3] == "left recess\nL4/L5, axial T2"
    for axis, (_, _, plane, _) in zip(figure.axes[::2], DISEASES, strict=True):
        words = [text.get_text() for text in axis.texts]
        assert words[:4] == (list("PAIS") if plane == "sagittal" else list("LRPA")) and "1 cm" in words
    left_recess = figure.axes[6]
    (cross,) = [line for line in left_recess.lines if line.get_marker() == "+"]
    assert cross.get_xdata()[0] > 20  # the patient's left is the right half of the picture


def test_each_cause_of_one_narrowing_has_a_picture_of_its_own():
    figure = shapes_sheet(pixels=40)
    images = _images(figure)
    assert len(images) == 15 == sum(map(len, SHAPES.values()))
    titles = [axis.get_title() for axis in figure.axes]
    assert len(set(titles)) == 10, "open, disc and ligament are named alike in several rows"
    for row in range(3):
        own = images[5 * row : 5 * row + 5]
        assert all(np.abs(a - b).max() > 0.1 for i, a in enumerate(own) for b in own[:i])
