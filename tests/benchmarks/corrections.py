"""People whom the user knows: what the photos find of a film before and after one `people accept` for each person."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from tests.benchmarks.figures import at_least, at_most
from tests.benchmarks.footage import clip_row
from tests.benchmarks.media_truth import Film, partial_films
from tests.benchmarks.report import Report, say
from tests.benchmarks.run_facereel import Answer, accept_face, ask_store, index_folder, indexed
from tests.benchmarks.scoring import RIGHT, ClipScore, Truth, boxes_by_frame, iou, score_clips

RECALL_AFTER = 0.97


def corrections(only: str) -> Iterator[Report]:
    """The films of which wide shots count, asked by photos; then a cluster is accepted for each person; asked again."""
    for film in partial_films(only):
        say(film.name)
        # Decisions go into a copy, so that other parts of the benchmark ask an index without any.
        store = indexed(film.video).with_name(f"{film.name}-people")
        shutil.copytree(indexed(film.video), store)
        before = ask_store(store, film.references)
        rows = []
        for person, photos in film.references.items():
            cluster = _missed_cluster(film, before, person)
            if cluster is not None:
                accept_face(store, photos[0], f"{index_folder(store).name}#{cluster}")
            rows.append({"person": person, "accepted": "" if cluster is None else f"cluster {cluster}"})
        after = ask_store(store, film.references)
        total_before, total_after = ClipScore(), ClipScore()
        for row in rows:
            first, then = (_score(film, answer, str(row["person"])) for answer in (before, after))
            total_before.add(first)
            total_after.add(then)
            row |= {"recall before": first.recall} | clip_row(then)
        yield f"{film.name}, one accept a person", rows, [
            at_least("recall after one accept for each person", total_after.recall, RECALL_AFTER),
            at_most("wrong frames after it", len(total_after.wrong), 0),
            at_most("wrong frames before it", len(total_before.wrong), 0),
        ]  # fmt: skip


def _score(film: Film, answer: Answer, person: str) -> ClipScore:
    return score_clips(film.truth, person, answer.people[person]["clips"])


def _missed_cluster(film: Film, answer: Answer, person: str) -> int | None:
    """The cluster that a user sees on the contact sheet to be the person too, and that adds most; None without any."""
    found = {clip["tracklet"] for clip in answer.people[person]["clips"]}
    missed: Counter[int] = Counter()
    for cluster, tracklets in answer.clusters.items():
        shown = Counter(_shown(film.truth, answer.tracklets[number]) for number in tracklets)
        if shown.most_common(1)[0][0] == person:
            missed[cluster] = sum(len(answer.tracklets[n]) for n in tracklets if n not in found)
    return next((cluster for cluster, frames in missed.most_common(1) if frames), None)


def _shown(truth: Truth, boxes: Mapping[int, list[float]]) -> str | None:
    """Whom a tracklet shows in most of its frames."""
    frames: Counter[str | None] = Counter()
    known: dict[str, dict[int, list[float]]] = {name: boxes_by_frame(truth, name) for name in truth["people"]}
    for frame, box in boxes.items():
        own: dict[str, Any] = {name: iou(box, at[frame]) for name, at in known.items() if frame in at}
        best = max(own, key=lambda name: own[name], default=None)
        frames[best if best is not None and own[best] >= RIGHT else None] += 1
    return frames.most_common(1)[0][0]
