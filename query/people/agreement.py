"""Do the photos of one person show one person? Compares their embeddings; reads no photo."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from facereel.query.records import PersonQuery, Reference
from facereel.store.files.names import printable
from facereel.store.model.errors import OptionError, PhotoError

# Similarities below are those of the default engine; `scale` (Threshold.scale) converts them to another engine's.
# Measured on 289 photos of 46 people, 24 of whom have ten photos each, some with sunglasses or in profile. Of the sets
# of one person's photos none is refused when complete, of random parts of them 0.8%. Of sets of two people's photos
# 97.8% are refused where both have two or more, 97.5% where one has a single photo; nearly all others get a warning. At
# 0.28 instead of 0.25 99.1% would be refused, but also 1.8% of the parts. The limits were chosen on the same photos.
_SAME_GROUP = 0.42  # mean similarity of groups of photos that belong together
_DIFFERENT = 0.25  # mean similarity below which two groups show different people
_DOUBTFUL = 0.33  # the same for a warning
_CLEAR = 0.5  # face confidence; a photo below it can look like nobody, so it does not count
_AGREES_WITH_NONE = 0.25  # similarity to every other photo below which a photo is mentioned in a warning
_MAX_GROUPS, _MAX_PHOTOS = 6, 4  # named in a message

Similarities: TypeAlias = NDArray[np.float64]  # (N, N)


def check_one_person(name: str, references: Sequence[Reference], scale: float) -> list[str]:
    """Raise PhotoError where the photos clearly show different people, naming those that belong together.

    Returns a warning where they may show different people.
    """
    clear = [reference for reference in references if reference.quality >= _CLEAR]
    if len(clear) < 2:
        return []
    from scipy.cluster.hierarchy import fcluster, linkage  # 0.4 s that a single photo need not wait for

    similarity = _similarities(clear) / scale
    distances = np.clip(1 - similarity[np.triu_indices(len(clear), 1)], 0, None)  # rounding
    labels = fcluster(linkage(distances, "average"), 1 - _SAME_GROUP, "distance")
    groups = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    between = np.array([[similarity[np.ix_(one, other)].mean() for other in groups] for one in groups])
    if not _is_split(between, _DOUBTFUL):
        return []
    listed = _listed([[clear[position] for position in group] for group in groups])
    if not _is_split(between, _DIFFERENT):
        return [f"the photos of {name} may show different people ({listed}); if so, query them one by one"]
    raise PhotoError(
        f"the photos of {printable(name)} show different people ({listed}); "
        "give the photos of one person, or a folder with a folder for each person"
    )


def check_several_people(people: Sequence[PersonQuery], scale: float) -> None:
    """Raise OptionError where photos of two people look like photos of one, who would be searched for twice."""
    for position, one in enumerate(people):
        for other in people[position + 1 :]:
            similarity = _similarities((*one.references, *other.references)) / scale
            count = len(one.references)
            if similarity[:count, count:].mean() >= _SAME_GROUP:
                photos = " ".join(printable(person.references[0].path) for person in (one, other))
                raise OptionError(
                    f"these photos show one person: {photos}; give photos of one person together, without --person"
                )


def disagreements(references: Sequence[Reference], scale: float = 1.0) -> list[str]:
    """A warning for each photo that resembles none of the others."""
    if len(references) < 2:
        return []
    similarity = _similarities(references) / scale
    np.fill_diagonal(similarity, -np.inf)
    return [
        f"{reference.path} resembles none of the other photos (similarity at most {best:.2f}); "
        "leave it out if it shows somebody else"
        for reference, best in zip(references, similarity.max(axis=1) * scale, strict=True)
        if best < scale * _AGREES_WITH_NONE
    ]


def _similarities(references: Sequence[Reference]) -> Similarities:
    vectors = np.stack([reference.embedding for reference in references]).astype(np.float64)
    return np.asarray(vectors @ vectors.T, np.float64)


def _is_split(between: Similarities, limit: float) -> bool:
    """Whether groups with these mean similarities (G, G) fall apart where only those from `limit` on are joined."""
    from scipy.sparse.csgraph import connected_components

    return bool(connected_components(between >= limit, directed=False)[0] > 1)


def _listed(groups: Sequence[Sequence[Reference]]) -> str:
    """`a1.jpg, a2.jpg; b1.jpg`: the photos of each group, the largest first, shortened."""
    ordered = sorted(groups, key=lambda group: -len(group))
    texts = []
    for group in ordered[:_MAX_GROUPS]:
        names = [printable(Path(reference.path).name) for reference in group]
        rest = f" and {len(names) - _MAX_PHOTOS:,} more" if len(names) > _MAX_PHOTOS else ""
        texts.append(", ".join(names[:_MAX_PHOTOS]) + rest)
    if len(groups) > _MAX_GROUPS:
        texts.append(f"and {len(groups) - _MAX_GROUPS:,} more")
    return "; ".join(texts)
