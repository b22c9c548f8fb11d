"""Whose face it is that was detected: by the index of the video, and where that has no tracklet, by its look."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from facereel.indexer.engines.face_crops import align_faces
from facereel.indexer.engines.protocol import FaceEngine
from facereel.indexer.media.decode_log import DecodeLog
from facereel.indexer.scan.frame_view import FrameView
from facereel.indexer.track.assignment import assign
from facereel.query.blur.follow import SURE_SCORE, Detection
from facereel.store.index.reader import VideoIndex
from facereel.store.model.boxes import iou, xywh_to_xyxy, xyxy_to_xywh
from facereel.store.model.records import FaceCrop, Floats, Ints

_SAME_FACE = 0.3  # overlap (iou) of a detection with the box that the index has
_FRAMES_AT_ONCE = 1000  # that are read from the index


@dataclass(frozen=True, slots=True, eq=False)
class Looks:
    """What people look like whose faces are to be recognised where the index has none."""

    embeddings: Floats  # (K, D) of exemplars
    tracklets: Ints  # (K,) whose they are
    threshold: float  # similarity from which on a face is the same person's
    engine: FaceEngine

    def like(self, crops: Sequence[FaceCrop]) -> list[tuple[int, ...]]:
        """The tracklets that each face resembles."""
        vectors = self.engine.embed(align_faces(list(crops), self.engine).images, mirrored=False).vectors
        alike = vectors @ self.embeddings.T >= self.threshold
        return [tuple(np.unique(self.tracklets[row]).tolist()) for row in alike]


def looks_of(index: VideoIndex, tracklets: Collection[int], threshold: float, engine: FaceEngine) -> Looks:
    """The looks of some tracklets of an index."""
    arrays = index.exemplar_arrays()
    own = np.isin(arrays.tracklets, list(tracklets))
    return Looks(arrays.embeddings[own], arrays.tracklets[own], threshold, engine)


class IndexedFaces:
    """The faces of an index, joined with those that are detected in its video's frames; for frames in order."""

    def __init__(self, index: VideoIndex, log: DecodeLog, looks: Looks | None) -> None:
        """`log` is that of the pass that gives the frames; faces are recognised by `looks`, if any."""
        self._index, self._log, self._looks = index, log, looks
        self._frames = {tick: frame for frame, tick in enumerate(index.times().pts.tolist())}
        self._read_until = 0  # frames of the index up to here are read
        self._read: dict[int, list[tuple[int, Floats]]] = {}  # by frame: tracklets, boxes x y w h

    def detections(self, view: FrameView) -> list[Detection]:
        """The faces of a frame: those detected in it, and those that the index has besides."""
        known = self._known(self._log.pts[view.index])
        boxes, scores = xyxy_to_xywh(view.faces.boxes), view.faces.scores.tolist()
        pairs: dict[int, int] = {}
        if known and len(boxes):
            places = np.array([box for _, box in known], np.float32)
            overlaps = iou(view.faces.boxes, xywh_to_xyxy(places))
            pairs = dict(assign(np.where(overlaps >= _SAME_FACE, overlaps, 0).astype(np.float32)))
        like = self._like(view, [place for place in range(len(boxes)) if place not in pairs])
        found = [
            Detection(
                box, scores[place], known[pairs[place]][0] if place in pairs else 0, like.get(place, ())
            )
            for place, box in enumerate(boxes)
        ]
        others = sorted(set(range(len(known))) - set(pairs.values()))
        return found + [Detection(known[place][1], SURE_SCORE, known[place][0]) for place in others]

    def _known(self, tick: int) -> list[tuple[int, Floats]]:
        """The faces that the index has in the frame at a tick; of a long video a few seconds are in memory."""
        frame = self._frames.get(tick)
        if frame is None:
            return []
        if frame >= self._read_until:
            start, self._read_until = frame, frame + _FRAMES_AT_ONCE
            self._read = defaultdict(list)
            for tracklet, (first, boxes) in self._index.faces_between(start, self._read_until).items():
                for place, box in enumerate(boxes, start=first):
                    self._read[place].append((tracklet, box))
        return self._read.get(frame, [])

    def _like(self, view: FrameView, places: Sequence[int]) -> dict[int, tuple[int, ...]]:
        """Whom each of a frame's faces resembles that shows one clearly enough for a crop."""
        crops = {place: crop for place in places if view.crops and (crop := view.crops[place]) is not None}
        if self._looks is None or not crops:
            return {}
        return dict(zip(crops, self._looks.like(list(crops.values())), strict=True))
