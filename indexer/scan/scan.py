"""Decides which frames the detector searches, and gives the faces of every frame.

A key frame is searched whole: one every few frames, wherever one is shown for long, and both beside what may be a cut.
The faces of the frames between two of them are found from these (stretch.py). Several stretches are worked on at once;
views come in order.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain, repeat
from typing import TypeAlias

import numpy as np

from facereel.indexer.engines.face_crops import cut_out
from facereel.indexer.engines.protocol import FaceEngine
from facereel.indexer.media.frame import Corners, Frame
from facereel.indexer.scaling import scaled
from facereel.indexer.scan.clothes import clothes_histogram
from facereel.indexer.scan.cuts import REACH, Picture, mark_cuts
from facereel.indexer.scan.frame_view import FrameView
from facereel.indexer.scan.search import FrameSearch
from facereel.indexer.scan.stretch import Stretch
from facereel.indexer.shots.similarity import THUMBNAIL_SIZE, thumbnail_change
from facereel.indexer.timing import SLOW_STEP, film_frame, rounding
from facereel.store.model.boxes import xyxy_to_xywh
from facereel.store.model.config import Config
from facereel.store.model.records import Image

# Of pictures, 12 bits a pixel, after a key frame up to the next; three such stretches are in memory at once.
_STRETCH_BYTES, _PIXEL_BYTES = 40 << 20, 1.5

Pictures: TypeAlias = list[tuple[Frame | None, FrameView]]


@dataclass(frozen=True, slots=True)
class Scan:
    """How a video is scanned."""

    width: int  # displayed pixels
    height: int
    frame_rate: float  # mean of the video
    search_every: int  # frames from one key frame to the next
    check_every: int  # frames beyond which a stretch without a search is divided where something moves
    crop_every: int  # frames from one to the next of which crops are taken, besides all searched ones
    config: Config

    @property
    def scale(self) -> float:
        """Displayed pixels a pixel of the analysis picture."""
        return max(self.width, self.height) / self.config.analysis_side(max(self.width, self.height))

    def views(self, frames: Iterable[Frame], engine: FaceEngine) -> Iterator[FrameView]:
        """The view of each frame, in order; `frames` are read a few stretches ahead."""
        threads, search = engine.threads, FrameSearch(self.width, self.height, self.config, engine)
        with ThreadPoolExecutor(threads) as pool:
            pictures = mark_cuts(self._pictures(frames, pool, threads), REACH * film_frame(self.frame_rate))
            waiting: deque[Future[list[FrameView]]] = deque()
            before: Future[FrameView] | None = None
            for stretch in self._stretches(pictures, search):
                # To complete a stretch needs its last view and that of the stretch before. Both are submitted
                # earlier, so that no thread waits for work that has no thread.
                last = pool.submit(_search_key_frame, *stretch[-1], search)
                waiting.append(pool.submit(self._complete, stretch, before, last, search))
                before = last
                if len(waiting) >= threads:
                    yield from waiting.popleft().result()
            while waiting:
                yield from waiting.popleft().result()

    def _pictures(self, frames: Iterable[Frame], pool: ThreadPoolExecutor, threads: int) -> Iterator[Picture]:
        """Frames with their views, which have no faces yet; as many as there are threads are read ahead."""
        waiting: deque[tuple[Frame, Future[FrameView]]] = deque()
        thumbnail: Image | None = None
        for frame in chain(frames, repeat(None, threads)):
            if frame is not None:
                waiting.append((frame, pool.submit(self._view, frame)))
            if waiting and (frame is None or len(waiting) > threads):
                first, future = waiting.popleft()
                view = future.result()
                if thumbnail is not None:
                    view.change = thumbnail_change(thumbnail, view.thumbnail)
                thumbnail = view.thumbnail
                yield first, view

    def _view(self, frame: Frame) -> FrameView:
        width, height = (max(1, round(side / self.scale)) for side in (self.width, self.height))
        grey = frame.grey(width, height)
        small = frame.small(grey)
        thumbnail = (frame if small is None else small).image(*THUMBNAIL_SIZE)
        return FrameView(frame.index, frame.seconds, frame.duration, grey, thumbnail, small, self.scale)

    def _stretches(self, pictures: Iterable[Picture], search: FrameSearch) -> Iterator[Pictures]:
        """Pictures in stretches that end with a key frame; the first stretch, and that after a cut, is one alone.

        Both frames of a slow step and both beside a cut are key frames. Which ones are does not depend on what was
        before a key frame, so that a run that resumes at one finds the same. Of the other frames only those stay of
        which crops may be taken: a frame takes ten times the memory of its small picture.
        """
        stretch: Pictures = []
        taken = 0.0  # bytes
        frame_bytes = _PIXEL_BYTES * self.width * self.height
        key_frame = before = None
        longest = self.search_every / self.frame_rate + rounding(self.frame_rate)
        for frame, view in pictures:
            slow = before is not None and view.seconds - before.seconds > SLOW_STEP
            apart = slow or view.after_cut
            if apart and stretch:
                yield stretch
                stretch, taken = [], 0.0
            if stretch and self._can_drop(stretch[-1][1], search):
                stretch[-1] = None, stretch[-1][1]
                taken -= frame_bytes
            stretch.append((frame, view))
            taken += frame_bytes + _PIXEL_BYTES * view.grey.size
            late = key_frame is None or view.seconds - key_frame.seconds > longest
            if apart or late or len(stretch) == self.search_every or taken > _STRETCH_BYTES:
                yield stretch
                key_frame, stretch, taken = view, [], 0.0
            before = view
        if stretch:
            yield stretch

    def _can_drop(self, view: FrameView, search: FrameSearch) -> bool:
        """Is the small picture all that is needed of a frame that is no key frame?"""
        return view.index % self.crop_every != 0 and not search.needs_frame(view)

    def _complete(
        self, pictures: Pictures, before: Future[FrameView] | None, last: Future[FrameView],
        search: FrameSearch,
    ) -> list[FrameView]:  # fmt: skip
        """Views of a stretch with all that the scan tells; `before` is the key frame before it, `last` its own."""
        last.result()
        frames, views = [frame for frame, _ in pictures], [view for _, view in pictures]
        if before is not None and len(views) > 1:
            stretch = [before.result(), *views]
            Stretch(stretch, frames[:-1], search, self.check_every, film_frame(self.frame_rate)).find_faces()
        for frame, view in pictures:
            self._take_crops(frame, view)
            view.small = None
            if frame is not None:
                frame.drop_displayed()  # nothing takes parts of it any more
        return views

    def _take_crops(self, frame: Frame | None, view: FrameView) -> None:
        """Take the crops and the clothes of the strong faces, where crops are wanted."""
        faces = view.faces
        view.crops = (None,) * len(faces)
        strong = faces.scores >= self.config.strong_score
        # Where faces hardly move, crops are alike: half as many do.
        wanted = view.searched or view.wants_crops or view.index % (self.crop_every * (1 + view.still)) == 0
        if not strong.any() or not wanted:
            return
        picture = frame or _Enlarged(view, (self.width, self.height))
        boxes = xyxy_to_xywh(faces.boxes)
        view.crops = tuple(
            cut_out(picture, boxes[n], faces.landmarks[n]) if strong[n] else None for n in range(len(faces))
        )
        # Clothes change less from frame to frame than how a face looks: those of the searched frames say it all.
        if self.config.clothes and (view.searched or view.wants_crops):
            histograms = {
                n: clothes_histogram(picture, boxes[n], boxes) for n in np.flatnonzero(strong).tolist()
            }
            view.clothes = {n: histogram for n, histogram in histograms.items() if histogram is not None}


@dataclass(frozen=True, slots=True)
class _Enlarged:
    """The small picture of a view whose frame is gone, with corners in displayed pixels."""

    view: FrameView
    size: tuple[int, int]  # width and height, displayed pixels

    def part(self, corners: Corners, size: tuple[int, int], sparse: bool = False) -> Image:
        """As Frame.part, of fewer pixels."""
        assert self.view.small is not None  # else the scan keeps the frame
        height, width = self.view.grey.shape
        x0, y0, x1, y1 = (corner / self.view.scale for corner in corners)
        left, top = min(int(x0), width - 1), min(int(y0), height - 1)
        right, bottom = min(max(math.ceil(x1), left + 1), width), min(max(math.ceil(y1), top + 1), height)
        return scaled(self.view.small.true_part((left, top, right, bottom)), *size)


def _search_key_frame(frame: Frame | None, view: FrameView, search: FrameSearch) -> FrameView:
    view.set_searched(search.whole(frame, view))
    view.is_key_frame = view.may_begin
    return view
