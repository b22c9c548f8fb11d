"""Forgetting: a person's looks and vectors leave every index, whole or not at all, and cannot be found again."""

from __future__ import annotations

import json
import shutil
import sqlite3
import stat
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from facereel.api import DatasetOptions, Library
from facereel.query.export.editors import exports_in
from facereel.store.files.folders import index_folders
from facereel.store.files.locks import video_lock
from facereel.store.files.names import result_name
from facereel.store.index import placing, rewrite
from facereel.store.index.database import DATABASE, read_version
from facereel.store.index.reader import VideoIndex
from facereel.store.index.vectors import VECTORS
from facereel.store.library.catalogue import Catalogue
from facereel.store.library.database import LIBRARY
from facereel.store.library.vectors import LIBRARY_VECTORS, encoded
from facereel.store.model.config import Config
from facereel.store.model.errors import StoreError, UnwritableError
from facereel.store.model.records import Checkpoint, FrameTimes, Segment, Shot
from facereel.store.resume.unfinished import UnfinishedIndex
from tests import fake_engine
from tests.factories import make_contents, write_index
from tests.fake_engine import film_of_two
from tests.program import Run

FAKE = ("--engine", "fake")


def traces(folder: Path) -> dict[int, list[bytes]]:
    """Bytes by which a person's looks are known in a file: embeddings and pieces of crops."""
    with VideoIndex(folder) as index, closing(sqlite3.connect(folder / DATABASE)) as rows_:
        people = {tracklet.number: tracklet.cluster for tracklet in index.tracklets()}
        found: dict[int, list[bytes]] = {}
        for tracklet, embedding, crop in rows_.execute("SELECT tracklet, embedding, crop FROM exemplars"):
            found.setdefault(people[tracklet], []).extend((embedding, crop[-300:-200]))
    return found


def everything(store: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(store.rglob("*")) if path.is_file())


def test_what_was_written_of_a_person_is_listed(store: Path, photos: Path, tmp_path: Path) -> None:
    library, out = Library(store, engine="fake"), tmp_path / "out"
    options = DatasetOptions(size=64, min_seconds=0.3, max_seconds=1.0)
    library.dataset(out / "set", options=options)
    library.export("two.mp4", ["cvat", "mot", "srt"], out)
    (out / "others.srt").write_text("1")
    (red,) = library.people_in(library.find(photos / "red.png"))
    rows = [json.loads(line) for line in (out / "set" / "manifest.jsonl").read_text().splitlines()]
    (out / "set" / "manifest.jsonl").unlink()  # as of a run that was stopped
    plan = library.plan_forget(photos / "red.png", out=out)
    assert plan.datasets == (out / "set" / f"id{red.id:05}",)
    assert [file.name for file in plan.exports] == [
        "two_people.srt", "two_people_cvat.xml", "two_people_mot",
    ]  # fmt: skip
    (plan_by_name,) = [library.plan_forget(library.read_persons(str(red.id)), out=out)]
    assert (plan_by_name.datasets, plan_by_name.exports) == (plan.datasets, plan.exports)
    own = [row for row in rows if row["id"] == f"id{red.id:05}"]
    other = next(row for row in rows if row not in own)
    secret = {**other, "id": "secret", "frames_file": "../secret.csv"}  # nobody can say whom it shows
    (out / "secret.csv").write_text("dear")
    lines = [
        "",
        "{",
        "1",
        "{}",
        '{"id": []}',
        *(json.dumps(row) for row in (other, {**other, "id": ".."}, secret)),
    ]
    for number, row in enumerate(own):
        folder = Path(shutil.copytree(out / "set", out / f"only {number}"))
        shutil.rmtree(folder / ".videos")  # as where only the manifest was given on
        (folder / "manifest.jsonl").write_text("\n".join([*lines, json.dumps({**row, "name": "R\u2028ed"})]))
    assert len(own) > 1
    assert library.plan_forget(photos / "red.png", out=out).datasets == tuple(
        out / folder / identity
        for folder, identities in [
            *((f"only {number}", (row["id"], "secret")) for number, row in enumerate(own)),
            ("set", (own[0]["id"],)),
        ]
        for identity in identities
    )


