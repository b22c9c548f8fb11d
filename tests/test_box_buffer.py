"""A BoxBuffer behaves like a list of boxes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facereel.indexer.track.box_buffer import BoxBuffer
from facereel.store.model.records import Box

side = st.floats(-1e4, 1e4, width=32)
box = st.tuples(side, side, side, side)


@settings(deadline=None)  # a busy machine is no fault of the buffer
@given(st.lists(st.tuples(st.booleans(), box), min_size=1), st.integers(-12, 12), st.integers(-12, 12))
def test_behaves_like_a_list(added: list[tuple[bool, Box]], start: int, stop: int) -> None:
    boxes, expected = BoxBuffer(), list[Box]()
    for in_front, one in added:
        (boxes.prepend if in_front else boxes.append)(one)
        expected.insert(0 if in_front else len(expected), one)
    assert len(boxes) == len(expected)
    assert [*boxes] == expected
    assert boxes[-1] == expected[-1]
    first = abs(start) % len(expected)
    assert boxes.widest(first) == first + int(np.argmax([one[2] for one in expected[first:]]))
    part = slice(start, stop)
    expected_part = np.array(expected[part], np.float32).reshape(-1, 4)
    np.testing.assert_array_equal(boxes.rows(part), expected_part)
    np.testing.assert_array_equal(boxes.part(part).rows(), expected_part)


def test_boxes_are_given_as_copies() -> None:
    boxes = BoxBuffer()
    boxes.append((0, 1, 2, 3))
    boxes.rows()[:] = 9
    assert boxes[0] == (0, 1, 2, 3)
    for index in (1, -2):
        with pytest.raises(IndexError):
            boxes[index]
