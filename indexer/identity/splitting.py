"""Trails that turn out to hold two people: found by their looks, cut where the look changes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from facereel.indexer.engines.protocol import FaceEngine
from facereel.indexer.identity.exemplars import pool
from facereel.indexer.track.track import Track
from facereel.store.model.records import Exemplar

# Before and after a change of person the looks agree among themselves and not with each other. Measured: the two
# halves of a sound track of a turning, badly lit face stay above 0.25; halves of two people reach 0.2.
_APART = 0.2
_WITHIN = 0.4


def split_mixed(track: Track, exemplars: tuple[Exemplar, ...], engine: FaceEngine) -> list[Track]:
    """The track itself, or its parts when its looks belong to several people."""
    place = _change(exemplars, engine.threshold.scale)
    if place is None:
        return [track]
    parts = _cut(track, _frame_of_change(track, exemplars, place, engine))
    if len(parts) == 1:
        return parts
    return [
        piece
        for part, looks in zip(parts, (exemplars[:place], exemplars[place:]), strict=True)
        for piece in split_mixed(part, looks, engine)
    ]


def _frame_of_change(track: Track, exemplars: tuple[Exemplar, ...], place: int, engine: FaceEngine) -> int:
    """First frame of the other person, found by the looks between the two exemplars around the change."""
    before, after = pool(exemplars[:place]), pool(exemplars[place:])
    first, last = exemplars[place - 1].frame, exemplars[place].frame
    between = [look for look in track.candidates if first < look.frame < last]
    if between:
        vectors = engine.embed(np.stack([look.crop for look in between]), mirrored=False).vectors
        for look, vector in zip(between, vectors, strict=True):
            if float(vector @ after) > float(vector @ before):
                last = look.frame
                break
            first = look.frame
    return _jump(track, first, last)


def _change(exemplars: tuple[Exemplar, ...], scale: float) -> int | None:
    """Number of looks before the first change, or None when there is none.

    Looks are taken in order as long as they agree with those before; the look that does not must agree with the one
    after it.
    """
    for count in range(1, len(exemplars)):
        before, next_two = exemplars[:count], exemplars[count : count + 2]
        across = float(pool(before) @ pool(next_two))
        several = len(before) >= 2 and len(next_two) == 2
        if across < scale * _APART and several and _agreement(next_two) > scale * _WITHIN:
            return count
    return None


def _agreement(exemplars: tuple[Exemplar, ...]) -> float:
    vectors = np.stack([item.embedding for item in exemplars])
    return float((vectors @ vectors.T)[np.triu_indices(len(vectors), 1)].mean())


def _jump(track: Track, first: int, last: int) -> int:
    """Frame in (first, last] at which the box moves most for its size."""
    start = track.frames[0]
    boxes = track.boxes.rows(slice(first - start, last - start + 1))
    steps = np.abs(np.diff(boxes, axis=0)).sum(axis=1) / boxes[1:, 2]
    return first + 1 + int(steps.argmax())


def _cut(track: Track, frame: int) -> list[Track]:
    index = frame - track.frames[0]
    if not 0 < index < len(track.frames):
        return [track]
    early, late = slice(None, index), slice(index, None)
    return [
        replace(
            track, end_reason="identity_change", frames=track.frames[early], boxes=track.boxes.part(early),
            scores=track.scores[early], sources=track.sources[early],
            candidates=[look for look in track.candidates if look.frame < frame],
        ),
        replace(
            track, start_reason="identity_change", frames=track.frames[late], boxes=track.boxes.part(late),
            scores=track.scores[late], sources=track.sources[late],
            candidates=[look for look in track.candidates if look.frame >= frame],
        ),
    ]  # fmt: skip
