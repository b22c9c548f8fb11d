"""One video of a data set: its matches are measured, parted into pieces, and the pieces are written."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np

from facereel.indexer.media.source import check_source
from facereel.query.clips.cutter import Sink, decode_clips
from facereel.query.clips.facts import with_facts
from facereel.query.clips.measure import FaceMeter
from facereel.query.clips.mp4 import Colours
from facereel.query.clips.plan import ClipOptions, plan_clips
from facereel.query.clips.resample import Plane
from facereel.query.dataset.manifest import row_of
from facereel.query.dataset.notes import (
    Note,
    is_written,
    keep_pieces,
    read_note,
    remove_video,
    write_note,
    written_pieces,
)
from facereel.query.dataset.options import DatasetOptions
from facereel.query.dataset.piece_file import PieceFile
from facereel.query.dataset.pieces import Filtered, failures, good_stretches, piece_of, split, total
from facereel.query.dataset.speech import loudness_at
from facereel.query.records import ClipPlan, MatchingTracklet
from facereel.query.text import count
from facereel.store.model.boxes import iou, xywh_to_xyxy
from facereel.store.model.errors import CutError, VideoError
from facereel.store.model.records import FrameTimes, Sightings
from facereel.store.model.version import FACEREEL_VERSION, RESULTS_VERSION

_SAME_FACE = 0.5  # overlap (iou) of the median boxes of one piece by two indexes


@dataclass(frozen=True, slots=True, eq=False)
class OwnedMatch:
    """A match, and whose it is."""

    identity: str  # name of the folder
    name: str
    match: MatchingTracklet
    sightings: Sightings


@dataclass(frozen=True, slots=True, eq=False)
class VideoMatches:
    """The matches of a data set in one video."""

    folder: Path  # of the index
    times: FrameTimes
    matches: list[OwnedMatch]

    @property
    def name(self) -> str:
        """The name of the video's folders in the data set."""
        return self.folder.name


def write_video(found: VideoMatches, options: DatasetOptions, out: Path, stop: Event) -> tuple[Note, int]:
    """Write what is missing of a video; gives its note, and how many pieces were written.

    What is complete needs the video no more. Raises VideoError, StoreError, CutError, also where `stop` is set, and
    OSError. Also where the video is away no piece stays that shows somebody whom the answer has not there any more.
    """
    fingerprint, earlier, matches = _fingerprint(found, options), read_note(out, found.name), found.matches
    note = earlier if earlier is not None and earlier.fingerprint == fingerprint else None
    missing = {row["tracklet"] for row in note.rows if not is_written(out, row["file"])} if note else set()
    if note is not None and note.complete and not missing:
        return note, 0
    try:
        check_source(found.matches[0].match.video, store=found.folder.parent)
    except VideoError as error:
        if note is None and (removed := _remove_stale(found, earlier, out)):
            raise VideoError(
                f"{error}; {removed} of it that show nobody of the answer any more were deleted"
            ) from error
        raise
    if note is not None:
        matches = [one for one in matches if one.match.tracklet.number in missing]
        pieces, _ = _plan(found, matches, options, stop)
    else:
        remove_video(out, found.name)
        pieces, filtered = _plan(found, matches, options, stop)
        video = matches[0].match.video
        rows = tuple(row_of(piece, one.identity, one.name, options, video.has_audio) for one, piece in pieces)
        note = Note(fingerprint, False, rows, filtered)
        write_note(out, found.name, note)
    written = _write(
        found, [piece for _, piece in pieces if not is_written(out, piece.file)], options, out, stop
    )
    if not note.complete:
        note = replace(note, complete=True)
        write_note(out, found.name, note)
    return note, written


def _remove_stale(found: VideoMatches, note: Note | None, out: Path) -> str:
    """Delete the pieces of an earlier answer that this one does not have; gives how many in words, if there are any."""
    # Without a note that can be read, the names of the files say who is in which frames.
    earlier = note.rows if note is not None else [*map(_row_by_name, written_pieces(out, found.name))]
    rows = tuple(row for row in earlier if any(_holds(one, row) for one in found.matches))
    if note is not None and len(rows) < len(earlier):
        # What is left answers no question: also where a rejection is undone the video is made anew once it is back.
        write_note(out, found.name, replace(note, fingerprint="", complete=False, rows=rows))
    keep_pieces(out, found.name, {row["file"] for row in rows})
    return count(len(earlier) - len(rows), "piece") if len(rows) < len(earlier) else ""


def _row_by_name(file: str) -> dict[str, Any]:
    """What the name of a piece says of it; without frames where it is not the name of one."""
    identity, _, piece = file.split("/")
    start, _, end = piece.removesuffix(".mp4").partition("-")
    frames = (int(start), int(end)) if start.isdecimal() and end.isdecimal() else (-1, -1)
    return {"file": file, "id": identity, "start_frame": frames[0], "end_frame": frames[1]}


def _holds(one: OwnedMatch, row: Mapping[str, Any]) -> bool:
    """Whether a match has the face of a piece in all its frames, for the same person."""
    first = int(one.sightings.frames[0])
    start, end = row["start_frame"] - first, row["end_frame"] - first
    if one.identity != row["id"] or start < 0 or end > len(one.sightings):
        return False
    if "box" not in row:
        return True
    box = np.median(one.sightings.boxes[start:end], axis=0)
    pair = xywh_to_xyxy(np.array([box, row["box"]], np.float32))
    return float(iou(pair[:1], pair[1:])[0, 0]) >= _SAME_FACE


