"""How exemplars are pooled into one embedding: one rule for clustering in pass one and matching in pass two."""

from __future__ import annotations

import numpy as np

from facereel.store.model.records import Floats

# The default engine's threshold, with which the rules of clustering and matching were measured: 24 people searched for
# in nine films without them reached at most 0.40 as clusters. On photos (make bench, identity) three references
# against five exemplars find everybody at 0.45, where one stranger in a thousand passes; one photo against one
# exemplar lets one in a thousand pass at 0.41. In films small profiles of the right person fall to 0.45 and below: so
# the threshold is lower, and the competition between clusters keeps strangers out. Similarities of another engine are
# scaled by the ratio of its threshold to this one.
DEFAULT_THRESHOLD = 0.42
# Quality that the poorest exemplar counts with, so that a tracklet with nothing better still has a direction.
_MIN_QUALITY = 0.002
# Length beyond which a tracklet does not count for more, seconds.
_MAX_SECONDS = 3.0
# Sum of the qualities of a cluster's exemplars from which on the threshold is not raised.
SUFFICIENT_QUALITY = 0.4


def unit(vector: Floats) -> Floats:
    """A vector (D,) scaled to length 1; zeros stay zeros."""
    return np.asarray(vector / max(float(np.linalg.norm(vector)), 1e-9), np.float32)


def pool(embeddings: Floats, qualities: Floats) -> Floats:
    """The mean (D,), unit length, of embeddings (N, D) weighted by their qualities (N,)."""
    weights = np.maximum(np.asarray(qualities, np.float32), np.float32(_MIN_QUALITY))
    return unit((weights[:, None] * embeddings).sum(axis=0))


def cluster_weight(seconds: float, quality: float) -> float:
    """How much a tracklet of that length counts in its cluster; `quality` is that of its best exemplar."""
    return float(np.sqrt(min(seconds, _MAX_SECONDS)) * max(quality, _MIN_QUALITY))
