"""Clips -> metadata.json, clips.csv, frames.csv, whose fields outputs/README.md documents.

By default only file names are written, no paths, so that a result can be moved and shared.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from fractions import Fraction
from itertools import chain, repeat
from pathlib import Path
from typing import Any, cast

import numpy as np

from facereel.query.records import ClipPlan, FrameFacts, PersonQuery, Reference
from facereel.store.files.names import with_escapes
from facereel.store.model.records import SOURCES, EngineInfo, Floats, Video
from facereel.store.model.version import FACEREEL_VERSION, RESULTS_VERSION

SCHEMA = "facereel.clips/2"
SCHEMAS = ("facereel.clips/1", SCHEMA)  # of all results that this version recognises as results
JSON_FILE, CLIPS_FILE, FRAMES_FILE = "metadata.json", "clips.csv", "frames.csv"

CLIP_COLUMNS = (
    "file", "video", "start", "end", "duration", "start_frame", "end_frame", "start_pts", "end_pts",
    "exact", "person_start_frame", "person_end_frame",
    "start_reason", "end_reason", "tracklet", "cluster", "similarity", "threshold", "matched", "certainty",
    "expected_strangers", "explanation",
    "codec", "crop_mode", "aspect", "width", "height", "speaking",
)  # fmt: skip
_FACT_COLUMNS = (
    "picture_share", "edge_distance", "other_faces", "other_face_size", "sharpness", "yaw", "landmarks_source",
    "speaking",
)  # fmt: skip
FRAME_COLUMNS = (
    "file", "frame", "pts", "time", "box_x", "box_y", "box_w", "box_h",
    "crop_x", "crop_y", "crop_w", "crop_h", "source", "score", *_FACT_COLUMNS,
    "left_eye_x", "left_eye_y", "right_eye_x", "right_eye_y", "nose_x", "nose_y",
    "left_mouth_x", "left_mouth_y", "right_mouth_x", "right_mouth_y",
)  # fmt: skip
# Spreadsheets run a cell that starts with one of these as a formula (OWASP, CSV injection).
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
LINE_WIDTH = 500  # characters: one frame of a clip fits on one line of the JSON


def _now() -> datetime:
    return datetime.now(timezone.utc)


@dataclass(frozen=True, slots=True, eq=False)
class ResultHeader:
    """What a result says besides its clips: the question, what it was answered with, and what was searched."""

    person: PersonQuery
    engine: EngineInfo
    threshold: float  # similarity from which on a match with good face crops is sure
    statistics: Mapping[str, Any]  # see PersonMatches.statistics
    absolute: bool = False  # also write the absolute paths of photos and videos
    exports: tuple[str, ...] = ()  # files of the result for other programs
    lost: tuple[str, ...] = ()  # what the clips do not keep of the videos, one sentence each
    created: datetime = field(default_factory=_now)


def write_metadata(folder: Path, header: ResultHeader, clips: Sequence[ClipPlan]) -> dict[str, Any]:
    """Write the three files into a folder; returns the content of metadata.json. Raises OSError."""
    document = describe(header, clips)
    (folder / JSON_FILE).write_text(_render(document) + "\n", encoding="utf-8")
    _write_csv(folder / CLIPS_FILE, CLIP_COLUMNS, map(_clip_row, document["clips"]))
    rows = (row for clip in document["clips"] for row in _frame_rows(clip))
    _write_csv(folder / FRAMES_FILE, FRAME_COLUMNS, rows)
    return document


def describe(header: ResultHeader, clips: Sequence[ClipPlan], cut: bool = True) -> dict[str, Any]:
    """The content of metadata.json; unless the clips were `cut`, their `file` is None."""
    engine = header.engine
    document = {
        "schema": SCHEMA,
        "facereel_version": FACEREEL_VERSION,
        "results_version": RESULTS_VERSION,
        "created": header.created.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "name": header.person.name,
        "person": header.person.person,
        "references": [_reference(reference, header.absolute) for reference in header.person.references],
        "unlike": [_reference(reference, header.absolute) for reference in header.person.unlike],
        "with": list(header.person.others.present),
        "without": list(header.person.others.absent),
        "engine": {
            "name": engine.name,
            "detector_sha256": engine.detector_sha256,
            "recognizer_sha256": engine.recognizer_sha256,
        },
        "threshold": round(float(header.threshold), 4),
        "search": dict(header.statistics),
        "exports": list(header.exports),
        "lost": list(header.lost),
        "clips": [_clip(clip, cut, header.absolute) for clip in clips],
    }  # fmt: skip
    return cast(dict[str, Any], with_escapes(document))


def _reference(reference: Reference, absolute: bool) -> dict[str, Any]:
    return {
        "file": Path(reference.path).name, "sha256": reference.sha256, "frame": reference.frame,
        "box": _round(reference.box, 2), "warnings": list(reference.warnings), **_path(reference.path, absolute),
    }  # fmt: skip


def _path(path: str, absolute: bool) -> dict[str, str]:
    return {"path": str(Path(path).absolute())} if absolute else {}


def _clip(clip: ClipPlan, cut: bool, absolute: bool) -> dict[str, Any]:
    video, match = clip.match.video, clip.match
    return {
        "file": clip.file if cut else None,
        "video": _video(video) | _path(video.path, absolute),
        "start": round(clip.start_time, 6),
        "end": round(clip.end_time, 6),
        "duration": round(clip.duration, 6),
        "start_frame": clip.start,
        "end_frame": clip.end,
        "start_pts": int(clip.ticks[0]),
        "end_pts": int(clip.ticks[-1]),
        "exact": clip.exact,
        "person_start_frame": clip.person_start,
        "person_end_frame": clip.person_end,
        "start_reason": clip.start_reason,
        "end_reason": clip.end_reason,
        "tracklet": match.tracklet.number,
        "cluster": match.tracklet.cluster,
        "similarity": round(float(match.similarity), 4),
        "threshold": round(float(match.threshold), 4),
        "matched": match.matched,
        "certainty": match.certainty,
        "expected_strangers": float(f"{match.expected_strangers:.3g}"),
        "explanation": match.explanation,
        "codec": clip.codec,
        "crop": {"mode": clip.mode, "aspect": clip.aspect, "width": clip.width, "height": clip.height},
        "speaking": _share(clip.facts),
        "frames": list(_frames(clip)),
    }


def _frames(clip: ClipPlan) -> Iterator[dict[str, Any]]:
    sightings, video, facts = clip.sightings, clip.match.video, _facts(clip.facts)
    places = {frame: place for place, frame in enumerate(sightings.frames.tolist())}
    for frame, (pts, crop) in enumerate(zip(clip.ticks[:-1].tolist(), clip.crops, strict=True), clip.start):
        place = places.get(frame)  # None where the person is not visible, or not followed
        yield {
            "frame": frame, "pts": pts, "time": round(video.seconds(pts), 6),
            "box": None if place is None else _round(sightings.boxes[place], 2),
            "crop": _round(crop, 3),
            "source": None if place is None else SOURCES[sightings.sources[place]],
            "score": None if place is None else round(float(sightings.scores[place]), 4),
            **{
                name: None if place is None or values is None else values[place]
                for name, values in facts.items()
            },
        }  # fmt: skip


def _facts(facts: FrameFacts | None) -> dict[str, list[Any] | None]:
    """What is known of the face in all frames besides its box, by the names in the file."""
    if facts is None:
        return dict.fromkeys((*_FACT_COLUMNS, "landmarks"))
    sources = (
        None if facts.detected is None else np.where(facts.detected, "detected", "interpolated").tolist()
    )
    return {
        "picture_share": _values(facts.picture_shares, 6),
        "edge_distance": _values(facts.edge_distances, 1),
        "other_faces": None if facts.other_faces is None else facts.other_faces.tolist(),
        "other_face_size": _values(facts.other_face_sizes, 3),
        "sharpness": _values(facts.sharpness, 3),
        "yaw": _values(facts.yaws, 1),
        "landmarks_source": sources,
        "speaking": _values(facts.speaking, 3),
        "landmarks": _values(facts.landmarks, 1),
    }


def _share(facts: FrameFacts | None) -> float | None:
    """Of the frames in which mouth and sound agree."""
    if facts is None or facts.speaking is None:
        return None
    return round(float(np.mean(facts.speaking > 0)), 4)


def _values(values: Floats | None, digits: int) -> list[Any] | None:
    return None if values is None else [*np.round(values.astype(np.float64), digits).tolist()]


def _video(video: Video) -> dict[str, Any]:
    return {
        "file": video.name, "sha256": video.sha256, "width": video.width, "height": video.height,
        "time_base": _ratio(video.time_base), "frame_rate": _ratio(video.frame_rate),
    }  # fmt: skip


def _ratio(value: Fraction) -> str:
    return f"{value.numerator}/{value.denominator}"


def _round(values: Iterable[float], digits: int) -> list[float]:
    return [round(float(value), digits) for value in values]


def _render(value: Any, margin: str = "") -> str:
    """JSON in which a value that fits on one line stands on one line, as each frame does; others are indented."""
    flat = json.dumps(value, ensure_ascii=False)
    if not isinstance(value, dict | list) or not value or (len(flat) <= LINE_WIDTH and margin):
        return flat
    inner = margin + "  "
    if isinstance(value, dict):
        entries = [f"{json.dumps(key)}: {_render(entry, inner)}" for key, entry in value.items()]
        opening, closing = "{", "}"
    else:
        entries, (opening, closing) = [_render(entry, inner) for entry in value], "[]"
    return f"{opening}\n{inner}" + f",\n{inner}".join(entries) + f"\n{margin}{closing}"


def _clip_row(clip: Mapping[str, Any]) -> list[Any]:
    flat = {**clip, "video": clip["video"]["file"], "crop_mode": clip["crop"]["mode"], **clip["crop"]}
    return [flat[column] for column in CLIP_COLUMNS]


def _frame_rows(clip: Mapping[str, Any]) -> Iterator[list[Any]]:
    for frame in clip["frames"]:
        yield [
            clip["file"], frame["frame"], frame["pts"], frame["time"], *(frame["box"] or repeat("", 4)),
            *frame["crop"], frame["source"], frame["score"], *(frame[name] for name in _FACT_COLUMNS),
            *(chain(*frame["landmarks"]) if frame["landmarks"] else repeat("", 10)),
        ]  # fmt: skip


def _write_csv(path: Path, columns: Sequence[str], rows: Iterable[list[Any]]) -> None:
    # With a byte order mark, without which Excel reads UTF-8 as Latin-1.
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows([cell(value) for value in row] for row in rows)


def cell(value: Any) -> Any:
    """A value for CSV, of which a spreadsheet runs nothing: an apostrophe stands before what it took for a formula."""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA_STARTS) else value
