"""The sparse scan beside a search of every frame: it must give the same clips."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from facereel.store.model.boxes import iou, xywh_to_xyxy
from tests.benchmarks.figures import Figure, at_least, at_most
from tests.benchmarks.run_facereel import Answer, ask
from tests.benchmarks.scoring import ClipScore, score_clips

EVERY = ("--scan", "every")
LARGEST_SLIP = 1  # frames
SAME_FACE = 0.5  # IoU


@dataclass(slots=True)
class Difference:
    """How far two answers lie apart."""

    clips: int = 0  # of the search of every frame
    unpaired: int = 0  # clips of either that the other has not
    rows: list[dict[str, Any]] = field(default_factory=list)  # those, and pairs whose edges lie far apart
    slips: list[int] = field(default_factory=list)  # frames between their edges, two a pair
    ious: list[float] = field(default_factory=list)  # of boxes in frames of both

    def add(self, other: Difference) -> None:
        """Sum up."""
        self.clips += other.clips
        self.unpaired += other.unpaired
        self.rows += other.rows
        self.slips += other.slips
        self.ious += other.ious


@dataclass(frozen=True, slots=True, eq=False)
class Compared:
    """One video, both ways."""

    difference: Difference
    sparse: ClipScore
    every: ClipScore
    missed: float | None = (
        None  # share of all faces of the search of every frame that the sparse scan has not
    )
    surplus: float | None = None  # the other way round


def compare(video: Path, truth: Mapping[str, Any], references: Mapping[str, Sequence[Path]]) -> Compared:
    """Index and ask both ways; scores are against the truth."""
    sparse, every = ask(video, references), ask(video, references, EVERY)
    faces, every_faces = _faces(sparse), _faces(every)
    result = Compared(
        Difference(),
        ClipScore(),
        ClipScore(),
        missing_faces(every_faces, faces),
        missing_faces(faces, every_faces),
    )
    for person in references:
        result.difference.add(difference(sparse, every, person))
        result.sparse.add(score_clips(truth, person, sparse.people[person]["clips"]))
        result.every.add(score_clips(truth, person, every.people[person]["clips"]))
    return result


def row(name: str, result: Compared) -> dict[str, Any]:
    """A line of the table."""
    off = result.difference
    return {
        "video": name, "clips": off.clips, "unpaired": off.unpaired, "worst edge": max(off.slips, default=None),
        "IoU": statistics.median(off.ious) if off.ious else None,
        "recall": result.sparse.recall if result.sparse.must else None,
        "recall every": result.every.recall if result.every.must else None,
        "wrong": len(result.sparse.wrong), "wrong every": len(result.every.wrong),
        "faces missed": result.missed, "faces surplus": result.surplus,
    }  # fmt: skip


def clip_rows(name: str, result: Compared) -> list[dict[str, Any]]:
    """A line for each clip that only one of the two scans finds or that begins or ends elsewhere, to be looked at."""
    return [{"video": name, **clip} for clip in result.difference.rows]


def figures(compared: Sequence[Compared]) -> list[Figure]:
    """What must be seen over all videos."""
    total = Compared(Difference(), ClipScore(), ClipScore())
    for result in compared:
        total.difference.add(result.difference)
        total.sparse.add(result.sparse)
        total.every.add(result.every)
    off = total.difference
    far = sum(slip > LARGEST_SLIP for slip in off.slips)
    both = total.sparse.must and total.every.must
    return [
        at_most("clips that one of the two scans has alone", off.unpaired, 0),
        at_most(f"edges more than {LARGEST_SLIP} frame apart", far, 0),
        at_least("boxes: median IoU between the two", statistics.median(off.ious) if off.ious else None, 0.9),
        at_least(
            "recall, less that of every frame", total.sparse.recall - total.every.recall if both else None, 0
        ),
        at_most(
            "wrong frames, less those of every frame", len(total.sparse.wrong) - len(total.every.wrong), 0
        ),
    ]


def difference(sparse: Answer, every: Answer, person: str) -> Difference:
    """Clips are paired by the most frames that they share."""
    result, left = Difference(), list(sparse.people[person]["clips"])
    for clip in every.people[person]["clips"]:
        result.clips += 1
        mate = max(left, key=lambda other: _shared(clip, other), default=None)
        if mate is None or _shared(clip, mate) <= 0:
            result.unpaired += 1
            result.rows.append({"scan": "every", **_row(person, clip, sparse, None)})
            continue
        left.remove(mate)
        slips = [abs(clip[edge] - mate[edge]) for edge in ("start_frame", "end_frame")]
        result.slips += slips
        result.ious += _overlaps(clip, mate)
        if max(slips) > LARGEST_SLIP:
            result.rows.append({"scan": "every", **_row(person, clip, sparse, mate)})
    result.unpaired += len(left)
    result.rows += [{"scan": "default", **_row(person, clip, every, None)} for clip in left]
    return result


def _row(
    person: str, clip: Mapping[str, Any], other: Answer, mate: Mapping[str, Any] | None
) -> dict[str, Any]:
    """A clip, and what the other scan has instead: a share of the clip's frames each."""
    frames = clip["end_frame"] - clip["start_frame"]
    middle = clip["frames"][frames // 2]
    clips = sum(max(0, _shared(clip, one)) for one in other.people[person]["clips"])
    boxes = {frame["frame"]: [frame["box"]] for frame in clip["frames"]}
    return {
        "person": person, "frames": _span(clip), "the other's": _span(mate) if mate else None,
        "at": middle["frame"], "box": " ".join(f"{value:.0f}" for value in middle["box"]),
        "similarity": clip["similarity"], "matched": clip["matched"],
        "begins": clip["start_reason"], "ends": clip["end_reason"],
        "face followed": 1 - (missing_faces(boxes, _faces(other)) or 0.0),  # as whomever
        "in its clips": clips / frames,  # of the same person: one of the scans cuts in two
    }  # fmt: skip


def _span(clip: Mapping[str, Any]) -> str:
    return f"{clip['start_frame']}-{clip['end_frame']}"


def _faces(answer: Answer) -> dict[int, list[list[float]]]:
    """The boxes of all tracklets, x y w h, by frame."""
    boxes: dict[int, list[list[float]]] = defaultdict(list)
    for by_frame in answer.tracklets.values():
        for frame, box in by_frame.items():
            boxes[frame].append(box)
    return boxes


def missing_faces(faces: dict[int, list[list[float]]], others: dict[int, list[list[float]]]) -> float | None:
    """The share of faces for which there is none among the others, in the same frame and place."""
    count = sum(map(len, faces.values()))
    if not count:
        return None
    there = 0
    for frame, boxes in faces.items():
        if frame in others:
            corners = (xywh_to_xyxy(np.array(some, np.float32)) for some in (boxes, others[frame]))
            there += int((iou(*corners).max(axis=1) >= SAME_FACE).sum())
    return 1 - there / count


def _shared(clip: Mapping[str, Any], other: Mapping[str, Any]) -> int:
    start = max(clip["start_frame"], other["start_frame"])
    return int(min(clip["end_frame"], other["end_frame"]) - start)


def _overlaps(clip: Mapping[str, Any], other: Mapping[str, Any]) -> list[float]:
    boxes, others = ({frame["frame"]: frame["box"] for frame in item["frames"]} for item in (clip, other))
    both = sorted(boxes.keys() & others.keys())
    corners = (
        xywh_to_xyxy(np.array([some[frame] for frame in both], np.float32)) for some in (boxes, others)
    )
    return [float(iou(a[None], b[None])[0, 0]) for a, b in zip(*corners, strict=True)]
