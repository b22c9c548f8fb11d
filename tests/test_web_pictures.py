"""Frames that the page holds in memory: no longer than the index that they were decoded for."""

from __future__ import annotations

from pathlib import Path

import pytest

from facereel.api import Library, NotIndexedError
from facereel.query.web.frame_cache import FrameCache
from facereel.store.files.folders import index_folders
from tests.fake_engine import film_of_two
from tests.program import Run


@pytest.fixture
def library(run: Run, store: Path, tmp_path: Path) -> Library:
    """Two videos; `red` and `green` are in both."""
    other = film_of_two(tmp_path / "other.mp4", seconds=0.5)
    assert run("index", other, "--store", store, "--engine", "fake").exit_code == 0
    return Library(store, engine="fake")


def held(frames: FrameCache) -> list[str]:
    return sorted(folder.partition("-")[0] for folder, _, _, _ in frames._frames)


def test_frames_of_a_rewritten_or_removed_index_are_dropped(library: Library, photos: Path) -> None:
    other, two = (folder.name for folder in index_folders(library.store))
    frames = FrameCache()
    frames.get(library, other, 0, 160)
    first = frames.get(library, two, 0, 160)
    assert frames.get(library, two, 0, 160) is first
    library.plan_forget(photos / "red.png", videos="two.mp4").apply()
    frames.get(library, other, 0, 160)
    assert held(frames) == ["other.mp4"]
    assert frames.get(library, two, 0, 160) == first
    library.remove("other.mp4")
    frames.get(library, two, 0, 160)
    assert held(frames) == ["two.mp4"]
    with pytest.raises(NotIndexedError):
        frames.get(library, other, 0, 160)


def test_the_oldest_frames_go_above_the_limit(library: Library) -> None:
    _, two = (folder.name for folder in index_folders(library.store))
    size = len(FrameCache().get(library, two, 0, 160))
    frames = FrameCache(most_bytes=size * 2)
    for number in (0, 1, 2, 3):
        frames.get(library, two, number, 160)
    assert [frame for _, _, frame, _ in frames._frames] in ([2, 3], [3])
    assert sum(map(len, frames._frames.values())) <= size * 2


def test_a_frame_whose_index_goes_while_it_is_decoded_is_not_held(
    library: Library, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, two = (folder.name for folder in index_folders(library.store))
    frames, decode = FrameCache(), Library.frame

    def slow(library: Library, video: str, frame: int, *, width: int | None = None) -> bytes:
        picture = decode(library, video, frame, width=width)
        library.remove(two)
        frames._drop_stale(library)  # as another request does, which sees the new listing first
        return picture

    monkeypatch.setattr(Library, "frame", slow)
    frames.get(library, two, 0, 160)
    assert held(frames) == []
