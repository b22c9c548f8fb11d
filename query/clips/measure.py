"""What the pixels say of a face in each frame of a clip, measured while it is cut: landmarks, yaw, sharpness.

An index stores landmarks of a few frames only. All of this takes 2.3 ms of a processor for a frame of 360 or of 1280
lines, decoding and encoding 5 to 17 ms, so that every frame has landmarks of its own.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING

import cv2
import numpy as np

from facereel.indexer.engines import onet
from facereel.indexer.engines.alignment import align, yaw
from facereel.indexer.engines.devices import Compute
from facereel.indexer.engines.face_crops import BOX_SIDE, MARGIN
from facereel.indexer.identity.quality import sharpness
from facereel.query.clips.resample import Plane, crop_planes, samples_per_pixel
from facereel.query.records import ClipPlan, FrameFacts
from facereel.store.model.records import Bools, FaceCrop, Floats, Video

if TYPE_CHECKING:
    from facereel.indexer.engines.runtime import onnxruntime

# Face probability from which on the model's landmarks are of a face: below, something covers it, it is turned away, or
# it is too blurred. MTCNN's own threshold for this stage is 0.7 (Zhang et al., 2016, `thresholds` of their code).
_MIN_FACE_PROBABILITY = 0.7
_BATCH = 16  # faces that the model gets at once


@lru_cache(maxsize=1)
def _landmark_model() -> onnxruntime.InferenceSession:
    return onet.load(Compute("cpu", 1))  # one thread: the encoder uses the others


class FaceMeter:
    """Measures the face of a clip frame by frame: `add` each in order, then ask for the `facts`."""

    def __init__(self, clip: ClipPlan, facts: FrameFacts) -> None:
        """Load the landmark model where that was not done before; raises EngineError, UnwritableError."""
        count = len(clip.sightings)
        self._clip, self._facts, self._model = clip, facts, _landmark_model()
        self._waiting: list[FaceCrop] = []
        self._frame, self._done = clip.start, 0
        self._landmarks = np.zeros((count, 5, 2), np.float32)
        self._probabilities, self._sharpness = np.zeros(count, np.float32), np.zeros(count, np.float32)

    def add(self, planes: list[Plane]) -> None:
        """Measure the next frame, of which these are the planes of the coded picture, unless the face is not in it."""
        frame, self._frame = self._frame, self._frame + 1
        place, sightings = self._done + len(self._waiting), self._clip.sightings
        if place == len(sightings) or frame != sightings.frames[place]:
            return
        box = sightings.boxes[place]
        self._waiting.append(_cut_out(planes, self._clip.match.video, box))
        if len(self._waiting) == _BATCH:
            self._measure()

    def facts(self) -> FrameFacts:
        """The facts with what was measured, once all frames were added."""
        self._measure()
        facts = replace(self._facts, sharpness=self._sharpness)
        detected = self._probabilities >= _MIN_FACE_PROBABILITY
        if not detected.any():
            return facts
        landmarks = _interpolated(self._landmarks, self._clip.sightings.boxes, detected)
        yaws = np.array([yaw(points) for points in landmarks], np.float32)
        return replace(facts, landmarks=landmarks, detected=detected, yaws=yaws)

    def _measure(self) -> None:
        crops, self._waiting = self._waiting, []
        found = onet.find_landmarks(self._model, crops)
        for crop, points, probability in zip(crops, found.points, found.face_probabilities, strict=True):
            self._landmarks[self._done], self._probabilities[self._done] = points, probability
            self._sharpness[self._done] = sharpness(align(crop.image, crop.to_image(points)))
            self._done += 1


def _cut_out(planes: list[Plane], video: Video, box: Floats) -> FaceCrop:
    """The face with the margin of a stored crop, upright as displayed, scaled down where it is large."""
    longer = float(max(box[2], box[3], 1.0))
    side = MARGIN * longer
    size = max(2, round(side * min(1.0, BOX_SIDE / longer) / 2) * 2)
    region = np.array([box[0] + box[2] / 2 - side / 2, box[1] + box[3] / 2 - side / 2, side], np.float32)
    crop = region[[0, 1, 2, 2]]
    stacked = crop_planes(
        planes, (video.width, video.height), (video.rotation, video.mirrored), crop.tolist(),
        (size, size), samples_per_pixel(crop[None], size, size),
    )  # fmt: skip
    image = np.asarray(cv2.cvtColor(stacked, cv2.COLOR_YUV2BGR_I420), np.uint8)
    return FaceCrop(image, region, box, np.zeros((5, 2), np.float32))


def _interpolated(landmarks: Floats, boxes: Floats, detected: Bools) -> Floats:
    """Landmarks (N, 5, 2) in which those of the other frames follow from the nearest detected ones, by the boxes."""
    within = ((landmarks - boxes[:, None, :2]) / boxes[:, None, 2:]).reshape(-1, 10)
    frames = np.arange(len(boxes))
    known = np.flatnonzero(detected)
    columns = [np.interp(frames, known, column[known]) for column in within.T]
    placed = np.column_stack(columns).reshape(-1, 5, 2) * boxes[:, None, 2:] + boxes[:, None, :2]
    return np.where(detected[:, None, None], landmarks, placed).astype(np.float32)
