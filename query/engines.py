"""Which engines there are, under which licence, and whether they are ready."""

from __future__ import annotations

from typing import Any

from indexer.engine import LOADERS, load_engine
from store.errors import EngineError

# Of the weights, from where they are published; the code that runs them is this project's.
LICENCES = {
    "opencv-zoo": "MIT and Apache-2.0: free, also for commercial use",
    "insightface": "non-commercial research only",
}


def known_engines() -> list[dict[str, Any]]:
    """Each engine with its state: `ready`, or why it is not."""
    return [_state(name) for name in sorted(LOADERS)]


def _state(name: str) -> dict[str, Any]:
    state = {"engine": name, "licence": LICENCES.get(name, "unknown")}
    try:
        info = load_engine(name).info
    except EngineError as error:
        return {**state, "state": str(error), "vector_length": None, "detector": None, "recognizer": None}
    return {
        **state, "state": "ready", "vector_length": info.dim,
        "detector": info.detector_sha256, "recognizer": info.recognizer_sha256,
    }  # fmt: skip
