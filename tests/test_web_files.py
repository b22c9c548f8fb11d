"""Which files of the machine the page reads, writes and names: those of the library, the results and the root alone."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path

import httpx
import pytest

from facereel import Library
from facereel.api import videos_below
from facereel.query.web.app import routes
from facereel.query.web.uploads import part_of_upload, remove_abandoned
from facereel.store.files.folders import index_folders
from tests.in_process import InProcess
from tests.video_factory import Recipe, write_video

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


def test_an_index_is_named_by_its_folder_and_no_file(
    page: InProcess, library: Library, film: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The API finds an index by a copy of its video, and somebody by a photo; what a page sends opens neither."""
    copy, photo = Path(shutil.copy(film, photos / "copy.mp4")), photos / "red.png"
    monkeypatch.chdir(photos)
    assert library.people.face(f"{copy.name}#1").video == film.name
    assert library.people.find(str(photo))
    face = {"folder": copy.name, "tracklet": 1, "version": library.version(copy)}
    addresses = [route.path for route in routes(page.site) if "{folder}" in route.path]
    assert len(addresses) > 10
    for address in addresses:
        numbers = {"{start:int}": "0", "{frame:int}": "0", "{tracklet:int}": "1", "{face}": "t1"}
        for part, value in {**numbers, "{folder}": copy.name}.items():
            address = address.replace(part, value)
        assert 404 in (
            page.get(address).status_code,
            page.post(address, {**face, "person": 1}).status_code,
        ), address
    for path, body in (
        ("library/index", {"folder": copy.name}), ("library/index", {"folder": str(copy)}),
        ("library/remove", {"folder": copy.name}), ("people/1/accept", {"faces": [face]}),
        ("people/1/reject", {"faces": [face | {"folder": str(copy)}]}), ("people/1/split", {"faces": [face]}),
        ("ask/answers", {"person": "1", "videos": [copy.name]}), ("ask/answers", {"face": f"{copy.name}/t1"}),
        ("ask/answers", {"person": f"{copy.name}#1"}), ("ask/answers", {"person": photo.name}),
        ("people/1/cut", {"with": [photo.name]}), ("people/1/cut", {"without": [str(photo)]}),
        ("review/again", {"person": photo.name, "other": "2"}), ("people/merge", {"people": [1, photo.name]}),
    ):  # fmt: skip
        answer = page.post(f"/api/{path}", body)
        assert answer.status_code in (400, 404), (path, body, answer.text)
    assert not library.people.log()
    assert not page.site.jobs.all()


def test_people_are_asked_for_by_id_name_and_face(page: InProcess, library: Library) -> None:
    (index,) = index_folders(library.store)
    library.people.name("1", "Anna")
    library.people.name("2", "Ben")
    for words in (
        {"person": "1"}, {"person": "Anna", "with": ["Ben"]}, {"person": f"{index.name}#1", "videos": [index.name]},
        {"face": f"{index.name}/c1", "version": library.version(index.name)},
        {"person": "Anna", "not": ["Ben"]}, {"person": "1", "without": [2]},
    ):  # fmt: skip
        answer = page.post("/api/ask/answers", words)
        assert answer.status_code == 200, (words, answer.text)


def test_links_that_lead_out_of_the_root_are_not_indexed(page: InProcess, tmp_path: Path) -> None:
    outside, films = tmp_path / "outside", page.site.root / "films"
    outside.mkdir()
    films.mkdir()
    write_video(outside / "private.mp4", Recipe(frames=3))
    write_video(films / "own.mp4", Recipe(frames=4))
    page = InProcess(page.site.library, films)
    (films / "link.mp4").symlink_to(outside / "private.mp4")
    (films / "again.mp4").symlink_to(films / "own.mp4")
    assert [path.name for path in videos_below(films, films)] == ["again.mp4", "own.mp4"]
    job = page.post("/api/library/index", {"paths": ["."]}).json()["id"]
    while (data := page.get(f"/api/jobs/{job}").json())["state"] not in ("done", "failed"):
        time.sleep(0.01)
    named = [one["video"] for one in (*data["result"]["indexed"], *data["result"]["failed"])]
    assert "private.mp4" not in named
    assert "link.mp4" not in named


