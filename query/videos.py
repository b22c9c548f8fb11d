"""What is known of indexed videos: a summary, everything about one, and whether an index is sound."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np

from query.source import check_source
from store import pooled_file, seal, vectors
from store.database import DATABASE, open_readonly, reading
from store.errors import FaceReelError, StoreError
from store.library import Library
from store.pooled_header import POOLED
from store.records import FrameTimes, Person, Tracklet, Video
from store.video_index import VideoIndex


@dataclass(frozen=True, slots=True)
class Health:
    """What a check of one index brought to light."""

    name: str
    problems: tuple[str, ...]  # each with its remedy
    notes: tuple[str, ...] = ()  # what was put right meanwhile


def listing(library: Library) -> tuple[list[dict[str, Any]], list[tuple[Path, StoreError]]]:
    """A row for every index, and the folders of those that cannot be read with the reason why."""
    found = library.listing()
    rows, failures = [], list(found.failures)
    for entry in found.entries:
        try:
            with VideoIndex(entry.folder) as index:
                rows.append(summary(index))
        except StoreError as error:
            failures.append((entry.folder, error))
    return rows, failures


def summary(index: VideoIndex) -> dict[str, Any]:
    """One row of a listing."""
    video = index.video
    return {
        "video": video.name, "length": round(video.duration(index.times()), 6),
        "width": video.width, "height": video.height, "shots": len(index.shots()),
        "tracklets": len(index.tracklets()), "people": len(index.people()), "engine": index.engine.name,
        "indexed": _written(index.folder), "folder": str(index.folder), "sha256": video.sha256,
    }  # fmt: skip


def details(index: VideoIndex) -> dict[str, Any]:
    """Everything about one video, its people with the seconds they are seen."""
    video, times, tracklets = index.video, index.times(), index.tracklets()
    return {
        **summary(index),
        "path": video.path, "bytes": video.size, "codec": video.codec, "has_audio": video.has_audio,
        "rotation": video.rotation, "sample_aspect_ratio": str(video.sample_aspect_ratio),
        "time_base": str(video.time_base), "frame_rate": str(video.frame_rate), "frames": video.frame_count,
        "frames_skipped": index.stats.skipped, "frames_damaged": index.stats.damaged,
        "frames_concealed": index.stats.concealed, "frames_missing": index.stats.missing,
        "faces": index.stats.faces, "frames_searched": index.stats.searched,
        "seconds_to_index": round(index.stats.seconds, 3), "warnings": list(video.warnings),
        "weights": {
            "detector_sha256": index.engine.detector_sha256,
            "recognizer_sha256": index.engine.recognizer_sha256, "vector_length": index.engine.dim,
        },
        "config": index.config,
        "who": [
            {"person": person.number, "name": person.name, "tracklets": len(person.tracklets),
             "seconds": round(screen_time(person, tracklets, video, times), 3)}
            for person in index.people()
        ],
    }  # fmt: skip


def screen_time(person: Person, tracklets: tuple[Tracklet, ...], video: Video, times: FrameTimes) -> float:
    """How long somebody is seen, seconds; a frame counts once."""
    seen = np.zeros(len(times.pts), bool)
    for tracklet in tracklets:
        if tracklet.person == person.number:
            seen[tracklet.start : tracklet.end] = True
    return float(int(times.durations[seen].sum()) * video.time_base)


def verify(folder: Path, content: bool = False) -> Health:
    """Check an index from its pages up to its video; what is derived from its rows is made anew if it has to be.

    That the video is the same is told by size and time, by `content` also by reading it as a whole.
    """
    try:
        with VideoIndex(folder) as index:
            name = index.video.name
            _check_pages(folder, index.video.path)
            _check_rows(index)
            notes = _put_right(index)
            problems = _source_problem(index.video, content)
    except FaceReelError as error:
        return Health(folder.name, (str(error),))
    return Health(name, problems, notes)


def _written(folder: Path) -> str:
    moment = datetime.fromtimestamp((folder / DATABASE).stat().st_mtime, timezone.utc)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _check_pages(folder: Path, video_path: str) -> None:
    with closing(open_readonly(folder)) as connection, reading(folder, video_path):
        said = [row[0] for row in connection.execute("PRAGMA integrity_check(1)")]
        if said != ["ok"]:
            raise ValueError(said[0])
        if connection.execute("PRAGMA foreign_key_check").fetchone():
            raise ValueError("a row points at one that is not there")
        seal.check(connection)


def _check_rows(index: VideoIndex) -> None:
    """Read every row, and hold the counts against each other; raises DamagedIndexError."""
    shots, tracklets = index.shots(), index.tracklets()
    index.times()
    with reading(index.folder, index.video.path):
        edges = [shot.start for shot in shots] + [index.video.frame_count]
        if edges[0] != 0 or [shot.end for shot in shots] != edges[1:]:
            raise ValueError("its shots do not follow on each other")
        if any(
            not shots[item.shot].start <= item.start < item.end <= shots[item.shot].end for item in tracklets
        ):
            raise ValueError("a tracklet lies outside its shot")
        if sorted(n for person in index.people() for n in person.tracklets) != [t.number for t in tracklets]:
            raise ValueError("a tracklet belongs to nobody, or to two")
    faces = 0
    for tracklet in tracklets:
        faces += len(index.sightings([tracklet.number])[tracklet.number])
        index.exemplars([tracklet.number])
    looks, spans = index.looks(), {item.number: range(item.start, item.end) for item in tracklets}
    with reading(index.folder, index.video.path):
        if any(
            frame not in spans.get(number, ())
            for number, frame in zip(looks.tracklets.tolist(), looks.frames.tolist(), strict=True)
        ):
            raise ValueError("a look belongs to no tracklet")
        if index.stats.faces != faces:
            raise ValueError(f"{faces} faces where {index.stats.faces} were counted")


def _put_right(index: VideoIndex) -> tuple[str, ...]:
    """Make anew what is derived from the rows where it is not as it should be; says what was."""
    notes = []
    digest = vectors.rows_digest(index.exemplar_numbers(), index.looks().embeddings)
    try:
        vectors.read(index.folder, digest)
    except vectors.UnusableVectors as reason:
        index.vectors()
        notes.append(f"{vectors.VECTORS} was {reason}; made anew from {DATABASE}")
    if reason_pooled := pooled_file.put_right(index.folder):
        notes.append(f"{POOLED} was {reason_pooled}; made anew from {DATABASE}")
    return tuple(notes)


def _source_problem(video: Video, content: bool) -> tuple[str, ...]:
    try:
        check_source(video, content)
    except FaceReelError as error:
        return (str(error),)
    return ()
