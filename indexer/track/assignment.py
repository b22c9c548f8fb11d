"""Optimal assignment of few things to few: the Hungarian method by shortest augmenting paths.

Kuhn, "The Hungarian method for the assignment problem", 1955, as in Crouse, "On implementing 2D rectangular assignment
algorithms", 2016, which SciPy follows. SciPy's own takes half a second to be imported, at each start of a worker.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import TypeAlias

import numpy as np

from facereel.store.model.records import Floats

Pair: TypeAlias = tuple[int, int]  # row and column


def parts(pairs: Iterable[Pair]) -> Iterator[list[Pair]]:
    """The pairs in parts that have no row and no column in common: each can be assigned for itself."""
    by_row, by_column = defaultdict[int, list[Pair]](list), defaultdict[int, list[Pair]](list)
    for row, column in pairs:
        by_row[row].append((row, column))
        by_column[column].append((row, column))
    for start in [*by_row]:
        part, reached = dict[Pair, None](), by_row.pop(start, [])
        while reached:
            row, column = pair = reached.pop()
            part[pair] = None
            reached += by_row.pop(row, []) + by_column.pop(column, [])
        if part:
            yield [*part]


def assign_pairs(affinities: Mapping[Pair, float]) -> list[Pair]:
    """As assign(), where only these pairs have an affinity."""
    if len(affinities) < 2:
        return [*affinities]
    rows, columns = sorted({row for row, _ in affinities}), sorted({column for _, column in affinities})
    matrix = np.zeros((len(rows), len(columns)), np.float32)
    for (row, column), affinity in affinities.items():
        matrix[rows.index(row), columns.index(column)] = affinity
    return [(rows[row], columns[column]) for row, column in assign(matrix)]


def assign(affinity: Floats) -> list[tuple[int, int]]:
    """Pairs (row, column) of a matrix (N, M) with the largest sum; none of a zero, and each row and column once."""
    if affinity.shape[0] > affinity.shape[1]:
        return sorted((row, column) for column, row in assign(affinity.T))
    costs = (-affinity).tolist()
    count = affinity.shape[1]
    row_of: list[int] = [-1] * count  # of each column
    row_price, column_price = [0.0] * len(costs), [0.0] * count
    for start in range(len(costs)):
        # Dijkstra's shortest path from this row to a column without one, over the rows that would have to change.
        distance = [float("inf")] * count
        previous = [-1] * count  # column before each on its path
        open_columns = set(range(count))
        closed: list[int] = []
        row, column, length = start, -1, 0.0
        while row >= 0:
            base = length - row_price[row]
            for other in open_columns:
                through = base + costs[row][other] - column_price[other]
                if through < distance[other]:
                    distance[other], previous[other] = through, column
            column = min(open_columns, key=distance.__getitem__)
            open_columns.remove(column)
            closed.append(column)
            length, row = distance[column], row_of[column]
        row_price[start] += length
        for other in closed[:-1]:
            row_price[row_of[other]] += length - distance[other]
            column_price[other] -= length - distance[other]
        while column >= 0:
            before = previous[column]
            row_of[column] = start if before < 0 else row_of[before]
            column = before
    return sorted(
        (row, column) for column, row in enumerate(row_of) if row >= 0 and affinity[row, column] != 0
    )
