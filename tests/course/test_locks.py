"""A lock is let go when a step stops; what else it does is tested in test_making.py."""

import pytest

from spinekit.course import locks


def test_a_step_that_stops_lets_go(project):
    folder = project / "outputs" / "mine" / "03_x"
    with pytest.raises(RuntimeError), locks.making(folder, print):
        raise RuntimeError
    said = []
    with locks.making(folder, said.append):
        assert not said
