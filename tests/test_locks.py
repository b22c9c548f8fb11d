"""Locks of a store: one works and the others wait, the dead hold nothing, readers never wait."""

from __future__ import annotations

import errno
import fcntl
import logging
import multiprocessing
import os
import signal
import threading
from pathlib import Path

import pytest

from facereel.store.files import folders, locks
from facereel.store.files.locks import STORE_LOCK, VIDEO_LOCK, folder_lock, locked_videos, video_lock
from facereel.store.index.reader import VideoIndex
from tests.factories import make_contents, write_index

SHA256 = "a" * 64


def never() -> None:
    pytest.fail("nobody else is at work here")


def test_one_at_a_time_holds_the_folder_lock(tmp_path: Path) -> None:
    inside, together = [], []

    def work() -> None:
        for _ in range(40):
            with folder_lock(tmp_path):
                inside.append(1)
                together.append(len(inside))
                inside.pop()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert together == [1] * 160
    assert list(tmp_path.iterdir()) == [], "no lock file stays"


def test_who_holds_the_folder_lock_may_take_it_again(tmp_path: Path) -> None:
    with folder_lock(tmp_path):
        with folder_lock(tmp_path):
            pass
        assert (tmp_path / STORE_LOCK).exists(), "it ends with the outer one"
    assert list(tmp_path.iterdir()) == []


def test_a_second_process_waits_for_a_video(tmp_path: Path) -> None:
    with video_lock(tmp_path, SHA256, never):
        waited = threading.Event()

        def other() -> None:
            with video_lock(tmp_path, SHA256, waited.set):
                pass

        thread = threading.Thread(target=other)
        thread.start()
        assert waited.wait(20)
        assert locked_videos(tmp_path) == [SHA256[:12]]
    thread.join(20)
    assert not thread.is_alive()
    assert list(tmp_path.iterdir()) == []


def test_cleaning_up_takes_no_lock_from_anybody(tmp_path: Path) -> None:
    """While others look all the time whether a lock is alive, its owner gets it at once every time."""
    done = threading.Event()

    def clean() -> None:
        while not done.is_set():
            locked_videos(tmp_path)
            (tmp_path / f"{VIDEO_LOCK}{'b' * 12}").touch()

    cleaners = [threading.Thread(target=clean) for _ in range(2)]
    for cleaner in cleaners:
        cleaner.start()
    try:
        for _ in range(100):
            with video_lock(tmp_path, SHA256, never):
                pass
    finally:
        done.set()
        for cleaner in cleaners:
            cleaner.join()


def _hold(store: Path, ready: str) -> None:
    with video_lock(store, SHA256, lambda: None), folders.temporary_folder(store), folder_lock(store):
        Path(ready).touch()
        signal.pause()


def test_locks_end_with_their_process(tmp_path: Path) -> None:
    """What it was writing goes too."""
    store, ready = tmp_path / "store", tmp_path / "ready"
    store.mkdir()
    process = multiprocessing.get_context("fork").Process(target=_hold, args=(store, str(ready)))
    process.start()
    while not ready.exists():
        assert process.is_alive()
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert any(path.name.startswith(folders.WRITING) for path in store.iterdir())
    with video_lock(store, SHA256, never):
        pass
    folders.clean_leftovers(store)
    assert list(store.iterdir()) == []


def test_what_a_living_process_writes_is_not_cleaned(tmp_path: Path) -> None:
    with folders.temporary_folder(tmp_path) as folder:
        folders.clean_leftovers(tmp_path)
        assert folder.is_dir()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, code: int
) -> None:
    """Work goes on, and nothing is cleaned of which nobody knows whether its writer lives."""

    def refuse(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with caplog.at_level(logging.WARNING, locks.__name__):
        for _ in range(2):
            with video_lock(tmp_path, SHA256, never), folders.temporary_folder(tmp_path) as folder:
                folders.clean_leftovers(tmp_path)
                assert folder.is_dir()
                assert locked_videos(tmp_path) == [SHA256[:12]]
    (record,) = caplog.records
    assert str(tmp_path) in record.getMessage()
    assert "without locks" in record.getMessage()


def test_readers_wait_for_nobody(tmp_path: Path) -> None:
    folder = write_index(tmp_path, make_contents())
    blocker = threading.Event()
    held = threading.Event()

    def hold() -> None:
        with folder_lock(tmp_path):
            held.set()
            blocker.wait(60)

    thread = threading.Thread(target=hold)
    thread.start()
    assert held.wait(20)
    try:
        assert folders.index_folders(tmp_path) == [folder]
        with VideoIndex(folder) as index:
            assert len(index.tracklets()) == 3
    finally:
        blocker.set()
        thread.join()


def test_an_index_that_is_being_replaced_is_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two renames it has no name of its own: a reader lists again, and takes what a dead writer set aside."""
    folder = write_index(tmp_path, make_contents())
    aside = folder.rename(tmp_path / f"{folders.REPLACED}00000000-{folder.name}")
    assert folders.index_folders(tmp_path) == [aside]
    writer = threading.Timer(0.1, aside.rename, (folder,))
    writer.start()
    assert folders.index_folders(tmp_path) == [folder]
    writer.join()
