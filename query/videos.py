"""Is an index intact, and is its video still there?"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from facereel.indexer.media.source import check_source
from facereel.store.index.verify import Health, check_index
from facereel.store.library.database import LibraryDatabase
from facereel.store.model.errors import StoreError


def verify(folder: Path, content: bool = False, video_path: str | None = None) -> Health:
    """Check an index from its pages up to its video; derived files are made again where they have to be.

    The video counts as the same by its size and time, with `content` also by the hash of the complete file.
    `video_path` is where it lies, for the remedy, if index.db cannot be read.
    """
    return check_index(folder, partial(check_source, content=content, store=folder.parent), video_path)


def verify_library(store: Path) -> Health | None:
    """What is wrong with a store's library.db; None where it is sound, or not there yet."""
    database = LibraryDatabase(store)
    try:
        database.check()
    except StoreError as error:
        return Health(database.path.name, (str(error),))
    return None
