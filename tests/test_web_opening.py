"""Opening Ask and Review costs the same however many videos there are: no index is opened for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from facereel import Library
from facereel.store.index.reader import VideoIndex
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
