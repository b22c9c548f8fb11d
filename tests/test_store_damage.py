"""What is damaged, foreign, older or newer is said, with its remedy: on real SQLite files."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

import numpy as np
import pytest

from facereel.store.index import rows, schema
from facereel.store.index.database import DATABASE
from facereel.store.index.reader import VideoIndex
from facereel.store.index.verify import check_index
from facereel.store.model.errors import (
    DamagedIndexError,
    NewerIndexError,
    OptionError,
)
from facereel.store.model.records import Video
from tests.factories import assert_holds, make_contents, write_index


def read_all(folder: Path) -> None:
    with VideoIndex(folder) as index:
        index.times(), index.shots(), index.clusters(), index.exemplars(), index.exemplar_arrays()
        index.exemplar_count(), index.vectors()
        index.sightings(t.number for t in index.tracklets())


def is_said_damaged(folder: Path) -> bool:
    message = ""
    try:
        read_all(folder)
    except DamagedIndexError as error:
        message = str(error)
    if message:
        assert "index.db is damaged" in message
        assert "run: facereel index --force" in message
        assert message.isprintable()
    return bool(message)


def test_damage_anywhere_is_named_with_its_remedy(tmp_path: Path) -> None:
    """Zeros, noise and truncation over the whole file: either all is read, or it is said to be damaged."""
    folder = write_index(tmp_path, make_contents())
    path = folder / DATABASE
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    said = 0
    for offset in range(0, len(whole), len(whole) // 60):
        noise = rng.integers(0, 256, 200, dtype=np.uint8).tobytes()
        for damaged in (
            whole[:offset],
            whole[:offset] + bytes(200) + whole[offset + 200 :],
            whole[:offset] + noise + whole[offset + 200 :],
        ):
            path.write_bytes(damaged[: len(whole)])
            # A changed number may pass, or a version so changed be newer; only errors of ours may come.
            with suppress(NewerIndexError, OptionError):
                said += is_said_damaged(folder)
    assert said > 60
    path.unlink()
    with pytest.raises(DamagedIndexError, match="No such file"):
        read_all(folder)


def test_rows_that_are_missing_or_wrong_are_damage(tmp_path: Path) -> None:
    folder = write_index(tmp_path, make_contents())
    whole = (folder / DATABASE).read_bytes()
    for harm in (
        "DELETE FROM video",
        "DELETE FROM engine",
        "DROP TABLE stats",
        "DELETE FROM sightings WHERE frame = (SELECT max(frame) FROM sightings)",
        "DELETE FROM frames WHERE frame = 7",
        "DELETE FROM exemplars WHERE exemplar = 1",
        "UPDATE sightings SET source = 'guessed'",
        "UPDATE tracklets SET end_reason = 'bored'",
        "UPDATE video SET time_base_denominator = 0",
        "UPDATE video SET frame_rate = 'fast'",
        "UPDATE video SET sha256 = 'xyz'",
        "UPDATE video SET warnings = '{'",
        "UPDATE config SET value = x'00'",
        "UPDATE exemplars SET embedding = zeroblob(64)",
        "UPDATE exemplars SET embedding = zeroblob(63)",
        "UPDATE exemplars SET crop = x'ffd8'",
        "UPDATE exemplars SET landmarks = '[1]'",
        "UPDATE tracklets SET score = 'high'",
        "UPDATE tracklets SET clothes = zeroblob(391)",
        "UPDATE vectors SET sha256 = ''",
    ):
        (folder / DATABASE).write_bytes(whole)
        with closing(sqlite3.connect(folder / DATABASE, isolation_level=None)) as db:
            db.execute(harm)
        with pytest.raises(DamagedIndexError):
            read_all(folder)


def test_newer_version_and_foreign_file(tmp_path: Path) -> None:
    folder = write_index(tmp_path, make_contents())
    with closing(sqlite3.connect(folder / DATABASE)) as db:
        db.execute("PRAGMA user_version = 99")
    with pytest.raises(NewerIndexError, match="schema 99"):
        VideoIndex(folder)
    with closing(sqlite3.connect(folder / DATABASE)) as db:
        db.execute("PRAGMA user_version = 0")
    with pytest.raises(DamagedIndexError, match="holds no index"):
        VideoIndex(folder)


def test_older_version_is_upgraded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    contents = make_contents()
    folder = write_index(tmp_path, contents)
    later = (*schema.MIGRATIONS, lambda db: db.execute("CREATE TABLE later (word TEXT)"))
    monkeypatch.setattr(schema, "MIGRATIONS", later)
    with VideoIndex(folder) as index:
        assert_holds(index, contents)
    with closing(sqlite3.connect(folder / DATABASE)) as db:
        assert schema.version(db) == len(later)
        assert db.execute("SELECT * FROM later").fetchall() == []


@pytest.mark.parametrize("bug", [AttributeError, TypeError, KeyError, MemoryError, sqlite3.ProgrammingError])
def test_a_bug_of_ours_is_not_called_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bug: type[Exception]
) -> None:
    """Nor is too little memory: the index is fine, and nobody should make it again."""
    folder = write_index(tmp_path, make_contents())

    def broken(*_: object) -> None:
        raise bug("ours")

    monkeypatch.setattr(rows, "sightings_of", broken)
    with VideoIndex(folder) as index, pytest.raises(bug, match="ours"):
        index.sightings([1])


def test_rows_that_somebody_added_by_sql_are_no_damage(tmp_path: Path) -> None:
    folder = write_index(tmp_path, make_contents())
    nothing: Callable[[Video], None] = lambda video: None  # noqa: E731  # the video of the records is nowhere
    assert check_index(folder, nothing).problems == ()
    for statement in (
        "INSERT INTO clusters VALUES (9, 'Ada')",
        "INSERT INTO config VALUES ('note', 'mine')",
        "INSERT INTO meta VALUES ('note', 'mine')",
        "UPDATE clusters SET name = 'Grace H.' WHERE cluster = 2",
        "UPDATE video SET warnings = '[]'",
        "DELETE FROM clusters WHERE cluster = 9",
    ):
        with closing(sqlite3.connect(folder / DATABASE, isolation_level=None)) as db:
            db.execute(statement)
        assert check_index(folder, nothing).problems == (), statement
    data = bytearray((folder / DATABASE).read_bytes())
    data[27] ^= 1  # SQLite's change counter, so that it says that somebody wrote
    (folder / DATABASE).write_bytes(data)
    (problem,) = check_index(folder, nothing).problems
    assert "its header contradicts itself" in problem
