"""The start of a pooled.bin: a checksummed JSON header that tells what it was made from. Knows no database."""

from __future__ import annotations

import json
import struct
import zlib
from pathlib import Path
from typing import Any

POOLED = "pooled.bin"
HEADER_READ = 8192  # bytes: a header has about a thousand
# What reading another file, or an altered one, raises.
UNUSABLE = (OSError, ValueError, LookupError, TypeError, struct.error)
_START = struct.Struct("<4sII")  # magic, checksum and length of the header, which is JSON
_MAGIC = b"FRp1"


def pack(header: dict[str, Any]) -> bytes:
    """A header as bytes."""
    text = json.dumps(header).encode()
    return _START.pack(_MAGIC, zlib.crc32(text), len(text)) + text


def unpack(data: bytes) -> tuple[dict[str, Any], int]:
    """The header of a file's bytes and where its arrays begin; raises one of UNUSABLE unless it is whole."""
    magic, checksum, length = _START.unpack_from(data)
    text = data[_START.size : _START.size + length]
    if magic != _MAGIC or zlib.crc32(text) != checksum:
        raise ValueError("torn or from elsewhere")
    header: dict[str, Any] = json.loads(text)
    return header, _START.size + length


def video_path(folder: Path) -> str | None:
    """Where an index's video lay when it was last pooled, though index.db may be lost; None when nobody knows."""
    try:
        with (folder / POOLED).open("rb") as file:
            return str(unpack(file.read(HEADER_READ))[0]["video"]["path"])
    except UNUSABLE:
        return None
