"""SHA-256 of files: by it a video stays the same under any name."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable
from pathlib import Path

from facereel.store.files.names import printable
from facereel.store.model.errors import InputError

# Large enough that reading, not calling, takes the time; small enough to stay in the processor's cache.
CHUNK_BYTES = 1 << 20


def hash_file(
    path: str | Path, size: int | None = None, progress: Callable[[int], None] = lambda done: None
) -> str:
    """SHA-256 of a whole file, 64 hex digits, read in pieces; raises InputError when it cannot be read.

    With `size` no more bytes are read than that: a file that grows as fast as it is read has no end. `progress` gets
    the number of bytes read so far, after each piece.
    """
    digest, done, end = hashlib.sha256(), 0, sys.maxsize if size is None else size
    try:
        with open(path, "rb", buffering=0) as file:
            while piece := file.read(min(end - done, CHUNK_BYTES)):
                digest.update(piece)
                done += len(piece)
                progress(done)
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the path
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{printable(path)} cannot be read: {reason}; check path and permissions") from error
    return digest.hexdigest()
