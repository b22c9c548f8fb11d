"""Processes killed at random moments: `python -m tests.benchmarks kill`, or this file alone with --moments, --seed.

Whatever the moment: each index is complete, either the old one or the new one; a result is complete or absent; no
worker stays alive; the next run ends with the same state as a run that was not killed, and leaves nothing else behind.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from facereel.store.files import folders
from facereel.store.resume.unfinished import UNFINISHED
from tests.benchmarks.figures import Figure, at_least, at_most
from tests.benchmarks.kill_state import State, check_between, check_sound, difference, listing, state
from tests.fake_engine import backdrop, draw_face, write_film, write_photo

MOMENTS = 50  # at which each command is killed
ROOT = Path(__file__).parent.parent.parent
PATIENCE = 120.0  # seconds that a run may take
FPS = 5  # few frames make the minute that a segment has at least

FAKE, OTHER = ("--engine", "fake"), ("--engine", "fake-other")
# Every command that changes something: what has to be done before it, and its words.
COMMANDS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "index": ((), ("index", "film.mp4", *FAKE)),
    "index --force": (("film",), ("index", "film.mp4", "--force", "--min-face", "24", *FAKE)),
    "query": (("film",), ("query", "red.png", "--out", "out", *FAKE)),
    "query --overwrite": (("film", "result"), ("query", "red.png", "--out", "out", "--overwrite", *FAKE)),
    "remove": (("film",), ("remove", "film.mp4")),
    "reembed": (("film",), ("reembed", "film.mp4", *OTHER)),
    "forget": (("film",), ("forget", "red.png", "--yes", *FAKE)),
    "people name": (("film",), ("people", "name", "film.mp4#1", "Anna")),
    "people merge": (("film", "name"), ("people", "merge", "Anna", "film.mp4#2")),
    "people reject": (("film", "name"), ("people", "reject", "Anna", "film.mp4#1")),
    "people undo": (("film", "name"), ("people", "undo")),
}
ONCE = ("remove", "query", "people")  # commands that cannot be run again once they are done
BEFORE = {
    "film": ("index", "film.mp4", *FAKE),
    "name": ("people", "name", "film.mp4#1", "Anna"),
    "result": ("query", "red.png", "--out", "out", "--crop", "none", *FAKE),
}


class Running(Protocol):
    """A process that can be killed."""

    pid: int

    def wait(self, timeout: float) -> int:
        """Its exit code, negative for a signal."""
        ...


Start = Callable[[Sequence[str], Path], Running]  # a command line, and the folder to run it in


@dataclass(slots=True)
class Killed:
    """What happened to one command that was killed at many moments."""

    command: str
    work: float = 0.0  # seconds from the first change to the end, without a kill
    during: int = 0  # moments at which the signal ended it
    after: int = 0  # moments at which it had ended already
    old: int = 0  # the state was that from before the command
    new: int = 0  # the state was that after the complete command
    resumed: int = 0  # of the old ones: finished segments were stored, and the next run resumes after them
    failures: list[str] = field(default_factory=list)


def start(args: Sequence[str], place: Path) -> Running:
    """The command line with the fake engines, as a process and session of its own."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "FACEREEL_STORE": "store"}
    return subprocess.Popen(
        [sys.executable, "-m", "tests.fake_cli", *args], cwd=place, env=environment, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip


class Range:
    """Where it happens: a place for each command, made once and copied for each moment."""

    def __init__(self, folder: Path, starter: Start = start, seconds: float = 140.0) -> None:
        """`seconds` of film; from 120 on the index is made in segments."""
        self.folder, self._start = folder, starter
        self._bases: dict[tuple[str, ...], Path] = {}
        folder.mkdir(parents=True, exist_ok=True)
        write_film(folder / "film.mp4", _pictures(round(seconds * FPS)), fps=FPS, sound=True)
        write_photo(folder / "red.png", "red")

    def kill(self, command: str, moments: int, rng: random.Random) -> Killed:
        """Kill one command at some moments of its work."""
        before, args = COMMANDS[command]
        outcome, base = Killed(command), self._base(before)
        old = state(base)
        whole = self._copy(base)
        outcome.work = self._work(args, whole)
        new = state(whole)
        for number in range(moments):
            place, delay = self._copy(base), rng.uniform(0, outcome.work)
            try:
                self._moment(outcome, args, place, delay, bool(number % 2), (old, new))
            except Exception as error:
                outcome.failures.append(f"{command}, {delay:.3f} s after its first change: {error}")
            shutil.rmtree(place)
        return outcome

    def _moment(
        self, outcome: Killed, args: Sequence[str], place: Path, delay: float, group: bool, ends: tuple[State, State]
    ) -> None:  # fmt: skip
        process = self._start(args, place)
        self._until_changed(process, place)
        time.sleep(delay)
        with suppress(ProcessLookupError):
            (os.killpg if group else os.kill)(process.pid, signal.SIGKILL)
        code = process.wait(PATIENCE)
        outcome.during += code < 0
        outcome.after += code >= 0
        _await_the_end(process.pid)
        check_between(state(place), ends)
        folders.clean_leftovers(place / "store")
        folders.clean_leftovers(place / "out")
        present = state(place)
        if present not in ends:
            raise AssertionError("the state is neither that before the command nor that after it")
        outcome.old += present == ends[0]
        outcome.resumed += bool(list((place / "store").glob(f"{UNFINISHED}*/index.db")))
        outcome.new += present == ends[1] != ends[0]
        if present != ends[1] or args[0] not in ONCE:
            self._finish(args, place)
        if (ended := state(place)) != ends[1]:
            raise AssertionError(f"the next run ended in another state: {difference(ended, ends[1])}")
        check_sound(place)

    def _base(self, before: tuple[str, ...]) -> Path:
        """A place where that was done, made once."""
        if before not in self._bases:
            self._bases[before] = self._copy(self._base(before[:-1])) if before else self._place()
            for name in before[-1:]:
                self._finish(BEFORE[name], self._bases[before])
        return self._bases[before]

    def _place(self) -> Path:
        place = Path(tempfile.mkdtemp(dir=self.folder))
        # The same path in every copy, as an index knows where its video lies.
        for name in ("film.mp4", "red.png"):
            (place / name).symlink_to(self.folder / name)
        return place

    def _copy(self, base: Path) -> Path:
        place = Path(tempfile.mkdtemp(dir=self.folder))
        return Path(shutil.copytree(base, place, symlinks=True, dirs_exist_ok=True))

    def _finish(self, args: Sequence[str], place: Path) -> None:
        if (code := self._start(args, place).wait(PATIENCE)) != 0:
            raise AssertionError(f"{' '.join(args)} ended with {code}")

    def _work(self, args: Sequence[str], place: Path) -> float:
        """Seconds from the first change in the place to the end of a run that nobody kills."""
        process = self._start(args, place)
        self._until_changed(process, place)
        started = time.monotonic()
        if (code := process.wait(PATIENCE)) != 0:
            raise AssertionError(f"{' '.join(args)} ended with {code}")
        return time.monotonic() - started

    def _until_changed(self, process: Running, place: Path) -> None:
        before, until = listing(place), time.monotonic() + PATIENCE
        while listing(place) == before and _lives(process.pid) and time.monotonic() < until:
            time.sleep(0.0005)


def kills(
    only: str, moments: int = MOMENTS, seed: int = 1
) -> Iterator[tuple[str, list[dict[str, Any]], list[Figure]]]:
    """Each command, killed at so many random moments."""
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        scene, outcomes = Range(Path(folder)), []
        for name in [name for name in COMMANDS if only in name]:
            print(name, file=sys.stderr, flush=True)
            outcomes.append(scene.kill(name, moments, rng))
    rows = [
        {"command": row.command, "work, s": round(row.work, 2), "moments": row.during + row.after,
         "killed": row.during, "had ended": row.after, "old state": row.old, "new state": row.new,
         "with segments": row.resumed,
         "failed": "; ".join(row.failures) or None}
        for row in outcomes
    ]  # fmt: skip
    failed, killed = sum(len(row.failures) for row in outcomes), sum(row.during for row in outcomes)
    yield (
        "kill -9",
        rows,
        [
            at_most("moments that were not survived", failed, 0),
            at_least("processes killed while they worked", killed, moments * len(outcomes) // 2),
        ],
    )


def _pictures(count: int) -> Iterator[Any]:
    """Shots of twelve seconds: red and green in turn, moving right; blue in every third."""
    for frame in range(count):
        shot, step = divmod(frame, 12 * FPS)
        picture = backdrop((160, 90), seed=shot, shade=80 if shot % 2 else 180)
        draw_face(picture, ("red", "green")[shot % 2], (10 + step // 2, 20, 30, 30))
        if shot % 3 == 0:
            draw_face(picture, "blue", (100, 30, 36, 36))
        yield picture


def _lives(pid: int) -> bool:
    """Whether a process still runs; one that has ended waits to be asked for its exit code."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def _await_the_end(session: int) -> None:
    """Wait for the workers of a killed process, which end by themselves; raises AssertionError when they stay."""
    until = time.monotonic() + 20
    while workers := [pid for pid in _session(session) if _lives(pid)]:
        if time.monotonic() > until:
            raise AssertionError(f"{len(workers)} workers stayed behind")
        time.sleep(0.02)


def _session(session: int) -> Iterator[int]:
    for status in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError, ValueError, IndexError):
            if int(status.read_text().rpartition(")")[2].split()[3]) == session:
                yield int(status.parent.name)


def main() -> int:
    """Run the bench alone; 1 when a moment failed."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--moments", type=int, default=MOMENTS)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--only", default="", help="only commands whose name holds this")
    given = options.parse_args()
    ((_, rows, figures),) = kills(given.only, given.moments, given.seed)
    for row in rows:
        print("  ".join(f"{key}: {value}" for key, value in row.items()))
    print(", ".join(f"{figure.what}: {figure.value:g}" for figure in figures if figure.value is not None))
    return int(any(figure.passed is False for figure in figures))


if __name__ == "__main__":
    sys.exit(main())
