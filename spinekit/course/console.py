"""What commands share: how a result is printed, for people and for machines, and options that several have."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

UNBOUNDED = 100_000  # columns of a pipe or a file: rich would take 80, and cut or wrap what does not fit
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for machines instead of text for people.")]
TablesOnly = Annotated[bool, typer.Option("--tables-only", help="Leave the headers of images alone.")]


def print_result(result: Any, as_json: bool) -> None:
    """Print JSON, text or a rich table; a table that goes to a pipe or a file is not cut to the width of a screen."""
    from rich.console import Console

    if as_json:
        print(json.dumps(result, indent=2))
    elif isinstance(result, str):
        print(result)
    else:
        on_screen = Console().is_terminal
        Console(width=None if on_screen else UNBOUNDED).print(result)
