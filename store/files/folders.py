"""Folders that are there whole or not at all, in a store or among results: names, locks, swaps and leftovers.

Knows nothing of what lies in them. Every change of a store's folder listing happens under the store's lock, so
that a reader never meets the moment between two renames. A crash leaves folders whose names start with one of
three prefixes; `clean_leftovers` finishes what they stood for.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex

from facereel.store.model.errors import StoreError, UnwritableError

# Nobody else calls folders so: a store and results may lie among things that are not ours to delete.
WRITING = ".facereel-tmp-"  # being written; its writer holds its lock
REPLACED = ".facereel-old-"  # set aside while its successor is renamed in
REMOVED = ".facereel-del-"  # taken out for good, not yet deleted

# With the 13 bytes of the hash and the 23 of a prefix this stays below 143 bytes, the longest file name that
# eCryptfs allows (ext4, APFS and NTFS allow 255).
MAX_NAME_BYTES = 100
HASH_DIGITS = 12

_INDEX_FOLDER = re.compile(rf"(?!\.).+-([0-9a-f]{{{HASH_DIGITS}}})", re.DOTALL)


def safe_name(video_name: str) -> str:
    """A video's name as the start of a folder name that is legal everywhere: letters of any script stay."""
    kept = [c if c in "._-" or unicodedata.category(c)[0] in "LNM" else "_" for c in video_name]
    name = "".join(kept).strip("-._")
    while len(name.encode()) > MAX_NAME_BYTES:
        name = name[:-1]
    return name or "video"


def folder_name(video_name: str, sha256: str) -> str:
    """The folder name of a video's index: its safe name and the first 12 digits of its content's hash."""
    return f"{safe_name(video_name)}-{sha256[:HASH_DIGITS]}"


def hash_suffix(name: str) -> str | None:
    """The 12 hash digits at the end of an index's folder name; None for any other name."""
    found = _INDEX_FOLDER.fullmatch(name)
    return found[1] if found else None


def printable(path: str | Path) -> str:
    """A path as part of a one-line message: what does not print is escaped."""
    text = str(path)
    return text if text.isprintable() else text.encode("unicode_escape").decode()


def index_folders(store: Path) -> list[Path]:
    """The folders of a store that hold indexes, by name; a missing store has none."""
    try:
        with os.scandir(store) as entries:
            names = [e.name for e in entries if hash_suffix(e.name) and e.is_dir()]
    except FileNotFoundError:
        return []
    except NotADirectoryError as error:
        raise StoreError(f"{printable(store)} is not a folder; name another with --store DIR") from error
    except OSError as error:
        raise StoreError(
            f"{printable(store)} cannot be read: {error.strerror}; check its permissions"
        ) from error
    return [store / name for name in sorted(names)]


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
def locked(folder: Path, shared: bool = False) -> Iterator[None]:
    """Hold a folder's lock, which ends with the process at the latest; several readers may share it."""
    if sys.platform == "win32":
        yield
        return
    import fcntl

    handle = os.open(folder, os.O_RDONLY)
    try:
        # A network file system without locks: that one process writes at a time is then the user's care.
        with suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
        yield
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


@contextmanager
def temporary_folder(store: Path) -> Iterator[Path]:
    """A locked, empty folder (0700) inside a store to write in; gone afterwards unless renamed. Raises OSError."""
    # The process number is for people who look; the lock tells whether the writer lives, also across
    # containers that share a store and after the number was given to another process.
    folder = store / f"{WRITING}{os.getpid()}-{token_hex(4)}"
    with locked(store):
        folder.mkdir(mode=0o700)
        lock = locked(folder)
        lock.__enter__()
    try:
        yield folder
    finally:
        lock.__exit__(None, None, None)
        shutil.rmtree(folder, ignore_errors=True)


def replace_folders(written: Path, target: Path, predecessors: Callable[[], list[Path]]) -> None:
    """Rename a complete folder to `target`, and only then delete its predecessors.

    `predecessors` is asked under the store's lock. When the rename fails they are put back; when the process
    dies, `clean_leftovers` does so.
    """
    store = target.parent
    aside: list[tuple[Path, Path]] = []
    with locked(store):
        try:
            for old in predecessors():
                moved = store / f"{REPLACED}{token_hex(4)}-{old.name}"
                old.rename(moved)
                aside.append((old, moved))
            written.rename(target)
        except BaseException:
            for old, moved in aside:
                moved.rename(old)
            raise
        sync(store)
        for _, moved in aside:
            shutil.rmtree(moved, ignore_errors=True)


def remove_folder(folder: Path) -> None:
    """Delete an index's folder so that it is there whole or not at all; raises UnwritableError."""
    try:
        with locked(folder.parent):
            doomed = folder.with_name(f"{REMOVED}{token_hex(4)}-{folder.name}")
            folder.rename(doomed)
            sync(folder.parent)
            shutil.rmtree(doomed, ignore_errors=True)
    except OSError as error:
        raise unwritable(folder, error) from error


def clean_leftovers(store: Path) -> None:
    """Finish what dead processes left: delete the half-written and the removed, put back the set aside.

    A store that cannot be read or written is left as it is; whoever needs it says so.
    """
    with suppress(OSError):
        if not any(name.startswith((WRITING, REPLACED, REMOVED)) for name in os.listdir(store)):
            return
        with locked(store):
            for name in sorted(os.listdir(store)):
                if name.startswith(REPLACED):
                    _restore(store / name)
                elif name.startswith(REMOVED) or (name.startswith(WRITING) and not _has_writer(store / name)):
                    shutil.rmtree(store / name, ignore_errors=True)


def _restore(aside: Path) -> None:
    """Put what was replaced back when its successor never came, else delete it."""
    name = aside.name[len(REPLACED) :].partition("-")[2]
    digits = hash_suffix(name)  # of an index, whose successor may have another name
    same = [f for f in index_folders(aside.parent) if digits is not None and hash_suffix(f.name) == digits]
    if same or not name or aside.with_name(name).exists():
        shutil.rmtree(aside, ignore_errors=True)
    else:
        aside.rename(aside.with_name(name))
        sync(aside.parent)


def _has_writer(folder: Path) -> bool:
    """Whether a living process holds the lock of a folder that is being written."""
    if sys.platform == "win32":
        return True  # without locks nobody knows
    import fcntl

    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(handle)
    return False
