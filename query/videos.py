"""Is an index sound, and is its video still there?"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from facereel.indexer.media.source import check_source
from facereel.store.index.verify import Health, check_index


def verify(folder: Path, content: bool = False) -> Health:
    """Check an index from its pages up to its video; what is derived from its rows is made anew if it has to be.

    That the video is the same is told by size and time, by `content` also by reading it as a whole.
    """
    return check_index(folder, partial(check_source, content=content))
