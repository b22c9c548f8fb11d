"""Thousands of hostile inputs, each from its own seed: `python -m tests.benchmarks.fuzz [--cases N] [--seed S]`.

What must not happen: the process dies, hangs, takes too much memory, lets through an error that is not one of
ours, or makes an index that looks complete but is not. Cases run in processes of their own; a case is run again
alone with `--only NUMBER`.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
import shutil
import sys
import tempfile
import time
import traceback
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np

from indexer.batch import index_one
from query import videos
from query.reference import read_reference
from store.config import Config
from store.database import DATABASE
from store.errors import FaceReelError
from store.library import Library
from store.vectors import VECTORS
from store.video_index import VideoIndex
from tests.benchmarks import fuzz_input as inputs
from tests.fake_engine import FakeEngine

CASES = 2000
SECONDS = 60.0  # a case takes a tenth of a second
MEMORY = 1 << 30  # bytes; indexing a small film takes 200 MB
# Kinds of cases and how many of a hundred they are.
SHARES = {
    "film": 58, "splice": 6, "times": 6, "sizes": 3, "streams": 1, "playlist": 2,
    "photo": 9, "bomb": 3, "database": 7, "vectors": 3, "name": 2,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a case."""

    kind: str
    result: str  # ok, warned, refused, or what must not be
    finding: str = ""  # why it must not be


class Range:
    """The films and an index of one of them, to which harm is done again and again."""

    def __init__(self, folder: Path) -> None:
        """Make them below a folder."""
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.films = inputs.make_films(folder)
        self.engine = FakeEngine()
        done = index_one(folder / "plain.mp4", folder / "store", self.engine, Config(), lambda a, b: None)
        self.index = done.folder

    def run(self, number: int, seed: int) -> Outcome:
        """One case."""
        rng = np.random.default_rng([seed, number])
        kind = str(rng.choice(list(SHARES), p=np.array(list(SHARES.values())) / sum(SHARES.values())))
        place = self.folder / f"case{number}"
        place.mkdir()
        try:
            return self._run(kind, place, rng)
        except Exception:
            return Outcome(kind, "escaped", traceback.format_exc())
        finally:
            shutil.rmtree(place, ignore_errors=True)

    def _run(self, kind: str, place: Path, rng: np.random.Generator) -> Outcome:
        if kind in ("photo", "bomb"):
            return self._photo(kind, place, rng)
        if kind in ("database", "vectors"):
            return self._damage(kind, place, rng)
        whole = 0
        if kind == "film":
            name = str(rng.choice(list(self.films)))
            harm = str(rng.choice(list(inputs.MUTATIONS)))
            kind = f"{name} {harm}"
            (place / name).write_bytes(inputs.MUTATIONS[harm](self.films[name], rng))
            path, whole = place / name, inputs.FRAMES
        elif kind == "splice":
            name, data = inputs.spliced(self.films, rng)
            path = place / name
            path.write_bytes(data)
        elif kind == "name":
            path = place / inputs.NAMES[int(rng.integers(len(inputs.NAMES)))]
            path.write_bytes(self.films["plain.mp4"])
            whole = inputs.FRAMES
        else:
            make = {
                "times": inputs.odd_times, "sizes": inputs.size_change,
                "streams": inputs.many_streams, "playlist": inputs.playlist,
            }[kind]  # fmt: skip
            path = make(
                place / f"odd{rng.choice(['.mkv', '.mp4', '.ts']) if kind != 'sizes' else '.ts'}", rng
            )
        return self._film(kind, path, whole)

    def _film(self, kind: str, path: Path, whole: int) -> Outcome:
        """Index a film; `whole` is how many frames it had before it was harmed, 0 when nobody knows."""
        store = path.parent / "store"
        try:
            done = index_one(path, store, self.engine, Config(), lambda a, b: None)
        except FaceReelError as error:
            finding = _bad_message(str(error))
            if list(store.glob("*")):
                finding = f"left {os.listdir(store)}"
            return Outcome(kind, "refused" if not finding else "bad refusal", finding)
        health = videos.verify(done.folder)
        if health.problems:
            return Outcome(kind, "unsound index", str(health.problems))
        with Library(store).find(path) as index:
            warned = bool(index.video.warnings)
        plain = _plain_count(path)
        if not warned and done.frames != plain:
            return Outcome(kind, "silent", f"{done.frames} frames, plain decoding gives {plain}")
        # A film without a length in its header may end anywhere; a header that was harmed may say anything.
        short = done.duration < 0.99 * inputs.SECONDS
        unknowable = (
            (short and path.name in inputs.OPEN_ENDED) or done.frames < 5 or kind.endswith(inputs.HEADERS)
        )
        if not warned and done.frames < whole and not unknowable:
            return Outcome(kind, "silent", f"{done.frames} of {whole} frames and no warning")
        return Outcome(kind, "warned" if warned else "ok")

    def _photo(self, kind: str, place: Path, rng: np.random.Generator) -> Outcome:
        name, data = inputs.bomb(rng) if kind == "bomb" else inputs.odd_photo(place, rng)
        (place / name).write_bytes(data)
        try:
            read_reference(place / name, self.engine)
        except FaceReelError as error:
            finding = _bad_message(str(error))
            return Outcome(kind, "refused" if not finding else "bad refusal", finding)
        return Outcome(kind, "ok")

    def _damage(self, kind: str, place: Path, rng: np.random.Generator) -> Outcome:
        folder = Path(shutil.copytree(self.index, place / "store" / self.index.name))
        path = folder / (DATABASE if kind == "database" else VECTORS)
        before = path.read_bytes()
        harm = str(rng.choice(list(inputs.MUTATIONS)))
        path.write_bytes(inputs.MUTATIONS[harm](before, rng))
        kind, same = f"{kind} {harm}", path.read_bytes() == before
        health = videos.verify(folder)
        Library(place / "store").listing()
        if kind.startswith("vectors") and (health.problems or path.read_bytes() != before):
            return Outcome(kind, "not mended", str(health))
        with suppress(FaceReelError), VideoIndex(folder) as index:
            videos.details(index)
            index.vectors()
        if health.problems:
            return Outcome(kind, "refused", _bad_message(health.problems[0]))
        if kind.startswith("database") and not same and _contents(folder) != _contents(self.index):
            return Outcome(kind, "silent", "other rows, and verify finds nothing")
        return Outcome(kind, "ok")


