"""Killed at any moment, or two at once: every decision that was made stays, and none is there by half."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from facereel.store.files.digest import hash_file
from facereel.store.library import decisions
from facereel.store.library.people import LibraryPeople
from tests.fake_engine import film_of_two
from tests.program import ROOT
from tests.test_library_people import add_people, place, video

# Writes decisions of every kind for ever, and says each number only once it is stored.
_WRITER = """
import random, sys
from pathlib import Path
from facereel.store.library.people import LibraryPeople
from facereel.store.model.errors import OptionError
from tests.test_library_people import place, video
store, seed, tag = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
people, rng = LibraryPeople(store), random.Random(seed)
print("ready", flush=True)
for number in range(int(sys.argv[4])):
    one, other = rng.randint(1, 6), rng.randint(1, 6)
    places = [place(rng.randrange(500), video(rng.randrange(9))) for _ in range(60)]
    try:
        match rng.randrange(8):
            case 0: people.name(one, f"{tag} {number}", another=True)
            case 1: people.merge(one, other)
            case 2: people.split(one, places)
            case 3: people.reject(one, places)
            case 4: people.undo()
            case 5: people.hide(one)
            case _: people.accept(one, places)
    except OptionError:
        continue
    print(people.log(last=1)[0].uid if tag == "alone" else number, flush=True)
"""
_FACES = ("accept", "reject", "split")


def start(store: Path, seed: int, tag: str, count: int) -> subprocess.Popen[str]:
    """A process that writes decisions; it waits for nobody once it is ready."""
    words = [sys.executable, "-c", _WRITER, str(store), str(seed), tag, str(count)]
    process = subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def check_whole(people: LibraryPeople, places: int = 60) -> set[str]:
    """No decision is there by half and what is derived follows from all; returns their uids.

    `places` is how many each decision about faces has.
    """
    with people.writing() as db:
        assert db.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
        assert db.execute("PRAGMA foreign_key_check").fetchall() == []
        query = ("SELECT * FROM people ORDER BY 1", "SELECT * FROM undone ORDER BY 1")
        stored = [[tuple(row) for row in db.execute(q)] for q in query]
        decisions.replay(db)
        assert [[tuple(row) for row in db.execute(q)] for q in query] == stored
    log = people.log()
    for entry in log:
        assert entry.kind not in _FACES or len(entry.places) == places
    return {entry.uid for entry in log}


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
@pytest.mark.slow
def test_killed_at_any_moment_nothing_is_lost(tmp_path: Path) -> None:
    people = LibraryPeople(tmp_path)
    add_people(people, 6)
    rng = random.Random(20)
    before: set[str] = set()
    for moment in range(20):
        process = start(tmp_path, moment, "alone", 10**6)
        time.sleep(rng.uniform(0, 0.12))
        process.send_signal(signal.SIGKILL)
        output, _ = process.communicate(timeout=60)
        reported = set(output.split("\n")[:-1])
        now = check_whole(people)
        assert before | reported <= now
        assert len(now - before - reported) <= 1  # stored, and killed before it could say so
        before = now
    assert len(before) > 20


@pytest.mark.slow
def test_two_who_decide_at_once_both_succeed(tmp_path: Path) -> None:
    people = LibraryPeople(tmp_path)
    add_people(people, 6)
    both = [start(tmp_path, seed, f"process {seed}", 60) for seed in (1, 2)]
    made = sum(len(process.communicate(timeout=100)[0].splitlines()) for process in both)
    assert [process.returncode for process in both] == [0, 0]
    assert len(check_whole(people)) == made
    times = [entry.time for entry in people.log()]
    assert times == sorted(set(times))


def test_one_indexes_while_another_decides(tmp_path: Path) -> None:
    store = tmp_path / "store"
    people = LibraryPeople(store)
    add_people(people, 6)
    films = [film_of_two(tmp_path / f"{name}.mp4", seconds=0.5 + 0.1 * n) for n, name in enumerate("abc")]
    words = [sys.executable, "-m", "tests.fake_cli", "index", *map(str, films), "--store", str(store)]
    indexer = subprocess.Popen(
        [*words, "--engine", "fake"], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    decided = 0
    while indexer.poll() is None:
        people.accept(1, [place(decided, video(1))])
        people.name(2, f"name {decided}")
        decided += 1
    assert indexer.stderr is not None
    with closing(indexer.stderr):
        assert indexer.wait() == 0, indexer.stderr.read()
    assert people.get(2).name == f"name {decided - 1}"
    assert len(people.log()) == 2 * decided
    check_whole(people, places=1)
    for film in films:
        assert people.people_of(hash_file(film))
