"""Which engines there are, under which licence, whether they are ready, and how fast they are here."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np

from facereel.indexer.engines.engine import LOADERS, PACKS, Compute, FaceEngine, load_engine
from facereel.store.model.errors import FaceReelError, MissingPackError

# Of the weights, from where they are published; the code that runs them is this project's.
LICENCES = {"opencv-zoo": "MIT and Apache-2.0: free, also for commercial use"} | dict.fromkeys(
    PACKS, "non-commercial research only"
)
RUNS = 5
PICTURE = (360, 640)  # height, width that films are searched at
CROPS = 8


def known_engines(compute: Compute, speed: bool = False) -> list[dict[str, Any]]:
    """Each engine with its state: `ready`, or why it is not; with `speed` how long it takes here, milliseconds."""
    return [_state(name, compute, speed) for name in (*sorted(LOADERS), *PACKS)]


def _state(name: str, compute: Compute, speed: bool) -> dict[str, Any]:
    state: dict[str, Any] = {"engine": name, "licence": LICENCES.get(name, "unknown")}
    unknown = dict.fromkeys(("vector_length", "threshold", "threshold_source", "detector", "recognizer"))
    try:
        engine = load_engine(name, compute)
        engine.finish_loading()
    except MissingPackError:
        return {**state, "state": f"not here: engines --get {name}", **unknown}
    except FaceReelError as error:
        return {**state, "state": str(error), **unknown}
    info = engine.info
    return {
        **state, "state": "ready", "vector_length": info.dim, "threshold": engine.threshold.value,
        "threshold_source": engine.threshold.source, "detector": info.detector_sha256,
        "recognizer": info.recognizer_sha256,
        **(_speed(engine) if speed else {}),
    }  # fmt: skip


def _speed(engine: FaceEngine) -> dict[str, float]:
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 256, (*PICTURE, 3)).astype(np.uint8)
    crops = rng.integers(0, 256, (CROPS, 112, 112, 3)).astype(np.uint8)
    return {
        "search_ms": _milliseconds(lambda: engine.detect(picture)),
        "embed_ms": _milliseconds(lambda: engine.embed(crops, mirrored=False)) / CROPS,
    }


def _milliseconds(work: Callable[[], object]) -> float:
    work()  # the first run also gets ready
    took = []
    for _ in range(RUNS):
        started = time.perf_counter()
        work()
        took.append(time.perf_counter() - started)
    return round(1000 * median(took), 3)
