"""Scores a list of shot boundaries alone, by kind of change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.benchmarks.scoring import SLACK, Truth


@dataclass(slots=True)
class ShotScore:
    """Counts by kind of change: how many there are, how many were found; boundaries that nothing explains."""

    there: dict[str, int] = field(default_factory=dict)
    hits: dict[str, int] = field(default_factory=dict)
    hard_hits: int = 0  # boundaries on hard cuts
    surplus: list[int] = field(default_factory=list)  # boundaries where no change is
    fooled: dict[str, int] = field(default_factory=dict)  # events taken for a change, by kind

    def add(self, other: ShotScore) -> None:
        """Take the counts of another score in."""
        for mine, its in ((self.there, other.there), (self.hits, other.hits), (self.fooled, other.fooled)):
            for kind, count in its.items():
                mine[kind] = mine.get(kind, 0) + count
        self.hard_hits += other.hard_hits
        self.surplus.extend(other.surplus)

    def recall(self, *kinds: str) -> float:
        """Share of the changes of these kinds that were found; 1 when there are none."""
        there = sum(self.there.get(k, 0) for k in kinds)
        return sum(self.hits.get(k, 0) for k in kinds) / there if there else 1.0

    @property
    def precision(self) -> float:
        """Share of hard hits among them and the boundaries where nothing is; 1 when there are none."""
        total = self.hard_hits + len(self.surplus)
        return self.hard_hits / total if total else 1.0


def score_shots(truth: Truth, starts: Sequence[int]) -> ShotScore:
    """Score the first frames of the shots that a detector found (0 included or not).

    A hard cut must be met to the frame; a gradual one is found when a boundary lies inside it, two frames of
    slack; an event (flash, pan ...) is taken for a change when a boundary lies in it. A second boundary in
    one gradual change is surplus, as is whatever lies elsewhere.
    """
    boundaries = sorted({int(s) for s in starts if s > 0})
    changes = truth.get("changes") or [["cut", s, s] for s in truth["shots"] if s > 0]
    unsure = set(truth["unsure_cuts"]) | {g + d for g in truth["ghost_frames"] for d in (0, 1)}
    score = ShotScore()
    explained: set[int] = {b for b in boundaries if b in unsure}
    for kind, a, b in changes:
        if a == b and a in unsure:
            continue
        slack = 0 if a == b else SLACK
        hits = [x for x in boundaries if a - slack <= x <= b + slack and x not in explained]
        score.there[kind] = score.there.get(kind, 0) + 1
        score.hits[kind] = score.hits.get(kind, 0) + bool(hits)
        score.hard_hits += bool(hits) and a == b
        explained.update(hits[:1])
    score.surplus = [x for x in boundaries if x not in explained]
    for kind, a, b in truth.get("events", ()):
        score.there[kind] = score.there.get(kind, 0) + 1
        score.fooled[kind] = score.fooled.get(kind, 0) + any(a <= x <= b for x in score.surplus)
    return score
