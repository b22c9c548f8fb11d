"""Clips and timelines by the page: how they are asked for, what is replaced, what can be fetched afterwards."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from facereel import Answer, Library
from facereel.query.web import person_view
from facereel.query.web.cutting import EXPORTS
from facereel.query.web.remedies import page_remedy
from facereel.store.files.folders import index_folders
from tests.in_process import InProcess


@pytest.fixture
def library(store: Path) -> Library:
    """A small library that the test may change; person 1 is Anna."""
    library = Library(store, engine="fake")
    library.people.name("1", "Anna")
    return library


@pytest.fixture
def page(library: Library, tmp_path: Path) -> InProcess:
    """Its page."""
    return InProcess(library, tmp_path)


def ended(page: InProcess, answer: Any) -> dict[str, Any]:
    """The job that an answer began, once it is over."""
    assert answer.status_code == 200, answer.text
    job = answer.json()["job"]["id"]
    until = time.monotonic() + 60
    while time.monotonic() < until:
        found: dict[str, Any] = page.get(f"/api/jobs/{job}").json()
        if found["state"] in ("done", "failed"):
            return found
        time.sleep(0.02)
    raise TimeoutError(job)


def test_chosen_matches_are_cut_with_handles_and_every_format_and_can_be_fetched(
    page: InProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut, given = Answer.cut, {}

    def recorded(answer: Answer, folder: Path, **options: Any) -> Any:
        given.update(options)
        return cut(answer, folder, **options)

    monkeypatch.setattr(Answer, "cut", recorded)
    answer = page.post("/api/ask/answers", {"person": "Anna"}).json()
    chosen = [match for match in answer["matches"] if match["certainty"] == "sure"][:1]
    address = f"/api/ask/answers/{answer['id']}"
    words = {
        "chosen": [match["number"] for match in chosen], "handles": 3, "crop": "none", "aspect": "1:1", "name": "an na",
        "export": [name for own in EXPORTS.values() for name, _ in own], "codec": "prores", "format": "mov",
    }  # fmt: skip
    command = page.post(f"{address}/command", words).json()["command"]
    for option in (
        "--handles 3",
        "--aspect 1:1",
        "--crop none",
        "--codec prores",
        "--export edl",
        "--export csv-markers",
    ):
        assert option in command
    (crop,) = {
        (width, height) for _, _, _, width, height in page.post(f"{address}/crops", words).json()["frames"]
    }
    assert crop[0] == crop[1]
    result = ended(page, page.post(f"{address}/cut", words))["result"]
    (clip,) = result["clips"]
    assert (given["handles"], given["aspect"], clip["width"]) == (3, "1:1", clip["height"])
    assert (Path(clip["file"]).suffix, result["plays"], len(result["files"])) == (
        ".mov",
        False,
        13,  # a file each, four of MOT Challenge
    )
    folder = page.site.out / result["folder"]
    for file in (clip["file"], "metadata.json", "clips.csv", *result["files"]):
        fetched = page.get(f"/media/result/{quote(result['folder'])}/{quote(file)}")
        assert fetched.content == (folder / file).read_bytes(), file
    (folder / "of somebody else.edl").write_text("x", encoding="utf-8")
    assert page.get(f"/media/result/{quote(result['folder'])}/of%20somebody%20else.edl").status_code == 404


def test_a_result_is_replaced_once_the_user_agrees(page: InProcess) -> None:
    answer = page.post("/api/ask/answers", {"person": "Anna"}).json()
    address, words = f"/api/ask/answers/{answer['id']}/cut", {"chosen": [0], "export": ["edl"]}
    assert ended(page, page.post(address, words))["state"] == "done"
    edited = page.site.out / "Anna" / "Anna.edl"
    edited.write_text("edited", encoding="utf-8")
    refused = page.post(address, {"chosen": [0]})
    assert (refused.status_code, refused.json()["error"]["kind"]) == (409, "ResultExistsError")
    assert "Anna.edl" in refused.json()["error"]["message"]
    assert page.post("/api/people/1/cut", {}).status_code == 409
    assert edited.read_text(encoding="utf-8") == "edited"
    assert ended(page, page.post(address, {"chosen": [0], "overwrite": True}))["state"] == "done"
    assert not edited.exists()


def test_options_that_rule_each_other_out_are_refused(page: InProcess) -> None:
    answer = page.post("/api/ask/answers", {"person": "Anna"}).json()["id"]
    for words in (
        {"handles": 3, "whole_shots": True},
        {"aspect": "2:3"},
        {"export": ["avi"]},
        {"handles": 10**5},
    ):
        for address in (f"/api/ask/answers/{answer}/cut", "/api/people/1/cut", "/api/people/1/export"):
            assert page.post(address, {"chosen": [0], **words}).status_code == 400, (address, words)
    assert not page.site.out.exists()


def test_a_person_is_exported_without_clips(page: InProcess, tmp_path: Path) -> None:
    assert page.post("/api/people/1/export", {"export": []}).status_code == 400
    result = ended(page, page.post("/api/people/1/export", {"export": ["edl", "mot", "coco"]}))["result"]
    written = [path for path in page.site.out.rglob("*") if path.is_file()]
    assert sorted(str(path.relative_to(page.site.out)) for path in written) == sorted(result["files"])
    for file in result["files"]:
        assert page.get(f"/media/export/{quote(file)}").content == (page.site.out / file).read_bytes()
    (page.site.out / "notes.txt").write_text("x", encoding="utf-8")
    (tmp_path / "private.edl").write_text("x", encoding="utf-8")
    (page.site.out / "link.edl").symlink_to(tmp_path / "private.edl")
    (page.site.out / "folder.edl").mkdir()
    for file in (
        "notes.txt",
        "link.edl",
        "folder.edl",
        "none.edl",
        "%2e%2e%2fprivate.edl",
        "..%5cprivate.edl",
    ):
        assert page.get(f"/media/export/{file}").status_code == 404, file


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("joey holds the result of another query; add --overwrite, or choose another --out or --name",
         "joey holds the result of another query; give the result another name"),
        ("joey.edl is there and differs, as after an edit; add --overwrite, or choose another --out",
         "joey.edl is there and differs, as after an edit; replace it, or move it away first"),
        ("out cannot be written (No space left); free some space, or choose another --out",
         "out cannot be written (No space left); free some space there"),
        ("--handles must be 0 to 1000 frames, not 5000", "Handles must be 0 to 1000 frames, not 5000"),
        ("a.avi cannot be copied; use --codec h264", "a.avi cannot be copied; choose MP4, H.264"),
        ("it has changed; run: facereel index --force a.mp4", "it has changed; run: facereel index --force a.mp4"),
    ],
)  # fmt: skip
def test_remedies_are_those_of_the_page(said: str, shown: str) -> None:
    assert page_remedy(said) == shown


def test_possible_matches_are_given_page_by_page(
    page: InProcess, library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A search that finds another person, in two videos: each is asked for."""
    find, (folder,) = Library.find_many, index_folders(library.store)
    shutil.copytree(folder, folder.with_name(f"copy.mp4-{folder.name.rpartition('-')[2]}"))
    monkeypatch.setattr(
        Library, "find_many", lambda library, people: find(library, library.read_persons("1"))
    )
    whole = page.get("/api/people/2/possible").json()
    assert (len(whole["candidates"]), whole["next"]) == (2, None)
    monkeypatch.setattr(person_view, "_CANDIDATES", 1)
    first = page.get("/api/people/2/possible").json()
    second = page.get(f"/api/people/2/possible?first={first['next']}").json()
    assert first["candidates"] + second["candidates"] == whole["candidates"]
    assert second["next"] is None


