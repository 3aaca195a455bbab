"""The command line: thin commands over the package. ``spinekit --help`` lists them."""

from __future__ import annotations

import sys

import typer

from spinekit.errors import SpinekitError

app = typer.Typer(
    name="spinekit",
    help="Grades degenerative disease of the lumbar spine on MRI, notebook by notebook. Not for clinical use.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def main() -> None:
    """Run the command line; an error that a user can act on is one message, not a traceback."""
    try:
        app()
    except SpinekitError as error:
        print(f"spinekit: {error}", file=sys.stderr)
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
