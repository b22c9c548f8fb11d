"""When each view of the page is first painted, and when all of its first screen is there."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from typing import Any

from playwright.sync_api import Browser, Page

from tests.benchmarks.figures import Figure, at_most
from tests.served import Site

ROUNDS = 5

_TIMES = """() => {
    const first = performance.getEntriesByName("first-contentful-paint")[0];
    const [navigation] = performance.getEntriesByType("navigation");
    return {
        answer: navigation.responseEnd,
        paint: first ? first.startTime : null,
        load: navigation.loadEventEnd,
        bytes: performance.getEntriesByType("resource")
            .reduce((sum, entry) => sum + entry.encodedBodySize, navigation.encodedBodySize),
    };
}"""


def paints(
    browser: Browser, site: Site, views: Mapping[str, str], most: float, library: str
) -> tuple[list[dict[str, Any]], list[Figure]]:
    """A row a view, medians in seconds; a browser that has nothing of the page yet opens each of them anew.

    The first round shows what the server has not yet read; it is a column of its own and not in the medians.
    """
    rows, figures = [], []
    for name, path in views.items():
        runs = [_times(browser, site, path) for _ in range(ROUNDS + 1)]
        median = {key: statistics.median(run[key] for run in runs[1:]) for key in runs[0]}
        rows.append({
            "library": library, "view": name, "answer s": median["answer"] / 1000,
            "first paint s": median["paint"] / 1000, "never opened before s": runs[0]["paint"] / 1000,
            "all loaded s": median["load"] / 1000, "KiB": median["bytes"] / 1024,
        })  # fmt: skip
        figures.append(at_most(f"first paint of {name}, {library}, s", median["paint"] / 1000, most))
    return rows, figures


def _times(browser: Browser, site: Site, path: str) -> dict[str, float]:
    context = browser.new_context(base_url=site.origin, viewport={"width": 1280, "height": 800})
    try:
        # The token is given to the server's lightest answer, so that the measured page is the first that is drawn.
        page = context.new_page()
        context.request.get(site.address)
        answer = page.goto(path, wait_until="load")
        assert answer is not None
        assert answer.ok, f"{path}: {answer.status}"
        return _painted(page)
    finally:
        context.close()


def _painted(page: Page) -> dict[str, float]:
    page.wait_for_function("() => performance.getEntriesByName('first-contentful-paint').length")
    times: dict[str, float] = page.evaluate(_TIMES)
    return times
