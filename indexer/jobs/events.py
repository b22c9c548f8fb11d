"""What indexing reports while it runs, as frozen records."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from facereel.store.model.errors import FaceReelError


@dataclass(frozen=True, slots=True)
class Started:
    """A worker begins with a video."""

    video: Path
    number: int  # from 1, in the order in which videos begin
    total: int  # videos in this run


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a video is; at most ten a second."""

    video: Path
    done: int  # frames
    total: int  # frames as far as known, 0 for unknown


@dataclass(frozen=True, slots=True)
class Note:
    """Something to know about a video while it is being indexed."""

    video: Path
    text: str  # one sentence


@dataclass(frozen=True, slots=True)
class Indexed:
    """A video is in the library, now or since an earlier run."""

    video: Path
    folder: Path  # of its index
    frames: int
    duration: float  # seconds of video
    seconds: float  # wall time that it took, also if that was in an earlier run
    shots: int
    faces: int  # faces in frames
    tracklets: int
    clusters: int
    warnings: tuple[str, ...]  # what could not be read of the video
    # Frames that were lost, as in IndexStats; None where an older version did not count them.
    frames_skipped: int | None
    frames_damaged: int | None
    frames_concealed: int | None
    frames_missing: int | None
    skipped: str = ""  # why nothing was done; empty if the video was indexed now


@dataclass(frozen=True, slots=True)
class Failed:
    """A video that could not be indexed; the others go on."""

    video: Path
    error: FaceReelError
    trace: str = ""  # Python's traceback, where there is one


Event: TypeAlias = Started | Progress | Note | Indexed | Failed
