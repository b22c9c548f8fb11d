"""Folders on this machine's own disk for what a run needs until it ends."""

from __future__ import annotations

import getpass
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from facereel.store.files import folders
from facereel.store.files.disk import make_folder
from facereel.store.files.names import printable, safe_name


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A folder on this machine's disk, gone afterwards; those of processes that died are deleted first.

    Nobody else can write there. Raises OSError.
    """
    # In a container the number of a user may have no name.
    user = str(os.getuid()) if hasattr(os, "getuid") else safe_name(getpass.getuser())
    base = Path(tempfile.gettempdir()) / f"facereel-{user}"
    make_folder(base, 0o700)
    if hasattr(os, "getuid") and base.lstat().st_uid != os.getuid():  # of a link, that of who made it
        raise PermissionError(0, f"{printable(base)} belongs to somebody else")
    folders.clean_leftovers(base)
    with folders.temporary_folder(base) as folder:
        yield folder
