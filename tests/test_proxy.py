"""Copies of videos for browsers: the frames of the source at the times of the index, and no copy outlives its index."""

from __future__ import annotations

from contextlib import AbstractContextManager
from fractions import Fraction
from pathlib import Path

import av.container
import pytest

from facereel.api import Library
from facereel.indexer.media.container import open_video
from facereel.query.clips.proxy import PROXY
from facereel.store.files.folders import index_folders
from facereel.store.files.locks import OwnerLock
from facereel.store.index.reader import VideoIndex
from facereel.store.model.errors import NotIndexedError, VideoError
from tests.program import Run
from tests.test_cutter import decode
from tests.video_factory import Recipe, code_box, read_number, write_video

MS = Fraction(1, 1000)
UNEVEN = tuple(40 * number + number * 7 % 13 for number in range(50))
# Each is something that a browser does not play, or plays at other times.
UNPLAYED = {
    "irregular.mkv": Recipe(time_base=MS, pts=UNEVEN),
    "reordered.avi": Recipe(b_frames=2),
    "transport.ts": Recipe(audio="aac"),
    "mirrored90.mov": Recipe(rotation=90, mirrored=True, size=(180, 320)),
    "main10.mp4": Recipe(codec="libx265", pix_fmt="yuv420p10le"),
    "high444.mp4": Recipe(pix_fmt="yuv444p"),
    "sound.mp4": Recipe(audio="ac3"),
    "asp.mp4": Recipe(codec="mpeg4"),
    "silent_and_late.mp4": Recipe(late=15),
}
PLAYED = {
    "plain.mp4": Recipe(audio="aac"),
    "turned.mp4": Recipe(rotation=90, size=(180, 320)),
    "vp9.webm": Recipe(codec="libvpx-vp9", time_base=MS),
}


def indexed(run: Run, path: Path, recipe: Recipe) -> Library:
    store = path.parent / "faceindex"
    assert run("index", write_video(path, recipe), "--store", store, "--engine", "fake").exit_code == 0
    return Library(store, engine="fake")


@pytest.mark.parametrize("name", UNPLAYED)
def test_shows_the_frames_of_the_source_at_the_times_of_the_index(
    run: Run, tmp_path: Path, name: str
) -> None:
    recipe = UNPLAYED[name]
    library = indexed(run, tmp_path / name, recipe)
    assert not library.plays_in_browsers(name)
    assert library.proxy(name) is None
    seen: list[tuple[int, int]] = []
    proxy = library.make_proxy(name, on_frame=lambda done, total: seen.append((done, total)))
    assert seen == [(frame, 50) for frame in range(50)]
    assert library.proxy(name) == proxy
    (folder,) = index_folders(library.store)
    with VideoIndex(folder) as index:
        video, times = index.video, index.times()
    decoded = decode(proxy)
    whole = (0, 0, *recipe.size)
    numbers = [
        read_number(picture, code_box(recipe, frame), whole) for frame, picture in enumerate(decoded.pictures)
    ]
    assert numbers == list(range(50))
    assert decoded.pts[0] == 0  # the first picture is shown from there on, where a player would wait for it
    assert decoded.pts[1:] == [(int(pts) - video.origin_pts) * video.time_base for pts in times.pts[1:]]


def test_a_picture_that_comes_later_than_the_sound_keeps_its_times(run: Run, tmp_path: Path) -> None:
    recipe = Recipe(codec="mpeg4", time_base=Fraction(1, 12800), late=6400, audio="aac")
    library = indexed(run, tmp_path / "late.mp4", recipe)
    decoded = decode(library.make_proxy("late.mp4"))
    assert decoded.pts[:2] == [0, Fraction(1, 2) + Fraction(1, 25)]


@pytest.mark.parametrize("name", PLAYED)
def test_what_browsers_play_needs_no_copy(run: Run, tmp_path: Path, name: str) -> None:
    assert indexed(run, tmp_path / name, PLAYED[name]).plays_in_browsers(name)


def test_a_large_video_is_made_smaller(run: Run, tmp_path: Path) -> None:
    library = indexed(run, tmp_path / "wide.mp4", Recipe(frames=3, size=(1600, 900), codec="mpeg4"))
    assert decode(library.make_proxy("wide.mp4")).pictures[0].shape == (720, 1280)


