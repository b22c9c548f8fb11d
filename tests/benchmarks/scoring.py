"""Scores clips against truth: pure functions of truth files and of what a query wrote.

Same meaning and numbers as the hand-checked truth's own scorer where a truth has only what that one knows; a
rendered truth adds gradual changes, edges with their windows, and partial occlusions. A truth that says `partial`
does not list every face: there a box on no listed face, in a shot of the person, is unlisted instead of wrong.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

Truth: TypeAlias = Mapping[str, Any]
Clip: TypeAlias = Mapping[str, Any]
Box: TypeAlias = Sequence[float]

RIGHT = 0.4  # IoU from which a box is on that face (the hand-checked truth's scorer)
SLACK = 2  # frames by which a boundary may miss a gradual change


@dataclass(slots=True)
class ClipScore:
    """What became of one person in one video; counts, so that scores of many videos can be added."""

    must: int = 0  # frames in which the person must be found
    hits: int = 0  # of them in a clip, on the right face
    frames: int = 0  # frames in clips
    wrong: list[int] = field(default_factory=list)  # frames whose box is on somebody else or on nobody
    unlisted: list[int] = field(
        default_factory=list
    )  # frames whose box is on nothing that a partial truth lists
    clips: int = 0
    cuts: int = 0  # clips that hold a scene change
    hidden: int = 0  # clips that hold a full occlusion of two frames or more
    hidden_one: int = 0  # clips that hold one of a single frame
    ious: list[float] = field(default_factory=list)  # on right frames
    edges: list[tuple[str, int]] = field(default_factory=list)  # kind, frames off (negative: too early)
    partials: int = 0  # partial occlusions seen
    partial_splits: int = 0  # of them where clips break

    def add(self, other: ClipScore) -> None:
        """Take the counts of another score in."""
        for name in (
            "must",
            "hits",
            "frames",
            "clips",
            "cuts",
            "hidden",
            "hidden_one",
            "partials",
            "partial_splits",
        ):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.wrong.extend(other.wrong)
        self.unlisted.extend(other.unlisted)
        self.ious.extend(other.ious)
        self.edges.extend(other.edges)

    @property
    def recall(self) -> float:
        """Share of the frames that must be found; 1 when there are none."""
        return self.hits / self.must if self.must else 1.0


def iou(a: Box, b: Box) -> float:
    """Overlap of two boxes x y w h, 0..1."""
    x0, y0 = max(a[0], b[0]), max(a[1], b[1])
    x1, y1 = min(a[0] + a[2], b[0] + b[2]), min(a[1] + a[3], b[1] + b[3])
    common = max(0.0, x1 - x0) * max(0.0, y1 - y0)
    return common / (a[2] * a[3] + b[2] * b[3] - common + 1e-9)


def score_clips(truth: Truth, person: str, clips: Sequence[Clip]) -> ClipScore:
    """Score the clips that were found of one person in one video."""
    own = truth["people"][person]
    faces = boxes_by_frame(truth, person)
    others = [boxes_by_frame(truth, name) for name in truth["people"] if name != person]
    may = frames_in(own["may"]) | set(truth["ghost_frames"])
    must = set(faces) - may
    objects = {int(f): boxes for f, boxes in truth.get("objects", {}).items()}
    shots_with_person = {_shot(truth, f) for f in (*faces, *may)} if truth.get("partial") else set()
    score = ClipScore(must=len(must), clips=len(clips))
    right: set[int] = set()
    for clip in clips:
        for row in clip["frames"]:
            frame, box = int(row["frame"]), clipped(truth, row["box"])
            best = iou(box, faces[frame]) if frame in faces else 0.0
            worst = max((iou(box, other[frame]) for other in others if frame in other), default=0.0)
            if best >= RIGHT and best >= worst:
                right.add(frame)
                score.ious.append(best)
            elif worst >= RIGHT:
                score.wrong.append(frame)
            elif frame not in may:
                on_object = any(iou(box, thing) >= RIGHT for thing in objects.get(frame, ()))
                unlisted = _shot(truth, frame) in shots_with_person and not on_object
                (score.unlisted if unlisted else score.wrong).append(frame)
            score.frames += 1
        _count_spans(score, truth, own, clip)
    score.hits = len(right & must)
    _score_edges(score, own, clips)
    _score_partials(score, truth, own, clips)
    return score


def boxes_by_frame(truth: Truth, person: str) -> dict[int, list[float]]:
    """Where a person plainly is, clipped to the picture when its size is known."""
    return {int(f): clipped(truth, box) for f, box in truth["people"][person]["frames"].items()}


def clipped(truth: Truth, box: Box) -> list[float]:
    """The part of a box inside the picture, when the truth tells the picture's size."""
    if "width" not in truth:
        return list(box)
    x0, y0 = max(box[0], 0.0), max(box[1], 0.0)
    x1, y1 = min(box[0] + box[2], truth["width"]), min(box[1] + box[3], truth["height"])
    return [x0, y0, max(0.0, x1 - x0), max(0.0, y1 - y0)]


