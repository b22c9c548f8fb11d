"""Opening an index.db to read: version checked, and whatever is wrong with it said as damage."""

from __future__ import annotations

import shlex
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from facereel.store.files.folders import printable, unwritable
from facereel.store.index import pooled_header, schema
from facereel.store.model.errors import DamagedIndexError, NewerIndexError, StoreError

DATABASE = "index.db"

# What reading altered bytes raises: SQLite's own errors, and those of making records from wrong values.
DAMAGE = (sqlite3.Error, ValueError, TypeError, LookupError, ArithmeticError, AttributeError, MemoryError)


@contextmanager
def reading(folder: Path, video_path: str | None = None) -> Iterator[None]:
    """Turn whatever reading damaged rows raises into a DamagedIndexError that names the remedy."""
    try:
        yield
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


def file_version(folder: Path) -> tuple[int, int]:
    """By what an index.db is known to be the one that was read; zeros where there is none."""
    try:
        status = (folder / DATABASE).stat()
    except OSError:
        return 0, 0
    return status.st_ino, status.st_mtime_ns


def predecessor(folder: Path, seen: tuple[int, int]) -> list[Path]:
    """The index that a new one replaces; raises StoreError unless it still has the stamp `seen`."""
    if file_version(folder) != seen:
        raise StoreError(f"{printable(folder)} was written or removed meanwhile; run it again")
    return [folder]


def open_readonly(folder: Path) -> sqlite3.Connection:
    """A read-only connection to a folder's index.db, brought to the newest schema first.

    Raises NewerIndexError, DamagedIndexError (also without a file), StoreError when it may not be read.
    """
    path = folder / DATABASE
    with reading(folder):
        try:
            path.open("rb").close()
        except PermissionError as error:
            raise StoreError(f"{printable(path)} may not be read; change its permissions") from error
        except OSError as error:
            raise sqlite3.DatabaseError(error.strerror) from error
        if path.with_name(path.name + "-journal").exists():
            _roll_back(path)
        connection = _connect(path)
        try:
            known, found = len(schema.MIGRATIONS), schema.version(connection)
            if found == 0:
                raise sqlite3.DatabaseError("it holds no index")
            if found < known:
                connection.close()
                _upgrade(path)
                connection = _connect(path)
        except BaseException:
            connection.close()
            raise
    if found > known:
        connection.close()
        raise NewerIndexError(
            f"{printable(folder)} was written by a newer version (schema {found}, this one knows {known}); "
            f"install that version or run: {_anew(folder)}"
        )
    return connection


def _anew(folder: Path, video_path: str | None = None) -> str:
    """The command that makes an index anew."""
    path = video_path or pooled_header.video_path(folder)
    video = "VIDEO" if path is None else shlex.quote(printable(path))
    return f"python cli.py index --force {video} --store {shlex.quote(printable(folder.parent))}"


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
        schema.migrate(Database(connection))
