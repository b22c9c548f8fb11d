"""Folders that are there whole or not at all, in a store or among results: how they are replaced and removed.

Every change of a listing happens under the folder lock. A crash leaves folders whose names start with one of three
prefixes; `clean_leftovers` finishes what they stood for. Readers take no lock: `index_folders` lists again while a
folder is being replaced.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator, Set
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex

from facereel.store.files.disk import sync, unwritable
from facereel.store.files.locks import OWN, OWNER, STORE_LOCK, OwnerLock, folder_lock
from facereel.store.files.names import hash_suffix, printable
from facereel.store.model.errors import StoreError

# Nobody else calls folders so: a store and results may lie among things that are not ours to delete.
WRITING = f"{OWN}tmp-"  # being written; its writer holds its lock
REPLACED = f"{OWN}old-"  # set aside while its successor is renamed in
REMOVED = f"{OWN}del-"  # taken out for good, not yet deleted


# How often, and how long apart in seconds, a listing is repeated while a folder is being replaced.
_LISTINGS, _PAUSE = 50, 0.02


def index_folders(store: Path, digits: str = "") -> list[Path]:
    """The folders of a store that hold indexes, by name; a missing store has none. Raises StoreError.

    With `digits` those alone whose content's hash begins so.
    """
    return [store / name for name in sorted(index_names(store, digits))]


def index_names(store: Path, digits: str = "", known: Set[str] = frozenset()) -> set[str]:
    """The names of `index_folders`; for a large store, where a Path for each takes longer than the listing.

    What is there of `known` are such names, which are not looked at any closer.
    """
    try:
        for _ in range(_LISTINGS):
            before = store.stat().st_mtime_ns
            with os.scandir(store) as entries:
                names = {
                    e.name for e in entries
                    if e.name in known
                    or (e.name.endswith(digits) and is_index_name(e.name) and e.is_dir())
                }  # fmt: skip
            # Set aside, while its successor is not there yet; it comes in a moment, unless its writer died.
            aside = {name for name in names if name.startswith(".")}
            names -= aside
            if aside:
                successors = {hash_suffix(name) for name in names}
                aside = {name for name in aside if _replaced(name) not in successors}
            if not aside and store.stat().st_mtime_ns == before:
                break
            time.sleep(_PAUSE)
    except FileNotFoundError:
        return set()
    except NotADirectoryError as error:
        raise StoreError(f"{printable(store)} is not a folder; name another with --store DIR") from error
    except OSError as error:
        raise StoreError(
            f"{printable(store)} cannot be read: {error.strerror}; check its permissions"
        ) from error
    return names | aside


def is_index_name(name: str) -> bool:
    """Is that a name of a folder that holds an index, perhaps of one that was set aside?"""
    return bool(hash_suffix(name) or _replaced(name))


def _replaced(name: str) -> str | None:
    """The hash digits of an index that was set aside; None for any other name."""
    if not name.startswith(REPLACED):
        return None
    return hash_suffix(name.removeprefix(REPLACED).partition("-")[2])


@contextmanager
def temporary_folder(store: Path) -> Iterator[Path]:
    """A locked, empty folder (0700) inside a store to write in; gone afterwards unless renamed. Raises OSError."""
    # The process number is for people who look; the lock tells whether the writer lives, also across
    # containers that share a store and after the number was given to another process.
    folder = store / f"{WRITING}{os.getpid()}-{token_hex(4)}"
    owner = OwnerLock(folder.with_name(folder.name + OWNER))
    with folder_lock(store):
        owner.try_acquire()
        folder.mkdir(mode=0o700)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        owner.release()


def replace_folders(written: Path, target: Path, predecessors: Callable[[], list[Path]]) -> None:
    """Rename a complete folder to `target`, and only then delete its predecessors.

    `predecessors` is asked under the store's lock. When the rename fails they are put back; when the process
    dies, `clean_leftovers` does so.
    """
    store = target.parent
    aside: list[tuple[Path, Path]] = []
    with folder_lock(store):
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
        with folder_lock(folder.parent):
            doomed = folder.with_name(f"{REMOVED}{token_hex(4)}-{folder.name}")
            folder.rename(doomed)
            sync(folder.parent)
            shutil.rmtree(doomed, ignore_errors=True)
    except OSError as error:
        raise unwritable(folder, error) from error


def is_clean(store: Path) -> bool:
    """Is there nothing in a folder but what is complete: neither leftovers nor anything that is being written?"""
    try:
        return not any(name.startswith(OWN) for name in os.listdir(store))
    except OSError:
        return False


def clean_leftovers(store: Path) -> None:
    """Finish what dead processes left: delete the half-written and the removed, put back the set aside.

    A store that cannot be read or written is left as it is; whoever needs it says so.
    """
    with suppress(OSError):
        # Also the lock file of a dead process: taking and releasing the lock deletes it.
        if not any(name.startswith((WRITING, REPLACED, REMOVED, STORE_LOCK)) for name in os.listdir(store)):
            return
        with folder_lock(store):
            for name in sorted(os.listdir(store)):
                if name.startswith(REPLACED):
                    _restore(store / name)
                elif name.startswith(REMOVED):
                    shutil.rmtree(store / name, ignore_errors=True)
                elif name.startswith(WRITING):
                    _clean_written(store / name.removesuffix(OWNER))


def _clean_written(folder: Path) -> None:
    """Delete a folder that was being written, and its lock, unless its writer lives."""
    owner = OwnerLock(folder.with_name(folder.name + OWNER))
    if owner.take_over():
        shutil.rmtree(folder, ignore_errors=True)
        owner.release()


def _restore(aside: Path) -> None:
    """Put what was replaced back when its successor never came, else delete it."""
    name = aside.name[len(REPLACED) :].partition("-")[2]
    digits = hash_suffix(name)  # of an index, whose successor may have another name
    replaced = digits is not None and any(map(hash_suffix, index_names(aside.parent, digits)))
    if replaced or not name or aside.with_name(name).exists():
        shutil.rmtree(aside, ignore_errors=True)
    else:
        aside.rename(aside.with_name(name))
        sync(aside.parent)
