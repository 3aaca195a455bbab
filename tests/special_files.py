"""Pipes, sockets and devices where files are expected, and a bound on the time that a test may take."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType


def special_files(folder: Path, ending: str) -> dict[str, Path]:
    """A pipe and a socket in a folder, and a device, by what they are called."""
    pipe, place = folder / f"pipe{ending}", folder / f"socket{ending}"
    os.mkfifo(pipe)
    with socket.socket(socket.AF_UNIX) as server, _within(folder):  # the path of a socket has a length limit
        server.bind(place.name)
    return {"a named pipe": pipe, "a socket": place, "a device": Path("/dev/zero")}


@contextmanager
def _within(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


@contextmanager
def at_most(seconds: int) -> Iterator[None]:
    """A test that waits for longer fails."""

    def late(number: int, frame: FrameType | None) -> None:
        raise AssertionError(f"not done after {seconds} s")

    signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
