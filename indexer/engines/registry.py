"""Which engines there are, and how one is loaded by its name."""

from __future__ import annotations

from collections.abc import Callable

from facereel.indexer.engines.devices import Compute
from facereel.indexer.engines.packs import PACKS, find_pack, is_pack
from facereel.indexer.engines.protocol import FaceEngine
from facereel.store.model.errors import EngineError

DEFAULT_ENGINE = "opencv-zoo"


def _opencv_zoo(compute: Compute) -> FaceEngine:
    from facereel.indexer.engines.opencv_zoo import OpenCVZoo

    return OpenCVZoo(compute)


def _pack(name: str, compute: Compute) -> FaceEngine:
    from facereel.indexer.engines.insightface import InsightFacePack

    return InsightFacePack(find_pack(name), compute)


# Loaders import their engine only when they are called: its libraries take long to import.
LOADERS: dict[str, Callable[[Compute], FaceEngine]] = {DEFAULT_ENGINE: _opencv_zoo}


def load_engine(name: str = DEFAULT_ENGINE, compute: Compute | None = None) -> FaceEngine:
    """Load the engine of that name, or the InsightFace pack of that name or folder.

    Raises EngineError for an unknown name, weights that are missing or altered, or a missing device. The recogniser
    may still be loading when this returns; see FaceEngine.finish_loading.
    """
    compute = compute or Compute()
    if name in LOADERS:
        return LOADERS[name](compute)
    if is_pack(name):
        return _pack(name, compute)
    raise EngineError(
        f"no engine is called {name!r}; known: {', '.join([*sorted(LOADERS), *PACKS])}, "
        "or the folder of an InsightFace pack"
    )
