"""Honest accounting: what was lost of a video, and what a query searched and left out, in numbers."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from facereel.indexer.jobs.events import Job, Note, Progress
from facereel.indexer.jobs.job import run_job
from facereel.query import videos
from facereel.store.index import summary
from facereel.store.index.database import DATABASE
from facereel.store.index.reader import VideoIndex
from facereel.store.model.config import Config
from facereel.store.model.errors import VideoError
from facereel.store.resume.unfinished import UnfinishedIndex
from tests.factories import make_contents, write_index
from tests.fake_engine import FakeEngine, film_of_two
from tests.program import ROOT, Run

FAKE = ("--engine", "fake")
LOSSES = ("skipped", "damaged", "concealed", "missing")


@pytest.fixture(scope="module")
def harmed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A film of which some packets cannot be decoded."""
    path = film_of_two(tmp_path_factory.mktemp("harmed") / "harmed.mkv", seconds=1.0)
    data = bytearray(path.read_bytes())
    place = len(data) // 2
    data[place : place + 300] = b"\x55" * 300
    path.write_bytes(data)
    return path


def test_losses_are_numbers_in_the_index_and_in_all_that_shows_it(
    run: Run, harmed: Path, tmp_path: Path
) -> None:
    report, store = tmp_path / "report.json", tmp_path / "s"
    result = run("index", harmed, "--store", store, *FAKE, "--report", report)
    assert result.exit_code == 0
    (output,) = json.loads(report.read_text())["videos"]
    assert output["frames_damaged"] + output["frames_concealed"] > 0
    assert "damaged" in result.stdout
    lost = output["frames_damaged"] + output["frames_skipped"] + output["frames_missing"]
    assert output["frames"] < 75 <= output["frames"] + lost + 1
    known = json.loads(run("info", harmed, "--store", store, "--json").stdout)
    again = json.loads(run("index", harmed, "--store", store, *FAKE, "--json").stdout)["videos"][0]
    for key in LOSSES:
        assert known[f"frames_{key}"] == output[f"frames_{key}"] == again[f"frames_{key}"]
        line = f"frames {key}: {known[f'frames_{key}']}"
        assert line in run("info", harmed, "--store", store).stdout.splitlines()


def test_a_whole_film_lost_nothing(run: Run, store: Path, film: Path) -> None:
    known = json.loads(run("info", film, "--store", store, "--json").stdout)
    assert [known[f"frames_{key}"] for key in LOSSES] == [0, 0, 0, 0]
    assert "damaged" not in run("index", film, "--store", store, *FAKE).stdout


def test_an_index_of_an_older_version_says_that_nobody_counted(tmp_path: Path) -> None:
    (before,) = (ROOT / "tests" / "data" / "store-0.1").iterdir()
    folder = shutil.copytree(before, tmp_path / before.name)
    with closing(sqlite3.connect(folder / DATABASE)) as db:
        for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            db.execute(f"DROP TRIGGER {name}")
        db.execute("DROP TABLE seal")
        for key in LOSSES:
            db.execute(f"ALTER TABLE stats DROP COLUMN {key}")
        db.execute("PRAGMA user_version = 5")
        db.commit()
    with VideoIndex(folder) as index:
        assert [getattr(index.stats, key) for key in LOSSES] == [None] * 4
        assert summary.details(index, {}).frames_damaged is None


def test_a_query_says_what_it_searched_and_left_out(
    run: Run, store: Path, film: Path, photos: Path, tmp_path: Path
) -> None:
    for engine, name in (("fake-other", "other.mp4"), ("fake", "torn.mp4"), ("fake", "gone.mp4")):
        path = film_of_two(tmp_path / name, seconds=0.1 * (name == "gone.mp4") + 0.1 * len(engine))
        assert run("index", path, "--store", store, "--engine", engine).exit_code == 0
    (torn,) = store.glob("torn*")
    (torn / DATABASE).write_bytes(b"no database")
    path.unlink()
    args = ("query", photos / "red.png", "--store", store, *FAKE, "--out", tmp_path / "out", "--min-duration")
    result = run(*args, "0.1")
    assert result.exit_code == 1, "what is gone could not be cut"
    assert "searched: 2 videos, 6 face tracks, " in result.stdout
    assert "; not searched: 2 videos" in result.stdout
    written = json.loads((tmp_path / "out" / "red" / "metadata.json").read_text())["search"]
    looks = clusters = 0
    for name in ("two*", "gone*"):
        with VideoIndex(next(store.glob(name))) as index:
            looks += len(index.exemplar_arrays())
            clusters += len(index.clusters())
    assert written == {
        # With the two of the damaged index, whose vectors were compared before it was opened.
        "videos": 2, "clusters": clusters + 2, "tracklets": 6, "exemplars": looks,
        "skipped": [
            {"video": "other.mp4", "kind": "other_engine"}, {"video": "torn.mp4", "kind": "damaged"},
        ],
        "not_cut": [{"video": "gone.mp4", "kind": "gone"}],
        "tracklets_without_exemplars": 0, "matches": 4, "possible": 0, "near_misses": 0,
        "min_duration": 0.1, "too_short": 0, "not_speaking": 0,
    }  # fmt: skip
    output = json.loads(run(*args, "1.5", "--overwrite", "--json").stdout)
    assert [output["results"][0]["search"][key] for key in ("matches", "too_short", "min_duration")] == [
        4,
        2,
        1.5,
    ]
    assert {item["kind"] for item in output["skipped"]} == {"other_engine", "damaged"}


