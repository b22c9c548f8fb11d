"""The photos of one person as vectors that are compared with embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from facereel.query.records import Reference
from facereel.store.model import pooling
from facereel.store.model.records import Floats

# One photo among several counts on its own when its similarity is higher than that of all together by this much.
_SINGLE_PHOTO_PENALTY = 0.04
_MIN_SINGLE_CONFIDENCE = 0.5  # face confidence that a photo needs for that


@dataclass(frozen=True, slots=True, eq=False)
class Directions:
    """The references as vectors to be compared with embeddings: all pooled, then those that count on their own."""

    vectors: Floats  # (1 + K, D) unit length
    penalties: Floats  # (1 + K,) subtracted from the similarities of each

    def combine(self, similarities: Floats) -> Floats:
        """How similar the person is to N embeddings, (N,), from the similarity of each vector to them (1 + K, N)."""
        return np.asarray((similarities - self.penalties[:, None]).max(axis=0))


def directions(references: Sequence[Reference], scale: float = 1.0) -> Directions:
    """The references of one person; photos that are unlike the others weigh less when all are pooled."""
    photos = np.stack([reference.embedding for reference in references])
    agreement = photos @ photos.T
    weights = np.ones(len(photos))
    if len(photos) > 2:
        np.fill_diagonal(agreement, -1)
        weights = np.clip(agreement.max(axis=1), 0.05, 1.0)
    pooled = pooling.unit((weights[:, None] * photos).sum(axis=0).astype(np.float32))
    single = photos[[reference.quality >= _MIN_SINGLE_CONFIDENCE for reference in references]]
    vectors = np.concatenate([pooled[None], single if len(photos) > 1 else single[:0]])
    penalties = np.full(len(vectors), scale * _SINGLE_PHOTO_PENALTY, np.float32)
    penalties[0] = 0
    return Directions(vectors, penalties)
