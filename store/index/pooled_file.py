"""Pooled evidence kept beside an index: a thousand videos are searched without opening a thousand databases.

pooled.bin is derived from index.db and never trusted: it names the size and time of the index.db that it was made
from and carries checksums. Missing, stale or torn, it is made anew; deleted, nothing is lost.
"""

from __future__ import annotations

import logging
import os
import zlib
from contextlib import suppress
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from facereel.store.files import folders
from facereel.store.files.locks import folder_lock
from facereel.store.index import pooled_header, rows
from facereel.store.index.database import DATABASE
from facereel.store.index.pooled import ROW, Pooled, pool
from facereel.store.index.pooled_header import HEADER_READ, POOLED, UNUSABLE
from facereel.store.index.reader import VideoIndex, read_video
from facereel.store.model.records import EngineInfo, Ints, Video

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Known:
    """What a query needs of an index before anything is found in it."""

    pooled: Pooled
    ticks: Ints  # (T, 2) when each of its tracklets begins and is over
    looks: int  # that were pooled
    lookless: int  # tracklets that cannot be searched: no look of them was worth keeping


def read_identity(folder: Path) -> tuple[Video, EngineInfo]:
    """What a listing shows of an index; raises the errors of VideoIndex."""
    try:
        with open(os.path.join(folder, POOLED), "rb", buffering=0) as file:
            header, _ = _header(file.read(HEADER_READ), _file_version(folder))
        return rows.video_of(header["video"]), EngineInfo(*header["engine"])
    except (*UNUSABLE, _StaleError):
        return read_video(folder)


def read(folder: Path) -> Known:
    """Everything a query needs of an index; raises the errors of VideoIndex."""
    try:
        with open(os.path.join(folder, POOLED), "rb", buffering=0) as file:
            data = file.read()
        header, start = _header(data, _file_version(folder))
        return _known(header, memoryview(data)[start:])
    except (OSError, _StaleError):
        return keep(folder)
    except UNUSABLE as reason:
        known = keep(folder)
        logger.warning("%s is made anew from %s: %s", folders.printable(folder / POOLED), DATABASE, reason)
        return known


def rebuild(folder: Path) -> str:
    """Hold what was pooled against the rows and keep it anew; says what was wrong with it, if anything was."""
    reason, told = "", None
    try:
        data = (folder / POOLED).read_bytes()
        header, start = _header(data, _file_version(folder))
        told = _body(_known(header, memoryview(data)[start:]))
    except (OSError, _StaleError):
        pass
    except UNUSABLE as error:
        reason = str(error)
    known = keep(folder)
    return "not made from these rows" if told not in (None, _body(known)) else reason


def keep(folder: Path) -> Known:
    """Read an index and keep what was pooled beside it, where that may be written."""
    with VideoIndex(folder) as index:
        file_version = _file_version(folder)
        tracklets, looks, times = index.tracklets(), index.exemplar_arrays(), index.times()
        pooled = pool(tracklets, looks, index.video.frame_rate)
        start, end = pooled.rows["start"], pooled.rows["end"] - 1
        known = Known(pooled, np.stack([times.pts[start], times.pts[end] + times.durations[end]], axis=1), len(looks),
                      len(tracklets) - len(pooled.rows))  # fmt: skip
        with suppress(OSError), folder_lock(folder.parent):
            _write(folder, index.video, index.engine, known, file_version)
    return known


class _StaleError(Exception):
    """What was pooled is of an index.db that was written since."""


def _file_version(folder: Path) -> list[int]:
    """By what an index.db is known to be the same; raises OSError where it may not be read or is half-written."""
    path = os.path.join(folder, DATABASE)
    if not os.access(path, os.R_OK) or os.path.exists(f"{path}-journal"):
        raise OSError("not to be read as it is")
    status = os.stat(path)
    return [status.st_size, status.st_mtime_ns]


def _header(data: bytes, file_version: list[int]) -> tuple[dict[str, Any], int]:
    """The header and where the arrays begin; raises one of UNUSABLE, _StaleError when of another index.db."""
    header, start = pooled_header.unpack(data)
    if header["stamp"] != file_version or "looks" not in header:  # which earlier versions did not count
        raise _StaleError
    return header, start


def _known(header: dict[str, Any], body: memoryview) -> Known:
    if zlib.crc32(body) != header["checksum"]:
        raise ValueError("torn")
    count, dim, people = header["tracklets"], header["dim"], header["people"]
    sizes = (count * ROW.itemsize, count * 16, count * dim * 4, people * 8, people * dim * 4, people * 8)
    parts, end = [], 0
    for size in sizes:
        parts.append(body[end : end + size])
        end += size
    if end != len(body):
        raise ValueError("of another layout")
    return Known(
        Pooled(
            rows=np.frombuffer(parts[0], ROW),
            vectors=np.frombuffer(parts[2], "<f4").reshape(count, dim),
            people=np.frombuffer(parts[3], "<i8"),
            people_vectors=np.frombuffer(parts[4], "<f4").reshape(people, dim),
            evidence=np.frombuffer(parts[5], "<f8"),
        ),
        ticks=np.frombuffer(parts[1], "<i8").reshape(count, 2),
        looks=int(header["looks"]),
        lookless=int(header["lookless"]),
    )


def _body(known: Known) -> bytes:
    """All arrays, as they stand behind the header."""
    pooled = known.pooled
    return b"".join((
        pooled.rows.tobytes(), known.ticks.astype("<i8").tobytes(), pooled.vectors.astype("<f4").tobytes(),
        pooled.people.astype("<i8").tobytes(), pooled.people_vectors.astype("<f4").tobytes(),
        pooled.evidence.astype("<f8").tobytes(),
    ))  # fmt: skip


def _write(folder: Path, video: Video, engine: EngineInfo, known: Known, file_version: list[int]) -> None:
    """Write whole or not at all, for the owner only; the caller holds the folder's lock."""
    pooled, body = known.pooled, _body(known)
    row = rows.video_row(video)
    header = {
        "stamp": file_version, "checksum": zlib.crc32(body), "tracklets": len(pooled.rows),
        "dim": pooled.vectors.shape[1], "people": len(pooled.people), "engine": astuple(engine),
        "looks": known.looks, "lookless": known.lookless,
        "video": row | {"path": os.fsdecode(row["path"]), "name": os.fsdecode(row["name"])},
    }  # fmt: skip
    unfinished = folder / f"{POOLED}.tmp"
    handle = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    # What a lost power leaves of it does not bear its checksums: waiting for the disk would protect nothing.
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(pooled_header.pack(header) + body)
        unfinished.replace(folder / POOLED)
    except OSError:
        unfinished.unlink(missing_ok=True)
        raise
