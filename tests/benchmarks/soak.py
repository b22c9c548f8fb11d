"""Load: two hundred videos in one go, five hundred queries in one process, two hours of video in one piece.

Memory must not grow with the number or the length of videos, no file may stay open, and results have to equal those
of videos and queries run one by one.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from facereel import cli
from facereel.store.index.database import DATABASE
from tests.benchmarks.figures import at_least, at_most
from tests.benchmarks.kill_state import rows_digest
from tests.benchmarks.processes import Sample, sample, watch
from tests.benchmarks.report import Report, say
from tests.benchmarks.run_facereel import ROOT
from tests.benchmarks.soak_videos import long_film, many_films, photos
from tests.fake_cli import add_fake_engines

VIDEOS, QUERIES, ALONE = 200, 500, 12
HOURS = (0.25, 2.0)
FAKE = ("--engine", "fake")
_CUT_EVERY = 10  # of the queries one in so many also cuts
_MIB = 1 << 20


def soak(only: str) -> Iterator[Report]:
    """Three tables; with `only` those whose names hold it: videos, queries, hours."""
    with tempfile.TemporaryDirectory(prefix="facereel-soak-") as scratch:
        place = Path(scratch)
        references = photos(place / "photos")
        if only in "videos" or only in "queries":
            say(f"{VIDEOS} videos")
            films = many_films(place / "films", VIDEOS)
            yield _videos(place, films)
            say(f"{QUERIES} queries")
            yield _queries(place, references)
        if only in "hours":
            yield _hours(place)


def _command(*words: str | Path) -> list[str]:
    return [sys.executable, "-m", "tests.fake_cli", *map(str, words)]


def _indexed(store: Path) -> int:
    return sum(not name.startswith(".") for name in os.listdir(store)) if store.is_dir() else 0


def _videos(place: Path, films: list[Path]) -> Report:
    store = place / "store"
    command = _command("index", place / "films", "--store", store, *FAKE, "--json")
    watched = watch(command, 0.2, lambda: _indexed(store), ROOT)
    report = json.loads(watched.stdout)
    rows = [_row("videos", _at(watched.samples, count)) for count in (20, 50, 100, 150, 199)]
    # The fewest of many moments: while a video is read, a few are open.
    early, late = (
        min(one.handles for one in watched.samples if one.done in part)
        for part in (range(5, 50), range(150, 200))
    )
    left_open = late - early
    other, alike = place / "alone", 0
    chosen = films[:: len(films) // ALONE][:ALONE]
    for film in chosen:
        watch(_command("index", film, "--store", other, *FAKE), 60, lambda: 0, ROOT)
        (own,) = other.glob(f"{film.name}-*")
        alike += rows_digest(own / DATABASE) == rows_digest(store / own.name / DATABASE)
    return "soak: videos", rows, [
        at_least("videos indexed in one go", len(report["videos"]) - report["failed"], VIDEOS),
        at_most("memory after 199 videos over that after 50", _growth(rows), 1.1),
        at_most("files open between two videos, those after 150 more than those before 50", left_open, 0),
        at_least(f"of {len(chosen)} indexed alone, those with the same index", alike, len(chosen)),
    ]  # fmt: skip


def _queries(place: Path, references: list[Path]) -> Report:
    store = place / "store"
    context = multiprocessing.get_context("spawn")
    line, other = context.Pipe(duplex=False)
    process = context.Process(target=_ask, args=(other, store, references), daemon=True)
    process.start()
    other.close()
    rows, answers = [], []
    for number in range(1, QUERIES + 1):  # it asks on at once: a sample is of about that query
        answers.append(line.recv())
        if number in (50, 100, 200, 350, 500):
            rows.append(_row("queries", sample(process.pid or 0, number)))
    process.join()
    alone = []
    for photo in references:
        done = watch(_command(*_question(photo, store, None)), 60, lambda: 0, ROOT)
        alone.append(_digest(done.stdout))
    same = sum(answer == alone[number % len(references)] for number, answer in enumerate(answers))
    return "soak: queries", rows, [
        at_least("queries in one process", len(answers), QUERIES),
        at_most("memory after 500 queries over that after 100", _growth(rows), 1.1),
        at_most("files open after 500 queries more than after 100", rows[-1]["open files"] - rows[1]["open files"], 0),
        at_least("answers that are those of a process of its own", same, QUERIES),
    ]  # fmt: skip


def _question(photo: Path, store: Path, out: Path | None) -> list[str]:
    cut = ["--out", str(out), "--overwrite", "--size", "64", "--video", "001.mp4", "--video", "100.mp4"]
    how = ["--dry-run"] if out is None else cut
    return ["query", str(photo), "--store", str(store), *FAKE, "--json", *how]


def _ask(line: Any, store: Path, references: list[Path]) -> None:
    """Query again and again in this process, and send the digest of each answer."""
    add_fake_engines()
    runner = CliRunner()
    for number in range(QUERIES):
        photo = references[number % len(references)]
        if number % _CUT_EVERY == 0:
            out = store.parent / "out"
            runner.invoke(cli.app, _question(photo, store, out), catch_exceptions=False)
        result = runner.invoke(cli.app, _question(photo, store, None), catch_exceptions=False)
        line.send(_digest(result.stdout))


def _hours(place: Path) -> Report:
    rows, costs, grown, written = [], [], 0.0, 0.0
    for hours in HOURS:
        say(f"{hours:g} hours of video")
        film = long_film(place, hours)
        store = place / f"store-{hours:g}"
        watched = watch(_command("index", film, "--store", store, *FAKE, "--json"), 0.5, lambda: 0, ROOT)
        (report,) = json.loads(watched.stdout)["videos"]
        # Workers are gone, and their time with them, when the program ends.
        costs.append(1000 * max(one.cpu for one in watched.samples) / report["frames"])
        eighths = [_peak(watched.samples, eighth) for eighth in range(8)]
        rows += [
            {"hours of video": hours, "frames": report["frames"], "tracklets": report["tracklets"],
             **_row("eighth of the run", peak, number + 1), "processor ms a frame": costs[-1]}
            for number, peak in enumerate(eighths)
        ]  # fmt: skip
        # Finished segments are written as they end, so that memory does not grow with the length of the film.
        grown = (eighths[6].total - eighths[1].total) / _MIB / (hours * 5 / 8)
        written = (eighths[7].total - eighths[6].total) / _MIB
    return "soak: hours", rows, [
        at_least("frames of the longest", rows[-1]["frames"], HOURS[-1] * 3600 * 25),
        at_most("memory that an hour of video adds, MiB", grown, 10),
        at_most("memory that writing two hours at the end adds, MiB", written, 100),
        at_most("processor time a frame over that of the short one", costs[-1] / costs[0], 1.2),
    ]  # fmt: skip


def _at(samples: list[Sample], count: int) -> Sample:
    """The last sample with no more than so many done."""
    return [one for one in samples if one.done <= count][-1]


def _peak(samples: list[Sample], eighth: int) -> Sample:
    """The largest of one eighth of a run."""
    part = samples[len(samples) * eighth // 8 : len(samples) * (eighth + 1) // 8] or samples[-1:]
    return max(part, key=lambda one: one.total)


def _row(what: str, one: Sample, value: int | None = None) -> dict[str, Any]:
    return {
        what: one.done if value is None else value, "largest process, MiB": one.largest / _MIB,
        "all processes, MiB": one.total / _MIB, "open files": one.handles,
    }  # fmt: skip


def _growth(rows: list[dict[str, Any]]) -> float:
    return float(rows[-1]["all processes, MiB"] / rows[1]["all processes, MiB"])


def _digest(answer: str) -> str:
    report = json.loads(answer)
    return hashlib.sha256(json.dumps(report | {"created": ""}, sort_keys=True).encode()).hexdigest()
