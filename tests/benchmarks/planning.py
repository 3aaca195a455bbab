"""What one fold of the competition's studies needs by `spinekit plan`, against a session on Kaggle."""

from __future__ import annotations

from collections.abc import Iterator

from rows import Row

from spinekit.course.plan import LIMITS, WORDS, plan
from spinekit.course.profiles import Profile

STUDIES = 1975


def rows(profile: Profile) -> Iterator[Row]:
    """Counted, not timed."""
    planned = plan(profile, STUDIES)
    for session, what in (("training", f"one fold of {STUDIES} studies"), ("grading", "grading of 722 by five folds")):
        needs = planned.needs_of(session)
        for name, limit in LIMITS.items():
            text = f"profile {profile.name}, {what}: {WORDS[name]}"
            yield Row(text, needs[name], "a session", limit, WORDS[name].split()[0], needs[name] / limit, "<=", 1.0)
