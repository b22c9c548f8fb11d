"""The part about clusters: how well they hold one person each, and how many people `faces` shows of each video."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.benchmarks.figures import Figure, at_least, at_most
from tests.benchmarks.media_truth import films, footage_videos, partial_films
from tests.benchmarks.report import Report, say
from tests.benchmarks.run_facereel import ask
from tests.benchmarks.scoring_clusters import ClusterScore, score_clusters

PRECISION, RECALL = 0.99, 0.90  # of a film whose truth lists the faces of wide shots
FEW_PEOPLE, SURPLUS = 10, 1  # a film of fewer people than that shows at most so many too many

# How many people are plainly to be seen in each video, counted by eye.
PEOPLE_BY_EYE: dict[str, int] = json.loads((Path(__file__).with_name("people_by_eye.json")).read_text())


def clusters(only: str) -> Iterator[Report]:
    """Clusters of every film with truth; then the people shown of each video."""
    judged = {film.name: film for film in (*partial_films(only), *films(only))}
    partial = {film.name for film in partial_films(only)}
    rows, figures, mixed = [], [], 0
    for name, film in judged.items():
        say(name)
        answer = ask(film.video, {})
        score = score_clusters(film.truth, answer.tracklets, answer.clusters)
        rows.append({"film": name} | _row(score))
        mixed += len(score.mixed)
        figures += _partial_figures(name, score) if name in partial else []
    if rows:
        yield "clusters", rows, [*figures, at_most("clusters that hold two people", mixed, 0)]
    yield from _people_shown(only)


def _people_shown(only: str) -> Iterator[Report]:
    rows, figures = [], []
    for video in footage_videos(only):
        say(video.name)
        shown, people = len(ask(video, {}).clusters), PEOPLE_BY_EYE.get(video.name)
        rows.append({"video": video.name, "people by eye": people, "people shown": shown})
        if people is not None and people < FEW_PEOPLE:
            figures.append(at_most(f"people shown beyond those there, {video.name}", shown - people, SURPLUS))
    if rows:
        yield "people shown", rows, figures


def _row(score: ClusterScore) -> dict[str, Any]:
    return {
        "precision": score.precision, "recall": score.recall, "people": score.people, "clusters": score.clusters,
        "mixed": "; ".join(score.mixed) or None, "objects": score.objects, "unlisted": score.unlisted,
        "frames": score.frames,
    }  # fmt: skip


def _partial_figures(name: str, score: ClusterScore) -> list[Figure]:
    return [
        at_least(f"B-cubed precision, {name}", score.precision, PRECISION),
        at_least(f"B-cubed recall, {name}", score.recall, RECALL),
        at_most(f"clusters of objects, {name}", score.objects, 0),
    ]
