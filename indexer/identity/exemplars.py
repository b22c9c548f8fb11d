"""A track's few best looks, spread over its time, as exemplars."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from facereel.indexer.engines.alignment import frontality
from facereel.indexer.engines.protocol import FaceEngine
from facereel.indexer.identity.quality import look_quality, sharpness
from facereel.indexer.track.track import Candidate
from facereel.store.index.crops import encode_crop
from facereel.store.model import pooling as evidence
from facereel.store.model.records import Embeddings, Exemplar, Floats

# A look below this share of the best one's quality adds noise and not evidence.
_WORTH = 0.3
# Strength that the best look of a tracklet must have: below are flowers, fists, backs of heads, faces in the dark
# that nobody could recognise.
_FACE_STRENGTH = 0.14


@dataclass(frozen=True, slots=True, eq=False)
class _Rated:
    look: Candidate
    quality: float
    sharp: float
    frontal: float


def choose(candidates: list[Candidate], count: int) -> list[_Rated]:
    """The best look of each of `count` stretches of the candidates' time, poor ones left out."""
    rated = [_rate(look) for look in candidates]
    if not rated:
        return []
    first, span = candidates[0].frame, candidates[-1].frame - candidates[0].frame + 1
    best: dict[int, _Rated] = {}  # by stretch
    for item in sorted(rated, key=lambda item: item.quality):
        best[(item.look.frame - first) * count // span] = item
    threshold = _WORTH * max(item.quality for item in best.values())
    return [best[stretch] for stretch in sorted(best) if best[stretch].quality >= threshold]


def embed(chosen: list[_Rated], engine: FaceEngine) -> tuple[Exemplar, ...]:
    """Turn chosen looks into exemplars; none when the recogniser sees no face in any of them."""
    if not chosen:
        return ()
    # The two best looks tell whether there is a face at all: most patterns and hands cost no more.
    chosen = sorted(chosen, key=lambda item: -item.quality)
    first = _embed(chosen[:2], engine)
    if float(first.face_confidences.max()) < _FACE_STRENGTH:
        return ()
    seen = [first, _embed(chosen[2:], engine)] if len(chosen) > 2 else [first]
    vectors = np.concatenate([part.vectors for part in seen])
    face_confidences = np.concatenate([part.face_confidences for part in seen])
    found = [
        Exemplar(
            frame=item.look.frame,
            box=item.look.box,
            landmarks=item.look.landmarks,
            score=item.look.score,
            quality=weighed(item.quality, float(strength)),
            sharpness=item.sharp,
            frontality=item.frontal,
            jpeg=encode_crop(item.look.crop),
            embedding=vector,
        )
        for item, vector, strength in zip(chosen, vectors, face_confidences, strict=True)
    ]
    return tuple(sorted(found, key=lambda look: look.frame))


def weighed(quality: float, strength: float) -> float:
    """Quality of a look, 0..1, once the recogniser has seen how much of a face is in it."""
    return quality * max(strength, 0.02)


def _embed(chosen: list[_Rated], engine: FaceEngine) -> Embeddings:
    return engine.embed(np.stack([item.look.crop for item in chosen]), mirrored=False)


def pool(exemplars: tuple[Exemplar, ...]) -> Floats:
    """The mean look, unit length, weighted by quality; exemplars must not be empty."""
    qualities = np.array([item.quality for item in exemplars], np.float32)
    return evidence.pool(np.stack([item.embedding for item in exemplars]), qualities)


def _rate(look: Candidate) -> _Rated:
    sharp, frontal = sharpness(look.crop), frontality(look.landmarks)
    return _Rated(look, look_quality(float(look.box[2]), sharp, frontal, look.score), sharp, frontal)
