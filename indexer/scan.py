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

from indexer.align import align
from indexer.between import Picture, between
from indexer.engine import FaceEngine
from indexer.picture import Frame
from indexer.shots import TINY
from indexer.witness import Grey
from store.config import Config
from store.records import Faces, Image


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """What was seen in one frame, without the frame itself."""

    index: int
    faces: Faces  # pixels of the displayed picture
    searched: bool  # by the detector; else the faces follow from those of the frames around it
    crops: tuple[Image | None, ...]  # aligned, one a face; None for weak ones, which give no looks
    full: bool  # crops come from the full picture, not from the one that was searched
    grey: Grey  # the picture that was searched
    scale: float  # displayed pixels a pixel of grey
    tiny: Image  # for the scene changes


@dataclass(slots=True, eq=False)
class _Sight:
    """A frame on its way to becoming a view."""

    frame: Frame
    picture: Picture
    keyframe: bool
    faces: Faces | None = None  # pixels of the searched picture; None as long as nobody knows
    crops: tuple[Image | None, ...] | None = None  # None unless it was searched
    full: bool = False


Stretch = list[_Sight]


@dataclass(frozen=True, slots=True)
class Scan:
    """How a video of that size is looked at."""

    width: int  # displayed pixels
    height: int
    search_every: int  # frames from one keyframe to the next
    look_every: int  # frames between those of which aligned looks are taken from the full picture
    config: Config
    workers: int = 2

    @property
    def scale(self) -> float:
        """Displayed pixels a pixel of the searched picture."""
        return max(self.width, self.height) / self.config.analysis_side(max(self.width, self.height))

    def views(self, frames: Iterable[Frame], engine: FaceEngine) -> Iterator[View]:
        """Look at frames in order, a few stretches at a time."""
        with ThreadPoolExecutor(self.workers) as pool:
            waiting: deque[Future[list[View]]] = deque()
            before: Future[Stretch] | None = None
            for stretch in self._stretches(frames):
                # Keyframes are searched before the stretches that end with them are settled: none waits in vain.
                own = pool.submit(self._opened, stretch, engine)
                waiting.append(pool.submit(self._settled, before, own, engine))
                before = own
                if len(waiting) > self.workers:
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
            stretch.append(_Sight(frame, Picture(grey, frame.tiny(*TINY, grey)), frame is frames[-1]))
        self._search(stretch[-1], engine)
        return stretch

    def _settled(
        self, before: Future[Stretch] | None, own: Future[Stretch], engine: FaceEngine
    ) -> list[View]:
        stretch = own.result()
        if before is not None:
            self._settle([before.result()[-1], *stretch], engine)
        return [self._view(sight) for sight in stretch]

    def _settle(self, stretch: Stretch, engine: FaceEngine) -> None:
        """Say what is in the frames between the first and the last, which were searched."""
        first, *inner, last = stretch
        if not inner:
            return
        assert first.faces is not None
        assert last.faces is not None
        found = between(
            first.faces, last.faces, [sight.picture for sight in stretch],
            self.config.weak_score, self.config.strong_score,
        )  # fmt: skip
        for sight, faces in zip(inner, found, strict=True):
            sight.faces = faces
        doubtful = [place for place, faces in enumerate(found, start=1) if faces is None]
        if doubtful:
            middle = doubtful[len(doubtful) // 2]
            self._search(stretch[middle], engine)
            self._settle(stretch[: middle + 1], engine)
            self._settle(stretch[middle:], engine)

    def _search(self, sight: _Sight, engine: FaceEngine) -> None:
        height, width = sight.picture.grey.shape
        image = sight.frame.image(width, height)
        faces = engine.detect(image)
        sight.full = len(faces) > 0 and (sight.keyframe or sight.frame.index % self.look_every == 0)
        if sight.full and self.scale > 1:
            picture = sight.frame.image(self.width, self.height)
            sight.crops = tuple(self._crops(picture, _scaled(faces, self.scale)))
        else:
            sight.crops = tuple(self._crops(image, faces))
        sight.faces = faces

    def _crops(self, picture: Image, faces: Faces) -> Iterator[Image | None]:
        for points, score in zip(faces.landmarks, faces.scores, strict=True):
            yield align(picture, points) if score >= self.config.strong_score else None

    def _view(self, sight: _Sight) -> View:
        assert sight.faces is not None
        searched = sight.crops is not None
        return View(
            index=sight.frame.index,
            faces=_scaled(sight.faces, self.scale),
            searched=searched,
            crops=sight.crops if sight.crops is not None else (None,) * len(sight.faces),
            full=sight.full,
            grey=sight.picture.grey,
            scale=self.scale,
            tiny=sight.picture.tiny,
        )


def _scaled(faces: Faces, scale: float) -> Faces:
    return Faces(faces.boxes * scale, faces.scores, faces.landmarks * scale)