def test_data_of_a_person_names_files_without_folders_and_keeps_names(
    page: InProcess, library: Library, tmp_path: Path
) -> None:
    for name in ("Anna /Mum/ Smith", r"\\host\share\x"):
        library.people.name("1", name)
        data = page.get("/api/people/1/data")
        assert data.json()["person"]["name"] == name
        assert [video["path"] for video in data.json()["videos"]] == ["two.mp4"]
        assert str(tmp_path) not in data.text


def test_why_an_index_is_not_searched_names_no_place(
    page: InProcess, library: Library, tmp_path: Path
) -> None:
    (index,) = index_folders(library.store)
    damaged = library.store / f"other.mp4-{'0123456789ab'}"
    shutil.copytree(index, damaged)
    (damaged / "index.db").write_bytes(b"damaged" * 200)
    answer = page.post("/api/ask/answers", {"person": "1"})
    assert [skipped["video"] for skipped in answer.json()["skipped"]] == [damaged.name]
    assert str(tmp_path) not in answer.text


def test_a_folder_may_end_with_a_space(page: InProcess) -> None:
    (page.site.root / "films ").mkdir()
    answer = page.post("/api/library/index", {"paths": ["films "]})
    assert answer.status_code == 200, answer.text
    page.site.jobs.close()


def add(page: InProcess, name: str) -> httpx.Response:
    return page.post("/api/library/add", content=b"video", headers=_VIDEO, params={"name": name})


def test_videos_are_added_where_there_are_no_links(page: InProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "link")
    long = "n" * 251 + ".mp4"
    before = sorted(path.name for path in page.site.root.iterdir())
    for name in ("new.mp4", long):
        assert add(page, name).status_code == 200
        assert (page.site.root / name).read_bytes() == b"video"
    assert sorted(path.name for path in page.site.root.iterdir()) == sorted([*before, "new.mp4", long])


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="Linux alone says which files are open")
def test_a_video_that_came_is_closed_before_it_is_renamed(
    page: InProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Windows renames no file that is open."""
    replace, still_open = os.replace, []

    def observed(part: Path, target: Path) -> None:
        files = [os.path.realpath(file) for file in Path("/proc/self/fd").iterdir()]
        still_open.append(str(part.resolve()) in files)
        replace(part, target)

    monkeypatch.setattr(os, "replace", observed)
    assert add(page, "new.mp4").status_code == 200
    assert still_open == [False]


@pytest.mark.parametrize(
    ("name", "status", "said"),
    [
        ("two\nlines.mp4", 400, "is not the name of a video"),
        ("n" * 252 + ".mp4", 409, "give it a shorter name"),
        ("../up.mp4", 400, "is not the name of a video"),
        (".hidden.mp4", 400, "is not the name of a video"),
        ("two.mp4", 409, "is there already"),
    ],
)
def test_a_name_that_cannot_be_is_refused_with_the_remedy(
    page: InProcess, name: str, status: int, said: str
) -> None:
    (page.site.root / "two.mp4").write_bytes(b"another")
    before = {path: path.stat().st_mtime_ns for path in page.site.root.iterdir()}
    answer = add(page, name)
    assert (answer.status_code, said in answer.json()["error"]["message"]) == (status, True), answer.text
    assert {path: path.stat().st_mtime_ns for path in page.site.root.iterdir()} == before


def test_what_a_killed_server_left_of_a_video_goes_at_the_next_start(tmp_path: Path) -> None:
    films = tmp_path / "films"
    films.mkdir()
    uploads = [part_of_upload(tmp_path, films) for _ in range(2)]
    killed, running = (
        upload.__enter__() for upload in uploads
    )  # ended below, so that nothing goes by itself
    os.utime(killed, (1, 1))
    mine = films / ".facereel-upload-mine.part"
    mine.write_bytes(b"no note names it")
    remove_abandoned(tmp_path)
    assert sorted(films.iterdir()) == sorted([running, mine])
    assert len(list(tmp_path.glob(".facereel-upload-*"))) == 1
    for upload in uploads:
        upload.__exit__(None, None, None)
    assert list(films.iterdir()) == [mine]
    assert list(tmp_path.iterdir()) == [films]