def test_what_is_cancelled_leaves_nothing(run: Run, tmp_path: Path) -> None:
    library = indexed(run, tmp_path / "asp.mp4", UNPLAYED["asp.mp4"])
    (folder,) = index_folders(library.store)
    before = sorted(path.name for path in folder.iterdir())

    def stop(done: int, total: int) -> None:
        if done == 20:
            raise StopIteration

    with pytest.raises(StopIteration):
        library.make_proxy("asp.mp4", on_frame=stop)
    assert sorted(path.name for path in folder.iterdir()) == before


def test_forgetting_removing_and_indexing_again_delete_it(run: Run, store: Path, photos: Path) -> None:
    library = Library(store, engine="fake")
    written = store.stat().st_mtime_ns
    library.make_proxy("two.mp4")
    assert store.stat().st_mtime_ns == written  # the library reads its indexes again only when that changes
    library.plan_forget(photos / "red.png").apply()
    assert library.proxy("two.mp4") is None
    video = Path(library.videos().videos[0].path)
    library.make_proxy("two.mp4")
    assert run("index", video, "--force", "--store", store, "--engine", "fake").exit_code == 0
    assert library.proxy("two.mp4") is None
    library.make_proxy("two.mp4")
    run("remove", "two.mp4", "--store", store)
    assert not list(store.rglob(PROXY))


def test_an_index_that_goes_meanwhile_leaves_no_copy(store: Path) -> None:
    library = Library(store, engine="fake")

    def remove(done: int, total: int) -> None:
        if done == 30:
            Library(store, engine="fake").remove("two.mp4")

    with pytest.raises(NotIndexedError, match="removed or made anew meanwhile"):
        library.make_proxy("two.mp4", on_frame=remove)
    assert not list(store.rglob("*.mp4*"))


def test_those_unused_for_longest_go_when_there_are_too_many(run: Run, tmp_path: Path) -> None:
    for name in ("a.mp4", "b.mp4"):
        library = indexed(run, tmp_path / name, Recipe(frames=6 + ord(name[0]) % 2, codec="mpeg4"))
    size = library.make_proxy("a.mp4").stat().st_size
    library.make_proxy("b.mp4", limit=size * 4)
    assert library.proxy("a.mp4") is not None
    assert library.proxy("b.mp4") is not None
    video = write_video(tmp_path / "c.mp4", Recipe(frames=9, codec="mpeg4"))
    assert run("index", video, "--store", library.store, "--engine", "fake").exit_code == 0
    assert library.proxy("a.mp4") is not None  # it was used last
    library.make_proxy("c.mp4", limit=1)
    assert [library.proxy(name) is not None for name in ("a.mp4", "b.mp4", "c.mp4")] == [False, False, True]


def test_a_source_that_goes_meanwhile_says_so(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = indexed(run, tmp_path / "asp.mp4", UNPLAYED["asp.mp4"])
    try_acquire = OwnerLock.try_acquire

    def vanish(lock: OwnerLock) -> bool:
        (tmp_path / "asp.mp4").unlink(missing_ok=True)
        return try_acquire(lock)

    monkeypatch.setattr(OwnerLock, "try_acquire", vanish)
    with pytest.raises(VideoError, match="no longer there"):
        library.make_proxy("asp.mp4")
    assert library.proxy("asp.mp4") is None


def test_a_file_is_probed_once_for_browsers(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = indexed(run, tmp_path / "plain.mp4", PLAYED["plain.mp4"])
    probed = []

    def counted(path: Path) -> AbstractContextManager[av.container.InputContainer]:
        probed.append(path)
        return open_video(path)

    monkeypatch.setattr("facereel.query.clips.proxy.open_video", counted)
    assert [library.plays_in_browsers("plain.mp4") for _ in range(3)] == [True] * 3
    assert len(probed) == 1
    write_video(tmp_path / "plain.mp4", UNPLAYED["asp.mp4"])
    with pytest.raises(VideoError, match="has changed"):
        library.plays_in_browsers("plain.mp4")


def test_a_source_that_is_gone_says_so(run: Run, tmp_path: Path) -> None:
    library = indexed(run, tmp_path / "asp.mp4", UNPLAYED["asp.mp4"])
    (tmp_path / "asp.mp4").unlink()
    with pytest.raises(VideoError, match="no longer there"):
        library.make_proxy("asp.mp4")
    with pytest.raises(VideoError, match="no longer there"):
        library.plays_in_browsers("asp.mp4")
    assert not list(library.store.rglob("*.part"))
