"""The two fragments of a face on either side of something narrow are recognised, and are not two people."""

from __future__ import annotations

import pytest

from facereel.indexer.track.fragments import bounding_box, fragments_of
from facereel.store.model.records import Box

FACE = (100.0, 50.0, 60.0, 80.0)
LEFT, RIGHT = (98.0, 55.0, 24.0, 70.0), (136.0, 52.0, 26.0, 75.0)


@pytest.mark.parametrize(
    ("boxes", "expected"),
    [
        ([LEFT, RIGHT], [0, 1]),
        ([RIGHT, (300, 50, 60, 80), LEFT], [0, 2]),
        ([LEFT], [0]),
        ([FACE], []),
        ([(110, 50, 55, 80)], []),  # nearly as wide as the face
        ([(200, 50, 30, 80)], []),  # beside it
        ([LEFT, (104, 55, 24, 70)], []),  # the same fragment twice
        ([LEFT, RIGHT, (118, 60, 20, 60)], []),  # three fragments: unclear
        ([(100, 50, 12, 12), (145, 50, 12, 12)], []),  # two small faces of other people
        ([], []),
    ],
)
def test_which_boxes_are_fragments_of_a_face(boxes: list[Box], expected: list[int]) -> None:
    """A face elsewhere has none."""
    assert fragments_of(FACE, boxes) == expected
    assert fragments_of((500, 50, 60, 80), boxes) == []


def test_the_box_around_fragments() -> None:
    assert bounding_box([LEFT, RIGHT]) == (98, 52, 64, 75)
