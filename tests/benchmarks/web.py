"""The part about the page, in Chromium: when views are painted, what asking costs, memory, boxes against frames.

Every server is `cli.py serve` as a user starts it. A library is served from where it is kept; the page only reads it.
"""

from __future__ import annotations

import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from facereel import Library
from facereel.indexer.engines.registry import load_engine
from tests.benchmarks.figures import at_most
from tests.benchmarks.portraits import SAMPLES, photos
from tests.benchmarks.report import Report, say
from tests.benchmarks.run_facereel import indexed
from tests.benchmarks.web_boxes import boxes
from tests.benchmarks.web_library import large_library
from tests.benchmarks.web_memory import memory
from tests.benchmarks.web_paint import paints
from tests.browser.chromium import MISSING, chromium
from tests.served import Site, copy_store, serve

PAINT, PAINT_LARGE, ASKING = 0.3, 0.8, 1.5  # seconds
ROUNDS = 5
_SAMPLE = SAMPLES.parent / "sample.mp4"


def web(only: str) -> Iterator[Report]:
    """What a user waits for, on the sample library and on a large generated one."""
    path = chromium()
    if path is None:
        say(f"web: {MISSING}")
        return
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--mute-audio"])
        with _sample() as site:
            if only in "first paint":
                say("web: first paint")
                yield (
                    "first paint, sample library",
                    *paints(browser, site, views(site), PAINT, "sample library"),
                )
            if only in "asking":
                say("web: asking")
                yield _asking(browser, site)
            if only in "memory":
                say("web: memory")
                yield "memory of the server", *memory(site, addresses(site))
        if only in "boxes":
            say("web: boxes")
            yield "boxes against frames", *boxes(browser)
        if only in "first paint of a large library":
            with _large() as site:
                yield (
                    "first paint, large library",
                    *paints(browser, site, views(site), PAINT_LARGE, "10,000 people, 1,000 videos"),
                )
        browser.close()


def views(site: Site) -> dict[str, str]:
    """The six views and where they are: of the person who is seen longest, and of the first video."""
    library = Library(site.store)
    person, folder = library.people.all()[0].id, Path(library.videos().videos[0].folder).name
    return {
        "Library": "/", "People": "/people", "Person": f"/people/{person}", "Review": "/review",
        "Video": f"/videos/{folder}", "Ask": "/ask",
    }  # fmt: skip


def addresses(site: Site) -> list[str]:
    """What a browser asks for in the six views: pages, pictures in two sizes, parts of the video."""
    pages = views(site)
    folder, person = pages["Video"].rpartition("/")[2], pages["Person"].rpartition("/")[2]
    frames = [f"/pictures/frame/{folder}/{frame}?width=320" for frame in range(0, 700, 100)]
    return [
        *pages.values(), *frames, f"/pictures/person/{person}", f"/pictures/face/{folder}/t1",
        f"/pictures/face/{folder}/c1", f"/pictures/poster/{folder}", f"/media/video/{folder}", "/api/jobs",
        "/static/style.css", "/nothing/is/here",
    ]  # fmt: skip


def _asking(browser: Browser, site: Site) -> Report:
    """From handing in a photo until the first match is listed; the first time the engine is loaded as well."""
    photo = photos(SAMPLES / "obama")[0]
    seconds = []
    for _ in range(ROUNDS + 1):
        context = browser.new_context(base_url=site.origin)
        page = context.new_page()
        page.goto(site.address)
        page.goto("/ask", wait_until="networkidle")
        start = time.perf_counter()
        page.locator("input[type=file]").first.set_input_files(photo)
        page.locator("[data-match]").first.wait_for()
        seconds.append(time.perf_counter() - start)
        context.close()
    row = {
        "first time s": seconds[0],
        "median s": statistics.median(seconds[1:]),
        "slowest s": max(seconds[1:]),
    }
    return (
        "asking",
        [row],
        [
            at_most("a photo handed in until matches are listed, s", row["median s"], ASKING),
            at_most("the same the first time, s", row["first time s"], ASKING),
        ],
    )


@contextmanager
def _sample() -> Iterator[Site]:
    with tempfile.TemporaryDirectory(prefix="facereel-bench-") as temporary:
        folder = Path(temporary)
        video = Path(shutil.copy(_SAMPLE, folder))
        with serve(copy_store(indexed(_SAMPLE), folder / "faceindex", video), folder) as site:
            yield site


@contextmanager
def _large() -> Iterator[Site]:
    store = large_library(load_engine())
    with tempfile.TemporaryDirectory(prefix="facereel-bench-") as root, serve(store, Path(root)) as site:
        yield site
