"""How similar strangers are to the photos of somebody, by an engine's calibration: how sure a match is follows from it.

A calibration says, for 1 to 9 photos and for little to much evidence of a cluster, which similarity one stranger in
ten, in a hundred, and so on reaches. The similarities are the upper ends of intervals. Rates far below one in the
number of pairs that were compared are extrapolated. `query/people/calibration.py` measures it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Scores = NDArray[np.float64]

MOST_REFERENCES = 9  # with more, strangers are hardly more similar
# Sums of the qualities of a cluster's exemplars at which a class of evidence begins. 0.2: one crop of 24 px, or three
# of 18; 0.8: two sharp large ones, or four of 32 px. Of 24 people's photos, 1 to 6 of them a cluster and at widths from
# 18 px on, one stranger in 10,000 reaches 0.47 in the first class, 0.48 in the second and 0.49 in the third.
EVIDENCE_BOUNDS = (0.0, 0.2, 0.8)


@dataclass(frozen=True, slots=True, eq=False)
class StrangerRates:
    """What share of strangers reaches which similarity."""

    rates: Scores  # (R,) falling, shares of the clusters of strangers
    similarities: Scores  # (9, E, R) that these shares reach, by number of references and class of evidence
    bounds: Scores  # (E,) quality sum at which each class of evidence begins, the first 0

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> StrangerRates:
        """Read what `to_document` gives; raises ValueError, TypeError or LookupError for anything else."""
        rates = np.array(document["rates"], np.float64)
        similarities = np.array(document["similarities"], np.float64)
        bounds = np.array(document["evidence"], np.float64)
        if (
            similarities.shape != (MOST_REFERENCES, len(bounds), len(rates))
            or len(rates) < 2
            or not len(bounds)
        ):
            raise ValueError(f"strangers of shape {similarities.shape}")
        if not ((rates > 0).all() and (rates < 1).all() and (np.diff(rates) < 0).all()):
            raise ValueError("rates that do not fall from 1 to 0")
        if not (np.isfinite(similarities).all() and (np.diff(similarities) >= 0).all()):
            raise ValueError("similarities that fall while strangers become rarer")
        if bounds[0] != 0 or not (np.diff(bounds) > 0).all():
            raise ValueError("classes of evidence that do not rise from 0")
        return cls(rates, similarities, bounds)

    def to_document(self) -> dict[str, Any]:
        """As JSON: `rates`, `evidence`, `similarities`."""
        return {
            "rates": self.rates.tolist(), "evidence": self.bounds.tolist(),
            "similarities": np.round(self.similarities, 4).tolist(),
        }  # fmt: skip

    def scaled(self, scale: float) -> StrangerRates:
        """Those of an engine whose similarities are larger by that factor (Threshold.scale)."""
        return replace(self, similarities=self.similarities * scale)

    def similarity_at(self, rate: float, references: int, quality_sums: ArrayLike) -> Scores:
        """The similarity (C,) that this share of strangers reaches, for clusters of these quality sums (C,)."""
        return np.array([
            np.interp(-np.log10(rate), -np.log10(self.rates), curve) for curve in self._curves(references)
        ])[self._classes(quality_sums)]  # fmt: skip

    def rate_of(self, similarities: ArrayLike, references: int, quality_sums: ArrayLike) -> Scores:
        """The share of strangers (C,) that is as similar as these clusters (C,) or more, by their quality sums (C,).

        Below the similarity of the highest rate every stranger counts; above that of the lowest rate, that rate.
        """
        similarities, classes = np.atleast_1d(similarities), self._classes(quality_sums)
        logs = np.zeros(len(similarities))
        for number, curve in enumerate(self._curves(references)):
            own = classes == number
            logs[own] = np.interp(similarities[own], curve, np.log10(self.rates), left=0.0)
        return np.asarray(10.0**logs)

    def _curves(self, references: int) -> Scores:
        return np.asarray(self.similarities[min(max(references, 1), MOST_REFERENCES) - 1])

    def _classes(self, quality_sums: ArrayLike) -> NDArray[np.int64]:
        return np.searchsorted(self.bounds, np.atleast_1d(quality_sums), side="right") - 1
