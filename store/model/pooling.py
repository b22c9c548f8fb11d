"""How looks count as evidence of identity: one rule for grouping in pass one and for matching in pass two."""

from __future__ import annotations

import numpy as np

from facereel.store.model.records import Floats

# Where strangers stop for the engine on which the rules of grouping and matching were measured: 24 people asked of nine
# films they are not in reached 0.40 as pooled groups. On 24 people's photos (make bench, identity) three photos against
# five looks find all at 0.45, where one stranger in a thousand passes, and one photo against one look passes one in a
# thousand at 0.41. Films allow less than photos: small faces in profile fall to 0.45 and below, so the
# threshold is lower and the competition between people does the rest. Another engine's similarities are held against
# the rules by its own threshold.
DEFAULT_THRESHOLD = 0.42
# Quality that the poorest look is given, so that a tracklet with nothing better still has a direction.
_MIN_QUALITY = 0.002
# Length beyond which a tracklet does not count for more, seconds.
_MAX_SECONDS = 3.0
# Sum of the qualities of a person's looks from which on they are as good as any other's.
ENOUGH = 0.4


def unit(vector: Floats) -> Floats:
    """A vector (D,) scaled to length 1; zeros stay zeros."""
    return np.asarray(vector / max(float(np.linalg.norm(vector)), 1e-9), np.float32)


def pool(embeddings: Floats, qualities: Floats) -> Floats:
    """The mean look (D,), unit length, of embeddings (N, D) weighted by their qualities (N,)."""
    weights = np.maximum(np.asarray(qualities, np.float32), np.float32(_MIN_QUALITY))
    return unit((weights[:, None] * embeddings).sum(axis=0))


def cluster_weight(seconds: float, quality: float) -> float:
    """How much a tracklet of that length counts in its cluster; `quality` is that of its best exemplar."""
    return float(np.sqrt(min(seconds, _MAX_SECONDS)) * max(quality, _MIN_QUALITY))
