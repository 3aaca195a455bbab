"""Text from the command line, or from a notebook's parameters, as values."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from spinekit.course.runs import BadParameter


def fold_numbers(texts: Iterable[str]) -> tuple[int, ...]:
    """``("0,1", "3")`` to ``(0, 1, 3)``.

    Raises: `BadParameter` when a part is no number.
    """
    texts = list(texts)
    try:
        return tuple(dict.fromkeys(int(part) for text in texts for part in text.split(",")))
    except ValueError:
        raise BadParameter(f"fold {','.join(texts)!r} is not a list of numbers such as 0,1,2") from None


def named_cohort(folder: Path | None) -> Path:
    """The folder of a cohort that a command needs where it draws none.

    Raises: `BadParameter` when none is named.
    """
    if folder is None:
        raise BadParameter("name a cohort, or draw one with --fresh 200")
    return folder


def pairs(texts: Iterable[str], option: str = "-p") -> dict[str, str]:
    """``("kind=Axial T2",)`` to ``{"kind": "Axial T2"}``.

    Raises: `BadParameter` when one has no ``=``; ``option`` is named.
    """
    texts = list(texts)
    if bad := [text for text in texts if "=" not in text]:
        raise BadParameter(f"{option} {bad[0]!r} has no value: write {option} NAME=VALUE")
    return dict(text.partition("=")[::2] for text in texts)


def trap_rates(texts: Iterable[str]) -> dict[str, float]:
    """``("swapped_sides=0.1",)`` to ``{"swapped_sides": 0.1}``.

    Raises: `BadParameter` when one is not a name with a number.
    """
    try:
        return {name: float(value) for name, value in pairs(texts, "--trap").items()}
    except ValueError as error:
        raise BadParameter(f"--trap: {error}. Write --trap NAME=RATE, a share from 0 to 1") from None
