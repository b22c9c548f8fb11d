"""Segments: what is known of a stretch of a video once it is done with, and how it is kept until the index is whole.

A segment begins and ends at scene changes, so that nothing in it depends on what lies outside.
"""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facereel.store.model.records import Exemplar, Ints, Reason, Sightings

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True, slots=True, eq=False)
class TrackRecord:
    """One face followed without a break, with its looks."""

    start_reason: Reason
    end_reason: Reason
    sightings: Sightings
    exemplars: tuple[Exemplar, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Segment:
    """What is known of the frames [start, end)."""

    start: int
    end: int
    cuts: tuple[int, ...]  # first frames of its shots but the first
    searched: int  # frames in which a detector looked
    followed: tuple[TrackRecord, ...]
    # Where reading must begin to see what follows the segment as it was seen, and what is seen there.
    keyframe: int
    mark: int


@dataclass(frozen=True, slots=True, eq=False)
class StoredSegment:
    """A segment with the times of its frames and of the one after it."""

    segment: Segment
    pts: Ints  # ticks


# What reading altered bytes raises, besides ValueError; RuntimeError is for encryption and methods nobody knows.
_NO_ARCHIVE = (
    zipfile.BadZipFile, zlib.error, OSError, LookupError, TypeError, EOFError, RuntimeError, MemoryError,
)  # fmt: skip
_NUMBERS = ("start", "end", "searched", "keyframe", "mark")
_LOOK = tuple(field.name for field in fields(Exemplar) if field.name != "jpeg")


def pack(kept: StoredSegment) -> bytes:
    """A segment as an npz archive without pickles, whose parts are checksummed."""
    segment = kept.segment
    told = {name: int(getattr(segment, name)) for name in _NUMBERS}
    rows = [(item.start_reason, item.end_reason) for item in segment.followed]
    arrays: Arrays = {
        "told": _text({**told, "cuts": [int(cut) for cut in segment.cuts], "followed": rows}),
        "pts": kept.pts,
    }
    for number, item in enumerate(segment.followed):
        arrays |= {f"{number}.{key}": value for key, value in asdict(item.sightings).items()}
        for name in _LOOK:
            arrays[f"{number}.look.{name}"] = np.array([getattr(look, name) for look in item.exemplars])
        sizes = [len(look.jpeg) for look in item.exemplars]
        arrays[f"{number}.look.sizes"] = np.array(sizes, np.int64)
        arrays[f"{number}.look.jpeg"] = np.frombuffer(
            b"".join(look.jpeg for look in item.exemplars), np.uint8
        )
    file = io.BytesIO()
    np.savez(file, **arrays)  # type: ignore[arg-type]
    return file.getvalue()


def unpack(content: bytes) -> StoredSegment:
    """The segment of its archive; raises ValueError for anything else."""
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            arrays: Arrays = {name: archive[name] for name in archive.files}
        told = json.loads(arrays["told"].tobytes())
        followed = tuple(
            TrackRecord(
                start_reason, end_reason,
                Sightings(*(arrays[f"{number}.{field.name}"] for field in fields(Sightings))),
                tuple(_looks(arrays, f"{number}.look.")),
            )
            for number, (start_reason, end_reason) in enumerate(told["followed"])
        )  # fmt: skip
        numbers = {name: int(told[name]) for name in _NUMBERS}
        segment = Segment(cuts=tuple(told["cuts"]), followed=followed, **numbers)
        return StoredSegment(segment, arrays["pts"])
    except _NO_ARCHIVE as error:
        raise ValueError(f"no chapter: {error}") from error


def _looks(arrays: Arrays, prefix: str) -> Iterator[Exemplar]:
    ends = np.cumsum(arrays[prefix + "sizes"]).tolist()
    jpegs = arrays[prefix + "jpeg"].tobytes()
    columns = {name: arrays[prefix + name] for name in _LOOK}
    for row, (start, end) in enumerate(zip([0, *ends], ends, strict=False)):
        values: dict[str, Any] = {
            name: column[row] if column[row].ndim else column[row].item() for name, column in columns.items()
        }
        yield Exemplar(jpeg=jpegs[start:end], **values)


def _text(value: Any) -> NDArray[np.uint8]:
    return np.frombuffer(json.dumps(value).encode(), np.uint8)
