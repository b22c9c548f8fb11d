"""A digest of index.db beside it: it distinguishes bits that turned on the disk from rows that somebody wrote.

SQLite checks how its pages hang together, not what stands in their cells. index.db.sha256 holds SQLite's change
counter and the SHA-256 of the whole file. A write through SQLite raises the counter, so the digest is compared only
while the counter is the one it was taken at: rows changed by SQL are no damage.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from facereel.store.files.digest import hash_file
from facereel.store.files.disk import atomic_file

SUFFIX = ".sha256"  # behind the name of the database
# https://www.sqlite.org/fileformat2.html#the_database_header
HEADER_BYTES = 100
_CHANGE_COUNTER = slice(24, 28)
_CHANGE_COUNTER_AGAIN = slice(
    92, 96
)  # SQLite notes it twice, here beside the version of the library that wrote


def change_counter(header: bytes) -> int:
    """SQLite's change counter from the start of a database file: one more with every transaction that wrote."""
    return int.from_bytes(header[_CHANGE_COUNTER], "big")


def write_checksum(database: Path) -> None:
    """Write the checksum of a database that is on the disk (0600), whole or not at all; raises OSError."""
    text = f"{_checked_counter(database)} {hash_file(database)}\n"
    with atomic_file(database.with_name(database.name + SUFFIX)) as unfinished:
        handle = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(text)


def compare_checksum(database: Path) -> Literal["intact", "changed", "missing"]:
    """Compare a database with its checksum; raises ValueError when its bytes are not those that were written.

    `changed`: rows were written through SQLite since; `missing`: there is no checksum, or it cannot be read.
    """
    counter = _checked_counter(database)
    try:
        words = database.with_name(database.name + SUFFIX).read_text(encoding="ascii").split()
        expected_counter, expected = int(words[0]), words[1]
    except (OSError, ValueError, IndexError):
        return "missing"
    if counter != expected_counter:
        return "changed"
    if hash_file(database) != expected:
        raise ValueError("its bytes are not those that were written")
    return "intact"


def _checked_counter(database: Path) -> int:
    with open(database, "rb", buffering=0) as file:
        header = file.read(HEADER_BYTES)
    if header[_CHANGE_COUNTER] != header[_CHANGE_COUNTER_AGAIN]:
        raise ValueError("its header contradicts itself")
    return change_counter(header)
