"""What opening a page reads: of a large library no more than the page shows."""

from __future__ import annotations

from pathlib import Path

import pytest

from facereel import Library
from facereel.store.files.folders import index_folders
from facereel.store.index.reader import VideoIndex
from facereel.store.library.people import LibraryPeople, LibraryPerson
from tests.in_process import InProcess


@pytest.mark.parametrize("path", ["/ask", "/review"])
def test_no_index_is_opened(
    path: str, film_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = InProcess(Library(film_store, engine="fake"), tmp_path)
    opened = []
    before = VideoIndex.__init__

    def counted(self: VideoIndex, folder: Path, video_path: str | None = None) -> None:
        opened.append(folder)
        before(self, folder, video_path)

    monkeypatch.setattr(VideoIndex, "__init__", counted)
    assert "two.mp4" in page.get("/ask").text
    assert page.get(path).status_code == 200
    assert opened == []


@pytest.mark.parametrize(
    ("path", "times"), [("/people", 1), ("/people?hidden=1", 1), ("/people/1", 0), ("/videos/{folder}", 0)]
)
def test_everybody_is_read_once_at_most(
    path: str, times: int, film_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = InProcess(Library(film_store, engine="fake"), tmp_path)
    before, read = LibraryPeople.all, []

    def counted(self: LibraryPeople) -> tuple[LibraryPerson, ...]:
        read.append(self)
        return before(self)

    monkeypatch.setattr(LibraryPeople, "all", counted)
    (folder,) = index_folders(film_store)
    assert page.get(path.format(folder=folder.name)).status_code == 200
    assert len(read) == times
