"""Which files of the machine the page reads, writes and names: those of the library, the results and the root alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from facereel import Library
from facereel.store.files.folders import index_folders
from tests.in_process import InProcess

_VIDEO = {"Content-Type": "video/mp4"}


@pytest.fixture
def library(store: Path) -> Library:
    """A small library that the test may change."""
    return Library(store, engine="fake")


@pytest.fixture
def page(library: Library) -> InProcess:
    """Its page, with the library below the root, as it is by default."""
    return InProcess(library, library.store.parent)


@pytest.mark.parametrize("name", ["%2e%2e", "%2e", "x/%2e%2e/%2e%2e"])
def test_a_result_is_a_folder_in_the_folder_of_results(page: InProcess, name: str) -> None:
    clips = {"schema": "facereel.clips/1", "clips": [{"file": "private.mp4"}]}
    for folder in (page.site.out, page.site.out.parent, page.site.out / "anna"):
        folder.mkdir(exist_ok=True)
        (folder / "metadata.json").write_text(json.dumps(clips), encoding="utf-8")
        (folder / "private.mp4").write_bytes(b"clip")
    assert page.get("/media/result/anna/private.mp4").content == b"clip"
    assert page.get(f"/media/result/{name}/private.mp4").status_code == 404


def test_no_video_is_added_to_the_library_the_results_or_a_hidden_folder(
    page: InProcess, library: Library
) -> None:
    (index,) = index_folders(library.store)
    places = [index, library.store, page.site.out / "anna", page.site.root / ".git" / "hooks"]
    for place in places:
        place.mkdir(parents=True, exist_ok=True)
        folder = place.relative_to(page.site.root).as_posix()
        answer = page.post(
            "/api/library/add", content=b"x", headers=_VIDEO, params={"name": "proxy.mp4", "folder": folder}
        )
        assert answer.status_code == 400, folder
        assert not (place / "proxy.mp4").exists()
    answer = page.post("/api/library/add?name=new.mp4", content=b"x", headers=_VIDEO)
    assert (answer.status_code, (page.site.root / "new.mp4").read_bytes()) == (200, b"x")


@pytest.mark.parametrize("key", ["person", "with", "without", "not", "videos"])
def test_a_question_reads_no_file(page: InProcess, tmp_path: Path, key: str) -> None:
    photo, text = tmp_path / "photo.jpg", tmp_path / "secret.txt"
    photo.write_bytes(b"no picture")
    text.write_text("x", encoding="utf-8")
    missing = tmp_path / "none.txt"
    answers = []
    for path in (photo, text, tmp_path, missing, f"{photo}#1"):
        value: object = str(path) if key == "person" else [str(path)]
        answer = page.post("/api/ask/answers", {"person": "1", key: value})
        answers.append((answer.status_code, answer.json()["error"]["kind"]))
    assert all(status in (400, 404) for status, _ in answers)
    assert len(set(answers[:4])) == 1  # a file that is there is answered as one that is not


@pytest.mark.parametrize("key", ["with", "without"])
def test_whom_a_person_is_seen_with_is_no_photo(page: InProcess, tmp_path: Path, key: str) -> None:
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(b"no picture")
    answer = page.get("/api/people/1/videos", params={key: str(photo)})
    assert answer.status_code == 400
    assert "nobody in the library is called" in answer.text
    assert page.get("/api/people/1/videos", params={key: "2"}).status_code == 200


def test_people_are_asked_for_by_id_name_and_face(page: InProcess, library: Library) -> None:
    (index,) = index_folders(library.store)
    library.people.name("1", "Anna")
    library.people.name("2", "Ben")
    for words in (
        {"person": "1"}, {"person": "Anna", "with": ["Ben"]}, {"person": f"{index.name}#1", "videos": [index.name]},
        {"face": f"{index.name}/c1"}, {"person": "Anna", "not": ["Ben"]}, {"person": "1", "without": [2]},
    ):  # fmt: skip
        answer = page.post("/api/ask/answers", words)
        assert answer.status_code == 200, (words, answer.text)
