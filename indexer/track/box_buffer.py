"""A list of boxes in sixteen bytes each: as arrays of their own, the million boxes of a film take ten times that."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator

import numpy as np

from facereel.store.model.records import Floats


class BoxBuffer:
    """A list of boxes (4,), x y w h in pixels, that grows at both ends."""

    __slots__ = ("_flat",)

    def __init__(self, flat: Iterable[float] = ()) -> None:
        self._flat = array("f", flat)

    def __len__(self) -> int:
        return len(self._flat) // 4

    def __iter__(self) -> Iterator[Floats]:
        return iter(self.rows())

    def __getitem__(self, index: int) -> Floats:
        """One of them; raises IndexError."""
        place = 4 * range(len(self))[index]
        return np.array(self._flat[place : place + 4], np.float32)

    def rows(self, part: slice = slice(None)) -> Floats:
        """Those of a part (N, 4), by default all."""
        return np.array(self.part(part)._flat, np.float32).reshape(-1, 4)

    def part(self, part: slice) -> BoxBuffer:
        """A list of its own of consecutive ones."""
        start, stop, _ = part.indices(len(self))
        return BoxBuffer(self._flat[4 * start : 4 * stop])

    def append(self, box: Floats) -> None:
        """Add one at the end."""
        self._flat.extend(box.tolist())

    def prepend(self, box: Floats) -> None:
        """Add one at the start."""
        self._flat = array("f", box.tolist()) + self._flat
