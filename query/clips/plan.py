"""Matches -> clips: which frames, which crop of each, the size and name of the file. Cuts nothing and reads no file."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import get_args

import numpy as np

from facereel.query.clips import framing
from facereel.query.export.editors import ExportOptions
from facereel.query.records import ClipPlan, CropMode, MatchingTracklet
from facereel.store.files.names import result_name
from facereel.store.model.errors import OptionError
from facereel.store.model.records import Floats, FrameTimes, Ints, Sightings, Video

# Hardware decoders of browsers and phones fail below 64 pixels a side. Above 1024 a face gains nothing that a
# recogniser or a viewer uses, while the file grows with the square.
MIN_SIDE, MAX_DEFAULT_SIDE = 64, 1024
MAX_SIDE = 4096  # the widest picture of H.264 level 5.1, which all players support


@dataclass(frozen=True, slots=True)
class ClipOptions:
    """How clips are made and written."""

    crop: CropMode = "follow"
    size: int | None = None  # longer side of the file's picture, pixels; None: that of the median crop
    min_duration: float = 0.0  # seconds; shorter matches become no clips
    overwrite: bool = False  # replace the result of another query
    absolute: bool = False  # write absolute paths into the metadata
    export: ExportOptions = field(default_factory=ExportOptions)  # beside the clips

    def check(self) -> None:
        """Raise OptionError for a value out of its range."""
        if self.crop not in get_args(CropMode):
            raise OptionError(f"--crop must be one of {', '.join(get_args(CropMode))}, not {self.crop!r}")
        if self.size is not None and self.crop == "none":
            raise OptionError(f"--size {self.size} needs a crop; use it with --crop follow or tube")
        if self.size is not None and (self.size % 2 or not MIN_SIDE <= self.size <= MAX_SIDE):
            raise OptionError(f"--size must be even, {MIN_SIDE} to {MAX_SIDE}, not {self.size}")
        self.export.check()
        if not self.min_duration >= 0:
            raise OptionError(f"--min-duration must be 0 or more seconds, not {self.min_duration:g}")


def plan_clips(
    matches: Sequence[tuple[MatchingTracklet, Sightings]],
    times: Mapping[str, FrameTimes],
    options: ClipOptions | None = None,
) -> tuple[list[ClipPlan], int]:
    """Make each match a clip; also count the matches that are too short.

    `times` go by the video's sha256. Clips are ordered by video, in the order in which these first appear, then by
    time. Two matches never share a clip. Raises OptionError for options out of range.
    """
    options = options or ClipOptions()
    options.check()
    videos = list(dict.fromkeys(match.video.sha256 for match, _ in matches))

    def order(pair: tuple[MatchingTracklet, Sightings]) -> tuple[int, int, int]:
        match, sightings = pair
        return videos.index(match.video.sha256), int(sightings.frames[0]), match.tracklet.number

    clips: list[ClipPlan] = []
    for match, sightings in sorted(matches, key=order):
        video, frame_times = match.video, times[match.video.sha256]
        start, end = int(sightings.frames[0]), int(sightings.frames[-1]) + 1
        ticks = np.append(frame_times.pts[start:end], frame_times.end_pts(end))
        if float(int(ticks[-1] - ticks[0]) * video.time_base) >= options.min_duration:
            clips.append(_clip(match, sightings, ticks, options, len(clips) + 1))
    return clips, len(matches) - len(clips)


def _clip(
    match: MatchingTracklet, sightings: Sightings, ticks: Ints, options: ClipOptions, number: int
) -> ClipPlan:
    seconds = np.asarray((ticks[:-1] - match.video.origin_pts) * float(match.video.time_base), np.float64)
    crops = _crops(match.video, sightings, seconds, options.crop)
    if options.crop == "none":
        width, height = int(crops[0, 2]), int(crops[0, 3])
    else:
        width, height = _output_size(crops, options.size)
    start, end, tracklet = int(sightings.frames[0]), int(sightings.frames[-1]) + 1, match.tracklet
    return ClipPlan(
        match=match, file=_file_name(match.video, number, int(ticks[0])), start=start, end=end,
        start_reason=tracklet.start_reason if start == tracklet.start else "other_person",
        end_reason=tracklet.end_reason if end == tracklet.end else "other_person",
        ticks=ticks, sightings=sightings, crops=crops, mode=options.crop, width=width, height=height,
    )  # fmt: skip


def _crops(video: Video, sightings: Sightings, seconds: framing.Series, mode: CropMode) -> Floats:
    """Crops (N, 4) x y w h for the frames of the sightings, shown at `seconds` (N,)."""
    if mode == "follow":
        return framing.follow(sightings.boxes, seconds, video.width, video.height)
    if mode == "tube":
        box = framing.tube(sightings.boxes, video.width, video.height)
    else:
        # H.264 in yuv420p has even sides: an odd picture loses its last row or column, nothing is resampled.
        box = np.array([0, 0, max(2, video.width // 2 * 2), max(2, video.height // 2 * 2)], np.float32)
    return np.tile(box, (len(sightings), 1))


def _output_size(crops: Floats, size: int | None) -> tuple[int, int]:
    """Even width and height with the aspect of the crops (N, 4); the longer side is `size` or the median crop's.

    With the median, most frames are neither enlarged nor reduced.
    """
    w, h = np.median(crops[:, 2:], axis=0)
    longer = size or float(np.clip(max(w, h), MIN_SIDE, MAX_DEFAULT_SIDE))
    scale = longer / max(w, h)
    return max(2, round(w * scale / 2) * 2), max(2, round(h * scale / 2) * 2)


def _file_name(video: Video, number: int, tick: int) -> str:
    """`movie_0001_00-00-03.337.mp4`: unique by its number in the result, allowed on every file system."""
    milliseconds = max(0, round(video.seconds(tick) * 1000))
    seconds, milliseconds = divmod(milliseconds, 1000)
    stem = result_name(unicodedata.normalize("NFC", Path(video.name).stem), "video")
    moment = f"{seconds // 3600:02}-{seconds // 60 % 60:02}-{seconds % 60:02}.{milliseconds:03}"
    return f"{stem}_{number:04}_{moment}.mp4"
