"""What one would write without us: every fifth frame searched, every face embedded; no track, no shot, no exact edge.

The models are those of the default engine, in pictures of the size that we search.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import av
import cv2
import numpy as np

from facereel.indexer.engines.alignment import align
from facereel.indexer.engines.conversion import MODEL_FORMAT, plain
from facereel.indexer.engines.opencv_zoo import DETECTOR, RECOGNIZER
from facereel.indexer.engines.protocol import FaceEngine
from facereel.indexer.engines.weights import cached_model
from facereel.store.model.config import Config
from facereel.store.model.records import Image

STRIDE = 5


def with_onnx_runtime(path: Path, engine: FaceEngine) -> int:
    """In our runtime, a picture a thread; how many faces it embeds."""
    faces = 0
    with ThreadPoolExecutor(engine.threads) as pool:
        waiting: deque[Future[int]] = deque()
        for picture in _pictures(path):
            waiting.append(pool.submit(_embed_faces, picture, engine))
            if len(waiting) > 2 * engine.threads:
                faces += waiting.popleft().result()
        return faces + sum(one.result() for one in waiting)


def with_opencv(path: Path) -> int:
    """In OpenCV's own classes and threads; how many faces it embeds."""
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)
    # Unpacked, as ours are: OpenCV cannot run the recogniser as it comes.
    models = [str(cached_model(kind, MODEL_FORMAT, plain, "plain")) for kind in (DETECTOR, RECOGNIZER)]
    detector = cv2.FaceDetectorYN.create(models[0], "", (320, 320), Config().strong_score)
    recognizer = cv2.FaceRecognizerSF.create(models[1], "")
    count = 0
    for picture in _pictures(path):
        small, scale = _analysis_picture(picture)
        detector.setInputSize((small.shape[1], small.shape[0]))
        faces = detector.detect(small)[1]
        for face in faces if faces is not None else ():
            row = np.asarray(face, np.float32).copy()
            row[:14] *= scale
            recognizer.feature(recognizer.alignCrop(picture, row))
            count += 1
    return count


def _embed_faces(picture: Image, engine: FaceEngine) -> int:
    small, scale = _analysis_picture(picture)
    faces = engine.detect(small)
    strong = faces.landmarks[faces.scores >= Config().strong_score] * np.float32(scale)
    if len(strong):
        engine.embed(np.stack([align(picture, landmarks) for landmarks in strong]), mirrored=False)
    return len(strong)


def _pictures(path: Path) -> Iterator[Image]:
    """Every fifth picture, BGR."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        for number, frame in enumerate(container.decode(stream)):
            if number % STRIDE == 0:
                yield np.asarray(frame.to_ndarray(format="bgr24"), np.uint8)


def _analysis_picture(picture: Image) -> tuple[Image, float]:
    """A picture in the size that we search, and how many of its pixels are one of those."""
    longest = max(picture.shape[:2])
    scale = longest / Config().analysis_side(longest)
    if scale == 1:
        return picture, 1.0
    size = round(picture.shape[1] / scale), round(picture.shape[0] / scale)
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8), scale
