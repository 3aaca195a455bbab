"""Manifests of steps that no notebook made, or that a test has changed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from spinekit import artifacts
from spinekit.course import manifests
from spinekit.course.folders import MANIFEST


def write(folder: Path, started: str = "2026-01-01T00:00:00", **parameters: Any) -> None:
    """A manifest with what every one has, of a step's folder that is there, with the files in it."""
    given = {"profile": "smoke", "data_dir": "", "run_name": "", "seed": 0} | parameters
    manifest = {"step": folder.name, "parameters": given, "tables": {}, "reads": {}, "started": started, "seconds": 1.0}
    artifacts.write_json(folder / MANIFEST, manifest | _files(folder))


def note_again(folder: Path) -> None:
    """Let the manifest name the files as they are now."""
    artifacts.write_json(folder / MANIFEST, manifests.read(folder) | _files(folder))


def _files(folder: Path) -> dict[str, Any]:
    return {"files": manifests.results_in(folder), "digests": manifests.digests_in(folder)}
