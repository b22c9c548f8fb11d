"""What a data set says of itself: manifest.jsonl, a line a piece, the same as manifest.parquet, and dataset.json."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from facereel.query.dataset.options import DatasetOptions
from facereel.query.dataset.pieces import upscales
from facereel.query.dataset.sampling import frame_count
from facereel.query.records import ClipPlan, PersonQuery
from facereel.store.files.disk import atomic_file
from facereel.store.files.names import with_escapes
from facereel.store.model.records import Floats

JSONL_FILE, PARQUET_FILE, DATASET_FILE = "manifest.jsonl", "manifest.parquet", "dataset.json"
SCHEMA = "facereel.dataset/1"


def identity_of(person: PersonQuery) -> str:
    """The name of somebody's folder: by the id in the library, or for photos of nobody there by their content."""
    if person.person is not None:
        return f"id{person.person:05}"
    digest = hashlib.sha256("".join(sorted(one.sha256 for one in person.references)).encode())
    return f"photo_{digest.hexdigest()[:12]}"


def split_of(identity: str, val_share: float) -> str:
    """`val` or `train`, by the identity alone: it does not move as people are added."""
    share = int.from_bytes(hashlib.sha256(identity.encode()).digest()[:8], "big") / 2**64
    return "val" if share < val_share else "train"


def row_of(
    piece: ClipPlan, identity: str, name: str, options: DatasetOptions, has_audio: bool
) -> dict[str, Any]:
    """What the manifest says of a piece; the fields are documented in docs/dataset.md."""
    match, video, facts = piece.match, piece.match.video, piece.facts
    if facts is None or facts.sharpness is None:
        raise ValueError("a piece is described once its frames were measured")
    frames = frame_count(piece.ticks, video.time_base, options.rate)
    yaws, detected = facts.yaws, facts.detected
    others, sizes = facts.other_faces, facts.other_face_sizes
    file = PurePosixPath(piece.file)
    return {
        "id": identity,
        "name": name,
        "split": split_of(identity, options.val_share),
        "file": str(file),
        "audio": str(file.with_suffix(".wav")) if has_audio else None,
        "frames_file": str(file.with_suffix(".csv")),
        "frames": frames,
        "fps": options.fps,
        "size": options.size,
        "duration": round(float(frames / options.rate), 6),
        "video": video.name,
        "video_sha256": video.sha256,
        "start": round(piece.start_time, 6),
        "end": round(piece.end_time, 6),
        "start_frame": piece.start,
        "end_frame": piece.end,
        "start_pts": int(piece.ticks[0]),
        "end_pts": int(piece.ticks[-1]),
        "tracklet": match.tracklet.number,
        "cluster": match.tracklet.cluster,
        "matched": match.matched,
        "certainty": match.certainty,
        "similarity": round(float(match.similarity), 4),
        "box": _median(piece.sightings.boxes, 1),
        "crop": _median(piece.crops, 1),
        "upscale": round(float(upscales(piece).max()), 3),
        "picture_share": _median(facts.picture_shares, 6),
        "edge_distance": round(float(facts.edge_distances.min()), 1),
        "sharpness": _median(facts.sharpness, 3),
        "yaw": None if yaws is None else _median(yaws, 1),
        "yaw_max": None if yaws is None else round(float(np.abs(yaws).max()), 1),
        "landmarks_detected": 0.0 if detected is None else round(float(detected.mean()), 4),
        "other_faces": None if others is None else int(others.max()),
        "other_face_size": None if sizes is None else round(float(sizes.max()), 3),
    }


def write_manifest(folder: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write the rows, in this order, as JSON Lines, and as Parquet where pyarrow is installed; raises OSError."""
    plain = [with_escapes(dict(row)) for row in rows]
    with atomic_file(folder / JSONL_FILE) as unfinished, unfinished.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in plain)
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        (folder / PARQUET_FILE).unlink(missing_ok=True)  # of a run that had it: it would be stale
        return
    with atomic_file(folder / PARQUET_FILE) as unfinished:
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(plain), unfinished)


def read_manifest(folder: Path) -> list[dict[str, Any]]:
    """The rows of a data set's manifest that can be read."""
    rows = []
    try:
        # No splitlines: names may hold characters at which that would part a line, too.
        lines = (folder / JSONL_FILE).read_text(encoding="utf-8", errors="replace").split("\n")
    except OSError:
        return []
    for line in lines:
        with suppress(ValueError, RecursionError):
            rows.append(json.loads(line))
    return [row for row in rows if isinstance(row, dict)]


def source_boxes(folder: Path, row: Mapping[str, Any]) -> dict[int, list[float]]:
    """Where the face of a piece is in its source: boxes, x y w h in pixels, by the frames that it shows.

    Raises OSError, LookupError, TypeError, ValueError and ArithmeticError where the CSV of the piece cannot be read.
    """
    boxes = {}
    path = (folder / row["frames_file"]).resolve()
    if not path.is_relative_to(folder.resolve()) or not path.is_file():
        raise ValueError("the manifest names a file that is not of the data set")
    try:
        with path.open(encoding="utf-8", newline="") as file:
            for frame in csv.DictReader(file):
                x, y, w, h = (
                    float(frame[f"box_{part}"]) * float(frame["crop_w"]) / row["size"] for part in "xywh"
                )
                left, top = float(frame["crop_x"]), float(frame["crop_y"])
                boxes[int(frame["source_frame"])] = [x + left, y + top, w, h]
    except csv.Error as error:
        raise ValueError(f"no table of frames: {error}") from error
    return boxes


def write_json(path: Path, document: Mapping[str, Any]) -> None:
    """Write a JSON file, whole or not at all; raises OSError."""
    with atomic_file(path) as unfinished:
        unfinished.write_text(json.dumps(with_escapes(dict(document)), indent=1) + "\n", encoding="utf-8")


def read_json(path: Path) -> dict[str, Any] | None:
    """What a JSON file says; None where there is none that can be read."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _median(values: Floats, digits: int) -> Any:
    """Over the frames, the first axis."""
    return np.round(np.median(values.astype(np.float64), axis=0), digits).tolist()
