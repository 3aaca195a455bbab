"""Text that comes from files, printed as it is: neither markup nor control characters in it do anything.

A series may be called ``[/red]``, which rich reads as markup, or by the characters at which a terminal clears its
screen.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

# Control characters but for tab and new line, marks that change the direction of writing, bytes of no character.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")
REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


def printable(text: str) -> str:
    """The text with what is no visible character replaced, other than tabs and new lines."""
    return _UNPRINTABLE.sub(REPLACEMENT, text)


class PlainConsole(Console):
    """A console that takes text as it is; styles are given as styles (``Text(..., style="red")``), never as markup."""

    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, emoji=False, **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Segments of printable text."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=printable(segment.text))
