"""Decides which of the detected faces are covered: by the index, and where people meet by what is safe.

Where two faces come near each other, neither the index nor a look at one frame surely says who is who: the one that is
detected may be the one in front or the one behind. There both are covered.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np

from facereel.query.blur.follow import HOLD_SECONDS, SURE_SCORE, Detection, Track
from facereel.query.blur.search import FoundFaces
from facereel.query.blur.selection import Selection
from facereel.store.model.boxes import overlap_of_smaller, xywh_to_xyxy
from facereel.store.model.records import Floats

# Overlap, as a share of the smaller box, from which on a place where somebody else is expected, or somebody else's
# detection, may show instead of a face. Boxes of faces cheek by cheek overlap by less.
_EXPECTED_OVERLAP = 0.1
_DETECTED_OVERLAP = 0.3
_APART = 0.1  # less overlap: two faces that are there at the same time
# Seconds about the change of one face to another in one place, in which either may be the one that is detected.
_CHANGE_SECONDS = 0.4
_CONTACT_SECONDS = 0.1  # before and after an overlap: boxes of half hidden faces jump

_Covered: TypeAlias = dict[int, dict[int, bool]]  # by number of track and frame of the detection
_Boxes: TypeAlias = dict[int, list[tuple[int, Floats, float]]]  # by frame: track, box, overlap that counts


@dataclass(frozen=True, slots=True, eq=False)
class Hidden:
    """Which faces are covered, by number of track and frame of the detection."""

    covered: _Covered
    unsure: Mapping[int, set[int]] = field(
        default_factory=dict
    )  # frames covered because it is not sure whose it is


def covered_frames(own: Mapping[int, bool], track: Track) -> Iterator[int]:
    """The frames in which a face is covered; where it is not detected it is as before or after, the safer of both."""
    frames = list(own)
    yield from (frame for frame in frames if own[frame])
    yield from (
        frame for frame in track.places
        if frame not in own and any(own[near] for near in _beside(frames, frame))
    )  # fmt: skip


def hidden_faces(found: FoundFaces, selection: Selection, frame_rate: float) -> Hidden:
    """Decide for each detected face."""
    tracks = found.tracks
    if selection.mode == "everybody":
        return Hidden({track.number: dict.fromkeys(track.detections, True) for track in tracks})
    hold = max(2, round(HOLD_SECONDS * frame_rate))
    change = max(2, round(_CHANGE_SECONDS * frame_rate))
    contact = max(2, round(_CONTACT_SECONDS * frame_rate))
    if selection.mode == "keep":
        covered = {track.number: _not_kept(track, selection) for track in tracks}
        near = _boxes_near(tracks, covered, _strangers(tracks, covered, selection.sure), hold)
        doubtful: dict[int, set[int]] = {track.number: set() for track in tracks}
    else:
        covered = {track.number: _not_others(track, selection.others, hold) for track in tracks}
        near = _boxes_near(tracks, covered, _known(tracks, selection.sure), hold)
        doubtful = _maybe_exchanged(tracks, near, selection, hold)
    own = selection.sure if selection.mode == "keep" else selection.others
    for track in tracks:
        doubtful[track.number] |= _near_a_change(track, own, change)
        doubtful[track.number] |= _contacts(track, near, contact)
    return Hidden(covered, _cover(covered, doubtful))


def _cover(covered: _Covered, more: Mapping[int, set[int]]) -> dict[int, set[int]]:
    """Cover more frames; gives those that were not covered before."""
    new = {
        number: {frame for frame in frames if not covered[number][frame]} for number, frames in more.items()
    }
    for number, frames in new.items():
        covered[number].update(dict.fromkeys(frames, True))
    return new


def _not_kept(track: Track, selection: Selection) -> dict[int, bool]:
    """With --keep: which faces are not surely of those who stay visible, by the index or by their look.

    By the look only where the same face is followed to tracklets of the index that all surely are theirs.
    """
    known = [frame for frame, found in track.detections.items() if found.tracklet]
    own = {found.tracklet for found in track.detections.values()} & selection.sure
    covered = {}
    for frame, found in track.detections.items():
        if found.tracklet:
            covered[frame] = found.tracklet not in selection.sure
        else:
            place = bisect_left(known, frame)
            beside = [track.detections[near].tracklet for near in known[max(0, place - 1) : place + 1]]
            covered[frame] = not (selection.sure.issuperset(beside) and not own.isdisjoint(found.like))
    return covered


def _not_others(track: Track, others: frozenset[int], hold: int) -> dict[int, bool]:
    """With --only: which faces are not surely somebody else's.

    A face that the index does not have is somebody else's where the same one shortly before or after is, and not
    shortly after or before the person.
    """
    known = [frame for frame, found in track.detections.items() if found.tracklet]
    covered = {}
    for frame, found in track.detections.items():
        near = [other for other in _beside(known, frame) if abs(frame - other) <= hold]
        tracklets = {found.tracklet} if found.tracklet else {track.detections[one].tracklet for one in near}
        covered[frame] = not tracklets or not tracklets <= others
    return covered


def _near_a_change(track: Track, tracklets: frozenset[int], reach: int) -> set[int]:
    """Frames of a track about where it changes to or from these: who was there may still be, and the other already."""
    sides = [
        [
            frame for frame, found in track.detections.items()
            if found.tracklet and (found.tracklet in tracklets) == own
        ]
        for own in (True, False)
    ]  # fmt: skip
    return {
        frame for frame in track.detections
        if all(any(abs(frame - other) <= reach for other in _beside(side, frame)) for side in sides)
    }  # fmt: skip


def _known(tracks: Sequence[Track], tracklets: frozenset[int]) -> dict[int, list[int]]:
    """Frames of each track in which the index has the face in one of the tracklets."""
    return {
        track.number: [frame for frame, found in track.detections.items() if found.tracklet in tracklets]
        for track in tracks
    }


def _strangers(tracks: Sequence[Track], covered: _Covered, kept: frozenset[int]) -> dict[int, list[int]]:
    """Frames of each track in which the face surely is of others than the people who are kept.

    Other faces that are covered may be parts of a kept one: the index says so, or a kept one is there beside it.
    """
    visible: dict[int, list[Floats]] = defaultdict(list)
    for track in tracks:
        for frame, found in track.detections.items():
            if not covered[track.number][frame]:
                visible[frame].append(found.box)

    def surely(own: dict[int, bool], frame: int, found: Detection) -> bool:
        if found.tracklet:
            return found.tracklet not in kept
        return (
            own[frame] and found.score >= SURE_SCORE
            and any(_overlap(found.box, box) < _APART for box in visible.get(frame, ()))
        )  # fmt: skip

    return {
        track.number: [
            frame for frame, found in track.detections.items()
            if surely(covered[track.number], frame, found)
        ]
        for track in tracks
    }  # fmt: skip


def _boxes_near(
    tracks: Sequence[Track], covered: _Covered, surely: Mapping[int, Sequence[int]], hold: int
) -> _Boxes:
    """Where faces are covered that surely are there, or were or will be at most `hold` frames away."""
    boxes: _Boxes = defaultdict(list)
    for track in tracks:
        frames = list(track.detections)
        for frame in covered_frames(covered[track.number], track):
            if any(abs(frame - near) <= hold for near in _beside(surely[track.number], frame)):
                boxes[frame] += [(track.number, *one) for one in _boxes_at(track, frames, frame)]
    return boxes


def _contacts(track: Track, near: _Boxes, reach: int) -> set[int]:
    """Frames of a track in which, or about which, one of the boxes near overlaps it."""
    contacts = [
        frame for frame, found in track.detections.items()
        if _meets(found.box, near.get(frame, ()), _DETECTED_OVERLAP, but=track.number)
    ]  # fmt: skip
    return {
        frame for frame in track.detections
        if any(abs(frame - contact) <= reach for contact in _beside(contacts, frame))
    }  # fmt: skip


def _maybe_exchanged(
    tracks: Sequence[Track], person: _Boxes, selection: Selection, hold: int
) -> dict[int, set[int]]:
    """With --only: frames of tracklets that are somebody else's, but met the person.

    What makes them somebody else's is mostly that the person is to be seen beside them. Before or after a meeting
    without such a frame it may be the person: the index may not have noticed that one tracklet shows both.
    """
    beside: dict[int, list[Floats]] = defaultdict(list)
    for track in tracks:
        for frame, found in track.detections.items():
            if found.tracklet in selection.sure:
                beside[frame].append(found.box)
    exchanged: dict[int, set[int]] = {}
    for track in tracks:
        exchanged[track.number] = set()
        for tracklet in {found.tracklet for found in track.detections.values()} & selection.others:
            own = {
                frame: found.box for frame, found in track.detections.items() if found.tracklet == tracklet
            }
            met = [
                frame for frame, box in own.items()
                if _meets(box, person.get(frame, ()), _DETECTED_OVERLAP, but=track.number)
            ]  # fmt: skip
            proven = {
                bisect_left(met, frame) for frame, box in own.items()
                if frame in beside and all(_overlap(box, other) < _APART for other in beside[frame])
            }  # fmt: skip
            if met:
                exchanged[track.number].update(
                    frame for frame in own if bisect_left(met, frame) not in proven
                )
        near = sorted(exchanged[track.number])
        exchanged[track.number].update(
            frame
            for frame, found in track.detections.items()
            if not found.tracklet and any(abs(frame - other) <= hold for other in _beside(near, frame))
        )
    return exchanged


def _boxes_at(track: Track, detected: Sequence[int], frame: int) -> Iterator[tuple[Floats, float]]:
    """The boxes of a track in a frame, and the overlap with another's that counts; `detected` are its frames."""
    if frame in track.detections:
        yield track.detections[frame].box, _DETECTED_OVERLAP
    for box in track.places.get(frame, ()):
        yield (
            _as_detected(box, [track.detections[near] for near in _beside(detected, frame)]),
            _EXPECTED_OVERLAP,
        )


def _as_detected(box: Floats, beside: Sequence[Detection]) -> Floats:
    """A box, which grows while a face is not detected, about its middle in the size of the detections beside it."""
    sides = np.minimum(box[2:], [found.box[2:] for found in beside]).max(axis=0)
    return np.concatenate([box[:2] + (box[2:] - sides) / 2, sides]).astype(np.float32)


def _meets(box: Floats, near: Iterable[tuple[int, Floats, float]], overlap: float, but: int) -> bool:
    """Whether a box overlaps one of another track than `but`; of two overlaps that would count the smaller one does."""
    return any(number != but and _overlap(box, other) >= min(overlap, least) for number, other, least in near)


def _overlap(box: Floats, other: Floats) -> float:
    return float(overlap_of_smaller(xywh_to_xyxy(box[None]), xywh_to_xyxy(other[None]))[0, 0])


def _beside(frames: Sequence[int], frame: int) -> Sequence[int]:
    """The frames before and after one, or from it on; `frames` in order."""
    place = bisect_left(frames, frame)
    return frames[max(0, place - 1) : place + 1]
