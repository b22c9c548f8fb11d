"""Which engine to load and with which threshold: its own, or one that was measured on the user's photos.

`query/people/calibration.py` measures such a threshold and writes it into a file; here the file is read.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facereel.indexer.engines.devices import Compute
from facereel.indexer.engines.protocol import FaceEngine, Threshold
from facereel.indexer.engines.registry import load_engine
from facereel.store.files.names import printable
from facereel.store.model.errors import EngineMismatchError, OptionError
from facereel.store.model.records import Embeddings, EngineInfo, FaceCrop, Faces, Image, Landmarks
from facereel.store.model.strangers import StrangerRates

CALIBRATION_SCHEMA = "facereel.calibration/3"
# /1 could name the threshold `bar`; up to /2 nothing says how rare similar strangers are.
_READABLE_SCHEMAS = ("facereel.calibration/1", "facereel.calibration/2", CALIBRATION_SCHEMA)


@dataclass(frozen=True, slots=True)
class Calibrated:
    """An engine with a threshold that was measured on the user's photos; everything else is the engine's."""

    engine: FaceEngine
    threshold: Threshold

    @property
    def info(self) -> EngineInfo:
        return self.engine.info

    @property
    def licence(self) -> str:
        return self.engine.licence

    @property
    def threads(self) -> int:
        return self.engine.threads

    @property
    def device(self) -> str:
        return self.engine.device

    def finish_loading(self) -> None:
        self.engine.finish_loading()

    def detect(self, image: Image) -> Faces:
        return self.engine.detect(image)

    def detect_regions(self, images: Sequence[Image]) -> list[Faces]:
        return self.engine.detect_regions(images)

    def landmarks(self, crops: Sequence[FaceCrop]) -> Landmarks:
        return self.engine.landmarks(crops)

    def embed(self, crops: NDArray[np.uint8], mirrored: bool = True) -> Embeddings:
        return self.engine.embed(crops, mirrored)


@dataclass(frozen=True, slots=True)
class EngineChoice:
    """An engine by its name and settings, not loaded yet; can be sent to another process."""

    name: str
    compute: Compute
    calibration: Path | None  # file with the threshold; None: the store's own, if it has one
    store: Path

    def load(self, note: Callable[[str], None] = lambda text: None) -> FaceEngine:
        """Load the engine with its threshold; `note` gets a line if a calibration sets it.

        Raises as load_engine and calibrated do.
        """
        return calibrated(self.load_uncalibrated(), self.calibration, self.store, note)

    def load_uncalibrated(self) -> FaceEngine:
        """Load the engine with its own threshold."""
        return load_engine(self.name, self.compute)

    def load_with(self, threshold: Threshold) -> FaceEngine:
        """Load the engine with a threshold that was read on another machine."""
        engine = self.load_uncalibrated()
        return engine if engine.threshold == threshold else Calibrated(engine, threshold)

    def on_cluster(self) -> EngineChoice:
        """The same engine for machines that index many videos at once: one core for each, unless more are wanted."""
        return replace(self, compute=replace(self.compute, threads=max(1, self.compute.threads)))

    def on_cpu(self) -> EngineChoice:
        """The same engine where only its name, weights and threshold are of interest."""
        return replace(self, compute=replace(self.compute, device="cpu"))

    def shared(self, jobs: int) -> EngineChoice:
        """The same engine for each of `jobs` processes that share the machine."""
        return replace(self, compute=self.compute.shared(jobs))


def calibration_file_name(engine: EngineInfo) -> str:
    """`calibration-opencv-zoo.json`; a store that holds a file of this name uses it."""
    return f"calibration-{engine.name}.json"


def calibrated(engine: FaceEngine, file: Path | None, store: Path, note: Callable[[str], None]) -> FaceEngine:
    """The engine with the threshold from `file`, else from the store's own file, else with its own.

    Raises OptionError for a file that cannot be read, EngineMismatchError for one that was measured with other
    weights.
    """
    of_store = store / calibration_file_name(engine.info)
    path = file or (of_store if of_store.is_file() else None)
    if path is None:
        return engine
    threshold = _read_threshold(path, engine.info)
    note(f"{engine.info.name}: threshold {threshold.value:.2f} from {printable(path)}")
    return Calibrated(engine, threshold)


def _read_threshold(path: Path, engine: EngineInfo) -> Threshold:
    try:
        document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if document["schema"] not in _READABLE_SCHEMAS:
            raise ValueError(f"schema {document['schema']!r}")
        value = float(document["threshold"] if "threshold" in document else document["bar"])
        measured_with = EngineInfo(**document["engine"])
        if not 0 < value < 1:
            raise ValueError(f"threshold {value:g}")
        rates = StrangerRates.from_document(document["strangers"]) if "strangers" in document else None
        source = f"{int(document['photos'])} photos of {int(document['people'])} people, {path.name}"
    except (OSError, ValueError, TypeError, LookupError) as error:
        reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
        raise OptionError(
            f"{printable(path)} is no calibration ({reason}); make one: facereel engines --calibrate FOLDER"
        ) from error
    if not measured_with.aligns_and_embeds_like(engine):
        raise EngineMismatchError(
            f"{printable(path)} was measured with other weights ({measured_with.name}) than {engine.name} has; "
            f"run: facereel engines --calibrate FOLDER --engine {engine.name}"
        )
    return Threshold(value, source, rates)
