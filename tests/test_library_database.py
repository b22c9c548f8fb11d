"""library.db as hostile input: whatever lies there, one line says so, and the file stays as it is."""

from __future__ import annotations

import os
import random
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from facereel.store.library import database
from facereel.store.library.database import LIBRARY, LibraryDatabase
from facereel.store.library.people import LibraryPeople
from facereel.store.model.errors import (
    DamagedLibraryError,
    FaceReelError,
    NewerIndexError,
    StoreError,
    UnwritableError,
)
from tests.program import OVERRIDE, ROOT
from tests.test_library_people import add_people, place, video


@pytest.fixture
def people(tmp_path: Path) -> LibraryPeople:
    """A library in which three people are named."""
    people = LibraryPeople(tmp_path / "store")
    for number, one in enumerate(add_people(people, 3)):
        people.name(one, f"name {number}")
        people.accept(one, [place(number + 20)])
    return people


def execute(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as db:
        for statement in statements:
            db.execute(statement)
        db.commit()


def call_or_one_line(call: Callable[[], object]) -> None:
    """Call; what it raises is an error for users."""
    message = ""
    try:
        call()
    except FaceReelError as error:
        message = str(error)
    assert "\n" not in message


def become(path: Path, *statements: str) -> None:
    """Make the file one of another program."""
    path.unlink()
    execute(path, *statements)


HOSTILE: dict[str, Callable[[Path], object]] = {
    "garbage": lambda path: path.write_bytes(random.Random(1).randbytes(20_000)),
    "text": lambda path: path.write_text("not a database " * 100),
    "truncated": lambda path: os.truncate(path, 20_000),
    "one page": lambda path: os.truncate(path, 4096),
    "header only": lambda path: os.truncate(path, 100),
    "another program": lambda path: become(path, "CREATE TABLE photos (id INTEGER)"),
    "another program of our version": lambda path: become(
        path, "CREATE TABLE people (id INTEGER)", "PRAGMA user_version = 1"
    ),
    "trigger": lambda path: execute(
        path, "CREATE TRIGGER t AFTER INSERT ON decisions BEGIN DELETE FROM decisions; END"
    ),
    "view": lambda path: execute(path, "CREATE VIEW v AS SELECT * FROM people"),
    "view for a table": lambda path: execute(
        path, "DROP TABLE undone", "CREATE VIEW undone AS SELECT decision FROM decisions"
    ),
    "table without a column": lambda path: execute(path, "ALTER TABLE people DROP COLUMN hidden"),
    "no version": lambda path: execute(path, "PRAGMA user_version = 0"),
}  # fmt: skip


@pytest.mark.parametrize("case", HOSTILE)
def test_a_file_that_is_no_library_is_refused_and_left_alone(
    people: LibraryPeople, tmp_path: Path, case: str
) -> None:
    path = tmp_path / "store" / LIBRARY
    if case == "table without a column" and sqlite3.sqlite_version_info < (3, 35):
        pytest.skip("this SQLite cannot drop a column")
    HOSTILE[case](path)
    before = path.read_bytes()
    for call in (
        people.all, people.log, lambda: people.name(1, "Eve"), people.add_person, lambda: people.forget(1),
        lambda: people.backup(tmp_path / "backup.json"),
    ):  # fmt: skip
        with pytest.raises(DamagedLibraryError, match=r"library\.db is damaged or not a library") as raised:
            call()
        assert "facereel people restore BACKUP --store" in str(raised.value)
        assert "\n" not in str(raised.value)
    assert path.read_bytes() == before
    assert not (tmp_path / "backup.json").exists()


def test_a_newer_library_is_refused_and_left_alone(people: LibraryPeople, tmp_path: Path) -> None:
    path = tmp_path / "store" / LIBRARY
    execute(path, "PRAGMA user_version = 99", "CREATE TABLE newer (id INTEGER)")
    before = path.read_bytes()
    for call in (people.all, people.add_person):
        with pytest.raises(NewerIndexError, match=r"written by a newer version \(schema 99, this one knows"):
            call()
    assert path.read_bytes() == before


VALUES = (
    "UPDATE decisions SET kind = 'drop'",
    "UPDATE decisions SET time = x'00'",
    "UPDATE decisions SET person = 'one'",
    "UPDATE people SET name = x'ff', merged_into = person",
    "UPDATE people SET merged_into = 99",
    "UPDATE people SET merged_into = 'two'",
    "UPDATE people SET hidden = 'maybe', forgotten = 1",
    "UPDATE places SET frame = 'late'",
    "UPDATE places SET x = 'left', sha256 = 7",
    "UPDATE members SET person = 99, seconds = 'long'",
    "DELETE FROM people",
    "INSERT INTO undone SELECT decision FROM decisions",
    "INSERT INTO alike VALUES (1, 2), (2, 1)",
    "UPDATE decisions SET undoes = decision, kind = 'undo'",
)


@pytest.mark.parametrize("statement", VALUES)
def test_values_that_cannot_be_raise_one_line_at_most(
    people: LibraryPeople, tmp_path: Path, statement: str
) -> None:
    execute(tmp_path / "store" / LIBRARY, statement)
    calls: list[Callable[[], object]] = [
        people.all, people.log, lambda: people.get(1), lambda: people.by_name("name 1"), lambda: people.members(1),
        lambda: people.people_of(video(1)), lambda: people.rulings(1), lambda: people.rulings_of_video(video(1)),
        lambda: people.name(1, "Eve"), lambda: people.merge(1, 2), lambda: people.accept(1, [place(2)]),
        people.undo, lambda: people.undo(1), lambda: people.backup(tmp_path / "b.json"), lambda: people.forget(1),
    ]  # fmt: skip
    for call in calls:
        call_or_one_line(call)


def test_any_flipped_byte_raises_one_line_or_does_no_harm(people: LibraryPeople, tmp_path: Path) -> None:
    path = tmp_path / "store" / LIBRARY
    whole, rng = path.read_bytes(), random.Random(7)
    for _ in range(150):
        altered = bytearray(whole)
        for _ in range(rng.choice((1, 1, 8))):
            altered[rng.randrange(rng.choice((200, len(altered))))] = rng.randrange(256)
        path.write_bytes(altered)
        for call in (people.all, people.log, lambda: people.rulings(1), lambda: people.name(2, "Eve")):
            call_or_one_line(call)


def test_an_empty_file_is_a_library_that_was_never_written(tmp_path: Path) -> None:
    (tmp_path / LIBRARY).touch()
    people = LibraryPeople(tmp_path)
    assert people.all() == ()
    assert people.add_person() == 1


def test_the_file_is_for_its_owner_and_the_folder_keeps_its_time(
    people: LibraryPeople, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    if os.name == "posix":
        assert {stat.S_IMODE(path.stat().st_mode) for path in store.iterdir()} == {0o600}
    before = store.stat().st_mtime_ns
    people.name(1, "Eve")
    people.forget(1)
    assert people.all()
    assert store.stat().st_mtime_ns == before


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
def test_a_library_that_may_only_be_read(people: LibraryPeople, tmp_path: Path) -> None:
    path = tmp_path / "store" / LIBRARY
    path.chmod(0o400)
    code = (
        "from pathlib import Path; from facereel.store.library.people import LibraryPeople as L; import sys\n"
        f"people = L(Path({str(path.parent)!r})); print(len(people.all()))\n"
        "try: people.hide(1)\n"
        "except Exception as error: print(type(error).__name__, error)"
    )
    result = run_bound_code(code)
    path.chmod(0o600)
    count, error = result.splitlines()
    assert count == "3"
    assert error.startswith(f"UnwritableError {path} cannot be written: ")
    assert len(people.log()) == 6


def run_bound_code(code: str) -> str:
    """What Python code prints in a process that file permissions bind."""
    root = hasattr(os, "geteuid") and os.geteuid() == 0
    bound = ["setpriv", f"--bounding-set={OVERRIDE}", f"--inh-caps={OVERRIDE}"] if root else []
    return subprocess.run(
        [*bound, sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    ).stdout


def test_a_lock_that_is_not_given_back(
    people: LibraryPeople, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "_PATIENCE", 0.05)
    with closing(sqlite3.connect(tmp_path / "store" / LIBRARY, isolation_level=None)) as db:
        db.execute("BEGIN IMMEDIATE")
        assert len(people.all()) == 3  # readers go on
        with pytest.raises(StoreError, match="is in use by another process for more than"):
            people.hide(1)
        db.execute("COMMIT")
        db.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StoreError, match="is in use by another process for more than"):
            people.all()


def test_a_full_disk(people: LibraryPeople, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = LibraryDatabase._connection

    @contextmanager
    def small(self: LibraryDatabase, patience: float | None = None) -> Iterator[sqlite3.Connection]:
        with real(self, patience) as db:
            db.execute("PRAGMA max_page_count = 1")  # raises SQLite's own error of a full disk
            yield db

    before = people.log()
    monkeypatch.setattr(LibraryDatabase, "_connection", small)
    with pytest.raises(UnwritableError, match="cannot be written: database or disk is full"):
        people.accept(1, [place(number) for number in range(2000)])
    monkeypatch.undo()
    assert people.log() == before


def test_every_migration_ends_with_the_schema_of_a_new_file(tmp_path: Path) -> None:
    """An older file becomes the newest; what it holds stays."""
    for version in range(len(database.MIGRATIONS)):
        store = tmp_path / str(version)
        store.mkdir()
        with closing(sqlite3.connect(store / LIBRARY, isolation_level=None)) as db:
            for statements in database.MIGRATIONS[:version]:
                for statement in statements:
                    db.execute(statement)
            db.execute(f"PRAGMA user_version = {version}")
        people = LibraryPeople(store)
        assert people.all() == ()
        assert people.add_person() == 1


def test_an_older_file_that_may_only_be_read_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / LIBRARY
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        for statement in database.MIGRATIONS[0]:
            db.execute(statement)
        db.execute("INSERT INTO people (uid, created) VALUES ('1', '2026')")
        db.execute("PRAGMA user_version = 1")
    before = path.read_bytes()
    real = LibraryDatabase._connection

    @contextmanager
    def read_only(self: LibraryDatabase, patience: float | None = None) -> Iterator[sqlite3.Connection]:
        with real(self, patience) as db:
            db.execute("PRAGMA query_only = ON")
            yield db

    monkeypatch.setattr(LibraryDatabase, "_connection", read_only)
    people = LibraryPeople(tmp_path)
    assert people.get(1).id == 1
    assert people.all() == ()
    assert path.read_bytes() == before


def test_pairs_that_were_suggested_stay_when_a_file_becomes_newer(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / LIBRARY, isolation_level=None)) as db:
        for statement in (*database.MIGRATIONS[0], *database.MIGRATIONS[1]):
            db.execute(statement)
        db.execute("INSERT INTO people (uid, created) VALUES ('1', '2026'), ('2', '2026')")
        db.execute("INSERT INTO questions (time, kind, person, other) VALUES ('2026', 'same', 1, 2)")
        db.execute("PRAGMA user_version = 2")
    with LibraryPeople(tmp_path).writing() as db:
        assert [tuple(row) for row in db.execute("SELECT * FROM questions")] == [(1, "2026", 1, 2)]