def _fingerprint(found: VideoMatches, options: DatasetOptions) -> str:
    """Of all that the pieces of a video follow from."""
    matches: list[Any] = [
        [one.identity, one.name, one.match.tracklet.number, int(one.sightings.frames[0]), len(one.sightings),
         one.match.matched, one.match.certainty, float(one.match.similarity)]
        for one in found.matches
    ]  # fmt: skip
    index = found.matches[0].match.version
    made_of = [FACEREEL_VERSION, RESULTS_VERSION, index, options.to_document(), matches]
    return hashlib.sha256(json.dumps(made_of).encode()).hexdigest()


def _plan(
    found: VideoMatches, matches: Sequence[OwnedMatch], options: DatasetOptions, stop: Event
) -> tuple[list[tuple[OwnedMatch, ClipPlan]], dict[str, Filtered]]:
    """The pieces of some matches, and what is left out of these by each filter."""
    if not matches:
        return [], {}
    owners = {_key(one.match, int(one.sightings.frames[0])): one for one in matches}
    video = matches[0].match.video
    clips, _ = plan_clips(
        [(one.match, one.sightings) for one in matches],
        {video.sha256: found.times},
        ClipOptions(size=options.size),
    )
    clips = with_facts(clips, {})
    # What fails by the index alone is not decoded.
    by_index = replace(options, max_yaw=None, min_sharpness=None)
    parts = [good_stretches(clip, failures(clip, by_index), options.min_seconds) for clip in clips]
    measured = _measured(found, [clip for clip, (good, _) in zip(clips, parts, strict=True) if good], stop)
    pieces, counts = [], [filtered for good, filtered in parts if not good]
    for clip in measured:
        owner = owners[_key(clip.match, clip.start)]
        stretches, filtered = good_stretches(clip, failures(clip, options), options.min_seconds)
        counts.append(filtered)
        for start, end in stretches:
            spans, rest = _spans(clip, start, end, options)
            counts.append(rest)
            for first, last in spans:
                file = f"{owner.identity}/{found.name}/{clip.start + first:07}-{clip.start + last:07}.mp4"
                pieces.append((owner, piece_of(clip, first, last, file)))
    return pieces, total(counts)


def _spans(
    clip: ClipPlan, start: int, end: int, options: DatasetOptions
) -> tuple[list[tuple[int, int]], dict[str, Filtered]]:
    """The frames [start, end) of a clip in pieces of the wanted lengths, and what fills none of them."""
    video = clip.match.video
    ticks = clip.ticks[start : end + 1]
    if int(ticks[-1] - ticks[0]) * video.time_base <= options.max_seconds:
        return [(start, end)], {}
    loudness = loudness_at(video, ticks)
    spans = split(ticks, loudness, video.time_base, options)
    done = spans[-1][1] if spans else 0
    rest = float(int(ticks[-1] - ticks[done]) * video.time_base)
    return [(start + a, start + b) for a, b in spans], {"short": Filtered(1, rest)} if rest else {}


def _measured(found: VideoMatches, clips: Sequence[ClipPlan], stop: Event) -> list[ClipPlan]:
    """The clips with all facts, in the same order; decodes their frames."""
    done: dict[str, ClipPlan] = {}
    _decode(found, clips, lambda clip, colours: _Measuring(clip, stop), done)
    return [done[clip.file] for clip in clips]


def _write(
    found: VideoMatches, pieces: Sequence[ClipPlan], options: DatasetOptions, out: Path, stop: Event
) -> int:
    """Write pieces; gives how many."""

    def begin(piece: ClipPlan, colours: Colours) -> PieceFile:
        _check(stop)
        return PieceFile(piece, out, colours, options.rate)

    done: dict[str, ClipPlan] = {}
    _decode(found, pieces, begin, done)
    return len(done)


def _decode(
    found: VideoMatches,
    clips: Sequence[ClipPlan],
    begin: Callable[[ClipPlan, Colours], Sink],
    done: dict[str, ClipPlan],
) -> None:
    if clips:
        video = clips[0].match.video
        decode_clips(video, clips, found.times, begin, lambda clip: done.update({clip.file: clip}))


class _Measuring:
    """The sink of a clip whose face is only measured."""

    def __init__(self, clip: ClipPlan, stop: Event) -> None:
        if clip.facts is None:
            raise ValueError("a clip is measured once its facts were looked up")
        self._clip, self._meter, self._stop = clip, FaceMeter(clip, clip.facts), stop

    def write(self, planes: list[Plane]) -> None:
        """Measure the next frame."""
        _check(self._stop)
        self._meter.add(planes)

    def finish(self) -> ClipPlan:
        """The clip with what was measured."""
        return replace(self._clip, facts=self._meter.facts())

    def discard(self) -> None:
        """There is nothing to delete."""


def _check(stop: Event) -> None:
    if stop.is_set():
        raise CutError("stopped; run it again to go on")


def _key(match: MatchingTracklet, start: int) -> tuple[int, int]:
    return match.tracklet.number, start
