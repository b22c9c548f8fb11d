"""Is the video still the one that was indexed?"""

from __future__ import annotations

from pathlib import Path

from store.digest import hash_file
from store.errors import VideoError
from store.records import Video


def check_source(video: Video) -> None:
    """Raise VideoError unless the indexed file still lies where it lay, with the same content."""
    path = Path(video.path)
    if not path.is_file():
        raise VideoError(
            f"{path} is no longer there; put it back, or index it where it is now: python cli.py index FILE"
        )
    status = path.stat()
    if (status.st_size, status.st_mtime_ns) == (video.size, video.mtime_ns):
        return
    # A copy or a touch changes the time alone; only then is it worth reading the whole file.
    if status.st_size != video.size or hash_file(path) != video.sha256:
        raise VideoError(f"{path} has changed since it was indexed; run: python cli.py index {path}")
