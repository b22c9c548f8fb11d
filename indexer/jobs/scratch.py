"""Folders on this machine's own disk for what a run needs until it ends."""

from __future__ import annotations

import getpass
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from facereel.store.files import folders
from facereel.store.files.disk import make_folder
from facereel.store.files.names import printable, safe_name


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A folder on this machine's disk, gone afterwards; those of processes that died are deleted first.

    Nobody else can write there. Raises OSError.
    """
    base = _base()
    make_folder(base, 0o700)
    if not _is_ours(base):
        raise PermissionError(0, f"{printable(base)} belongs to somebody else")
    folders.clean_leftovers(base)
    with folders.temporary_folder(base) as folder:
        yield folder


def clean_scratch() -> None:
    """Delete the folders of processes that died."""
    with suppress(OSError):
        if _is_ours(base := _base()):
            folders.clean_leftovers(base)


def _is_ours(base: Path) -> bool:
    return not hasattr(os, "getuid") or base.lstat().st_uid == os.getuid()  # of a link, that of who made it


def _base() -> Path:
    # In a container the number of a user may have no name.
    user = str(os.getuid()) if hasattr(os, "getuid") else safe_name(getpass.getuser())
    return Path(tempfile.gettempdir()) / f"facereel-{user}"