def _bad_message(text: str) -> str:
    """What is wrong with an error's text, if anything."""
    return "" if "\n" not in text and ";" in text else f"message: {text!r}"


def _plain_count(path: Path) -> int:
    """Frames that FFmpeg gives when nothing but decoding is done."""
    count = 0
    with av.open(str(path.resolve()), metadata_errors="replace") as container:
        packets = container.demux(container.streams.video[0])
        while True:
            try:
                packet = next(packets, None)
                if packet is None:
                    return count
                count += len(packet.decode())
            except av.error.FFmpegError:
                if packet is None:
                    return count
            except OSError:
                return count


def _contents(folder: Path) -> list[str]:
    import sqlite3

    connection = sqlite3.connect(folder / DATABASE)
    try:
        return list(connection.iterdump())
    finally:
        connection.close()


def _serve(line: Any, folder: Path, seed: int) -> None:
    """Run cases in this process until nobody asks for more."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # Address space, not memory: libraries map a gigabyte and never touch it.
    resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))
    field = Range(folder)
    line.send(None)
    while True:
        number = line.recv()
        outcome = field.run(number, seed)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        if peak > MEMORY:
            outcome = Outcome(outcome.kind, "memory", f"{peak >> 20} MiB after {outcome.result}")
        line.send(outcome)
        if peak > MEMORY:
            return


def fuzz(numbers: range, seed: int, tell: bool = False) -> list[tuple[int, Outcome]]:
    """Run cases; what came of each."""
    context = multiprocessing.get_context("spawn")
    results: list[tuple[int, Outcome]] = []
    with tempfile.TemporaryDirectory() as scratch:
        hire = 0
        process = None
        for number in numbers:
            if process is None or not process.is_alive():
                line, other = context.Pipe()
                hire += 1
                process = context.Process(
                    target=_serve, args=(other, Path(scratch) / str(hire), seed), daemon=True
                )
                process.start()
                other.close()
                line.recv()
            line.send(number)
            outcome = Outcome("?", "hang", f"more than {SECONDS:.0f} s")
            try:
                if line.poll(SECONDS):
                    outcome = line.recv()
            except (EOFError, OSError):
                process.join()
                outcome = Outcome("?", "crash", f"exit code {process.exitcode}")
            if outcome.result in ("hang", "crash", "memory"):
                process.kill()
                process.join()
            results.append((number, outcome))
            if tell and outcome.finding:
                print(
                    f"case {number}: {outcome.kind}: {outcome.result}: {outcome.finding.rstrip()}", flush=True
                )
        if process is not None:
            process.kill()
            process.join()
    return results


def main() -> int:
    """Run from the command line; 1 when something was found."""
    options = argparse.ArgumentParser(description="Feed FaceReel what it should not be fed.")
    options.add_argument("--cases", type=int, default=CASES)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--only", type=int)
    given = options.parse_args()
    numbers = range(given.cases) if given.only is None else range(given.only, given.only + 1)
    started = time.monotonic()
    results = fuzz(numbers, given.seed, tell=True)
    table = Counter((outcome.kind, outcome.result) for _, outcome in results)
    for (kind, result), count in sorted(table.items()):
        print(f"{kind:28} {result:14} {count:5}")
    found = [number for number, outcome in results if outcome.finding]
    print(f"{len(results)} cases, {len(found)} findings, {time.monotonic() - started:.0f} s")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
