"""What a node of a cluster does with one video: copy it if it has an address, index it, and send the index back.

Knows nothing of Ray: `index_here` is a generator of messages, whoever carries them. The video is decoded in a process
of its own, so that a file which crashes its decoder leaves the node's worker alone.
"""

from __future__ import annotations

import hashlib
import os
import time
import traceback
from collections.abc import Container, Generator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

from facereel.indexer.jobs import staging
from facereel.indexer.jobs.events import (
    Failed,
    Indexed,
    Job,
    Note,
    PartJob,
    PartRead,
    Progress,
    ScratchJob,
    Source,
)
from facereel.indexer.jobs.local import Load, ReusedWorker
from facereel.indexer.jobs.scratch import scratch_folder
from facereel.indexer.jobs.staging import RemoteFile
from facereel.indexer.jobs.team import Nobody, PartPool, PartProgress, end_file
from facereel.store.files.digest import hash_file
from facereel.store.files.kinds import VIDEO_SUFFIXES
from facereel.store.files.names import printable, safe_name
from facereel.store.index.database import DATABASE
from facereel.store.model.errors import FaceReelError, VideoError
from facereel.store.model.urls import Url

PART_BYTES = 8 << 20
PROGRESS_SECONDS = 1.0  # between two Progress of a video: one process gets those of all nodes


@dataclass(frozen=True, slots=True)
class Known:
    """The library has the content of the video already; None: it has it by this address, unchanged."""

    sha256: str | None


@dataclass(frozen=True, slots=True)
class Content:
    """The video has been read, and is indexed now."""

    sha256: str  # of the video, not computed by the process that decodes it


@dataclass(frozen=True, slots=True)
class Part:
    """The next bytes of the index."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Complete:
    """The index is complete; its parts have come before."""

    sha256: str  # of index.db
    mtime_ns: int | None  # of the video where it has an address, as its server says


Message: TypeAlias = Progress | Note | Failed | Known | Content | Part | Complete

# The worker process of this one, and what it was made for: its engine, and the graphics card that it may use.
_worker: tuple[tuple[Load, str | None], ReusedWorker] | None = None


@dataclass(frozen=True, slots=True)
class PartData:
    """The next bytes of one of the two files of a part."""

    data: bytes
    of_end: bool  # of the second one

    def target(self, file: Path) -> Path:
        """To which of them it belongs, where `file` is the first one."""
        return end_file(file) if self.of_end else file


def index_here(
    job: Job,
    load: Load,
    contents: Container[str],
    indexed_as: RemoteFile | None,
    pool: PartPool | None = None,
) -> Generator[Message, None, None]:
    """Index a video on this machine, whatever the job's store; last comes Failed, Known or Complete.

    `contents` are the SHA-256 of the videos that the library has, `indexed_as` is what it was indexed as by its
    address. A `pool` reads parts of a long video that other machines find at its path.
    """
    last_progress = 0.0
    try:
        with scratch_folder() as folder:
            for message in _index(job, load, contents, indexed_as, folder, pool or Nobody()):
                if isinstance(message, Progress):
                    if time.monotonic() - last_progress < PROGRESS_SECONDS:
                        continue
                    last_progress = time.monotonic()
                yield message
    except FaceReelError as error:
        yield Failed(job.video, error, traceback.format_exc(), by_machine=True)
    except OSError as error:
        reason = VideoError(f"{printable(job.video)} cannot be worked on: {error}; free or repair that disk")
        yield Failed(job.video, reason, traceback.format_exc(), by_machine=True)


def _index(
    job: Job, load: Load, contents: Container[str], indexed_as: RemoteFile | None, folder: Path,
    pool: PartPool,
) -> Generator[Message, None, None]:  # fmt: skip
    remote, path = None, job.video
    if isinstance(path, Url):
        remote = staging.stat(path)
        if remote.is_indexed(indexed_as) and not job.force:
            yield Known(None)
            return
        target = folder / safe_name(path.name)
        for done in staging.copy(path, remote, target):
            yield Progress(path, "copying", done, remote.size)
        path = target
    elif path.is_dir():
        text = f"{printable(path)} holds no video; known suffixes: {' '.join(sorted(VIDEO_SUFFIXES))}"
        yield Failed(job.video, VideoError(text))
        return
    before = _change(path)
    sha256 = hash_file(path, before and before[0])
    if sha256 in contents and not job.force:
        yield Known(sha256)
        return
    yield Content(sha256)
    scratch = ScratchJob(path, sha256, folder / "store", job.config, job.split_longer_than)
    # A copy is on this machine alone.
    for event in _worker_for(load).run(scratch, Nobody() if remote else pool):
        assert not isinstance(event, PartRead)
        if isinstance(event, Indexed) and _change(path) != before:
            text = f"{printable(job.video)} was written to while it was indexed; index it again"
            yield Failed(job.video, VideoError(text))
        elif isinstance(event, Indexed):
            digest = hashlib.sha256()
            with open(event.folder / DATABASE, "rb") as file:
                while data := file.read(PART_BYTES):
                    digest.update(data)
                    yield Part(data)
            yield Complete(digest.hexdigest(), remote.mtime_ns if remote else None)
        else:
            yield _renamed(event, path, job.video)


def part_here(job: PartJob, load: Load) -> Generator[PartProgress | PartData | PartRead, None, None]:
    """Read a part of a video on this machine, wherever its files are to lie; last comes PartRead.

    Raises FaceReelError and OSError where another machine may do better.
    """
    last_progress = 0.0
    with scratch_folder() as folder:
        own = replace(job, file=folder / "segments")
        for event in _worker_for(load).run(own, Nobody()):
            if isinstance(event, Failed):
                raise event.error
            if isinstance(event, Progress) and time.monotonic() - last_progress >= PROGRESS_SECONDS:
                last_progress = time.monotonic()
                yield PartProgress(job.part.start, event.done)
            elif isinstance(event, PartRead):
                for of_end in (False, True) if not event.failure else ():
                    with open(end_file(own.file) if of_end else own.file, "rb") as file:
                        while data := file.read(PART_BYTES):
                            yield PartData(data, of_end)
                yield event


def _change(path: Path) -> tuple[int, int] | None:
    """Size and time of a file, which a write changes; None where there is none, of which reading says why."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns


def _worker_for(load: Load) -> ReusedWorker:
    """The worker process of this one, made anew for another engine or graphics card."""
    global _worker
    key = load, os.environ.get("CUDA_VISIBLE_DEVICES")
    if _worker is None or _worker[0] != key:
        if _worker is not None:
            _worker[1].close()
        _worker = key, ReusedWorker(load)
    return _worker[1]


def _renamed(event: Progress | Note | Failed, path: Path, source: Source) -> Progress | Note | Failed:
    """What is said of the copy of a video, said of the video."""
    if path == source:
        return event
    if isinstance(event, Failed):
        text = str(event.error).replace(printable(path), printable(source))
        return replace(event, video=source, error=type(event.error)(text))
    return replace(event, video=source)
