"""Videos that come into folders, given out once they have stopped growing.

The system's notifications (watchfiles) only say that it is worth looking: what is there comes from listing the folders,
which happens now and then in any case. So nothing is missed where notifications are lost or do not exist, as on network
file systems, and a name counts for nothing before its file has stayed the same for a while. Knows nothing of indexing.
"""

from __future__ import annotations

import errno
import os
import sys
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from facereel.indexer.jobs.paths import Part, find_videos
from facereel.store.files.names import printable
from facereel.store.model.errors import OptionError

_LISTING_SECONDS = 60.0  # from one listing of the folders to the next, without any notification
_TICK_SECONDS = 1.0  # between two looks at files that may still grow
_LISTING_SHARE = 20  # a listing is followed by so many times its own time without another
# A program may hold a file open for writing for ever, and some network file systems say so of every file: one that has
# stayed the same for so many times as long is taken all the same. If it changes then, indexing fails, and is repeated.
_OPEN_FACTOR = 10


@dataclass(frozen=True, slots=True)
class _State:
    size: int
    mtime_ns: int


class StillFiles:
    """Which of the files that are known have stopped growing. The caller says what time it is."""

    def __init__(self, seconds: float) -> None:
        """`seconds`: how long size and time of a file must stay the same."""
        self._seconds = seconds
        self._waiting: dict[Path, tuple[_State, float]] = {}  # as it was last, and since when
        self._given: dict[Path, _State] = {}

    def look(self, paths: Sequence[Path], now: float) -> None:
        """Take up files that are new, or have changed since they were given out."""
        for path in paths:
            state = _state(path)
            if state is not None and self._given.get(path) != state:
                before = self._waiting.get(path)
                if before is None or before[0] != state:
                    self._waiting[path] = state, now

    def take(self, now: float) -> list[Path]:
        """Those that have been the same for long enough, each once; what is gone is dropped."""
        self.look(list(self._waiting), now)
        ready = []
        for path, (state, since) in sorted(self._waiting.items()):
            if _state(path) is None:
                del self._waiting[path]
                continue
            still = now - since
            if state.size and still >= self._seconds:
                if still < _OPEN_FACTOR * self._seconds and is_open_for_writing(path):
                    continue
                ready.append(path)
                self._given[path] = state
                del self._waiting[path]
        return ready


def arrivals(
    folders: Sequence[Path],
    seconds: float,
    part: Part | None = None,
    stop: Event | None = None,
    note: Callable[[str], None] = lambda text: None,
) -> Generator[list[Path], None, None]:
    """The videos in folders and in all folders below, and those that come, in batches; ends once `stop` is set.

    A file is given out when size and time have been the same for `seconds` and, where the system says so, nobody has
    it open for writing; once more when it has changed since. After each listing of the folders comes a batch, perhaps
    an empty one. `note` gets a sentence where notifications are missing.
    Raises OptionError for what is no folder.
    """
    for folder in folders:
        if not folder.is_dir():
            raise OptionError(f"{printable(folder)} is no folder; name the folder to watch")
    stop = stop or Event()
    files, next_listing, earliest = StillFiles(seconds), 0.0, 0.0
    for something_came in _notifications(folders, min(_TICK_SECONDS, seconds / 2), stop, note):
        if stop.is_set():
            return
        now = time.monotonic()
        listing = now >= next_listing or (something_came and now >= earliest)
        if listing:
            videos = [
                path for path in find_videos(folders, part) if isinstance(path, Path) and path.is_file()
            ]
            files.look(videos, now)
            took = time.monotonic() - now
            next_listing, earliest = now + _LISTING_SECONDS, now + _LISTING_SHARE * took
        elif something_came:
            next_listing = min(next_listing, earliest)
        batch = files.take(time.monotonic())
        if batch or listing:
            yield batch


def is_open_for_writing(path: Path) -> bool:
    """Whether some process has a file open to write in it, as far as the system says so; else False."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except PermissionError:
        return sys.platform == "win32"  # there a program that writes may let nobody else read
    except OSError:
        return False
    try:
        return _is_leased_out(handle)
    finally:
        os.close(handle)


def _is_leased_out(handle: int) -> bool:
    """Linux refuses to lease a file for reading while anybody has it open for writing; its owner may ask."""
    if sys.platform == "linux":
        import fcntl
        import signal

        try:
            # Who opens it at this moment makes the kernel send a signal: one that is ignored, not SIGIO, which kills.
            fcntl.fcntl(handle, fcntl.F_SETSIG, signal.SIGURG)
            fcntl.fcntl(handle, fcntl.F_SETLEASE, fcntl.F_RDLCK)
            fcntl.fcntl(handle, fcntl.F_SETLEASE, fcntl.F_UNLCK)
        except OSError as error:
            return error.errno == errno.EAGAIN
    return False


def _state(path: Path) -> _State | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return _State(status.st_size, status.st_mtime_ns)


def _notifications(
    folders: Sequence[Path], tick: float, stop: Event, note: Callable[[str], None]
) -> Iterator[bool]:
    """True when the system says that something came into the folders, and False after each `tick` seconds without."""
    from watchfiles import Change, watch

    try:
        for changes in watch(
            *folders, watch_filter=None, stop_event=stop, rust_timeout=max(1, round(tick * 1000)),
            yield_on_timeout=True, ignore_permission_denied=True,
        ):  # fmt: skip
            yield any(change == Change.added for change, _ in changes)
    except (OSError, RuntimeError) as error:  # an error of its own kind is a RuntimeError
        note(
            f"the system does not say when a file comes ({printable(str(error))}); "
            f"the folders are listed every {_LISTING_SECONDS:.0f} s instead"
        )
    while not stop.wait(tick):
        yield False
