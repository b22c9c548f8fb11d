"""The parts of a long video, which several processes index at the same time: where they begin, and how they are joined.

A part is read like a run that resumes at a checkpoint, only that nobody has stored this checkpoint: the part's reader
begins a little earlier and finds it at the first hard cut behind the line between two parts. The part before goes on
to that cut. When both have the same checkpoint, and the same ticks up to there, what follows is what one pass finds.

Where no cut comes both end within a shot, and tracklets are joined that show one face in the two frames beside the
line. One that cannot be shown to go on becomes two.
"""

from __future__ import annotations

import pickle
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, TypeAlias

import numpy as np

from facereel.indexer.identity.splitting import MIN_OVER_STEP
from facereel.indexer.media.decode_log import DecodeLog
from facereel.indexer.media.video import Probe
from facereel.indexer.scan.clothes import join_clothes
from facereel.indexer.segments import line_step
from facereel.store.model.boxes import iou, xywh_to_xyxy
from facereel.store.model.records import (
    DETECTED,
    Checkpoint,
    Exemplar,
    FoundTracklet,
    FrameTimes,
    Part,
    Segment,
    Shot,
    Sightings,
)

# Before the line at which a part begins: the shot detector looks back over 2.4 s and the tracker over less, so that
# a part knows in time what one pass knows. More costs time, and the checkpoints are compared anyway.
WARM_UP_SECONDS = 10.0
MIN_PART_SECONDS = 120.0  # of a part: to load an engine and to read up to a part must pay
_SAME_PLACE = 0.5  # IoU of the boxes of one face in two consecutive frames; those of neighbours reach 0.2
_OTHER_PLACE = 0.2  # IoU from which on another face is so close that nobody can tell which one goes on

StoredSegment: TypeAlias = tuple[Segment, FrameTimes]


@dataclass(frozen=True, slots=True)
class PartEnd:
    """What is known of a part that was read; its segments lie in a file."""

    begin: Checkpoint  # at which its first segment begins
    within_shot: bool  # it does so within a shot
    log: DecodeLog  # ticks of all frames up to its end and a little further, and what was lost


def plan_parts(video: Probe, ticks: array[int], first: int, count: int) -> list[Part]:
    """Divide the frames from `first` on into one part for who reads on, and up to `count` more, of about one length.

    `ticks` are those of all frames.
    """
    step, frames = line_step(video.frame_rate), len(ticks) - first
    count = min(count, int(frames / (MIN_PART_SECONDS * video.frame_rate)) - 1)
    lines = [round((first + frames * n / (count + 1)) / step) * step for n in range(1, count + 1)]
    lines = sorted({line for line in lines if first < line < len(ticks)})
    ends = [*lines[1:], None] if lines else []
    warm_up = round(WARM_UP_SECONDS * video.frame_rate)
    return [
        Part(start, end, ticks[: max(0, start - warm_up) + 1].tobytes())
        for start, end in zip(lines, ends, strict=True)
    ]


def write_segment(file: IO[bytes], stored: StoredSegment) -> None:
    """Add a segment with the times of its frames to the file of a part."""
    pickle.dump(stored, file, pickle.HIGHEST_PROTOCOL)


def read_segments(path: Path) -> Iterator[StoredSegment]:
    """The segments in the file of a part, which this program has written in this run."""
    size = path.stat().st_size
    with open(path, "rb") as file:
        while file.tell() < size:
            yield pickle.load(file)


def renumber(segment: Segment, previous: Checkpoint, before: Checkpoint) -> Segment:
    """Give a segment of a part the numbers that it has after `before`; in its part it came after `previous`."""
    first = segment.shots[0].number
    shots = tuple(replace(shot, number=before.shots + place) for place, shot in enumerate(segment.shots))
    tracklets = tuple(
        (replace(tracklet, number=number, shot=before.shots + tracklet.shot - first), sightings, exemplars)
        for number, (tracklet, sightings, exemplars) in enumerate(
            segment.tracklets, start=before.tracklets + 1
        )
    )
    after = replace(
        segment.after,
        shots=before.shots + len(shots),
        tracklets=before.tracklets + len(tracklets),
        searched=before.searched + segment.after.searched - previous.searched,
        brief_faces=before.brief_faces + segment.after.brief_faces - previous.brief_faces,
        brief_seconds=before.brief_seconds + segment.after.brief_seconds - previous.brief_seconds,
    )
    return replace(segment, shots=shots, tracklets=tracklets, after=after)


