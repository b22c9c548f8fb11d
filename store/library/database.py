"""library.db: opening it, its schema, and what goes wrong with it as errors of one line.

It holds what the user decided, which no index can give back. So it is never deleted, replaced or repaired here: a file
that is damaged, newer or another program's raises. Where there is none yet, reading finds an empty library.
"""

from __future__ import annotations

import os
import shlex
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from functools import cache
from pathlib import Path

from facereel.store.files.disk import make_store, unwritable
from facereel.store.files.names import printable
from facereel.store.model.errors import BusyLibraryError, DamagedLibraryError, NewerIndexError, StoreError

LIBRARY = "library.db"

_PATIENCE = 30.0  # seconds to wait while another process writes

# For the indexes over a long log while it is restored; of SQLite's own 2 MiB, places of 20,000 videos miss most pages.
_CACHE_KIB = 64 << 10

_PLACE = """start_frame INTEGER NOT NULL, end_frame INTEGER NOT NULL, frame INTEGER NOT NULL,
x REAL NOT NULL, y REAL NOT NULL, w REAL NOT NULL, h REAL NOT NULL"""

# Each migration lifts `PRAGMA user_version` by one. A migration of a released version is never changed.
MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        # name, hidden, merged_into and forgotten are replayed from the decisions: a cache, so that no query replays.
        """CREATE TABLE people (
person INTEGER PRIMARY KEY AUTOINCREMENT, uid TEXT NOT NULL UNIQUE, created TEXT NOT NULL,
name TEXT, name_key TEXT, hidden INTEGER NOT NULL DEFAULT 0, merged_into INTEGER REFERENCES people(person),
forgotten INTEGER NOT NULL DEFAULT 0)""",
        "CREATE INDEX people_by_name ON people (name_key) WHERE name_key IS NOT NULL",
        "CREATE INDEX people_by_merge ON people (merged_into) WHERE merged_into IS NOT NULL",
        # The log. Rows are added and, but for `forget`, neither changed nor deleted.
        """CREATE TABLE decisions (
decision INTEGER PRIMARY KEY AUTOINCREMENT, uid TEXT NOT NULL UNIQUE, time TEXT NOT NULL, kind TEXT NOT NULL,
person INTEGER REFERENCES people(person), other INTEGER REFERENCES people(person), name TEXT,
undoes INTEGER REFERENCES decisions(decision))""",
        "CREATE INDEX decisions_by_person ON decisions (person)",
        "CREATE INDEX decisions_by_other ON decisions (other) WHERE other IS NOT NULL",
        "CREATE INDEX decisions_by_undone ON decisions (undoes) WHERE undoes IS NOT NULL",
        "CREATE INDEX decisions_by_time ON decisions (time)",
        # Faces that a decision is about, and of whom it says so.
        f"""CREATE TABLE places (
place INTEGER PRIMARY KEY, decision INTEGER NOT NULL REFERENCES decisions(decision),
person INTEGER NOT NULL REFERENCES people(person), sha256 TEXT NOT NULL, {_PLACE})""",
        "CREATE INDEX places_by_decision ON places (decision)",
        "CREATE INDEX places_by_person ON places (person)",
        "CREATE INDEX places_by_video ON places (sha256)",
        # Decisions that do not count, because a later one undoes them: replayed too.
        "CREATE TABLE undone (decision INTEGER PRIMARY KEY REFERENCES decisions(decision))",
        # Derived: whose each cluster of each indexed video is, and a face of it. by_similarity: whose it would be
        # without decisions. seconds: how long its tracklets are shown in all. quality: sum over them of the best
        # exemplar's.
        f"""CREATE TABLE members (
sha256 TEXT NOT NULL, cluster INTEGER NOT NULL, person INTEGER NOT NULL REFERENCES people(person),
by_similarity INTEGER NOT NULL REFERENCES people(person), seconds REAL NOT NULL, quality REAL NOT NULL, {_PLACE},
PRIMARY KEY (sha256, cluster)) WITHOUT ROWID""",
        "CREATE INDEX members_by_person ON members (person, quality)",
        "CREATE INDEX members_by_similarity ON members (by_similarity)",
        # Derived: people about whom nothing was decided and who are alike as wholes; the first is part of the second.
        # members.by_similarity still says which of the two a cluster resembles, so that both can be parted again.
        """CREATE TABLE alike (
person INTEGER PRIMARY KEY REFERENCES people(person), whole INTEGER NOT NULL REFERENCES people(person))""",
        "CREATE INDEX alike_by_whole ON alike (whole)",
        # Videos with decisions that members does not follow yet.
        "CREATE TABLE unsettled (sha256 TEXT PRIMARY KEY) WITHOUT ROWID",
        # Suggestions that were made, so that none is made twice; a place where one is about a face.
        """CREATE TABLE questions (
question INTEGER PRIMARY KEY, time TEXT NOT NULL, kind TEXT NOT NULL, person INTEGER NOT NULL REFERENCES people(person),
other INTEGER REFERENCES people(person), sha256 TEXT, start_frame INTEGER, end_frame INTEGER, frame INTEGER,
x REAL, y REAL, w REAL, h REAL)""",
        "CREATE INDEX questions_by_person ON questions (person)",
        "CREATE INDEX questions_by_other ON questions (other) WHERE other IS NOT NULL",
        # Derived: the indexes of the store, as they were when they were read, and where in library.vectors the vectors
        # of each are; block 0: it has none, NULL: they are to be read again. version identifies the index.db.
        """CREATE TABLE videos (
video INTEGER PRIMARY KEY AUTOINCREMENT, folder TEXT NOT NULL UNIQUE, sha256 TEXT NOT NULL, path BLOB NOT NULL,
name TEXT NOT NULL, size INTEGER NOT NULL, version TEXT NOT NULL, recogniser TEXT NOT NULL, facts TEXT NOT NULL,
tracklets INTEGER NOT NULL, exemplars INTEGER NOT NULL, tracklets_without_exemplars INTEGER NOT NULL,
clusters INTEGER NOT NULL, block INTEGER, first_row INTEGER)""",
        "CREATE INDEX videos_by_content ON videos (sha256)",
        "CREATE INDEX videos_by_path ON videos (path)",
        "CREATE INDEX videos_by_name ON videos (name)",
        "CREATE INDEX videos_by_size ON videos (size)",
        # What a query says of how much it searched, without a look at each row.
        """CREATE INDEX videos_by_recogniser ON videos (recogniser, block, tracklets, exemplars,
tracklets_without_exemplars)""",
        # Where all videos lie that were searched: of the table itself, that would be a hundred times as many pages.
        "CREATE INDEX videos_searched ON videos (recogniser, folder, path, block)",
        "CREATE INDEX videos_to_read ON videos (video) WHERE block IS NULL",
        # Folders that could not be read when they were listed; each query tries again.
        "CREATE TABLE unreadable (folder TEXT PRIMARY KEY)",
        """CREATE TABLE vector_blocks (
block INTEGER PRIMARY KEY, recogniser TEXT NOT NULL, dim INTEGER NOT NULL, place INTEGER NOT NULL,
capacity INTEGER NOT NULL, rows INTEGER NOT NULL, dead INTEGER NOT NULL, codes_checksum INTEGER NOT NULL,
owners_checksum INTEGER NOT NULL)""",
        # One row. listed_mtime_ns: the time of the store's folder when videos was compared with its names.
        """CREATE TABLE catalogue (
one INTEGER PRIMARY KEY CHECK (one = 1), listed_mtime_ns INTEGER NOT NULL DEFAULT 0, generation BLOB,
vectors_size INTEGER NOT NULL DEFAULT 0, vectors_mtime_ns INTEGER NOT NULL DEFAULT 0)""",
        "INSERT INTO catalogue (one) VALUES (1)",
    ),
    (
        # Rows of library.vectors that count no more and are to be overwritten once that is committed.
        "CREATE TABLE vacated (block INTEGER NOT NULL, first_row INTEGER NOT NULL, rows INTEGER NOT NULL)",
        # How often rows were vacated: who searches them meanwhile searches again.
        "ALTER TABLE catalogue ADD COLUMN vacations INTEGER NOT NULL DEFAULT 0",
    ),
    (
        # A question is a pair of people; columns for other kinds were never used. SQLite drops columns from 3.35 on.
        "CREATE TEMP TABLE pairs AS SELECT time, person, other FROM questions WHERE other IS NOT NULL",
        "DROP TABLE questions",
        """CREATE TABLE questions (
question INTEGER PRIMARY KEY, time TEXT NOT NULL, person INTEGER NOT NULL REFERENCES people(person),
other INTEGER NOT NULL REFERENCES people(person))""",
        "CREATE INDEX questions_by_person ON questions (person)",
        "CREATE INDEX questions_by_other ON questions (other)",
        "INSERT INTO questions (time, person, other) SELECT time, person, other FROM pairs",
        "DROP TABLE pairs",
    ),
)


