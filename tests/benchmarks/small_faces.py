"""Small faces, with a closer look and without: what of them is found, what is recognised, and what it costs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from facereel.indexer.engines.protocol import FaceEngine
from facereel.store.model.config import Config
from tests.benchmarks.figures import Figure, at_least, at_most
from tests.benchmarks.run_facereel import Answer, ask
from tests.benchmarks.scenarios import Rendered
from tests.benchmarks.scoring import RIGHT, Box, ClipScore, boxes_by_frame, iou, score_clips
from tests.benchmarks.stopwatch import cost_of
from tests.factories import index_contents

SMALLEST = (Config().min_face, 12)  # values of --min-face: the default first
ASKED = 6  # people a scene


def rows_of(width: int, rendered: Rendered, engine: FaceEngine) -> list[dict[str, Any]]:
    """A line for each way to look at a scene whose faces are all of that width."""
    return [_row(width, min_face, rendered, engine) for min_face in SMALLEST]


def figures(rows: list[dict[str, Any]]) -> list[Figure]:
    """What must be seen over all scenes."""
    plain, closer = ([row for row in rows if row["--min-face"] == chosen] for chosen in SMALLEST)
    what = f"faces of {closer[0]['face px']} px"
    return [
        at_least(f"{what} found by a closer look", closer[0]["found"], 0.85),
        Figure(f"{what} found without", plain[0]["found"], "", None),
        at_most("wrong-person frames by a closer look", sum(row["wrong"] for row in closer), 0),
        at_most("sightings on nobody by a closer look", sum(row["on nobody"] for row in closer), 0),
    ]


def _row(width: int, min_face: int, rendered: Rendered, engine: FaceEngine) -> dict[str, Any]:
    questions = {name: rendered.references[name] for name in sorted(rendered.references)[:ASKED]}
    answer, score = ask(rendered.video, questions, ("--min-face", str(min_face))), ClipScore()
    truth = _every_face_counts(rendered.truth)
    for person in questions:
        score.add(score_clips(truth, person, answer.people[person]["clips"]))
    share, stray = _share_found(truth, answer)
    config = Config(min_face=min_face)
    cost = cost_of(lambda: index_contents(rendered.video, engine, config))
    return {
        "face px": width, "--min-face": min_face, "found": share, "on nobody": stray,
        "tracklets": len(answer.tracklets), "recognised": score.recall, "wrong": len(score.wrong), "CPU s": cost.cpu,
    }  # fmt: skip


def _every_face_counts(truth: Mapping[str, Any]) -> dict[str, Any]:
    """The truth, but with faces asked for that are smaller than scenarios ask for."""
    return {**truth, "people": {name: {**person, "may": []} for name, person in truth["people"].items()}}


def _share_found(truth: Mapping[str, Any], answer: Answer) -> tuple[float, int]:
    """Share of all faces in all frames that a tracklet holds, whoever it is; and sightings that hold none."""
    faces: dict[int, list[Box]] = defaultdict(list)
    held: dict[int, list[Box]] = defaultdict(list)
    for person in truth["people"]:
        for frame, box in boxes_by_frame(truth, person).items():
            faces[frame].append(box)
    for sightings in answer.tracklets.values():
        for frame, box in sightings.items():
            held[frame].append(box)
    share = sum(_on_any(box, held[frame]) for frame, boxes in faces.items() for box in boxes)
    stray = sum(not _on_any(box, faces[frame]) for frame, boxes in held.items() for box in boxes)
    return share / sum(map(len, faces.values())), stray


def _on_any(box: Box, others: list[Box]) -> bool:
    return any(iou(box, other) >= RIGHT for other in others)
