"""Whose face it is that was detected: by the index of the video, and where that has no tracklet, by its look."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from facereel.indexer.engines.face_crops import align_faces
from facereel.indexer.engines.protocol import FaceEngine
from facereel.indexer.media.decode_log import DecodeLog
from facereel.indexer.scan.frame_view import FrameView
from facereel.indexer.track.assignment import assign
from facereel.query.blur.follow import SURE_SCORE, Detection
from facereel.store.index.reader import VideoIndex
from facereel.store.model.boxes import iou, xywh_to_xyxy
from facereel.store.model.records import Floats

_SAME_FACE = 0.3  # overlap (iou) of a detection with the box that the index has


@dataclass(slots=True)
class IndexedFaces:
    """The faces of an index, joined with those that are detected in its video's frames."""

    log: DecodeLog  # of the pass that gives the frames
    by_tick: dict[int, tuple[list[int], list[Floats]]] = field(
        default_factory=dict
    )  # tracklets, boxes x y w h
    engine: FaceEngine | None = (
        None  # recognises faces that the index does not have; None: nobody is asked for
    )

    def detections(self, view: FrameView) -> list[Detection]:
        """The faces of a frame: those detected in it, and those that the index has besides."""
        tracklets, known = self.by_tick.get(self.log.pts[view.index], ([], []))
        boxes, scores = view.boxes, view.faces.scores.tolist()
        pairs: dict[int, int] = {}
        if tracklets and len(boxes):
            overlaps = iou(xywh_to_xyxy(boxes), xywh_to_xyxy(np.array(known, np.float32)))
            pairs = dict(assign(np.where(overlaps >= _SAME_FACE, overlaps, 0).astype(np.float32)))
        embeddings = self._embeddings(view, [place for place in range(len(boxes)) if place not in pairs])
        found = [
            Detection(
                box, scores[place], tracklets[pairs[place]] if place in pairs else 0, embeddings.get(place)
            )
            for place, box in enumerate(boxes)
        ]
        others = sorted(set(range(len(tracklets))) - set(pairs.values()))
        return found + [Detection(known[place], SURE_SCORE, tracklets[place]) for place in others]

    def _embeddings(self, view: FrameView, places: Sequence[int]) -> dict[int, Floats]:
        """The embedding of each of a frame's faces that shows one clearly enough for a crop."""
        crops = {place: crop for place in places if view.crops and (crop := view.crops[place]) is not None}
        if self.engine is None or not crops:
            return {}
        aligned = align_faces(list(crops.values()), self.engine)
        embedded = self.engine.embed(aligned.images, mirrored=False)
        return dict(zip(crops, embedded.vectors, strict=True))


def indexed_faces(index: VideoIndex, log: DecodeLog, engine: FaceEngine | None) -> IndexedFaces:
    """All faces of an index by the ticks of their frames."""
    faces = IndexedFaces(log, engine=engine)
    pts = index.times().pts.tolist()
    for tracklet, (first, boxes) in index.faces_between(0, len(pts)).items():
        for tick, box in zip(pts[first : first + len(boxes)], boxes, strict=True):
            tracklets, known = faces.by_tick.setdefault(tick, ([], []))
            tracklets.append(tracklet)
            known.append(box)
    return faces
