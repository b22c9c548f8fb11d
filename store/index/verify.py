"""Is an index sound? Its pages, its rows, what is derived from them, and its video."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from facereel.store.files.names import printable
from facereel.store.index import rows, schema, vectors
from facereel.store.index.checksum import compare_checksum
from facereel.store.index.database import DATABASE, open_readonly, reading
from facereel.store.index.reader import VideoIndex
from facereel.store.model.errors import FaceReelError
from facereel.store.model.records import Video
from facereel.store.model.version import results_warning

# How SQLite writes down what an index from elsewhere may hold: no trigger, no virtual table.
_HARMLESS = re.compile(r"CREATE (TABLE|VIEW|(UNIQUE )?INDEX) ")


@dataclass(frozen=True, slots=True)
class Health:
    """What a check of one index brought to light."""

    name: str
    problems: tuple[str, ...]  # each with its remedy
    notes: tuple[str, ...] = ()  # what was rebuilt, and what to know about the index


def check_index(folder: Path, check_source: Callable[[Video], None], video_path: str | None = None) -> Health:
    """Check an index from its pages up to its video; what is derived from its rows is rebuilt if it has to be.

    `check_source` raises a FaceReelError when the video is gone or another; `video_path` as for VideoIndex.
    """
    try:
        with VideoIndex(folder, video_path) as index:
            name = index.video.name
            check_content(index)
            notes = (*_rebuild(index), *_results_note(index))
            problems = _source_problem(index.video, check_source)
    except FaceReelError as error:
        return Health(folder.name, (str(error),))
    return Health(name, problems, notes)


def check_tables(folder: Path) -> None:
    """Raise DamagedIndexError for an index from elsewhere that holds more than tables, or lacks one.

    A trigger would run at every change, and could keep the faces that `forget` deletes.
    """
    with closing(open_readonly(folder)) as connection, reading(folder):
        query = "SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL"
        found = [(str(name), str(sql)) for name, sql in connection.execute(query)]
        if not all(_HARMLESS.match(sql) for _, sql in found):
            raise ValueError("it holds a trigger or a virtual table")
        if not {name for name, sql in found if sql.startswith("CREATE TABLE ")} >= schema.TABLES:
            raise ValueError("a table is missing")


def check_content(index: VideoIndex) -> None:
    """Read every page and every row of an index, and compare its checksum; raises DamagedIndexError."""
    _check_pages(index.folder, index.video.path)
    _check_rows(index)


def _check_pages(folder: Path, video_path: str) -> None:
    with closing(open_readonly(folder)) as connection, reading(folder, video_path):
        results = [row[0] for row in connection.execute("PRAGMA integrity_check(1)")]
        if results != ["ok"]:
            raise ValueError(results[0])
        if connection.execute("PRAGMA foreign_key_check").fetchone():
            raise ValueError("a row points at one that is not there")
        compare_checksum(folder / DATABASE)


def _check_rows(index: VideoIndex) -> None:
    """Read every row, and compare the counts; raises DamagedIndexError."""
    shots, tracklets = index.shots(), index.tracklets()
    index.times()
    with reading(index.folder, index.video.path), rows.values():
        edges = [shot.start for shot in shots] + [index.video.frame_count]
        if edges[0] != 0 or [shot.end for shot in shots] != edges[1:]:
            raise ValueError("its shots do not follow on each other")
        if any(
            not shots[item.shot].start <= item.start < item.end <= shots[item.shot].end for item in tracklets
        ):
            raise ValueError("a tracklet lies outside its shot")
        if sorted(n for cluster in index.clusters() for n in cluster.tracklets) != [
            t.number for t in tracklets
        ]:
            raise ValueError("a tracklet belongs to nobody, or to two")
    faces = 0
    for tracklet in tracklets:
        faces += len(index.sightings([tracklet.number])[tracklet.number])
        index.exemplars([tracklet.number])
    exemplars, spans = (
        index.exemplar_arrays(),
        {item.number: range(item.start, item.end) for item in tracklets},
    )
    with reading(index.folder, index.video.path):
        if any(
            frame not in spans.get(number, ())
            for number, frame in zip(exemplars.tracklets.tolist(), exemplars.frames.tolist(), strict=True)
        ):
            raise ValueError("an exemplar belongs to no tracklet")
        if index.stats.faces != faces:
            raise ValueError(f"{faces} faces where {index.stats.faces} were counted")


def _rebuild(index: VideoIndex) -> tuple[str, ...]:
    """Rebuild what is derived from the rows where it is not as it should be; says what was."""
    reason = index.check_vectors()
    if not reason:
        return ()
    index.rebuild_vectors()
    return (f"{vectors.VECTORS} was {reason}; rebuilt from {DATABASE}",)


def _results_note(index: VideoIndex) -> tuple[str, ...]:
    video = index.video
    command = f"facereel index --force {shlex.quote(printable(video.path))}"
    note = results_warning(printable(video.name), index.facereel_version, index.results_version, command)
    return () if note is None else (note,)


def _source_problem(video: Video, check_source: Callable[[Video], None]) -> tuple[str, ...]:
    try:
        check_source(video)
    except FaceReelError as error:
        return (str(error),)
    return ()
