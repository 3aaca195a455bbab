"""The root of every error that spinekit raises on purpose, and one rule for a study that fails among many.

One bad study never stops a run. Whatever works through studies one by one wraps each of them in ``except Exception``,
since torch, SimpleITK and the decoders raise errors of their own, and keeps what ``study_failure`` makes of the error.
An interrupt from the keyboard is no ``Exception``; a machine that is out of memory is no fault of the study.
"""

# torch and SimpleITK have no class of their own for this.
_OUT_OF_MEMORY = ("DefaultCPUAllocator", "bad_alloc", "Failed to allocate memory")


class SpinekitError(Exception):
    """An error that a user can act on: the message names the file or value and says what to do."""


class OutOfMemory(SpinekitError):
    """The machine has no memory left: the studies that follow would fail one after the other."""


def describe(error: BaseException) -> str:
    """``TypeName: message`` in one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}".removesuffix(": ")


def study_failure(study_id: int | str, error: Exception) -> str:
    """Why a study failed, for the table or log that names it, so that the others can go on.

    Raises: `OutOfMemory` where it was not the study that failed but the machine.
    """
    if isinstance(error, OutOfMemory):
        raise error
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
