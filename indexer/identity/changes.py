"""Tracks that went over to another face: cut where a face changed and embeddings say that it is not the same person.

Where two faces meet and one hides the other, boxes follow each other smoothly, and the patch of each frame looks like
that of the frame before. The tracker notes when the face of shortly before is gone; the crops on either side decide.
"""

from __future__ import annotations

from itertools import product

import numpy as np

from facereel.indexer.identity.recogniser import MIN_NCC_ALIKE, TrackRecogniser
from facereel.indexer.timing import frames_in
from facereel.indexer.track.track import Candidate, Change, Track
from facereel.store.model.pooling import mean_similarity, unit

# Similarity of the crops before a meeting to those after it from which on it is plain that the same face goes on.
# Measured with the detector's landmarks on 24 rendered meetings and ten films: two people stay below 0.30; one person
# stays above 0.31, but for turning heads in the dance film, which fall to 0.05 and are split as well.
_MIN_SIMILARITY = 0.30
_CROPS = 3  # on either side, at most
# Crops before it that are less similar to each other, or fewer than two, do not say who it was: a head that comes up.
_MIN_WITHIN = 0.3
_PLAINLY_SAME = 0.45  # of one crop on either side, which then suffices
# Crops closer to the change than this may show both faces, seconds.
_MARGIN_SECONDS = 0.16
# How much more similar a crop between must be to one side than to the other to belong to it.
_MIN_LEAD = 0.1


def split_at_changes(track: Track, recogniser: TrackRecogniser) -> list[Track]:
    """The track itself, or its parts without the frames in which it went over to another face."""
    for change in track.changes:
        edges = _edges(track, change, recogniser) if change.meeting else None
        if edges is not None:
            before = track.part(track.frames[0], edges[0] + 1)
            return [before, *split_at_changes(track.part(edges[1], track.frames[-1] + 1), recogniser)]
    return [track]


def _edges(track: Track, change: Change, recogniser: TrackRecogniser) -> tuple[int, int] | None:
    """Last frame of the face before a change and first frame of the other face after it; None if it is the same."""
    margin = frames_in(_MARGIN_SECONDS, track.video.frame_rate)
    before = [one for one in track.candidates if one.frame <= change.frame - margin][-_CROPS:]
    after = [one for one in track.candidates if one.frame >= change.frame + margin][:_CROPS]
    if len(before) < 2 or not after or _plainly_same(before, after, recogniser):
        return None
    vectors_before, vectors_after = (recogniser.embed(side).vectors for side in (before, after))
    if mean_similarity(vectors_before) < recogniser.scale * _MIN_WITHIN:
        return None
    pooled = np.stack([unit(vectors.sum(axis=0)) for vectors in (vectors_before, vectors_after)])
    if float(pooled[0] @ pooled[1]) >= recogniser.scale * _MIN_SIMILARITY:
        return None
    first, last = before[-1].frame, after[0].frame
    between = [one for one in track.candidates if first < one.frame < last]
    if between:
        lead = recogniser.embed(between).vectors @ (pooled[0] - pooled[1])
        for one, value in zip(between, lead.tolist(), strict=True):
            if value > _MIN_LEAD:
                first = one.frame
            elif value < -_MIN_LEAD:
                last = one.frame
                break
    return first, last


def _plainly_same(before: list[Candidate], after: list[Candidate], recogniser: TrackRecogniser) -> bool:
    """Do the two crops on either side that look most alike plainly show the same face?"""
    first, second = max(
        product(recogniser.align(before), recogniser.align(after)), key=lambda pair: pair[0].ncc(pair[1])
    )
    if first.ncc(second) >= MIN_NCC_ALIKE:
        return True
    one, other = recogniser.embed([first.candidate, second.candidate]).vectors
    return float(one @ other) >= recogniser.scale * _PLAINLY_SAME
