"""library.vectors: one vector a cluster of all videos, memory-mapped, searched whole, appended to.

A vector is stored as `dim` bytes: its components times 127 / value_range, rounded, plus 128. FAISS multiplies such
bytes by a query that is rounded in the same way, so a similarity is within `rounding` of that of the float32 vectors;
whoever needs more opens the index. Nothing else is lost, because every vector is compared. Measured on one core of a
server, one query, dim 128: 2 million vectors, of 10 million tracklets, take 26 ms and 256 MB; halves of a float take
twice both. That is little beside the start of a program, so that FAISS's inverted lists, which lose matches, are not
used; they were not measured.

The file is a header and blocks. A block belongs to one recogniser: room for `capacity` vectors, behind them for as
many owners, pairs of 64-bit numbers: the video, as table `videos` numbers it, and the number of the cluster in it.
Table `vector_blocks` of library.db says where blocks begin and how many rows of each count. A row is never used again.

What counts in the file changes with a commit of library.db and at no other moment, so that neither a process that dies
nor a transaction that fails makes it unusable, and nobody searches a state that is half written. A transaction
therefore writes only behind the rows that count, or a file anew beside the old one. Rows of a video that goes become
`vacated`, and `tidy` overwrites them once that is committed, because forgotten faces must not stay; it writes the
file anew when half of it is dead. Whoever had such rows mapped sees by `State` that they may be gone.

The file is derived and never trusted. It counts while it has the generation, size and time that library.db recorded
with the last write; one with another time, as after copying a store, counts if the checksums of all blocks are right.
"""

from __future__ import annotations

import os
import sqlite3
import zlib
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from secrets import token_bytes
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from facereel.store.model.pooling import unit
from facereel.store.model.records import EngineInfo, Floats, Ints

LIBRARY_VECTORS = "library.vectors"

_MAGIC = b"FaceReel vectors 2\n"
_HEADER_BYTES = 64  # the magic, zeros, and the generation at the end
_GENERATION_BYTES = 16
_ZERO = 128  # the byte that stands for a component of 0
_MOST = 127  # the largest component, as a byte above _ZERO
_ROUND = 64  # capacities are multiples of this, so that owners lie where numbers of 64 bits may
_LARGEST_BLOCK = 65_536  # rows; each new block of a recogniser has twice the room of the one before
_MIN_DEAD = 1024  # rows; a file with fewer dead ones is not written anew
_CHUNK = 65_536  # rows that a thread searches at a time
_THREADED = 100_000  # rows from which on more than one thread searches
_OWNER_BYTES = 16
_MOST_DIMENSIONS = 1 << 16

Codes = NDArray[np.uint8]
State = tuple[bytes | None, int]  # generation of the file, and how often rows of it were vacated


class UnusableFile(Exception):
    """library.vectors is missing, torn, altered or of another state of library.db; the message says which."""


@dataclass(frozen=True, slots=True, eq=False)
class Neighbours:
    """Clusters of the library that are similar to one vector, most similar first."""

    videos: Ints  # (N,) as table `videos` of library.db numbers them
    clusters: Ints  # (N,) numbers in their videos
    similarities: Floats  # (N,) cosine, within `rounding` of that of the float32 vectors

    def __len__(self) -> int:
        return len(self.videos)


def recogniser(engine: EngineInfo) -> str:
    """Names what makes the vectors: those of one recogniser compare with each other (EngineInfo.compares_with)."""
    return f"{engine.recognizer_sha256} {engine.dim}"


def value_range(dim: int) -> float:
    """The largest component that is stored as it is: five standard deviations of a random direction's.

    The largest of 200 clusters of films and photos by SFace is 0.36; here it is 0.44.
    """
    return min(1.0, 5 / float(np.sqrt(dim)))


def rounding(dim: int) -> float:
    """How far a similarity may be from that of the float32 vectors: six standard deviations of the rounding error.

    Both vectors are rounded to steps of value_range / 127; the error of a product is then that of one component, twice.
    """
    step = value_range(dim) / _MOST
    return 6 * float(np.sqrt(2 / 12)) * step


def encoded(vectors: Floats) -> Codes:
    """Vectors (N, D), unit length, as bytes (N, D)."""
    return (_integers(vectors) + _ZERO).astype(np.uint8)


