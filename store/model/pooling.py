"""How exemplars are pooled into one embedding: one rule for clustering in pass one and matching in pass two."""

from __future__ import annotations

import numpy as np

from facereel.store.model.records import Floats

# The default engine's threshold, with which the rules of clustering and matching were measured. 24 people with ten
# photos each, searched in 13 films without them (193 clusters): shares of those that pass with one photo, with three:
#   0.38: 4.9e-4, 1.1e-3   0.40: 2.4e-4, 5.3e-4   0.42: 6.5e-5, 1.6e-4   0.44: 3.2e-5, 5.4e-5   (highest 0.447, 0.468)
# The films' own people by their photos, hand-checked tracklets from 14 px on (102), shares found by similarity alone:
#   0.38: 0.72   0.40: 0.68   0.42: 0.66   0.44: 0.65   0.46: 0.62
# At 0.42 one of the 24 is taken for somebody in a film by one photo, at 0.46 a face of 24 px in the dark is lost.
# The competition between clusters keeps the last strangers out. Similarities of another engine are scaled by the ratio
# of its threshold to this one.
DEFAULT_THRESHOLD = 0.44
# Quality that the poorest exemplar counts with, so that a tracklet with nothing better still has a direction.
_MIN_QUALITY = 0.002
# Length beyond which a tracklet does not count for more, seconds.
_MAX_SECONDS = 3.0
# Sum of the qualities of a cluster's exemplars from which on the threshold is not raised: three small ones reach it.
# With six exemplars of each it was 0.4: of 215 tracklets of seven films 15 are judged otherwise at 0.2, 25 at 0.15, 20
# at 0.25.
SUFFICIENT_QUALITY = 0.2


def unit(vector: Floats) -> Floats:
    """A vector (D,) scaled to length 1; zeros stay zeros."""
    return np.asarray(vector / max(float(np.linalg.norm(vector)), 1e-9), np.float32)


def pool(embeddings: Floats, qualities: Floats) -> Floats:
    """The mean (D,), unit length, of embeddings (N, D) weighted by their qualities (N,)."""
    weights = np.maximum(np.asarray(qualities, np.float32), np.float32(_MIN_QUALITY))
    return unit((weights[:, None] * embeddings).sum(axis=0))


def mean_similarity(embeddings: Floats) -> float:
    """Mean similarity of the pairs of two or more embeddings (N, D)."""
    return float((embeddings @ embeddings.T)[np.triu_indices(len(embeddings), 1)].mean())


def cluster_weight(seconds: float, quality: float) -> float:
    """How much a tracklet of that length counts in its cluster; `quality` is that of its best exemplar."""
    return float(np.sqrt(min(seconds, _MAX_SECONDS)) * max(quality, _MIN_QUALITY))
