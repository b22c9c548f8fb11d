"""How well an engine tells people apart, by the amount of evidence, on folders of photos of known people.

People are split in two halves: thresholds are chosen on one half for a false-match rate, shares of true matches are
reported on the other. One photo stands for one crop; the mean of five crops stands for a tracklet's exemplars.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from facereel.indexer.engines.alignment import align
from facereel.indexer.engines.protocol import FaceEngine
from facereel.store.model.records import Floats
from tests.benchmarks.portraits import photos, read_photo

RATES = (1e-2, 1e-3, 1e-4)
CASES = {"1 photo, 1 crop": (1, 1), "1 photo, 5 crops": (1, 5), "3 photos, 5 crops": (3, 5)}
DRAWS = 400  # ways of taking photos and crops out of a person's ten: enough false pairs for a rate of 1e-4
SIDE = 320  # pixels: tight crops are padded and shown to the detector at this size

Scores = NDArray[np.float64]


def embed_people(folder: Path, engine: FaceEngine) -> dict[str, Floats]:
    """Vectors (N, D) of every person's photos in which the engine sees a face."""
    people = {}
    for person in sorted(d for d in folder.iterdir() if d.is_dir()):
        crops = [crop for path in photos(person) if (crop := _crop(path, engine)) is not None]
        if len(crops) >= max(map(sum, CASES.values())):
            people[person.name] = engine.embed(np.stack(crops)).vectors
    return people


def measure(people: Mapping[str, Floats], seed: int = 0) -> list[dict[str, Any]]:
    """Thresholds from one half of the people, and the share of true matches on the other, by evidence and rate.

    Both halves serve as either, and the figures are their means. "true matches": share of them at or above the
    threshold; "false matches": share of false ones.
    """
    names = sorted(people)
    halves = names[::2], names[1::2]
    rows = []
    for evidence, (photo_count, crop_count) in CASES.items():
        drawn = [similarities({n: people[n] for n in half}, photo_count, crop_count, seed) for half in halves]
        for rate in RATES:
            runs = [_judge(drawn[i], drawn[1 - i], rate) for i in (0, 1)]
            threshold, true_matches, false_matches = (
                float(np.mean(column)) for column in zip(*runs, strict=True)
            )
            rows.append({
                "evidence": evidence, "rate": rate, "threshold": threshold,
                "true matches": true_matches, "false matches": false_matches,
                "true_pairs": sum(len(d[0]) for d in drawn), "false_pairs": sum(len(d[1]) for d in drawn),
            })  # fmt: skip
    return rows


def similarities(
    people: Mapping[str, Floats], photo_count: int, crop_count: int, seed: int
) -> tuple[Scores, Scores]:
    """Similarities of same and of different people: `photo_count` photos pooled against `crop_count` other crops."""
    rng = np.random.default_rng(seed)
    same: list[float] = []
    different: list[float] = []
    for _ in range(DRAWS):
        photos_of, crops_of = [], []
        for vectors in people.values():
            order = rng.permutation(len(vectors))
            photos_of.append(vectors[order[:photo_count]].mean(axis=0))
            crops_of.append(vectors[order[photo_count : photo_count + crop_count]].mean(axis=0))
        table = _unit(np.stack(photos_of)) @ _unit(np.stack(crops_of)).T
        same += np.diag(table).tolist()
        different += table[~np.eye(len(table), dtype=bool)].tolist()
    return np.array(same), np.array(different)


def threshold_for(different: Scores, rate: float) -> float:
    """The lowest threshold at which no more than that share of false pairs passes."""
    ordered = np.sort(different)[::-1]
    allowed = int(rate * len(ordered))
    return float(np.nextafter(ordered[allowed], np.inf)) if len(ordered) else 1.0


def _judge(
    chosen: tuple[Scores, Scores], others: tuple[Scores, Scores], rate: float
) -> tuple[float, float, float]:
    threshold = threshold_for(chosen[1], rate)
    return threshold, float((others[0] >= threshold).mean()), float((others[1] >= threshold).mean())


def _crop(path: Path, engine: FaceEngine) -> NDArray[np.uint8] | None:
    image = read_photo(path)
    pad = max(image.shape[:2]) // 2
    padded = cv2.copyMakeBorder(image, pad, pad, pad, pad, cv2.BORDER_REPLICATE)
    scale = SIDE / max(padded.shape[:2])
    small = np.asarray(cv2.resize(padded, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)
    faces = engine.detect(small)
    if not len(faces):
        return None
    largest = int(np.argmax(np.prod(faces.boxes[:, 2:] - faces.boxes[:, :2], axis=1) * (faces.scores > 0.5)))
    return align(np.asarray(padded, np.uint8), (faces.landmarks[largest] / scale).astype(np.float32))


def _unit(vectors: Floats) -> Floats:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=-1, keepdims=True), np.float32)