def join_within_shot(first: Segment, second: Segment, scale: float, most: int) -> Segment:
    """One segment of two that meet within a shot; `first` has its final numbers, `second` those after it.

    Tracklets that show one face in the frames beside the line become one, with `most` exemplars at most; `scale` is
    that of the engine's similarities.
    """
    line = second.start
    last, following = first.shots[-1], second.shots[0]
    shots = (*first.shots[:-1], Shot(last.number, last.start, following.end))
    shots += tuple(replace(shot, number=shot.number - 1) for shot in second.shots[1:])
    ending = [place for place, found in enumerate(first.tracklets) if found[0].end == line]
    beginning = [place for place, found in enumerate(second.tracklets) if found[0].start == line]
    pairs = _same_faces(
        [first.tracklets[place] for place in ending], [second.tracklets[place] for place in beginning], scale
    )
    partners = {ending[a]: beginning[b] for a, b in pairs}
    tracklets = [
        _join_tracklets(found, second.tracklets[partners[place]], most) if place in partners else found
        for place, found in enumerate(first.tracklets)
    ]
    for place, (tracklet, sightings, exemplars) in enumerate(second.tracklets):
        if place in partners.values():
            continue
        if tracklet.start == line:
            tracklet = replace(tracklet, start_reason="identity_change")
        number = first.after.tracklets + 1 + len(tracklets) - len(first.tracklets)
        tracklets.append((replace(tracklet, number=number, shot=tracklet.shot - 1), sightings, exemplars))
    after = replace(
        second.after, shots=second.after.shots - 1, tracklets=second.after.tracklets - len(partners)
    )
    return Segment(first.start, shots, tuple(tracklets), after, second.within_shot)


def join_times(first: FrameTimes, second: FrameTimes) -> FrameTimes:
    """Those of frames that follow each other."""
    return FrameTimes(
        np.concatenate([first.pts, second.pts]), np.concatenate([first.durations, second.durations])
    )


def _same_faces(
    ending: Sequence[FoundTracklet], beginning: Sequence[FoundTracklet], scale: float
) -> list[tuple[int, int]]:
    """Which of the tracklets that end before a line go on in which of those that begin at it, by their positions.

    Two show one face if it is plainly at the same place, no other face is close to it on either side, and a crop
    before the line is like one after it, as where a track goes on over a slow step.
    """
    if not ending or not beginning:
        return []
    before = xywh_to_xyxy(np.stack([sightings.boxes[-1] for _, sightings, _ in ending]))
    after = xywh_to_xyxy(np.stack([sightings.boxes[0] for _, sightings, _ in beginning]))
    overlaps = iou(before, after)
    close = overlaps > _OTHER_PLACE
    return [
        (a, b)
        for a, b in zip(*(places.tolist() for places in np.nonzero(overlaps >= _SAME_PLACE)), strict=True)
        if close[a].sum() == 1
        and close[:, b].sum() == 1
        and _similarity(ending[a][2], beginning[b][2]) >= scale * MIN_OVER_STEP
    ]


def _similarity(exemplars: Sequence[Exemplar], others: Sequence[Exemplar]) -> float:
    """Of the two crops that are most alike."""
    one, other = (np.stack([exemplar.embedding for exemplar in side]) for side in (exemplars, others))
    return float((one @ other.T).max())


def _join_tracklets(first: FoundTracklet, second: FoundTracklet, most: int) -> FoundTracklet:
    """The tracklet that goes on from one to the other, with the number and shot of the first."""
    (tracklet, one, exemplars), (following, other, more) = first, second
    sightings = Sightings(
        *(
            np.concatenate([getattr(one, name), getattr(other, name)])
            for name in ("frames", "boxes", "scores", "sources")
        )
    )
    detected = sightings.sources == DETECTED
    best = sorted((*exemplars, *more), key=lambda exemplar: -exemplar.quality)[:most]
    return (
        replace(
            tracklet,
            end=following.end,
            end_reason=following.end_reason,
            face_width=float(np.median(sightings.boxes[:, 2])),
            score=float(sightings.scores[detected].mean()) if detected.any() else 0.0,
            clothes=join_clothes([(tracklet.clothes, len(one)), (following.clothes, len(other))]),
        ),
        sightings,
        tuple(sorted(best, key=lambda exemplar: exemplar.frame)),
    )
