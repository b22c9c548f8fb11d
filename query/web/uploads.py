"""A video that a browser sends: whole under its own name, or not there at all, also when the server was killed.

While it comes it lies beside its final place, so that it only has to be renamed, and a note below the root says where:
nobody could search all folders below a root for what a killed server left.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from facereel import api

_NOTE = ".facereel-upload-"
_PART = ".part"
_ABANDONED_SECONDS = 3600.0  # without a byte written; another server may still write a younger one


@contextmanager
def part_of_upload(root: Path, folder: Path) -> Iterator[Path]:
    """A file in `folder`, which lies below `root`, to write to; at the end it is deleted, if it is still there."""
    # Short, whatever the name of the video: a name that fits into the folder is to fit all the same.
    part = folder / f"{_NOTE}{secrets.token_hex(8)}{_PART}"
    note = root / part.stem
    with suppress(OSError):  # where the root may not be written, a killed server leaves its part
        note.write_bytes(os.fsencode(part.relative_to(root.resolve())))
    try:
        with part.open("xb"):
            pass  # Windows renames no file that is open
        yield part
    finally:
        for file in (part, note):
            with suppress(OSError):
                file.unlink()


def put_in_place(part: Path, target: Path) -> None:
    """Give an upload its name; raises FileExistsError where a file of that name came meanwhile.

    Not by a link, which exFAT and many shares do not have.
    """
    with target.open("xb"):
        pass
    try:
        os.replace(part, target)
    except OSError:
        target.unlink()
        raise


def remove_abandoned(root: Path) -> None:
    """Delete what a server left that was killed while somebody sent it a video."""
    for note in root.glob(f"{_NOTE}*"):
        with suppress(OSError, ValueError, api.OptionError):
            if note.suffix == _PART:
                continue
            part = api.file_below(root, os.fsdecode(note.read_bytes()))
            if part.name != f"{note.name}{_PART}":
                continue
            if part.exists() and time.time() - part.stat().st_mtime < _ABANDONED_SECONDS:
                continue
            part.unlink(missing_ok=True)
            note.unlink()
