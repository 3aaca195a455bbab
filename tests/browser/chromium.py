"""A headless browser for the tests, and what went wrong on a page that it showed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ConsoleMessage, Page, Request

NAMES = ("chromium", "chromium-browser", "google-chrome")
LOCAL = (
    "http://127.0.0.1",
    "http://localhost",
    "ws://127.0.0.1",
    "ws://localhost",
    "file:",
    "data:",
    "blob:",
    "about:",
)


@contextmanager
def browser() -> Iterator[Browser]:
    """Chromium of this machine (``SPINEKIT_CHROMIUM``, or on the PATH), else the one that Playwright has installed."""
    playwright = pytest.importorskip("playwright.sync_api", reason="no Playwright: run `make browser`")
    found = os.environ.get("SPINEKIT_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    with playwright.sync_playwright() as started:
        # A container has little shared memory, and no user namespaces for the sandbox of a root user.
        arguments = ["--disable-dev-shm-usage", *(["--no-sandbox"] if os.geteuid() == 0 else [])]
        with started.chromium.launch(executable_path=found, args=arguments) as launched:
            yield launched


@dataclass
class Complaints:
    """Errors on the console, exceptions of scripts, and requests that left this machine."""

    errors: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)

    def listen(self, page: Page) -> None:
        page.on("console", self._on_console)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("request", self._on_request)

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.errors.append(f"{message.text} ({message.location.get('url', '')})")

    def _on_request(self, request: Request) -> None:
        if not request.url.startswith(LOCAL):
            self.foreign.append(request.url)
