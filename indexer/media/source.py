"""Is the video still the one that was indexed?"""

from __future__ import annotations

import shlex
from pathlib import Path

from facereel.store.files.digest import hash_file
from facereel.store.files.folders import folder_name, printable
from facereel.store.model.errors import VideoError
from facereel.store.model.records import Video


def check_source(video: Video, content: bool = False) -> None:
    """Raise VideoError unless the indexed file still lies where it lay, with the same content.

    Size and time tell that it is the same, unless `content` is to be read.
    """
    path = Path(video.path)
    if not path.is_file():
        raise VideoError(
            f"{printable(path)} is no longer there; put it back, or tell where it lies now: python cli.py index FILE "
            "(or query with --video FILE)"
        )
    status = path.stat()
    if not content and (status.st_size, status.st_mtime_ns) == (video.size, video.mtime_ns):
        return
    # A copy or a touch changes the time alone; only then is it worth reading the whole file.
    if status.st_size != video.size or hash_file(path) != video.sha256:
        old = folder_name(video.name, video.sha256)
        raise VideoError(
            f"{printable(path)} has changed since it was indexed; "
            f"run: python cli.py index {shlex.quote(printable(path))} "
            f"(and for what it was before: python cli.py remove {old})"
        )
