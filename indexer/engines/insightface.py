"""Any InsightFace pack, through the `insightface` package: an SCRFD detector and an ArcFace recogniser.

InsightFace's weights are for non-commercial research only; they are never fetched here, see packs.py. Only a pack's
detection and recognition models are used; the package decides by its own rules which file is which.

SCRFD: Guo et al., "Sample and Computation Redistribution for Efficient Face Detection", 2021. ArcFace: Deng et al.,
"ArcFace: Additive Angular Margin Loss for Deep Face Recognition", 2019.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from facereel.indexer.engines import detections, devices, onet
from facereel.indexer.engines.alignment import align
from facereel.indexer.engines.detections import Detections
from facereel.indexer.engines.devices import Compute
from facereel.indexer.engines.packs import check_package, licence_of
from facereel.indexer.engines.protocol import Threshold
from facereel.store.files.digest import hash_file
from facereel.store.files.names import printable
from facereel.store.model.errors import EngineError
from facereel.store.model.records import Embeddings, EngineInfo, FaceCrop, Faces, Floats, Image, Landmarks

THRESHOLD = Threshold(0.40, "InsightFace 2.1's own default; not measured here, --calibrate does")
BATCH = 32  # crops at once: fills a GPU, and takes 100 MB with the largest recogniser
# The length of a raw vector grows with how much of a face the crop shows (Meng et al., "MagFace", 2021), in each
# recogniser on a scale of its own. The scale is measured on the package's own picture of six people, from crops without
# a face and crops of clear faces. With SFace in a pack that gives 5.3 and 11.1; films give 5 and 11.
PICTURE = "t1"
_MIN_LENGTH_RATIO = 1.3  # of clear faces to crops without a face; below, lengths do not separate the two


class InsightFacePack:
    """One pack."""

    def __init__(self, folder: Path, compute: Compute) -> None:
        """Load a folder's models; raises EngineError when it holds no pack, or the device is missing."""
        self._compute = compute
        self._detector, self._recognizer = _models(folder, compute)
        self._onet = onet.load(compute)
        dim = int(self._recognizer.output_shape[-1])
        files = self._detector.model_file, self._recognizer.model_file
        self._info = EngineInfo(folder.resolve().name, dim, *(hash_file(Path(file)) for file in files))
        self._length_scale: tuple[float, float] | None = None
        self._length_scale_lock = threading.Lock()

    @property
    def info(self) -> EngineInfo:
        """The folder's name, length of vectors and digests of the two files that are used."""
        return self._info

    @property
    def threshold(self) -> Threshold:
        """The package's own, until it is calibrated."""
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
        """InsightFace's for its own packs; nobody knows that of another folder."""
        return licence_of(self._info.name)

    def finish_loading(self) -> None:
        """Both models are loaded when it is made."""

    def detect(self, image: Image) -> Faces:
        """Find faces in a BGR picture (H, W, 3), at its own size and, for large faces, at a small one."""
        scales = detections.scales(image) if self._detector.static_input_size is None else [1.0]
        return detections.suppress_overlaps([self._detect_at(image, scale) for scale in scales])

    def detect_regions(self, images: Sequence[Image]) -> list[Faces]:
        """Find faces in small BGR pictures (H, W, 3), one by one: the package takes no batches."""
        return [detections.suppress_overlaps([self._detect_at(image, 1.0)]) for image in images]

    def landmarks(self, crops: Sequence[FaceCrop]) -> Landmarks:
        """Those of the pack's detector; the probability is ONet's."""
        found = onet.find_landmarks(self._onet, crops)
        return replace(
            found, points=np.array([crop.landmarks for crop in crops], np.float32).reshape(-1, 5, 2)
        )

    def embed(self, crops: NDArray[np.uint8], mirrored: bool = True) -> Embeddings:
        """Turn aligned BGR crops (N, 112, 112, 3) into unit vectors (N, D), each with its face confidence."""
        if len(crops) == 0:
            return Embeddings(np.zeros((0, self._info.dim), np.float32), np.zeros(0, np.float32))
        raw = self._raw_vectors(crops, mirrored)
        lengths = np.linalg.norm(raw, axis=1)
        no_face, clear_face = self._lengths_without_and_with_face()
        if clear_face < _MIN_LENGTH_RATIO * no_face:
            face_confidences = np.ones(len(crops))
        else:
            face_confidences = np.clip((lengths - no_face) / (clear_face - no_face), 0, 1)
        vectors = raw / np.maximum(lengths, 1e-9)[:, None]
        return Embeddings(vectors.astype(np.float32), face_confidences.astype(np.float32))

    def _detect_at(self, image: Image, scale: float) -> Detections:
        """Detections in a picture searched at that scale, in pixels of the picture."""
        size = self._detector.static_input_size
        if size is None:
            image = detections.scaled(image, scale)
            height, width = detections.padded_size(image)
            size = width, height
        else:
            height, width = _shape_of(image, size)
        boxes_and_scores, landmarks = self._detector.detect(
            _padded(image, height, width), input_size=size, det_thresh=detections.MIN_SCORE
        )
        boxes = np.asarray(boxes_and_scores[:, :4] / scale, np.float32)
        scores = np.asarray(boxes_and_scores[:, 4], np.float32)
        return boxes, scores, np.asarray(landmarks / scale, np.float32)

    def _raw_vectors(self, crops: NDArray[np.uint8], mirrored: bool) -> Floats:
        """Vectors (N, D) as the recogniser gives them, or the means of those of crops and their mirror images."""
        both = np.concatenate([crops, crops[:, :, ::-1]]) if mirrored else crops
        batch_dim = self._recognizer.input_shape[0]
        batch = batch_dim if isinstance(batch_dim, int) else BATCH
        parts = [
            self._recognizer.get_feat(list(np.ascontiguousarray(both[start : start + batch])))
            for start in range(0, len(both), batch)
        ]
        vectors = np.concatenate(parts)
        return np.asarray(vectors.reshape(-1, len(crops), vectors.shape[1]).mean(axis=0), np.float32)

    def _lengths_without_and_with_face(self) -> tuple[float, float]:
        """Median lengths of raw vectors of crops without a face and of clear faces; measured at the first call."""
        with self._length_scale_lock:
            if self._length_scale is None:
                self._length_scale = self._measure_lengths()
            return self._length_scale

    def _measure_lengths(self) -> tuple[float, float]:
        from insightface.data import get_image

        picture = np.asarray(get_image(PICTURE), np.uint8)
        faces = self.detect(picture)
        clear = [align(picture, points) for points in faces.landmarks[faces.scores > 0.5]]
        if not clear:
            return 1.0, 1.0
        noise = np.random.default_rng(1).integers(0, 256, (4, 14, 14, 3)).astype(np.uint8)
        without_face = [np.asarray(cv2.resize(patch, (112, 112)), np.uint8) for patch in noise]
        # Along its lower edge the picture shows a sleeve, a table and what lies on it.
        without_face += [np.ascontiguousarray(picture[-112:, x : x + 112]) for x in range(0, 1120, 160)]
        lengths = [
            np.linalg.norm(self._raw_vectors(np.stack(crops), True), axis=1)
            for crops in (without_face, clear)
        ]
        return float(np.median(lengths[0])), float(np.median(lengths[1]))


