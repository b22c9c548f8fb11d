"""Damage is named with a command that repairs it, what is derived is made anew, moved videos are found again."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from facereel.query import videos
from facereel.query.library import decisions
from facereel.query.search.search import PersonMatches, search
from facereel.store.files import folders
from facereel.store.files import locks as claims
from facereel.store.files.folders import index_folders
from facereel.store.index import rewrite, vectors
from facereel.store.index.database import DATABASE, read_version
from facereel.store.index.reader import VideoIndex
from facereel.store.index.vectors import VECTORS
from facereel.store.index.verify import Health
from facereel.store.model.errors import StoreError
from tests.fake_engine import film_of_two
from tests.program import Run

FAKE = ("--engine", "fake")


@pytest.fixture
def here(run: Run, tmp_path: Path) -> Path:
    """A folder with the film a.mp4 and the store `s` with its index, which a query has pooled."""
    film_of_two(tmp_path / "a.mp4", seconds=0.4)
    assert run("index", tmp_path / "a.mp4", "--store", tmp_path / "s", *FAKE).exit_code == 0
    return tmp_path


def only(store: Path) -> Path:
    (folder,) = index_folders(store)
    return folder


@pytest.mark.parametrize("start", [0, 20_000])
@pytest.mark.parametrize("asks", ["query", "verify"])
def test_the_command_that_is_named_repairs(run: Run, here: Path, photos: Path, start: int, asks: str) -> None:
    """Also when not even the video's name can be read from index.db."""
    database = only(here / "s") / DATABASE
    data = database.read_bytes()
    database.write_bytes(data[:start] + b"\xff" * (len(data) - start))
    args = ("query", photos / "red.png", *FAKE, "--dry-run") if asks == "query" else ("verify",)
    result = run(*args, "--store", here / "s")
    assert result.exit_code == 1
    (line,) = (text for text in result.output.splitlines() if "is damaged" in text)
    words = shlex.split(line.partition("run: ")[2])
    assert words[:3] == ["facereel", "index", "--force"]
    assert run(*words[1:], *FAKE).exit_code == 0
    assert run("verify", "--store", here / "s").stdout == "a.mp4: ok\n"
    assert run("query", photos / "red.png", "--store", here / "s", *FAKE, "--dry-run").exit_code == 0


def test_a_damaged_index_makes_way_for_its_video_under_another_name(run: Run, here: Path) -> None:
    (only(here / "s") / DATABASE).write_bytes(b"torn")
    renamed = (here / "a.mp4").rename(here / "b.mp4")
    assert run("index", renamed, "--store", here / "s", *FAKE).exit_code == 0
    assert only(here / "s").name.startswith("b.mp4-")


