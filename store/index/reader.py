"""One video's index, read-only.

Reading raises DamagedIndexError for whatever an altered file makes of its rows, NewerIndexError for one from
a newer version, and nothing of SQLite's.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from types import TracebackType

import numpy as np

from facereel.store.files.locks import folder_lock
from facereel.store.files.names import printable
from facereel.store.index import rows, vectors
from facereel.store.index.database import (
    DATABASE,
    IndexVersion,
    open_readonly,
    open_version,
    read_version,
    reading,
)
from facereel.store.index.embeddings import (
    BestExemplars,
    ClusterEmbeddings,
    PooledEmbeddings,
    pool_clusters,
    pool_exemplars,
    rows_by_tracklet,
)
from facereel.store.index.vectors import Vectors
from facereel.store.model.errors import OptionError
from facereel.store.model.records import (
    SOURCES,
    Cluster,
    EngineInfo,
    Exemplar,
    ExemplarArrays,
    Floats,
    FrameTimes,
    Ints,
    Shot,
    Sightings,
    Tracklet,
    Video,
)
from facereel.store.model.views import pooled_probability, shows_face

logger = logging.getLogger(__name__)

# A source's position in SOURCES; NULL, and so damage, for any other word.
_SOURCE = "CASE source " + " ".join(f"WHEN '{word}' THEN {n}" for n, word in enumerate(SOURCES)) + " END"

_COUNTS = (
    "SELECT (SELECT count(*) FROM shots), (SELECT count(*) FROM tracklets), (SELECT count(*) FROM clusters)"
)


def read_video(folder: Path, video_path: str | None = None) -> tuple[Video, EngineInfo]:
    """What a listing shows of an index, at the cost of one row of it; `video_path` as for VideoIndex."""
    with closing(open_readonly(folder, video_path)) as connection, reading(folder, video_path):
        return _identity(connection)


@dataclass(frozen=True, slots=True)
class Counts:
    """How much an index has of what."""

    shots: int
    tracklets: int
    clusters: int


class VideoIndex:
    """An open index, read-only; a newer one may be written meanwhile, this one goes on showing the old."""

    version: IndexVersion  # what was opened, read before it was

    def __init__(self, folder: Path, video_path: str | None = None) -> None:
        """Open a folder; raises DamagedIndexError, NewerIndexError, StoreError when it may not be read.

        The errors name `video_path` in their remedy where index.db does not tell where its video lies.
        """
        self.folder = folder
        self._connection, self.version = open_version(folder, video_path)
        try:
            with reading(folder, video_path), rows.values():
                self.video, self.engine = _identity(self._connection)
                self.config: dict[str, float | int | str] = {
                    str(key): _setting(value) for key, value in self._all("SELECT key, value FROM config")
                }
                (stats,) = self._all("SELECT * FROM stats")
                self.stats = rows.stats_of(stats)
                meta = {str(key): str(value) for key, value in self._all("SELECT key, value FROM meta")}
                self.facereel_version = meta["facereel_version"]
                self.results_version = int(meta["results_version"])
                self.indexed_at = meta.get("indexed_at")  # UTC; None where an older version did not write it
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> VideoIndex:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Everything read inside is one state of the file; writers in place wait meanwhile, so be quick."""
        with reading(self.folder, self.video.path):
            self._connection.execute("BEGIN")
        try:
            yield
        finally:
            self._connection.rollback()

    def unchanged(self) -> bool:
        """Is what was opened still what lies there? Whoever stores what was read asks before."""
        return read_version(self.folder) == self.version

    def times(self, start: int = 0, end: int | None = None) -> FrameTimes:
        """When each frame is shown, in ticks; of all frames, or of [start, end)."""
        last = self.video.frame_count if end is None else end
        query = "SELECT frame, pts, duration FROM frames WHERE frame >= ? AND frame < ? ORDER BY frame"
        with reading(self.folder, self.video.path):
            numbers = self._numbers(query, start, last).reshape(-1, 3)
            if not np.array_equal(numbers[:, 0], np.arange(start, last)):
                raise ValueError("frames are missing")
            return FrameTimes(numbers[:, 1].copy(), numbers[:, 2].copy())

    def counts(self) -> Counts:
        """How much there is, without reading it."""
        with reading(self.folder, self.video.path), rows.values():
            return Counts(*self._numbers(_COUNTS).tolist())

    def shots(self) -> tuple[Shot, ...]:
        """All shots, by number."""
        with reading(self.folder, self.video.path), rows.values():
            found = self._all("SELECT shot, start_frame, end_frame FROM shots ORDER BY shot")
            return tuple(Shot(int(shot), int(start), int(end)) for shot, start, end in found)

    def clusters(self) -> tuple[Cluster, ...]:
        """All clusters, by number, each with its tracklets in order."""
        with reading(self.folder, self.video.path), rows.values():
            members: dict[int, list[int]] = {}
            for cluster, tracklet in self._all("SELECT cluster, tracklet FROM tracklets ORDER BY tracklet"):
                members.setdefault(int(cluster), []).append(int(tracklet))
            return tuple(
                Cluster(int(cluster), None if name is None else str(name), tuple(members.get(cluster, ())))
                for cluster, name in self._all("SELECT cluster, name FROM clusters ORDER BY cluster")
            )

    def tracklets(self) -> tuple[Tracklet, ...]:
        """All tracklets, by number."""
        with reading(self.folder, self.video.path):
            return tuple(map(rows.tracklet_of, self._all("SELECT * FROM tracklets ORDER BY tracklet")))

    def end_boxes(self, tracklet: Tracklet) -> Floats:
        """The first and the last box (2, 4) of a tracklet, x y w h."""
        with reading(self.folder, self.video.path), rows.values():
            return rows.end_boxes(self._connection, tracklet)

    def box(self, tracklet: int, frame: int) -> Floats:
        """The box (4,) x y w h of a tracklet in one of its frames; no row there is damage."""
        query = """SELECT x_tenths, y_tenths, w_tenths, h_tenths FROM sightings
                   WHERE tracklet = ? AND frame = ?"""
        with reading(self.folder, self.video.path):
            tenths = self._numbers(query, tracklet, frame)
            if len(tenths) != 4:
                raise ValueError(f"tracklet {tracklet} has no face in frame {frame}")
            return np.asarray(tenths / 10, np.float32)

    def sightings(self, numbers: Iterable[int]) -> dict[int, Sightings]:
        """The faces of some tracklets, by tracklet number; boxes are kept to 0.1 px, scores to 0.001.

        Raises OptionError for a number that no tracklet has.
        """
        spans = "SELECT start_frame, end_frame FROM tracklets WHERE tracklet = ?"
        boxes = f"""SELECT frame, x_tenths, y_tenths, w_tenths, h_tenths, score_thousandths, {_SOURCE}
                    FROM sightings WHERE tracklet = ? ORDER BY frame"""
        found = {}
        for number in map(int, numbers):
            with reading(self.folder, self.video.path):
                span = self._all(spans, number)
                if span:
                    found[number] = rows.sightings_of(self._numbers(boxes, number), *span[0])
            if not span:
                raise OptionError(
                    f"tracklet {number} is not in {printable(self.video.name)}; name one that its index has"
                )
        return found

    def faces_between(self, start: int, end: int) -> dict[int, tuple[int, Floats]]:
        """The faces in frames [start, end), by tracklet: the first of its frames and its boxes (N, 4), x y w h."""
        query = """SELECT tracklet, sightings.frame, x_tenths, y_tenths, w_tenths, h_tenths
                   FROM tracklets JOIN sightings USING (tracklet)
                   WHERE start_frame < ? AND end_frame > ? AND sightings.frame >= ? AND sightings.frame < ?
                   ORDER BY tracklet, sightings.frame"""
        with reading(self.folder, self.video.path):
            table = self._numbers(query, end, start, start, end).reshape(-1, 6)
            found = {}
            for number in sorted(set(table[:, 0].tolist())):  # np.unique would import numpy.ma
                own = table[table[:, 0] == number]
                first = int(own[0, 1])
                if not np.array_equal(own[:, 1], np.arange(first, first + len(own))):
                    raise ValueError(f"sightings of tracklet {number} are missing")
                found[number] = first, (own[:, 2:] / 10).astype(np.float32)
            return found

    def exemplars(self, numbers: Iterable[int] | None = None) -> dict[int, tuple[Exemplar, ...]]:
        """The stored exemplars with their crops, by tracklet number, of some tracklets or of all that have any."""
        with reading(self.folder, self.video.path):
            if numbers is None:
                with rows.values():
                    found = self._all("SELECT DISTINCT tracklet FROM exemplars ORDER BY 1")
                    numbers = [int(row[0]) for row in found]
            query = "SELECT * FROM exemplars WHERE tracklet = ? ORDER BY exemplar"
            return {
                number: tuple(rows.exemplar_of(row, self.engine.dim) for row in self._all(query, number))
                for number in map(int, numbers)
            }

    def crops_have_margins(self) -> bool:
        """Can its face crops be aligned again? Those of older indexes are stored aligned."""
        with reading(self.folder, self.video.path):
            return bool(self._all("SELECT count(*) FROM exemplars WHERE region IS NOT NULL")[0][0])

    def exemplar_arrays(self) -> ExemplarArrays:
        """The exemplars of all tracklets as arrays, by exemplar number, without their crops."""
        with reading(self.folder, self.video.path):
            return _exemplar_arrays(self._connection, self.engine.dim)

    def exemplar_count(self) -> int:
        """How many exemplars its tracklets have together."""
        with reading(self.folder, self.video.path):
            return int(self._all("SELECT count(*) FROM exemplars")[0][0])

    def people_count(self) -> int:
        """How many of its clusters show a clear face: the others may be no people at all."""
        query = """SELECT cluster, tracklet, face_width, face_probability
                   FROM tracklets LEFT JOIN exemplars USING (tracklet)"""
        with reading(self.folder, self.video.path):
            by_tracklet: dict[tuple[int, int, float], list[float | None]] = {}
            for cluster, tracklet, width, probability in self._all(query):
                by_tracklet.setdefault((cluster, tracklet, width), []).append(probability)
        return len({key[0] for key, own in by_tracklet.items() if shows_face(key[2], own)})

    def pooled(self) -> PooledEmbeddings:
        """One embedding for each tracklet and each cluster, pooled from the exemplars."""
        tracklets, exemplars = self.tracklets(), self.exemplar_arrays()
        with reading(self.folder, self.video.path):
            return pool_exemplars(tracklets, exemplars, self.video.frame_rate)

    def best_exemplars(self) -> BestExemplars:
        """What the best exemplar of each tracklet looks like; tracklets without exemplars are left out."""
        query = """SELECT tracklet, quality, w, sharpness, frontality, coalesce(face_probability, 1)
                   FROM exemplars JOIN tracklets USING (tracklet) ORDER BY exemplar"""
        with reading(self.folder, self.video.path), rows.values():
            table = np.array([tuple(row) for row in self._all(query)], np.float64).reshape(-1, 6)
            groups = rows_by_tracklet(table[:, 0].astype(np.int64))
            best = [int(own[table[own, 1].astype(np.float32).argmax()]) for own in groups.values()]
            qualities, widths, sharpness, frontality = np.ascontiguousarray(table[best, 1:5].T, np.float32)
            faces = np.array([pooled_probability(table[own, 5]) for own in groups.values()], np.float32)
            return BestExemplars(
                np.array(list(groups), np.int64), qualities, widths, sharpness, frontality, faces
            )

    def tracklet_seconds(self) -> dict[int, tuple[float, float]]:
        """When each tracklet starts and ends, seconds as a player shows them, by tracklet number."""
        query = """SELECT tracklet, first.pts, last.pts + last.duration FROM tracklets
                   JOIN frames first ON first.frame = start_frame
                   JOIN frames last ON last.frame = end_frame - 1"""
        with reading(self.folder, self.video.path), rows.values():
            found = {
                int(tracklet): (self.video.seconds(int(start)), self.video.seconds(int(end)))
                for tracklet, start, end in self._all(query)
            }
            if len(found) != self._all("SELECT count(*) FROM tracklets")[0][0]:
                raise ValueError("frames are missing")
            return found

    def vectors(self) -> Vectors:
        """The tracklet embeddings, to be searched; vectors.faiss is rebuilt if it is missing, stale or damaged."""
        with reading(self.folder, self.video.path):
            numbers = self._numbers(
                "SELECT DISTINCT tracklet FROM exemplars JOIN tracklets USING (tracklet) ORDER BY 1"
            )
            source = self._vectors_source()
        try:
            return vectors.read(self.folder, numbers, self.engine.dim, source)
        except vectors.UnusableVectors as reason:
            path = printable(self.folder / vectors.VECTORS)
            logger.warning("%s is rebuilt from %s: %s", path, DATABASE, reason)
        return self.rebuild_vectors()

    def check_vectors(self) -> str:
        """What is wrong with vectors.faiss, compared with the rows in full; nothing if it is as it should be."""
        pooled = self.pooled()
        with reading(self.folder, self.video.path):
            source = self._vectors_source()
        try:
            written = vectors.read(self.folder, pooled.tracklets, self.engine.dim, source)
        except vectors.UnusableVectors as reason:
            return str(reason)
        # Another processor may add up in another order.
        alike = np.allclose(written.contents()[1], pooled.embeddings, rtol=0, atol=1e-5)
        return "" if alike else "not of these rows"

    def clusters_by(self, tracklet_vectors: Vectors) -> ClusterEmbeddings:
        """The clusters, pooled from the vectors of their tracklets: those of `pooled`, without reading exemplars."""
        query = "SELECT tracklet, quality FROM exemplars ORDER BY exemplar"
        tracklets = self.tracklets()
        with reading(self.folder, self.video.path), rows.values():
            found = self._all(query)
            owners = np.array([row[0] for row in found], np.int64)
            qualities = np.array([row[1] for row in found], np.float32)
            return pool_clusters(
                tracklets, owners, qualities, tracklet_vectors.contents()[1], self.video.frame_rate
            )

    def rebuild_vectors(self) -> Vectors:
        """Build the vectors from the rows, and write vectors.faiss where the store can be written."""
        pooled = self.pooled()
        rebuilt = vectors.build(pooled.tracklets, pooled.embeddings)
        with reading(self.folder, self.video.path):
            source = self._vectors_source()
        # Under the store's lock nobody replaces the folder: vectors of an old index never come into a new one.
        with suppress(OSError), folder_lock(self.folder.parent):
            if self.unchanged():
                vectors.write(self.folder, rebuilt, source)
        return rebuilt

    def _vectors_source(self) -> bytes:
        return vectors.source_digest(_digest(self._connection), self.version.change_counter)

    def _numbers(self, query: str, *values: int) -> Ints:
        """All values of all rows in a line; raises ValueError on one that is no number."""
        cursor = self._connection.cursor()
        cursor.row_factory = None  # plain tuples: a film has a million rows
        with rows.values():
            return np.fromiter(chain.from_iterable(cursor.execute(query, values)), dtype=np.int64)

    def _all(self, query: str, *values: int) -> list[sqlite3.Row]:
        return self._connection.execute(query, values).fetchall()


