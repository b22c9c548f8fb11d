"""Decides which frames the detector searches.

A key frame is searched every few frames, and wherever one is shown for long. Where its faces agree with those of the
key frame before, the faces between are interpolated (interpolation.py). A stretch with frames that cannot be
interpolated is divided at one of them, which is searched, until every frame is known: so the detector works where
something changes. Several stretches are worked on at once; views come in order.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from facereel.indexer.engines.face_crops import cut_out
from facereel.indexer.engines.protocol import FaceEngine
from facereel.indexer.media.frame import Frame
from facereel.indexer.scan.clothes import clothes_histogram
from facereel.indexer.scan.frame_view import FrameView
from facereel.indexer.scan.interpolation import (
    MIN_NCC,
    MIN_NCC_LONG_STRETCH,
    all_expected,
    changes_gradually,
    interpolate,
)
from facereel.indexer.scan.tiles import search_tiles, tiled_size
from facereel.indexer.shots.similarity import THUMBNAIL_SIZE
from facereel.indexer.timing import SLOW_STEP, rounding
from facereel.store.model.boxes import xyxy_to_xywh
from facereel.store.model.config import Config
from facereel.store.model.records import INTERPOLATED, Faces, Image

_LOW_RESOLUTION_SIDE = 320  # longest side of the picture in which the low-resolution check searches, pixels

Stretch = list[FrameView]  # consecutive frames, of which the last was searched


@dataclass(frozen=True, slots=True)
class Scan:
    """How a video is scanned."""

    width: int  # displayed pixels
    height: int
    frame_rate: float  # mean of the video
    search_every: int  # frames from one key frame to the next
    check_every: int  # frames beyond which a stretch without a search gets a low-resolution check
    crop_every: int  # frames from one to the next of which crops are taken, besides all searched ones
    config: Config

    @property
    def scale(self) -> float:
        """Displayed pixels a pixel of the analysis picture."""
        return max(self.width, self.height) / self.config.analysis_side(max(self.width, self.height))

    def views(self, frames: Iterable[Frame], engine: FaceEngine) -> Iterator[FrameView]:
        """The view of each frame, in order; `frames` are read a few stretches ahead."""
        threads = engine.threads
        with ThreadPoolExecutor(threads) as pool:
            waiting: deque[Future[Stretch]] = deque()
            before: Future[Stretch] | None = None
            for stretch in self._stretches(frames):
                # To complete a stretch needs its start and that of the stretch before. Both are submitted earlier, so
                # that no thread waits for work that has no thread.
                start = pool.submit(self._search_key_frame, stretch, engine)
                waiting.append(pool.submit(self._complete, stretch, before, start, engine))
                before = start
                if len(waiting) >= threads:
                    yield from waiting.popleft().result()
            while waiting:
                yield from waiting.popleft().result()

    def _stretches(self, frames: Iterable[Frame]) -> Iterator[list[Frame]]:
        """Frames in stretches that end with a key frame; the first stretch is a key frame alone.

        Both frames of a slow step are key frames. Which ones are does not depend on what was before a key frame, so
        that a run that resumes at one finds the same.
        """
        stretch: list[Frame] = []
        key_frame = before = None
        longest = self.search_every / self.frame_rate + rounding(self.frame_rate)
        for frame in frames:
            slow = before is not None and frame.seconds - before.seconds > SLOW_STEP
            if slow and stretch:
                yield stretch
                stretch = []
            stretch.append(frame)
            late = key_frame is None or frame.seconds - key_frame.seconds > longest
            if slow or late or frame.index % self.search_every == 0:
                yield stretch
                key_frame, stretch = frame, []
            before = frame
        if stretch:
            yield stretch

    def _search_key_frame(self, frames: list[Frame], engine: FaceEngine) -> Stretch:
        """Views of a stretch; only the last has faces yet."""
        width, height = (max(1, round(side / self.scale)) for side in (self.width, self.height))
        views = []
        for frame in frames:
            grey = frame.grey(width, height)
            thumbnail = frame.small(*THUMBNAIL_SIZE, grey)
            views.append(FrameView(frame.index, frame.seconds, frame.duration, grey, thumbnail, self.scale))
        self._search(frames[-1], views[-1], engine)
        views[-1].is_key_frame = True
        return views

    def _complete(
        self, frames: list[Frame], before: Future[Stretch] | None, start: Future[Stretch], engine: FaceEngine
    ) -> Stretch:
        """Views of a stretch with all that the scan tells; `before` is the start of the stretch before."""
        stretch = start.result()
        by_index = {frame.index: frame for frame in frames}
        if before is not None:
            self._fill([before.result()[-1], *stretch], by_index, engine)
        for view in stretch:
            self._take_crops(by_index[view.index], view)
        views = stretch.copy()
        del stretch[
            :-1
        ]  # the next stretch needs the last view only; the others must not stay in memory for it
        return views

    def _fill(self, stretch: Stretch, frames: Mapping[int, Frame], engine: FaceEngine) -> None:
        """Find the faces between the first and the last view of a stretch, whose faces are known."""
        inner = stretch[1:-1]
        if not inner:
            return
        inner_faces = interpolate(
            stretch, self.config.weak_score, self.config.strong_score,
            MIN_NCC_LONG_STRETCH if self._is_long(stretch) else MIN_NCC,
        )  # fmt: skip
        unknown = [place for place, faces in enumerate(inner_faces, start=1) if faces is None]
        middle = unknown[len(unknown) // 2] if unknown else len(stretch) // 2
        expected = inner_faces[middle - 1]
        if expected is None or (
            self._is_long(stretch)
            and not changes_gradually(stretch)
            and self._misses_somebody(stretch[middle], expected, frames, engine)
        ):
            self._search(frames[stretch[middle].index], stretch[middle], engine)
            self._fill(stretch[: middle + 1], frames, engine)
            self._fill(stretch[middle:], frames, engine)
            return
        linked = None  # the faces of a searched frame come in another order
        for view, faces in zip(inner, inner_faces, strict=True):
            assert faces is not None
            view.set_faces(faces, INTERPOLATED, linked)
            view.still = self._is_long(stretch)
            linked = np.arange(len(faces))

    def _misses_somebody(
        self, view: FrameView, expected: Faces, frames: Mapping[int, Frame], engine: FaceEngine
    ) -> bool:
        """The low-resolution check: does a view show a face that is not expected there?"""
        height, width = view.grey.shape
        shrink = max(1.0, max(height, width) / _LOW_RESOLUTION_SIDE)
        size = 2 * round(width / shrink / 2), 2 * round(height / shrink / 2)
        detected = engine.detect(self._image(frames[view.index], view, size))
        boxes = np.asarray(expected.boxes / shrink, np.float32)
        return not all_expected(
            detected, Faces(boxes, expected.scores, expected.landmarks), self.config.strong_score
        )

    def _is_long(self, stretch: Stretch) -> bool:
        return len(stretch) > self.check_every + 1

    def _image(self, frame: Frame, view: FrameView, size: tuple[int, int]) -> Image:
        """The picture in `size` (width, height) for a detector. Even sizes take a third of the time of odd ones."""
        if size[0] % 2 or size[1] % 2:
            return frame.image(*size)
        return frame.small(*size, view.grey)

    def _search(self, frame: Frame, view: FrameView, engine: FaceEngine) -> None:
        height, width = view.grey.shape
        size = tiled_size(self.width, self.height, self.config.min_face, width)
        if size is None:
            view.set_faces(engine.detect(self._image(frame, view, (width, height))))
        else:
            faces = search_tiles(frame.image, engine.detect, size)
            scale = np.float32(width / size[0])
            view.set_faces(Faces(faces.boxes * scale, faces.scores, faces.landmarks * scale))
        view.searched = True

    def _take_crops(self, frame: Frame, view: FrameView) -> None:
        """Take the crops and the clothes of the strong faces, where crops are wanted."""
        faces = view.faces
        view.crops = (None,) * len(faces)
        strong = faces.scores >= self.config.strong_score
        # Where faces hardly move, crops are alike: half as many do.
        wanted = view.searched or view.index % (self.crop_every * (1 + view.still)) == 0
        if not strong.any() or not wanted:
            return
        boxes = xyxy_to_xywh(faces.boxes)
        view.crops = tuple(
            cut_out(frame, boxes[n], faces.landmarks[n]) if strong[n] else None for n in range(len(faces))
        )
        if self.config.clothes:
            histograms = {
                n: clothes_histogram(frame, boxes[n], boxes) for n in np.flatnonzero(strong).tolist()
            }
            view.clothes = {n: histogram for n, histogram in histograms.items() if histogram is not None}
