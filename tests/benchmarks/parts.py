"""The parts of the benchmark: each yields tables (title, rows, figures) when it is done with them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from facereel.indexer.engines.registry import DEFAULT_ENGINE, load_engine
from facereel.query.people.strangers import read_faces
from tests.benchmarks import engines, identity, scan_modes, shot_detectors, small_faces
from tests.benchmarks.blur import blur
from tests.benchmarks.cluster import cluster
from tests.benchmarks.clusters import clusters
from tests.benchmarks.corrections import corrections
from tests.benchmarks.dataset import dataset
from tests.benchmarks.figures import at_most, scenario_figures, shot_figures
from tests.benchmarks.footage import clip_row, footage, full_truth, rates, small_footage, thresholds
from tests.benchmarks.fuzz import fuzz
from tests.benchmarks.kill import kills
from tests.benchmarks.library import library
from tests.benchmarks.library_people import library_people
from tests.benchmarks.media_truth import films, footage_videos
from tests.benchmarks.portraits import media, people_folder, photos
from tests.benchmarks.report import Report, Words, say
from tests.benchmarks.run_facereel import Answer, ask
from tests.benchmarks.scenarios import Rendered, all_scenarios, render
from tests.benchmarks.scenes_small import SCENES
from tests.benchmarks.scoring import ClipScore, score_clips
from tests.benchmarks.scoring_shots import ShotScore, score_shots
from tests.benchmarks.scoring_tracks import TrackScore, score_tracks
from tests.benchmarks.soak import soak
from tests.benchmarks.split import split
from tests.benchmarks.strangers import large_library
from tests.benchmarks.web import web

# People of the faces folder who do appear in a video there: seen by eye.
PRESENT = {("p20", "obama.mp4"), ("p20", "hamilton.mp4")}


def scenarios(only: str, engine: Words = ()) -> Iterator[Report]:
    """Every rendered scenario."""
    clips, cuts, tracks, crossings, failed, rows = ClipScore(), ShotScore(), TrackScore(), TrackScore(), 0, []
    for scenario in all_scenarios().values():
        if only not in scenario.name:
            continue
        say(scenario.name)
        rendered = render(scenario)
        try:
            answer = ask(rendered.video, rendered.references, engine, engine)
        except RuntimeError as error:
            failed += 1
            say(f"  {error}")
            continue
        own, shot, track = _judge(rendered, answer)
        clips.add(own)
        cuts.add(shot)
        tracks.add(track)
        if "crossing" in scenario.name:
            crossings.add(track)
        rows.append({"scenario": scenario.name} | clip_row(own) | _shot_row(shot) | _track_row(track))
    yield "scenarios", rows, scenario_figures(clips, cuts, tracks, crossings, failed)


def shots(only: str) -> Iterator[Report]:
    """The shot detector alone, over scenarios and footage; then all that --shots knows beside each other."""
    configs = shot_detectors.detectors()
    total, rows, totals = ShotScore(), [], {name: ShotScore() for name in configs}
    for name, video, truth in _all_truths(only):
        score = score_shots(truth, ask(video, {}).shots)
        total.add(score)
        rows.append({"video": name, "changes": _by_kind(score), "surplus": str(score.surplus)})
        for way, starts in shot_detectors.starts_by(video, configs).items():
            totals[way].add(score_shots(truth, starts))
    yield "shots", rows, shot_figures(total)
    yield "shots by detector", [shot_detectors.row(way, score) for way, score in totals.items()], []


def strangers(only: str, engine: Words = ()) -> Iterator[Report]:
    """The people of the faces folder asked of videos they are not in; portraits.mp4 the footage's too."""
    if media() is None:
        return
    references = {d.name: photos(d)[:3] for d in sorted(people_folder().iterdir()) if d.is_dir()}
    rows, false = [], 0
    for video in footage_videos(only):
        questions = {n: p for n, p in references.items() if (n, video.name) not in PRESENT}
        if video.name == "portraits.mp4":
            questions |= _everybody()
        say(video.name)
        for name, answer in ask(video, questions, engine, engine).people.items():
            false += len(answer["clips"])
            rows += [
                {"video": video.name, "asked": name, "frames": f"{c['start_frame']}-{c['end_frame']}",
                 "similarity": c.get("similarity"), "matched": c.get("matched")}
                for c in answer["clips"]
            ]  # fmt: skip
    yield "strangers", rows, [at_most("false clips", false, 0)]
    if not only:
        loaded = load_engine(engine[1] if engine else DEFAULT_ENGINE)
        say("strangers: photos")
        people = [
            read_faces(photos(folder), loaded)
            for folder in sorted(people_folder().iterdir())
            if folder.is_dir()
        ]
        yield "strangers, large library", *large_library(people, loaded)


