"""One video's evidence of identity, pooled by tracklet and by person: what a query is held against."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from facereel.store.model import pooling as evidence
from facereel.store.model.records import ExemplarArrays, Floats, Ints, Reason, Tracklet

REASONS: tuple[Reason, ...] = get_args(Reason)
# A tracklet as a row: records of a thousand videos take longer to make than to be searched.
ROW = np.dtype([
    ("number", "<i8"), ("shot", "<i8"), ("start", "<i8"), ("end", "<i8"), ("start_reason", "<i8"),
    ("end_reason", "<i8"), ("person", "<i8"), ("face_width", "<f8"), ("score", "<f8"),
    # Of its best look, for --explain.
    ("width", "<f4"), ("sharpness", "<f4"), ("frontality", "<f4"),
])  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Pooled:
    """One video's evidence, ready to be asked."""

    rows: NDArray[Any]  # (T,) of ROW, tracklets that have looks
    vectors: Floats  # (T, D) pooled looks of each, unit length
    people: Ints  # (P,) their numbers, in the order in which they come first
    people_vectors: Floats  # (P, D) all looks of each person pooled, unit length
    evidence: NDArray[np.float64]  # (P,) sum of the qualities of their looks

    def members(self, index: int) -> list[int]:
        """Positions of the tracklets of the person in that place of `people`."""
        found: list[int] = np.flatnonzero(self.rows["person"] == self.people[index]).tolist()
        return found

    def tracklet(self, position: int) -> Tracklet:
        """The tracklet in a row."""
        number, shot, start, end, first, last, person, width, score, *_ = self.rows[position].item()
        return Tracklet(number, shot, start, end, REASONS[first], REASONS[last], person, width, score)


def pool(tracklets: tuple[Tracklet, ...], looks: ExemplarArrays, frame_rate: Fraction) -> Pooled:
    """Pool the looks of each tracklet and of each person, weighted by quality."""
    own = _rows_by_tracklet(looks)
    tracklets = tuple(item for item in tracklets if item.number in own)
    vectors = np.zeros((len(tracklets), looks.embeddings.shape[1] if len(looks) else 1), np.float32)
    rows = np.zeros(len(tracklets), ROW)
    weights, totals = np.zeros(len(tracklets)), np.zeros(len(tracklets))
    for position, item in enumerate(tracklets):
        mine = own[item.number]
        best = int(mine[looks.qualities[mine].argmax()])
        vectors[position] = evidence.pool(looks.embeddings[mine], looks.qualities[mine])
        weights[position] = evidence.cluster_weight(
            float((item.end - item.start) / frame_rate), float(looks.qualities[best])
        )
        totals[position] = float(looks.qualities[mine].sum())
        rows[position] = (
            item.number, item.shot, item.start, item.end, REASONS.index(item.start_reason),
            REASONS.index(item.end_reason), item.cluster, item.face_width, item.score,
            looks.widths[best], looks.sharpness[best], looks.frontality[best],
        )  # fmt: skip
    people = np.array(list(dict.fromkeys(rows["person"].tolist())), np.int64)
    people_vectors, amounts = np.zeros((len(people), vectors.shape[1]), np.float32), np.zeros(len(people))
    for index, person in enumerate(people):
        members = np.flatnonzero(rows["person"] == person)
        people_vectors[index] = evidence.unit((weights[members, None] * vectors[members]).sum(axis=0))
        amounts[index] = sum(totals[members].tolist())
    return Pooled(rows, vectors, people, people_vectors, amounts)


def _rows_by_tracklet(looks: ExemplarArrays) -> dict[int, Ints]:
    """Rows of the looks of each tracklet, in order."""
    order = np.argsort(looks.tracklets, kind="stable")
    ordered = looks.tracklets[order]
    starts = np.flatnonzero(np.diff(ordered, prepend=ordered[:1] - 1))
    return dict(zip(ordered[starts].tolist(), np.split(order, starts[1:]), strict=False))