@pytest.mark.parametrize("video", ["long " * 30, "end .", "\U0001f3ac", "-x"])
def test_exports_of_videos_with_odd_names_are_listed(video: str, tmp_path: Path) -> None:
    export = tmp_path / f"{result_name(f'{video}_people', 'timeline')}.edl"
    for file in (export, tmp_path / "movie_people.edl"):
        file.write_text("TITLE: people")
    assert exports_in(tmp_path, {video}) == (export,)


def test_nothing_of_a_person_is_left(run: Run, store: Path, photos: Path, tmp_path: Path) -> None:
    other = film_of_two(tmp_path / "other.mp4", seconds=0.5)
    assert run("index", other, "--store", store, *FAKE).exit_code == 0
    (folder,) = (folder for folder in index_folders(store) if folder.name.startswith("two"))
    known = traces(folder)
    red, green = sorted(known, key=lambda person: -len(known[person]))
    result = run("forget", photos / "red.png", "--store", store, *FAKE, "--yes")
    assert result.exit_code == 0
    assert "  two.mp4: 2 face tracks, 60 frames, 2.4 s, " in result.stdout
    assert "Removed 4 face tracks that match red from 2 of 2 videos." in result.stdout
    left = everything(store)
    assert not any(trace in left for trace in known[red])
    assert all(trace in left for trace in known[green][:1])
    query = ("--store", store, *FAKE, "--dry-run")
    assert "red was not found in 2 videos" in run("query", photos / "red.png", *query).stdout
    assert "1 clip of green" in run("query", photos / "green.png", *query, "--video", "two.mp4").stdout
    assert run("verify", "--store", store).stdout == "other.mp4: ok\ntwo.mp4: ok\n"
    with Catalogue(store).find("two.mp4") as index:
        assert len(index.shots()) == 3
        assert len(index.times().pts) == 90
        assert [len(person.tracklets) for person in index.clusters()] == [1]
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
    assert "red was not found" in run("forget", photos / "red.png", "--store", store, *FAKE, "--yes").stdout


def test_nothing_is_left_of_what_is_derived_either(run: Run, store: Path, photos: Path) -> None:
    """Pooled embeddings, and what an unfinished run stored of another video in which the person may be."""
    (folder,) = index_folders(store)
    Catalogue(store).refresh()
    with VideoIndex(folder) as index:
        pooled, tracklets = index.pooled(), index.tracklets()
    clusters = [tracklet.cluster for tracklet in tracklets]
    red = max(clusters, key=clusters.count)
    theirs = [
        embedding.tobytes() for embedding, own in zip(pooled.embeddings, clusters, strict=True) if own == red
    ]
    theirs.append(encoded(pooled.clusters.embeddings)[pooled.clusters.numbers.tolist().index(red)].tobytes())
    crop = stored_by_an_unfinished_run(store, red)
    assert all(trace in everything(store) for trace in theirs)
    assert crop in everything(store)
    assert run("forget", photos / "red.png", "--store", store, *FAKE, "--yes").exit_code == 0
    assert run("query", photos / "green.png", "--store", store, *FAKE, "--dry-run").exit_code == 0
    left = everything(store)
    assert VECTORS in {path.name for path in folder.iterdir()}
    assert not any(trace in left for trace in theirs)
    assert crop not in left
    assert sorted(path.name for path in store.iterdir() if path.is_dir()) == [folder.name]
    assert {path.name for path in store.iterdir() if path.is_file()} == {
        LIBRARY,
        f"{LIBRARY}-journal",
        LIBRARY_VECTORS,
    }


def test_a_dry_run_deletes_nothing(run: Run, store: Path, photos: Path) -> None:
    Catalogue(store).refresh()
    before = everything(store)
    output = json.loads(
        run("forget", photos / "red.png", "--store", store, *FAKE, "--dry-run", "--json").stdout
    )
    assert output["matching"][0]["tracklets"] == [1, 2]
    assert (output["dry_run"], output["removed"]) == (True, [])
    assert [Path(path).name for path in output["searched"]] == ["two.mp4"]
    assert everything(store) == before


