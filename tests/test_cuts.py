"""Marking cuts keeps no full-size picture longer than the cuts ahead of it need."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from typing import cast

import numpy as np

from facereel.indexer.media.frame import Frame
from facereel.indexer.scan.cuts import REACH, Picture, mark_cuts
from facereel.indexer.scan.frame_view import FrameView


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

    given = 0
    for _, view in mark_cuts(pictures(), REACH):
        assert view.index == given
        given += 1
        assert all(pixels() is None for pixels in kept[: given - 1])
    assert given == 30
