"""Which engines there are, under which licence, whether they are ready, and how fast they are here."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np

from facereel.indexer.engines.devices import Compute
from facereel.indexer.engines.packs import PACKS, licence_of
from facereel.indexer.engines.protocol import FaceEngine
from facereel.indexer.engines.registry import LOADERS, load_engine
from facereel.store.model.errors import FaceReelError, MissingPackError

RUNS = 5
PICTURE = (360, 640)  # height, width that films are searched at
CROPS = 8


def known_engines(compute: Compute, speed: bool = False) -> list[dict[str, Any]]:
    """Each engine with its state: `ready`, or why it is not; with `speed` how long it takes here, milliseconds."""
    return [_describe(name, compute, speed) for name in (*sorted(LOADERS), *PACKS)]


def _describe(name: str, compute: Compute, speed: bool) -> dict[str, Any]:
    row: dict[str, Any] = {
        "engine": name, "kind": "faces", "licence": licence_of(name) if name in PACKS else "unknown", "state": "ready",
        **dict.fromkeys(("vector_length", "threshold", "threshold_source", "detector", "recognizer", "landmarks")),
    }  # fmt: skip
    try:
        engine = load_engine(name, compute)
        row["licence"] = engine.licence
        engine.finish_loading()
    except MissingPackError:
        return {**row, "state": f"not here: engines --get {name}"}
    except FaceReelError as error:
        return {**row, "state": str(error)}
    info = engine.info
    return {
        **row, "vector_length": info.dim, "threshold": engine.threshold.value,
        "threshold_source": engine.threshold.source, "detector": info.detector_sha256,
        "recognizer": info.recognizer_sha256, "landmarks": info.landmarks_sha256 or None,
        **(_measure_speed(engine) if speed else {}),
    }  # fmt: skip


def _measure_speed(engine: FaceEngine) -> dict[str, float]:
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 256, (*PICTURE, 3)).astype(np.uint8)
    crops = rng.integers(0, 256, (CROPS, 112, 112, 3)).astype(np.uint8)
    return {
        "search_ms": _milliseconds(lambda: engine.detect(picture)),
        "embed_ms": _milliseconds(lambda: engine.embed(crops, mirrored=False)) / CROPS,
    }


def _milliseconds(work: Callable[[], object]) -> float:
    work()  # the first run also allocates memory
    seconds = []
    for _ in range(RUNS):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return round(1000 * median(seconds), 3)
