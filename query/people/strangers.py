"""How similar strangers are, measured on photos of known people: what share of them reaches which similarity.

Everybody is searched for, with 1 to 9 photos, among clusters that are made of everybody else's photos, 1 to 6 a
cluster, as large as they are or shrunk to faces of down to 18 px. Beyond the 98th percentile a generalised Pareto
distribution is fitted (Hosking and Wallis, "Parameter and quantile estimation for the generalized Pareto distribution",
1987), with one shape for all numbers of photos and classes of evidence. The interval is that of people drawn with
replacement, because the pairs of one person are no independent measurements.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from facereel.indexer.engines.alignment import frontality
from facereel.indexer.engines.face_crops import Still, align_faces, cut_out
from facereel.indexer.engines.protocol import FaceEngine
from facereel.indexer.identity.quality import crop_quality, exemplar_quality, sharpness
from facereel.query.people.directions import directions
from facereel.query.people.picture import read_photo
from facereel.query.people.reference import find_faces
from facereel.query.records import Reference
from facereel.store.model import pooling
from facereel.store.model.boxes import xyxy_to_xywh
from facereel.store.model.errors import PhotoError
from facereel.store.model.records import FaceCrop, Floats, Image
from facereel.store.model.strangers import EVIDENCE_BOUNDS, MOST_REFERENCES, StrangerRates

RATES = tuple(float(rate) for rate in 10.0 ** -np.arange(1, 10))
_WIDTHS = (80, 50, 32, 24, 18)  # pixels, of the faces in shrunk photos
_JPEG_QUALITY = 80
_MOST_CROPS = 6  # a cluster
_CLUSTERS = 300  # drawn of each person
_QUESTIONS = 30  # drawn of each person and number of photos
_TAIL = 0.02  # share of strangers to which the distribution is fitted
_SAMPLES = 200  # of people, for the interval
_UPPER = 0.95  # the end of it that is used
_EDGES = np.linspace(-0.6, 1.0, 801)  # similarities are counted in steps of 0.002

Scores = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class PersonFaces:
    """One person's photos as references and as crops of videos."""

    references: tuple[Reference, ...]  # (N,)
    embeddings: Floats  # (M, D) of the photos as they are and shrunk
    qualities: Floats  # (M,) as those of exemplars
    photos: NDArray[np.int64]  # (M,) positions of the references
    widths: NDArray[np.int64]  # (M,) of the face, pixels; 0 where the photo is not shrunk


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """What share of strangers reaches which similarity, and how well that is known."""

    rates: StrangerRates  # the upper ends of the intervals
    fit: Scores  # (9, E, R) without an interval
    shape: float  # of the fitted distribution; below 0 similarities have an end
    people: int
    photos: int

    @property
    def measured_to(self) -> float:
        """One in the number of pairs of photos of two people: rates below are extrapolated."""
        return 1 / max(1, self.photos * (self.photos - self.photos // max(self.people, 1)))

    def to_document(self) -> dict[str, Any]:
        """As `strangers` of a calibration file."""
        return {
            **self.rates.to_document(), "fit": np.round(self.fit, 4).tolist(), "shape": round(self.shape, 3),
            "upper_end": _UPPER, "measured_to": float(f"{self.measured_to:.2g}"),
        }  # fmt: skip


def read_faces(photos: Sequence[Path], engine: FaceEngine) -> PersonFaces:
    """The largest face of each photo in which one is found; raises PhotoError where there is none at all."""
    references, embeddings, qualities, places, widths = [], [], [], [], []
    for path in photos:
        # A photo may end at the edge of the face. Black corners would make two strangers 0.05 less alike.
        picture = read_photo(path)
        border = max(picture.shape[:2]) // 2
        image: Image = np.asarray(
            cv2.copyMakeBorder(picture, border, border, border, border, cv2.BORDER_REPLICATE), np.uint8
        )
        faces = find_faces(image, engine)
        if not len(faces):
            continue
        crop = cut_out(Still(image), xyxy_to_xywh(faces.boxes)[0], faces.landmarks[0])
        aligned = align_faces([crop], engine).images
        embedded = engine.embed(aligned)
        references.append(
            Reference(str(path), "", crop.box, embedded.vectors[0], float(embedded.face_confidences[0]))
        )
        for width, shrunk in _sizes(crop):
            embedding, quality = _as_exemplar(shrunk, float(faces.scores[0]), engine)
            embeddings.append(embedding)
            qualities.append(quality)
            places.append(len(references) - 1)
            widths.append(width)
    if not references:
        raise PhotoError(f"no face found in any of {len(photos)} photos; give photos of faces")
    return PersonFaces(
        tuple(references),
        np.stack(embeddings),
        np.array(qualities, np.float32),
        np.array(places, np.int64),
        np.array(widths, np.int64),
    )


def measure(
    people: Sequence[PersonFaces], scale: float, at_least: StrangerRates | None = None, seed: int = 0
) -> Measured:
    """What share of strangers reaches which similarity; `scale` is the engine's (Threshold.scale).

    The similarities are those of `at_least` where these are higher.
    """
    rng = np.random.default_rng(seed)
    clusters = [_clusters(person, rng) for person in people]
    numbers = range(1, MOST_REFERENCES + 1)
    counts = np.stack([_counts(people, clusters, number, scale, rng) for number in numbers], axis=2)
    everybody = np.ones(len(people))
    bounds = _lower_ends(counts, everybody)
    fit, shape = _fitted(counts, everybody, bounds)
    samples = []
    for _ in range(_SAMPLES):
        drawn = np.bincount(rng.integers(0, len(people), len(people)), minlength=len(people)).astype(float)
        samples.append(_fitted(counts, drawn, bounds)[0])
    upper = np.maximum(np.quantile(samples, _UPPER, axis=0), fit)
    if at_least is not None:
        upper = np.maximum(upper, at_least.similarities)
    upper = _in_order(upper)
    rates = StrangerRates(np.array(RATES), upper, np.array(EVIDENCE_BOUNDS))
    photos = sum(len(person.references) for person in people)
    return Measured(rates, _in_order(fit), shape, len(people), photos)


def _sizes(crop: FaceCrop) -> list[tuple[int, FaceCrop]]:
    """A face as it is, and shrunk as JPEG shows it: width of the face, 0 as it is, and the crop."""
    sizes = [(0, crop)]
    own = float(crop.box[2]) * crop.scale
    for width in _WIDTHS:
        if own < 1.1 * width:
            continue
        factor = width / own
        small = cv2.resize(crop.image, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
        _, jpeg = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
        image: Image = np.asarray(cv2.imdecode(jpeg, cv2.IMREAD_COLOR), np.uint8)
        corner, total = crop.region[:2], crop.scale * factor
        box = np.concatenate([(crop.box[:2] - corner) * total, crop.box[2:] * total])
        sizes.append((width, cut_out(Still(image), box, (crop.landmarks - corner) * total)))
    return sizes


def _as_exemplar(crop: FaceCrop, score: float, engine: FaceEngine) -> tuple[Floats, float]:
    """Embedding (D,) and quality of a face as an exemplar's."""
    aligned = align_faces([crop], engine)
    embedded = engine.embed(aligned.images, mirrored=False)
    quality = crop_quality(
        float(crop.box[2]), sharpness(aligned.images[0]), frontality(aligned.landmarks[0]), score
    )
    return embedded.vectors[0], exemplar_quality(quality, float(embedded.face_confidences[0]))


def _clusters(person: PersonFaces, rng: np.random.Generator) -> tuple[Floats, NDArray[np.int64]]:
    """Clusters of one person's crops, pooled (C, D), and their classes of evidence (C,)."""
    pooled, sums = [], []
    for _ in range(_CLUSTERS):
        own = np.flatnonzero(person.widths == rng.choice((0, *_WIDTHS)))
        own = own if len(own) else np.flatnonzero(person.widths == 0)
        chosen = rng.permutation(own)[: rng.integers(1, _MOST_CROPS + 1)]
        pooled.append(pooling.pool(person.embeddings[chosen], person.qualities[chosen]))
        sums.append(float(person.qualities[chosen].sum()))
    return np.stack(pooled), np.searchsorted(EVIDENCE_BOUNDS, sums, side="right") - 1


def _counts(
    people: Sequence[PersonFaces],
    clusters: Sequence[tuple[Floats, NDArray[np.int64]]],
    number: int,
    scale: float,
    rng: np.random.Generator,
) -> Floats:
    """How many clusters of strangers are how similar to questions of `number` photos, shares (P, P, E, B).

    By who is asked for, whose the clusters are, class of evidence and similarity. Each pair of people and class counts
    as one.
    """
    vectors = np.concatenate([own for own, _ in clusters]).T
    owners = np.repeat(np.arange(len(people)), [len(own) for own, _ in clusters])
    groups = owners * len(EVIDENCE_BOUNDS) + np.concatenate([classes for _, classes in clusters])
    shape = len(people), len(EVIDENCE_BOUNDS), len(_EDGES) - 1
    counts = np.zeros((len(people), *shape))
    for row, person in enumerate(people):
        photos = person.references
        for _ in range(_QUESTIONS):
            drawn = rng.permutation(len(photos))[: min(number, len(photos))]
            asked = directions([photos[place] for place in drawn], scale)
            bins = ((asked.combine(asked.vectors @ vectors) - _EDGES[0]) / (_EDGES[1] - _EDGES[0])).astype(
                np.int64
            )
            places = groups * shape[-1] + np.clip(bins, 0, shape[-1] - 1)
            counts[row] += np.bincount(places, minlength=int(np.prod(shape))).reshape(shape)
        counts[row, row] = 0
    return np.asarray(counts / np.maximum(counts.sum(axis=-1, keepdims=True), 1.0), np.float32)


def _weighted(counts: Floats, weights: Scores) -> Scores:
    """Shares (9, E, B) over all pairs of people (P, P, 9, E, B), who count with their weights (P,)."""
    people, cells = len(weights), counts.shape[2:]
    table = np.outer(weights, weights).astype(np.float32).ravel() @ counts.reshape(people**2, -1)
    table = table.reshape(cells).astype(np.float64)
    return np.asarray(table / np.maximum(table.sum(axis=-1, keepdims=True), 1e-12))


def _lower_ends(counts: Floats, weights: Scores) -> NDArray[np.int64]:
    """The bins (9, E) at which the tails begin."""
    above = np.cumsum(_weighted(counts, weights)[..., ::-1], axis=-1)[..., ::-1]  # at a bin or higher
    return np.asarray((above > _TAIL).sum(axis=-1), np.int64)


def _fitted(counts: Floats, weights: Scores, starts: NDArray[np.int64]) -> tuple[Scores, float]:
    """The similarities (9, E, R) that strangers reach at RATES, and the common shape of the tails."""
    shares = _weighted(counts, weights)
    middles = (_EDGES[1:] + _EDGES[:-1]) / 2
    tails = [
        (shares[cell][start:].sum(), middles[start:] - _EDGES[start], shares[cell][start:])
        for cell, start in np.ndenumerate(starts)
    ]
    shapes = [_shape(excess, own) for total, excess, own in tails if total > 0]
    shape = min(0.0, float(np.mean(shapes))) if shapes else 0.0
    similarities = np.zeros((*starts.shape, len(RATES)))
    for (cell, start), (total, excess, own) in zip(np.ndenumerate(starts), tails, strict=True):
        above = np.cumsum(shares[cell][::-1])[::-1]
        mean = float((own * excess).sum() / max(total, 1e-12))
        for place, rate in enumerate(RATES):
            if rate >= total:
                similarities[(*cell, place)] = _EDGES[int((above > rate).sum())]
                continue
            spread, rarer = mean * (1 - shape), rate / total
            more = -np.log(rarer) if shape > -1e-6 else (rarer**-shape - 1) / shape
            similarities[(*cell, place)] = _EDGES[start] + spread * more
    return similarities, shape


def _shape(excess: Scores, shares: Scores) -> float:
    """The shape of a generalised Pareto distribution, by probability-weighted moments."""
    total = shares.sum()
    reached = (np.cumsum(shares) - shares / 2) / total
    first = float((shares * excess).sum() / total)
    second = float((shares * (1 - reached) * excess).sum() / total)
    return 2 - first / max(first - 2 * second, 1e-9)


def _in_order(similarities: Scores) -> Scores:
    """No lower with more photos or more evidence, nor for rarer strangers: what says otherwise is chance."""
    rising = np.maximum.accumulate(similarities, axis=0)
    rising = np.minimum.accumulate(rising[:, ::-1], axis=1)[:, ::-1]
    return np.asarray(np.maximum.accumulate(rising, axis=2))
