"""Tracks that turn out to hold two people: recognised by their exemplars, cut where the face changes."""

from __future__ import annotations

import numpy as np

from facereel.indexer.identity.exemplars import pool
from facereel.indexer.identity.recogniser import TrackRecogniser
from facereel.indexer.track.track import Candidate, Track
from facereel.store.model.pooling import mean_similarity
from facereel.store.model.records import Exemplar

# At a change of person the exemplars after it are similar to each other and not to those before. Measured on 13 films:
# of 721 divisions of one person's track the least similar reaches 0.216, one in a thousand lies below 0.22 and three
# below 0.25. Exemplars of two people of one film are less similar than 0.20 in 51% of 9,632 pairs, than 0.22 in 57%.
_MAX_ACROSS = 0.2
_MIN_WITHIN = 0.4
# Where a track goes on over a slow step, one of the last crops before it and the first after it must be this similar.
# Not measured on such tracks, which films lack. Up to a quality of 0.1 such a pair is one person rather than two; of
# better faces one person's are mostly more similar. A division too many costs little: clustering joins the parts.
MIN_OVER_STEP = 0.4
_CROPS_BEFORE_STEP = 3


def split_at_doubts(track: Track, recogniser: TrackRecogniser) -> list[Track]:
    """The track itself, or its parts where neither patch nor face says that it is the same one after a slow step."""
    parts, start = [track], track.frames[0]
    for doubt in track.doubts:
        before = [one for one in track.candidates if start <= one.frame < doubt][-_CROPS_BEFORE_STEP:]
        after = [one for one in track.candidates if one.frame >= doubt][:1]
        if not _goes_on(before, after, recogniser):
            parts[-1:], start = _cut(parts[-1], doubt), doubt
    return parts


def _goes_on(before: list[Candidate], after: list[Candidate], recogniser: TrackRecogniser) -> bool:
    """Is the face of a crop after a slow step that of one before it?"""
    if not before or not after:
        return False
    similarity = recogniser.embed(before).vectors @ recogniser.embed(after).vectors.T
    return float(similarity.max()) >= recogniser.scale * MIN_OVER_STEP


def split_mixed(track: Track, exemplars: tuple[Exemplar, ...], recogniser: TrackRecogniser) -> list[Track]:
    """The track itself, or its parts when its exemplars show several people."""
    count = _exemplars_before_change(exemplars, recogniser.scale)
    if count is None:
        return [track]
    parts = _cut(track, _frame_of_change(track, exemplars, count, recogniser))
    if len(parts) == 1:
        return parts
    return [
        piece
        for part, part_exemplars in zip(parts, (exemplars[:count], exemplars[count:]), strict=True)
        for piece in split_mixed(part, part_exemplars, recogniser)
    ]


def _frame_of_change(
    track: Track, exemplars: tuple[Exemplar, ...], count: int, recogniser: TrackRecogniser
) -> int:
    """First frame of the other person: narrowed down by the candidates between the exemplars around the change."""
    before, after = pool(exemplars[:count]), pool(exemplars[count:])
    first, last = exemplars[count - 1].frame, exemplars[count].frame
    between = [candidate for candidate in track.candidates if first < candidate.frame < last]
    while between:
        middle = len(between) // 2
        (vector,) = recogniser.embed([between[middle]]).vectors
        if float(vector @ after) > float(vector @ before):
            last, between = between[middle].frame, between[:middle]
        else:
            first, between = between[middle].frame, between[middle + 1 :]
    return _largest_move(track, first, last)


def _exemplars_before_change(exemplars: tuple[Exemplar, ...], scale: float) -> int | None:
    """Number of exemplars before the first change of person, or None when there is none.

    An exemplar begins another person when it and the next one are similar to each other, and pooled not to all before.
    """
    for count in range(1, len(exemplars)):
        before, next_two = exemplars[:count], exemplars[count : count + 2]
        across = float(pool(before) @ pool(next_two))
        several = len(before) >= 2 and len(next_two) == 2
        if across < scale * _MAX_ACROSS and several:
            vectors = np.stack([exemplar.embedding for exemplar in next_two])
            if mean_similarity(vectors) > scale * _MIN_WITHIN:
                return count
    return None


def _largest_move(track: Track, first: int, last: int) -> int:
    """Frame in (first, last] at which the box moves most for its width."""
    start = track.frames[0]
    boxes = track.boxes.rows(slice(first - start, last - start + 1))
    steps = np.abs(np.diff(boxes, axis=0)).sum(axis=1) / boxes[1:, 2]
    return first + 1 + int(steps.argmax())


def _cut(track: Track, frame: int) -> list[Track]:
    """The track's parts before and from `frame` on; the track itself when one would be empty."""
    if not track.frames[0] < frame <= track.frames[-1]:
        return [track]
    return [track.part(track.frames[0], frame), track.part(frame, track.frames[-1] + 1)]
