"""Parts about the footage with hand-checked truth: as it is, small, at low frame rates, with other thresholds."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from dataclasses import replace
from itertools import groupby
from typing import Any

from facereel.indexer.engines.registry import load_engine
from tests.benchmarks.engines import calibration_file
from tests.benchmarks.figures import Figure, at_least, at_most, media_figures
from tests.benchmarks.media_truth import Film, films, partial_films, shrunk, slowed
from tests.benchmarks.portraits import cache_folder
from tests.benchmarks.recluster import reclustered
from tests.benchmarks.report import Report, Words, say
from tests.benchmarks.run_facereel import Answer, ask, ask_store, indexed
from tests.benchmarks.scoring import ClipScore, score_clips
from tests.benchmarks.scoring_shots import ShotScore, score_shots

SMALL_SIZE, SMALL_OPTIONS, SMALL_RECALL = (320, 180), ("--min-face", "12"), 0.40
PARTIAL_RECALL = 0.90
SLOW_FILMS = ("hamilton", "herapheri", "sitcom")
RATES = (6, 3, 1)  # frames a second
RECALL_AT = {3: 0.95}
MOVES = (-0.03, 0.03)  # of the threshold


def footage(only: str, engine: Words = ()) -> Iterator[Report]:
    """The footage with hand-checked truth; then the films of which wide shots count too."""
    yield full_truth(only, engine)
    yield from _partial_truth(only, engine)


def full_truth(only: str, engine: Words = ()) -> Report:
    """The films whose plainly visible faces are all in their truth."""
    people: dict[str, ClipScore] = {}
    cuts, rows = ShotScore(), []
    for film in films(only):
        say(film.name)
        cuts.add(score_shots(film.truth, ask(film.video, film.references, engine, engine).shots))
        for person, score in scores(film, engine, engine).items():
            people[f"{film.name} {person}"] = score
            rows.append({"person": f"{film.name} {person}"} | clip_row(score))
    return "footage", rows, media_figures(people, cuts)


def _partial_truth(only: str, engine: Words) -> Iterator[Report]:
    for film in partial_films(only):
        say(film.name)
        people = scores(film, engine, engine)
        total, rows = (
            _total(people),
            [{"person": person} | clip_row(score) for person, score in people.items()],
        )
        yield film.name, rows, [
            at_least("recall, all people", total.recall, PARTIAL_RECALL),
            *_never(total),
            Figure("frames on faces that are not listed: look at each", len(total.unlisted), "", None),
        ]  # fmt: skip
        places = [
            {"person": person, "frames": frames}
            for person, score in people.items()
            for frames in frame_spans(score.unlisted)
        ]
        yield f"{film.name}, not listed", places, []


def small_footage(only: str) -> Iterator[Report]:
    """A film with small faces at half its size, by either truth."""
    rows, figures = [], []
    for film in (*films("sitcom"), *partial_films("sitcom")):
        smaller = shrunk(film, *SMALL_SIZE)
        if only not in smaller.name:
            continue
        say(smaller.name)
        total = _total(scores(smaller, SMALL_OPTIONS))
        rows.append({"film": smaller.name} | clip_row(total))
        figures += [
            at_least(f"recall, {smaller.name}", total.recall, SMALL_RECALL),
            *_never(total, smaller.name),
        ]
    if rows:
        yield f"small footage, {' '.join(SMALL_OPTIONS)}", rows, figures


def rates(only: str) -> Iterator[Report]:
    """Films at few frames a second: time-lapses, old webcams, slides."""
    rows, totals = [], {rate: ClipScore() for rate in RATES}
    for film in films():
        if film.name not in SLOW_FILMS or only not in film.name:
            continue
        for rate in RATES:
            slow = slowed(film, rate)
            say(slow.name)
            score = _total(scores(slow))
            totals[rate].add(score)
            rows.append({"film": slow.name, "frames": slow.truth["frames"]} | clip_row(score))
    if rows:
        yield (
            "low frame rates",
            rows,
            [figure for rate in RATES for figure in _rate_figures(rate, totals[rate])],
        )


def thresholds(only: str) -> Iterator[Report]:
    """The footage with every similarity threshold lower, then higher: nobody is mistaken for another.

    The same indexes are clustered again and asked with a calibration that has the other threshold: all similarities
    that clustering and matching compare are scaled by Threshold.scale. The threshold itself moves by exactly so much,
    lower ones by less, higher ones by more.
    """
    engine, rows, figures = load_engine(), [], []
    for move in MOVES:
        folder = cache_folder() / f"threshold{move:+}"
        folder.mkdir(exist_ok=True)
        threshold = replace(engine.threshold, value=engine.threshold.value + move)
        words = ("--calibration", str(calibration_file(engine.info, threshold.value, folder)))
        total = ClipScore()
        for film in (*films(only), *partial_films(only)):
            say(f"{film.name}, threshold {move:+}")
            store = reclustered(indexed(film.video), threshold.scale)
            score = _total(_scores(film, ask_store(store, film.references, words)))
            rows.append({"film": film.name, "threshold": f"{move:+}"} | clip_row(score))
            total.add(score)
        figures += _never(total, f"threshold {move:+}")
    if rows:
        yield "other thresholds", rows, figures


def scores(film: Film, index_options: Words = (), query_options: Words = ()) -> dict[str, ClipScore]:
    """How each person of a film was found."""
    return _scores(film, ask(film.video, film.references, index_options, query_options))


def _scores(film: Film, answer: Answer) -> dict[str, ClipScore]:
    return {
        person: score_clips(film.truth, person, answer.people[person]["clips"])
        for person in film.truth["people"]
    }


def clip_row(score: ClipScore) -> dict[str, Any]:
    """The columns of the tables that tell what became of the people asked for."""
    return {
        "recall": score.recall if score.must else None,
        "wrong": len(score.wrong),
        "wrong at": " ".join(frame_spans(score.wrong)[:3]) or None,
        "unlisted": len(score.unlisted),
        "clips": score.clips,
        "cuts": score.cuts,
        "hidden": score.hidden + score.hidden_one,
        "IoU": statistics.median(score.ious) if score.ious else None,
        "edges off": " ".join(f"{kind} {off:+d}" for kind, off in score.edges if off) or None,
    }


def _rate_figures(rate: int, total: ClipScore) -> Iterator[Figure]:
    name = f"{rate} fps"
    recall = total.recall if total.must else None
    yield (
        at_least(f"recall, {name}", recall, RECALL_AT[rate])
        if rate in RECALL_AT
        else Figure(f"recall, {name}", recall, "", None)
    )
    yield from _never(total, name)


def _never(total: ClipScore, name: str = "") -> list[Figure]:
    """What no clip may show."""
    where = f", {name}" if name else ""
    return [
        at_most(f"wrong frames{where}", len(total.wrong), 0),
        at_most(f"clips across a cut{where}", total.cuts, 0),
        at_most(f"clips across a full occlusion{where}", total.hidden + total.hidden_one, 0),
    ]


def _total(people: dict[str, ClipScore]) -> ClipScore:
    total = ClipScore()
    for score in people.values():
        total.add(score)
    return total


def frame_spans(frames: list[int]) -> list[str]:
    """Successive frames as `first-last`."""
    runs = groupby(enumerate(sorted(frames)), key=lambda pair: pair[1] - pair[0])
    spans = [[frame for _, frame in run] for _, run in runs]
    return [f"{span[0]}-{span[-1]}" for span in spans]