def decoded(codes: Codes) -> Floats:
    """A vector (D,), unit length, from its bytes."""
    return unit(codes.astype(np.float32) - _ZERO)


def _integers(vectors: Floats) -> Floats:
    scale = _MOST / value_range(vectors.shape[1])
    return np.asarray(np.clip(np.rint(vectors * np.float32(scale)), -_MOST, _MOST), np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class _Rows:
    """The rows of a block that count."""

    codes: Codes  # (N, D)
    owners: NDArray[np.int64]  # (N, 2) video, cluster; 0 0 where the row is dead


class ClusterSearch:
    """The clusters of one recogniser, to be searched. Thread-safe; later changes of the library do not show."""

    def __init__(
        self,
        dim: int,
        count: int,
        blocks: Sequence[_Rows],
        excluded: Collection[int] = (),
        state: State = (None, 0),
    ) -> None:
        self.dim = dim
        self.count = count  # of the clusters that are searched
        self.state = (
            state  # of the file when it was mapped; while it is the same, no row that counted is gone
        )
        self._blocks = [block for block in blocks if len(block.codes)]
        self._excluded = np.array(sorted(excluded), np.int64)

    def plus(self, added: Sequence[tuple[int, Ints, Floats]]) -> ClusterSearch:
        """The same with more videos, which no file has: number, cluster numbers (C,), embeddings (C, D)."""
        blocks = [
            _Rows(encoded(embeddings), np.stack([np.full(len(clusters), video, np.int64), clusters], axis=1))
            for video, clusters, embeddings in added
            if len(clusters)
        ]
        count = self.count + sum(len(block.codes) for block in blocks)
        return ClusterSearch(self.dim, count, self._blocks + blocks, self._excluded.tolist(), self.state)

    def above(self, queries: Floats, thresholds: Sequence[float]) -> list[Neighbours]:
        """For each query (Q, D), unit length, all clusters that reach its threshold, and some just below."""
        lowest = [threshold - rounding(self.dim) for threshold in thresholds]
        return self._search(queries, lambda scan, number: scan.above(lowest[number]))

    def nearest(self, queries: Floats, count: int) -> list[Neighbours]:
        """For each query (Q, D), unit length, the `count` most similar clusters, fewer where there are fewer."""
        more = sum(int(np.isin(block.owners[:, 0], self._excluded).sum()) for block in self._blocks)
        found = self._search(queries, lambda scan, _: scan.nearest(count + more))
        return [
            Neighbours(one.videos[:count], one.clusters[:count], one.similarities[:count]) for one in found
        ]

    def _search(
        self, queries: Floats, scanned: Callable[[_Scan, int], tuple[Ints, Floats]]
    ) -> list[Neighbours]:
        if not self._blocks or not len(queries):
            nothing = np.zeros(0, np.int64)
            return [Neighbours(nothing, nothing, np.zeros(0, np.float32)) for _ in queries]
        integers = np.ascontiguousarray(_integers(queries), np.float32)
        chunks = [
            _Rows(block.codes[start : start + _CHUNK], block.owners[start : start + _CHUNK])
            for block in self._blocks
            for start in range(0, len(block.codes), _CHUNK)
        ]
        unit = np.float32((value_range(self.dim) / _MOST) ** 2)

        def search(rows: _Rows) -> list[tuple[NDArray[np.int64], Floats]]:
            found = []
            for number, query in enumerate(integers):
                places, products = scanned(_Scan(rows.codes, query, float(unit)), number)
                found.append((rows.owners[places], products * unit))
            return found

        if sum(len(block.codes) for block in self._blocks) < _THREADED:
            parts = [search(rows) for rows in chunks]
        else:
            import faiss  # before the threads, which would wait for one another

            del faiss
            with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
                parts = list(pool.map(search, chunks))
        return [self._sorted([part[number] for part in parts]) for number in range(len(queries))]

    def _sorted(self, parts: Sequence[tuple[NDArray[np.int64], Floats]]) -> Neighbours:
        owners = np.concatenate([part[0] for part in parts])
        similarities = np.concatenate([part[1] for part in parts])
        live = np.flatnonzero((owners[:, 0] != 0) & ~np.isin(owners[:, 0], self._excluded))
        order = live[np.argsort(-similarities[live], kind="stable")]
        return Neighbours(owners[order, 0], owners[order, 1], similarities[order])


class _Scan:
    """One query against some rows, by FAISS's scanner, which needs no copy of them."""

    def __init__(self, codes: Codes, query: Floats, unit: float) -> None:
        """`codes` (N, D), `query` (D,) integers, `unit` the similarity that a product of 1 stands for."""
        import faiss

        self._codes, self._query, self._unit = codes, query, unit
        dim = len(query)
        # Both must stay as long as the scanner, which points at them.
        self._kind = faiss.ScalarQuantizer(dim, faiss.ScalarQuantizer.QT_8bit_direct_signed)
        self._lists = faiss.IndexFlatIP(dim)
        # Pairs of list and place stand for ids; the list is 0.
        self._scanner = self._kind.select_InvertedListScanner(  # type: ignore[attr-defined]  # FAISS's stubs lack it
            faiss.METRIC_INNER_PRODUCT, self._lists, True, None, False
        )
        self._scanner.set_query(faiss.swig_ptr(query))
        self._scanner.set_list(0, 0.0)

    def above(self, lowest: float) -> tuple[Ints, Floats]:
        """Places and products of the rows that are more similar than `lowest`."""
        import faiss

        result = faiss.RangeSearchResult(1)
        partial = faiss.RangeSearchPartialResult(result)  # type: ignore[attr-defined]  # FAISS's stubs lack it
        self._scanner.scan_codes_range(
            len(self._codes), faiss.swig_ptr(self._codes), None, lowest / self._unit, partial.new_result(0)
        )
        partial.finalize()
        count = int(faiss.rev_swig_ptr(result.lims, 2)[1])
        if not count:
            return np.zeros(0, np.int64), np.zeros(0, np.float32)
        places = faiss.rev_swig_ptr(result.labels, count).copy()
        return places, faiss.rev_swig_ptr(result.distances, count).copy()

    def nearest(self, count: int) -> tuple[Ints, Floats]:
        """Places and products of the `count` most similar rows, in any order."""
        import faiss

        count = min(count, len(self._codes))
        products = np.full(count, -np.inf, np.float32)
        places = np.full(count, -1, np.int64)
        self._scanner.scan_codes(
            len(self._codes), faiss.swig_ptr(self._codes), None,
            faiss.swig_ptr(products), faiss.swig_ptr(places), count,
        )  # fmt: skip
        return places, products


class VectorFile:
    """The file library.vectors of one store. Whoever writes holds a transaction of library.db that writes.

    Methods raise UnusableFile, OSError, and what SQLite raises.
    """

    def __init__(self, store: Path) -> None:
        self.path = store / LIBRARY_VECTORS
        # A file that is written anew, until `tidy` gives it its name.
        self._successor = store / f".{LIBRARY_VECTORS}.part"
        self._verified: tuple[
            int, ...
        ] = ()  # the file whose checksums were right although its time was another

    def search(
        self, db: sqlite3.Connection, engine: EngineInfo, excluded: Collection[int] = ()
    ) -> ClusterSearch:
        """All clusters of an engine's recogniser, but those of the videos `excluded`."""
        own = [block for block in _blocks(db) if block.recogniser == recogniser(engine)]
        if not own:
            return ClusterSearch(engine.dim, 0, (), state=state_of(db))
        live, vacated = sum(block.rows - block.dead for block in own), _vacated(db)
        with self._opened(db) as file:
            self._check(db, file)
            rows = [
                part
                for block in own
                for part in _without(_mapped(file, block), vacated.get(block.number, ()))
            ]
            return ClusterSearch(engine.dim, live, rows, excluded, state_of(db))

    def embeddings(self, db: sqlite3.Connection, clusters: Sequence[tuple[int, int]]) -> Floats:
        """The vectors of some clusters (N, D), unit length: video, as table `videos` numbers it, and number in it.

        All are of one recogniser; one that is not there is left out.
        """
        query = "SELECT block, first_row, clusters FROM videos WHERE video = ? AND block > 0"
        found = []
        with self._opened(db) as file:
            # Read, not mapped: that takes longer the more blocks there are, and joining asks for few rows often.
            blocks = {block.number: block for block in _blocks(db)}
            for video, cluster in clusters:
                for number, first, count in db.execute(query, (video,)):
                    block = blocks.get(number)
                    if block is None or not 0 <= first <= block.rows - count:
                        raise UnusableFile("a video has rows that are not there")
                    place = block.owners_place + first * _OWNER_BYTES
                    owners = np.frombuffer(_read_at(file, place, count * _OWNER_BYTES), "<i8").reshape(-1, 2)
                    own = np.flatnonzero((owners == (video, cluster)).all(axis=1))
                    for row in (first + own).tolist():
                        codes = _read_at(file, block.place + row * block.dim, block.dim)
                        found.append(decoded(np.frombuffer(codes, np.uint8)))
        return np.stack(found) if found else np.zeros((0, 0), np.float32)

    def check(self, db: sqlite3.Connection) -> bool:
        """Raise UnusableFile unless the file is that of library.db; whether it has the time that is recorded there."""
        with self._opened(db) as file:
            return self._check(db, file)

    def adopt(self, db: sqlite3.Connection) -> None:
        """Record the time of a file that was copied, so that the next query need not read it completely."""
        with self._opened(db, write=True) as file:
            _record(db, file)

    def reset(self, db: sqlite3.Connection) -> None:
        """Begin a file without rows."""
        db.execute("DELETE FROM vector_blocks")
        db.execute("DELETE FROM vacated")
        with self._begun_anew(db):
            pass

    def unlink(self) -> None:
        """Delete the file, whatever is in it."""
        self._successor.unlink(missing_ok=True)
        self.path.unlink(missing_ok=True)

    def append(
        self, db: sqlite3.Connection, engine: EngineInfo, added: Sequence[tuple[int, Ints, Floats]]
    ) -> list[tuple[int, int]]:
        """Add the clusters of some videos of one engine: video, cluster numbers (C,), embeddings (C, D).

        Gives the block and the first row of each; block 0 where there are no clusters.
        """
        places = []
        with self._opened(db, write=True) as file:
            for video, clusters, embeddings in added:
                if not len(clusters):
                    places.append((0, 0))
                    continue
                block = _with_room(db, file, engine, len(clusters))
                codes = encoded(embeddings)
                owners = np.stack([np.full(len(clusters), video, np.int64), clusters], axis=1).astype("<i8")
                _write_at(file, block.place + block.rows * block.dim, codes.tobytes())
                _write_at(file, block.owners_place + block.rows * _OWNER_BYTES, owners.tobytes())
                db.execute(
                    "UPDATE vector_blocks SET rows = ?, codes_checksum = ?, owners_checksum = ? WHERE block = ?",
                    (
                        block.rows + len(clusters), zlib.crc32(codes.tobytes(), block.codes_checksum),
                        zlib.crc32(owners.tobytes(), block.owners_checksum), block.number,
                    ),
                )  # fmt: skip
                places.append((block.number, block.rows))
            _record(db, file)
        return places

    def vacate(self, db: sqlite3.Connection, places: Sequence[tuple[int, int, int]]) -> None:
        """Count rows no more; block, first row and number of rows of each place. `tidy` is to follow the commit."""
        places = [place for place in places if place[2]]
        if not places:
            return
        with self._opened(db, write=True) as file:
            blocks = {block.number: block for block in _blocks(db)}
            for number, first, count in places:
                block = blocks.get(number)
                if block is None or not 0 <= first <= block.rows - count:
                    raise UnusableFile("without rows that it should have")
                db.execute("UPDATE vector_blocks SET dead = dead + ? WHERE block = ?", (count, number))
                db.execute("INSERT INTO vacated VALUES (?, ?, ?)", (number, first, count))
            db.execute("UPDATE catalogue SET vacations = vacations + 1")
            vacated = _vacated(db)
            for number in {number for number, _, _ in places}:
                db.execute(
                    "UPDATE vector_blocks SET codes_checksum = ?, owners_checksum = ? WHERE block = ?",
                    (*_checksums(_mapped(file, blocks[number]), vacated[number]), number),
                )

    def is_tidy(self, db: sqlite3.Connection) -> bool:
        """Is there nothing for `tidy` to do, but for writing the file anew?"""
        return not self._successor.exists() and db.execute("SELECT 1 FROM vacated").fetchone() is None

    def tidy(self, db: sqlite3.Connection) -> list[tuple[int, int, int]]:
        """Overwrite the rows that were vacated, and write the file anew if half of it is dead.

        To be called in a transaction of its own, and once more after it where a file was written anew. Gives block,
        first row and number of each video whose rows are elsewhere now.
        """
        if self._successor.exists():
            with suppress(
                PermissionError
            ):  # Windows replaces no file that is mapped: it stays beside, and counts
                self._name_successor(db)
        vacated = _vacated(db)
        if vacated:
            with self._opened(db, write=True) as file:
                blocks = {block.number: block for block in _blocks(db)}
                for number, places in vacated.items():
                    _overwrite(file, blocks[number], places)
                db.execute("DELETE FROM vacated")
                _record(db, file)
        rows, dead = db.execute("SELECT sum(rows), sum(dead) FROM vector_blocks").fetchone()
        if rows and dead >= _MIN_DEAD and 2 * dead >= rows and not self._successor.exists():
            return self._compact(db)
        return []

    def _compact(self, db: sqlite3.Connection) -> list[tuple[int, int, int]]:
        with self._opened(db) as old:
            blocks = _blocks(db)
            db.execute("DELETE FROM vector_blocks")
            with self._begun_anew(db) as new:
                return [
                    place for block in blocks for place in _copy_live(db, block, _mapped(old, block), new)
                ]

    def _name_successor(self, db: sqlite3.Connection) -> None:
        """Put a file that was written anew in the place of the old one; one that was never committed goes."""
        with self._opened(db) as file:
            own = os.path.samestat(os.fstat(file.fileno()), self._successor.stat())
        if own:
            self._successor.replace(self.path)
        else:
            self._successor.unlink(missing_ok=True)

    @contextmanager
    def _begun_anew(self, db: sqlite3.Connection) -> Iterator[BinaryIO]:
        """A new file beside the old one, which counts until library.db is committed."""
        self._successor.unlink(missing_ok=True)
        generation = token_bytes(_GENERATION_BYTES)
        with _create(self._successor) as file:
            file.write(_header(generation))
            yield file
            _record(db, file, generation)

    @contextmanager
    def _opened(self, db: sqlite3.Connection, write: bool = False) -> Iterator[BinaryIO]:
        """The file of this state of library.db. For writing it is checked, and cleared of what no row counts."""
        generation = state_of(db)[0]
        reason = "missing"
        for path in (self.path, self._successor, self.path):  # the successor may get its name meanwhile
            try:
                file = path.open("r+b" if write else "rb", buffering=0)
            except FileNotFoundError:
                continue
            with file:
                if generation is None or file.read(_HEADER_BYTES) != _header(generation):
                    reason = "of another state of the library, version or program"
                    continue
                if write and not self._check(db, file):
                    _clear_unused(db, file)
                yield file
                return
        raise UnusableFile(reason)

    def _check(self, db: sqlite3.Connection, file: BinaryIO) -> bool:
        """Whether the file has the size and time that are recorded; raises UnusableFile if its rows are others."""
        status = os.fstat(file.fileno())
        if status.st_size < max((block.end for block in _blocks(db)), default=0):
            raise UnusableFile("torn")
        now = (status.st_size, status.st_mtime_ns)
        recorded = tuple(db.execute("SELECT vectors_size, vectors_mtime_ns FROM catalogue").fetchone())
        if now == recorded:
            return True
        if self._verified != (status.st_ino, *now, *recorded):
            vacated = _vacated(db)
            for block in _blocks(db):
                checksums = _checksums(_mapped(file, block), vacated.get(block.number, ()))
                if checksums != (block.codes_checksum, block.owners_checksum):
                    raise UnusableFile("altered")
            self._verified = (status.st_ino, *now, *recorded)
        return False


@dataclass(frozen=True, slots=True)
class _Block:
    """A row of vector_blocks."""

    number: int
    recogniser: str
    dim: int
    place: int  # in the file, bytes
    capacity: int  # rows
    rows: int  # that count, dead ones too
    dead: int
    codes_checksum: int
    owners_checksum: int

    @property
    def owners_place(self) -> int:
        """Where in the file the owners begin, bytes."""
        return self.place + self.capacity * self.dim

    @property
    def end(self) -> int:
        """Where in the file it ends, bytes."""
        return self.owners_place + self.capacity * _OWNER_BYTES


def _blocks(db: sqlite3.Connection) -> list[_Block]:
    """All blocks, as they lie in the file; raises UnusableFile for numbers that cannot be."""
    blocks = []
    end = _HEADER_BYTES
    for row in db.execute(
        "SELECT block, recogniser, dim, place, capacity, rows, dead, codes_checksum, owners_checksum "
        "FROM vector_blocks ORDER BY place"
    ):
        block = _Block(*row)
        whole = all(isinstance(value, int) for value in (*row[:1], *row[2:]))
        if not whole or not (
            0 < block.dim <= _MOST_DIMENSIONS and 0 <= block.dead <= block.rows <= block.capacity
        ):
            raise UnusableFile("described by numbers that cannot be")
        if block.place < end or block.capacity % _ROUND:
            raise UnusableFile("described by numbers that cannot be")
        end = block.end
        blocks.append(block)
    return blocks


def state_of(db: sqlite3.Connection) -> State:
    """Which file counts, and how often rows of it were vacated."""
    row = db.execute("SELECT generation, vacations FROM catalogue").fetchone()
    return (None, 0) if row is None else (row[0], row[1])


def _vacated(db: sqlite3.Connection) -> dict[int, list[tuple[int, int]]]:
    """First row and number of rows of all places that `tidy` is to overwrite, by block."""
    found: dict[int, list[tuple[int, int]]] = {}
    for block, first, count in db.execute("SELECT block, first_row, rows FROM vacated ORDER BY first_row"):
        if not all(isinstance(value, int) for value in (first, count)) or first < 0 or count < 0:
            raise UnusableFile("described by numbers that cannot be")
        found.setdefault(block, []).append((first, count))
    return found


def _record(db: sqlite3.Connection, file: BinaryIO, generation: bytes | None = None) -> None:
    """Note what the file looks like after a write."""
    file.flush()
    os.fsync(file.fileno())
    status = os.fstat(file.fileno())
    if generation is not None:
        db.execute("UPDATE catalogue SET generation = ?", [generation])
    db.execute(
        "UPDATE catalogue SET vectors_size = ?, vectors_mtime_ns = ?", [status.st_size, status.st_mtime_ns]
    )


def _clear_unused(db: sqlite3.Connection, file: BinaryIO) -> None:
    """Overwrite what a process wrote that died before it was done: no row counts it."""
    for block in _blocks(db):
        unused = block.capacity - block.rows
        _write_at(file, block.place + block.rows * block.dim, bytes(unused * block.dim))
        _write_at(file, block.owners_place + block.rows * _OWNER_BYTES, bytes(unused * _OWNER_BYTES))
    with suppress(OSError):  # Windows shortens no file that is mapped
        file.truncate(max([_HEADER_BYTES, *(block.end for block in _blocks(db))]))


def _overwrite(file: BinaryIO, block: _Block, places: Sequence[tuple[int, int]]) -> None:
    for first, count in places:
        if first + count > block.rows:
            raise UnusableFile("without rows that it should have")
        _write_at(file, block.place + first * block.dim, bytes([_ZERO]) * (count * block.dim))
        _write_at(file, block.owners_place + first * _OWNER_BYTES, bytes(count * _OWNER_BYTES))


def _mapped(file: BinaryIO, block: _Block) -> _Rows:
    """The rows of a block, mapped into memory; the file was checked."""
    if not block.rows:
        return _Rows(np.zeros((0, block.dim), np.uint8), np.zeros((0, 2), np.int64))
    codes = np.memmap(file, np.uint8, "r", block.place, (block.rows, block.dim))
    owners = np.memmap(file, np.dtype("<i8"), "r", block.owners_place, (block.rows, 2))
    return _Rows(np.asarray(codes), np.asarray(owners))


def _with_room(db: sqlite3.Connection, file: BinaryIO, engine: EngineInfo, rows: int) -> _Block:
    """The last block of a recogniser, or a new one behind all others where it has no room for so many rows."""
    blocks = _blocks(db)
    own = [block for block in blocks if block.recogniser == recogniser(engine)]
    if own and own[-1].rows + rows <= own[-1].capacity:
        return own[-1]
    capacity = min(2 * own[-1].capacity, _LARGEST_BLOCK) if own else _ROUND
    capacity = max(capacity, -(-rows // _ROUND) * _ROUND)
    place = blocks[-1].end if blocks else _HEADER_BYTES
    added = db.execute(
        "INSERT INTO vector_blocks (recogniser, dim, place, capacity, rows, dead, codes_checksum, owners_checksum) "
        "VALUES (?, ?, ?, ?, 0, 0, 0, 0)",
        (recogniser(engine), engine.dim, place, capacity),
    )
    block = _Block(int(added.lastrowid or 0), recogniser(engine), engine.dim, place, capacity, 0, 0, 0, 0)
    file.truncate(block.end)
    return block


def _copy_live(
    db: sqlite3.Connection, block: _Block, rows: _Rows, new: BinaryIO
) -> list[tuple[int, int, int]]:
    """Write the live rows of a block into a new file, as a block of the same number; gives what moved, as `tidy`."""
    live = rows.owners[:, 0] > 0
    codes, owners = rows.codes[live], rows.owners[live]
    if not len(codes):
        return []
    place, capacity = new.seek(0, os.SEEK_END), -(-len(codes) // _ROUND) * _ROUND
    compacted = _Block(
        block.number,
        block.recogniser,
        block.dim,
        place,
        capacity,
        len(codes),
        0,
        *_checksums(_Rows(codes, owners)),
    )
    new.truncate(compacted.end)
    _write_at(new, place, codes.tobytes())
    _write_at(new, compacted.owners_place, owners.tobytes())
    db.execute(
        "INSERT INTO vector_blocks (block, recogniser, dim, place, capacity, rows, dead, codes_checksum, "
        "owners_checksum) VALUES (?, ?, ?, ?, ?, ?, 0, ?, ?)",
        (
            block.number, block.recogniser, block.dim, place, capacity, len(codes), compacted.codes_checksum,
            compacted.owners_checksum,
        ),
    )  # fmt: skip
    videos, firsts = np.unique(owners[:, 0], return_index=True)
    return [
        (block.number, first, video) for video, first in zip(videos.tolist(), firsts.tolist(), strict=True)
    ]


def _without(rows: _Rows, vacated: Sequence[tuple[int, int]]) -> Iterator[_Rows]:
    """The parts of some rows between those that are vacated."""
    start = 0
    for first, count in [*vacated, (len(rows.codes), 0)]:
        if start < first:
            yield _Rows(rows.codes[start:first], rows.owners[start:first])
        start = max(start, first + count)


def _checksums(rows: _Rows, vacated: Sequence[tuple[int, int]] = ()) -> tuple[int, int]:
    """Of the vectors and of the owners, as if the vacated rows were overwritten, whether they are or not."""
    codes, owners, start = 0, 0, 0
    for first, count in [*vacated, (len(rows.codes), 0)]:
        codes = zlib.crc32(np.ascontiguousarray(rows.codes[start:first]).data, codes)
        codes = zlib.crc32(bytes([_ZERO]) * (count * rows.codes.shape[1]), codes)
        owners = zlib.crc32(np.ascontiguousarray(rows.owners[start:first]).data, owners)
        owners = zlib.crc32(bytes(count * _OWNER_BYTES), owners)
        start = first + count
    return codes, owners


def _create(path: Path) -> BinaryIO:
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
    return os.fdopen(handle, "w+b", buffering=0)


def _header(generation: bytes) -> bytes:
    return _MAGIC.ljust(_HEADER_BYTES - _GENERATION_BYTES, b"\0") + generation


def _read_at(file: BinaryIO, place: int, count: int) -> bytes:
    file.seek(place)
    data = file.read(count)
    if len(data) != count:
        raise UnusableFile("torn")
    return data


def _write_at(file: BinaryIO, place: int, data: bytes) -> None:
    file.seek(place)
    view = memoryview(data)
    while view:  # a raw file may write less than it is given
        view = view[file.write(view) :]
