"""Matches -> clips: which frames, which crop of each, the size and name of the file. Cuts nothing and reads no file."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import groupby
from pathlib import Path
from statistics import median
from types import MappingProxyType
from typing import TypeAlias, get_args

import numpy as np

from facereel.query.clips import framing
from facereel.query.records import (
    Aspect,
    ClipPlan,
    Codec,
    CropMode,
    ExportOptions,
    FileFormat,
    MatchingTracklet,
)
from facereel.store.files.names import result_name
from facereel.store.model.errors import ContradictionError, OptionError
from facereel.store.model.records import Floats, FrameTimes, Ints, Shot, Sightings, Tracklet, Video

Pair: TypeAlias = tuple[MatchingTracklet, Sightings]

# Hardware decoders of browsers and phones fail below 64 pixels a side. Above 1024 a face gains nothing that a
# recogniser or a viewer uses, while the file grows with the square.
MIN_SIDE, MAX_DEFAULT_SIDE = 64, 1024
MAX_SIDE = 4096  # the widest picture of H.264 level 5.1, which all players support
MAX_HANDLES = 10_000  # frames; more than a shot of any film


@dataclass(frozen=True, slots=True)
class ClipOptions:
    """How clips are made and written."""

    crop: CropMode | None = None  # None: follow
    size: int | None = None  # longer side of the file's picture, pixels; None: that of the median crop
    min_duration: float = 0.0  # seconds; shorter matches become no clips
    overwrite: bool = False  # replace the result of another query
    absolute: bool = False  # write absolute paths into the metadata
    export: ExportOptions = field(default_factory=ExportOptions)  # beside the clips
    aspect: Aspect | None = None  # of the crop; None: a square, or the whole picture
    handles: int = 0  # frames that are added on either side of a match, inside its shot
    whole_shots: bool = False  # the shots of the matches, each once
    format: FileFormat | None = None  # None: mp4, for ProRes mov
    codec: Codec = "h264"

    @property
    def mode(self) -> CropMode:
        """The crop, also where none was named."""
        return self.crop or ("none" if self.codec == "copy" else "follow")

    @property
    def file_format(self) -> FileFormat:
        """The format, also where none was named."""
        return self.format or ("mov" if self.codec == "prores" else "mp4")

    @property
    def beyond_matches(self) -> bool:
        """Whether clips may hold more than the frames of their matches."""
        return self.handles > 0 or self.whole_shots

    def check(self) -> None:
        """Raise OptionError for a value out of its range, ContradictionError for options that rule each other out."""
        choices = (
            ("crop", self.crop, CropMode), ("aspect", self.aspect, Aspect), ("format", self.format, FileFormat),
            ("codec", self.codec, Codec),
        )  # fmt: skip
        for name, value, choice in choices:
            if value is not None and value not in get_args(choice):
                raise OptionError(f"--{name} must be one of {', '.join(get_args(choice))}, not {value!r}")
        if self.size is not None and (self.size % 2 or not MIN_SIDE <= self.size <= MAX_SIDE):
            raise OptionError(f"--size must be even, {MIN_SIDE} to {MAX_SIDE}, not {self.size}")
        if self.export.formats:
            from facereel.query.export.editors import check_formats  # imports every format

            check_formats(self.export.formats)
        if not self.min_duration >= 0:
            raise OptionError(f"--min-duration must be 0 or more seconds, not {self.min_duration:g}")
        if not 0 <= self.handles <= MAX_HANDLES:
            raise OptionError(f"--handles must be 0 to {MAX_HANDLES} frames, not {self.handles}")
        self._check_together()

    def _check_together(self) -> None:
        if self.codec == "prores" and self.file_format == "mp4":
            raise ContradictionError("--format mp4 cannot hold --codec prores; use --format mov")
        if self.codec == "copy":
            changes = (
                f"--crop {self.crop}" if self.mode != "none" else "",
                f"--aspect {self.aspect}" if self.aspect else "",
                f"--size {self.size}" if self.size else "",
            )
            if change := next(filter(None, changes), None):
                raise ContradictionError(
                    f"--codec copy leaves the picture as it is, without {change}; use --codec h264 for that"
                )
        if self.handles and self.whole_shots:
            raise ContradictionError(
                f"--whole-shots leaves nothing that --handles {self.handles} could add; give one of them"
            )


def plan_clips(
    matches: Sequence[Pair],
    times: Mapping[str, FrameTimes],
    options: ClipOptions | None = None,
    shots: Mapping[Path, Sequence[Shot]] = MappingProxyType({}),
) -> tuple[list[ClipPlan], int]:
    """Make each match a clip, or each shot with matches; also count the matches that are too short.

    `times` go by the video's sha256, `shots` by the folder of the index; these are needed where the options reach
    beyond the matches. Clips are ordered by video, in the order in which these first appear, then by time. Raises
    OptionError for options out of range.
    """
    options = options or ClipOptions()
    options.check()
    contents = dict.fromkeys(match.video.sha256 for match, _ in matches)
    places = {content: place for place, content in enumerate(contents)}

    def order(pair: Pair) -> tuple[int, int, int]:
        match, sightings = pair
        return places[match.video.sha256], int(sightings.frames[0]), match.tracklet.number

    def lasts(pair: Pair) -> bool:
        match, (start, end) = pair[0], _span(pair[1])
        return match.video.duration(times[match.video.sha256], start, end) >= options.min_duration

    long_enough = [pair for pair in sorted(matches, key=order) if lasts(pair)]
    groups = _by_shot(long_enough) if options.whole_shots else [[pair] for pair in long_enough]
    clips = [
        _clip(group, times[group[0][0].video.sha256], options, shots.get(group[0][0].folder, ()), number)
        for number, group in enumerate(groups, 1)
    ]
    return clips, len(matches) - len(long_enough)


def without_transitions(shots: Sequence[Shot], tracklets: Sequence[Tracklet]) -> tuple[Shot, ...]:
    """Shots without the frames of a dissolve, fade or wipe at their ends, as far as the tracklets tell.

    A tracklet that begins or ends with a scene change is free of them. Where none does, an index does not say how long
    the transition is, and the shot begins or ends in its middle.
    """
    starts = {one.shot: one.start for one in tracklets if one.start_reason == "scene_cut"}
    ends = {one.shot: one.end for one in tracklets if one.end_reason == "scene_cut"}
    return tuple(
        replace(shot, start=starts.get(shot.number, shot.start), end=ends.get(shot.number, shot.end))
        for shot in shots
    )


def _by_shot(pairs: Sequence[Pair]) -> list[list[Pair]]:
    """Matches that are shown by one shot, in order of time."""

    def shot(pair: Pair) -> tuple[Path, int]:
        return pair[0].folder, pair[0].tracklet.shot

    return [list(group) for _, group in groupby(pairs, shot)]


def _span(sightings: Sightings) -> tuple[int, int]:
    return int(sightings.frames[0]), int(sightings.frames[-1]) + 1


def _clip(
    group: Sequence[Pair], times: FrameTimes, options: ClipOptions, shots: Sequence[Shot], number: int
) -> ClipPlan:
    """The clip of a match, or of all matches of a shot, of which the longest is described."""
    match, own = max(group, key=lambda pair: len(pair[1]))
    person_start, person_end = _span(own)
    start, end = min(_span(pair[1])[0] for pair in group), max(_span(pair[1])[1] for pair in group)
    if options.beyond_matches:
        shot = next(shot for shot in shots if shot.number == match.tracklet.shot)
        reach = len(times.pts) if options.whole_shots else options.handles
        start, end = min(start, max(shot.start, start - reach)), max(end, min(shot.end, end + reach))
    ticks = np.append(times.pts[start:end], times.end_pts(end))
    sightings = _joined([pair[1] for pair in group])
    seconds = np.asarray((ticks[:-1] - match.video.origin_pts) * float(match.video.time_base), np.float64)
    crops = _crops(match.video, sightings, seconds, sightings.frames - start, options)
    width, height = _output_size(crops, options)
    tracklet = match.tracklet
    return ClipPlan(
        match=match, file=_file_name(match.video, number, int(ticks[0]), options.file_format), start=start, end=end,
        person_start=person_start, person_end=person_end,
        start_reason=tracklet.start_reason if person_start == tracklet.start else "other_person",
        end_reason=tracklet.end_reason if person_end == tracklet.end else "other_person",
        ticks=ticks, sightings=sightings, crops=crops, mode=options.mode, width=width, height=height,
        aspect=options.aspect, codec=options.codec,
    )  # fmt: skip


def _joined(sightings: Sequence[Sightings]) -> Sightings:
    """Sightings of one person in order of frames; of two in one frame the first."""
    if len(sightings) == 1:
        return sightings[0]
    frames, places = np.unique(np.concatenate([one.frames for one in sightings]), return_index=True)
    boxes, scores, sources = (
        np.concatenate([getattr(one, name) for one in sightings])[places]
        for name in ("boxes", "scores", "sources")
    )
    return Sightings(frames, boxes, scores, sources)


def _crops(
    video: Video, sightings: Sightings, seconds: framing.Series, places: Ints, options: ClipOptions
) -> Floats:
    """Crops (N, 4) x y w h for the frames of a clip, shown at `seconds` (N,), of which those at `places` have a face.

    Before the first face, between two and after the last one the crop goes on as it was, or steadily from one to
    the other.
    """
    aspect = None if options.aspect is None else float(Fraction(options.aspect.replace(":", "/")))
    size = video.width, video.height
    if options.mode == "tube":
        return np.tile(framing.tube(sightings.boxes, *size, aspect), (len(seconds), 1))
    if options.mode == "none" and aspect is None:
        # H.264 in yuv420p has even sides: an odd picture loses its last row or column, nothing is resampled.
        whole = [0, 0, max(2, video.width // 2 * 2), max(2, video.height // 2 * 2)]
        return np.tile(np.array(whole, np.float32), (len(seconds), 1))
    crops = framing.follow(
        sightings.boxes, seconds[places], *size, aspect or 1.0, largest=options.mode == "none"
    )
    if len(crops) == len(seconds):
        return crops
    columns = [np.interp(seconds, seconds[places], column) for column in crops.T]
    return np.column_stack(columns).astype(np.float32)


def _output_size(crops: Floats, options: ClipOptions) -> tuple[int, int]:
    """Even width and height with the shape of the crops (N, 4); the longer side is that of the options or the median's.

    With the median, most frames are neither enlarged nor reduced.
    """
    # np.median would import numpy.ma, a fiftieth of a query.
    w, h = (median(sides) for sides in crops[:, 2:].T.tolist())
    longer = float(max(w, h))
    if options.mode != "none":
        longer = float(np.clip(longer, MIN_SIDE, MAX_DEFAULT_SIDE))
    scale = (options.size or longer) / max(w, h)
    if options.aspect is not None and options.size is None and options.mode != "none":
        scale = max(scale, MIN_SIDE / min(w, h))  # as much as the square is enlarged
    return max(2, round(w * scale / 2) * 2), max(2, round(h * scale / 2) * 2)


def _file_name(video: Video, number: int, tick: int, ending: str) -> str:
    """`movie_0001_00-00-03.337.mp4`: unique by its number in the result, allowed on every file system."""
    milliseconds = max(0, round(video.seconds(tick) * 1000))
    seconds, milliseconds = divmod(milliseconds, 1000)
    stem = result_name(unicodedata.normalize("NFC", Path(video.name).stem), "video")
    moment = f"{seconds // 3600:02}-{seconds // 60 % 60:02}-{seconds % 60:02}.{milliseconds:03}"
    return f"{stem}_{number:04}_{moment}.{ending}"
