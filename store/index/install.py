"""A finished index of another store becomes one of this store: copied, checked as what may come from anywhere, renamed.

The copy is checked and not the source, which somebody may change meanwhile. Nothing derived is copied: vectors.faiss is
made anew. Until the last rename this store is as it was.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from facereel.store.files import folders
from facereel.store.files.disk import make_store
from facereel.store.files.locks import video_lock
from facereel.store.files.names import HASH_DIGITS, folder_name, printable
from facereel.store.index.checksum import SUFFIX
from facereel.store.index.database import DATABASE, NO_INDEX, read_version, writing
from facereel.store.index.placing import place
from facereel.store.index.reader import VideoIndex, read_video
from facereel.store.index.verify import check_content, check_tables
from facereel.store.model.errors import (
    DamagedIndexError,
    NewerIndexError,
    NotIndexedError,
    StoreError,
    UnwritableError,
)

_CHECKSUM_BYTES = 200  # a number and 64 digits


class _IndexedAlready(Exception):
    """The store has an index of the video that can be read."""


def install_index(source: Path, store: Path) -> Path | None:
    """Put a checked copy of an index into a store and return its folder; None where its video is indexed already.

    A damaged index of the same video is replaced. Raises DamagedIndexError or NewerIndexError for a source that is no
    whole index, StoreError for one that may not be read or is written meanwhile, and while another process indexes the
    video; UnwritableError.
    """
    make_store(store)
    with writing(store), folders.temporary_folder(store) as written:
        _copy(source, written)
        with _naming(source, written):
            check_tables(written)
            with VideoIndex(written) as index:
                check_content(index)
                video = index.video
        target = store / folder_name(video.name, video.sha256)

        def busy() -> None:
            raise StoreError(
                f"{printable(video.name)} is being indexed by another process; run this again when that is done"
            )

        def damaged() -> list[Path]:
            # By the digits alone: what only pretends to be the same content replaces nothing that can be read.
            same = folders.index_folders(store, video.sha256[:HASH_DIGITS])
            if readable_index(same) is not None:
                raise _IndexedAlready
            return same

        try:
            with video_lock(store, video.sha256, busy), _naming(source, written):
                place(written, target, damaged)
        except _IndexedAlready:
            return None
    return target


def readable_index(same: Iterable[Path]) -> Path | None:
    """The first of some indexes of one video that is neither damaged nor gone."""
    for own in same:
        try:
            read_video(own)
        except (DamagedIndexError, NotIndexedError):
            continue
        except StoreError:
            pass  # one that may not be read, or is newer, is not ours to replace
        return own
    return None


def _copy(source: Path, written: Path) -> None:
    path = source / DATABASE
    if path.with_name(f"{DATABASE}-journal").exists():
        where = printable(source.parent)
        raise StoreError(
            f"{printable(path)} is being written, or its writer died; run: facereel verify --store {where}"
        )
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # such as a pipe, which never ends
            raise DamagedIndexError(f"{printable(path)} is no file; index the video again")
        if status.st_size > shutil.disk_usage(written).free:
            raise UnwritableError(
                f"{printable(path)} has {status.st_size:,} bytes, which is more than are free"
            )
        before = read_version(source)
        reader = open(path, "rb")  # noqa: SIM115  closed below; an error of reading is not one of writing
    except OSError as error:
        raise StoreError(f"{printable(path)} cannot be read: {error.strerror}") from error
    with reader, _create(written / DATABASE) as writer:
        shutil.copyfileobj(reader, writer, 1 << 20)
    checksum = path.with_name(path.name + SUFFIX)
    if checksum.is_file():
        with open(checksum, "rb") as reader, _create(written / checksum.name) as writer:
            writer.write(reader.read(_CHECKSUM_BYTES))
    if before == NO_INDEX or read_version(source) != before:
        raise StoreError(f"{printable(source)} was written or removed meanwhile; run it again")


def _create(path: Path) -> BinaryIO:
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")


@contextmanager
def _naming(source: Path, written: Path) -> Iterator[None]:
    """Let errors name the source, and not its copy."""
    try:
        yield
    except (DamagedIndexError, NewerIndexError) as error:
        raise type(error)(str(error).replace(printable(written), printable(source))) from error
    except UnwritableError as error:
        # Bringing an altered file to the newest schema fails as if the disk refused it.
        reason = printable(str(error.__cause__))
        raise DamagedIndexError(
            f"{printable(source / DATABASE)} cannot be brought to the newest schema ({reason}); index its video again"
        ) from error
