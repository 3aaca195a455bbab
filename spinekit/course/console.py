"""What commands share: how results and messages are printed, exit statuses, and options that several or all have.

Results go to stdout; messages, bars and errors go to stderr.
"""

from __future__ import annotations

import json
import logging
import math
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from spinekit.errors import SpinekitError, write_failure
from spinekit.parallel import LOGGER

UNSOUND = 3  # exit status: the command ran, and what it examined has errors; 1 is an error of the command, 2 its usage
INTERRUPTED = 130  # by Ctrl-C, as shells have it
UNBOUNDED = 100_000  # columns of a pipe or a file: rich would take 80, and cut or wrap what does not fit
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for machines instead of text for people.")]
TablesOnly = Annotated[bool, typer.Option("--tables-only", help="Leave the headers of images alone.")]
# What makes context worth knowing, as `spinekit phantom` and `spinekit evaluate context` switch it off.
ReaderOffset = Annotated[bool, typer.Option(help="The reader's errors run along a condition's levels.")]
PartialVisibility = Annotated[bool, typer.Option(help="Some targets are badly seen: between slices, noise, ghosts.")]
LesionForms = Annotated[bool, typer.Option(help="Lesions of several shapes, and what looks like one and is none.")]
ShiftMm = Annotated[
    float | None, typer.Option(min=0, help="The patient moves between series by up to this; 0: no motion.")
]
TrapRates = Annotated[
    list[str] | None, typer.Option(metavar="NAME=RATE", help="Share of studies with one of them; may be repeated.")
]
WithPatientFactors = Annotated[bool, typer.Option(help="Age, discs, slip and canal width go with the narrowing.")]


def _known_device(name: str) -> str:
    if re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", name):
        return name
    raise typer.BadParameter(f"{name!r} is none of auto, cpu, cuda, cuda:1 and so on, mps")


Device = Annotated[
    str,
    typer.Option(
        "--device", callback=_known_device, help="Where models run: auto (CUDA or else CPU), cpu, cuda, cuda:1, mps."
    ),
]
Scheduler = Annotated[
    str,
    typer.Option(
        envvar="SPINEKIT_SCHEDULER",
        metavar="ADDRESS",
        help="Dask scheduler whose workers do it, such as tcp://10.0.0.5:8786; none: this machine.",
    ),
]


def _be_quiet(chosen: bool) -> None:
    if chosen:
        _set_level(logging.ERROR)


def _be_verbose(chosen: bool) -> None:
    if chosen:
        _set_level(logging.INFO)


Quiet = typer.Option(
    "--quiet",
    "-q",
    callback=_be_quiet,
    expose_value=False,
    help="Print the result and errors alone: no bar, no warning.",
)
Verbose = typer.Option(
    "--verbose", "-v", callback=_be_verbose, expose_value=False, help="Print also what is being read and done."
)
_of_all = typer.Typer(add_completion=False)


@_of_all.command()
def _options_of_all(quiet: Annotated[bool, Quiet] = False, verbose: Annotated[bool, Verbose] = False) -> None:
    """What every command takes; never run."""


class Commands(TyperGroup):
    """A group whose commands all take ``--quiet`` and ``--verbose``, before the name of the command or after it."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        for command in (self, *_leaves(self)):
            command.params += typer.main.get_command(_of_all).params

    def invoke(self, ctx: Any) -> Any:
        """Run the command; an interrupt from the keyboard is one line.

        Raises: `SystemExit` with the status that shells expect of an interrupt.
        """
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            print("spinekit: stopped from the keyboard; what is finished is kept, run it again", file=sys.stderr)
            raise SystemExit(INTERRUPTED) from None

    def main(self, *args: Any, **settings: Any) -> Any:
        """Run the command line with messages of warnings and above, unless it says otherwise."""
        _set_level(logging.WARNING)
        return super().main(*args, **settings)


def _leaves(group: Any) -> Iterator[Any]:
    for command in group.commands.values():
        yield from _leaves(command) if hasattr(command, "commands") else (command,)


def _set_level(level: int) -> None:
    logger = logging.getLogger(LOGGER)
    logger.setLevel(level)
    logging.captureWarnings(level > logging.WARNING)  # those of other packages: to a logger without a handler
    if not any(isinstance(handler, _AboveBars) for handler in logger.handlers):
        logger.addHandler(_AboveBars())


class _AboveBars(logging.Handler):
    """Messages on stderr, above a bar if there is one."""

    def emit(self, record: logging.LogRecord) -> None:
        from tqdm import tqdm

        from spinekit.io.plain_text import printable

        level = "" if record.levelno < logging.WARNING else f"{record.levelname.lower()}: "
        tqdm.write(f"spinekit: {level}{printable(record.getMessage())}", file=sys.stderr)


def print_result(result: Any, as_json: bool) -> None:
    """Print JSON, text or a rich table; a table that goes to a pipe or a file is not cut to the width of a screen."""
    from spinekit.io.plain_text import PlainConsole, printable

    if as_json:
        print(json.dumps(_without_nan(result), indent=2, allow_nan=False))
    elif isinstance(result, str):
        print(printable(result))
    else:
        on_screen = PlainConsole().is_terminal
        PlainConsole(width=None if on_screen else UNBOUNDED).print(result)


def run_command(app: typer.Typer) -> None:
    """Run the command line; an error that a user can act on is one message with its code.

    Raises: `SystemExit` with status 1 after such an error; any other error as it is.
    """
    try:
        app(prog_name="spinekit")  # also as `python -m spinekit`: completion goes by this name
    except SpinekitError as error:
        print_error(error)
    except OSError as error:
        failure = write_failure(Path(str(error.filename)), error) if error.filename is not None else None
        if failure is None:
            raise
        print_error(failure)
    else:
        return
    raise SystemExit(1)


def print_error(error: SpinekitError) -> None:
    """Print an error that a user can act on, as one message on stderr."""
    from spinekit.io.plain_text import printable

    print(f"spinekit: {printable(str(error))} [{error.code}]", file=sys.stderr)


def _without_nan(value: Any) -> Any:
    """NaN and infinity as null, which JSON does not have."""
    if isinstance(value, Mapping):
        return {name: _without_nan(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
