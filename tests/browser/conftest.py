"""Fixtures of the tests in a browser: a library, servers over it, and pages that are watched."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Request,
    WebError,
    expect,
    sync_playwright,
)

from tests.browser.chromium import MISSING, chromium
from tests.program import SAMPLES
from tests.served import Site, copy_store, serve_here

WAIT = 30_000  # ms until a page must have done what a test waits for
Visit = Callable[..., Page]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The system's Chromium, one for each file of tests: without a page it still takes a quarter of a core."""
    path = chromium()
    if path is None:
        pytest.skip(MISSING)
    with sync_playwright() as playwright:
        # Names are not looked up, so that nothing leaves the machine even when a test is about to fail for it.
        words = [
            "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
            "--autoplay-policy=no-user-gesture-required",
        ]
        expect.set_options(timeout=WAIT)
        browser = playwright.chromium.launch(executable_path=path, args=words)
        yield browser
        browser.close()


def sample_site(sample_store: Path, folder: Path) -> Path:
    """A folder to serve: `sample.mp4`, its index in `faceindex`, photos of its people in `people`."""
    shutil.copytree(SAMPLES / "people", folder / "people")
    video = Path(shutil.copy(SAMPLES / "sample.mp4", folder))
    return copy_store(sample_store, folder / "faceindex", video)


@pytest.fixture(scope="session")
def common_site(sample_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A server over the sample library for tests that only look at it."""
    folder = tmp_path_factory.mktemp("common_site")
    with serve_here(sample_site(sample_store, folder), folder) as site:
        yield site


@pytest.fixture
def site(sample_store: Path, tmp_path: Path) -> Iterator[Site]:
    """A server over a copy of the sample library that the test may change."""
    with serve_here(sample_site(sample_store, tmp_path), tmp_path) as site:
        yield site


class Watch:
    """What pages did that no page may do: each error of the console, exception, and request to another host."""

    def __init__(self, origin: str, expected: list[str]) -> None:
        self._origin, self._expected = origin, expected
        self.faults: list[str] = []

    def attach(self, context: BrowserContext) -> None:
        """Watch every page of a context, those that a page opens too."""
        context.on("console", self._console)
        context.on("weberror", self._error)
        context.on("request", self._request)

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            place: Any = message.location
            self._note(f"console: {message.text} ({place.get('url', '')})")

    def _error(self, error: WebError) -> None:
        self._note(f"exception: {error.error}")

    def _request(self, request: Request) -> None:
        if not request.url.startswith(f"{self._origin}/"):
            self._note(f"request to another host: {request.url}")

    def _note(self, fault: str) -> None:
        if not any(re.search(pattern, fault) for pattern in self._expected):
            self.faults.append(fault)


@pytest.fixture
def expected_faults() -> list[str]:
    """Patterns of faults that a test provokes; a test appends to it, as `expected_faults.append("status of 404")`."""
    return []


@pytest.fixture
def visit(browser: Browser, expected_faults: list[str]) -> Iterator[Visit]:
    """`visit(site, "/people", width=360, dark=True)` opens a page as somebody new, whom the token lets in.

    Another tab of the same person is `page.context.new_page()`. Pages are watched until the test ends.
    """
    contexts: list[BrowserContext] = []
    watches: list[Watch] = []

    def open_page(
        site: Site, path: str = "/", *, width: int = 1280, height: int = 800, dark: bool = False
    ) -> Page:
        context = browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if dark else "light",
            reduced_motion="reduce",
            base_url=site.origin,
            accept_downloads=True,
        )
        contexts.append(context)
        context.set_default_timeout(WAIT)
        watches.append(Watch(site.origin, expected_faults))
        watches[-1].attach(context)
        page = context.new_page()
        page.goto(site.address)
        if path != "/":
            page.goto(path)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert [fault for watch in watches for fault in watch.faults] == []
