"""Finding, listing and removing indexes; what crashes leave is finished."""

from __future__ import annotations

import multiprocessing
import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from facereel.store.files import folders, locks
from facereel.store.files.digest import hash_file
from facereel.store.index.database import DATABASE
from facereel.store.index.reader import VideoIndex
from facereel.store.library.catalogue import Catalogue
from facereel.store.model.errors import DamagedIndexError, NotIndexedError, OptionError, StoreError
from facereel.store.model.records import Video
from facereel.store.resume.unfinished import delete_unfinished
from tests.factories import make_contents, make_video, write_index


def real_video(path: Path, content: str = "movie") -> Video:
    """The record of a file with that content."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(content)
    status = path.stat()
    video = make_video(str(path), content)
    return replace(video, sha256=hash_file(path), size=status.st_size, mtime_ns=status.st_mtime_ns)


def test_missing_and_empty_store_hold_nothing(tmp_path: Path) -> None:
    for store in (tmp_path / "none", tmp_path):
        library = Catalogue(store)
        assert library.listing().entries == ()
        assert library.by_hash("0" * 64) is None
        with pytest.raises(
            NotIndexedError, match=r'^no video "movie.mp4" in the library; run: facereel index movie.mp4$'
        ):
            library.find("movie.mp4")
    assert not (tmp_path / "none").exists()
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="is not a folder"):
        Catalogue(tmp_path / "file").listing()


def test_found_by_name_path_folder_and_content(tmp_path: Path) -> None:
    store = tmp_path / "store"
    video = real_video(tmp_path / "a" / "movie.mp4")
    folder = write_index(store, make_contents(video=video))
    write_index(store, make_contents(video=real_video(tmp_path / "a" / "other.mp4", "other!")))
    library = Catalogue(store)
    moved = tmp_path / "a" / "moved.mp4"
    moved.write_text("movie")
    for name in ("movie.mp4", video.path, folder.name, folder, moved, os.path.relpath(moved)):
        with library.find(name) as index:
            assert index.video == video
    by_hash = library.by_hash(video.sha256)
    assert by_hash is not None
    by_hash.close()
    assert library.by_hash(video.sha256[:12] + "0" * 52) is None
    Path(video.path).write_text("MOVIE")
    with pytest.raises(NotIndexedError):
        library.find(video.path)
    Path(video.path).unlink()
    with library.find(video.path) as index:
        assert index.folder == folder


def test_ambiguous_name_lists_the_folders(tmp_path: Path) -> None:
    one = write_index(tmp_path, make_contents(video=make_video("/a/movie.mp4", "one")))
    two = write_index(tmp_path, make_contents(video=make_video("/b/movie.mp4", "two")))
    with pytest.raises(OptionError) as caught:
        Catalogue(tmp_path).find("movie.mp4")
    assert '"movie.mp4" names 2 videos' in str(caught.value)
    assert one.name in str(caught.value)
    assert two.name in str(caught.value)
    with Catalogue(tmp_path).find("/b/movie.mp4") as index:
        assert index.folder == two


def test_a_name_of_many_videos_names_some_and_how_many(tmp_path: Path) -> None:
    contents = make_contents()
    for number in range(8):
        write_index(tmp_path, replace(contents, video=make_video(f"/{number}/movie.mp4", str(number))))
    with pytest.raises(OptionError) as caught:
        Catalogue(tmp_path).find("movie.mp4")
    assert str(caught.value).count("movie.mp4-") == 5
    assert str(caught.value).endswith(" and 3 more")


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("sitcom", "did you mean sitcom.mp4?"),
        ("sitcon.mp4", "did you mean sitcom.mp4?"),
        ("/videos/Sitcom.mp4", "did you mean sitcom.mp4?"),
        ("quite other.mkv", "run: facereel index 'quite other.mkv'"),
    ],
)
def test_an_unknown_name_is_answered_with_what_was_perhaps_meant(
    tmp_path: Path, name: str, remedy: str
) -> None:
    for video in ("sitcom.mp4", "news.mp4"):
        write_index(tmp_path, make_contents(video=make_video(f"/videos/{video}", video)))
    with pytest.raises(NotIndexedError) as caught:
        Catalogue(tmp_path).find(name)
    assert str(caught.value) == f'no video "{name}" in the library; {remedy}'


def test_a_moved_video_is_read_once_however_often_it_is_asked_for(tmp_path: Path) -> None:
    """Reading a large file for its digest takes minutes: a query locates a video twice."""
    store, video = tmp_path / "store", real_video(tmp_path / "a" / "movie.mp4")
    folder = write_index(store, make_contents(video=video))
    moved = Path(video.path).rename(tmp_path / "moved.mp4")
    catalogue, status = Catalogue(store), moved.stat()
    assert catalogue.locate(moved) == folder
    moved.write_text("MOVIE")
    os.utime(moved, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert catalogue.locate(moved) == folder
    moved.write_text("MOVIE")
    with pytest.raises(NotIndexedError):
        catalogue.locate(moved)


def test_damaged_indexes_are_reported_and_can_be_removed(tmp_path: Path) -> None:
    good = write_index(tmp_path, make_contents(video=make_video("/a/good.mp4", "good")))
    bad = write_index(tmp_path, make_contents(video=make_video("/a/bad.mp4", "bad")))
    (bad / DATABASE).write_bytes(b"no database")
    (tmp_path / "notes").mkdir()
    library = Catalogue(tmp_path)
    listing = library.listing()
    assert [entry.folder for entry in listing.entries] == [good]
    assert listing.entries[0].engine.name == "fake"
    ((folder, error),) = listing.failures
    assert folder == bad
    assert isinstance(error, DamagedIndexError)
    with pytest.raises(DamagedIndexError):
        library.find("bad.mp4")
    assert library.remove("bad.mp4") == bad
    assert library.remove("good.mp4") == good
    assert [f.name for f in tmp_path.iterdir() if f.is_dir()] == ["notes"]


def test_damaged_index_is_replaced_by_a_new_one(tmp_path: Path) -> None:
    folder = write_index(tmp_path, make_contents())
    (folder / DATABASE).write_bytes(b"")
    write_index(tmp_path, make_contents())
    VideoIndex(folder).close()


def folders_in(store: Path) -> list[Path]:
    return [path for path in store.iterdir() if path.is_dir()]


def test_leftovers_of_dead_processes_are_finished(tmp_path: Path) -> None:
    folder = write_index(tmp_path, make_contents(seed=1))
    aside = folder.rename(tmp_path / f"{folders.REPLACED}00000000-{folder.name}")
    for name in (f"{folders.WRITING}1-abcdef01", f"{folders.REMOVED}00000000-{folder.name}"):
        (tmp_path / name).mkdir()
        (tmp_path / name / DATABASE).write_text("half")
    before = sorted(tmp_path.iterdir())
    Catalogue(tmp_path).listing()
    assert sorted(tmp_path.iterdir()) == before, "a reader changes nothing"
    Catalogue(tmp_path).clean()
    with Catalogue(tmp_path).find("movie.mp4") as index:
        assert index.folder == folder
    assert folders_in(tmp_path) == [folder]
    (tmp_path / locks.STORE_LOCK).touch()
    folders.clean_leftovers(tmp_path)
    assert folders_in(tmp_path) == [folder]
    assert not (tmp_path / locks.STORE_LOCK).exists(), "a lock file alone goes, too"
    # Died after the new one was in: the old one goes.
    aside.mkdir()
    Catalogue(tmp_path).clean()
    assert folders_in(tmp_path) == [folder]


def test_a_folder_that_is_being_written_is_left_alone(tmp_path: Path) -> None:
    with folders.temporary_folder(tmp_path) as folder:
        (folder / DATABASE).touch()
        Catalogue(tmp_path).clean()
        write_index(tmp_path, make_contents())
        assert (folder / DATABASE).exists()
    assert not folder.exists()


def _write_for_ever(store: Path) -> None:
    seed = 0
    while True:
        contents = make_contents(seed, tracklets=2, looks=1)
        with locks.video_lock(store, contents.video.sha256, lambda: None):  # as every run holds it
            write_index(store, contents)
        seed += 1


def test_killed_writers_lose_nothing_and_readers_never_miss(tmp_path: Path) -> None:
    write_index(tmp_path, make_contents())
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["facereel.store.index.reader", "sqlite_utils", "faiss", "cv2", "tests.factories"]
    )
    for moment in range(6):
        writers = [context.Process(target=_write_for_ever, args=(tmp_path,)) for _ in range(2)]
        for writer in writers:
            writer.start()
        until = time.monotonic() + 0.15 + 0.013 * moment
        library = Catalogue(tmp_path)
        while time.monotonic() < until:
            with library.find("movie.mp4") as index:
                assert len(index.tracklets()) in (2, 3)
                index.exemplar_arrays()
        for writer in writers:
            writer.kill()
            writer.join()
        Catalogue(tmp_path).clean()
        # What a killed run stored stays for the next one, unless an index came after it; nothing else may stay.
        delete_unfinished(tmp_path)
        assert len(folders_in(tmp_path)) == 1
        with library.find("movie.mp4") as index:
            index.sightings(t.number for t in index.tracklets())
            index.vectors()
