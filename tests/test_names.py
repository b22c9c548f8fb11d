"""Names that are not UTF-8, as old disks and ZIPs of Windows leave them: all works, and they are shown escaped."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facereel import Library
from facereel.store.files.names import printable, with_escapes
from tests.fake_engine import write_photo
from tests.in_process import InProcess
from tests.program import Run

CAFE = os.fsdecode(b"caf\xe9")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of such a name, where the system has them."""
    path = tmp_path / CAFE
    try:
        path.mkdir()
    except OSError:
        pytest.skip("this file system has only names of UTF-8")
    return path


def test_the_page_shows_videos_and_folders_of_any_name(folder: Path, film: Path, tmp_path: Path) -> None:
    video = Path(shutil.copy(film, folder / f"{CAFE}.mp4"))
    library = Library(folder / "faceindex", engine="fake")
    assert not library.index(video).failed
    index, page = library.page_of_videos().videos[0].folder.name, InProcess(library, folder)
    for path in ("/", f"/videos/{index}", "/ask"):
        answer = page.get(path)
        assert (answer.status_code, "caf\\xe9.mp4" in answer.text) == (200, True), path
    listed = page.get("/api/library/folder").json()["videos"]
    assert [(one["name"], one["indexed"]) for one in listed] == [("caf\\xe9.mp4", True)]
    assert InProcess(library, tmp_path).get("/api/library/folder").json()["folders"] == ["caf\\xe9"]
    asked = page.post("/api/ask/answers", {"person": "1"}).json()
    assert {match["video"] for match in asked["matches"]} == {"caf\\xe9.mp4"}
    again = page.post("/api/library/index", {"folder": index}).json()
    assert again["title"] == "Indexing caf\\xe9.mp4"
    assert page.get("/api/jobs").status_code == 200
    page.site.jobs.close()


def test_videos_photos_stores_and_results_of_any_name(run: Run, folder: Path, film: Path) -> None:
    video = Path(shutil.copy(film, folder / f"{CAFE}.mp4"))
    store, out, report = folder / "store", folder / "out", folder / f"{CAFE}.json"
    photo = write_photo(folder / "photo.png", "red").rename(folder / f"{CAFE}.png")
    (folder / f"people-{CAFE}").mkdir()
    person = write_photo(folder / "red.png", "red").rename(folder / f"people-{CAFE}" / f"{CAFE}.png")
    shared = ("--store", store, "--engine", "fake")

    done = run("index", video, *shared, "--report", report)
    assert done.exit_code == 0, done.output
    assert "caf\\xe9.mp4: 0:03.600 indexed" in done.stdout
    assert json.loads(report.read_text())["videos"][0]["video"].endswith("caf\\xe9/caf\\xe9.mp4")
    for command in (
        ("list", "--store", store),
        ("info", video, "--store", store),
        ("verify", "--store", store),
    ):
        done = run(*command)
        assert done.exit_code == 0, done.output
        assert "caf\\xe9.mp4" in done.stdout
    listed = json.loads(run("list", "--store", store, "--json").stdout)
    assert listed["videos"][0]["path"].endswith("caf\\xe9/caf\\xe9.mp4")
    sheet = folder / f"{CAFE}.png"
    assert run("faces", video, "--store", store, "--out", sheet).exit_code == 0
    assert sheet.stat().st_size > 1000

    for question in (photo, person.parent):
        result = run("query", question, *shared, "--out", out, "--absolute", "--json", "--video", video)
        assert result.exit_code == 0, result.output
        answer = json.loads(result.stdout)["results"][0]
        target = next(path for path in out.iterdir() if path.name.startswith(("caf", "people")))
        document = json.loads((target / "metadata.json").read_text(encoding="utf-8"))
        assert answer["clips"] == document["clips"]
        assert len(document["clips"]) == 2
        assert document["clips"][0]["video"]["file"] == "caf\\xe9.mp4"
        assert document["clips"][0]["video"]["path"].endswith("caf\\xe9/caf\\xe9.mp4")
        assert document["references"][0]["file"] == "caf\\xe9.png"
        assert "caf\\xe9.mp4" in (target / "clips.csv").read_text(encoding="utf-8")
        for clip in document["clips"]:
            with av.open(str(target / clip["file"])) as container:
                assert sum(1 for _ in container.decode(video=0)) == clip["end_frame"] - clip["start_frame"]
        shutil.rmtree(target)

    done = run("reembed", video, "--store", store, "--engine", "fake-other")
    assert done.exit_code == 0, done.output
    assert run("remove", video, "--store", store).exit_code == 0


def test_errors_about_such_names_are_one_line(run: Run, folder: Path, film_store: Path, photos: Path) -> None:
    shared = ("--store", film_store, "--engine", "fake")
    (folder / "empty").mkdir()
    (folder / f"{CAFE}.mp4").write_text("no film")
    for command in (
        ("index", folder / f"{CAFE}.mp4", *shared), ("index", folder / "gone.mp4", *shared),
        ("query", folder / f"{CAFE}.png", *shared), ("query", folder / "empty", *shared),
        ("query", photos / "red.png", *shared, "--video", CAFE),
        ("query", photos / "red.png", *shared, "--name", CAFE),
        ("query", photos / "red.png", *shared, "--name", "x", "--out", folder / f"{CAFE}.mp4"),
        ("query", photos / "red.png", *shared, "--calibration", folder / CAFE),
        ("info", CAFE, "--store", film_store), ("list", "--store", folder / CAFE),
    ):  # fmt: skip
        for json_too in ((), ("--json",)):
            result = run(*command, *json_too)
            assert result.exit_code in (0, 1), result.output
            if result.exit_code == 1 and not json_too:
                [line] = [line for line in result.stderr.splitlines() if line.startswith("error:")]
                assert "caf\\xe9" in line
                assert line.isprintable()


@given(st.text(st.characters(min_codepoint=1)), st.binary(max_size=20))
def test_texts_stay_and_bytes_become_escapes(text: str, name: bytes) -> None:
    """Also beside each other, and whatever was printable stays as it is."""
    mixed = text + os.fsdecode(name)
    document = json.loads(json.dumps(with_escapes({"name": [mixed, 1, None]}), ensure_ascii=False).encode())
    assert document["name"][1:] == [1, None]
    assert printable(mixed).isprintable()
    if mixed.isprintable():
        assert printable(mixed) == with_escapes(mixed) == mixed
