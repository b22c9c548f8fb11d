"""Clips -> metadata.json, clips.csv, frames.csv. File names, no paths unless asked: a result can be moved and given."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timezone
from fractions import Fraction
from pathlib import Path
from typing import Any

from facereel.query.records import Clip, Reference
from facereel.store.model.records import SOURCES, EngineInfo, FrameTimes, Video

SCHEMA = "facereel.clips/1"
JSON_FILE, CLIPS_FILE, FRAMES_FILE = "metadata.json", "clips.csv", "frames.csv"

CLIP_COLUMNS = (
    "file", "video", "start", "end", "duration", "start_frame", "end_frame", "start_pts", "end_pts",
    "start_reason", "end_reason", "tracklet", "similarity", "found", "evidence",
    "crop_mode", "width", "height",
)  # fmt: skip
FRAME_COLUMNS = (
    "file", "frame", "pts", "time", "box_x", "box_y", "box_w", "box_h",
    "crop_x", "crop_y", "crop_w", "crop_h", "source", "score",
)  # fmt: skip
# A cell that starts so is run as a formula by spreadsheets (OWASP, CSV injection).
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
LINE_WIDTH = 220  # characters: a frame's entry stays on one line of the JSON


def describe(
    clips: Sequence[Clip], files: Sequence[str], times: Mapping[str, FrameTimes],
    references: Sequence[Reference], engine: EngineInfo, threshold: float, created: datetime | None = None,
    search: Mapping[str, Any] | None = None, absolute: bool = False,
) -> dict[str, Any]:  # fmt: skip
    """The whole result as metadata.json holds it; `search` says what was searched and left out.

    `files` are the clips' file names, `times` go by the video's sha256, `threshold` is the threshold that was used.
    Boxes are in pixels of the displayed picture, times in seconds from the start as a player shows them.
    `absolute` adds where photos and videos lie.
    """
    moment = (created or datetime.now(timezone.utc)).astimezone(timezone.utc)
    return {
        "schema": SCHEMA,
        "created": moment.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "engine": {
            "name": engine.name,
            "detector_sha256": engine.detector_sha256,
            "recognizer_sha256": engine.recognizer_sha256,
        },
        "references": [
            {"file": Path(reference.path).name, "sha256": reference.sha256, "box": _round(reference.box, 2),
             "warnings": list(reference.warnings), **_path(reference.path, absolute)}
            for reference in references
        ],
        "threshold": round(float(threshold), 4),
        **({} if search is None else {"search": dict(search)}),
        "clips": [
            _clip(clip, file, times[clip.match.video.sha256], absolute)
            for clip, file in zip(clips, files, strict=True)
        ],
    }  # fmt: skip


def write_metadata(folder: Path, document: Mapping[str, Any], evidence: Sequence[str]) -> None:
    """Write the three files into a folder; `evidence` is a sentence a clip, for clips.csv."""
    (folder / JSON_FILE).write_text(_render(document) + "\n", encoding="utf-8")
    clips = document["clips"]
    _write_csv(folder / CLIPS_FILE, CLIP_COLUMNS, map(_clip_row, clips, evidence))
    _write_csv(folder / FRAMES_FILE, FRAME_COLUMNS, (row for clip in clips for row in _frame_rows(clip)))


def _path(path: str, absolute: bool) -> dict[str, str]:
    return {"path": str(Path(path).absolute())} if absolute else {}


def _clip(clip: Clip, file: str, times: FrameTimes, absolute: bool) -> dict[str, Any]:
    video, match = clip.match.video, clip.match
    start_pts, end_pts = int(times.pts[clip.start]), times.end_pts(clip.end)
    return {
        "file": file,
        "video": _video(video) | _path(video.path, absolute),
        "start": _seconds(video, start_pts),
        "end": _seconds(video, end_pts),
        "start_frame": clip.start,
        "end_frame": clip.end,
        "start_pts": start_pts,
        "end_pts": end_pts,
        "start_reason": clip.start_reason,
        "end_reason": clip.end_reason,
        "tracklet": match.tracklet.number,
        "similarity": round(float(match.similarity), 4),
        "found": match.matched,
        "crop": {"mode": clip.mode, "width": clip.width, "height": clip.height},
        "frames": list(_frames(clip, times)),
    }


def _frames(clip: Clip, times: FrameTimes) -> Iterator[dict[str, Any]]:
    seen = clip.sightings
    for frame, box, crop, source, score in zip(
        seen.frames.tolist(), seen.boxes, clip.crops, seen.sources.tolist(), seen.scores.tolist(), strict=True
    ):
        pts = int(times.pts[frame])
        yield {
            "frame": frame, "pts": pts, "time": _seconds(clip.match.video, pts), "box": _round(box, 2),
            "crop": _round(crop, 3), "source": SOURCES[source], "score": round(score, 4),
        }  # fmt: skip


def _video(video: Video) -> dict[str, Any]:
    return {
        "file": video.name, "sha256": video.sha256, "width": video.width, "height": video.height,
        "time_base": _ratio(video.time_base), "frame_rate": _ratio(video.frame_rate),
    }  # fmt: skip


def _ratio(value: Fraction) -> str:
    return f"{value.numerator}/{value.denominator}"


def _seconds(video: Video, pts: int) -> float:
    return round(video.seconds(pts), 6)


def _round(values: Iterable[float], digits: int) -> list[float]:
    return [round(float(value), digits) for value in values]


def _render(value: Any, margin: str = "") -> str:
    """JSON with what fits on a line on one line: a frame a line, whatever stands above it indented."""
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


def _clip_row(clip: Mapping[str, Any], evidence: str) -> list[Any]:
    crop = clip["crop"]
    return [
        clip["file"], clip["video"]["file"],
        clip["start"], clip["end"], round(clip["end"] - clip["start"], 6),
        clip["start_frame"], clip["end_frame"], clip["start_pts"], clip["end_pts"],
        clip["start_reason"], clip["end_reason"], clip["tracklet"],
        clip["similarity"], clip["found"], evidence,
        crop["mode"], crop["width"], crop["height"],
    ]  # fmt: skip


def _frame_rows(clip: Mapping[str, Any]) -> Iterator[list[Any]]:
    for frame in clip["frames"]:
        yield [
            clip["file"], frame["frame"], frame["pts"], frame["time"], *frame["box"], *frame["crop"],
            frame["source"], frame["score"],
        ]  # fmt: skip


def _write_csv(path: Path, columns: Sequence[str], rows: Iterable[list[Any]]) -> None:
    # With a byte order mark: without it Excel takes UTF-8 names for Latin ones.
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows([_cell(value) for value in row] for row in rows)


def _cell(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA_STARTS) else value
