"""Whether the box on a frame is that of the frame shown: read from screenshots of the player, paused and playing."""

from __future__ import annotations

import random
import tempfile
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page

from tests.benchmarks.figures import Figure, at_least, at_most
from tests.browser.boxes import CountedVideo, counted_videos, drawn_for, look, outlines_only
from tests.browser.counted_film import counted

FRAMES, LOOKS = 600, 50
_FILM = "counted.mp4"


def boxes(browser: Browser) -> tuple[list[dict[str, Any]], list[Figure]]:
    """Fifty random frames, paused at; then fifty looks at times of nobody's choosing while it plays."""
    with (
        tempfile.TemporaryDirectory(prefix="facereel-bench-") as temporary,
        counted_videos(Path(temporary), {_FILM: counted(FRAMES)}) as videos,
    ):
        video = videos[_FILM]
        context = browser.new_context(base_url=video.site.origin, viewport={"width": 1280, "height": 900})
        page = context.new_page()
        page.goto(video.site.address)
        rows = [*_paused(page, video), *_playing(page, video)]
        context.close()
    paused = [row for row in rows if row["player"] == "paused"]
    playing = [row for row in rows if row["player"] == "playing"]
    exact = sum(row["asked"] == row["shown"] == row["box of"] for row in paused)
    away = [abs(row["box of"] - row["shown"]) for row in playing if row["box of"] is not None]
    summary = {"paused, exact": exact, "looks while playing": len(away)} | {
        f"{count} frames away": away.count(count) for count in range(4)
    }
    return [summary], [
        at_least(f"box and frame are those asked for, paused, of {LOOKS}", exact, LOOKS),
        at_most("box away from the frame shown while playing, frames", max(away, default=None), 1),
        at_least(f"boxes seen while playing, of {LOOKS}", len(away), LOOKS),
    ]


def _paused(page: Page, video: CountedVideo) -> list[dict[str, Any]]:
    rows = []
    for frame in random.Random(0).sample(range(FRAMES), LOOKS):
        page.goto(f"{video.path}?frame={frame}")
        page.locator(f'svg[data-overlay][data-frame="{frame}"]').wait_for()
        outlines_only(page)
        rows.append({"player": "paused", "asked": frame} | _row(page, video))
    return rows


def _playing(page: Page, video: CountedVideo) -> list[dict[str, Any]]:
    page.goto(video.path)
    page.locator("svg[data-overlay] rect[data-tracklet]").wait_for()
    outlines_only(page)
    page.evaluate("() => { const v = document.querySelector('video'); v.muted = true; return v.play(); }")
    return [{"player": "playing", "asked": None} | _row(page, video) for _ in range(LOOKS)]


def _row(page: Page, video: CountedVideo) -> dict[str, Any]:
    shown = look(page)
    box = None if shown.left is None else drawn_for(shown.left, shown.frame, video.lefts)
    return {"shown": shown.frame, "box of": box}