def test_what_could_not_be_searched_is_said(run: Run, store: Path, photos: Path, tmp_path: Path) -> None:
    other = film_of_two(tmp_path / "other.mp4", seconds=0.5)
    assert run("index", other, "--store", store, "--engine", "fake-other").exit_code == 0
    result = run("forget", photos / "red.png", "--store", store, *FAKE, "--yes")
    assert "not searched: other.mp4 was indexed by fake-other" in result.stderr
    assert "that match red from 1 of 1 video." in result.stdout
    assert "could not be searched and may still hold red: other.mp4" in result.stderr
    assert result.exit_code == 1


def test_a_tracklet_goes_with_all_that_hangs_on_it(tmp_path: Path) -> None:
    contents = make_contents(tracklets=6, looks=3)
    folder = write_index(tmp_path, contents)
    rewrite.drop_tracklets(folder, [1, 3, 5], read_version(folder))
    with VideoIndex(folder) as index:
        assert [tracklet.number for tracklet in index.tracklets()] == [2, 4, 6]
        assert [person.number for person in index.clusters()] == [1]
        assert sorted(index.exemplars()) == [2, 4, 6]
        pooled = index.pooled()
        assert pooled.tracklets.tolist() == [2, 4, 6]
        found = index.vectors().similarities(pooled.embeddings, pooled.tracklets)
        np.testing.assert_allclose(np.diag(found), 1, atol=1e-5)
        np.testing.assert_array_equal(index.times().pts, contents.times.pts)
        assert index.shots() == contents.shots


def test_when_it_fails_all_is_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_index(tmp_path, make_contents())
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(placing, "write_vectors", full)
    with pytest.raises(UnwritableError, match="No space left"):
        rewrite.drop_tracklets(folder, [1], read_version(folder))
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert list(tmp_path.iterdir()) == [folder]
    assert VECTORS in before


