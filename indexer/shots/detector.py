"""What a shot detector is, and which one a Config asks for."""

from __future__ import annotations

from fractions import Fraction
from typing import Protocol

from facereel.store.files.names import printable
from facereel.store.model.config import Config
from facereel.store.model.errors import OptionError
from facereel.store.model.records import Image

SHOTS = ("adaptive", "content", "transnetv2")


class ShotDetector(Protocol):
    """Finds shot boundaries in frames that are pushed one by one; answers come some frames late."""

    @property
    def knows_transitions(self) -> bool:
        """Whether in_transition() can tell gradual transitions."""
        ...

    @property
    def final_before(self) -> int:
        """Answers about frames before this one no longer change."""
        ...

    def push(self, index: int, seconds: float, thumbnail: Image) -> None:
        """Take the next frame, shown at that time, as a BGR picture of THUMBNAIL_SIZE."""
        ...

    def finish(self) -> None:
        """No more frames will come: all answers are final."""
        ...

    def cuts(self) -> list[int]:
        """First frames of the shots that are final, without frame 0."""
        ...

    def shot_of(self, index: int) -> int:
        """Number of the shot of a frame before `final_before`, from 0."""
        ...

    def in_transition(self, index: int, margin: int = 0) -> bool:
        """Does a frame before `final_before` lie in a gradual transition, or at most `margin` frames beside one?"""
        ...


def shot_detector(frame_rate: Fraction, config: Config) -> ShotDetector:
    """The detector that `config` asks for.

    Raises OptionError for an unknown one or a model that cannot be used, EngineError for weights that are missing.
    """
    if config.shots not in SHOTS:
        raise OptionError(f"shots {config.shots!r} is unknown; use one of {', '.join(SHOTS)}")
    if config.shots_model and config.shots != "transnetv2":
        raise OptionError(
            f"--shots-model {printable(config.shots_model)} is for --shots transnetv2; add that"
        )
    if config.shots == "adaptive":
        from facereel.indexer.shots.adaptive import AdaptiveShotDetector

        return AdaptiveShotDetector(frame_rate)
    # Imported here because PySceneDetect takes a third of a second to import.
    from facereel.indexer.shots.pyscenedetect import content_shots, transnet_shots

    if config.shots == "transnetv2":
        return transnet_shots(frame_rate, config.shots_model)
    return content_shots(frame_rate)


def check_shots(config: Config) -> None:
    """Raise what shot_detector raises once, rather than for every video."""
    if (
        config.shots != "adaptive" or config.shots_model
    ):  # the default needs nothing, and its import takes time
        shot_detector(Fraction(25), config)
