"""The part about clusters: how well they hold one person each, and how many people `faces` shows of each video."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.benchmarks.figures import Figure, at_least, at_most
from tests.benchmarks.large_video import large_video
from tests.benchmarks.media_truth import Film, films, footage_videos, partial_films
from tests.benchmarks.recluster import reclustered
from tests.benchmarks.report import Report, say
from tests.benchmarks.run_facereel import ask_store, indexed, shown_clusters
from tests.benchmarks.scoring_clusters import ClusterScore, score_clusters

PRECISION, RECALL = 0.99, 0.90  # of a film whose truth lists the faces of wide shots
ROUNDING = 1e-9
FEW_PEOPLE, SURPLUS = 10, 1  # a film of fewer people than that shows at most so many too many

# How many people show their faces in each video, those in the background too; counted by eye on frames and sheets.
PEOPLE_BY_EYE: dict[str, int] = json.loads((Path(__file__).with_name("people_by_eye.json")).read_text())


def clusters(only: str) -> Iterator[Report]:
    """Clusters of every film with truth, with and without clothes; then the people shown of each video."""
    rows, figures, mixed = [], [], 0
    partial = {film.name: film for film in partial_films(only)}
    for name, film in (partial | {film.name: film for film in films(only)}).items():
        say(name)
        store = indexed(film.video)
        score, faces_alone = (_score(film, place) for place in (store, reclustered(store, clothes=False)))
        rows += [
            {"film": name, "clothes": "yes"} | _row(score),
            {"film": name, "clothes": "no"} | _row(faces_alone),
        ]
        mixed += len(score.mixed)
        figures += _partial_figures(name, score) if name in partial else []
        figures += [
            at_least(f"{what}, less that by faces alone, {name}", own - other, -ROUNDING)
            for what, own, other in (
                ("precision", score.precision, faces_alone.precision),
                ("recall", score.recall, faces_alone.recall),
            )
        ]
    if rows:
        yield "clusters", rows, [*figures, at_most("clusters that hold two people", mixed, 0)]
    yield from _people_shown(only)
    if only in "large video":
        yield from large_video()


def _score(film: Film, store: Path) -> ClusterScore:
    answer = ask_store(store, {})
    return score_clusters(film.truth, answer.tracklets, answer.clusters, shown_clusters(store, film.video))


def _people_shown(only: str) -> Iterator[Report]:
    rows, figures = [], []
    for video in footage_videos(only):
        say(video.name)
        shown, people = len(shown_clusters(indexed(video), video)), PEOPLE_BY_EYE.get(video.name)
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
