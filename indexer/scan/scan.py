"""Where and when to look for faces: the one place that decides which frames a detector searches.

A keyframe is searched every few frames. What two neighbours agree on is interpolated between them, as far as the
witness sees it too (between.py); elsewhere the stretch is halved until everything is settled. So it looks hard only
where something changes. Stretches are worked on side by side; views come out in order.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from facereel.indexer.engines.alignment import align
from facereel.indexer.engines.engine import FaceEngine
from facereel.indexer.media.frame import Frame
from facereel.indexer.scan.frame_view import FrameView
from facereel.indexer.scan.interpolation import STILL, SURELY, Picture, all_known, interpolate, is_calm
from facereel.indexer.scan.tiles import closer_size, look_closer
from facereel.indexer.shots.similarity import THUMBNAIL_SIZE
from facereel.store.model.config import Config
from facereel.store.model.records import Faces, Image

_GLANCE = 320  # longest side of the picture in which a glance looks for somebody new, pixels


@dataclass(slots=True, eq=False)
class _Sight:
    """A frame on its way to becoming a view."""

    frame: Frame
    picture: Picture
    faces: Faces | None = None  # pixels of the searched picture; None as long as nobody knows
    searched: bool = False
    run: tuple[int, int] | None = None  # outer frames of the stretch that its faces follow from


Stretch = list[_Sight]


@dataclass(frozen=True, slots=True)
class Scan:
    """How a video of that size is looked at."""

    width: int  # displayed pixels
    height: int
    search_every: int  # frames from one keyframe to the next
    glance_every: int  # frames that are never left without a glance
    look_every: int  # frames between those of which aligned looks are taken, besides all that were searched
    config: Config

    @property
    def scale(self) -> float:
        """Displayed pixels a pixel of the searched picture."""
        return max(self.width, self.height) / self.config.analysis_side(max(self.width, self.height))

    def views(self, frames: Iterable[Frame], engine: FaceEngine) -> Iterator[FrameView]:
        """Look at frames in order, a few stretches at a time."""
        threads = engine.threads
        with ThreadPoolExecutor(threads) as pool:
            waiting: deque[Future[list[FrameView]]] = deque()
            before: Future[Stretch] | None = None
            for stretch in self._stretches(frames):
                # Keyframes are searched before the stretches that end with them are settled: none waits in vain.
                own = pool.submit(self._opened, stretch, engine)
                waiting.append(pool.submit(self._settled, before, own, engine))
                before = own
                if len(waiting) >= threads:
                    yield from waiting.popleft().result()
            while waiting:
                yield from waiting.popleft().result()

    def _stretches(self, frames: Iterable[Frame]) -> Iterator[list[Frame]]:
        """Frames in runs that end with a keyframe; the first run is a keyframe alone."""
        stretch: list[Frame] = []
        for frame in frames:
            stretch.append(frame)
            if frame.index % self.search_every == 0:
                yield stretch
                stretch = []
        if stretch:
            yield stretch

    def _opened(self, frames: list[Frame], engine: FaceEngine) -> Stretch:
        """A stretch whose last frame was searched."""
        width, height = (max(1, round(side / self.scale)) for side in (self.width, self.height))
        stretch = []
        for frame in frames:
            grey = frame.grey(width, height)
            stretch.append(_Sight(frame, Picture(grey, frame.small(*THUMBNAIL_SIZE, grey))))
        self._search(stretch[-1], engine)
        return stretch

    def _settled(
        self, before: Future[Stretch] | None, own: Future[Stretch], engine: FaceEngine
    ) -> list[FrameView]:
        stretch = own.result()
        if before is not None:
            self._settle([before.result()[-1], *stretch], engine)
        runs = [None, *(sight.run for sight in stretch)]  # keyframes, and so the frame before, are of none
        views = [
            self._view(sight, sight.run is not None and sight.run == run)
            for sight, run in zip(stretch, runs, strict=False)
        ]
        del stretch[:-1]  # pictures that nobody needs any more; the next stretch begins with the last one
        return views

    def _settle(self, stretch: Stretch, engine: FaceEngine) -> None:
        """Say what is in the frames between the first and the last, which were searched."""
        first, *inner, last = stretch
        if not inner:
            return
        assert first.faces is not None
        assert last.faces is not None
        found = interpolate(
            first.faces, last.faces, [sight.picture for sight in stretch],
            self.config.weak_score, self.config.strong_score, STILL if self._is_long(stretch) else SURELY,
        )  # fmt: skip
        for sight, faces in zip(inner, found, strict=True):
            sight.faces = faces
            sight.run = first.frame.index, last.frame.index
        doubtful = [place for place, faces in enumerate(found, start=1) if faces is None]
        if not doubtful and self._worth_a_search(stretch, engine):
            doubtful = [len(stretch) // 2]
        if doubtful:
            middle = doubtful[len(doubtful) // 2]
            self._search(stretch[middle], engine)
            self._settle(stretch[: middle + 1], engine)
            self._settle(stretch[middle:], engine)

    def _worth_a_search(self, stretch: Stretch, engine: FaceEngine) -> bool:
        """May somebody have come and gone in a long stretch whose ends agree? A small picture of its middle tells."""
        if not self._is_long(stretch) or is_calm([sight.picture for sight in stretch]):
            return False
        middle = stretch[len(stretch) // 2]
        assert middle.faces is not None
        height, width = middle.picture.grey.shape
        shrink = max(1.0, max(height, width) / _GLANCE)
        seen = engine.detect(
            self._image(middle, 2 * round(width / shrink / 2), 2 * round(height / shrink / 2))
        )
        boxes = np.asarray(middle.faces.boxes / shrink, np.float32)
        known = Faces(boxes, middle.faces.scores, middle.faces.landmarks)
        return not all_known(seen, known, self.config.strong_score)

    def _is_long(self, stretch: Stretch) -> bool:
        return len(stretch) > self.glance_every + 1

    def _image(self, sight: _Sight, width: int, height: int) -> Image:
        """The picture as a detector takes it; in even sizes at a third of the cost."""
        if width % 2 or height % 2:
            return sight.frame.image(width, height)
        return sight.frame.small(width, height, sight.picture.grey)

    def _search(self, sight: _Sight, engine: FaceEngine) -> None:
        height, width = sight.picture.grey.shape
        if (closer := closer_size(self.width, self.height, self.config.min_face, width)) is None:
            sight.faces = engine.detect(self._image(sight, width, height))
        else:
            found = look_closer(sight.frame.image, engine.detect, closer)
            scale = np.float32(width / closer[0])
            sight.faces = Faces(found.boxes * scale, found.scores, found.landmarks * scale)
        sight.searched, sight.run = True, None

    def _crops(self, sight: _Sight, faces: Faces) -> tuple[Image | None, ...]:
        strong = faces.scores >= self.config.strong_score
        # Where nobody moves a look is as good as the next.
        steady = sight.run is not None and sight.run[1] - sight.run[0] > self.glance_every
        look = sight.searched or sight.frame.index % (self.look_every * (1 + steady)) == 0
        if not strong.any() or not look:
            return (None,) * len(faces)
        picture = sight.frame.image(self.width, self.height)
        return tuple(align(picture, faces.landmarks[n]) if strong[n] else None for n in range(len(faces)))

    def _view(self, sight: _Sight, continues: bool) -> FrameView:
        assert sight.faces is not None
        found, scale = sight.faces, self.scale
        faces = Faces(found.boxes * scale, found.scores, found.landmarks * scale)
        return FrameView(
            index=sight.frame.index,
            faces=faces,
            searched=sight.searched,
            continues=continues,
            crops=self._crops(sight, faces),
            grey=sight.picture.grey,
            scale=scale,
            thumbnail=sight.picture.thumbnail,
        )
