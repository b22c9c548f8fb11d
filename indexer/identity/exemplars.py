"""A tracklet's exemplars: its few best crops, spread over its time, with their embeddings."""

from __future__ import annotations

import numpy as np

from facereel.indexer.engines.alignment import frontality
from facereel.indexer.engines.protocol import FaceEngine
from facereel.indexer.identity.quality import crop_quality, exemplar_quality, sharpness
from facereel.indexer.track.track import Candidate
from facereel.store.index.crops import encode_crop
from facereel.store.model import pooling
from facereel.store.model.records import Embeddings, Exemplar, Floats

# A crop below this share of the best one's quality adds more noise than information.
_MIN_QUALITY_SHARE = 0.3
# Face confidence that one exemplar of a tracklet must have. Below are flowers, fists, backs of heads, and faces in the
# dark that nobody could recognise.
_MIN_FACE_CONFIDENCE = 0.14


def choose(candidates: list[Candidate], count: int) -> list[Candidate]:
    """The best crop of each of `count` equal parts of the candidates' time, poor ones left out; best first."""
    if not candidates:
        return []
    qualities = [_crop_quality(candidate) for candidate in candidates]
    first, span = candidates[0].frame, candidates[-1].frame - candidates[0].frame + 1
    best: dict[int, int] = {}  # position of a candidate by part
    for position in sorted(range(len(candidates)), key=lambda position: qualities[position]):
        best[(candidates[position].frame - first) * count // span] = position
    minimum = _MIN_QUALITY_SHARE * max(qualities[position] for position in best.values())
    chosen = [best[part] for part in sorted(best) if qualities[best[part]] >= minimum]
    return [candidates[position] for position in sorted(chosen, key=lambda position: -qualities[position])]


def embed(chosen: list[Candidate], engine: FaceEngine) -> tuple[Exemplar, ...]:
    """Exemplars of chosen crops, best first, in order of time; none when the recogniser sees no face in them."""
    if not chosen:
        return ()
    # The two best crops show whether there is a face at all. Most patterns and hands are rejected at that cost.
    embedded = [_embed(chosen[:2], engine)]
    if float(embedded[0].face_confidences.max()) < _MIN_FACE_CONFIDENCE:
        return ()
    if len(chosen) > 2:
        embedded.append(_embed(chosen[2:], engine))
    vectors = np.concatenate([part.vectors for part in embedded])
    face_confidences = np.concatenate([part.face_confidences for part in embedded]).tolist()
    exemplars = map(_exemplar, chosen, vectors, face_confidences)
    return tuple(sorted(exemplars, key=lambda exemplar: exemplar.frame))


def pool(exemplars: tuple[Exemplar, ...]) -> Floats:
    """The pooled embedding (D,), unit length, of one or more exemplars, weighted by their qualities."""
    return pooling.pool(*embeddings_and_qualities(exemplars))


def embeddings_and_qualities(exemplars: tuple[Exemplar, ...]) -> tuple[Floats, Floats]:
    """Embeddings (N, D) and qualities (N,) of one or more exemplars."""
    qualities = np.array([exemplar.quality for exemplar in exemplars], np.float32)
    return np.stack([exemplar.embedding for exemplar in exemplars]), qualities


def _crop_quality(candidate: Candidate) -> float:
    return crop_quality(
        float(candidate.box[2]), sharpness(candidate.crop), frontality(candidate.landmarks), candidate.score
    )


def _embed(chosen: list[Candidate], engine: FaceEngine) -> Embeddings:
    return engine.embed(np.stack([candidate.crop for candidate in chosen]), mirrored=False)


def _exemplar(candidate: Candidate, vector: Floats, face_confidence: float) -> Exemplar:
    return Exemplar(
        frame=candidate.frame, box=candidate.box, landmarks=candidate.landmarks, score=candidate.score,
        quality=exemplar_quality(_crop_quality(candidate), face_confidence),
        sharpness=sharpness(candidate.crop), frontality=frontality(candidate.landmarks),
        jpeg=encode_crop(candidate.crop), embedding=vector,
    )  # fmt: skip
