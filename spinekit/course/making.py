"""A step that is missing is made: its notebook is run as from the command line, in a process of its own.

A notebook that is opened alone needs this. What the step lacks in turn is made there in the same way.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

from spinekit.course import folders
from spinekit.course.timing import expectation
from spinekit.errors import SpinekitError

_BEING_MADE = "SPINEKIT_BEING_MADE"  # steps that wait for the one that runs, in the processes below them


class NotMade(SpinekitError):
    """The notebook of a missing step stopped at an error. Mend what the message names, and run its command."""


def can_make(step: str) -> bool:
    """Whether the step's notebook is at hand, and the step is not one that waits for this one."""
    waiting = os.environ.get(_BEING_MADE, "").split(",")
    return step not in waiting and (folders.notebooks_folder() / f"{step}.ipynb").is_file()


def is_being_made() -> bool:
    """Whether this process makes a step for a notebook that waits: nobody will read its table or its HTML pages."""
    return bool(os.environ.get(_BEING_MADE))


def make(step: str, options: Mapping[str, Any], asked_by: str) -> None:
    """Run the notebook of a step with the options of ``spinekit run``, and say so in one line.

    Raises: `NotMade` when it stops at an error.
    """
    words = command_words(step, options)
    takes = expectation(step, str(options["profile"]))
    fold = "" if options.get("fold") is None else f" (fold {options['fold']})"
    print(f"{asked_by} needs {step}{fold}, which is made now: {takes or 'a moment'}", flush=True)
    waiting = [name for name in (os.environ.get(_BEING_MADE, ""), asked_by) if name]
    environment = {**os.environ, _BEING_MADE: ",".join(waiting), "SPINEKIT_OUTPUTS": str(folders.outputs_root())}
    done = subprocess.run(
        [sys.executable, "-m", "spinekit", "run", *words], capture_output=True, text=True, env=environment, check=False
    )
    if done.returncode != 0:
        error_lines = [line for line in done.stderr.splitlines() if line.strip()]
        start = next((i for i, line in enumerate(error_lines) if line.startswith("spinekit: ")), len(error_lines) - 1)
        reason = "\n".join(error_lines[max(0, start) :]).removeprefix("spinekit: ") or f"exit status {done.returncode}"
        raise NotMade(f"{step} could not be made: {reason}\nIts command: {command_line(step, options)}")


def command_line(step: str, options: Mapping[str, Any]) -> str:
    """The command that makes a step, as it is typed."""
    return shlex.join(["spinekit", "run", *command_words(step, options)])


def command_words(step: str, options: Mapping[str, Any]) -> list[str]:
    """What follows ``spinekit run``: the step and the options that have a value; ``seed`` is a parameter."""
    words = [step]
    for name, value in options.items():
        if value not in (None, "") and name != "seed":
            words += [f"--{name}", str(value)]
    return words + (["-p", f"seed={options['seed']}"] if options.get("seed") else [])
