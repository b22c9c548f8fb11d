"""Decoded frames in memory, within a limit, under the version of the index that they were decoded for.

Those of an index that was removed or rewritten, as `forget` does, are dropped as soon as any frame is asked for.
"""

from __future__ import annotations

import threading
from collections import OrderedDict

from facereel.api import Library, NotIndexedError, OptionError

_MOST_BYTES = 64 << 20  # of decoded frames; a frame 320 pixels wide has about 12 KB


class FrameCache:
    """Decoded frames of a library, the newest ones."""

    def __init__(self, most_bytes: int = _MOST_BYTES) -> None:
        self._most_bytes, self._bytes = most_bytes, 0
        self._listed = 0  # when the listing of the store changed last
        self._frames: OrderedDict[tuple[str, str, int, int], bytes] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, library: Library, folder: str, frame: int, width: int) -> bytes:
        """A frame as JPEG; raises as `Library.frame`."""
        version = _version(library, folder)
        self._drop_stale(library)
        key = (folder, version, frame, width)
        with self._lock:
            if key in self._frames:
                self._frames.move_to_end(key)
                return self._frames[key]
        picture = library.frame(folder, frame, width=width)
        with self._lock:
            if _version(library, folder) != version:  # changed while the frame was decoded
                return picture
            self._bytes += len(picture) - len(self._frames.pop(key, b""))
            self._frames[key] = picture
            while self._bytes > self._most_bytes:
                self._bytes -= len(self._frames.popitem(last=False)[1])
        return picture

    def clear(self) -> None:
        """Drop all."""
        with self._lock:
            self._frames.clear()
            self._bytes = 0

    def _drop_stale(self, library: Library) -> None:
        """Drop what is of indexes that were removed or rewritten: then the listing of the store has changed."""
        changed = library.store.stat().st_mtime_ns if library.store.is_dir() else 0
        with self._lock:
            if changed == self._listed:
                return
            self._listed = changed
            known = {one[0] for one in self._frames}
        versions = {folder: _version(library, folder) for folder in known}
        with self._lock:
            for old in [one for one in self._frames if versions.get(one[0], one[1]) != one[1]]:
                self._bytes -= len(self._frames.pop(old))


def _version(library: Library, folder: str) -> str:
    """The version of an index; empty where it is gone."""
    try:
        return library.version(folder)
    except (NotIndexedError, OptionError):
        return ""
