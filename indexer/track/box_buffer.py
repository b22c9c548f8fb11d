"""A list of boxes that takes sixteen bytes a box; as tuples or arrays, the million boxes of a film take ten times
that."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator

import numpy as np

from facereel.store.model.records import Box, Floats


class BoxBuffer:
    """Boxes in order, of which each number is rounded to 32 bits; grows at both ends."""

    __slots__ = ("_values",)

    def __init__(self, values: Iterable[float] = ()) -> None:
        """`values` are the numbers of all boxes, one box after another."""
        self._values = array("f", values)

    def __len__(self) -> int:
        return len(self._values) // 4

    def __iter__(self) -> Iterator[Box]:
        numbers = iter(self._values)
        return zip(numbers, numbers, numbers, numbers, strict=True)

    def __getitem__(self, index: int) -> Box:
        """One box; raises IndexError."""
        start = 4 * index if index >= 0 else len(self._values) + 4 * index
        if not 0 <= start < len(self._values):
            raise IndexError(index)
        x, y, w, h = self._values[start : start + 4]
        return x, y, w, h

    def rows(self, part: slice = slice(None)) -> Floats:
        """A copy of the boxes of a part, by default all: (N, 4)."""
        return np.array(self.part(part)._values, np.float32).reshape(-1, 4)

    def widest(self, start: int) -> int:
        """The index of the widest box from `start` on, the first of equals; ValueError where there is none."""
        widths = self._values[4 * start + 2 :: 4]
        return start + widths.index(max(widths))

    def part(self, part: slice) -> BoxBuffer:
        """A buffer of its own with the boxes of a part; the step of the slice is ignored."""
        start, stop, _ = part.indices(len(self))
        return BoxBuffer(self._values[4 * start : 4 * stop])

    def append(self, box: Box) -> None:
        """Add a box at the end."""
        self._values.extend(box)

    def prepend(self, box: Box) -> None:
        """Add a box at the start."""
        self._values = array("f", box) + self._values
