"""Processes killed at random moments of their work: `python -m tests.benchmarks kill`, or alone with --moments, --seed.

Whatever the moment: each index is whole as it was or whole as it was to be, a result is complete or absent, no worker
stays behind, and the next run ends with what a run that nobody killed ends with, and leaves nothing else.
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

MOMENTS = 50
ROOT = Path(__file__).parent.parent.parent
PATIENCE = 120.0  # seconds that a run may take
FPS = 5  # few frames make the minute that a segment has at least

FAKE, OTHER = ("--engine", "fake"), ("--engine", "fake-other")
# What is done, how often out of a hundred it is killed, and what was done before.
COMMANDS: dict[str, tuple[int, tuple[str, ...], tuple[str, ...]]] = {
    "index": (30, (), ("index", "film.mp4", *FAKE)),
    "index --force": (18, ("film",), ("index", "film.mp4", "--force", "--min-face", "24", *FAKE)),
    "query": (14, ("film",), ("query", "red.png", "--out", "out", *FAKE)),
    "query --overwrite": (10, ("film", "result"), ("query", "red.png", "--out", "out", "--overwrite", *FAKE)),
    "remove": (8, ("film",), ("remove", "film.mp4")),
    "reembed": (10, ("film",), ("reembed", "film.mp4", *OTHER)),
    "forget": (10, ("film",), ("forget", "red.png", *FAKE)),
}
BEFORE = {
    "film": ("index", "film.mp4", *FAKE),
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
    """What came of the moments of one command."""

    command: str
    work: float = 0.0  # seconds from the first change to the end, without a kill
    during: int = 0  # died of the kill
    after: int = 0  # had ended before
    old: int = 0  # all was as it was
    new: int = 0  # all was as it was to be
    went_on: int = 0  # of the old ones: segments were kept, with which the next run went on
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
        _, before, args = COMMANDS[command]
        told, base = Killed(command), self._base(before)
        old = state(base)
        whole = self._copy(base)
        told.work = self._work(args, whole)
        new = state(whole)
        for number in range(moments):
            place, delay = self._copy(base), rng.uniform(0, told.work)
            try:
                self._moment(told, args, place, delay, bool(number % 2), (old, new))
            except Exception as error:
                told.failures.append(f"{command}, {delay:.3f} s after its first change: {error}")
            shutil.rmtree(place)
        return told

    def _moment(
        self, told: Killed, args: Sequence[str], place: Path, delay: float, group: bool, ends: tuple[State, State]
    ) -> None:  # fmt: skip
        process = self._start(args, place)
        self._until_changed(process, place)
        time.sleep(delay)
        with suppress(ProcessLookupError):
            (os.killpg if group else os.kill)(process.pid, signal.SIGKILL)
        code = process.wait(PATIENCE)
        told.during += code < 0
        told.after += code >= 0
        _await_the_end(process.pid)
        check_between(state(place), ends)
        folders.clean_leftovers(place / "store")
        folders.clean_leftovers(place / "out")
        found = state(place)
        if found not in ends:
            raise AssertionError("neither as it was nor as it was to be")
        told.old += found == ends[0]
        told.went_on += bool(list((place / "store").glob(f"{UNFINISHED}*/index.db")))
        told.new += found == ends[1] != ends[0]
        if found != ends[1] or args[0] not in ("remove", "query"):
            self._finish(args, place)
        if (ended := state(place)) != ends[1]:
            raise AssertionError(f"the next run ended otherwise: {difference(ended, ends[1])}")
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
    """Each command killed at its share of the moments."""
    shares = {name: share for name, (share, _, _) in COMMANDS.items() if only in name}
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        scene, found = Range(Path(folder)), []
        for name, share in shares.items():
            print(name, file=sys.stderr, flush=True)
            found.append(scene.kill(name, max(1, round(moments * share / sum(shares.values()))), rng))
    rows = [
        {"command": one.command, "work, s": round(one.work, 2), "moments": one.during + one.after,
         "killed": one.during, "had ended": one.after, "as it was": one.old, "as it was to be": one.new,
         "with chapters": one.went_on,
         "failed": "; ".join(one.failures) or None}
        for one in found
    ]  # fmt: skip
    failed, killed = sum(len(one.failures) for one in found), sum(one.during for one in found)
    yield (
        "kill -9",
        rows,
        [
            at_most("moments that were not survived", failed, 0),
            at_least("processes killed while they worked", killed, moments // 2),
        ],
    )


def _pictures(count: int) -> Iterator[Any]:
    """Shots of twelve seconds: red and green in turn, who walk; blue in every third."""
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
    """Kill and tell; 1 when something was not survived."""
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
