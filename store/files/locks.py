"""Claims: of all processes that mean to index one video, one works and the others wait for it."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from facereel.store.files.folders import HASH_DIGITS, locked, make_store, unwritable

CLAIM = (
    ".facereel-claim-"  # with the first digits of the content's hash: an empty file whose lock is the claim
)
_LOOK_AGAIN = 0.5  # seconds


@contextmanager
def video_lock(store: Path, sha256: str, on_wait: Callable[[], None]) -> Iterator[None]:
    """Hold the claim on a video's content; while another process holds it, wait and call `on_wait` now and then.

    A claim ends with its process at the latest. Makes the store; raises UnwritableError.
    """
    make_store(store)
    path = store / f"{CLAIM}{sha256[:HASH_DIGITS]}"
    try:
        handle = _taken(path)
        while handle is None:
            on_wait()
            time.sleep(_LOOK_AGAIN)
            handle = _taken(path)
    except OSError as error:
        raise unwritable(store, error) from error
    try:
        yield
    finally:
        # First the name, then the lock: whoever opened the file meanwhile sees that it is no longer the one.
        with suppress(OSError):
            path.unlink()
        os.close(handle)


def clean_video_locks(store: Path) -> None:
    """Delete the claims of dead processes."""
    for path in store.glob(f"{CLAIM}*"):
        with suppress(OSError), locked(store):
            handle = _taken(path)
            if handle is not None:
                path.unlink()
                os.close(handle)


def locked_videos(store: Path) -> list[str]:
    """The first digits of the sha256 of each video whose lock a living process holds."""
    held = []
    for path in sorted(store.glob(f"{CLAIM}*")):
        with suppress(OSError):
            handle = os.open(path, os.O_RDWR)
            try:
                if not _lock(handle):
                    held.append(path.name.removeprefix(CLAIM))
            finally:
                os.close(handle)
    return held


def _taken(path: Path) -> int | None:
    """The open, locked file, or None while another process holds it."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        if _lock(handle) and path.exists() and os.path.samestat(os.fstat(handle), path.stat()):
            return handle
    except OSError:
        os.close(handle)
        raise
    os.close(handle)
    return None


def _lock(handle: int) -> bool:
    """Whether the lock was free; always where the file system or Windows has none: the user's care then."""
    if sys.platform == "win32":
        return True
    import fcntl

    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True
