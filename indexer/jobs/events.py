"""What a runner is given and what it reports while it runs, as frozen records that travel between processes."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

from facereel.store.model.config import Config
from facereel.store.model.errors import FaceReelError
from facereel.store.model.urls import Url

if TYPE_CHECKING:
    from facereel.store.model.records import Part

Source: TypeAlias = Path | Url  # where a video lies


@dataclass(frozen=True, slots=True)
class Job:
    """One video to index."""

    video: Source
    store: Path
    config: Config
    force: bool = False  # index it also if an index of its content is there
    wait: bool = (
        True  # for another process that indexes the same content; if not, the job ends with BeingIndexed
    )
    # Of a video that is longer, seconds, parts are read by workers that have no video.
    split_longer_than: float = math.inf


@dataclass(frozen=True, slots=True)
class PartJob:
    """A part of a video, to read for the worker that indexes the video."""

    video: Path
    size: int  # bytes, of the file there
    part: Part
    file: Path  # a new one, for the segments; what else is known of the part goes into a second one beside it
    config: Config


@dataclass(frozen=True, slots=True)
class ScratchJob:
    """One file to index in a folder of its own, from which the index is taken to the store of another machine."""

    video: Path
    sha256: str  # of its content
    store: Path  # holds nothing else
    config: Config
    split_longer_than: float = math.inf  # as in Job


@dataclass(frozen=True, slots=True)
class Started:
    """A worker begins with a video."""

    video: Source
    number: int  # from 1, in the order in which videos begin
    total: int  # videos in this run
    node: str = ""  # machine of a cluster; empty for this one


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a video is; at most ten a second."""

    video: Source
    # Copying it to the machine; hashing the file; another process indexes it; decoding. Of a copy with covered faces:
    # searching it; writing it.
    stage: Literal["copying", "reading", "waiting", "indexing", "searching", "writing"]
    done: int  # bytes when copying and reading, else frames
    total: int  # the same in all as far as known, 0 for unknown


@dataclass(frozen=True, slots=True)
class Note:
    """Something to know about a video while it is being indexed."""

    video: Source
    text: str  # one sentence


@dataclass(frozen=True, slots=True)
class Indexed:
    """A video is in the library, now or since an earlier run."""

    video: Source
    folder: Path  # of its index
    frames: int
    duration: float  # seconds of video
    seconds: float  # wall time that it took, also if that was in an earlier run
    shots: int
    faces: int  # faces in frames
    tracklets: int
    clusters: int
    people: int  # clusters that show a clear face
    warnings: tuple[str, ...]  # what could not be read of the video
    # Frames that were lost, as in IndexStats; None where an older version did not count them.
    frames_skipped: int | None
    frames_damaged: int | None
    frames_concealed: int | None
    frames_missing: int | None
    brief_faces: int | None  # faces that were there too briefly for a tracklet
    brief_seconds: float | None  # for which they were, in all
    skipped: str = ""  # why nothing was done; empty if the video was indexed now


@dataclass(frozen=True, slots=True)
class Failed:
    """A video that could not be indexed; the others go on, and an older index of it stays."""

    video: Source
    error: FaceReelError
    trace: str = ""  # Python's traceback, where there is one
    by_machine: bool = False  # its process died, or the machine lacks something: another one may index it


@dataclass(frozen=True, slots=True)
class BeingIndexed:
    """Another process is indexing a video, and this one did not wait for it."""

    video: Source


@dataclass(frozen=True, slots=True)
class PartRead:
    """A part of a video was read, or could not be."""

    start: int  # as in Part
    failure: str = ""  # why not, a clause; empty for a part that was read


Outcome: TypeAlias = Indexed | Failed | BeingIndexed  # of a job; the last of a video counts
Event: TypeAlias = Started | Progress | Note | Outcome
Arriving: TypeAlias = Callable[[], Sequence[Job]]  # gives jobs that have come since it was called last


def nothing_arrives() -> Sequence[Job]:
    """For a run whose jobs are all known when it begins."""
    return ()


class Runner(Protocol):
    """Runs jobs, on this machine or on others."""

    def run(self, jobs: Sequence[Job], arriving: Arriving = nothing_arrives) -> Generator[Event, None, None]:
        """Yield events as they happen: for each job Started, Progress and Note, and last its Outcome.

        While jobs are under way `arriving` is asked about once a second for more, which begin where there is room.
        What ended with BeingIndexed is tried once more after all others; its video then has these events twice.
        Raises EngineError when no worker can load the engine. Closing the generator stops what is under way.
        """
        ...
