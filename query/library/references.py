"""By which faces a person of the library is found in other videos: the best ones, each unlike the others."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from facereel.query.library.decisions import LibraryDecisions
from facereel.query.records import Reference
from facereel.store.index.reader import VideoIndex
from facereel.store.library.catalogue import Catalogue
from facereel.store.library.people import LibraryPeople
from facereel.store.model.errors import EngineMismatchError, StoreError
from facereel.store.model.records import EngineInfo
from facereel.store.model.views import shows_face

MOST_REFERENCES = 9  # the errors of a threshold are measured for up to nine photos
_MOST_VIDEOS = 24  # that are opened for one person
# A confirmed face goes before another one that is so much better.
_CONFIRMED = 0.2
# A face that is more like one of those chosen adds nothing.
_SAME_VIEW = 0.85


def person_references(
    person: int, people: LibraryPeople, catalogue: Catalogue, engine: EngineInfo
) -> tuple[Reference, ...]:
    """The best faces of a person: confirmed ones first, then those of the person's clusters.

    None where no face is clear. Raises EngineMismatchError where no video was indexed by an engine that compares with
    this one, StoreError where none can be read.
    """
    confirmed = people.rulings(person).confirmed
    decisions = LibraryDecisions(people)
    clusters: dict[str, set[int]] = {place.sha256: set() for place in confirmed}
    seconds: dict[str, float] = {}
    for member in people.members(person):
        clusters.setdefault(member.sha256, set()).add(member.cluster)
        seconds[member.sha256] = seconds.get(member.sha256, 0.0) + member.seconds
    # Videos with decisions first, then those in which the person is seen for long.
    decided = {place.sha256 for place in confirmed}
    chosen = sorted(clusters, key=lambda sha256: (sha256 not in decided, -seconds.get(sha256, 0.0), sha256))
    references: list[tuple[float, Reference]] = []
    errors: list[StoreError] = []
    for sha256 in chosen[:_MOST_VIDEOS]:
        try:
            index = catalogue.by_hash(sha256)
            if index is None:
                continue  # its index was removed
            with index:
                if not index.engine.compares_with(engine):
                    raise EngineMismatchError(
                        f"{index.video.name} was indexed by {index.engine.name}, not {engine.name}; "
                        f"add --engine {index.engine.name}"
                    )
                own = decisions.tracklets(index, person)
                references += _of_index(index, own, decisions.confirmed(index, person))
        except StoreError as error:
            errors.append(error)
    if errors and not references:
        raise errors[0]
    return _diverse(references)


def cluster_references(index: VideoIndex, tracklets: Collection[int]) -> tuple[Reference, ...]:
    """The best faces of some tracklets of one video."""
    return _diverse(_of_index(index, tracklets, ()))


def _of_index(
    index: VideoIndex, tracklets: Collection[int], confirmed: Collection[int]
) -> list[tuple[float, Reference]]:
    """The best exemplar of each tracklet that shows a clear face, with how much speaks for taking it."""
    looks, best = index.exemplar_arrays(), index.best_exemplars()
    probabilities = dict(zip(best.tracklets.tolist(), best.face_probabilities.tolist(), strict=True))
    found = []
    for item in index.tracklets():
        if item.number not in probabilities or item.number not in tracklets:
            continue
        if not shows_face(item.face_width, [probabilities[item.number]]):
            continue
        rows = np.flatnonzero(looks.tracklets == item.number)
        row = int(rows[looks.qualities[rows].argmax()])
        quality, frame = float(looks.qualities[row]), int(looks.frames[row])
        reference = Reference(
            path=index.video.path, sha256=index.video.sha256, box=index.box(item.number, frame),
            embedding=looks.embeddings[row], quality=quality, frame=frame,
        )  # fmt: skip
        found.append((quality + (_CONFIRMED if item.number in confirmed else 0.0), reference))
    return found


def _diverse(candidates: Sequence[tuple[float, Reference]]) -> tuple[Reference, ...]:
    """The best, none of them nearly the same as a better one."""
    chosen: list[Reference] = []
    for _, reference in sorted(candidates, key=lambda pair: -pair[0]):
        if len(chosen) == MOST_REFERENCES:
            break
        if all(float(reference.embedding @ other.embedding) < _SAME_VIEW for other in chosen):
            chosen.append(reference)
    return tuple(chosen)
