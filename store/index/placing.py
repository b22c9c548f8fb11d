"""The last steps of every new index: forced onto the disk, with its checksum and vectors, and then it gets its name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from facereel.store.files import folders
from facereel.store.files.disk import sync
from facereel.store.files.names import HASH_DIGITS
from facereel.store.index.checksum import write_checksum
from facereel.store.index.database import DATABASE
from facereel.store.index.reader import read_video, write_vectors
from facereel.store.model.errors import DamagedIndexError, StoreError


def place(written: Path, target: Path, predecessors: Callable[[], list[Path]]) -> None:
    """Give a folder with a complete index.db its place in the store; `predecessors` are deleted then.

    `predecessors` is called under the store's lock, right before that. When it raises, or a step fails, nothing has
    changed in the store. Raises OSError, and DamagedIndexError where the vectors cannot be made.
    """
    seal(written)
    write_vectors(written)
    sync(written)
    folders.replace_folders(written, target, predecessors)


def seal(written: Path) -> None:
    """Force the index.db of a folder onto the disk, and write its checksum."""
    sync(written / DATABASE)
    write_checksum(written / DATABASE)


def older_indexes(target: Path, sha256: str) -> list[Path]:
    """Indexes that a new one replaces: the same name, or the same content under another name."""
    same = []
    for folder in folders.index_folders(target.parent, sha256[:HASH_DIGITS]):
        try:
            if folder == target or read_video(folder)[0].sha256 == sha256:
                same.append(folder)
        except DamagedIndexError:
            # Of the same content by the digits of its name, and good for nothing else.
            same.append(folder)
        except StoreError:
            continue  # one that may not be read is not ours to delete
    return same