def _models(folder: Path, compute: Compute) -> tuple[Any, Any]:
    """The pack's detector and recogniser, as the package loads them."""
    providers = compute.providers()
    check_package()
    from insightface.app import FaceAnalysis  # importing it takes a second

    parts = ["detection", "recognition"]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the package's own code
            # CoreML needs a session for each size; elsewhere such sessions cost memory and a second each.
            static = providers[0] == devices.PROVIDERS["coreml"]
            pack = FaceAnalysis(
                str(folder), allowed_modules=parts, providers=providers, sess_options=devices.session_options(),
                static_shape_sessions=static,
            )  # fmt: skip
    except Exception as error:  # of any kind: ONNX, ONNX Runtime and the package each raise their own
        reason = next(iter(str(error).splitlines()), "") or "no detection model in it"
        raise EngineError(f"{printable(folder)} is no InsightFace pack ({reason}); fetch it again") from error
    missing = [part for part in parts if part not in pack.models]
    if missing:
        raise EngineError(f"{printable(folder)} holds no model for {missing[0]}; fetch the pack again")
    if not pack.det_model.use_kps:
        raise EngineError(
            f"{printable(folder)} has a detector without landmarks; use a pack whose detector has them"
        )
    for part in parts:
        compute.check(pack.models[part].session)
    pack.det_model.prepare(0, nms_thresh=detections.NMS_IOU)  # as for all engines; 0 keeps the device
    return pack.det_model, pack.models["recognition"]


def _shape_of(image: Image, size: tuple[int, int]) -> tuple[int, int]:
    """Height and width of the picture padded to the aspect ratio of a size (width, height)."""
    height, width = image.shape[:2]
    longest = max(width / size[0], height / size[1])
    return max(height, round(longest * size[1])), max(width, round(longest * size[0]))


def _padded(image: Image, height: int, width: int) -> Image:
    """The picture with black on the right and at the bottom."""
    padded = np.zeros((height, width, 3), np.uint8)
    padded[: len(image), : image.shape[1]] = image
    return padded
