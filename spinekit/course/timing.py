"""How long each step takes, in seconds, by profile: what a reader is told before a long cell.

Measured on two CPU cores with instructions for bf16; processors without take several times as long to train. Estimated
and not measured: 04 in demo, 07 and 14 in cpu, 20, and all of ``full`` (one GPU, one fold).
"""

from __future__ import annotations

from spinekit.course.steps import PROFILE_NAMES, Step

# A row for each of PROFILE_NAMES (smoke, demo, cpu, full), a number for each step: 00 to 07, 10 to 14, 20.
_SECONDS = (
    (20, 20, 30, 36, 20, 40, 15, 60, 35, 45, 40, 30, 40, 15),
    (140, 20, 60, 360, 210, 55, 30, 4500, 60, 360, 1800, 900, 900, 60),
    (750, 20, 60, 1000, 2300, 660, 120, 9000, 60, 900, 2700, 1500, 2200, 180),
    (3600, 300, 300, 5400, 5400, 5400, 900, 54000, 600, 5400, 21600, 21600, 10800, 3600),
)
ON_GPU = {"full"}


def expected_seconds(profile: str) -> dict[Step, float]:
    """Expected seconds of each step in a profile; ``course.profiles`` has the profiles themselves."""
    return dict(zip(Step, _SECONDS[PROFILE_NAMES.index(profile)], strict=True))


def format_duration(seconds: float) -> str:
    """A duration for people: ``40 s``, ``3 min``, ``2.5 h``."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def expectation(step: str, profile: str, share: float = 1.0) -> str:
    """``about 4 min in profile demo on two CPU cores``; empty for what is no step of the course."""
    if step not in set(Step):
        return ""
    seconds = share * expected_seconds(profile)[Step(step)]
    duration = "a few seconds" if seconds < 5 else f"about {format_duration(seconds)}"
    machine = "one GPU" if profile in ON_GPU else "two CPU cores"
    return f"{duration} in profile {profile} on {machine}"
