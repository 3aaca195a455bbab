"""Notes each opening and each decoding of a DICOM file by any Python process that starts with this folder on its path.

Python imports a ``sitecustomize`` by itself when it starts. A line is ``open`` or ``decode`` and the path; lines go to
the file that the variable ``FILE_COUNTER`` names, each in one write, so that several processes may share it.
"""

from __future__ import annotations

import os
import sys
from typing import Any

_log = os.open(os.environ["FILE_COUNTER"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)


def _note(event: str, path: Any) -> None:
    os.write(_log, f"{event} {os.fspath(path)}\n".encode())


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "open" and isinstance(arguments[0], str | os.PathLike) and os.fspath(arguments[0]).endswith(".dcm"):
        _note("open", arguments[0])
        _count_decoding()


def _count_decoding() -> None:
    """Wrap the one function that decodes, once it is there: a file is opened before it is decoded."""
    module: Any = sys.modules.get("spinekit.io.dicom_pixels")
    read = getattr(module, "read_stored", None)
    if read is None or hasattr(read, "__wrapped__"):
        return

    def read_stored(header: Any, *opened: Any) -> Any:
        _note("decode", header.file)
        return read(header, *opened)

    read_stored.__wrapped__ = read  # type: ignore[attr-defined]
    for user in list(sys.modules.values()):  # also where it was imported by name
        names = getattr(user, "__dict__", {})
        if names.get("read_stored") is read:
            names["read_stored"] = read_stored


sys.addaudithook(_watch)
