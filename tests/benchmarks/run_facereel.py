"""The one place that runs the program under test, by its command line, and reads the index it wrote."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from facereel.store.index.reader import VideoIndex

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """What the program says of one video."""

    people: dict[str, dict[str, Any]]  # name -> the query's JSON object, with clips and their frames
    shots: list[int]  # first frame of each
    tracklets: dict[int, dict[int, list[float]]]  # number -> frame -> x y w h
    clusters: dict[int, tuple[int, ...]]  # number -> tracklets


def engine_words(engine: str, calibration: Path | None = None) -> tuple[str, ...]:
    """Options by which index and query use an engine."""
    threshold = () if calibration is None else ("--calibration", str(calibration.resolve()))
    return ("--engine", str(Path(engine).resolve()) if Path(engine).is_dir() else engine, *threshold)


def ask(
    video: Path,
    people: Mapping[str, Sequence[Path]],
    index_options: Sequence[str] = (),
    query_options: Sequence[str] = (),
) -> Answer:
    """Index a video and ask for each person by their photos; nothing is cut. Raises as `indexed`."""
    return ask_store(indexed(video, tuple(index_options)), people, query_options)


def ask_store(store: Path, people: Mapping[str, Sequence[Path]], query_options: Sequence[str] = ()) -> Answer:
    """Ask a store with the index of one video for each person; raises as `indexed`."""
    answers = _query(store, people, query_options) if people else {}
    with VideoIndex(index_folder(store)) as index:
        shots = [shot.start for shot in index.shots()]
        sightings = index.sightings([tracklet.number for tracklet in index.tracklets()])
        clusters = {cluster.number: cluster.tracklets for cluster in index.clusters()}
    tracklets = {
        number: {int(f): [float(v) for v in box] for f, box in zip(s.frames, s.boxes, strict=True)}
        for number, s in sightings.items()
    }
    return Answer(answers, shots, tracklets, clusters)


def shown_clusters(store: Path, video: Path) -> set[int]:
    """The clusters of a video that `faces` shows as people: those with a clear face; raises as `indexed`."""
    with tempfile.TemporaryDirectory(dir=store.parent) as temporary:
        words = _command(
            "faces", str(video), "--store", str(store), "--out", f"{temporary}/sheet.png", "--most", "10000", "--json"
        )  # fmt: skip
    return {row["cluster"] for row in json.loads(words)["clusters"] if row["view"] != "none"}


@cache
def indexed(video: Path, options: tuple[str, ...] = ()) -> Path:
    """A store that holds the index of that video only; made once a run for the same options.

    Raises RuntimeError with the program's last words when it fails.
    """
    store = Path(tempfile.mkdtemp(dir=_stores().name)) / "store"
    _command("index", str(video), "--store", str(store), *options)
    return store


@lru_cache(maxsize=1)
def _stores() -> tempfile.TemporaryDirectory[str]:
    """Where the indexes of this run are; deleted when it ends."""
    return tempfile.TemporaryDirectory(prefix="facereel-bench-")


def accept_face(store: Path, photo: Path, face: str) -> None:
    """Say that a face of the library is the person of a photo; raises as `indexed`."""
    _command("people", "accept", str(photo), face, "--store", str(store))


def _query(store: Path, people: Mapping[str, Sequence[Path]], options: Sequence[str]) -> dict[str, Any]:
    """What one query for everybody says of each, by name."""
    with tempfile.TemporaryDirectory(dir=store.parent) as temporary:
        folders = {f"person{number}": name for number, name in enumerate(people)}
        for folder, name in folders.items():
            (Path(temporary) / "people" / folder).mkdir(parents=True)
            for number, photo in enumerate(people[name]):
                shutil.copy(photo, Path(temporary) / "people" / folder / f"{number}{photo.suffix}")
        words = _command(
            "query", f"{temporary}/people", "--store", str(store), "--out", f"{temporary}/out", "--dry-run",
            "--json", *options,
        )  # fmt: skip
    document = json.loads(words)
    if document["failed"]:
        raise RuntimeError(f"a person cannot be asked for: {document['failed'][0]}")
    return {folders[result["name"]]: result for result in document["results"]}


def index_folder(store: Path) -> Path:
    """The folder of the one index of a store."""
    return next(path.parent for path in store.glob("*/index.db"))


def _command(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, str(ROOT / "cli.py"), *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        last = (done.stderr.strip() or done.stdout.strip() or "no word").splitlines()[-1]
        raise RuntimeError(f"cli.py {arguments[0]} ended with {done.returncode}: {last}")
    return done.stdout
