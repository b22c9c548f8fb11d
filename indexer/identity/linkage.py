"""Average linkage: items joined while the weighted mean of the log odds between two groups is high enough.

`link` works on the table of all pairs. `link_sparse` is for so many items that there is no room for the table: it knows
the pairs that may be joined, and of all others what the groups' mean faces say.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from facereel.store.model.face_odds import face_log_odds
from facereel.store.model.records import Floats, Ints

Numbers = NDArray[np.float64]

_PAIRS = 1 << 16  # pairs whose faces are compared at once


def link(similarity: Numbers, weights: Numbers, minimum: float) -> list[int]:
    """Labels of N items, joined by weighted average linkage while two are at least that similar; changes its arguments.

    `similarity` (N, N) has -inf on its diagonal, and for two that are never joined.
    """
    return _labels(_link(similarity, weights, minimum))


def _link(similarity: Numbers, weights: Numbers, minimum: float) -> Ints:
    """Join the most similar pair until none reaches the minimum; -inf forbids. Returns a root for each item.

    Items of one cluster have the same root. Weighted average linkage by the Lance-Williams update. Each row's most
    similar partner is remembered, so that a join costs one row and not the whole table; a mean is never above both its
    parts, so no other row finds a more similar partner in it.
    """
    count = len(weights)
    roots = np.arange(count)
    partner = similarity.argmax(axis=1)
    highest = similarity[np.arange(count), partner]
    while True:
        row = int(highest.argmax())
        if highest[row] < minimum:
            return roots
        keep, drop = sorted((row, int(partner[row])))
        total = weights[keep] + weights[drop]
        mean = (weights[keep] * similarity[keep] + weights[drop] * similarity[drop]) / total
        mean[[keep, drop]] = -np.inf
        weights[keep] = total
        similarity[keep], similarity[:, keep] = mean, mean
        similarity[drop], similarity[:, drop] = -np.inf, -np.inf
        roots[roots == drop] = keep
        for stale in {keep, *np.flatnonzero((partner == keep) | (partner == drop)).tolist()}:
            partner[stale] = similarity[stale].argmax()
            highest[stale] = similarity[stale, partner[stale]]
        highest[drop] = -np.inf


def _labels(roots: Ints) -> list[int]:
    labels: dict[int, int] = {}
    return [labels.setdefault(root, len(labels)) for root in roots.tolist()]


@dataclass(frozen=True, slots=True, eq=False)
class Groups:
    """M groups of items by what they are on average, as far as faces go; in the beginning each item is one."""

    weights: Numbers  # (M,)
    embeddings: Floats  # (M, D) mean, not of unit length: of two groups the product is the mean of all pairs
    qualities: Numbers  # (M,) mean
    prior: Numbers  # (M,) mean log odds against two being one before any evidence

    def face_odds(self, first: Ints, second: Ints) -> Numbers:
        """Log odds by faces alone that P pairs of groups are one, (P,); exact for groups of one item."""
        odds = np.empty(len(first))
        for start in range(0, len(first), _PAIRS):
            i, j = first[start : start + _PAIRS], second[start : start + _PAIRS]
            similarity = np.einsum("pd,pd->p", self.embeddings[i], self.embeddings[j])
            odds[start : start + _PAIRS] = face_log_odds(
                similarity, np.minimum(self.qualities[i], self.qualities[j])
            ) - np.maximum(self.prior[i], self.prior[j])
        return odds

    def joined(self, labels: Ints) -> Groups:
        """The groups of these, by a label 0, 1, ... for each."""
        weights = _sums(labels, self.weights)
        order = np.argsort(labels, kind="stable")
        starts = np.searchsorted(labels[order], np.arange(len(weights)))
        share = self.weights / weights[labels]
        embeddings = np.add.reduceat(
            self.embeddings[order] * share[order, None].astype(np.float32), starts, axis=0
        )
        qualities, prior = (_sums(labels, share * values) for values in (self.qualities, self.prior))
        return Groups(weights, embeddings, qualities, prior)


def _sums(labels: Ints, values: Numbers) -> Numbers:
    return np.asarray(np.bincount(labels, values), np.float64)


@dataclass(frozen=True, slots=True, eq=False)
class _Edges:
    """Pairs of groups, each once, the lower one first; by `first`, then `second`."""

    first: Ints  # (E,)
    second: Ints  # (E,)
    extra: Numbers  # (E,) sum over pairs of items: product of weights by what is known of them beyond faces
    mean: Numbers  # (E,) log odds that the two are one; -inf where they never are


Neighbours = Callable[[Groups], tuple[Ints, Ints]]
MayJoin = Callable[[Ints, Ints, Ints], NDArray[np.bool_]]


def link_sparse(
    items: Groups,
    pairs: tuple[Ints, Ints, Numbers],
    neighbours: Neighbours,
    may_join: MayJoin,
    minimum: float,
) -> list[int]:
    """Labels of N items, as by `link`, where only the log odds of some pairs are known.

    `pairs` has two positions and the log odds of each; between all others faces decide. `neighbours` gives pairs of
    groups that may be joined and of which nothing is known yet, `may_join` whether two groups may, from the label of
    each item and the two groups' labels. Every two groups that are each other's most similar are joined at once, which
    gives the same as one after the other (reciprocal agglomerative clustering, Sumengen et al., "Scaling hierarchical
    agglomerative clustering to billion-sized datasets", 2021).
    """
    labels, groups = np.arange(len(items.weights)), items
    edges = _first_edges(items, pairs)
    while True:
        while True:
            roots = _reciprocal(edges, len(groups.weights), minimum, partial(may_join, labels))
            if roots is None:
                break
            _, roots = np.unique(roots, return_inverse=True)
            joined = np.bincount(roots) > 1
            groups, labels = groups.joined(roots), roots[labels]
            edges = _joined_edges(edges, roots, joined, groups, minimum)
        edges = _with_edges(edges, *neighbours(groups), groups)
        if not (edges.mean >= minimum).any():
            return _labels(labels)


def _first_edges(items: Groups, pairs: tuple[Ints, Ints, Numbers]) -> _Edges:
    first, second, odds = pairs
    extra = np.where(np.isfinite(odds), odds, 0.0) - items.face_odds(first, second)
    return _Edges(first, second, items.weights[first] * items.weights[second] * extra, odds.copy())


def _reciprocal(
    edges: _Edges, count: int, minimum: float, may_join: Callable[[Ints, Ints], NDArray[np.bool_]]
) -> Ints | None:
    """The root of each group when those that are each other's most similar are joined; None when no two are.

    Of edges as good as each other the first counts, so that there always are two where any may be joined.
    """
    while True:
        best = _best(edges, count, minimum)
        chosen = np.unique(best[best >= 0])
        refused = chosen[~may_join(edges.first[chosen], edges.second[chosen])]
        if not len(refused):
            break
        edges.mean[refused] = -np.inf
    mutual = chosen[(best[edges.first[chosen]] == chosen) & (best[edges.second[chosen]] == chosen)]
    if not len(mutual):
        return None
    roots = np.arange(count)
    roots[edges.second[mutual]] = edges.first[mutual]
    return roots


def _best(edges: _Edges, count: int, minimum: float) -> Ints:
    """The edge of each group to the most similar other one, (count,); -1 where none is similar enough."""
    live = np.flatnonzero(edges.mean >= minimum)
    # The most similar last, and of equal ones the first edge.
    order = live[np.lexsort((-live, edges.mean[live]))]
    place = np.full(count, -1)
    for ends in (edges.first, edges.second):
        np.maximum.at(place, ends[order], np.arange(len(order)))
    return np.where(place >= 0, order[place], -1) if len(order) else place


def _joined_edges(
    edges: _Edges, roots: Ints, joined: NDArray[np.bool_], groups: Groups, minimum: float
) -> _Edges:
    """The edges of the groups that came about; of those that were joined anew the means are computed again."""
    first, second, extra, highest, lowest = _merge_duplicates(
        roots[edges.first], roots[edges.second], edges.extra, edges.mean, len(groups.weights)
    )
    mean = np.where(np.isinf(lowest), -np.inf, highest)
    # A mean is never above both its parts.
    anew = np.flatnonzero((joined[first] | joined[second]) & (mean >= minimum))
    mean[anew] = _means(groups, first[anew], second[anew], extra[anew])
    return _Edges(first, second, extra, mean)


def _with_edges(edges: _Edges, first: Ints, second: Ints, groups: Groups) -> _Edges:
    """The edges and those of some more pairs, of which nothing but the faces is known."""
    count = len(groups.weights)
    low, high = np.minimum(first, second), np.maximum(first, second)
    keys = np.setdiff1d((low * count + high)[low < high], edges.first * count + edges.second)
    first, second = np.divmod(keys, count)
    mean = groups.face_odds(first, second)
    return _Edges(
        np.concatenate([edges.first, first]), np.concatenate([edges.second, second]),
        np.concatenate([edges.extra, np.zeros(len(first))]), np.concatenate([edges.mean, mean]),
    )  # fmt: skip


def _means(groups: Groups, first: Ints, second: Ints, extra: Numbers) -> Numbers:
    return groups.face_odds(first, second) + extra / (groups.weights[first] * groups.weights[second])


def _merge_duplicates(
    one: Ints, other: Ints, extra: Numbers, mean: Numbers, count: int
) -> tuple[Ints, Ints, Numbers, Numbers, Numbers]:
    """Each pair of different groups once: sum of `extra`, highest and lowest `mean`."""
    between = one != other
    one, other, extra, mean = one[between], other[between], extra[between], mean[between]
    keys = np.minimum(one, other) * count + np.maximum(one, other)
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    starts = np.flatnonzero(np.diff(keys, prepend=-1))
    if not len(starts):
        return one, other, extra, mean, mean
    first, second = np.divmod(keys[starts], count)
    mean = mean[order]
    return (
        first, second, np.add.reduceat(extra[order], starts), np.maximum.reduceat(mean, starts),
        np.minimum.reduceat(mean, starts),
    )  # fmt: skip
