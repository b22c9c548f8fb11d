"""Which video files are meant, and whether their indexes could be written: asked before hours of work."""

from __future__ import annotations

import glob
import os
from collections.abc import Sequence
from pathlib import Path

from facereel.store.files.disk import unwritable
from facereel.store.files.kinds import VIDEO_SUFFIXES
from facereel.store.files.names import printable


def find_videos(names: Sequence[str | Path]) -> list[Path]:
    """The files that names stand for: files, folders with all folders in them, patterns that no shell expanded.

    A name that leads to no video is returned as it is, so that indexing it reports why.
    """
    videos: dict[Path, Path] = {}
    for name in names:
        for path in _expand(Path(name)) or [Path(name)]:
            videos.setdefault(path.absolute(), path)
    return list(videos.values())


def check_store(store: Path) -> None:
    """Raise UnwritableError where an index could not be written."""
    place = store.absolute()
    while not place.exists() and place != place.parent:
        place = place.parent
    if not place.is_dir():
        raise unwritable(store, NotADirectoryError(0, f"{printable(place)} is not a folder"))
    if not os.access(place, os.W_OK | os.X_OK):
        raise unwritable(store, PermissionError(0, f"no permission to write in {printable(place)}"))


def _expand(path: Path) -> list[Path]:
    if path.is_dir():
        return sorted(
            Path(root) / file
            for root, _, files in os.walk(path)
            for file in files
            if Path(file).suffix.lower() in VIDEO_SUFFIXES and not file.startswith(".")
        )
    if path.exists() or not glob.has_magic(str(path)):
        return [path]
    files = [Path(name) for name in sorted(glob.glob(str(path), recursive=True)) if Path(name).is_file()]
    return [file for file in files if file.suffix.lower() in VIDEO_SUFFIXES] or files
