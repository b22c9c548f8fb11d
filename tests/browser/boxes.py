"""Which frame of a counted film a page shows, and for which frame the box on it was drawn, both read from pixels."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Page

from facereel import Library
from facereel.store.index.reader import VideoIndex
from tests.browser.counted_film import SIZE, counted_picture, read_counter
from tests.served import Site, serve_here
from tests.video_factory import Recipe, write_video

_AWAY = 90.0  # how far a colour may be from the stroke's, summed over R, G, B: compression, soft edges

# All but the outlines is hidden, as names may have their colour; style sheets made so obey the page's policy.
_OUTLINES_ONLY = """() => {
    const sheet = new CSSStyleSheet();
    sheet.replaceSync("svg[data-overlay] :not(g):not(rect[data-tracklet]) { visibility: hidden !important }");
    document.adoptedStyleSheets = [...document.adoptedStyleSheets, sheet];
}"""
_STROKE = """() => {
    const box = document.querySelector("svg[data-overlay] rect[data-tracklet]");
    return box ? getComputedStyle(box).stroke : null;
}"""


@dataclass(frozen=True, slots=True)
class Shown:
    """One look at the player."""

    frame: int  # that the picture shows
    left: float | None  # of the box drawn on it, pixels of the film; None where none is drawn


@dataclass(frozen=True, slots=True)
class CountedVideo:
    """A counted film that is indexed and served."""

    site: Site
    path: str  # of its page
    lefts: Mapping[int, float]  # where the index has the face's left edge, pixels, by frame


@contextmanager
def counted_videos(folder: Path, films: Mapping[str, Recipe]) -> Iterator[dict[str, CountedVideo]]:
    """Write counted films into an empty folder by file name, index them with the engine `fake`, and serve them."""
    store = folder / "faceindex"
    paths = [write_video(folder / name, recipe, counted_picture) for name, recipe in films.items()]
    assert Library(store, engine="fake").index(paths).failed == ()
    with serve_here(store, folder, "fake") as site:
        yield {name: _counted_video(site, name) for name in films}


def _counted_video(site: Site, name: str) -> CountedVideo:
    (index_folder,) = site.store.glob(f"{name}-*")
    with VideoIndex(index_folder) as index:
        rows = index.sightings([tracklet.number for tracklet in index.tracklets()]).values()
    lefts = {
        int(frame): float(box[0])
        for sightings in rows
        for frame, box in zip(sightings.frames, sightings.boxes, strict=True)
    }
    return CountedVideo(site, f"/videos/{index_folder.name}", lefts)


def outlines_only(page: Page) -> None:
    """Hide what is drawn beside the outlines of boxes."""
    page.evaluate(_OUTLINES_ONLY)


def look(page: Page) -> Shown:
    """A screenshot of the player, read."""
    # The colour is asked for first: it says nothing of which frame is shown.
    stroke = page.evaluate(_STROKE)
    png = page.locator("video").screenshot(animations="allow")
    shot = np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))
    scale, x, y = _place(shot)
    picture = shot[round(y) : round(y + SIZE[1] * scale), round(x) : round(x + SIZE[0] * scale)]
    column = None if stroke is None else _left(shot, _colour(stroke), 30 * scale)
    return Shown(read_counter(picture), None if column is None else (column - x) / scale)


def _place(shot: NDArray[np.uint8]) -> tuple[float, float, float]:
    """How large a pixel of the film is on a player, and where the film's picture begins beside bars."""
    height, width = shot.shape[:2]
    scale = min(width / SIZE[0], height / SIZE[1])
    return scale, (width - SIZE[0] * scale) / 2, (height - SIZE[1] * scale) / 2


def drawn_for(left: float, frame: int, lefts: Mapping[int, float], within: int = 12) -> int:
    """The frame near `frame` whose box of the index begins where the drawn one does."""
    near = [other for other in range(frame - within, frame + within + 1) if other in lefts]
    return min(near, key=lambda other: (abs(lefts[other] - left), abs(other - frame)))


def _colour(stroke: str) -> NDArray[np.float64]:
    """`rgb(1, 2, 3)` -> (3,)."""
    return np.array(
        [float(word) for word in stroke[stroke.index("(") + 1 : -1].replace(",", " ").split()[:3]]
    )


def _left(shot: NDArray[np.uint8], colour: NDArray[np.float64], height: float) -> float | None:
    """Middle of the left stroke, pixels: the first columns that have more of a colour than `height`."""
    alike = np.abs(shot - colour).sum(axis=2) < _AWAY
    columns = np.nonzero(alike.sum(axis=0) > height)[0]
    if not len(columns):
        return None
    width = int(np.argmax(np.diff(columns, append=columns[-1] + 9) > 1)) + 1
    return float(columns[:width].mean()) + 0.5
