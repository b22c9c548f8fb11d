"""Records as rows of an index.db, and back. Pure: knows no file and no connection.

Floats of 32 bits are kept with their shortest decimals, which give the same 32 bits again and read well.
Functions that make records raise ValueError on values that no record can have, and on nothing else.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from typing import Any, get_args

import numpy as np
from numpy.typing import ArrayLike

from facereel.store.index.crops import ALIGNED_SIZE, decode_crop
from facereel.store.model.records import (
    CLOTHES_BINS,
    SOURCES,
    EngineInfo,
    Exemplar,
    Floats,
    IndexStats,
    Ints,
    Reason,
    RecognisedFace,
    Sightings,
    Tracklet,
    Video,
)

Row = dict[str, Any]
LANDMARKS = 5
LOSSES = ("skipped", "damaged", "concealed", "missing")


@contextmanager
def values() -> Iterator[None]:
    """Turn what converting the values of a row raises into ValueError: the border between a file and records."""
    try:
        yield
    except (TypeError, LookupError, ArithmeticError) as error:
        raise ValueError(str(error) or type(error).__name__) from error


def video_row(video: Video) -> Row:
    """The one row of the table video."""
    return {
        "name": _text(video.name),
        "path": _text(video.path),
        "sha256": video.sha256,
        "size": int(video.size),
        "mtime_ns": int(video.mtime_ns),
        "width": int(video.width),
        "height": int(video.height),
        "rotation": int(video.rotation),
        "sample_aspect_ratio": str(video.sample_aspect_ratio),
        "time_base_numerator": video.time_base.numerator,
        "time_base_denominator": video.time_base.denominator,
        "frame_rate": str(video.frame_rate),
        "origin_pts": int(video.origin_pts),
        "codec": video.codec,
        "has_audio": int(video.has_audio),
        "frame_count": int(video.frame_count),
        "warnings": json.dumps(video.warnings),
        "mirrored": int(video.mirrored),
        "restarts": int(video.restarts),
    }


@values()
def video_of(row: sqlite3.Row | Row) -> Video:
    """The video of its row."""
    return Video(
        path=os.fsdecode(row["path"]),
        sha256=hex_digest(row["sha256"]),
        size=int(row["size"]),
        mtime_ns=int(row["mtime_ns"]),
        width=int(row["width"]),
        height=int(row["height"]),
        rotation=int(row["rotation"]),
        sample_aspect_ratio=Fraction(row["sample_aspect_ratio"]),
        time_base=Fraction(row["time_base_numerator"], row["time_base_denominator"]),
        frame_rate=Fraction(row["frame_rate"]),
        origin_pts=int(row["origin_pts"]),
        codec=str(row["codec"]),
        has_audio=bool(row["has_audio"]),
        frame_count=int(row["frame_count"]),
        warnings=tuple(map(str, json.loads(row["warnings"]))),
        mirrored=bool(row["mirrored"]),
        restarts=int(row["restarts"]),
    )


@values()
def engine_of(row: sqlite3.Row) -> EngineInfo:
    """The engine of its row; the digests may be empty, as those of an engine without weights are."""
    digests = str(row["detector_sha256"]), str(row["recognizer_sha256"]), str(row["landmarks_sha256"])
    return EngineInfo(str(row["name"]), int(row["dim"]), *digests)


@values()
def stats_of(row: sqlite3.Row) -> IndexStats:
    """The figures of their row."""
    losses = {key: None if row[key] is None else int(row[key]) for key in (*LOSSES, "brief_faces")}
    brief_seconds = None if row["brief_seconds"] is None else float(row["brief_seconds"])
    return IndexStats(
        float(row["seconds"]), int(row["faces"]), int(row["searched"]), **losses, brief_seconds=brief_seconds
    )


def tracklet_row(tracklet: Tracklet) -> Row:
    """A row of the table tracklets."""
    return {
        "tracklet": int(tracklet.number),
        "cluster": int(tracklet.cluster),
        "shot": int(tracklet.shot),
        "start_frame": int(tracklet.start),
        "end_frame": int(tracklet.end),
        "start_reason": tracklet.start_reason,
        "end_reason": tracklet.end_reason,
        "face_width": float(tracklet.face_width),
        "score": float(tracklet.score),
        "clothes": tracklet.clothes,
    }


@values()
def tracklet_of(row: sqlite3.Row) -> Tracklet:
    """The tracklet of its row."""
    return Tracklet(
        number=int(row["tracklet"]),
        shot=int(row["shot"]),
        start=int(row["start_frame"]),
        end=int(row["end_frame"]),
        start_reason=_reason(row["start_reason"]),
        end_reason=_reason(row["end_reason"]),
        cluster=int(row["cluster"]),
        face_width=float(row["face_width"]),
        score=float(row["score"]),
        clothes=_clothes_of(row["clothes"]),
    )


def sighting_rows(tracklet: Tracklet, sightings: Sightings) -> Iterator[tuple[Any, ...]]:
    """Rows of the table sightings: boxes to a tenth of a pixel, scores to a thousandth.

    Raises ValueError unless there is exactly one finite sighting for every frame of the tracklet.
    """
    if not np.array_equal(sightings.frames, np.arange(tracklet.start, tracklet.end)):
        raise ValueError(f"tracklet {tracklet.number} is not seen once in each of its frames")
    tenths = _whole(sightings.boxes, 10).reshape(-1, 4)
    thousandths = _whole(sightings.scores, 1000)
    sources = [SOURCES[source] for source in sightings.sources]
    for frame, box, score, source in zip(
        sightings.frames.tolist(), tenths.tolist(), thousandths.tolist(), sources, strict=True
    ):
        yield (int(tracklet.number), frame, *box, score, source)


@values()
def sightings_of(numbers: Ints, start: int, end: int) -> Sightings:
    """The sightings of a tracklet [start, end) from (frame, x, y, w, h, score, source) of each, in a line."""
    table = numbers.reshape(-1, 7)
    if not np.array_equal(table[:, 0], np.arange(start, end)):
        raise ValueError(f"sightings of frames {start} to {end} are missing")
    return Sightings(
        frames=table[:, 0].copy(),
        boxes=(table[:, 1:5] / 10).astype(np.float32),
        scores=(table[:, 5] / 1000).astype(np.float32),
        sources=table[:, 6].astype(np.uint8),
    )


def end_boxes(connection: sqlite3.Connection, tracklet: Tracklet) -> Floats:
    """The first and the last box (2, 4) of a stored tracklet, x y w h; raises ValueError when one is missing."""
    query = "SELECT x_tenths, y_tenths, w_tenths, h_tenths FROM sightings WHERE tracklet = ? AND frame = ?"
    found = [
        connection.execute(query, (tracklet.number, frame)).fetchone()
        for frame in (tracklet.start, tracklet.end - 1)
    ]
    if None in found:
        raise ValueError(f"tracklet {tracklet.number} has no sighting at its start or its end")
    return np.asarray(np.array([tuple(box) for box in found]) / 10, np.float32)


def exemplar_row(number: int, tracklet: int, exemplar: Exemplar) -> Row:
    """A row of the table exemplars; the crop becomes a JPEG, the embedding little-endian 32-bit floats."""
    x, y, w, h = _shortest(exemplar.box)
    return {
        "exemplar": number,
        "tracklet": int(tracklet),
        "frame": int(exemplar.frame),
        "x": x,
        "y": y,
        "w": w,
        "h": h,
        "score": float(str(exemplar.score)),
        "sharpness": float(str(exemplar.sharpness)),
        "region": None if exemplar.region is None else json.dumps(_shortest(exemplar.region)),
        "crop": exemplar.jpeg,
        **recognised_columns(exemplar),
    }


def recognised_columns(face: Exemplar | RecognisedFace) -> Row:
    """The columns of the table exemplars that depend on landmarks and recogniser."""
    probability = face.face_probability
    return {
        "landmarks": json.dumps([_shortest(point) for point in face.landmarks]),
        "quality": float(str(face.quality)),
        "frontality": float(str(face.frontality)),
        "face_probability": None if probability is None else float(str(probability)),
        "embedding": np.asarray(face.embedding, dtype="<f4").tobytes(),
    }


@values()
def exemplar_of(row: sqlite3.Row, dim: int) -> Exemplar:
    """The exemplar of its row, with the crop as JPEG kept it."""
    landmarks = np.array(json.loads(row["landmarks"]), dtype=np.float32)
    crop = decode_crop(row["crop"])  # reports damage here, where the index is known
    region = None if row["region"] is None else np.array(json.loads(row["region"]), np.float32).reshape(3)
    if region is None and len(crop) != ALIGNED_SIZE:
        raise ValueError("an aligned crop is of another size")
    if region is not None and not region[2] > 0:
        raise ValueError("a crop is of no part of the picture")
    return Exemplar(
        frame=int(row["frame"]),
        box=np.array([row["x"], row["y"], row["w"], row["h"]], dtype=np.float32),
        landmarks=landmarks.reshape(LANDMARKS, 2),
        score=float(row["score"]),
        quality=float(row["quality"]),
        sharpness=float(row["sharpness"]),
        frontality=float(row["frontality"]),
        jpeg=row["crop"],
        embedding=embeddings_of([row["embedding"]], dim)[0],
        region=region,
        face_probability=None if row["face_probability"] is None else float(row["face_probability"]),
    )


@values()
def embeddings_of(blobs: Iterable[bytes], dim: int) -> Floats:
    """(M, dim) from as many blobs; each must have the right length."""
    blobs = list(blobs)
    if any(len(blob) != 4 * dim for blob in blobs):
        raise ValueError(f"an embedding does not have {dim} numbers")
    return np.frombuffer(b"".join(blobs), dtype="<f4").reshape(-1, dim).astype(np.float32)


@values()
def hex_digest(digest: Any) -> str:
    """A SHA-256 as it lies in a row, if it is one."""
    if len(bytes.fromhex(digest)) != 32:
        raise ValueError("a SHA-256 does not have 64 digits")
    return str(digest)


def _shortest(numbers: Floats) -> list[float]:
    return [float(str(number)) for number in np.asarray(numbers, dtype=np.float32)]


def _whole(numbers: ArrayLike, scale: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    scaled = np.asarray(numbers, dtype=np.float64) * scale
    if not np.isfinite(scaled).all():
        raise ValueError("a box or score is not finite")
    return np.rint(scaled).astype(np.int64)


def _text(path: str) -> str | bytes:
    """A path as SQLite can keep it: names that are not UTF-8 as their bytes."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return os.fsencode(path)
    return path


def _clothes_of(blob: Any) -> bytes | None:
    if blob is not None and (not isinstance(blob, bytes) or len(blob) != CLOTHES_BINS):
        raise ValueError(f"clothes do not have {CLOTHES_BINS} bins")
    return blob


def _reason(text: Any) -> Reason:
    reasons: tuple[Reason, ...] = get_args(Reason)
    return reasons[reasons.index(text)]
