"""What is kept of a video while it is being indexed: chapter by chapter, so that a run that dies costs one.

It lies in the store in a folder of its own, for its owner only, and is gone once the index is whole. A run goes on
from it only with the same content, weights and settings; whatever is torn or foreign is left out and made anew.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from secrets import token_hex

from store import folders
from store.chapters import Chapter, Kept, pack, unpack
from store.config import Config
from store.folders import HASH_DIGITS
from store.records import EngineInfo, Ints

UNFINISHED = ".part-"  # with the first digits of the content's hash
_FORMAT = 1
_KEEP = 30 * 86400.0  # seconds after which nobody is expected to go on


class Journal:
    """The chapters of one video so far; whoever holds it must hold the video's claim."""

    def __init__(self, store: Path, sha256: str, engine: EngineInfo, bar: float, config: Config) -> None:
        """Find what an earlier run kept under the same circumstances."""
        told = [_FORMAT, sha256, asdict(engine), bar, asdict(config)]
        key = hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:HASH_DIGITS]
        self._store = store
        self._folder = store / f"{UNFINISHED}{sha256[:HASH_DIGITS]}"
        self._file = f"{key}-%05d.npz"
        self.kept = self._read()

    def append(self, chapter: Chapter, pts: Ints) -> None:
        """Keep a chapter, on the disk when this returns; `pts` (N + 1,) are of its frames and the one after it.

        Raises UnwritableError.
        """
        kept = Kept(chapter, pts)
        target = self._folder / (self._file % len(self.kept))
        written = target.with_name(f"{token_hex(4)}.tmp")
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            with os.fdopen(os.open(written, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(pack(kept))
            folders.sync(written)
            written.replace(target)
            folders.sync(self._folder)
        except OSError as error:
            raise folders.unwritable(self._store, error) from error
        self.kept.append(kept)

    def clear(self) -> None:
        """Forget all: the index is whole, or what was kept turned out not to fit."""
        self.kept = []
        shutil.rmtree(self._folder, ignore_errors=True)

    def _read(self) -> list[Kept]:
        found: list[Kept] = []
        reached = 0
        with suppress(OSError, ValueError):
            while True:
                kept = unpack((self._folder / (self._file % len(found))).read_bytes())
                if kept.chapter.start != reached:
                    break
                found.append(kept)
                reached = kept.chapter.end
        return found


def clean_journals(store: Path, everything: bool = False) -> None:
    """Delete what was kept of videos that nobody went on with for a month, or of all."""
    for folder in store.glob(f"{UNFINISHED}*"):
        with suppress(OSError):
            if everything or time.time() - folder.stat().st_mtime > _KEEP:
                shutil.rmtree(folder, ignore_errors=True)
