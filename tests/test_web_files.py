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
