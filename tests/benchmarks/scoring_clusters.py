"""Scores clusters against truth: B-cubed precision and recall, weighted by frames; objects apart.

B-cubed: Bagga and Baldwin 1998. precision: of the frames in my cluster, how many are of my person; recall: of my
person's frames, how many are in my cluster; both are averaged over frames. Same meaning and numbers as the scorer that
comes with the hand-checked truth.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from tests.benchmarks.scoring import RIGHT, Box, Truth, boxes_by_frame, clipped, frames_in, iou


@dataclass(frozen=True, slots=True)
class ClusterScore:
    """What the clusters of one video are worth."""

    precision: float
    recall: float
    people: int  # of the truth that have a tracklet
    clusters: int  # that hold a face of the truth
    mixed: tuple[str, ...]  # clusters that hold two people or more: number and names
    objects: int  # clusters shown as people that hold objects of the truth and no face
    unlisted: int  # tracklets on nobody of the truth
    frames: int  # that were scored


def score_clusters(
    truth: Truth,
    tracklets: Mapping[int, Mapping[int, Box]],
    clusters: Mapping[int, Sequence[int]],
    shown: Collection[int],
) -> ClusterScore:
    """Score clusters (number -> tracklets) of tracklets (number -> frame -> x y w h); `shown` are shown as people.

    A tracklet is of the person or object on whose boxes most of its frames lie.
    """
    cluster_of = {tracklet: number for number, members in clusters.items() for tracklet in members}
    places = _places(truth)
    may = {name: frames_in(person["may"]) for name, person in truth["people"].items()}
    both: Counter[tuple[str, int]] = Counter()  # frames by person and cluster
    objects, unlisted = set(), 0
    for number, sightings in tracklets.items():
        names = Counter(
            name
            for frame, box in sightings.items()
            for name in _on(clipped(truth, box), places.get(frame, ()))
        )
        if not names:
            unlisted += 1
            continue
        ((name, _),) = names.most_common(1)
        if name is None:
            objects.add(cluster_of[number])
        elif frames := sum(frame not in may[name] for frame in sightings):
            both[name, cluster_of[number]] += frames
    size, own = Counter[int](), Counter[str]()
    for (name, cluster), frames in both.items():
        size[cluster] += frames
        own[name] += frames
    total = size.total() or 1
    names_in = defaultdict(list)
    for name, cluster in sorted(both):
        names_in[cluster].append(name)
    return ClusterScore(
        precision=sum(frames * frames / size[cluster] for (_, cluster), frames in both.items()) / total,
        recall=sum(frames * frames / own[name] for (name, _), frames in both.items()) / total,
        people=len(own),
        clusters=len(size),
        mixed=tuple(f"{c}: {', '.join(names)}" for c, names in names_in.items() if len(names) > 1),
        objects=len(objects & set(shown) - set(size)),
        unlisted=unlisted,
        frames=size.total(),
    )


def _places(truth: Truth) -> dict[int, list[tuple[str | None, Box]]]:
    """Who is where in each frame; None is an object."""
    places: dict[int, list[tuple[str | None, Box]]] = defaultdict(list)
    for name in truth["people"]:
        for frame, box in boxes_by_frame(truth, name).items():
            places[frame].append((name, box))
    for frame, boxes in truth.get("objects", {}).items():
        places[int(frame)] += [(None, box) for box in boxes]
    return places


def _on(box: Box, places: Sequence[tuple[str | None, Box]]) -> list[str | None]:
    """The one on whom a box lies, if it does."""
    overlaps = [(iou(box, place), name) for name, place in places]
    best, name = max(overlaps, key=lambda pair: pair[0], default=(0.0, None))
    return [name] if best >= RIGHT else []
