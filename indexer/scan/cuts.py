"""Where a cut may be, from how much thumbnails change: cheap, and known a few frames later.

The scan searches both frames beside such a place and interpolates nothing across it. A flash costs two searches more;
a cut that is overlooked here costs the regions of the faces that it replaces. Where shots begin is decided by
indexer/shots.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

from facereel.indexer.media.frame import Frame
from facereel.indexer.scan.frame_view import FrameView

# Mean change of grey level of the thumbnail from one frame to the next. All 55 cuts of nine films, television and music
# videos change more than the two most changed of the four frames around them do, by this factor; the smallest by 16.
_MIN_CHANGE, _MIN_RATIO = 6.0, 1.6
# So much changes at cuts, at flashes and while a camera is whipped round: there no face is where it is expected.
_CLEAR_CHANGE = 12.0
REACH = 2  # frames of film on either side with which a change is compared

Picture = tuple[Frame, FrameView]
_Item = TypeVar("_Item")


def mark_cuts(pictures: Iterable[Picture], reach: int) -> Iterator[Picture]:
    """The same pictures, with where a cut may be, and with which of them a scan may begin that finds the same cuts.

    `reach` is how many changes on either side a change is compared with. A scan that begins with a picture cannot
    compare those right after it, so that no cut may be there.
    """
    frames: deque[Frame] = deque()  # without those that were given: full-size pixels take much memory

    def views() -> Iterator[FrameView]:
        for frame, view in pictures:
            frames.append(frame)
            yield view

    for before, view, after in _with_neighbours(_with_cuts(views(), reach), reach):
        view.may_begin = not before or not any(other.after_cut for other in after)
        yield frames.popleft(), view


def may_be_cut(change: float, around: Sequence[float]) -> bool:
    """Does a change stand out from those `around` it? Without any of these only a clear one is a cut."""
    if change > _CLEAR_CHANGE or not around:
        return change > _CLEAR_CHANGE
    # Of the largest two: in a film that shows each picture twice every other change is 0.
    largest = sorted(around)[-2:]
    return change >= max(_MIN_CHANGE, _MIN_RATIO * sum(largest) / len(largest))


def _with_cuts(views: Iterable[FrameView], reach: int) -> Iterator[FrameView]:
    for before, view, after in _with_neighbours(views, reach):
        around = [other.change for other in (*before, *after)]
        complete = len(before) == reach and not math.isnan(before[0].change)
        view.after_cut = may_be_cut(view.change, around if complete else ())
        yield view


def _with_neighbours(items: Iterable[_Item], reach: int) -> Iterator[tuple[list[_Item], _Item, list[_Item]]]:
    """Each item with up to `reach` items before and after it."""
    window: deque[_Item] = deque()
    place = 0  # in the window, of the next item that is given

    def given() -> tuple[list[_Item], _Item, list[_Item]]:
        items = list(window)
        return items[:place], items[place], items[place + 1 : place + 1 + reach]

    for item in items:
        window.append(item)
        if len(window) > place + reach:
            yield given()
            if place == reach:
                window.popleft()
            else:
                place += 1
    while place < len(window):
        yield given()
        if place == reach:
            window.popleft()
        else:
            place += 1