class LibraryDatabase:
    """The file library.db of one store. Making one changes nothing on the disk.

    Inside `write` or `read`, further ones of the same thread belong to the same transaction.
    """

    def __init__(self, store: Path) -> None:
        self.store = store
        self.path = store / LIBRARY
        self._open = threading.local()

    def is_there(self) -> bool:
        """Is there a file with anything in it?"""
        return self.path.exists() and self.path.stat().st_size > 0

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """One state of the library; writers wait meanwhile, so be quick.

        Raises DamagedLibraryError, NewerIndexError, StoreError when it may not be read or is locked for long.
        """
        outer = self._current()
        if outer is not None:
            yield outer
            return
        with self._errors():
            if not self.is_there():
                with closing(_empty()) as db:
                    yield db
                return
            with self._connection() as file, self._newest(file) as db, self._transaction(db, "BEGIN"):
                self._check(db)
                yield db

    @contextmanager
    def write(self, patience: float | None = None) -> Iterator[sqlite3.Connection]:
        """A transaction that is stored whole when the block ends, and not at all when it raises.

        Makes the file, and the store. Raises as `read` does, BusyLibraryError if another process writes for longer
        than `patience` seconds (as long as `read` waits, unless it is given), and UnwritableError.
        """
        outer = self._current()
        if outer is not None:
            if not self._open.writing:
                raise RuntimeError("a transaction that reads cannot become one that writes")
            yield outer
            return
        make_store(self.store)
        with self._errors():
            with suppress(FileExistsError):
                os.close(os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
            with self._connection(patience) as db:
                _prepare_for_writing(db)
                self._prepare(db)
                with self._transaction(db, "BEGIN IMMEDIATE"):
                    yield db

    def check(self) -> None:
        """Read every page and every index of the file; raises as `read` does."""
        with self.read() as db:
            (result,) = db.execute("PRAGMA integrity_check(1)").fetchone()
            if result != "ok":
                raise self.damaged(result)
            if db.execute("PRAGMA foreign_key_check").fetchone():
                raise self.damaged("a row points at one that is not there")

    def compact(self) -> None:
        """Write the file anew without free pages: nothing of deleted rows stays in it. Raises as `write` does."""
        with self._errors(), self._connection() as db:
            _prepare_for_writing(db)
            self._check(db)
            db.execute("VACUUM")

    def damaged(self, reason: object) -> DamagedLibraryError:
        """The error for a file that cannot be used."""
        where = shlex.quote(printable(self.store))
        return DamagedLibraryError(
            f"{printable(self.path)} is damaged or not a library ({printable(str(reason))}); move it elsewhere, "
            f"then run: facereel people restore BACKUP --store {where}"
        )

    def _current(self) -> sqlite3.Connection | None:
        found: sqlite3.Connection | None = getattr(self._open, "connection", None)
        return found

    @contextmanager
    def _transaction(self, db: sqlite3.Connection, begin: str) -> Iterator[None]:
        db.execute(begin)
        self._open.connection, self._open.writing = db, begin != "BEGIN"
        try:
            with db:
                yield
        finally:
            self._open.connection = None

    @contextmanager
    def _connection(self, patience: float | None = None) -> Iterator[sqlite3.Connection]:
        # A file that may only be read is opened for reading by SQLite itself.
        uri = f"{self.path.resolve().as_uri()}?mode=rw"
        patience = _PATIENCE if patience is None else patience
        with closing(sqlite3.connect(uri, uri=True, timeout=patience, isolation_level=None)) as db:
            db.row_factory = sqlite3.Row
            # A file from elsewhere runs no functions in views; a page that cannot be right is an error at once.
            db.execute("PRAGMA trusted_schema = OFF")
            db.execute("PRAGMA cell_size_check = ON")
            db.execute("PRAGMA foreign_keys = ON")
            db.execute("PRAGMA secure_delete = ON")
            yield db

    @contextmanager
    def _newest(self, db: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
        """The database in the newest schema; in memory where it is older and may only be read."""
        if self._version(db) == len(MIGRATIONS):
            yield db
            return
        try:
            self._prepare(db)
        except sqlite3.OperationalError as error:
            if "readonly" not in str(error):
                raise
            with closing(sqlite3.connect(":memory:", isolation_level=None)) as copy:
                copy.row_factory = sqlite3.Row
                db.backup(copy)
                self._prepare(copy)
                yield copy
        else:
            yield db

    def _prepare(self, db: sqlite3.Connection) -> None:
        """Bring a new or older file to the newest schema."""
        if self._version(db) == len(MIGRATIONS):
            self._check(db)
            return
        with self._transaction(db, "BEGIN IMMEDIATE"):
            version = self._version(db)
            self._check(db, version)
            _migrate(db, version)

    def _version(self, db: sqlite3.Connection) -> int:
        version = int(db.execute("PRAGMA user_version").fetchone()[0])
        if version > len(MIGRATIONS):
            raise NewerIndexError(
                f"{printable(self.path)} was written by a newer version (schema {version}, this one knows "
                f"{len(MIGRATIONS)}); install that version"
            )
        return version

    def _check(self, db: sqlite3.Connection, version: int = len(MIGRATIONS)) -> None:
        """Raise unless the file holds our tables only: a trigger from elsewhere would run at every write."""
        if _statements(db) != _schema(version) or self._version(db) != version:
            raise self.damaged("made by another program")

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Turn what SQLite raises into errors of one line."""
        name = printable(self.path)
        try:
            yield
        except (sqlite3.ProgrammingError, sqlite3.NotSupportedError, sqlite3.IntegrityError):
            raise  # a statement or a value of ours that cannot be
        except sqlite3.OperationalError as error:
            text = str(error)
            if self.path.is_dir():
                raise self.damaged("a folder") from error
            if "decode" in text:
                raise self.damaged(error) from error
            if "locked" in text:
                raise BusyLibraryError(
                    f"{name} is in use by another process for more than {_PATIENCE:.0f} s; run it again"
                ) from error
            if "unable to open" in text and self.path.exists() and not os.access(self.path, os.R_OK):
                raise StoreError(f"{name} may not be read; change its permissions") from error
            raise unwritable(self.path, error) from error
        except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
            raise self.damaged(error) from error
        except PermissionError as error:
            raise unwritable(self.path, error) from error


def _prepare_for_writing(db: sqlite3.Connection) -> None:
    # The journal is emptied after a write and not deleted: the store folder's time is to tell of indexes only.
    db.execute("PRAGMA journal_mode = TRUNCATE")
    db.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")


def _migrate(db: sqlite3.Connection, version: int) -> None:
    for statements in MIGRATIONS[version:]:
        for statement in statements:
            db.execute(statement)
    db.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")


def _empty() -> sqlite3.Connection:
    """An empty library in memory."""
    db = sqlite3.connect(":memory:", isolation_level=None)
    db.row_factory = sqlite3.Row
    _migrate(db, 0)
    return db


def _statements(db: sqlite3.Connection) -> frozenset[str]:
    return frozenset(row[0] for row in db.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL"))


@cache
def _schema(version: int) -> frozenset[str]:
    """What a file of that version holds, as SQLite writes it down."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        for statements in MIGRATIONS[:version]:
            for statement in statements:
                db.execute(statement)
        return _statements(db)
