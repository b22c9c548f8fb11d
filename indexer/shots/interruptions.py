"""Shots end where a recording was interrupted, whatever a shot detector says of the pictures on both sides."""

from __future__ import annotations

from collections.abc import Container

from facereel.indexer.shots.detector import ShotDetector
from facereel.store.model.records import Image


class InterruptedShots:
    """A shot detector that adds boundaries before `interruptions`, frames that follow on an interruption."""

    def __init__(self, detector: ShotDetector, interruptions: Container[int]) -> None:
        self._detector, self._interruptions = detector, interruptions
        self._starts: list[int] = []  # those of them that were pushed
        self._pushed = False

    @property
    def knows_transitions(self) -> bool:
        """As ShotDetector."""
        return self._detector.knows_transitions

    @property
    def final_before(self) -> int:
        """As ShotDetector."""
        return self._detector.final_before

    def push(self, index: int, seconds: float, thumbnail: Image) -> None:
        """As ShotDetector."""
        if self._pushed and index in self._interruptions:
            self._starts.append(index)
        self._pushed = True
        self._detector.push(index, seconds, thumbnail)

    def finish(self) -> None:
        """As ShotDetector."""
        self._detector.finish()

    def cuts(self) -> list[int]:
        """As ShotDetector."""
        final = self._detector.final_before
        return sorted({*self._detector.cuts(), *(start for start in self._starts if start < final)})

    def shot_of(self, index: int) -> int:
        """As ShotDetector."""
        added = [start for start in self._starts if start <= index and not self._is_cut(start)]
        return self._detector.shot_of(index) + len(added)

    def in_transition(self, index: int, margin: int = 0) -> bool:
        """As ShotDetector."""
        return self._detector.in_transition(index, margin)

    def _is_cut(self, start: int) -> bool:
        return self._detector.shot_of(start) > self._detector.shot_of(start - 1)
