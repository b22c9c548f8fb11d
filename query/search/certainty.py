"""How sure a match is: the limits of similarity for one person, by photos, evidence and clusters searched.

A match is sure when it reaches the threshold for a few films and when, by the engine's calibration, the clusters beyond
those of a few films bring one stranger in ten answers at most. Below it is possible, down to where most of such
matches would be strangers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from facereel.store.model import pooling
from facereel.store.model.strangers import StrangerRates

# All similarities here are those of the default engine; `scale` converts those of another engine.
# What a cluster with hardly any quality (one small, blurred exemplar) needs beyond the threshold.
_EXTRA_FOR_LOW_QUALITY = 0.02
_NEAR_MISS = 0.12  # below the threshold
SURE_STRANGERS = 0.1  # expected in an answer whose matches are sure
# In this many clusters of 13 films the threshold alone lets none of 24 people in who are not there. Photos, by which
# the calibration is measured, are more alike than films: it would put the threshold of one film at 0.45 already.
_CLUSTERS_OF_FILMS = 193
# Beyond this many expected strangers nothing is looked at, however many matches there are: it bounds the indexes that a
# query over a large library opens.
_MOST_STRANGERS = 10.0
MOST_STRANGER_SHARE = 0.5  # of the possible matches down to one that is listed


@dataclass(frozen=True, slots=True)
class Criterion:
    """What counts as the same person, by the engine's calibration or by the user."""

    threshold: float  # similarity that a cluster with good exemplars must reach within one video
    scale: float  # the engine's, Threshold.scale
    rates: StrangerRates  # the engine's calibration
    fixed: bool = False  # the user gave the threshold: it alone decides what is sure


@dataclass(frozen=True, slots=True)
class Limits:
    """From which similarity on the clusters of a search match one person."""

    criterion: Criterion
    references: int  # photos of the person
    clusters: int  # number searched

    def in_one_video(self, quality_sums: ArrayLike) -> NDArray[np.float64]:
        """What clusters (C,) must reach within one video, by the sums of the qualities of their exemplars."""
        shortage = np.maximum(0.0, 1.0 - np.atleast_1d(quality_sums) / pooling.SUFFICIENT_QUALITY)
        return np.asarray(self.criterion.threshold + self.criterion.scale * _EXTRA_FOR_LOW_QUALITY * shortage)

    def sure(self, quality_sums: ArrayLike) -> NDArray[np.float64]:
        """What clusters (C,) must reach to be sure among all that are searched."""
        within = self.in_one_video(quality_sums)
        return (
            within
            if self.criterion.fixed
            else np.maximum(
                within, self._reached_by(SURE_STRANGERS, self.clusters - _CLUSTERS_OF_FILMS, quality_sums)
            )
        )

    def possible(self, quality_sums: ArrayLike) -> NDArray[np.float64]:
        """Below this (C,) no cluster is possible, and no video looked at."""
        return np.maximum(
            self.near_miss(quality_sums), self._reached_by(_MOST_STRANGERS, self.clusters, quality_sums)
        )

    def near_miss(self, quality_sums: ArrayLike) -> NDArray[np.float64]:
        """What clusters (C,) must reach to be a near miss in a video that is looked at."""
        return self.in_one_video(quality_sums) - self.criterion.scale * _NEAR_MISS

    def lowest(self) -> float:
        """Below this no cluster is possible or a near miss, whatever its evidence."""
        return float(self.possible(self.criterion.rates.bounds).min())

    def expected_strangers(self, similarities: ArrayLike, quality_sums: ArrayLike) -> NDArray[np.float64]:
        """How many strangers are expected to be as similar as clusters (C,) are, or more, in the whole answer."""
        return self.clusters * self.criterion.rates.rate_of(similarities, self.references, quality_sums)

    def _reached_by(self, strangers: float, clusters: int, quality_sums: ArrayLike) -> NDArray[np.float64]:
        """The similarity that so many strangers among so many clusters reach; -1 where more are expected anyway."""
        rate, rates = strangers / max(clusters, 1), self.criterion.rates
        similarities = rates.similarity_at(min(rate, 0.5), self.references, quality_sums)
        return similarities if rate < float(rates.rates[0]) else np.full(len(similarities), -1.0)


def stranger_shares(expected: Sequence[float]) -> list[float]:
    """For possible matches with so many expected strangers down to each: the share of strangers among those, 0..1.

    As the false discovery rate of Benjamini and Hochberg, "Controlling the false discovery rate", 1995.
    """
    order = np.argsort(expected, kind="stable")
    shares = np.asarray(expected, np.float64)[order] / np.arange(1, len(expected) + 1)
    result = np.empty(len(expected))
    result[order] = np.minimum(1.0, np.minimum.accumulate(shares[::-1])[::-1])
    return [float(share) for share in result]
