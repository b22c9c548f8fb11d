"""What came of a hostile case, and what is wrong with how it was refused."""

from __future__ import annotations

from dataclasses import dataclass

from facereel.store.model.errors import FaceReelError


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a case."""

    kind: str
    result: str  # ok, warned, refused, or what must not be
    finding: str = ""  # why it must not be


def refused(kind: str, error: FaceReelError, finding: str) -> Outcome:
    """A refusal, with what is wrong with it, if anything."""
    return Outcome(kind, "refused", finding or bad_message(error))


def bad_message(error: FaceReelError) -> str:
    """What is wrong with an error's text, if anything."""
    text = str(error)
    return "" if text.isprintable() and ";" in text else f"message: {text!r}"
