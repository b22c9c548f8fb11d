"""What an engine is: a detector and a recogniser that belong together. It knows no videos, tracklets or stores."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from facereel.store.model.pooling import DEFAULT_THRESHOLD
from facereel.store.model.records import Embeddings, EngineInfo, FaceCrop, Faces, Image, Landmarks
from facereel.store.model.strangers import StrangerRates

DEFAULT_CALIBRATION = Path(__file__).with_name("calibration-opencv-zoo.json")  # the default engine's


@dataclass(frozen=True, slots=True)
class Threshold:
    """Similarity from which on an engine's embeddings count as one person, and where it was measured."""

    value: float
    source: str
    measured_rates: StrangerRates | None = None  # None: nobody measured them with this engine

    @property
    def scale(self) -> float:
        """Factor for thresholds of clustering and matching, which are measured with the default engine."""
        return self.value / DEFAULT_THRESHOLD

    @property
    def stranger_rates(self) -> StrangerRates:
        """How similar strangers are; those of the default engine scaled where nobody measured it."""
        return self.measured_rates or default_stranger_rates().scaled(self.scale)


@lru_cache(maxsize=1)
def default_stranger_rates() -> StrangerRates:
    """How similar strangers are by the default engine."""
    document = json.loads(DEFAULT_CALIBRATION.read_text(encoding="utf-8"))
    return StrangerRates.from_document(document["strangers"])


class FaceEngine(Protocol):
    """A loaded detector and recogniser; may be used from several threads."""

    @property
    def info(self) -> EngineInfo:
        """Name, length of its vectors, digests of its weights."""
        ...

    @property
    def threshold(self) -> Threshold:
        """Where strangers stop."""
        ...

    @property
    def licence(self) -> str:
        """Licence of its weights and whether commercial use is free, a few words."""
        ...

    @property
    def threads(self) -> int:
        """How many threads may use it at the same time."""
        ...

    @property
    def device(self) -> str:
        """What the user wants to compute on, one of devices.DEVICES; `cuda` decodes videos, too."""
        ...

    def finish_loading(self) -> None:
        """Wait until detector and recogniser are loaded; raises EngineError when one of them cannot be."""
        ...

    def detect(self, image: Image) -> Faces:
        """Find faces in a BGR picture (H, W, 3); weak ones included, down to a score of 0.2."""
        ...

    def detect_regions(self, images: Sequence[Image]) -> list[Faces]:
        """Find faces in each of many small BGR pictures (H, W, 3), of any sizes, in pixels of each.

        As `detect`, but pictures of about the same size may go through at once, and none is searched a second time for
        faces that fill it.
        """
        ...

    def landmarks(self, crops: Sequence[FaceCrop]) -> Landmarks:
        """The points to align each face by, maybe those of the detector, and the probability that it is a face."""
        ...

    def embed(self, crops: NDArray[np.uint8], mirrored: bool = True) -> Embeddings:
        """Turn aligned BGR crops (N, 112, 112, 3) into unit vectors (N, D), each with its face confidence (N,).

        `mirrored` averages each with its mirror image: better for a single photo, twice the time for many crops.
        """
        ...
