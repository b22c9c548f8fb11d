"""Matches -> clips: which frames, which crop of each, how large a file. Pure; cutting is cutter.py's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import get_args

import numpy as np

from facereel.query.clips import framing
from facereel.query.records import Clip, CropMode, Match
from facereel.store.model.errors import OptionError
from facereel.store.model.records import Floats, FrameTimes, Sightings, Video

# Below 64 pixels a side, hardware decoders of browsers and phones give up; above 1024 a face gains nothing
# that a recogniser or a viewer of heads uses, and the file grows with the square.
SMALLEST, LARGEST = 64, 1024
LARGEST_ASKED = 4096  # the widest picture that H.264 level 5.1 holds, which players must know


def plan_clips(
    matches: Sequence[tuple[Match, Sightings]],
    times: Mapping[str, FrameTimes],
    mode: CropMode = "follow",
    size: int | None = None,
    min_duration: float = 0.0,
) -> tuple[list[Clip], int]:
    """Make each match a clip, never joined with another, and count those shorter than `min_duration` seconds.

    `times` by the video's sha256. Clips come video by video, as these first appear, in order of time. `size`
    is the side of the file's picture, pixels; without it the median crop decides, so that most frames are
    neither blown up nor thrown away. Raises OptionError for a mode, size or duration out of range.
    """
    _check(mode, size, min_duration)
    videos = list(dict.fromkeys(match.video.sha256 for match, _ in matches))

    def place(pair: tuple[Match, Sightings]) -> tuple[int, int, int]:
        match, sightings = pair
        return videos.index(match.video.sha256), int(sightings.frames[0]), match.tracklet.number

    clips = []
    for match, sightings in sorted(matches, key=place):
        video_times = times[match.video.sha256]
        start, end = int(sightings.frames[0]), int(sightings.frames[-1]) + 1
        if match.video.duration(video_times, start, end) >= min_duration:
            clips.append(_clip(match, sightings, video_times, mode, size))
    return clips, len(matches) - len(clips)


def _check(mode: str, size: int | None, min_duration: float) -> None:
    if mode not in get_args(CropMode):
        raise OptionError(f"crop {mode!r} is unknown; use one of {', '.join(get_args(CropMode))}")
    if size is not None and mode == "none":
        raise OptionError(f"size {size} needs a crop; use it with crop follow or tube, or leave it out")
    if size is not None and (size % 2 or not SMALLEST <= size <= LARGEST_ASKED):
        raise OptionError(f"size {size} cannot be; give an even number from {SMALLEST} to {LARGEST_ASKED}")
    if not min_duration >= 0:
        raise OptionError(f"minimum duration {min_duration} cannot be used; give seconds, 0 or more")


def _clip(match: Match, sightings: Sightings, times: FrameTimes, mode: CropMode, size: int | None) -> Clip:
    crops = _crops(match.video, sightings, times, mode)
    if mode == "none":
        width, height = int(crops[0, 2]), int(crops[0, 3])
    else:
        width, height = _output_size(crops, size)
    return Clip(
        match=match, start=int(sightings.frames[0]), end=int(sightings.frames[-1]) + 1,
        start_reason=match.tracklet.start_reason, end_reason=match.tracklet.end_reason,
        sightings=sightings, crops=crops, mode=mode, width=width, height=height,
    )  # fmt: skip


def _crops(video: Video, sightings: Sightings, times: FrameTimes, mode: CropMode) -> Floats:
    if mode == "follow":
        seconds = np.asarray(
            (times.pts[sightings.frames] - video.origin_pts) * float(video.time_base), np.float64
        )
        return framing.follow(sightings.boxes, seconds, video.width, video.height)
    if mode == "tube":
        box = framing.tube(sightings.boxes, video.width, video.height)
    else:
        # H.264 in yuv420p has even sides: an odd picture loses its last row or column, nothing is resampled.
        box = np.array([0, 0, max(2, video.width // 2 * 2), max(2, video.height // 2 * 2)], np.float32)
    return np.tile(box, (len(sightings), 1))


def _output_size(crops: Floats, size: int | None) -> tuple[int, int]:
    """Even width and height with the crop's aspect; the longer side is `size`, or that of the median crop."""
    w, h = np.median(crops[:, 2:], axis=0)
    longer = size or float(np.clip(max(w, h), SMALLEST, LARGEST))
    scale = longer / max(w, h)
    return max(2, round(w * scale / 2) * 2), max(2, round(h * scale / 2) * 2)
