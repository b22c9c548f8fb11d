"""Where the scan takes a change for what may be a cut, and where a run may begin that finds the same ones."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from typing import cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facereel.indexer.media.frame import Frame
from facereel.indexer.scan.cuts import REACH, Picture, mark_cuts, may_be_cut
from facereel.indexer.scan.frame_view import FrameView


def pictures_of(changes: list[float]) -> list[Picture]:
    """Pictures that change by so much from each to the next; nothing is known of what was before the first."""
    nothing = np.zeros((1, 1), np.uint8), np.zeros((1, 1, 3), np.uint8)
    views = [FrameView(index, index / 25, 0.04, *nothing) for index in range(len(changes) + 1)]
    for view, change in zip(views[1:], changes, strict=True):
        view.change = change
    return [(cast(Frame, None), view) for view in views]


def cuts(changes: list[float], reach: int = 2) -> list[int]:
    return [view.index for _, view in mark_cuts(pictures_of(changes), reach) if view.after_cut]


@pytest.mark.parametrize(
    ("change", "around", "expected"),
    [
        pytest.param(20, [1, 1, 1, 1], True, id="clear"),
        pytest.param(20, [20, 20, 20, 20], True, id="clear among others: a whip pan"),
        pytest.param(8, [1, 2, 1, 2], True, id="stands out"),
        pytest.param(8, [6, 5, 6, 6], False, id="movement"),
        pytest.param(8, [8, 0, 0, 8], False, id="each picture twice"),
        pytest.param(4, [0, 0, 0, 0], False, id="small"),
        pytest.param(8, [], False, id="nothing to compare with"),
    ],
)
def test_a_cut_is_a_change_that_stands_out(change: float, around: list[float], expected: bool) -> None:
    assert may_be_cut(change, around) == expected


def test_every_picture_comes_once_and_in_order() -> None:
    for count in range(8):
        given = list(mark_cuts(pictures_of([1.0] * count), 2))
        assert [view.index for _, view in given] == list(range(count + 1))
    assert cuts([1, 1, 1, 9, 1, 1, 1]) == [4]


@given(st.lists(st.sampled_from([0.0, 1.0, 5.0, 7.0, 9.0, 11.0, 13.0]), max_size=40), st.integers(1, 4))
def test_a_run_that_begins_where_it_may_finds_the_same_cuts(changes: list[float], reach: int) -> None:
    marked = list(mark_cuts(pictures_of(changes), reach))
    whole = [view.index for _, view in marked if view.after_cut]
    for start in [view.index for _, view in marked if view.may_begin]:
        later = [start + place for place in cuts(changes[start:], reach)]
        assert later == [cut for cut in whole if cut > start]


class Pixels:
    """Stands for a frame, which marking cuts only hands on."""


def test_full_size_pictures_are_kept_only_until_they_are_given() -> None:
    kept: list[weakref.ref[Pixels]] = []

    def pictures() -> Iterator[Picture]:
        for index in range(30):
            pixels = Pixels()
            kept.append(weakref.ref(pixels))
            view = FrameView(
                index, index / 25, 0.04, np.zeros((8, 8), np.uint8), np.zeros((8, 8, 3), np.uint8)
            )
            yield cast(Frame, pixels), view

    count = 0
    for _, view in mark_cuts(pictures(), REACH):
        assert view.index == count
        count += 1
        assert all(pixels() is None for pixels in kept[: count - 1])
    assert count == 30
