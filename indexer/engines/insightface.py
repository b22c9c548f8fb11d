"""Any InsightFace pack, through the `insightface` package: an SCRFD detector and an ArcFace recogniser.

The weights are for non-commercial research only; they are never fetched here, see packs.py. Only the pack's detection
and recognition models are kept; the package decides by its own rules which file is which.

SCRFD: Guo et al., "Sample and Computation Redistribution for Efficient Face Detection", 2021. ArcFace: Deng et al.,
"ArcFace: Additive Angular Margin Loss for Deep Face Recognition", 2019.
"""

from __future__ import annotations

import threading
import warnings
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from facereel.indexer.engines import detections as candidates
from facereel.indexer.engines import devices
from facereel.indexer.engines.alignment import align
from facereel.indexer.engines.devices import Compute
from facereel.indexer.engines.engine import Threshold
from facereel.indexer.engines.packs import check_package
from facereel.store.files.digest import hash_file
from facereel.store.files.folders import printable
from facereel.store.model.errors import EngineError
from facereel.store.model.records import Embeddings, EngineInfo, Faces, Floats, Image

BAR = Threshold(0.40, "InsightFace 2.1's own default; not measured here, --calibrate does")
BATCH = 32  # crops at once: fills a GPU, and takes 100 MB with the largest recogniser
# Lengths of raw vectors tell how much of a face a recogniser sees (Meng et al., "MagFace", 2021), each on its own
# scale. It is read off the package's own picture of six people: what is no face there, what is a clear one. With SFace
# in a pack that gives 5.3 and 11.1, where films gave 5 and 11.
PICTURE = "t1"
_CLEARER = 1.3  # clear faces' vectors must be this much longer than others', or lengths say nothing


class InsightFacePack:
    """One pack; a loaded instance may be used from several threads."""

    def __init__(self, folder: Path, compute: Compute) -> None:
        """Load a folder's models; raises EngineError when they are no pack, or the device is missing."""
        self._compute = compute
        self._detector, self._recognizer = _models(folder, compute)
        dim = int(self._recognizer.output_shape[-1])
        files = self._detector.model_file, self._recognizer.model_file
        self._info = EngineInfo(folder.resolve().name, dim, *(hash_file(Path(file)) for file in files))
        self._lengths: tuple[float, float] | None = None
        self._measuring = threading.Lock()

    @property
    def info(self) -> EngineInfo:
        """The folder's name, length of vectors and digests of the two files that are used."""
        return self._info

    @property
    def threshold(self) -> Threshold:
        """The package's own, until it is calibrated."""
        return BAR

    @property
    def threads(self) -> int:
        """As many as the machine and the user give."""
        return self._compute.allowed

    def finish_loading(self) -> None:
        """Both models are loaded when it is made."""

    def detect(self, image: Image) -> Faces:
        """Find faces in a BGR picture (H, W, 3), in its own size and, for big faces, in a small one."""
        if self._detector.static_input_size is not None:
            return candidates.best([self._detect(*_like(image, self._detector.static_input_size), 1.0)])
        found = []
        for scale in candidates.scales(image):
            padded = candidates.prepared(image, scale)
            found.append(self._detect(padded, (padded.shape[1], padded.shape[0]), scale))
        return candidates.best(found)

    def embed(self, crops: NDArray[np.uint8], mirrored: bool = True) -> Embeddings:
        """Turn aligned BGR crops (N, 112, 112, 3) into unit vectors (N, D), each with its strength."""
        if len(crops) == 0:
            return Embeddings(np.zeros((0, self._info.dim), np.float32), np.zeros(0, np.float32))
        raw = self._raw(crops, mirrored)
        lengths = np.linalg.norm(raw, axis=1)
        no_face, clear_face = self._scale_of_lengths()
        if clear_face < _CLEARER * no_face:
            face_confidences = np.ones(len(crops))
        else:
            face_confidences = np.clip((lengths - no_face) / (clear_face - no_face), 0, 1)
        vectors = raw / np.maximum(lengths, 1e-9)[:, None]
        return Embeddings(vectors.astype(np.float32), face_confidences.astype(np.float32))

    def _detect(self, image: Image, size: tuple[int, int], scale: float) -> tuple[Floats, Floats, Floats]:
        """Boxes (N, 4), scores (N,) and landmarks (N, 5, 2) in pixels of the picture before it was scaled."""
        found, landmarks = self._detector.detect(image, input_size=size, det_thresh=candidates.SCORE_FLOOR)
        boxes = np.asarray(found[:, :4] / scale, np.float32)
        return boxes, np.asarray(found[:, 4], np.float32), np.asarray(landmarks / scale, np.float32)

    def _raw(self, crops: NDArray[np.uint8], mirrored: bool) -> Floats:
        """Vectors (N, D) as the recogniser gives them, or the means of those of crops and their mirror images."""
        both = np.concatenate([crops, crops[:, :, ::-1]]) if mirrored else crops
        first = self._recognizer.input_shape[0]
        batch = first if isinstance(first, int) else BATCH
        parts = [
            self._recognizer.get_feat(list(np.ascontiguousarray(both[start : start + batch])))
            for start in range(0, len(both), batch)
        ]
        vectors = np.concatenate(parts)
        return np.asarray(vectors.reshape(-1, len(crops), vectors.shape[1]).mean(axis=0), np.float32)

    def _scale_of_lengths(self) -> tuple[float, float]:
        """Lengths of the vectors of what is no face and of clear faces; measured once, at first need."""
        with self._measuring:
            if self._lengths is None:
                self._lengths = self._measured_lengths()
            return self._lengths

    def _measured_lengths(self) -> tuple[float, float]:
        from insightface.data import get_image

        picture = np.asarray(get_image(PICTURE), np.uint8)
        faces = self.detect(picture)
        clear = [align(picture, points) for points in faces.landmarks[faces.scores > 0.5]]
        if not clear:
            return 1.0, 1.0
        noise = np.random.default_rng(1).integers(0, 256, (4, 14, 14, 3)).astype(np.uint8)
        nothing = [np.asarray(cv2.resize(patch, (112, 112)), np.uint8) for patch in noise]
        # Along its lower edge the picture shows a sleeve, a table and what lies on it.
        nothing += [np.ascontiguousarray(picture[-112:, x : x + 112]) for x in range(0, 1120, 160)]
        lengths = [np.linalg.norm(self._raw(np.stack(crops), True), axis=1) for crops in (nothing, clear)]
        return float(np.median(lengths[0])), float(np.median(lengths[1]))


