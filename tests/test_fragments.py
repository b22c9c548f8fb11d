"""What a detector sees on either side of something narrow is told from two people."""

from __future__ import annotations

import numpy as np
import pytest

from facereel.indexer.track.fragments import bounding_box, fragments_of

WHOLE = [100, 50, 60, 80]
LEFT, RIGHT = [98, 55, 24, 70], [136, 52, 26, 75]


@pytest.mark.parametrize(
    ("boxes", "expected"),
    [
        ([LEFT, RIGHT], [0, 1]),
        ([RIGHT, [300, 50, 60, 80], LEFT], [0, 2]),
        ([LEFT], [0]),
        ([WHOLE], []),
        ([[110, 50, 55, 80]], []),  # nearly as wide as the whole
        ([[200, 50, 30, 80]], []),  # beside it
        ([LEFT, [104, 55, 24, 70]], []),  # the same part twice
        ([LEFT, RIGHT, [118, 60, 20, 60]], []),  # three parts: nobody knows
        ([[100, 50, 12, 12], [145, 50, 12, 12]], []),  # two small faces of other people
        ([], []),
    ],
)
def test_which_boxes_are_parts_of_a_face(boxes: list[list[int]], expected: list[int]) -> None:
    assert fragments_of(np.array(boxes, np.float32).reshape(-1, 4), np.array(WHOLE, np.float32)) == expected


def test_the_box_around_fragments() -> None:
    assert bounding_box(np.array([LEFT, RIGHT], np.float32)).tolist() == [98, 52, 64, 75]
