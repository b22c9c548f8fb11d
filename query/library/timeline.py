"""Who is where in a video, and when, for whoever draws it: over the whole video, or in every frame of a stretch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from facereel.query.library.appearances import Piece
from facereel.store.files.names import printable
from facereel.store.index.reader import VideoIndex
from facereel.store.library.people import LibraryPerson
from facereel.store.model.errors import OptionError
from facereel.store.model.records import Floats

MOST_FRAMES = 2000  # of a FrameWindow: a crowd of fifty in each makes 100,000 boxes


@dataclass(frozen=True, slots=True)
class Stretch(Piece):
    """A face track of a video in short, and whose it is."""

    person: int | None  # of the library: by decision, else whose the cluster is; None: nobody's


@dataclass(frozen=True, slots=True, eq=False)
class Timeline:
    """A video from start to end, without what is in single frames."""

    folder: Path  # of the index
    video: str  # the file's name
    version: str  # changes with every change of the index
    width: int  # pixels as displayed
    height: int
    frame_rate: float  # average, for display only
    frames: int
    duration: float  # seconds, when the last frame ends
    shots: tuple[float, ...]  # when each starts, seconds
    stretches: tuple[Stretch, ...]  # by start
    people: tuple[LibraryPerson, ...]  # of whom a stretch is, by time on screen
    window: int  # frames from one of the next to the one after it
    window_starts: tuple[float, ...]  # when frames 0, window, 2 * window, ... start, seconds


@dataclass(frozen=True, slots=True, eq=False)
class FrameBoxes:
    """A face in the frames of a window that show it, one after another."""

    tracklet: int
    start: int  # the first of these frames
    boxes: Floats  # (N, 4) x y w h, pixels of the picture as displayed


@dataclass(frozen=True, slots=True, eq=False)
class FrameWindow:
    """Frames [start, end) of a video: when each is shown, and every face in them."""

    version: str  # of the index, as in Timeline
    start: int
    end: int
    times: tuple[
        float, ...
    ]  # when each frame starts, and when the last one ends: one more than frames, seconds
    faces: tuple[FrameBoxes, ...]  # by tracklet


def timeline(
    index: VideoIndex, owners: Mapping[int, int], person: Callable[[int], LibraryPerson], window: int
) -> Timeline:
    """A video as a whole; `owners` has the person of each tracklet, by number, and `person` tells who an id is."""
    with index.snapshot():
        times, tracklets, seconds = index.times(), index.tracklets(), index.tracklet_seconds()
        shots = index.shots()
    video = index.video
    stretches = tuple(
        Stretch(
            item.number, item.cluster, item.start, item.end, *seconds[item.number], owners.get(item.number)
        )
        for item in sorted(tracklets, key=lambda item: (item.start, item.number))
    )
    shown: dict[int, float] = {}
    for one in stretches:
        if one.person is not None:
            shown[one.person] = shown.get(one.person, 0.0) + one.end - one.start
    return Timeline(
        folder=index.folder, video=video.name, version=index.version.to_text(), width=video.width,
        height=video.height, frame_rate=float(video.frame_rate), frames=video.frame_count,
        duration=video.length(times), shots=tuple(video.seconds(int(times.pts[shot.start])) for shot in shots),
        stretches=stretches, people=tuple(map(person, sorted(shown, key=lambda one: (-shown[one], one)))),
        window=window, window_starts=tuple(map(video.seconds, times.pts[::window].tolist())),
    )  # fmt: skip


def frame_window(index: VideoIndex, start: int, end: int) -> FrameWindow:
    """The frames [start, end) of a video, fewer where it ends before; raises OptionError for what is no such range."""
    video = index.video
    end = min(end, video.frame_count)
    if not 0 <= start < end:
        raise OptionError(
            f"{printable(video.name)} has frames 0 to {video.frame_count - 1}; there is no window [{start}, {end})"
        )
    if end - start > MOST_FRAMES:
        raise OptionError(f"{end - start} frames are too many at once; ask for {MOST_FRAMES} at most")
    with index.snapshot():
        times, faces = index.times(start, end), index.faces_between(start, end)
    ticks = [*times.pts.tolist(), times.end_pts(end - start)]
    return FrameWindow(
        index.version.to_text(), start, end, tuple(map(video.seconds, ticks)),
        tuple(FrameBoxes(number, first, boxes) for number, (first, boxes) in sorted(faces.items())),
    )  # fmt: skip
