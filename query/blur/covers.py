"""Decides which of the faces are covered in which frames, and of which the program is not sure."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Literal

import numpy as np

from facereel.query.blur.follow import HOLD_SECONDS, SURE_SCORE, Detection, Track
from facereel.query.blur.paint import NOTHING, Covering
from facereel.query.blur.search import FoundFaces
from facereel.store.model.boxes import iou, xywh_to_xyxy
from facereel.store.model.records import Floats

_LONG_SECONDS = 1.0  # a face that is not detected for longer is covered, but may be somewhere else
_SMALL = 20.0  # pixels: of narrower faces the detector misses some
# Frames before and after one whose boxes are covered in it, too: of a face that is half hidden, or turns, the detector
# gives a box of the wrong place or size now and then.
_BESIDE = 2
_SAME = 0.9  # iou from which on two boxes cover the same


@dataclass(frozen=True, slots=True)
class Selection:
    """Whose faces are covered."""

    mode: Literal["everybody", "keep", "only"] = "everybody"
    sure: frozenset[int] = frozenset()  # tracklets of the people who were named
    possible: frozenset[int] = frozenset()  # tracklets that may be theirs
    # Embeddings (K, D) of each tracklet in `sure`, and the similarity from which on a face is the same person's.
    looks: Mapping[int, Floats] = field(default_factory=dict)
    threshold: float = 1.0


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
    """Which faces are covered; each place of a face goes by the detections before and after it."""
    covered: dict[int, list[tuple[Floats, bool]]] = defaultdict(list)
    spared: dict[int, list[Floats]] = defaultdict(list)
    doubts: list[Doubt] = []
    face_tracks = 0
    for track in found.tracks:
        hides = _hides(track, selection)
        face_tracks += any(hides.values())
        for frame, detection in track.detections.items():
            if hides[frame]:
                surely = detection.score >= SURE_SCORE or detection.tracklet != 0
                covered[frame].append((detection.box, surely))
                reach = _enclosing(track, frame)
                if float(iou(xywh_to_xyxy(reach[None]), xywh_to_xyxy(detection.box[None]))[0, 0]) < _SAME:
                    covered[frame].append((reach, False))
            elif selection.mode == "keep":
                spared[frame].append(detection.box)
        frames = list(track.detections)
        for frame, boxes in track.places.items():
            place = bisect_left(frames, frame)
            around = [hides[near] for near in frames[max(0, place - 1) : place + 1]]
            if any(around):
                covered[frame] += [(box, False) for box in boxes]
        doubts += _doubts(track, hides, selection, frame_rate, len(found.times.pts))
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


def _hides(track: Track, selection: Selection) -> dict[int, bool]:
    """Whether the face is covered in each frame in which it is detected."""
    frames = track.detections
    if selection.mode == "everybody":
        return dict.fromkeys(frames, True)
    if selection.mode == "keep":
        return {frame: not _is_kept(found, track, selection) for frame, found in frames.items()}
    own = {frame: found.tracklet in selection.sure for frame, found in frames.items() if found.tracklet}
    # What the index does not have goes with what it has before or after it.
    known = sorted(own)
    hides = {}
    for frame in frames:
        place = bisect_left(known, frame)
        near = known[place : place + 1] if frame in own else known[max(0, place - 1) : place + 1]
        hides[frame] = any(own[other] for other in near)
    return hides


def _is_kept(found: Detection, track: Track, selection: Selection) -> bool:
    """Whether a detected face surely is one of those that stay visible: by the index, or by its look.

    By its look only where the same face is followed to a tracklet of the index that is surely theirs.
    """
    if found.tracklet:
        return found.tracklet in selection.sure
    if found.embedding is None:
        return False
    tracklets = {other.tracklet for other in track.detections.values()} & selection.looks.keys()
    return any(
        float((selection.looks[tracklet] @ found.embedding).max()) >= selection.threshold
        for tracklet in tracklets
    )


def _doubts(
    track: Track, hides: Mapping[int, bool], selection: Selection, rate: float, count: int
) -> Iterator[Doubt]:
    """What of a face somebody should look at; of one that stays visible in all frames only whether that is right."""
    if selection.mode == "only":
        yield from _uncovered(track, hides, selection)
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


def _uncovered(track: Track, hides: Mapping[int, bool], selection: Selection) -> Iterator[Doubt]:
    """Faces that stay visible, but may be those that were to be covered."""
    frames = [frame for frame in track.detections if not hides[frame]]
    by_tracklet = groupby(frames, key=lambda frame: track.detections[frame].tracklet)
    for tracklet, own in by_tracklet:
        span = list(own)
        found = track.detections[span[0]]
        if tracklet in selection.possible:
            why = "not covered, but it may be the person"
        elif not tracklet and track.is_sure:
            why = "not covered; nobody could be recognised"
        else:
            continue
        yield Doubt(span[0], span[-1] + 1, why, _box(found.box), found.tracklet)


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