@pytest.fixture
def doubtful(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store with a film of four shots: red; orange, who is a little similar to red; red and orange; green."""
    monkeypatch.setitem(fake_engine.PEOPLE, "orange", (40, 135, 230))
    pictures = []
    for shot, people in enumerate((("red",), ("orange",), ("red", "orange"), ("green",))):
        for _ in range(20):
            picture = fake_engine.backdrop(shade=(80, 190, 120, 220)[shot], seed=shot)
            for place, person in enumerate(people):
                fake_engine.draw_face(picture, person, (30 + 150 * place, 50, 60, 60))
            pictures.append(picture)
    film = fake_engine.write_film(tmp_path / "doubtful.mp4", pictures)
    assert run("index", film, "--store", tmp_path / "s", *FAKE).exit_code == 0
    return tmp_path / "s"


def test_weaker_tracklets_are_listed_apart_and_kept_unless_asked(
    run: Run, doubtful: Path, photos: Path
) -> None:
    """Not those that share a frame with the person: nobody is twice in one frame."""
    args = ("forget", photos / "red.png", "--store", doubtful, *FAKE, "--yes")
    plan = json.loads(run(*args, "--dry-run", "--json").stdout)
    assert [len(held["tracklets"]) for held in plan["matching"]] == [2]
    assert [held["starts"] for held in plan["weaker"]] == [[0.8]]
    result = run(*args)
    assert result.exit_code == 0
    assert "Removed 2 face tracks that match red from 1 of 1 video." in result.stdout
    assert "1 weaker one may be red too and was kept: doubtful.mp4 at 0:00.800" in result.stdout
    assert "--also-weaker" in result.stdout
    with Catalogue(doubtful).find("doubtful.mp4") as index:
        assert [tracklet.start for tracklet in index.tracklets()] == [20, 40, 60]
    assert "was not found in 1 video; nothing was removed." in run(*args).stdout
    removed = json.loads(run(*args, "--also-weaker", "--json").stdout)
    assert [held["starts"] for held in removed["removed"]] == [[0.8, 1.6]]  # nobody certain is beside it now
    with Catalogue(doubtful).find("doubtful.mp4") as index:
        assert [tracklet.start for tracklet in index.tracklets()] == [60]


def test_weaker_ones_who_are_somebody_else_by_name_are_kept(run: Run, doubtful: Path, photos: Path) -> None:
    assert run("people", "name", "doubtful.mp4#t2", "Olga", "--store", doubtful).exit_code == 0
    args = ("forget", photos / "red.png", "--store", doubtful, *FAKE, "--yes", "--also-weaker", "--json")
    (held,) = json.loads(run(*args).stdout)["removed"]
    assert held["starts"] == [0.0, 1.6]
    with Catalogue(doubtful).find("doubtful.mp4") as index:
        assert [tracklet.start for tracklet in index.tracklets()] == [20, 40, 60]
    (olga,) = json.loads(run("people", "--store", doubtful, "--json").stdout)["people"][:1]
    assert (olga["name"], round(olga["seconds"], 3)) == ("Olga", 1.6)


def test_both_go_at_once_if_asked(run: Run, doubtful: Path, photos: Path) -> None:
    args = ("forget", photos / "red.png", "--store", doubtful, *FAKE, "--yes", "--also-weaker", "--json")
    (held,) = json.loads(run(*args).stdout)["removed"]
    assert (len(held["tracklets"]), held["frames"]) == (3, 60)
    assert run("verify", "--store", doubtful).exit_code == 0


@pytest.mark.parametrize(("answer", "left"), [(True, 1), (False, 3)])
def test_on_a_terminal_it_asks(
    run: Run, store: Path, photos: Path, monkeypatch: pytest.MonkeyPatch, answer: bool, left: int
) -> None:
    questions: list[str] = []

    def confirm(text: str, err: bool) -> bool:
        questions.append(text)
        return answer

    monkeypatch.setattr("facereel.cli._can_ask", lambda: True)
    monkeypatch.setattr("typer.confirm", confirm)
    result = run("forget", photos / "red.png", "--store", store, *FAKE)
    assert result.exit_code == 0
    assert questions == ["Remove 2 face tracks from 1 index? This cannot be undone."]
    assert ("Nothing was removed." in result.stdout) is not answer
    with Catalogue(store).find("two.mp4") as index:
        assert len(index.tracklets()) == left
    run("forget", photos / "blue.png", "--store", store, *FAKE)
    assert len(questions) == 1, "there is nothing to ask about"


def test_where_it_cannot_ask_it_removes_nothing(run: Run, store: Path, photos: Path) -> None:
    before = everything(store)
    result = run("forget", photos / "red.png", "--store", store, *FAKE)
    assert result.exit_code == 1
    assert "--yes" in result.stderr
    assert result.stderr.count("\n") == 1
    assert everything(store) == before


def test_a_video_that_is_being_indexed_may_hold_the_person(run: Run, store: Path, photos: Path) -> None:
    args = ("forget", photos / "red.png", "--store", store, *FAKE, "--yes", "--json")
    with video_lock(store, "b" * 64, lambda: None):
        result = run(*args)
    output = json.loads(result.stdout)
    assert result.exit_code == 1
    assert output["being_indexed"] == ["b" * 12]
    assert len(output["removed"]) == 1
    assert "run facereel forget --store" in result.stderr
    again = run(*args)
    assert (again.exit_code, json.loads(again.stdout)["being_indexed"]) == (0, [])


def stored_by_an_unfinished_run(store: Path, cluster: int = 1) -> bytes:
    """Let a run of another video store a face and stop; a piece of its crop, which SQLite divides among pages."""
    (folder,) = index_folders(store)
    with VideoIndex(folder) as index:
        tracklet = next(tracklet for tracklet in index.tracklets() if tracklet.cluster == cluster)
        exemplars = index.exemplars()[tracklet.number]
        face = (tracklet, index.sightings([tracklet.number])[tracklet.number], exemplars)
        unfinished = UnfinishedIndex(store, "a" * 64, index.engine, 0.42, Config())
    segment = Segment(0, (Shot(0, 0, 30),), (face,), Checkpoint(frames=30))
    unfinished.add(segment, FrameTimes(np.arange(30), np.ones(30, np.int64)), resumable=True)
    unfinished.close()
    return exemplars[0].jpeg[-200:]


def test_unfinished_runs_are_named_and_deleted_only_on_consent(run: Run, store: Path, photos: Path) -> None:
    """Also when nobody in the indexes matches."""
    crop = stored_by_an_unfinished_run(store)
    digits = "a" * 12
    args = ("forget", photos / "blue.png", "--store", store, *FAKE)
    plan = run(*args, "--dry-run")
    assert "Unfinished runs that may hold blue, to be deleted: 1 video." in plan.stdout
    assert json.loads(run(*args, "--dry-run", "--json").stdout)["unfinished"] == [digits]
    assert (store / f".facereel-part-{digits}").is_dir()
    done = run(*args, "--yes")
    assert "blue was not found in 1 video. Deleted 1 unfinished run, which may have held blue." in done.stdout
    assert not (store / f".facereel-part-{digits}").exists()
    assert everything(store).count(crop) == 1
    again = run(*args, "--yes", "--json")
    assert (again.exit_code, json.loads(again.stdout)["unfinished"]) == (0, [])


def test_a_run_that_goes_on_keeps_what_it_stored(run: Run, store: Path, photos: Path) -> None:
    stored_by_an_unfinished_run(store)
    with video_lock(store, "a" * 64, lambda: None):
        result = run("forget", photos / "red.png", "--store", store, *FAKE, "--yes", "--json")
    assert json.loads(result.stdout)["being_indexed"] == ["a" * 12]
    assert json.loads(result.stdout)["unfinished"] == []
    assert (store / f".facereel-part-{'a' * 12}").is_dir()


def test_a_run_that_ends_just_after_the_search_is_in_the_plan(
    store: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    search = Library._search
    with ExitStack() as running:
        running.enter_context(video_lock(store, "b" * 64, lambda: None))

        def search_then_end(*args: Any) -> Any:
            result = search(*args)
            running.close()
            return result

        monkeypatch.setattr(Library, "_search", search_then_end)
        plan = Library(store, engine="fake").plan_forget(photos / "red.png")
    assert plan.being_indexed == ("b" * 12,)


def test_what_is_indexed_between_plan_and_apply_is_named(store: Path, photos: Path) -> None:
    plan = Library(store, engine="fake").plan_forget(photos / "red.png")
    later = write_index(store, make_contents())
    report = plan.apply()
    assert len(report.removed) == 1
    assert report.indexed_since == (later,)
    assert Library(store, engine="fake").plan_forget(photos / "red.png").apply().indexed_since == ()


def test_nothing_is_removed_while_library_vectors_cannot_be_written(
    run: Run, store: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the embeddings would stay in it."""
    Catalogue(store).refresh()
    monkeypatch.setattr("facereel.store.library.database._PATIENCE", 0.1)
    before = everything(store)
    with closing(sqlite3.connect(store / LIBRARY, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        result = run("forget", photos / "red.png", "--store", store, *FAKE, "--yes")
    assert result.exit_code == 1
    assert "library.db is in use by another process" in result.stderr
    assert everything(store) == before


def test_no_row_stays_when_the_index_cannot_be_read_again(
    store: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Catalogue(store).refresh()
    (folder,) = index_folders(store)
    plan = Library(store, engine="fake").plan_forget(photos / "red.png")

    def unreadable(*_: object) -> None:
        raise StoreError("may not be read")

    monkeypatch.setattr("facereel.store.library.catalogue.read_clusters", unreadable)
    assert len(plan.apply().removed) == 1
    assert (folder.name, Catalogue(store).all()) == (folder.name, [])


def test_an_index_that_stays_keeps_what_decisions_say_of_its_faces(
    run: Run, store: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("people", "name", "two.mp4#t1", "Anna", "--store", store).exit_code == 0
    before = run("people", "log", "--store", store, "--json").stdout

    def busy(*args: object) -> None:
        raise StoreError("two.mp4 is being indexed by another process")

    monkeypatch.setattr("facereel.query.search.forget.drop_tracklets", busy)
    report = Library(store, engine="fake").forget(photos / "red.png")
    assert (len(report.busy), report.removed) == (1, ())
    assert run("people", "log", "--store", store, "--json").stdout == before
