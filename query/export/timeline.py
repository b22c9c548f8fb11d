"""Clips -> timelines: which frames of which file stand where, for editing programs. The one result that all formats of
editors are written from.

An editing program places frames on an even grid. Where a video's own frames lie on such a grid, every frame number is
that of the video; where its rate varies, each cut goes to the nearest frame of the grid, and how far that is from the
source is stated. Everything counts in whole frames or exact fractions of seconds.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path, PurePath
from typing import TYPE_CHECKING
from urllib.parse import quote

import numpy as np

from facereel.query.export.timecode import (
    base_of,
    frames_of,
    grid_positions,
    is_constant,
    nominal_rate,
    timecode_of,
)
from facereel.query.records import Certainty, ClipPlan
from facereel.store.model.records import FrameTimes, Video

if TYPE_CHECKING:
    from facereel.indexer.media.tags import SourceTags


@dataclass(frozen=True, slots=True)
class Media:
    """A video file on the grid of its rate."""

    name: str  # of the file
    file: str  # path, relative to the folder of the timeline unless absolute ones are wanted
    url: str  # the same for XML and JSON
    width: int  # pixels as displayed
    height: int
    rate: Fraction  # frames a second
    frame_count: int  # of the grid
    start: int  # timecode of the first frame, frames since 00:00:00:00
    drop: bool  # drop-frame timecode
    reel: str | None
    channels: int  # of the sound; 0: none
    sound_rate: int  # Hz
    constant: bool  # its own frames are those of the grid


@dataclass(frozen=True, slots=True)
class Event:
    """A stretch of a video on a timeline."""

    media: Media
    person: str
    colour: int  # the number of the person on the timeline, from 0
    certainty: Certainty
    similarity: float
    start: int  # frames [start, end) of the media's grid
    end: int
    person_start: int  # those of them in which the person is visible
    person_end: int
    record: int  # where it stands on the timeline, frames from its start
    start_time: Fraction  # when the person appears and goes, seconds as a player shows them
    end_time: Fraction
    distance: Fraction  # how far the grid's cuts are from the source's, at most, seconds

    @property
    def length(self) -> int:
        """Frames."""
        return self.end - self.start

    def source_timecode(self, frame: int) -> str:
        """The source's timecode of a frame of the media's grid."""
        return timecode_of(self.media.start + frame, self.media.rate, self.media.drop)


@dataclass(frozen=True, slots=True)
class Timeline:
    """Stretches one after the other, all of one rate and kind of timecode."""

    name: str
    rate: Fraction
    drop: bool
    events: tuple[Event, ...]  # without gaps

    @property
    def start(self) -> int:
        """Its own timecode, frames since 00:00:00:00: an hour, as is usual, so that there is room before it."""
        base = base_of(self.rate)
        return 3600 * base - (54 * (base // 15) if self.drop else 0)  # 54 of 60 minutes skip numbers

    @property
    def length(self) -> int:
        """Frames."""
        return sum(event.length for event in self.events)

    @property
    def label(self) -> str:
        """What tells timelines of one result apart: `23.976`, `25`, `29.97df`."""
        rounded = f"{float(self.rate):.3f}" if base_of(self.rate) == 24 else f"{float(self.rate):.2f}"
        return (rounded.rstrip("0").rstrip(".")) + ("df" if self.drop else "")

    @property
    def media(self) -> tuple[Media, ...]:
        """The files, in the order in which they first appear."""
        return tuple(dict.fromkeys(event.media for event in self.events))

    def of(self, media: Media) -> Timeline:
        """The same with the events of one file alone, named after that."""
        own = [event for event in self.events if event.media == media]
        return replace(self, name=media.name, events=_in_a_row(own))

    def timecode(self, frame: int) -> str:
        """The timeline's own timecode of one of its frames, counted from its start."""
        return timecode_of(self.start + frame, self.rate, self.drop)


def place(path: Path, folder: Path, absolute: bool) -> tuple[str, str]:
    """A file as seen from a folder: path and URL, relative if possible and not `absolute`."""
    if not absolute:
        try:
            relative = PurePath(os.path.relpath(path, folder.resolve())).as_posix()
            return relative, quote(os.fsencode(relative))
        except ValueError:  # another drive of Windows
            pass
    return str(path), path.absolute().as_uri()


def media_of(
    video: Video, times: FrameTimes, tags: SourceTags, folder: Path, absolute: bool = False
) -> Media:
    """A video on its grid, for a timeline that is written into `folder`.

    Without a timecode of its own, or with one that does not exist at its rate, the first frame is 00:00:00:00.
    """
    rate = nominal_rate(video.frame_rate, times, video.time_base)
    start, drop = frames_of(tags.timecode or "", rate) or (0, False)
    file, url = place(Path(video.path), folder, absolute)
    end = np.array([times.end_pts(len(times.pts)) - times.pts[0]])
    return Media(
        name=video.name, file=file, url=url, width=video.width, height=video.height, rate=rate,
        frame_count=int(grid_positions(end, video.time_base, rate)[0]), start=start, drop=drop, reel=tags.reel,
        channels=tags.channels, sound_rate=tags.sound_rate, constant=is_constant(times, video.time_base, rate),
    )  # fmt: skip


def timelines(
    name: str,
    people: Sequence[tuple[str, Sequence[ClipPlan]]],
    media: Mapping[str, Media],
    times: Mapping[str, FrameTimes],
) -> tuple[Timeline, ...]:
    """The clips of people one after the other, person by person: a timeline for each rate and kind of timecode.

    `media` and `times` go by the video's sha256.
    """
    groups: dict[tuple[Fraction, bool], list[Event]] = {}
    for colour, (person, clips) in enumerate(people):
        for clip in clips:
            content = clip.match.video.sha256
            event = _event(clip, person, colour, media[content], times[content])
            groups.setdefault((event.media.rate, event.media.drop), []).append(event)
    return tuple(Timeline(name, rate, drop, _in_a_row(own)) for (rate, drop), own in groups.items())


def _event(clip: ClipPlan, person: str, colour: int, media: Media, times: FrameTimes) -> Event:
    video, match = clip.match.video, clip.match
    ticks = np.array([clip.ticks[0], clip.ticks[-1], *clip.person_ticks]) - times.pts[0]
    start, end, person_start, person_end = grid_positions(ticks, video.time_base, media.rate).tolist()
    end, person_end = max(end, start + 1), max(person_end, person_start + 1)
    off = (
        abs(frame / media.rate - int(tick) * video.time_base)
        for frame, tick in zip((start, end), ticks, strict=False)
    )
    return Event(
        media=media, person=person, colour=colour, certainty=match.certainty, similarity=match.similarity,
        start=start, end=end, person_start=person_start, person_end=person_end, record=0,
        start_time=_seconds(video, clip.person_ticks[0]), end_time=_seconds(video, clip.person_ticks[1]),
        distance=Fraction(0) if media.constant else max(off),
    )  # fmt: skip


def _seconds(video: Video, pts: int) -> Fraction:
    return max(Fraction(0), (pts - video.origin_pts) * video.time_base)


def _in_a_row(events: Iterable[Event]) -> tuple[Event, ...]:
    placed, record = [], 0
    for event in events:
        placed.append(replace(event, record=record))
        record += event.length
    return tuple(placed)
