"""The root of every error that spinekit raises on purpose, and one rule for a study that fails among many.

Each class of errors has a code, such as ``io/missing-table``: its wing and its name. Commands print it after the
message, tables of failures hold it before, and ``notebooks/book/errors.md`` lists what each means and what to do. A
docstring of such a class says the first in one sentence, and then the second.

One bad study never stops a run. Whatever works through studies one by one wraps each of them in ``except Exception``,
since torch, SimpleITK and the decoders raise errors of their own, and keeps what ``study_failure`` makes of the error.
An interrupt from the keyboard is no ``Exception``; a machine that is out of memory is no fault of the study.
"""

from __future__ import annotations

import errno
import re
import shutil
from pathlib import Path
from typing import ClassVar

# torch and SimpleITK have no class of their own for this.
_OUT_OF_MEMORY = ("DefaultCPUAllocator", "bad_alloc", "Failed to allocate memory")


def code_of(module: str, name: str) -> str:
    """The code of an error class by its module and its name: ``io/no-pixels`` of ``NoPixels`` in ``spinekit.io.x``."""
    package, *below = module.split(".")
    return f"{below[0] if len(below) > 1 else package}/{re.sub(r'(?<!^)(?=[A-Z])', '-', name).lower()}"


class SpinekitError(Exception):
    """An error that a user can act on. Its message names the file or value and says what to do."""

    code: ClassVar[str] = code_of(__name__, "SpinekitError")

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "code" not in vars(cls):  # a class that has moved to another wing, or has a new name, writes its old code
            cls.code = code_of(cls.__module__, cls.__name__)


class OutOfMemory(SpinekitError):
    """The machine has no memory left: the studies that follow would fail one after the other. Close other programs, or
    take the study that is named out of the folder if it is far larger than the others."""


class CannotWrite(SpinekitError):
    """The disk is full, or a file may not be written. Make room, or set SPINEKIT_OUTPUTS to another folder."""


_FULL = (errno.ENOSPC, errno.EDQUOT)
_READ_ONLY = (errno.EROFS, errno.EACCES, errno.EPERM)
# Writers that are no Python have errors of their own for a full disk: those of safetensors, torch, and numpy ("1048576
# requested and 46272 written").
_WORDS_OF_FULL = (
    *("No space left on device", "os error 28", "PytorchStreamWriter failed", "inline_container.cc"),
    " requested and ",
)


def write_failure(file: Path, error: Exception) -> CannotWrite | None:
    """What to say of an error that writing ``file`` ended with; None where it is not one of the disk."""
    number = error.errno if isinstance(error, OSError) else None
    if number in _FULL or (number is None and any(words in str(error) for words in _WORDS_OF_FULL)):
        return CannotWrite(
            f"{file} cannot be written: its disk is full{_free(file)}. Remove what is not needed, or write to another "
            "disk (SPINEKIT_OUTPUTS), and run it again: finished steps are kept"
        )
    if number in _READ_ONLY:
        return CannotWrite(
            f"{file} cannot be written: {describe(error)}. Allow writing to {file.parent}, or write to another folder "
            "(SPINEKIT_OUTPUTS)"
        )
    return None


def _free(file: Path) -> str:
    home = next((folder for folder in file.absolute().parents if folder.is_dir()), None)
    return f" ({shutil.disk_usage(home).free / 1e6:.1f} MB free)" if home else ""


def describe(error: BaseException) -> str:
    """``code: message`` in one line; of an error that is not spinekit's ``TypeName: message``."""
    kind = error.code if isinstance(error, SpinekitError) else type(error).__name__
    return f"{kind}: {' '.join(str(error).split())}".removesuffix(": ")


def study_failure(study_id: int | str, error: Exception) -> str:
    """Why a study failed, for the table or log that names it, so that the others can go on.

    Raises: `OutOfMemory`, `CannotWrite` where it was not the study that failed but the machine.
    """
    if isinstance(error, OutOfMemory | CannotWrite):
        raise error
    if isinstance(error, OSError) and error.errno in _FULL:
        raise CannotWrite(str(write_failure(Path(str(error.filename or f"study {study_id}")), error))) from error
    if _is_out_of_memory(error):
        raise OutOfMemory(
            f"study {study_id}: memory ran out ({describe(error)}). Close other programs and run it again; "
            "if this study is far larger than the others, take it out of the folder"
        ) from error
    return describe(error)


def _is_out_of_memory(error: Exception) -> bool:
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":  # the latter is torch's, of a GPU
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _OUT_OF_MEMORY)
