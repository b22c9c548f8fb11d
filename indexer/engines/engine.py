"""What an engine is, and how one is loaded by name.

An engine finds faces and turns aligned ones into vectors. It does not know of videos, tracklets or stores.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from facereel.indexer.engines.devices import Compute
from facereel.store.model.errors import EngineError
from facereel.store.model.pooling import DEFAULT_THRESHOLD
from facereel.store.model.records import Embeddings, EngineInfo, Faces, Image

__all__ = [
    "DEFAULT_ENGINE",
    "LOADERS",
    "PACKS",
    "Calibrated",
    "Compute",
    "FaceEngine",
    "Threshold",
    "load_engine",
]

DEFAULT_ENGINE = "opencv-zoo"
# InsightFace's packs by name; any other is named by its folder.
PACKS = ("antelopev2", "buffalo_l", "buffalo_m", "buffalo_s", "buffalo_sc", "raccoon_l", "raccoon_s")


@dataclass(frozen=True, slots=True)
class Threshold:
    """Similarity from which two faces count as one person to an engine, and who measured it."""

    value: float
    source: str

    @property
    def scale(self) -> float:
        """How far this engine's similarities reach, against those that the rules of grouping and matching mean."""
        return self.value / DEFAULT_THRESHOLD


class FaceEngine(Protocol):
    """A detector and a recogniser that belong together."""

    @property
    def info(self) -> EngineInfo:
        """Name, length of its vectors, digests of its weights."""
        ...

    @property
    def threshold(self) -> Threshold:
        """Where strangers stop."""
        ...

    @property
    def threads(self) -> int:
        """How many threads may ask it side by side."""
        ...

    def finish_loading(self) -> None:
        """Wait until detector and recogniser are loaded; raises EngineError when one of them cannot be."""
        ...

    def detect(self, image: Image) -> Faces:
        """Find faces in a BGR picture (H, W, 3); weak ones included, down to a score of 0.2."""
        ...

    def embed(self, crops: NDArray[np.uint8], mirrored: bool = True) -> Embeddings:
        """Turn aligned BGR crops (N, 112, 112, 3) into unit vectors (N, D), each with its strength.

        `mirrored` averages each with its mirror image: better for a single photo, twice the time for many looks.
        """
        ...


@dataclass(frozen=True, slots=True)
class Calibrated:
    """An engine with a threshold that was measured on somebody's own photos."""

    engine: FaceEngine
    threshold: Threshold

    @property
    def info(self) -> EngineInfo:
        """Those of the engine: its weights are the same."""
        return self.engine.info

    @property
    def threads(self) -> int:
        """Those of the engine."""
        return self.engine.threads

    def finish_loading(self) -> None:
        """As the engine does."""
        self.engine.finish_loading()

    def detect(self, image: Image) -> Faces:
        """As the engine does."""
        return self.engine.detect(image)

    def embed(self, crops: NDArray[np.uint8], mirrored: bool = True) -> Embeddings:
        """As the engine does."""
        return self.engine.embed(crops, mirrored)


def _opencv_zoo(compute: Compute) -> FaceEngine:
    from facereel.indexer.engines.opencv_zoo import OpenCVZoo

    return OpenCVZoo(compute)


def _pack(name: str, compute: Compute) -> FaceEngine:
    from facereel.indexer.engines.insightface import InsightFacePack
    from facereel.indexer.engines.packs import find_pack

    return InsightFacePack(find_pack(name), compute)


LOADERS: dict[str, Callable[[Compute], FaceEngine]] = {DEFAULT_ENGINE: _opencv_zoo}


def load_engine(name: str = DEFAULT_ENGINE, compute: Compute | None = None) -> FaceEngine:
    """Load the engine of that name, or the InsightFace pack of that name or folder.

    Raises EngineError when nobody knows it, its weights are not right or the device is missing.
    """
    from facereel.indexer.engines.packs import is_pack

    compute = compute or Compute()
    if name in LOADERS:
        return LOADERS[name](compute)
    if is_pack(name):
        return _pack(name, compute)
    raise EngineError(
        f"no engine is called {name!r}; known: {', '.join([*sorted(LOADERS), *PACKS])}, "
        "or the folder of an InsightFace pack"
    )
