"""The two fragments of a face on either side of something narrow are recognised, and are not two people."""

from __future__ import annotations

import numpy as np
import pytest

from facereel.indexer.track.fragments import bounding_box, fragments_of

FACE = [100, 50, 60, 80]
LEFT, RIGHT = [98, 55, 24, 70], [136, 52, 26, 75]


@pytest.mark.parametrize(
    ("boxes", "expected"),
    [
        ([LEFT, RIGHT], [0, 1]),
        ([RIGHT, [300, 50, 60, 80], LEFT], [0, 2]),
        ([LEFT], [0]),
        ([FACE], []),
        ([[110, 50, 55, 80]], []),  # nearly as wide as the face
        ([[200, 50, 30, 80]], []),  # beside it
        ([LEFT, [104, 55, 24, 70]], []),  # the same fragment twice
        ([LEFT, RIGHT, [118, 60, 20, 60]], []),  # three fragments: unclear
        ([[100, 50, 12, 12], [145, 50, 12, 12]], []),  # two small faces of other people
        ([], []),
    ],
)
def test_which_boxes_are_fragments_of_a_face(boxes: list[list[int]], expected: list[int]) -> None:
    """The second face, elsewhere, has none."""
    faces = np.array([FACE, [500, 50, 60, 80]], np.float32)
    assert fragments_of(np.array(boxes, np.float32).reshape(-1, 4), faces) == [expected, []]


def test_the_box_around_fragments() -> None:
    assert bounding_box(np.array([LEFT, RIGHT], np.float32)).tolist() == [98, 52, 64, 75]
