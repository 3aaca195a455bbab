"""Fixtures that several tests of figures share."""

from __future__ import annotations

import pytest
from cohort_files import write_cohort

from spinekit.io import cohort
from spinekit.io.study import Study


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """One study with every kind of series."""
    return cohort.load(write_cohort(tmp_path_factory.mktemp("cohort"), train=(1,), test=())).read(1)