def scans(only: str) -> Iterator[Report]:
    """The sparse scan beside a search of every frame, over scenarios and footage."""
    compared, rows, clips = [], [], []
    for name, video, truth, references in _all_questions(only):
        result = scan_modes.compare(video, truth, references)
        compared.append(result)
        rows.append(scan_modes.row(name, result))
        clips += scan_modes.clip_rows(name, result)
    yield "scan", rows, scan_modes.figures(compared)
    yield "scan: clips that only one of the two finds, or otherwise", clips, []


def identities(only: str, engine: Words = ()) -> Iterator[Report]:
    """How well an engine tells the people of the faces folder apart."""
    people = identity.embed_people(people_folder(), load_engine(engine[1] if engine else DEFAULT_ENGINE))
    if len(people) < 4:
        say("identity: needs four people with eight photos each; set FACEREEL_MEDIA")
        return
    rows = identity.table(people)
    yield f"identity, {len(people)} people", rows, identity.figures(rows, len(people))
    yield "identity, by photos and crops", identity.measure({n: p.full for n, p in people.items()}), []


def compared(only: str) -> Iterator[Report]:
    """The default engine and its weights in an InsightFace pack, on the footage."""
    if media() is None:
        say("engines: needs footage; set FACEREEL_MEDIA")
        return
    yield from engines.compared(lambda words: full_truth(only, words))


def small(only: str) -> Iterator[Report]:
    """Faces from 12 px on in 1920x1080, with a search at full size (`--min-face 12`) and without; small footage."""
    engine, rows = load_engine(), []
    for width, scene in SCENES.items():
        if only in scene.name:
            say(scene.name)
            rows += small_faces.rows_of(width, render(scene), engine)
    if rows:
        yield "small faces", rows, small_faces.figures(rows)
    yield from small_footage(only)


PARTS: dict[str, Callable[..., Iterator[Report]]] = {
    "scenarios": scenarios,
    "footage": footage,
    "clusters": clusters,
    "people": library_people,
    "corrections": corrections,
    "rates": rates,
    "dataset": dataset,
    "thresholds": thresholds,
    "shots": shots,
    "scan": scans,
    "small": small,
    "blur": blur,
    "strangers": strangers,
    "identity": identities,
    "engines": compared,
    "fuzz": fuzz,
    "soak": soak,
    "kill": kills,
    "cluster": cluster,
    "split": split,
    "library": library,
    "web": web,
}


# All scenarios asked twice over; hours of video.
LONG = ("scan", "soak", "split")
# Those of which another engine may be asked for.
BY_ENGINE = ("scenarios", "footage", "strangers", "identity")


def _judge(rendered: Rendered, answer: Answer) -> tuple[ClipScore, ShotScore, TrackScore]:
    own = ClipScore()
    for person in rendered.references:
        own.add(score_clips(rendered.truth, person, answer.people[person]["clips"]))
    return own, score_shots(rendered.truth, answer.shots), score_tracks(rendered.truth, answer.tracklets)


def _all_truths(only: str) -> Iterator[tuple[str, Path, Mapping[str, Any]]]:
    for scenario in all_scenarios().values():
        if only in scenario.name:
            say(scenario.name)
            rendered = render(scenario)
            yield scenario.name, rendered.video, rendered.truth
    for film in films(only):
        yield film.name, film.video, film.truth


def _all_questions(only: str) -> Iterator[tuple[str, Path, Mapping[str, Any], dict[str, list[Path]]]]:
    for scenario in all_scenarios().values():
        if only in scenario.name:
            say(scenario.name)
            rendered = render(scenario)
            yield scenario.name, rendered.video, rendered.truth, rendered.references
    for film in films(only):
        say(film.name)
        yield film.name, film.video, film.truth, film.references


def _everybody() -> dict[str, list[Path]]:
    """Everybody with hand-checked truth, by video and name."""
    return {f"{film.name} {person}": paths for film in films() for person, paths in film.references.items()}


def _shot_row(score: ShotScore) -> dict[str, Any]:
    missed = sum(score.there[k] - score.hits[k] for k in score.hits)
    return {"changes missed": missed, "surplus": len(score.surplus)}


def _track_row(score: TrackScore) -> dict[str, Any]:
    library = score.library()
    return {
        "purity": score.purity,
        "pieces": score.fragmentation,
        "IDF1": library["IDF1"],
        "IDSW": library["IDSW"],
    }


def _by_kind(score: ShotScore) -> str:
    result = [f"{kind} {score.hits[kind]}/{score.there[kind]}" for kind in score.hits]
    return ", ".join(
        result + [f"{kind} taken for one {n}/{score.there[kind]}" for kind, n in score.fooled.items()]
    )
