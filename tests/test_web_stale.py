"""A page that was opened before the library changed: what is said there happens to nobody else."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from facereel import Library
from facereel.api import ChangedIndexError
from facereel.query.web.jobs import Progress, Result
from facereel.store.files.folders import index_folders
from facereel.store.index.reader import VideoIndex
from facereel.store.index.rewrite import drop_tracklets
from facereel.store.library.places import Place, places_of
from tests.in_process import InProcess


@pytest.fixture
def library(store: Path) -> Library:
    """A small library that the test may change."""
    return Library(store, engine="fake")


@pytest.fixture
def page(library: Library, tmp_path: Path) -> InProcess:
    """Its page."""
    return InProcess(library, tmp_path)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("people/2/name", {"name": "Ben"}),
        ("people/2/forget", {"plan": ""}),
        ("people/2/accept", {"faces": []}),
        ("people/2/reject", {"faces": []}),
        ("people/2/split", {"faces": []}),
        ("people/2/cut", {}),
        ("people/hide", {"people": [1, 2]}),
        ("people/merge", {"people": [2, 3]}),
    ],
)
def test_what_is_said_about_a_person_who_was_merged_is_refused(
    page: InProcess, library: Library, path: str, body: dict[str, object]
) -> None:
    library.people.name("1", "Anna")
    library.people.merge("1", ["2"])
    before = library.people.log()
    answer = page.post(f"/api/{path}", body)
    assert answer.status_code == 409
    error = answer.json()["error"]
    assert error["message"] == "person 2 is now part of Anna, so nothing was changed"
    assert error["person"] == 1, "where the page leads to"
    assert library.people.log() == before


def test_a_plan_to_forget_somebody_is_about_them_alone(page: InProcess, library: Library) -> None:
    library.people.name("2", "Ben")
    assert page.get("/api/people/2/forget-plan").json()["person"] == "Ben"
    library.people.merge("1", ["2"])
    assert page.get("/api/people/2/forget-plan").status_code == 409


def rewrite(library: Library) -> None:
    """Write the index anew without one of the faces of person 2, as `forget` does."""
    (index,) = index_folders(library.store)
    last = library.people.moments("2")[-1].tracklet
    with VideoIndex(index) as opened:
        version = opened.version
    drop_tracklets(index, [last], version)


@pytest.mark.parametrize("action", ["accept", "reject", "split"])
def test_faces_of_an_index_that_was_written_anew_are_not_decided_about(
    page: InProcess, library: Library, action: str
) -> None:
    """Whoever has the number now may be somebody else."""
    (shown, *_) = page.get("/api/people/1/faces").json()["faces"]
    (video,) = page.get("/api/people/1/videos").json()["videos"]
    possible = page.get("/api/people/1/possible").json()["candidates"]
    versions = {
        shown["version"],
        video["version"],
        *(face["version"] for one in possible for face in one["faces"]),
    }
    assert versions == {library.version(video["folder"])}
    face = {"folder": shown["folder"], "tracklet": shown["tracklet"], "version": shown["version"]}
    rewrite(library)
    for faces in (
        [face],
        [face | {"version": library.version(video["folder"])}, face],
        [face | {"version": ""}],
    ):
        answer = page.post(f"/api/people/1/{action}", {"faces": faces})
        assert (answer.status_code, answer.json()["error"]["kind"]) == (409, "ChangedIndexError")
    assert not library.people.log()
    (shown, *_) = page.get("/api/people/1/faces").json()["faces"]
    face["version"] = shown["version"]
    assert page.post(f"/api/people/1/{action}", {"faces": [face]}).status_code == 200


@pytest.mark.parametrize("action", ["identify", "reject", "split"])
def test_a_face_of_a_video_that_was_indexed_again_is_not_decided_about(
    page: InProcess, library: Library, action: str
) -> None:
    (index,) = index_folders(library.store)
    timeline = page.get(f"/api/videos/{index.name}/timeline").json()
    tracklet = next(row[0] for row in timeline["stretches"] if row[2] == 1)
    address = f"/api/videos/{index.name}/faces/{tracklet}/{action}"
    body = {"version": timeline["version"], "person": 1, "who": "Anna"}
    rewrite(library)
    answer = page.post(address, body)
    assert (answer.status_code, answer.json()["error"]["kind"]) == (409, "ChangedIndexError")
    assert not library.people.log()
    body["version"] = page.get(f"/api/videos/{index.name}/timeline").json()["version"]
    assert page.post(address, body).status_code == 200


@pytest.mark.parametrize("action", ["identify", "reject", "split"])
def test_a_face_that_was_given_to_somebody_else_meanwhile_is_not_taken_from_them(
    page: InProcess, library: Library, action: str
) -> None:
    (index,) = index_folders(library.store)
    timeline = page.get(f"/api/videos/{index.name}/timeline").json()
    tracklet = next(row[0] for row in timeline["stretches"] if row[2] == 1)
    library.people.identify(f"{index.name}#t{tracklet}", "Ben")
    before = library.people.log()
    body = {"version": timeline["version"], "person": 1, "who": "Anna", "whole": True}
    answer = page.post(f"/api/videos/{index.name}/faces/{tracklet}/{action}", body)
    assert answer.status_code == 409
    assert answer.json()["error"]["message"] == "this face is Ben by now; look at it again"
    assert library.people.log() == before


@pytest.mark.parametrize("action", ["command", "crops", "cut"])
def test_matches_of_an_index_that_was_written_anew_are_not_cut(
    page: InProcess, library: Library, action: str
) -> None:
    question = page.post("/api/ask/answers", {"person": "1"}).json()["id"]
    body = {"chosen": [0]}
    assert page.post(f"/api/ask/answers/{question}/{action}", body).status_code == 200
    rewrite(library)
    answer = page.post(f"/api/ask/answers/{question}/{action}", body)
    assert (answer.status_code, answer.json()["error"]["kind"]) == (409, "ChangedIndexError")


def test_what_waited_to_be_cut_is_not_cut_of_an_index_that_was_written_anew(
    page: InProcess, library: Library
) -> None:
    question, goes_on = page.post("/api/ask/answers", {"person": "1"}).json()["id"], threading.Event()

    def other(progress: Progress) -> Result:
        goes_on.wait(60)
        return {}

    page.site.jobs.start("cut", "Cutting", other)
    waiting = page.post(f"/api/ask/answers/{question}/cut", {"chosen": [0]}).json()["job"]
    assert waiting["state"] == "queued"
    rewrite(library)
    goes_on.set()
    until = time.monotonic() + 60
    while (job := page.get(f"/api/jobs/{waiting['id']}").json())["state"] in ("queued", "running"):
        assert time.monotonic() < until
        time.sleep(0.02)
    assert (job["state"], job["error"]["kind"]) == ("failed", "ChangedIndexError")
    assert not page.site.out.exists()


def test_the_face_that_a_page_asks_about_is_the_one_that_it_shows(page: InProcess, library: Library) -> None:
    (index,) = index_folders(library.store)
    face = {"face": f"{index.name}/t1", "version": library.version(index.name)}
    assert page.post("/api/ask/answers", face).status_code == 200
    rewrite(library)
    assert page.post("/api/ask/answers", face).status_code == 409


def test_an_index_that_is_written_while_a_face_is_read_is_another_one(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    (index,) = index_folders(library.store)
    versions = {index.name: library.version(index.name)}

    def places_later(index: VideoIndex, numbers: Sequence[int]) -> tuple[Place, ...]:
        rewrite(library)
        return places_of(index, numbers)

    monkeypatch.setattr("facereel.query.library.persons.places_of", places_later)
    with pytest.raises(ChangedIndexError, match="was indexed again"):
        library.people.accept("1", [f"{index.name}#t1"], versions=versions)
    assert not library.people.log()
