"""An engine for which coloured squares are faces, and the pictures and films it understands.

It stands in for real weights where these would only slow a test down. A person is a hue; the squares carry
eyes and a mouth, because tracking asks of a face that it has structure. A partly covered one scores lower.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from facereel.indexer.engines.alignment import TEMPLATE
from facereel.indexer.engines.protocol import Threshold
from facereel.store.model.pooling import DEFAULT_THRESHOLD
from facereel.store.model.records import Embeddings, EngineInfo, FaceCrop, Faces, Image, Landmarks

# BGR; hues 60 degrees apart, so that two people agree at 0.02 and one with itself at 1.
PEOPLE = {
    "red": (40, 40, 230),
    "yellow": (40, 230, 230),
    "green": (40, 230, 40),
    "cyan": (230, 230, 40),
    "blue": (230, 40, 40),
    "magenta": (230, 40, 230),
}
DIM = 24
SMALLEST = 8  # pixels, side of a square that is a face
_HUES = 12
_SPREAD = 15.0  # degrees: how far hues still look alike


class FakeEngine:
    """Coloured squares are faces; their hue is who they are. `salt` makes other weights of the engine."""

    def __init__(self, name: str = "fake", salt: str = "", device: str = "cpu") -> None:
        self._name, self._salt, self._device = name, salt, device

    @property
    def info(self) -> EngineInfo:
        """Digests follow from name and salt."""
        digests = [
            hashlib.sha256(f"{self._name}{self._salt}{part}".encode()).hexdigest()
            for part in ("detector", "recognizer")
        ]
        return EngineInfo(self._name, DIM, *digests)

    @property
    def threshold(self) -> Threshold:
        """That of the default engine."""
        return Threshold(DEFAULT_THRESHOLD, "made up")

    @property
    def threads(self) -> int:
        """Two, so that work side by side is tried."""
        return 2

    @property
    def device(self) -> str:
        """As it was made."""
        return self._device

    @property
    def licence(self) -> str:
        """It has no weights."""
        return "none"

    def finish_loading(self) -> None:
        """It is loaded when it is made."""

    def detect(self, image: Image) -> Faces:
        """Squares of one hue (H, W, 3), best first; the score is how much of a full square is there."""
        hsv = cv2.cvtColor(image, cv2.COLOR_BGR2HSV)
        vivid = (hsv[..., 1] >= 110) & (hsv[..., 2] >= 50)
        hue = (hsv[..., 0].astype(np.int16) + 7) // 15 % _HUES
        boxes, scores = [], []
        for number in sorted(set(hue[vivid].tolist())):
            mask = (vivid & (hue == number)).astype(np.uint8)
            for x, y, w, h, area in cv2.connectedComponentsWithStats(mask)[2][1:].tolist():
                score = area / (w * h) * min(w, h) / max(w, h)
                if max(w, h) >= SMALLEST and score >= 0.2:
                    boxes.append((x, y, x + w, y + h))
                    scores.append(min(1.0, score))
        order = np.argsort(-np.array(scores), kind="stable")
        ordered = np.array(boxes, np.float32).reshape(-1, 4)[order]
        sides = (ordered[:, 2:] - ordered[:, :2])[:, None]
        landmarks = ordered[:, None, :2] + TEMPLATE[None].astype(np.float32) / 112 * sides
        return Faces(ordered, np.array(scores, np.float32)[order], landmarks)

    def detect_regions(self, images: Sequence[Image]) -> list[Faces]:
        """As in whole pictures."""
        return [self.detect(image) for image in images]

    def landmarks(self, crops: Sequence[FaceCrop]) -> Landmarks:
        """The detector's, which are exact; every square is a face."""
        points = np.array([crop.landmarks for crop in crops], np.float32).reshape(-1, 5, 2)
        return Landmarks(points, np.ones(len(crops), np.float32))

    def embed(self, crops: NDArray[np.uint8], mirrored: bool = True) -> Embeddings:
        """A bump at the crop's hue on a ring of 24; strength is the share of vivid pixels."""
        vectors, face_confidences = np.zeros((len(crops), DIM), np.float32), np.zeros(len(crops), np.float32)
        for place, crop in enumerate(crops):
            hsv = cv2.cvtColor(crop, cv2.COLOR_BGR2HSV)
            vivid = (hsv[..., 1] >= 110) & (hsv[..., 2] >= 50)
            angles = hsv[..., 0][vivid].astype(np.float64) * np.pi / 90
            middle = np.degrees(np.arctan2(np.sin(angles).sum(), np.cos(angles).sum()))
            away = np.abs((np.arange(DIM) * 360 / DIM - middle + 180) % 360 - 180)
            bump = np.exp(-((away / _SPREAD) ** 2) / 2)
            vectors[place] = bump / np.linalg.norm(bump)
            face_confidences[place] = vivid.mean()
        return Embeddings(vectors, face_confidences)


