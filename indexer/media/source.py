"""Is the file of an indexed video still there, with the same content?"""

from __future__ import annotations

import shlex
from functools import lru_cache, partial
from pathlib import Path

from facereel.store.files.digest import hash_file
from facereel.store.files.names import DEFAULT_STORE, folder_name, printable, store_option
from facereel.store.model.errors import VideoError
from facereel.store.model.records import Video
from facereel.store.model.urls import is_url


def check_source(video: Video, content: bool = False, store: Path = DEFAULT_STORE) -> None:
    """Raise VideoError unless the indexed file is at its path with the same content; its remedy names the store.

    Equal size and modification time count as the same content; with `content` the file is read and hashed.
    """
    if is_url(video.path):
        raise VideoError(
            f"{printable(video.path)} was indexed at its address, and clips are cut from files; download it and run: "
            f"facereel index FILE{store_option(store)} (or query with --video FILE)"
        )
    path = Path(video.path)
    if not path.is_file():
        raise VideoError(
            f"{printable(path)} is no longer there; put it back, or index it at its new place: "
            f"facereel index FILE{store_option(store)} (or query with --video FILE)"
        )
    status = path.stat()
    if not content and (status.st_size, status.st_mtime_ns) == (video.size, video.mtime_ns):
        return
    # Copying or touching a file changes its time alone; only then is reading the whole file worth it.
    digest = hash_file if content else partial(_digest, size=status.st_size, mtime_ns=status.st_mtime_ns)
    if status.st_size != video.size or digest(path) != video.sha256:
        old = folder_name(video.name, video.sha256)
        raise VideoError(
            f"{printable(path)} has changed since it was indexed; "
            f"run: facereel index {shlex.quote(printable(path))}{store_option(store)} "
            f"(and to delete the old index: facereel remove {old}{store_option(store)})"
        )


@lru_cache(maxsize=1024)
def _digest(path: Path, size: int, mtime_ns: int) -> str:
    """The digest of a file as it was with that size and time: a player asks for a hundred ranges of one file."""
    return hash_file(path)
