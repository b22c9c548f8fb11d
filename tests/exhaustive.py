"""What a video answers to references when every exemplar is read and compared with numpy alone."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from facereel.indexer.engines.protocol import default_stranger_rates
from facereel.query.people.directions import directions
from facereel.query.records import MatchingTracklet, NearTracklet, Reference
from facereel.query.search.certainty import Criterion, Limits
from facereel.query.search.matching import VideoFaces, match
from facereel.query.search.rulings import NO_RULINGS, Rulings
from facereel.store.index.embeddings import BestExemplars, pool_exemplars
from facereel.store.index.reader import VideoIndex
from facereel.store.model.pooling import DEFAULT_THRESHOLD
from facereel.store.model.records import ExemplarArrays, Floats, Tracklet, Video


def found_by(
    video: Video, tracklets: Sequence[Tracklet], exemplars: ExemplarArrays, references: Sequence[Reference],
    limits: Limits, behind: Collection[int] = (), rulings: Rulings = NO_RULINGS,
) -> tuple[list[MatchingTracklet], list[NearTracklet]]:  # fmt: skip
    """Sure and possible matches, and near misses; times are those of 25 frames a second.

    `behind`: tracklets without a visible face.
    """
    pooled = pool_exemplars(tuple(tracklets), exemplars, video.frame_rate)
    own = [item for item in tracklets if item.number in pooled.tracklets]
    best = [_best(exemplars, item.number) for item in own]
    faces = VideoFaces(
        video, own, np.array([(item.start / 25, item.end / 25) for item in own]).reshape(-1, 2),
        BestExemplars(
            pooled.tracklets, exemplars.qualities[best], exemplars.widths[best], exemplars.sharpness[best],
            exemplars.frontality[best], np.array([item.number not in behind for item in own], np.float32),
        ),
        pooled.clusters,
    )  # fmt: skip
    person = directions(references, limits.criterion.scale)

    def similarities(embeddings: Floats) -> Floats:
        return person.combine(person.vectors @ embeddings.T)

    return match(
        faces, similarities(pooled.embeddings), similarities(pooled.clusters.embeddings), limits, rulings
    )


def answer_of(
    video: Video, tracklets: Sequence[Tracklet], exemplars: ExemplarArrays, references: Sequence[Reference],
    base: float = DEFAULT_THRESHOLD, scale: float = 1.0, behind: Collection[int] = (),
    rulings: Rulings = NO_RULINGS,
) -> tuple[list[MatchingTracklet], list[MatchingTracklet | NearTracklet]]:  # fmt: skip
    """Sure matches; possible ones and near misses, most similar first. `base` is a threshold that the user chose.

    Otherwise as `found_by`.
    """
    criterion = Criterion(base, scale, default_stranger_rates().scaled(scale), fixed=True)
    limits = Limits(criterion, len(references), len({item.cluster for item in tracklets}))
    matches, near_misses = found_by(video, tracklets, exemplars, references, limits, behind, rulings)
    others: list[MatchingTracklet | NearTracklet] = [
        *(item for item in matches if item.certainty == "possible"),
        *near_misses,
    ]
    return (
        [item for item in matches if item.certainty == "sure"],
        sorted(others, key=lambda item: -item.similarity),
    )


def answer_of_index(
    index: VideoIndex, references: Sequence[Reference], base: float, scale: float = 1.0
) -> tuple[list[MatchingTracklet], list[MatchingTracklet | NearTracklet]]:
    """The same of all rows of an index."""
    return answer_of(index.video, index.tracklets(), index.exemplar_arrays(), references, base, scale)


def _best(exemplars: ExemplarArrays, number: int) -> int:
    rows = np.flatnonzero(exemplars.tracklets == number)
    return int(rows[exemplars.qualities[rows].argmax()])