def draw_face(picture: Image, person: str, box: Sequence[float]) -> None:
    """Draw a person (a key of PEOPLE) into a picture in place; box is x y w h and may lie partly outside."""
    x, y, w, h = (round(value) for value in box)
    light = PEOPLE[person]
    dark = tuple(value // 3 for value in light)
    cv2.rectangle(picture, (x, y), (x + w - 1, y + h - 1), light, -1)
    for across in (0.32, 0.68):
        cv2.circle(picture, (x + round(across * w), y + round(0.4 * h)), max(1, w // 9), dark, -1)
    mouth = (x + round(0.3 * w), y + round(0.72 * h)), (x + round(0.7 * w), y + round(0.8 * h))
    cv2.rectangle(picture, *mouth, dark, -1)


def backdrop(size: tuple[int, int] = (320, 180), shade: int = 120, seed: int = 0) -> Image:
    """A grey background (H, W, 3) without faces: soft spots around `shade`, others for every seed."""
    return _backdrop(size, shade, seed).copy()


@lru_cache(maxsize=32)  # films ask for the same one frame after frame
def _backdrop(size: tuple[int, int], shade: int, seed: int) -> Image:
    rng = np.random.default_rng(seed)
    spots = rng.integers(max(0, shade - 60), min(255, shade + 60), (6, 8)).astype(np.uint8)
    grey = cv2.resize(spots, size, interpolation=cv2.INTER_CUBIC)
    return np.ascontiguousarray(np.repeat(grey[..., None], 3, axis=2))


def write_photo(path: Path, *people: str, size: tuple[int, int] = (240, 240)) -> Path:
    """A photo of people side by side, the first the largest."""
    picture = backdrop(size)
    for place, person in enumerate(people):
        side = size[0] / (len(people) + 1) - 4 * place
        draw_face(picture, person, (8 + place * size[0] / len(people), size[1] / 3, side, side))
    path.parent.mkdir(parents=True, exist_ok=True)
    done, data = cv2.imencode(path.suffix, picture)  # imwrite fails on names it cannot spell
    assert done
    path.write_bytes(data.tobytes())
    return path


def write_film(path: Path, pictures: Iterable[Image], fps: int = 25, sound: bool = False) -> Path:
    """Pictures of one even size as H.264, without loss of colour where it matters; `sound` adds silence."""
    with av.open(str(path.resolve()), "w") as container:
        stream = container.add_stream("libx264", rate=fps)
        stream.pix_fmt = "yuv420p"
        stream.codec_context.options = {"preset": "ultrafast", "crf": "10"}
        stream.codec_context.gop_size = 12
        voice = container.add_stream("aac", rate=48_000) if sound else None
        count = 0
        for count, picture in enumerate(pictures, start=1):
            if count == 1:
                stream.height, stream.width = picture.shape[:2]
            frame = av.VideoFrame.from_ndarray(picture, "bgr24")
            frame.pts, frame.time_base = count - 1, Fraction(1, fps)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if voice is not None:
            for start in range(0, count * 48_000 // fps, 1024):
                block = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
                block.sample_rate, block.time_base, block.pts = 48_000, Fraction(1, 48_000), start
                container.mux(voice.encode(block))
            container.mux(voice.encode(None))
    return path


def film_of_two(path: Path, seconds: float = 1.2) -> Path:
    """Three shots of equal length at 25 fps: red alone, red and green, nobody. Red walks to the right."""
    count = round(seconds * 25)

    def pictures() -> Iterable[Image]:
        for shot, people in enumerate((("red",), ("red", "green"), ())):
            ground = backdrop(shade=(80, 190, 130)[shot], seed=shot)
            for step in range(count):
                picture = ground.copy()
                for place, person in enumerate(people):
                    draw_face(picture, person, (30 + 150 * place + step, 60, 60, 60))
                yield picture

    return write_film(path, pictures(), sound=True)
