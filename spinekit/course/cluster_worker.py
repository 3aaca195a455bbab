"""What runs on a worker of a cluster: a job, as it would run where it was started."""

from __future__ import annotations

import os
import pickle
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import spinekit
from spinekit import artifacts
from spinekit.course import provenance
from spinekit.errors import SpinekitError

VARIABLE = "SPINEKIT_SCHEDULER"
# What a user may set for a process: a job on a worker has the settings of the one that started it, and no scheduler.
SETTINGS = ("SPINEKIT_ROOT", "SPINEKIT_OUTPUTS", "SPINEKIT_DEVICE")
GPU = "GPU"  # the resource of Dask that a worker with a GPU offers
_one_at_a_time = threading.Lock()  # a job may change what belongs to its whole process: stderr, folder, environment
_topic = ""  # of messages from the job that this process runs


class ClusterError(SpinekitError):
    """Other machines cannot do the work. The message names which; without ``--scheduler`` this machine does it."""


class UnfitWorker(ClusterError):
    """A worker would not do what this machine does: other code or versions, or it does not see the same files. Install
    the same on all machines, and mount the same folders at the same paths."""


@lru_cache
def versions() -> Mapping[str, str]:
    """Of all that decides a result; the code's as it was when it was first asked for."""
    return {"spinekit": f"{spinekit.__version__}, code {artifacts.package_digest()}", **provenance.versions()}


@dataclass(frozen=True)
class Terms:
    """What has to be the same on a worker as where the jobs come from. ``token``: a file there, ``text``: in it."""

    versions: Mapping[str, str]
    folder: str
    settings: Mapping[str, str | None]
    reads: tuple[str, ...]
    token: str
    text: str

    def violation(self) -> str:
        """Why this process may not run the jobs, and what to do; empty if it may."""
        own = versions()
        for name, version in self.versions.items():
            if own.get(name) != version:
                return (
                    f"it has {name} {own.get(name, 'not at all')}, and the jobs come from {name} {version}: install "
                    "the same on all machines, then start the workers anew"
                )
        for path in (self.folder, *self.reads):
            if not os.access(path, os.R_OK):
                return (
                    f"it cannot read {path}: use folders that all machines have under the same path; archives are "
                    "unpacked below TMPDIR"
                )
        try:
            shared = not self.token or Path(self.token).read_text(encoding="utf-8") == self.text
        except OSError:
            shared = False
        folder = Path(self.token).parent
        return "" if shared else f"its {folder} is not this machine's: write to a folder that all machines share"

    @contextmanager
    def kept(self) -> Iterator[None]:
        """This process in the folder and with the settings of the one that started the job, until the block ends."""
        global _topic
        folder = os.getcwd()
        with environment({**self.settings, VARIABLE: None}):
            try:
                os.chdir(self.folder)
                _topic = self.text
                yield
            finally:
                _topic = ""
                os.chdir(folder)


@contextmanager
def environment(settings: Mapping[str, str | None]) -> Iterator[None]:
    """These environment variables (None: not set) until the block ends."""
    before = {name: os.environ.get(name) for name in settings}
    try:
        _set_all(settings)
        yield
    finally:
        _set_all(before)


def _set_all(settings: Mapping[str, str | None]) -> None:
    for name, value in settings.items():
        os.environ.pop(name, None)
        if value is not None:
            os.environ[name] = value


def examined(terms: Terms, dask_worker: Any) -> tuple[str, float]:
    """On a worker: why it may not run the jobs, and how many GPUs it offers."""
    return terms.violation(), dask_worker.state.total_resources.get(GPU, 0)


def do(packed: bytes) -> Any:
    """On a worker: run a job, pickled with its ``Terms`` and function. Workers that joined late are examined here.

    Raises: `UnfitWorker` where this worker cannot run it; the error of the job.
    """
    with _one_at_a_time:
        terms, function, job = pickle.loads(packed)
        if violation := terms.violation():
            raise UnfitWorker(f"a worker cannot be used: {violation}")
        with terms.kept():
            try:
                return function(job)
            except AssertionError as error:
                if "daemonic" not in str(error):
                    raise
                raise UnfitWorker(
                    "a worker may not start processes, which this training loads its data with: start the workers with "
                    "DASK_DISTRIBUTED__WORKER__DAEMON=False"
                ) from error


def tell(message: Mapping[str, Any]) -> None:
    """In a job on a worker: send a message, plain values by name, to whoever listens where it was started."""
    from distributed import get_worker

    get_worker().log_event(_topic, dict(message))
