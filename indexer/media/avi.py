"""Whether an AVI file is whole: its header counts frames that were never captured, too."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

_ENTRY = 16  # bytes of an entry of `idx1`, of which the first two are the number of the stream


def is_whole(path: Path, stream: int, frames: int) -> bool:
    """Whether all of its RIFF chunks are there, and an index that names as many frames as the stream's header.

    Files of more than a gigabyte have several RIFF chunks; of these the index of the first does not name all.
    """
    number = b"%02d" % stream
    with path.open("rb") as file:
        lists = list(_chunks(file, 0, path.stat().st_size))
        if not lists or any(kind != b"RIFF" or end is None for kind, _, end in lists):
            return False
        if len(lists) > 1:
            return True
        _, start, end = lists[0]
        for kind, place, over in _chunks(file, start + 4, end or 0):
            if kind == b"idx1" and over is not None:
                file.seek(place)
                index = file.read(over - place)
                return sum(index[at : at + 2] == number for at in range(0, len(index), _ENTRY)) >= frames
    return False


def _chunks(file: BinaryIO, start: int, end: int) -> Iterator[tuple[bytes, int, int | None]]:
    """Name, start and end of the content of each chunk; the end is None if the file does not hold it."""
    while start + 8 <= end:
        file.seek(start)
        name, size = struct.unpack("<4sI", file.read(8))
        over = start + 8 + size
        yield name, start + 8, over if over <= end and size else None
        start = over + size % 2
