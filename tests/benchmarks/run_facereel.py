"""The one place that runs the program under test, by its command line, and reads the index it wrote."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
    """Index a video in a store of its own and ask for each person by their photos; nothing is cut.

    Raises RuntimeError with the program's last words when it fails.
    """
    with tempfile.TemporaryDirectory(prefix="facereel-bench-") as temporary:
        store = Path(temporary) / "store"
        _command("index", str(video), "--store", str(store), *index_options)
        answers = {name: _query(store, photos, query_options) for name, photos in people.items()}
        with VideoIndex(_index_folder(store)) as index:
            shots = [shot.start for shot in index.shots()]
            sightings = index.sightings([tracklet.number for tracklet in index.tracklets()])
    tracklets = {
        number: {int(f): [float(v) for v in box] for f, box in zip(s.frames, s.boxes, strict=True)}
        for number, s in sightings.items()
    }
    return Answer(answers, shots, tracklets)


def _query(store: Path, photos: Sequence[Path], options: Sequence[str]) -> dict[str, Any]:
    out = store.parent / "out"
    words = _command(
        "query",
        *(str(p) for p in photos),
        "--store",
        str(store),
        "--out",
        str(out),
        "--dry-run",
        "--json",
        *options,
    )
    (answer,) = json.loads(words)["results"]
    result: dict[str, Any] = answer
    return result


def _index_folder(store: Path) -> Path:
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