def _identity(connection: sqlite3.Connection) -> tuple[Video, EngineInfo]:
    (video,) = connection.execute("SELECT * FROM video").fetchall()
    (engine,) = connection.execute("SELECT * FROM engine").fetchall()
    return rows.video_of(video), rows.engine_of(engine)


def _setting(value: object) -> float | int | str:
    if not isinstance(value, (float, int, str)):
        raise ValueError("a setting is neither number nor text")
    return value


def _exemplar_arrays(connection: sqlite3.Connection, dim: int) -> ExemplarArrays:
    """All exemplars, by number; raises ValueError when the embeddings are not those written."""
    query = """SELECT exemplar, tracklet, frame, quality, w, sharpness, frontality, embedding
               FROM exemplars ORDER BY exemplar"""
    found = connection.execute(query).fetchall()
    with rows.values():
        numbers = np.array([tuple(row)[:3] for row in found], dtype=np.int64).reshape(-1, 3)
        figures = np.array([tuple(row)[3:7] for row in found], dtype=np.float32).reshape(-1, 4)
    embeddings = rows.embeddings_of([row[7] for row in found], dim)
    if vectors.rows_digest(numbers[:, 0], embeddings) != _digest(connection):
        raise ValueError("embeddings were altered")
    qualities, widths, sharpness, frontality = np.ascontiguousarray(figures.T)
    tracklets, frames = numbers[:, 1].copy(), numbers[:, 2].copy()
    return ExemplarArrays(embeddings, tracklets, frames, qualities, widths, sharpness, frontality)


def _digest(connection: sqlite3.Connection) -> str:
    (row,) = connection.execute("SELECT sha256 FROM vectors").fetchall()
    return rows.hex_digest(row[0])


def write_vectors(folder: Path) -> None:
    """Write vectors.faiss into a folder that only this process knows; reads all exemplars, and raises on damage."""
    with VideoIndex(folder) as index, reading(folder):
        pooled = index.pooled()
        source = vectors.source_digest(_digest(index._connection), index.version.change_counter)
        vectors.write(folder, vectors.build(pooled.tracklets, pooled.embeddings), source)
