"""Opening an index.db to read: its schema is checked, damage is named with its remedy, its version identifies it."""

from __future__ import annotations

import os
import shlex
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import astuple, dataclass
from pathlib import Path

from facereel.store.files.disk import unwritable
from facereel.store.files.names import printable
from facereel.store.index import schema
from facereel.store.index.checksum import HEADER_BYTES, change_counter, write_checksum
from facereel.store.model.errors import DamagedIndexError, NewerIndexError, NotIndexedError, StoreError

DATABASE = "index.db"

# What reading altered bytes raises: SQLite's own errors, and ValueError where rows become records. A bug of ours or too
# little memory raises something else, and is no damage.
DAMAGE = (sqlite3.DatabaseError, ValueError)


@dataclass(frozen=True, slots=True)
class IndexVersion:
    """Identifies the content of one index.db: every write through SQLite and every replacement changes it."""

    inode: int
    size: int  # bytes
    mtime_ns: int
    change_counter: int  # SQLite's, one more with every transaction that wrote

    def to_text(self) -> str:
        """For storing; `from_text` reads it."""
        return " ".join(map(str, astuple(self)))

    @classmethod
    def from_text(cls, text: str) -> IndexVersion:
        """The version of its text; raises ValueError for any other text."""
        # A damaged database can give a number where a text was written.
        inode, size, mtime_ns, change_counter = map(int, str(text).split())
        return cls(inode, size, mtime_ns, change_counter)


NO_INDEX = IndexVersion(0, 0, 0, 0)


def read_version(folder: Path) -> IndexVersion:
    """The version of a folder's index.db as it lies there now, NO_INDEX without one.

    Costs one stat and 100 bytes. Whoever stores something under a version reads it before opening the file, reads
    the rows in one transaction (`VideoIndex.snapshot`), and compares the version again afterwards: another process
    may replace the file at any moment.
    """
    try:
        with open(folder / DATABASE, "rb", buffering=0) as file:
            status, header = os.fstat(file.fileno()), file.read(HEADER_BYTES)
    except OSError:
        return NO_INDEX
    return IndexVersion(status.st_ino, status.st_size, status.st_mtime_ns, change_counter(header))


@contextmanager
def reading(folder: Path, video_path: str | None = None) -> Iterator[None]:
    """Turn whatever reading damaged rows raises into a DamagedIndexError that names the remedy."""
    try:
        yield
    except (sqlite3.ProgrammingError, sqlite3.NotSupportedError):
        raise  # a statement or a value of ours that cannot be
    except DAMAGE as error:
        reason = printable(str(error)) or type(error).__name__
        raise DamagedIndexError(
            f"{printable(folder / DATABASE)} is damaged ({reason}); run: {_anew(folder, video_path)}"
        ) from error


@contextmanager
def writing(store: Path) -> Iterator[None]:
    """Turn what writing an index raises, as on a full disk, into UnwritableError."""
    try:
        yield
    except (OSError, sqlite3.OperationalError) as error:
        raise unwritable(store, error) from error


def predecessor(folder: Path, version: IndexVersion) -> list[Path]:
    """The index that a new one replaces; raises StoreError unless it still has the version that was read."""
    if read_version(folder) != version:
        raise StoreError(f"{printable(folder)} was written or removed meanwhile; run it again")
    return [folder]


def open_readonly(folder: Path, video_path: str | None = None) -> sqlite3.Connection:
    """A read-only connection to a folder's index.db; the rest as for `open_version`."""
    return open_version(folder, video_path)[0]


def open_version(folder: Path, video_path: str | None = None) -> tuple[sqlite3.Connection, IndexVersion]:
    """A read-only connection to a folder's index.db, brought to the newest schema first, and what was opened.

    The version is read before the file is opened: it is that of the rows only if it is the same once they are read.
    Raises NewerIndexError, DamagedIndexError (also without a file), StoreError when it may not be read.
    """
    path = folder / DATABASE
    with reading(folder, video_path):
        try:
            path.open("rb").close()
        except PermissionError as error:
            raise StoreError(f"{printable(path)} may not be read; change its permissions") from error
        except OSError as error:
            if not folder.exists():
                raise NotIndexedError(
                    f"{printable(folder)} was removed or replaced meanwhile; run it again"
                ) from error
            raise sqlite3.DatabaseError(error.strerror) from error
        if path.with_name(path.name + "-journal").exists():
            _roll_back(path)
        version, connection = read_version(folder), _connect(path)
        try:
            known, found = len(schema.MIGRATIONS), schema.version(connection)
            if found == 0:
                raise sqlite3.DatabaseError("it holds no index")
            if found < known:
                connection.close()
                _upgrade(path)
                version, connection = read_version(folder), _connect(path)
        except BaseException:
            connection.close()
            raise
    if found > known:
        connection.close()
        raise NewerIndexError(
            f"{printable(folder)} was written by a newer version (schema {found}, this one knows {known}); "
            f"install that version or run: {_anew(folder, video_path)}"
        )
    return connection, version


def _anew(folder: Path, video_path: str | None = None) -> str:
    """The command that makes an index anew."""
    video = "VIDEO" if video_path is None else shlex.quote(printable(video_path))
    return f"facereel index --force {video} --store {shlex.quote(printable(folder.parent))}"


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=30)
    connection.row_factory = sqlite3.Row
    # A file from elsewhere runs no functions in its views; a page that cannot be right is an error at once.
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA cell_size_check = ON")
    return connection


def _roll_back(path: Path) -> None:
    """Let SQLite undo what a dead process left half-written in place; a read-only connection may not."""
    with closing(sqlite3.connect(path, timeout=30)) as connection:
        schema.version(connection)


def _upgrade(path: Path) -> None:
    from sqlite_utils import Database

    with closing(sqlite3.connect(path, timeout=30)) as connection, writing(path.parent):
        schema.migrate(Database(connection, execute_plugins=False))
        write_checksum(path)
