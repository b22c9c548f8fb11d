"""SHA-256 of files: by it a video stays the same under any name."""

from __future__ import annotations

import hashlib
from pathlib import Path

from store.errors import InputError
from store.folders import shown

# Large enough that reading, not calling, takes the time; small enough to stay in the processor's cache.
CHUNK_BYTES = 1 << 20


def hash_file(path: str | Path) -> str:
    """SHA-256 of a whole file, 64 hex digits, read in pieces; raises InputError when it cannot be read."""
    digest = hashlib.sha256()
    try:
        with open(path, "rb", buffering=0) as file:
            while piece := file.read(CHUNK_BYTES):
                digest.update(piece)
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the path
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{shown(path)} cannot be read: {reason}; check path and permissions") from error
    return digest.hexdigest()
