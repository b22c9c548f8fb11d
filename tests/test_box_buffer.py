"""Packed boxes behave as the list of arrays that they stand for."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facereel.indexer.track.box_buffer import BoxBuffer
from facereel.store.model.records import Floats

box = st.lists(st.floats(-1e4, 1e4, width=32), min_size=4, max_size=4).map(
    lambda sides: np.array(sides, np.float32)
)


@given(st.lists(st.tuples(st.booleans(), box), min_size=1), st.integers(-12, 12), st.integers(-12, 12))
def test_as_a_list(added: list[tuple[bool, Floats]], start: int, stop: int) -> None:
    boxes, known = BoxBuffer(), list[Floats]()
    for in_front, one in added:
        (boxes.prepend if in_front else boxes.append)(one)
        known.insert(0 if in_front else len(known), one)
    assert len(boxes) == len(known)
    np.testing.assert_array_equal(np.array(list(boxes)), np.array(known))
    np.testing.assert_array_equal(boxes[-1], known[-1])
    part = slice(start, stop)
    expected = np.array(known[part], np.float32).reshape(-1, 4)
    np.testing.assert_array_equal(boxes.rows(part), expected)
    np.testing.assert_array_equal(boxes.part(part).rows(), expected)


def test_what_is_taken_out_is_a_copy() -> None:
    boxes = BoxBuffer()
    boxes.append(np.arange(4, dtype=np.float32))
    boxes[0][:] = 9
    boxes.rows()[:] = 9
    assert boxes[0].tolist() == [0, 1, 2, 3]
    with pytest.raises(IndexError):
        boxes[1]
