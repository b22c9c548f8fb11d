"""Assignment is optimal: as SciPy's, whose import it spares."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from facereel.indexer.track.assignment import assign, assign_pairs, parts


@given(
    rows=st.integers(1, 9), columns=st.integers(1, 9), seed=st.integers(0, 2**32 - 1), share=st.floats(0, 1)
)
def test_no_other_assignment_has_a_larger_sum(rows: int, columns: int, seed: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    affinity = (rng.random((rows, columns)) * (rng.random((rows, columns)) < share)).astype(np.float32)
    pairs = assign(affinity)
    assert len({row for row, _ in pairs}) == len({column for _, column in pairs}) == len(pairs)
    assert all(affinity[pair] > 0 for pair in pairs)
    best = affinity[linear_sum_assignment(affinity, maximize=True)].sum(dtype=np.float64)
    assert sum(float(affinity[pair]) for pair in pairs) == pytest.approx(float(best), abs=1e-5)


def test_the_best_pair_gives_way_where_the_sum_grows() -> None:
    affinity = np.array([[0.9, 0.8], [0.7, 0.0]], np.float32)
    assert assign(affinity) == [(0, 1), (1, 0)]
    assert assign(np.zeros((2, 3), np.float32)) == []


@given(
    pairs=st.dictionaries(
        st.tuples(st.integers(0, 8), st.integers(0, 8)), st.floats(0.125, 2, width=32), max_size=16
    )
)
def test_parts_are_assigned_as_the_whole(pairs: dict[tuple[int, int], float]) -> None:
    matrix = np.zeros((9, 9), np.float32)
    for pair, affinity in pairs.items():
        matrix[pair] = affinity
    whole = [*parts(pairs)]
    assert sorted(pair for part in whole for pair in part) == sorted(pairs)
    for side in (0, 1):
        found = [{pair[side] for pair in part} for part in whole]
        assert sum(map(len, found)) == len(set().union(*found))
    assigned = [pair for part in whole for pair in assign_pairs({pair: pairs[pair] for pair in part})]
    assert all(pair in pairs for pair in assigned)
    best = sum(float(matrix[pair]) for pair in assign(matrix))
    assert sum(pairs[pair] for pair in assigned) == pytest.approx(best, abs=1e-5)
