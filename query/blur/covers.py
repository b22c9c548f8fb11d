"""Turns the faces that are hidden into what is covered in each frame, and says of which the program is not sure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np

from facereel.query.blur.follow import HOLD_SECONDS, SURE_SCORE, Track
from facereel.query.blur.hidden import Hidden, covered_frames, hidden_faces
from facereel.query.blur.paint import NOTHING, Covering
from facereel.query.blur.search import FoundFaces
from facereel.query.blur.selection import Selection
from facereel.store.model.boxes import iou, xywh_to_xyxy
from facereel.store.model.records import Floats

_LONG_SECONDS = 1.0  # a face that is not detected for longer is covered, but may be somewhere else
_SMALL = 20.0  # pixels: of narrower faces the detector misses some
_UNSURE = {
    "keep": "covered, but it may be the person; somebody else is, or was, right there",
    "only": "covered, but it may be somebody else; the person is, or was, right there",
}
_WHOSE = "covered, but it may be somebody else; the face does not tell"
# Frames before and after one whose boxes are covered in it, too: of a face that is half hidden, or turns, the detector
# gives a box of the wrong place or size now and then.
_BESIDE = 2
_SAME = 0.9  # iou from which on two boxes cover the same


@dataclass(frozen=True, slots=True)
class Doubt:
    """Frames [start, end) at which somebody should look."""

    start: int
    end: int
    why: str  # one sentence
    box: tuple[float, float, float, float]  # x y w h where it begins, displayed pixels
    tracklet: int = 0  # of the index; 0 for none
    faces: int = 1  # that are doubtful for this reason


@dataclass(frozen=True, slots=True, eq=False)
class Covers:
    """What is covered, and what is doubtful."""

    by_frame: Mapping[int, Covering]
    doubts: tuple[Doubt, ...]  # by time
    face_tracks: int  # of which anything is covered

    def of(self, frame: int) -> Covering:
        """What of a frame is covered."""
        return self.by_frame.get(frame, NOTHING)


def choose(found: FoundFaces, selection: Selection, frame_rate: float) -> Covers:
    """What is covered of all faces that are found, and what is doubtful."""
    covered: dict[int, list[tuple[Floats, bool]]] = defaultdict(list)
    spared: dict[int, list[Floats]] = defaultdict(list)
    doubts: list[Doubt] = []
    face_tracks = 0
    hidden = hidden_faces(found, selection, frame_rate)
    for track in found.tracks:
        hides = hidden.covered[track.number]
        face_tracks += any(hides.values())
        # Whom the index may mean is covered also where they are only expected, over whoever else is there.
        over_others = selection.mode == "only" and any(
            found.tracklet and found.tracklet not in selection.others for found in track.detections.values()
        )
        for frame in covered_frames(hides, track):
            covered[frame] += [(box, over_others) for box in track.places.get(frame, ())]
            if frame not in hides:
                continue
            detection = track.detections[frame]
            surely = over_others or detection.score >= SURE_SCORE or detection.tracklet != 0
            covered[frame].append((detection.box, surely))
            reach = _enclosing(track, frame)
            if float(iou(xywh_to_xyxy(reach[None]), xywh_to_xyxy(detection.box[None]))[0, 0]) < _SAME:
                covered[frame].append((reach, over_others))
        for frame, detection in track.detections.items():
            if not hides[frame]:
                spared[frame].append(detection.box)
        doubts += _doubts(track, hidden, selection, frame_rate, len(found.times.pts))
    by_frame = {
        frame: Covering(
            np.array([box for box, _ in boxes], np.float32), np.array([sure for _, sure in boxes]),
            np.array(spared.get(frame, []), np.float32).reshape(-1, 4),
        )
        for frame, boxes in covered.items()
    }  # fmt: skip
    return Covers(
        by_frame, tuple(sorted(_merged(doubts), key=lambda doubt: (doubt.start, doubt.end))), face_tracks
    )


def _enclosing(track: Track, frame: int) -> Floats:
    """The box around those of a face in a frame and in those beside it."""
    near = range(frame - _BESIDE, frame + _BESIDE + 1)
    corners = xywh_to_xyxy(np.array([track.detections[n].box for n in near if n in track.detections]))
    return np.concatenate(
        [corners[:, :2].min(axis=0), corners[:, 2:].max(axis=0) - corners[:, :2].min(axis=0)]
    )


def _doubts(track: Track, hidden: Hidden, selection: Selection, rate: float, count: int) -> Iterator[Doubt]:
    """What of a face somebody should look at; nothing of one that stays visible in all frames."""
    hides = hidden.covered[track.number]
    for start, end in _runs(sorted(hidden.unsure.get(track.number, ()))):
        found = track.detections[start]
        yield Doubt(start, end, _UNSURE[selection.mode], _box(found.box), found.tracklet)
    if selection.mode == "only" and track.is_sure:
        yield from _whose(track, hides, selection, hidden.unsure.get(track.number, set()))
    if any(hides.values()):
        long = _LONG_SECONDS * rate
        if track.is_sure:
            yield from _missed(track, long, min(count, track.end + round(HOLD_SECONDS * rate)))
        elif len(track.detections) > long:
            why = "what may be a face or none is covered only where it looks like one"
            yield Doubt(track.start, track.end, why, _box(track.first.box))


def _missed(track: Track, long: float, rest: int) -> Iterator[Doubt]:
    """Where a face may not be covered; one that goes out of sight may be there up to the frame `rest`."""
    if np.median([found.box[2] for found in track.detections.values()]) < _SMALL:
        why = f"faces below {_SMALL:.0f} px; others as small may be missed"
        yield Doubt(track.start, track.end, why, _box(track.first.box))
    for run in _runs(sorted(set(track.places) - set(track.detections))):
        if run[1] - run[0] > long:
            why = "a face is not detected for long; it is covered where it was followed"
            yield Doubt(*run, why, _box(track.places[run[0]][0]))
    if track.ended_in_picture and track.end < rest:
        last = track.end - 1
        box = track.places[last][0] if last in track.places else track.detections[last].box
        yield Doubt(track.end, rest, "a face was lost inside the picture; it may still be there", _box(box))
    if track.window_ended:
        why = "a face may have been there before; it was not followed further back"
        yield Doubt(track.start, track.start + 1, why, _box(track.first.box))


def _whose(
    track: Track, hides: Mapping[int, bool], selection: Selection, listed: Collection[int]
) -> Iterator[Doubt]:
    """Faces that are covered, but may be others than those that were to be covered."""
    doubtful = {
        frame for frame, found in track.detections.items()
        if hides[frame] and frame not in listed and found.tracklet not in selection.sure
    }  # fmt: skip
    runs = groupby(track.detections, key=lambda frame: (frame in doubtful, track.detections[frame].tracklet))
    for (is_doubtful, tracklet), own in runs:
        span = list(own)
        if is_doubtful:
            yield Doubt(span[0], span[-1] + 1, _WHOSE, _box(track.detections[span[0]].box), tracklet)


def _merged(doubts: Iterable[Doubt]) -> Iterator[Doubt]:
    """Doubts by time, those of one kind that overlap as one."""
    open_doubts: dict[tuple[str, int], Doubt] = {}
    for doubt in sorted(doubts, key=lambda doubt: (doubt.start, doubt.end)):
        kind = doubt.why, doubt.tracklet
        before = open_doubts.get(kind)
        if before is not None and doubt.start <= before.end:
            doubt = replace(before, end=max(before.end, doubt.end), faces=before.faces + 1)
        elif before is not None:
            yield before
        open_doubts[kind] = doubt
    yield from open_doubts.values()


def _box(box: Floats) -> tuple[float, float, float, float]:
    x, y, w, h = (round(value, 1) for value in box.tolist())
    return x, y, w, h


def _runs(frames: Sequence[int]) -> list[tuple[int, int]]:
    """Runs [start, end) of successive numbers."""
    runs: list[tuple[int, int]] = []
    for frame in frames:
        if runs and runs[-1][1] == frame:
            runs[-1] = runs[-1][0], frame + 1
        else:
            runs.append((frame, frame + 1))
    return runs
