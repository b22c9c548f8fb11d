"""How well an engine tells people apart, by the amount of evidence, on folders of photos of known people.

Two tables. `table`: all pairs of photos, one against the mean of its person's others, and small faces against large
photos; on all people, and with thresholds of a fixed half of the people on the half held back. `measure`: photos are
drawn; thresholds are chosen on one half of the people for a false-match rate, shares of true matches are reported on
the other. One photo stands for one crop; the mean of five crops stands for a tracklet's exemplars.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from facereel.indexer.engines.face_crops import Still, align_faces, cut_out
from facereel.indexer.engines.protocol import FaceEngine
from facereel.store.model.boxes import xyxy_to_xywh
from facereel.store.model.records import FaceCrop, Floats, Image
from tests.benchmarks.figures import Figure, at_least
from tests.benchmarks.portraits import photos, read_photo

RATES = (1e-2, 1e-3, 1e-4)
CASES = {"1 photo, 1 crop": (1, 1), "1 photo, 5 crops": (1, 5), "3 photos, 5 crops": (3, 5)}
DRAWS = 400  # ways of taking photos and crops out of a person's ten: enough false pairs for a rate of 1e-4
SIDE = 320  # pixels: tight crops are padded and shown to the detector at this size at most

SMALL, SMALL_QUALITY = 24, 80  # width of a small face, pixels; quality of its picture as JPEG
# True matches on all 24 people of the faces folder, measured with the same landmarks by another program.
TARGETS = {
    "1 photo v 1": (0.983, 0.944, 0.873),
    "1 photo v mean of the others": (1.0, 1.0, 0.996),
    f"{SMALL} px v 1 photo": (0.885, 0.723, 0.577),
}

Scores = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class PersonVectors:
    """Vectors of one person's photos."""

    full: Floats  # (N, D) of the photos as they are
    small: Floats  # (M, D) of the photos in which the face is shrunk, where the engine still finds it
    photo_of_small: NDArray[np.int64]  # (M,) positions in `full`


def embed_people(folder: Path, engine: FaceEngine) -> dict[str, PersonVectors]:
    """Vectors of every person's photos in which the engine sees a face."""
    people = {}
    for person in sorted(d for d in folder.iterdir() if d.is_dir()):
        faces = [face for path in photos(person) if (face := _face(read_photo(path), engine)) is not None]
        if len(faces) >= max(map(sum, CASES.values())):
            shrunk = [_face(_shrink(face), engine) for face in faces]
            small = [(n, face) for n, face in enumerate(shrunk) if face is not None]
            people[person.name] = PersonVectors(
                _embed(faces, engine),
                _embed([face for _, face in small], engine),
                np.array([n for n, _ in small]),
            )
    return people


def table(people: Mapping[str, PersonVectors]) -> list[dict[str, Any]]:
    """True matches by evidence and false-match rate, on all people and on the half held back."""
    names = sorted(people)
    chosen, held_back = names[::2], names[1::2]
    rows = []
    for evidence, compare in _COMPARISONS.items():
        everybody, half, other = (
            compare({name: people[name] for name in part}) for part in (names, chosen, held_back)
        )
        for rate in RATES:
            own, threshold = threshold_for(everybody[1], rate), threshold_for(half[1], rate)
            rows.append({
                "evidence": evidence, "rate": rate, "threshold": own,
                "true matches": float((everybody[0] >= own).mean()),
                "held back: threshold": threshold,
                "held back: true matches": float((other[0] >= threshold).mean()),
                "held back: false matches": float((other[1] >= threshold).mean()),
            })  # fmt: skip
    return rows


def figures(rows: list[dict[str, Any]], people: int) -> list[Figure]:
    """The table of 24 people against what the landmarks are worth elsewhere; others have no targets."""
    if people != 24:
        return []
    targets = [(evidence, target) for evidence, own in TARGETS.items() for target in own]
    return [
        at_least(
            f"true matches, {row['evidence']}, at {row['rate']:g}", round(row["true matches"], 3), target
        )
        for row, (_, target) in zip(rows, targets, strict=True)
    ]


def _one_against_one(people: Mapping[str, PersonVectors]) -> tuple[Scores, Scores]:
    vectors, labels = _stacked(people)
    one, other = np.triu_indices(len(vectors), 1)
    return _parted((vectors @ vectors.T)[one, other], labels[one] == labels[other])


def _one_against_the_others(people: Mapping[str, PersonVectors]) -> tuple[Scores, Scores]:
    vectors, labels = _stacked(people)
    sums = np.stack([person.full.sum(axis=0) for person in people.values()])
    others = np.repeat(sums[None], len(vectors), axis=0)
    others[np.arange(len(vectors)), labels] -= vectors
    similarity = np.einsum("nd,npd->np", vectors, _unit(others))
    return _parted(similarity, labels[:, None] == np.arange(len(people)))


def _small_against_one(people: Mapping[str, PersonVectors]) -> tuple[Scores, Scores]:
    vectors, labels = _stacked(people)
    starts = np.cumsum([0, *(len(person.full) for person in people.values())])[:-1]
    small = np.concatenate([person.small for person in people.values()])
    photo = np.concatenate([s + p.photo_of_small for s, p in zip(starts, people.values(), strict=True)])
    same = labels[photo][:, None] == labels[None]
    similarity = small @ vectors.T
    own = photo[:, None] == np.arange(len(vectors))  # the same photo is no question
    return similarity[same & ~own].astype(np.float64), similarity[~same].astype(np.float64)


_COMPARISONS = dict(
    zip(TARGETS, (_one_against_one, _one_against_the_others, _small_against_one), strict=True)
)


def _stacked(people: Mapping[str, PersonVectors]) -> tuple[Floats, NDArray[np.int64]]:
    """All full-size vectors (N, D) and whose they are (N,)."""
    counts = [len(person.full) for person in people.values()]
    return np.concatenate([person.full for person in people.values()]), np.repeat(
        np.arange(len(counts)), counts
    )


def _parted(similarity: Floats, same: NDArray[np.bool_]) -> tuple[Scores, Scores]:
    return similarity[same].astype(np.float64), similarity[~same].astype(np.float64)


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


def _face(image: Image, engine: FaceEngine) -> FaceCrop | None:
    """The largest face of a photo that is cropped tightly and therefore gets a border first."""
    border = max(image.shape[:2]) // 2
    padded = np.asarray(
        cv2.copyMakeBorder(image, border, border, border, border, cv2.BORDER_REPLICATE), np.uint8
    )
    scale = min(1.0, SIDE / max(padded.shape[:2]))
    small = np.asarray(cv2.resize(padded, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)
    faces = engine.detect(small)
    if not len(faces):
        return None
    largest = int(np.argmax(np.prod(faces.boxes[:, 2:] - faces.boxes[:, :2], axis=1) * (faces.scores > 0.5)))
    box, landmarks = xyxy_to_xywh(faces.boxes)[largest] / scale, faces.landmarks[largest] / scale
    return cut_out(Still(padded), box, landmarks)


def _shrink(crop: FaceCrop) -> Image:
    """The picture of a face crop in which the face is as wide as small faces are, as JPEG shows it."""
    scale = SMALL / (float(crop.box[2]) * crop.scale)
    small = cv2.resize(crop.image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    _, jpeg = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, SMALL_QUALITY])
    return np.asarray(cv2.imdecode(jpeg, cv2.IMREAD_COLOR), np.uint8)


def _embed(crops: list[FaceCrop], engine: FaceEngine) -> Floats:
    return engine.embed(align_faces(crops, engine).images).vectors


def _unit(vectors: Floats) -> Floats:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=-1, keepdims=True), np.float32)
