"""How much memory a process that is tortured may have."""

from __future__ import annotations

import resource
from pathlib import Path

MEMORY_BYTES = 2 * 2**30  # of a study or a file, beside models and imports


def limit_memory() -> None:
    """What this process may have: as much as now, and 2 GiB more."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    now = pages * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + MEMORY_BYTES, resource.RLIM_INFINITY))
