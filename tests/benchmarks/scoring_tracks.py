"""Scores tracklets: purity and fragmentation, and HOTA, IDF1 and identity switches by Roboflow's `trackers`.

A true track is one stretch of one person: a tracklet is meant to break at cuts and full occlusions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from tests.benchmarks.scoring import RIGHT, Box, Truth, clipped, frames_in, iou

Tracks: TypeAlias = Mapping[int, Mapping[int, Box]]  # tracklet number -> frame -> x y w h


@dataclass(slots=True)
class TrackScore:
    """Counts and per-video figures of the library, so that scores of many videos can be added."""

    sightings: int = 0  # on somebody
    pure: int = 0  # of them on the person whom their tracklet shows most
    stray: int = 0  # on nobody
    stretches: int = 0  # true tracks that a tracklet met
    pieces: int = 0  # tracklets that met them
    clear: list[dict[str, Any]] = field(default_factory=list)
    hota: list[dict[str, Any]] = field(default_factory=list)
    identity: list[dict[str, Any]] = field(default_factory=list)

    def add(self, other: TrackScore) -> None:
        """Take the counts of another score in."""
        for name in ("sightings", "pure", "stray", "stretches", "pieces"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.clear += other.clear
        self.hota += other.hota
        self.identity += other.identity

    @property
    def purity(self) -> float:
        """Share of sightings on the person whom their tracklet shows most; 1 when there are none."""
        return self.pure / self.sightings if self.sightings else 1.0

    @property
    def fragmentation(self) -> float:
        """Tracklets for each true track that was met; 1 is best."""
        return self.pieces / self.stretches if self.stretches else 1.0

    def library(self) -> dict[str, float]:
        """HOTA, IDF1 and the number of identity switches over all added videos."""
        from trackers.eval import aggregate_clear_metrics, aggregate_hota_metrics, aggregate_identity_metrics

        if not self.clear:
            return {"HOTA": 1.0, "IDF1": 1.0, "IDSW": 0}
        return {
            "HOTA": float(aggregate_hota_metrics(self.hota)["HOTA"]),
            "IDF1": float(aggregate_identity_metrics(self.identity)["IDF1"]),
            "IDSW": int(aggregate_clear_metrics(self.clear)["IDSW"]),
        }


def score_tracks(truth: Truth, tracks: Tracks) -> TrackScore:
    """Score tracklets against everybody in a rendered truth."""
    score = TrackScore()
    met: set[tuple[str, int]] = set()
    pieces: set[tuple[str, int, int]] = set()
    truth_boxes = {
        p: {int(f): clipped(truth, b[:4]) for f, b in q["seen"].items()} for p, q in truth["people"].items()
    }
    for number, sightings in tracks.items():
        who: Counter[str] = Counter()
        for frame, box in sightings.items():
            name = _whose(truth_boxes, frame, clipped(truth, box))
            if name is None:
                score.stray += 1
                continue
            who[name] += 1
            stretch = _stretch(truth["people"][name], frame)
            if stretch is not None:
                met.add((name, stretch))
                pieces.add((name, stretch, number))
        score.sightings += who.total()
        score.pure += max(who.values(), default=0)
    score.stretches, score.pieces = len(met), len(pieces)
    _library_scores(score, truth, tracks)
    return score


def _whose(truth_boxes: Mapping[str, Mapping[int, Box]], frame: int, box: Box) -> str | None:
    """The person whose face the box overlaps most, at least by RIGHT."""
    best, name = max(
        ((iou(box, at[frame]), n) for n, at in truth_boxes.items() if frame in at), default=(0.0, "")
    )
    return name if best >= RIGHT else None


def _stretch(person: Truth, frame: int) -> int | None:
    ranges = (s["frames"] for s in person["stretches"])
    return next((i for i, (a, b) in enumerate(ranges) if a <= frame < b), None)


def _library_scores(score: TrackScore, truth: Truth, tracks: Tracks) -> None:
    """Hand the frames to the library, without faces that need not be found and the sightings on them."""
    from trackers.eval import compute_clear_metrics, compute_hota_metrics, compute_identity_metrics

    ids: dict[tuple[str, int], int] = {}
    numbers = {number: i for i, number in enumerate(tracks)}
    data: tuple[list[NDArray[Any]], list[NDArray[Any]], list[NDArray[Any]]] = ([], [], [])
    may = {name: frames_in(person["may"]) for name, person in truth["people"].items()}
    for frame in range(truth["frames"]):
        wanted, spare = [], []
        for name, person in truth["people"].items():
            stretch = _stretch(person, frame)
            entry = person["seen"].get(str(frame), person["seen"].get(frame))
            if entry is None:
                continue
            box = clipped(truth, entry[:4])
            if frame in may[name] or stretch is None:
                spare.append(box)
            else:
                wanted.append((ids.setdefault((name, stretch), len(ids)), box))
        tracked = [(numbers[n], clipped(truth, s[frame])) for n, s in tracks.items() if frame in s]
        tracked = [f for f in tracked if _counts(f[1], [b for _, b in wanted], spare)]
        data[0].append(np.array([i for i, _ in wanted], dtype=int))
        data[1].append(np.array([i for i, _ in tracked], dtype=int))
        table = [[iou(a, b) for _, b in tracked] for _, a in wanted]
        data[2].append(np.array(table, dtype=float).reshape(len(wanted), len(tracked)))
    score.clear.append(compute_clear_metrics(*data))
    score.hota.append(compute_hota_metrics(*data))
    score.identity.append(compute_identity_metrics(*data))


def _counts(box: Box, wanted: Sequence[Box], spare: Sequence[Box]) -> bool:
    """Whether a sighting is judged: one on a face that only may be found is not."""
    best_wanted = max((iou(box, b) for b in wanted), default=0.0)
    return best_wanted >= max((iou(box, b) for b in spare), default=0.0) or best_wanted >= RIGHT
