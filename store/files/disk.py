"""Files and folders that are on the disk when a call returns."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from facereel.store.files.names import printable
from facereel.store.model.errors import UnwritableError


def unwritable(folder: Path, error: Exception) -> UnwritableError:
    """The error for a folder that refused a write."""
    reason = getattr(error, "strerror", None) or error
    return UnwritableError(
        f"{printable(folder)} cannot be written: {reason}; free or repair it, or name another with --store DIR"
    )


def make_store(store: Path) -> None:
    """Create the store for its owner only (0700) unless it is there; raises UnwritableError."""
    try:
        make_folder(store, 0o700)
    except OSError as error:
        raise unwritable(store, error) from error


def make_folder(folder: Path, mode: int = 0o777) -> None:
    """Create a folder, and what is missing above it, unless it is there; on the disk when this returns."""
    if not folder.is_dir():
        make_folder(folder.parent)
        folder.mkdir(mode, exist_ok=True)
        sync(folder.parent)


def sync(path: Path) -> None:
    """Force a file or the entries of a folder onto the disk."""
    if sys.platform == "win32" and path.is_dir():
        return  # Windows keeps folder entries itself and cannot open them
    handle = os.open(
        path, os.O_RDWR if sys.platform == "win32" else os.O_RDONLY
    )  # there only writers may sync
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def atomic_file(target: Path) -> Iterator[Path]:
    """A file beside `target` to write in, which takes its place once it is whole and on the disk, or vanishes."""
    unfinished = target.with_name(f".{target.name[:100]}.part")
    try:
        yield unfinished
        sync(unfinished)
        unfinished.replace(target)
        sync(target.parent)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
