"""The sheets show what they say: as many pictures as asked for, points inside them."""

import numpy as np

from spinekit.figures.phantom import DISEASES, contact_sheet, disease_sheet


def _images(figure):
    return [axis.images[0].get_array() for axis in figure.axes if axis.images]


def test_three_pictures_for_each_patient():
    images = _images(contact_sheet(patients=2, pixels=48))
    assert len(images) == 6 and all(image.shape == (48, 48) and np.ptp(image) > 0.1 for image in images)


def test_a_row_for_each_disease_with_the_point_in_the_picture():
    figure = disease_sheet(pixels=40, steps=(0.0, 1.0))
    assert len(_images(figure)) == 2 * len(DISEASES)
    for axis in figure.axes:
        x, y = (float(values[0]) for values in axis.lines[0].get_data())
        assert 0 < x < 39 and 0 < y < 39
    first, last = _images(figure)[0], _images(figure)[1]
    assert np.abs(first - last).max() > 0.1, "disease changes the picture"
