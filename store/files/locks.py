"""Who may change what in a store, through filelock: the same on Linux, macOS and Windows.

Two kinds of lock files, which end with their process at the latest:

- the folder lock, STORE_LOCK in a store or among results: held for the moment in which the listing of that folder
  changes, or a file in one of its folders is replaced;
- owner locks beside it: one process works on a video's content, or in a folder that is not complete yet. They are
  taken, tried and deleted only while the folder lock is held. So a process that looks whether an owner still lives
  never keeps the lock from anybody.

Whoever holds a lock deletes its file before releasing it, so that nothing is left in a folder.

Readers take no lock. An index folder is complete as long as it has its name, and an open index.db can be read to its
end when its folder is replaced or removed; whoever finds a folder gone lists again. So readers never wait, and a store
that cannot be written can be read. (filelock has shared locks, but they need a file that readers can write.)
"""

from __future__ import annotations

import errno
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from facereel.store.files.disk import make_store, unwritable
from facereel.store.files.names import HASH_DIGITS, printable

if TYPE_CHECKING:
    from filelock import FileLock

logger = logging.getLogger(__name__)

OWN = ".facereel-"  # what lies in a store for a while begins so
STORE_LOCK = f"{OWN}lock"
VIDEO_LOCK = f"{STORE_LOCK}-"  # with the first digits of the content's hash
OWNER = ".lock"  # behind the name of a folder that is being written
_RETRY_SECONDS = 0.5  # while another process works on the same video
_POLL_SECONDS = 0.01  # while the listing of a folder changes
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)
_without_locks: set[Path] = set()  # folders for which that was said
_thread = threading.local()


@contextmanager
def folder_lock(folder: Path) -> Iterator[None]:
    """Hold the lock of a store or of a folder of results; raises OSError when it cannot be written.

    Who holds it may take it again: writing a file that is derived is part of some other change now and then.
    """
    path = folder.absolute() / STORE_LOCK
    if path in _held_here():
        yield
        return
    lock = _lock(path)
    while not _try(lock, path):
        time.sleep(_POLL_SECONDS)
    _held_here().add(path)
    try:
        yield
    finally:
        _held_here().discard(path)
        _release(lock, path)


def holds(folder: Path) -> bool:
    """Does this thread hold the folder lock?"""
    return folder.absolute() / STORE_LOCK in _held_here()


@contextmanager
def no_writers(folder: Path) -> Iterator[None]:
    """Hold the folder lock while several things are read that must be of one state; nothing where it cannot be."""
    with ExitStack() as stack:
        with suppress(OSError):
            stack.enter_context(folder_lock(folder))
        yield


@contextmanager
def video_lock(store: Path, sha256: str, on_wait: Callable[[], None]) -> Iterator[None]:
    """Hold the lock of a video's content; while another process holds it, wait and call `on_wait` now and then.

    Makes the store; raises UnwritableError.
    """
    try:
        owned = owner_of_video(store, sha256)
        while not owned.try_acquire():
            on_wait()
            time.sleep(_RETRY_SECONDS)
    except OSError as error:
        raise unwritable(store, error) from error
    try:
        yield
    finally:
        owned.release()


def owner_of_video(store: Path, sha256: str) -> OwnerLock:
    """The lock of a video's content, which is not taken yet; makes the store, raises UnwritableError."""
    make_store(store)
    return OwnerLock(store / f"{VIDEO_LOCK}{sha256[:HASH_DIGITS]}")


class OwnerLock:
    """A lock file whose holder works on something, for as long as it does; another process sees that it lives."""

    def __init__(self, path: Path) -> None:
        self._path, self._lock = path.absolute(), _lock(path.absolute())

    def try_acquire(self) -> bool:
        """Take the lock unless another process holds it; raises OSError where it cannot be written."""
        with folder_lock(self._path.parent):
            return _try(self._lock, self._path)

    def take_over(self) -> bool:
        """Take the lock of a dead owner; False while it lives, and where the file system cannot tell."""
        return self.try_acquire() and self._lock.is_locked

    def release(self) -> None:
        """Give the lock back and delete its file."""
        with suppress(OSError), folder_lock(self._path.parent):
            _release(self._lock, self._path)


def locked_videos(store: Path) -> list[str]:
    """The first digits of the sha256 of each video whose lock a living process holds; deletes those of dead ones."""
    held: list[str] = []
    if not _video_locks(store):
        return held  # without a lock, which whoever only looks need not wait for
    with suppress(OSError), folder_lock(store):
        for name in _video_locks(store):
            lock = OwnerLock(store / name)
            if lock.take_over():
                lock.release()
            else:
                held.append(name.removeprefix(VIDEO_LOCK))
    return held


def _video_locks(store: Path) -> list[str]:
    with suppress(OSError):
        return sorted(name for name in os.listdir(store) if name.startswith(VIDEO_LOCK))
    return []


def _lock(path: Path) -> FileLock:
    from filelock import FileLock  # here and below: 0.15 s that reading need not pay

    return FileLock(path, mode=0o600, thread_local=False)


def _try(lock: FileLock, path: Path) -> bool:
    """Take a lock unless it is held; where the file system has none, True, and that is said once a folder."""
    from filelock import Timeout

    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    try:
        before = path.stat().st_ino
        lock.acquire(timeout=0)
    except (Timeout, FileNotFoundError):
        return False
    except (NotImplementedError, OSError) as error:
        if isinstance(error, OSError) and error.errno not in _NO_LOCKS:
            raise
        _say_without_locks(path.parent)
        return True
    # A holder deletes the file before it releases the lock. The lock of a file that was deleted meanwhile is none.
    with suppress(FileNotFoundError):
        if path.stat().st_ino == before:
            return True
    lock.release()
    return False


def _release(lock: FileLock, path: Path) -> None:
    with suppress(OSError):  # Windows deletes no file that somebody has open: it stays, which does no harm
        path.unlink()
    lock.release()


def _held_here() -> set[Path]:
    """Folders whose lock this thread holds."""
    held: set[Path] = _thread.__dict__.setdefault("held", set())
    return held


def _say_without_locks(folder: Path) -> None:
    if folder not in _without_locks:
        _without_locks.add(folder)
        logger.warning(
            "%s lies on a file system without locks; let only one process at a time write there",
            printable(folder),
        )
