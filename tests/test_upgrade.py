"""Stores of earlier versions open, are upgraded in place without reading a video, and answer as before."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from sqlite_utils import Database

from facereel.store.files.folders import index_folders
from facereel.store.index import schema
from facereel.store.index.database import DATABASE
from facereel.store.index.reader import VideoIndex
from facereel.store.model.config import Config
from tests.program import ROOT, Run

STORE_0_1 = ROOT / "tests" / "data" / "store-0.1"
FAKE = ("--engine", "fake")


@pytest.fixture
def old_store(tmp_path: Path) -> Path:
    """A store of version 0.1.0 with the index of film_of_two, whose video is gone."""
    return Path(shutil.copytree(STORE_0_1, tmp_path / "store"))


def test_an_index_of_the_version_before_is_upgraded_in_place(old_store: Path) -> None:
    (folder,) = index_folders(old_store)
    columns, rows = {}, {}
    with closing(sqlite3.connect(folder / DATABASE)) as before:
        before.execute("UPDATE config SET value = 5 WHERE key = 'min_detections'")
        before.commit()
        for table in ("video", "frames", "shots", "people", "tracklets", "sightings", "exemplars"):
            columns[table] = [column[1] for column in before.execute(f"PRAGMA table_info({table})")]
            rows[table] = before.execute(f"SELECT * FROM {table}").fetchall()
    with VideoIndex(folder) as index:
        assert [(shot.start, shot.end) for shot in index.shots()] == [(0, 10), (10, 20), (20, 30)]
        assert [(c.number, c.name, c.tracklets) for c in index.clusters()] == [
            (1, None, (1, 2)),
            (2, None, (3,)),
        ]
        assert [tracklet.cluster for tracklet in index.tracklets()] == [1, 1, 2]
        assert set(index.config) >= {"threshold", "exemplars", "low_res_interval", "crop_interval"}
        # Clothes came later.
        assert set(index.config) - {"threshold"} == set(Config.__slots__) - {"clothes"}
        assert index.config["min_seconds"] == 5 / 25
        assert len(index.exemplar_arrays()) == len(rows["exemplars"])
        assert len(index.sightings([1, 2, 3])) == 3
        assert (index.video.rotation, index.video.mirrored) == (0, False)
    with closing(sqlite3.connect(folder / DATABASE)) as after:
        for table, content in rows.items():
            names = ["cluster" if name == "person" else name for name in columns[table]]
            renamed = "clusters" if table == "people" else table
            assert after.execute(f"SELECT {', '.join(names)} FROM {renamed}").fetchall() == content
        assert after.execute("PRAGMA user_version").fetchone() == (len(schema.MIGRATIONS),)
        assert after.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall() == []
        assert dict(after.execute("SELECT key, value FROM meta")) == schema.FIRST_VERSION
        assert after.execute("SELECT cluster, tracklets FROM cluster_times").fetchall() == [(1, 2), (2, 1)]
        assert after.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def columns_of(connection: sqlite3.Connection) -> dict[str, dict[str, list[tuple[object, ...]]]]:
    """What SQLite says of each table and view of a file: columns, indexes, references."""
    names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type != 'index'")]
    facts = ("table_xinfo", "index_list", "foreign_key_list")
    return {
        name: {fact: sorted(connection.execute(f"PRAGMA {fact}({name})"), key=repr) for fact in facts}
        for name in names
    }


def indexed_columns(connection: sqlite3.Connection) -> dict[str, list[tuple[object, ...]]]:
    """The columns of each index."""
    names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'index'")]
    return {name: connection.execute(f"PRAGMA index_info({name})").fetchall() for name in names}


def test_a_new_file_is_what_all_migrations_come_to() -> None:
    with closing(sqlite3.connect(":memory:")) as new, closing(sqlite3.connect(":memory:")) as migrated:
        schema.create(new)
        schema.migrate(Database(migrated, execute_plugins=False))
        assert columns_of(new).keys() > schema.TABLES
        for name, facts in columns_of(migrated).items():
            assert columns_of(new)[name] == facts, name
        assert columns_of(new).keys() == columns_of(migrated).keys()
        assert indexed_columns(new) == indexed_columns(migrated)
        assert {name for (name,) in new.execute("SELECT name FROM sqlite_master WHERE type = 'view'")} == set(
            schema.VIEWS
        )
        assert schema.version(new) == schema.version(migrated) == len(schema.MIGRATIONS)


def test_a_query_of_an_old_store_finds_what_it_found(run: Run, old_store: Path, photos: Path) -> None:
    result = run("query", photos / "red.png", "--store", old_store, *FAKE, "--dry-run")
    assert result.exit_code == 0
    assert "2 clips of red in 1 of 1 video" in result.stdout


def test_an_old_index_is_reembedded(run: Run, old_store: Path) -> None:
    """Opening the file upgrades it: that is no write by somebody else."""
    result = run("reembed", "all", "--store", old_store, "--engine", "fake-other")
    assert result.exit_code == 0, result.stderr
    assert "recognised by fake-other, before by fake" in result.stdout


def test_a_failed_upgrade_leaves_the_old_index_whole(
    old_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder,) = index_folders(old_store)
    before = (folder / DATABASE).read_bytes()

    def stop(db: object) -> None:
        raise sqlite3.OperationalError("disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, stop))
        with pytest.raises(Exception, match="disk is full"):
            VideoIndex(folder)
    with closing(sqlite3.connect(folder / DATABASE)) as rows:
        assert rows.execute("SELECT count(*) FROM people").fetchone() == (2,)
        assert rows.execute("PRAGMA user_version").fetchone() == (6,)
    assert len(before) == (folder / DATABASE).stat().st_size
    with VideoIndex(folder) as index:
        assert len(index.clusters()) == 2
