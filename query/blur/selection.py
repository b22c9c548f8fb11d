"""Whose tracklets of an index are those of the people who were named, who may be, and who surely is somebody else.

The photos of a person tell their faces from those of strangers only where a face shows enough. So with `--only` nothing
but evidence that a face is somebody else's leaves it uncovered; that it is not found to be the person's is none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from facereel.query.people.directions import directions
from facereel.query.records import MatchingTracklet
from facereel.query.search.search import PersonMatches
from facereel.store.index.reader import VideoIndex
from facereel.store.model import pooling
from facereel.store.model.face_odds import similarity_at
from facereel.store.model.records import Sightings

# Natural logarithm of the odds that a tracklet shows the person, by its look. From the first on it may be the person,
# whatever its cluster is. Below the second it plainly is somebody else: of 103 tracklets of people with photos in nine
# films with truth, many in profile and from 16 px on, the least like its person has -4.0. No poor face comes so low.
_MAYBE_LOG_ODDS = 0.0
_SOMEBODY_ELSE_LOG_ODDS = -6.0


@dataclass(frozen=True, slots=True, eq=False)
class People:
    """Who stays visible (`keep`), or is covered alone (`only`), as a search finds them."""

    mode: Literal["keep", "only"]
    found: tuple[PersonMatches, ...]
    threshold: float  # similarity from which on a face of theirs that no tracklet has is theirs, too
    others: frozenset[int] = frozenset()  # tracklets that are somebody else's, by name or by decision


@dataclass(frozen=True, slots=True)
class Selection:
    """Whose faces are covered; tracklets are those of the index."""

    mode: Literal["everybody", "keep", "only"] = "everybody"
    sure: frozenset[int] = frozenset()  # tracklets of the people who were named
    others: frozenset[int] = frozenset()  # that surely are somebody else's


def selection_of(index: VideoIndex | None, people: People | None) -> Selection:
    """Whose faces of an index are meant; everybody's without people."""
    if index is None or people is None:
        return Selection()
    sure = frozenset().union(*(_tracklets(index, one.matches) for one in people.found))
    others = people.others
    if people.mode == "only":
        others |= frozenset.intersection(*(_others(index, one) for one in people.found))
    possible = (_tracklets(index, one.possible) for one in people.found)
    return Selection(people.mode, sure, others.difference(sure, *possible))


def _others(index: VideoIndex, person: PersonMatches) -> frozenset[int]:
    """The tracklets that surely are somebody else than a person.

    They are in a frame with the person, or look unlike the person; or they do not look like the person, and another one
    of their cluster is in a frame with them.
    """
    tracklets = index.tracklets()
    own, busy = _tracklets(index, person.matches), np.zeros(len(index.times().pts), np.bool_)
    for tracklet in tracklets:
        if tracklet.number in own:
            busy[tracklet.start : tracklet.end] = True
    beside = [
        tracklet for tracklet in tracklets
        if tracklet.number not in own and busy[tracklet.start : tracklet.end].any()
    ]  # fmt: skip
    clusters = {tracklet.cluster for tracklet in beside}
    unlike, maybe = _by_look(index, person, own)
    return frozenset(
        {tracklet.number for tracklet in beside}
        | unlike
        | {tracklet.number for tracklet in tracklets if tracklet.cluster in clusters} - maybe
    )


def _by_look(
    index: VideoIndex, person: PersonMatches, own: frozenset[int]
) -> tuple[frozenset[int], frozenset[int]]:
    """The tracklets that plainly do not look like a person, and those that may be them; `own` surely are.

    What a person looks like say the photos, and the faces in this video.
    """
    best, exemplars, vectors = index.best_exemplars(), index.exemplar_arrays(), index.vectors()
    without = frozenset(tracklet.number for tracklet in index.tracklets()) - frozenset(
        best.tracklets.tolist()
    )
    scale = person.limits.criterion.scale
    similarities = np.full(len(best), -1.0, np.float32)
    if person.person.references:
        photos = directions(person.person.references, scale)
        similarities = photos.combine(vectors.similarities(photos.vectors, best.tracklets))
    theirs = np.isin(exemplars.tracklets, list(own))
    if theirs.any():
        pooled = pooling.pool(exemplars.embeddings[theirs], exemplars.qualities[theirs])
        similarities = np.maximum(similarities, vectors.similarities(pooled[None], best.tracklets)[0])
    if similarities.max(initial=-1.0) <= -1.0:  # nobody knows what the person looks like
        return frozenset(), frozenset(tracklet.number for tracklet in index.tracklets())
    unlike = similarities < scale * similarity_at(_SOMEBODY_ELSE_LOG_ODDS, best.qualities)
    maybe = similarities >= scale * similarity_at(_MAYBE_LOG_ODDS, best.qualities)
    return frozenset(best.tracklets[unlike].tolist()), frozenset(best.tracklets[maybe].tolist()) | without


def _tracklets(index: VideoIndex, pairs: Sequence[tuple[MatchingTracklet, Sightings]]) -> frozenset[int]:
    """The tracklets of an index among the matches in any video."""
    return frozenset(match.tracklet.number for match, _ in pairs if match.folder == index.folder)