def test_metadata_names_no_folder_unless_asked(
    run: Run, store: Path, film: Path, photos: Path, tmp_path: Path
) -> None:
    """Neither in what is written nor in reasons of what was left out."""
    other = film_of_two(tmp_path / "other.mp4", seconds=0.5)
    run("index", other, "--store", store, "--engine", "fake-other")
    out = tmp_path / "out"
    args = ("query", photos / "red.png", "--store", store, *FAKE, "--out", out)
    assert run(*args).exit_code == 0
    texts = [
        path.read_text(encoding="utf-8-sig") for path in (out / "red").iterdir() if path.suffix != ".mp4"
    ]
    texts += [path.read_bytes().decode("latin-1") for path in (out / "red").glob("*.mp4")]
    assert len(texts) == 5
    assert not any(str(place) in text for text in texts for place in (tmp_path, film.parent))
    assert run(*args, "--absolute", "--overwrite").exit_code == 0
    document = json.loads((out / "red" / "metadata.json").read_text())
    assert {clip["video"]["path"] for clip in document["clips"]} == {str(film.resolve())}
    assert document["references"][0]["path"] == str(photos / "red.png")


def test_flipped_bits_are_damage_and_rows_that_somebody_wrote_are_not(tmp_path: Path) -> None:
    folder = write_index(tmp_path, make_contents())
    path = folder / DATABASE

    def said() -> str:
        with closing(sqlite3.connect(path)) as db:
            (crop,) = db.execute("SELECT crop FROM exemplars").fetchone()
        assert crop in path.read_bytes()
        return "; ".join(problem for problem in videos.verify(folder).problems if "is damaged" in problem)

    whole = path.read_bytes()
    assert said() == ""
    with closing(sqlite3.connect(path)) as db:
        (crop,) = db.execute("SELECT crop FROM exemplars").fetchone()
    place = whole.index(crop) + len(crop) - 200
    path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
    assert "its bytes are not those that were written" in said()
    path.write_bytes(whole)
    with closing(sqlite3.connect(path)) as db:
        db.execute("UPDATE clusters SET name = 'Ada'")
        db.commit()
    assert said() == ""


def test_a_file_that_is_still_being_written_is_refused(film: Path, tmp_path: Path) -> None:
    """Its index would be of neither what it was nor what it becomes."""
    growing = Path(shutil.copy(film, tmp_path / "growing.mp4"))

    def grow(event: Progress | Note) -> None:
        if isinstance(event, Progress) and event.stage == "indexing" and event.done == 40:
            with growing.open("ab") as file:
                file.write(b"more")

    with pytest.raises(VideoError, match="still being written to; index it again once it is complete"):
        run_job(Job(growing, tmp_path / "s", Config()), FakeEngine(), grow)
    assert not list((tmp_path / "s").glob("*"))


@pytest.mark.parametrize("indexed_before", [False, True])
def test_a_file_that_grew_behind_the_last_frame_changes_nothing(
    film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, indexed_before: bool
) -> None:
    """An older index goes only for one that is right."""
    growing, store = Path(shutil.copy(film, tmp_path / "growing.mp4")), tmp_path / "s"
    if indexed_before:
        run_job(Job(growing, store, Config()), FakeEngine())
    before = {path: path.stat().st_ino for path in store.glob("*/index.db")}
    assert len(before) == indexed_before
    complete = UnfinishedIndex.complete

    def grown(*args: Any) -> None:
        complete(*args)
        with growing.open("ab") as file:
            file.write(b"more")

    monkeypatch.setattr(UnfinishedIndex, "complete", grown)
    with pytest.raises(VideoError, match="still being written to"):
        run_job(Job(growing, store, Config(), force=True), FakeEngine())
    assert {path: path.stat().st_ino for path in store.glob("*/index.db")} == before


def test_a_batch_with_failures_ends_by_naming_each(run: Run, film: Path, tmp_path: Path) -> None:
    names = ["a.mp4", "b.mp4"]

    def broken() -> Iterator[Path]:
        for name in names:
            (tmp_path / name).write_bytes(b"nothing")
            yield tmp_path / name

    result = run("index", *broken(), film, "--store", tmp_path / "s", *FAKE)
    assert result.exit_code == 1
    last = result.stderr.splitlines()[-1]
    assert last.startswith("error: 2 of 3 videos failed: ")
    assert all(name in last for name in names)
