"""Where and when to look for faces: the one place that decides which frames a detector searches.

It searches every frame. Searches of neighbouring frames run side by side; views come out in order.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import cv2
import numpy as np

from indexer.align import align
from indexer.engine import FaceEngine
from indexer.shots import TINY
from indexer.video import Frame
from indexer.witness import Grey
from store.config import Config
from store.records import Faces, Image


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """What was seen in one frame, without the frame itself."""

    index: int
    faces: Faces  # pixels of the displayed picture
    crops: tuple[Image | None, ...]  # aligned, one a face; None for weak ones, which give no looks
    full: bool  # crops come from the full picture, not from the one that was searched
    grey: Grey  # the picture that was searched
    scale: float  # displayed pixels a pixel of grey
    tiny: Image  # for the scene changes


@dataclass(frozen=True, slots=True)
class Scan:
    """How a video of that size is looked at."""

    width: int  # displayed pixels
    height: int
    look_every: int  # frames between those of which aligned looks are taken from the full picture
    config: Config

    @property
    def scale(self) -> float:
        """Displayed pixels a pixel of the searched picture."""
        return max(self.width, self.height) / self.config.analysis_side(max(self.width, self.height))

    def views(self, frames: Iterable[Frame], engine: FaceEngine) -> Iterator[View]:
        """Search frames in order, a few at a time."""
        workers = engine.threads
        with ThreadPoolExecutor(workers) as pool:
            waiting: deque[Future[View]] = deque()
            for frame in frames:
                waiting.append(pool.submit(self._view, frame, engine))
                if len(waiting) > 2 * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()

    def _view(self, frame: Frame, engine: FaceEngine) -> View:
        scale = self.scale
        image = frame.image(max(1, round(self.width / scale)), max(1, round(self.height / scale)))
        found = engine.detect(image)
        faces = Faces(found.boxes * scale, found.scores, found.landmarks * scale)
        full = len(faces) > 0 and frame.index % self.look_every == 0
        if full and scale > 1:
            picture = frame.image(self.width, self.height)
            crops = tuple(self._crops(picture, faces))
        else:
            crops = tuple(self._crops(image, found))
        grey = np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), np.uint8)
        tiny = np.asarray(cv2.resize(image, TINY, interpolation=cv2.INTER_AREA), np.uint8)
        return View(frame.index, faces, crops, full, grey, scale, tiny)

    def _crops(self, picture: Image, faces: Faces) -> Iterator[Image | None]:
        for points, score in zip(faces.landmarks, faces.scores, strict=True):
            yield align(picture, points) if score >= self.config.strong_score else None
