"""The part about the page: when views are painted, what asking costs, memory, boxes against frames; in Chromium."""

from __future__ import annotations

import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from facereel import Library
from tests.benchmarks.figures import at_most
from tests.benchmarks.portraits import SAMPLES, photos
from tests.benchmarks.report import Report, say
from tests.benchmarks.run_facereel import indexed
from tests.benchmarks.web_boxes import boxes
from tests.benchmarks.web_memory import memory
from tests.benchmarks.web_paint import paints
from tests.browser.chromium import MISSING, chromium
from tests.served import Site, copy_store, serve

PAINT, PAINT_LARGE, ASKING = 0.3, 0.8, 1.5  # seconds
ROUNDS = 5
_SAMPLE = SAMPLES.parent / "sample.mp4"


def web(only: str) -> Iterator[Report]:
    """What a user waits for in the browser, on the sample library and on a large generated one."""
    path = chromium()
    if path is None:
        say(f"web: {MISSING}")
        return
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--mute-audio"])
        with _sample() as site:
            if only in "paint":
                say("web: first paint, sample library")
                yield "first paint, sample library", *paints(browser, site, views(site), PAINT, "sample library")
            if only in "ask":
                say("web: asking")
                yield _asking(browser, site)
            if only in "memory":
                say("web: memory")
                yield "memory of the server", *memory(site, addresses(site))
        if only in "boxes":
            say("web: boxes")
            yield "boxes against frames", *boxes(browser)
        browser.close()


def views(site: Site) -> dict[str, str]:
    """The six views and where they are: of the person with most videos, and of the first video."""
    library = Library(site.store)
    person = max(library.people.all(unnamed=True), key=lambda one: len(one.members))
    folder = library.videos()[0].folder.name
    return {
        "Library": "/", "People": "/people", "Person": f"/people/{person.id}", "Review": "/review",
        "Video": f"/videos/{folder}", "Ask": "/ask",
    }  # fmt: skip


@contextmanager
def _sample() -> Iterator[Site]:
    with tempfile.TemporaryDirectory(prefix="facereel-bench-") as temporary:
        folder = Path(temporary)
        video = Path(shutil.copy(_SAMPLE, folder))
        with serve(copy_store(indexed(_SAMPLE), folder / "faceindex", video), folder) as site:
            yield site