def frames_in(ranges: Sequence[Sequence[int]]) -> set[int]:
    """Every frame of half-open ranges."""
    return {f for a, b in ranges for f in range(a, b)}


def spans_change(truth: Truth, start: int, end: int) -> bool:
    """Whether a clip [start, end) holds a scene change, ends inside a gradual one allowed."""
    if "changes" in truth:
        return any(
            start < a < end if a == b else start < a - SLACK and end > b + SLACK
            for _, a, b in truth["changes"]
        )
    ghosts = set(truth["ghost_frames"])
    sure = [k for k in truth["shots"] if k not in truth["unsure_cuts"] and k - 1 not in ghosts]
    # A ghost is a frame that shows both sides: a clip may hold it, not more.
    return any(start < k < end for k in sure) or any(
        start < k - 1 and k < end for k in truth["shots"] if k - 1 in ghosts
    )


def _shot(truth: Truth, frame: int) -> int:
    """Number of the shot that a frame is in."""
    return bisect_right(sorted(truth["shots"]), frame)


def _count_spans(score: ClipScore, truth: Truth, own: Truth, clip: Clip) -> None:
    start, end = clip["start_frame"], clip["end_frame"]
    score.cuts += spans_change(truth, start, end)
    score.hidden += any(start < a and b < end for a, b in own["hidden"] if b - a > 1)
    score.hidden_one += any(start < a and b < end for a, b in own["hidden"] if b - a == 1)


def _score_edges(score: ClipScore, own: Truth, clips: Sequence[Clip]) -> None:
    """How far clips miss the ends of each stretch; a stretch without a clip only costs recall."""
    for stretch in own.get("stretches", ()):
        first, last = stretch["frames"]
        inside = [c for c in clips if c["start_frame"] < last and c["end_frame"] > first]
        if not inside:
            continue
        start = min(c["start_frame"] for c in inside)
        end = max(c["end_frame"] for c in inside)
        for kind_window, at in ((stretch["start"], start), (stretch["end"], end)):
            kind, low, high = kind_window
            score.edges.append((kind, at - high if at > high else min(0, at - low)))


def _score_partials(score: ClipScore, truth: Truth, own: Truth, clips: Sequence[Clip]) -> None:
    """A partial occlusion splits when no clip covers it whole though the face stays to be seen."""
    present = {int(f) for f in own["frames"]}
    for kind, start, end in truth.get("events", ()):
        if kind != "partial" or not all(f in present for f in range(start, end)):
            continue
        touching = [c for c in clips if c["start_frame"] < end and c["end_frame"] > start]
        if touching:
            score.partials += 1
            score.partial_splits += not any(
                c["start_frame"] <= start and c["end_frame"] >= end for c in touching
            )
