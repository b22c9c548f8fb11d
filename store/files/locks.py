"""Who may change what in a store, through filelock: the same on Linux, macOS and Windows.

Two kinds of lock files, which end with their process at the latest:

- the folder lock, STORE_LOCK in a store or among results: held for the moment in which the listing of that folder
  changes, or a file in one of its folders is replaced;
- owner locks beside it: one process works on a video's content, or in a folder that is not complete yet. They are
  taken, tried and deleted only while the folder lock is held. So a process that looks whether an owner still lives
  never keeps the lock from anybody, and nobody takes a lock file that was deleted meanwhile.

Readers take no lock. An index folder is complete as long as it has its name, and an open index.db can be read to its
end when its folder is replaced or removed; whoever finds a folder gone lists again. So readers never wait, and a store
that cannot be written can be read. (filelock has shared locks, but they need a file that readers can write.)
"""

from __future__ import annotations

import errno
import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from facereel.store.files.names import HASH_DIGITS, printable
from facereel.store.model.errors import UnwritableError

logger = logging.getLogger(__name__)

STORE_LOCK = ".facereel-lock"
VIDEO_LOCK = ".facereel-lock-"  # with the first digits of the content's hash
OWNER = ".lock"  # behind the name of a folder that is being written
_RETRY_SECONDS = 0.5
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)
_without_locks: set[Path] = set()  # folders for which that was said


@contextmanager
def folder_lock(folder: Path) -> Iterator[None]:
    """Hold the lock of a store or of a folder of results; raises OSError when it cannot be written."""
    lock = _lock(folder / STORE_LOCK)
    taken = _acquire(lock, blocking=True)
    try:
        yield
    finally:
        if taken:
            lock.release()


@contextmanager
def no_writers(folder: Path) -> Iterator[None]:
    """Hold the folder lock while several things are read that must be of one state; nothing where it cannot be."""
    lock, taken = _lock(folder / STORE_LOCK), False
    with suppress(OSError):
        taken = _acquire(lock, blocking=True)
    try:
        yield
    finally:
        if taken:
            lock.release()


@contextmanager
def video_lock(store: Path, sha256: str, on_wait: Callable[[], None]) -> Iterator[None]:
    """Hold the lock of a video's content; while another process holds it, wait and call `on_wait` now and then.

    Makes the store; raises UnwritableError.
    """
    path = store / f"{VIDEO_LOCK}{sha256[:HASH_DIGITS]}"
    try:
        owned = OwnerLock(path)
        while not owned.try_acquire():
            on_wait()
            time.sleep(_RETRY_SECONDS)
    except OSError as error:
        raise UnwritableError(
            f"{printable(store)} cannot be written: {error.strerror or error}; free or repair it, "
            "or name another with --store DIR"
        ) from error
    try:
        yield
    finally:
        owned.release()


class OwnerLock:
    """A lock file whose holder works on something, for as long as it does; another process sees that it lives."""

    def __init__(self, path: Path) -> None:
        self._path, self._lock = path, _lock(path)
        self._exists = True  # False where the file system has no locks

    def try_acquire(self) -> bool:
        """Take the lock unless another process holds it; raises OSError where it cannot be written."""
        with folder_lock(self._path.parent):
            return self.try_acquire_inside()

    def try_acquire_inside(self) -> bool:
        """The same for who holds the folder lock already."""
        try:
            self._exists = _acquire(self._lock, blocking=False)
        except Timeout:
            return False
        return True

    def take_over_inside(self) -> bool:
        """Take the lock of a dead owner; False while it lives, and where nobody can tell."""
        return self.try_acquire_inside() and self._exists

    def release(self) -> None:
        """Give the lock back and delete its file."""
        with suppress(OSError), folder_lock(self._path.parent):
            self.release_inside()
        self._lock.release()

    def release_inside(self) -> None:
        """The same for who holds the folder lock already."""
        self._lock.release()
        with suppress(OSError):
            self._path.unlink()


def locked_videos(store: Path) -> list[str]:
    """The first digits of the sha256 of each video whose lock a living process holds; deletes those of dead ones."""
    held = []
    with suppress(OSError), folder_lock(store):
        for path in sorted(store.glob(f"{VIDEO_LOCK}*")):
            lock = OwnerLock(path)
            if lock.take_over_inside():
                lock.release_inside()
            else:
                held.append(path.name.removeprefix(VIDEO_LOCK))
    return held


def _lock(path: Path) -> FileLock:
    return FileLock(path, mode=0o600, thread_local=False)


def _acquire(lock: FileLock, blocking: bool) -> bool:
    """Take a lock; False, and said once a folder, where the file system has none. Raises Timeout, OSError."""
    try:
        lock.acquire(timeout=-1 if blocking else 0)
    except Timeout:
        raise
    except (NotImplementedError, OSError) as error:
        if isinstance(error, OSError) and error.errno not in _NO_LOCKS:
            raise
        folder = Path(lock.lock_file).parent
        if folder not in _without_locks:
            _without_locks.add(folder)
            logger.warning(
                "%s lies on a file system without locks; let only one process at a time write there", printable(folder)
            )
        return False
    return True