def test_what_is_possible_is_cut_of_a_person_only_if_asked(
    page: InProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    find, included = Library.find_many, []

    def counted(library: Library, people: Any, **options: Any) -> Any:
        included.append(options["include_possible"])
        return find(library, people, **options)

    monkeypatch.setattr(Library, "find_many", counted)
    for words in ({}, {"possible": True, "overwrite": True}):
        assert ended(page, page.post("/api/people/1/cut", words))["state"] == "done"
    assert included == [False, True]


def test_a_match_is_rejected_for_the_person_whom_the_question_is_about(
    page: InProcess, library: Library, photos: Path
) -> None:
    photo = page.post(
        "/api/ask/photo?name=red.png",
        content=(photos / "red.png").read_bytes(),
        headers={"Content-Type": "image/png"},
    ).json()["id"]
    red = page.post("/api/ask/answers", {"faces": [{"photo": photo, "face": 1}]}).json()
    assert (
        red["person"] == page.post("/api/ask/answers", {"person": str(red["person"]["id"])}).json()["person"]
    )
    match = red["matches"][0]
    faces = [{key: match[key] for key in ("folder", "tracklet", "version")}]
    assert page.post(f"/api/people/{red['person']['id']}/reject", {"faces": faces}).status_code == 200
    (rejected,) = [one for one in library.people.log() if one.kind == "reject"]
    assert rejected.person == red["person"]["id"]
    again = page.post("/api/ask/answers", {"person": str(red["person"]["id"])})
    tracklets = [one["tracklet"] for one in again.json().get("matches", ())]
    assert match["tracklet"] not in tracklets