def _models(folder: Path, compute: Compute) -> tuple[Any, Any]:
    """The pack's detector and recogniser, as the package loads them."""
    providers = compute.providers()
    check_package()
    from insightface.app import FaceAnalysis  # 1 s: nobody else should wait for it

    parts = ["detection", "recognition"]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the package's own code
            # Sessions for each size are for CoreML; elsewhere they cost memory and a second each.
            fixed = providers[0] == devices.PROVIDERS["coreml"]
            pack = FaceAnalysis(
                str(folder), allowed_modules=parts, providers=providers, sess_options=devices.options(),
                static_shape_sessions=fixed,
            )  # fmt: skip
    except Exception as error:  # whatever ONNX, ONNX Runtime and the package make of files that are no pack
        reason = next(iter(str(error).splitlines()), "") or "no detection model in it"
        raise EngineError(f"{printable(folder)} is no InsightFace pack ({reason}); fetch it again") from error
    missing = [part for part in parts if part not in pack.models]
    if missing:
        raise EngineError(f"{printable(folder)} holds no model for {missing[0]}; fetch the pack again")
    if not pack.det_model.use_kps:
        raise EngineError(f"{printable(folder)} finds no landmarks; use a pack whose detector has them")
    for part in parts:
        compute.check(pack.models[part].session)
    pack.det_model.prepare(0, nms_thresh=candidates.NMS_IOU)  # one rule for all engines; 0 leaves the device
    return pack.det_model, pack.models["recognition"]


def _like(image: Image, size: tuple[int, int]) -> tuple[Image, tuple[int, int]]:
    """The picture padded to the shape of a detector that takes one size only (width, height)."""
    height, width = image.shape[:2]
    longest = max(width / size[0], height / size[1])
    padded = np.zeros(
        (max(height, round(longest * size[1])), max(width, round(longest * size[0])), 3), np.uint8
    )
    padded[:height, :width] = image
    return padded, size
