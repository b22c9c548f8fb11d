"""What is kept of a video while it is being indexed: segment by segment, so that a run that dies costs one.

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

from facereel.store.files import folders
from facereel.store.files.folders import HASH_DIGITS
from facereel.store.index.database import read_version
from facereel.store.model.config import Config
from facereel.store.model.records import EngineInfo, Ints
from facereel.store.resume.segments import Segment, StoredSegment, pack, unpack

UNFINISHED = ".facereel-part-"  # with the first digits of the content's hash
_FORMAT = 1
_KEEP = 30 * 86400 * 10**9  # nanoseconds after which nobody is expected to go on


class Checkpoint:
    """The segments of one video so far; whoever holds it must hold the video's claim."""

    def __init__(
        self, store: Path, sha256: str, engine: EngineInfo, threshold: float, config: Config
    ) -> None:
        """Find what an earlier run kept under the same circumstances."""
        told = [_FORMAT, sha256, asdict(engine), threshold, asdict(config)]
        key = hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:HASH_DIGITS]
        self._store = store
        self._folder = store / f"{UNFINISHED}{sha256[:HASH_DIGITS]}"
        self._file = f"{key}-%05d.npz"
        self.kept = self._read()

    def append(self, segment: Segment, pts: Ints) -> None:
        """Keep a segment, on the disk when this returns; `pts` (N + 1,) are of its frames and the one after it.

        Raises UnwritableError.
        """
        kept = StoredSegment(segment, pts)
        try:
            folders.make_folder(self._folder, 0o700)
            with folders.atomic_file(self._folder / (self._file % len(self.kept))) as written:
                handle = os.open(written, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
                with os.fdopen(handle, "wb") as file:
                    file.write(pack(kept))
        except OSError as error:
            raise folders.unwritable(self._store, error) from error
        self.kept.append(kept)

    def clear(self) -> None:
        """Forget all: the index is whole, or what was kept turned out not to fit."""
        self.kept = []
        shutil.rmtree(self._folder, ignore_errors=True)

    def _read(self) -> list[StoredSegment]:
        found: list[StoredSegment] = []
        reached = 0
        with suppress(OSError, ValueError):
            while True:
                kept = unpack((self._folder / (self._file % len(found))).read_bytes())
                if kept.segment.start != reached:
                    break
                found.append(kept)
                reached = kept.segment.end
        return found


def clean_checkpoints(store: Path, everything: bool = False) -> None:
    """Delete what was kept of videos that were indexed since, that nobody went on with for a month, or of all."""
    for folder in store.glob(f"{UNFINISHED}*"):
        with suppress(OSError):
            last = folder.stat().st_mtime_ns
            if everything or time.time_ns() - last > _KEEP or _indexed_since(folder, last):
                shutil.rmtree(folder, ignore_errors=True)


def drop_checkpoint(store: Path, digits: str | None) -> None:
    """Delete what was kept of the video whose content's hash begins so, if anything was."""
    if digits:
        shutil.rmtree(store / f"{UNFINISHED}{digits}", ignore_errors=True)


def _indexed_since(folder: Path, moment: int) -> bool:
    """Whether the run ended with an index, and died before it tidied up."""
    digits = folder.name.removeprefix(UNFINISHED)
    return any(
        folders.hash_suffix(index.name) == digits and read_version(index).mtime_ns > moment
        for index in folders.index_folders(folder.parent)
    )
