"""What an engine is, and how one is loaded by name.

An engine finds faces and turns aligned ones into vectors. It does not know of videos, tracklets or stores.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from store.errors import EngineError
from store.records import Embeddings, EngineInfo, Faces, Image

DEFAULT_ENGINE = "opencv-zoo"


class FaceEngine(Protocol):
    """A detector and a recogniser that belong together."""

    @property
    def info(self) -> EngineInfo:
        """Name, length of its vectors, digests of its weights."""
        ...

    def detect(self, image: Image) -> Faces:
        """Find faces in a BGR picture (H, W, 3); weak ones included, down to a score of 0.2."""
        ...

    def embed(self, crops: NDArray[np.uint8], mirrored: bool = True) -> Embeddings:
        """Turn aligned BGR crops (N, 112, 112, 3) into unit vectors (N, D), each with its strength.

        `mirrored` averages each with its mirror image: better for a single photo, twice the time for many looks.
        """
        ...


def _opencv_zoo() -> FaceEngine:
    from indexer.engines.opencv_zoo import OpenCVZoo

    return OpenCVZoo()


LOADERS: dict[str, Callable[[], FaceEngine]] = {DEFAULT_ENGINE: _opencv_zoo}


def load_engine(name: str = DEFAULT_ENGINE) -> FaceEngine:
    """Load the engine of that name; raises EngineError when nobody knows it or its weights are not right."""
    if name not in LOADERS:
        raise EngineError(f"no engine is called {name!r}; known: {', '.join(sorted(LOADERS))}")
    return LOADERS[name]()
