"""People who want to be forgotten: their looks and vectors leave every index in which they are found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from facereel.query.search.search import Answer, Scope
from facereel.store.index.database import IndexVersion, read_version
from facereel.store.index.reader import VideoIndex
from facereel.store.index.redact import drop_tracklets
from facereel.store.library.catalogue import Catalogue
from facereel.store.model.errors import StoreError
from facereel.store.resume.unfinished import clean_unfinished


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What leaves, or left, one index."""

    video: str
    folder: Path
    tracklets: tuple[int, ...]
    frames: int  # in which the face is seen
    looks: int  # crops and vectors
    version: IndexVersion  # of the index that was read


def what_to_forget(answers: Sequence[Answer], where: Scope) -> list[Forgotten]:
    """What every index holds of the people of the answers.

    Not only the tracklets that a query gives: all that the index took for the same person.
    """
    found: dict[str, set[int]] = {}
    for answer in answers:
        for match, _ in answer.matches:
            found.setdefault(match.video.sha256, set()).add(match.tracklet.cluster)
    return [
        _holdings(folder, found[video.sha256]) for folder, video in where.searched if video.sha256 in found
    ]


def forget(holdings: Sequence[Forgotten]) -> None:
    """Rewrite the indexes without them, each whole or not at all; raises the errors of drop_tracklets at the end."""
    failures = []
    for store in {held.folder.parent for held in holdings}:
        Catalogue(store).clean()
    for held in holdings:
        try:
            drop_tracklets(held.folder, held.tracklets, held.version)
        except StoreError as error:
            failures.append(error)
    for store in {held.folder.parent for held in holdings}:
        clean_unfinished(store, everything=True)  # whoever was found so far in a video that is being indexed
    if failures:
        raise failures[0]


def _holdings(folder: Path, people: set[int]) -> Forgotten:
    version = read_version(folder)
    with VideoIndex(folder) as index:
        going = [tracklet for tracklet in index.tracklets() if tracklet.cluster in people]
        numbers = tuple(tracklet.number for tracklet in going)
        looks = index.exemplar_arrays().tracklets.tolist()
        return Forgotten(
            video=index.video.name, folder=folder, tracklets=numbers,
            frames=sum(tracklet.end - tracklet.start for tracklet in going),
            looks=sum(number in numbers for number in looks), version=version,
        )  # fmt: skip
