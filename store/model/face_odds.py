"""What the similarity of two faces says by their quality: one rule for clustering and for matching."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

# Logistic regression on 3,500 labelled pairs of tracklets of five films (a sitcom, a stage, dancers, a street
# interview, a comedy), fitted five times with one film left out: slope 21 to 24, quality 0.06 to 0.09. The better the
# poorer of two faces, the more similar are both the same person (0.35 at a quality of 0.01, 0.77 above 0.4) and
# strangers, and the more a difference tells.
_SLOPE = 22.0
_TELLING_QUALITY = 0.065
_MIDDLE, _MIDDLE_BY_QUALITY = 0.29, 0.32


def face_log_odds(similarity: ArrayLike, quality: ArrayLike) -> NDArray[np.float64]:
    """Natural logarithm of the odds that two faces show one person; `quality` is that of the poorer one, 0..1.

    Similarities are those of the default engine.
    """
    return np.asarray(_slope(quality) * (np.asarray(similarity) - _middle(quality)), np.float64)


def similarity_at(log_odds: float, quality: ArrayLike) -> NDArray[np.float64]:
    """The similarity at which two faces have those log odds."""
    return np.asarray(_middle(quality) + log_odds / np.maximum(_slope(quality), 1e-9), np.float64)


def _slope(quality: ArrayLike) -> NDArray[np.float64]:
    return np.asarray(_SLOPE * (1 - np.exp(-np.asarray(quality) / _TELLING_QUALITY)))


def _middle(quality: ArrayLike) -> NDArray[np.float64]:
    return np.asarray(_MIDDLE + _MIDDLE_BY_QUALITY * np.sqrt(np.asarray(quality)))