def test_a_torn_vectors_file_is_rebuilt_and_said_once(
    run: Run, here: Path, photos: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = only(here / "s") / VECTORS
    before = path.read_bytes()
    path.write_bytes(before[:-9] + b"otherwise")
    for _ in range(2):
        assert run("query", photos / "red.png", "--store", here / "s", *FAKE, "--dry-run").exit_code == 0
    (record,) = caplog.records
    assert record.getMessage() == f"{path} is rebuilt from index.db: not made from these rows"
    assert path.read_bytes() == before


def test_verify_finds_files_whose_digests_fit_but_whose_contents_are_wrong(here: Path) -> None:
    """Embeddings of other tracklets under the digest of these rows; rows whose count is another."""
    folder = only(here / "s")
    assert videos.verify(folder) == Health("a.mp4", ())
    with VideoIndex(folder) as index:
        pooled = index.pooled()
    source = (folder / VECTORS).read_bytes()[-32:]
    vectors.write(folder, vectors.build(pooled.tracklets, pooled.embeddings[::-1]), source)
    assert videos.verify(folder).notes == ("vectors.faiss was not of these rows; rebuilt from index.db",)
    assert videos.verify(folder).notes == ()
    for harm, said in (
        ("UPDATE stats SET faces = faces + 1", "were counted"),
        ("UPDATE exemplars SET frame = 0 WHERE tracklet = 2", "an exemplar belongs to no tracklet"),
    ):
        whole = (folder / DATABASE).read_bytes()
        with closing(sqlite3.connect(folder / DATABASE, isolation_level=None)) as rows:
            rows.execute(harm)
        (problem,) = videos.verify(folder).problems
        assert said in problem
        (folder / DATABASE).write_bytes(whole)


def test_a_video_with_the_same_size_and_time_is_read_on_request(run: Run, here: Path) -> None:
    film = here / "a.mp4"
    status, data = film.stat(), film.read_bytes()
    film.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    os.utime(film, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert run("verify", "--store", here / "s").exit_code == 0
    result = run("verify", "--store", here / "s", "--content")
    assert result.exit_code == 1
    assert "has changed since it was indexed" in result.stdout


def test_a_moved_video_costs_only_itself_and_is_found_again(run: Run, here: Path, photos: Path) -> None:
    other = film_of_two(here / "other.mp4", seconds=0.5)
    assert run("index", other, "--store", here / "s", *FAKE).exit_code == 0
    moved = (here / "a.mp4").rename(here / "elsewhere.mp4")
    query = ("query", photos / "red.png", "--store", here / "s", *FAKE, "--out", here / "out", "--overwrite")
    result = run(*query)
    assert result.exit_code == 1
    (error,) = (line for line in result.stderr.splitlines() if line.startswith("error: "))
    assert f"not cut: {here / 'a.mp4'} is no longer there" in error
    assert "facereel index FILE" in error
    output = json.loads((here / "out" / "red" / "metadata.json").read_text())
    assert {clip["video"]["file"] for clip in output["clips"]} == {"other.mp4"}
    output = json.loads(run(*query, "--json").stdout)
    assert [item["video"] for item in output["results"][0]["not_cut"]] == ["a.mp4"]
    named = run(*query, "--video", moved, "--json")
    assert named.exit_code == 0
    assert {clip["video"]["file"] for clip in json.loads(named.stdout)["results"][0]["clips"]} == {
        "elsewhere.mp4"
    }
    indexed = run("index", moved, "--store", here / "s", *FAKE)
    assert f"indexed already, as {here / 'a.mp4'}; its new path" in indexed.stdout
    assert run(*query).exit_code == 0
    assert run("verify", "--store", here / "s").stdout == "elsewhere.mp4: ok\nother.mp4: ok\n"


def test_a_copy_is_no_move(run: Run, here: Path) -> None:
    copy = shutil.copy(here / "a.mp4", here / "copy.mp4")
    assert "indexed already; --force" in run("index", copy, "--store", here / "s", *FAKE).stdout
    assert run("verify", "--store", here / "s").stdout == "a.mp4: ok\n"


def test_a_changed_video_is_refused_until_what_is_named_was_done(run: Run, here: Path, photos: Path) -> None:
    film_of_two(here / "a.mp4", seconds=0.7)
    query = ("query", photos / "red.png", "--store", here / "s", *FAKE, "--out", here / "out", "--overwrite")
    result = run(*query)
    assert result.exit_code == 1
    assert "has changed since it was indexed; run: facereel index" in result.stderr
    assert not (here / "out" / "red").exists()
    old = shlex.split(result.stderr.rpartition("facereel remove ")[2].rstrip(")\n"))
    assert run("index", here / "a.mp4", "--store", here / "s", *FAKE).exit_code == 0
    assert run(*query).exit_code == 1
    assert run("remove", *old).exit_code == 0
    assert run(*query).exit_code == 0


def test_what_was_read_of_another_index_is_not_forgotten_here(here: Path, run: Run, photos: Path) -> None:
    """Numbers of tracklets mean other people once a video was indexed again."""
    folder = only(here / "s")
    seen, before = read_version(folder), (folder / DATABASE).read_bytes()
    shutil.copy(folder / DATABASE, folder / "newer")
    (folder / "newer").replace(folder / DATABASE)
    with pytest.raises(StoreError, match="was written or removed meanwhile; run it again"):
        rewrite.drop_tracklets(folder, [1], seen)
    with VideoIndex(folder) as index:
        sha256 = index.video.sha256
    with claims.video_lock(here / "s", sha256, lambda: None):
        result = run("forget", photos / "red.png", "--store", here / "s", *FAKE, "--yes")
    assert result.exit_code == 1
    assert "a.mp4 is being indexed by another process; run this again when that is done" in result.stderr
    assert f"1 video is being indexed now and may hold red (sha256 {sha256[:12]})" in result.stderr
    assert (folder / DATABASE).read_bytes() == before


@pytest.mark.parametrize("change", ["replaced", "removed"])
def test_an_index_may_go_between_choosing_and_reading_it(
    run: Run, here: Path, photos: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    """Readers take no lock: a query answers from the new index, or says that the old one is gone."""
    store = here / "s"
    folder = only(store)

    def meanwhile(*args: Any) -> list[PersonMatches]:
        if change == "replaced":
            assert run("index", here / "a.mp4", "--store", store, *FAKE, "--force").exit_code == 0
        else:
            folders.remove_folder(folder)
        return search(*args)

    monkeypatch.setattr(decisions, "search", meanwhile)
    result = run("query", photos / "red.png", "--store", store, *FAKE, "--dry-run")
    if change == "replaced":
        assert result.exit_code == 0
        assert "2 clips of red" in result.stdout
    else:
        assert result.exit_code == 1
        assert "was removed or replaced meanwhile; run it again" in result.stderr
