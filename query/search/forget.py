"""People who want to be forgotten: their crops and embeddings leave every index that holds them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from facereel.query.records import PersonQuery
from facereel.query.search.rulings import Decisions
from facereel.query.search.scope import Scope, SkippedVideo, kind_of
from facereel.query.search.search import PersonMatches
from facereel.store.files.folders import index_folders
from facereel.store.files.locks import locked_videos, no_writers
from facereel.store.files.names import printable
from facereel.store.index.database import IndexVersion, read_version
from facereel.store.index.reader import VideoIndex
from facereel.store.index.rewrite import drop_tracklets
from facereel.store.library.catalogue import Catalogue
from facereel.store.library.vectors import LIBRARY_VECTORS
from facereel.store.model.errors import StoreError
from facereel.store.model.records import Tracklet, Video
from facereel.store.resume.unfinished import UNFINISHED, delete_unfinished, unfinished_runs


@dataclass(frozen=True, slots=True)
class Holding:
    """Tracklets of one index that are to be removed, or were."""

    video: str  # the file's name
    folder: Path  # of the index
    tracklets: tuple[int, ...]
    starts: tuple[float, ...]  # of each tracklet, seconds
    frames: int  # in which the face is visible
    seconds: float
    exemplars: int  # stored face crops
    version: IndexVersion  # of the index from which this was read


@dataclass(frozen=True, slots=True)
class Removal:
    """What `forget` did, and what may still hold the person."""

    removed: tuple[Holding, ...]
    busy: tuple[SkippedVideo, ...]  # what could not be rewritten or deleted
    unfinished: tuple[
        str, ...
    ]  # videos whose unfinished run was deleted, by the first digits of their sha256
    being_indexed: tuple[str, ...]  # by the first digits of their sha256
    indexed_since: tuple[Path, ...]  # index folders that were written since the plan was made


def holdings(
    answers: Sequence[PersonMatches],
    scope: Scope,
    decisions: Decisions,
    faceless: Sequence[PersonQuery] = (),
) -> tuple[tuple[Holding, ...], tuple[Holding, ...], tuple[SkippedVideo, ...]]:
    """What each index holds of the people of the answers: what matches them, weaker tracklets, and what is unreadable.

    `faceless` are people of the library without references, of whom it holds what the library says.
    With a match goes its whole cluster, but for tracklets of which the user said that they are not the person; with a
    person of the library all clusters of the person, and what was confirmed, of another's cluster only that. Weaker are
    the possible matches and near misses that are in no frame with a match, because a person is not twice in one frame,
    and that are not somebody else by name or decision. The caller keeps writers away (`no_writers`) since the search,
    so that the numbers still are those of the search.
    """
    matching, weaker, unreadable = [], [], []
    found = {
        match.folder: match.video for answer in answers for match, _ in (*answer.matches, *answer.possible)
    }
    found |= {miss.folder: miss.video for answer in answers for miss in answer.near_misses}
    people = [*(answer.person for answer in answers), *faceless]
    decided = scope.of_contents({sha256 for person in people for sha256 in decisions.videos(person)})
    found |= {stored.folder: video for stored, video in scope.videos(decided)}
    for folder, video in sorted(found.items()):
        clusters = {
            match.tracklet.cluster
            for answer in answers
            for match, _ in answer.matches
            if match.folder == folder and match.matched != "decision"
        }
        near = {
            match.tracklet.number
            for answer in answers
            for match, _ in answer.possible
            if match.folder == folder
        }
        near |= {
            miss.tracklet.number for answer in answers for miss in answer.near_misses if miss.folder == folder
        }
        try:
            certain, possible = _in_index(folder, video, clusters, near, people, decisions)
        except StoreError as error:
            if scope.named:
                raise
            unreadable.append(SkippedVideo(printable(video.name), str(error), kind_of(error)))
            continue
        matching += certain
        weaker += possible
    return tuple(matching), tuple(weaker), tuple(unreadable)


def _in_index(
    folder: Path,
    video: Video,
    clusters: set[int],
    near: set[int],
    people: Sequence[PersonQuery],
    decisions: Decisions,
) -> tuple[list[Holding], list[Holding]]:
    """What one index holds: at most one holding that matches, and one that is weaker."""
    version = read_version(folder)
    with VideoIndex(folder) as index:
        tracklets = index.tracklets()
        rulings = [decisions.of(index, person) for person in people]
        confirmed = {number for one in rulings for number in one.confirmed}
        excluded = {number for one in rulings for number in one.excluded} - confirmed
        whole = clusters.union(*(one.clusters for one in rulings))
        others = decisions.of_others(index, people)
        certain = [
            item
            for item in tracklets
            if item.number in confirmed or (item.cluster in whole and item.number not in excluded)
        ]
        possible = [
            item
            for item in tracklets
            if item.number in near
            and item.cluster not in whole
            and item.number not in confirmed
            and item.number not in others
            and not any(item.start < other.end and other.start < item.end for other in certain)
        ]
        return (
            [_holding(index, video, certain, version)] if certain else [],
            [_holding(index, video, possible, version)] if possible else [],
        )


def merged(one: Sequence[Holding], other: Sequence[Holding]) -> tuple[Holding, ...]:
    """Two lists as one, with one entry an index."""
    by_folder = {holding.folder: holding for holding in one}
    for more in other:
        held = by_folder.get(more.folder)
        by_folder[more.folder] = more if held is None else replace(
            held, tracklets=held.tracklets + more.tracklets, starts=held.starts + more.starts,
            frames=held.frames + more.frames, seconds=held.seconds + more.seconds,
            exemplars=held.exemplars + more.exemplars,
        )  # fmt: skip
    return tuple(by_folder.values())


def index_versions(store: Path) -> dict[Path, IndexVersion]:
    """All indexes of a store as they are now, by folder."""
    return {folder: read_version(folder) for folder in index_folders(store)}


def being_indexed(store: Path) -> tuple[str, ...]:
    """Videos that a process indexes now, by the first digits of their sha256: nobody knows who is in them."""
    return tuple(locked_videos(store))


def unfinished(store: Path) -> tuple[str, ...]:
    """Videos whose indexing was interrupted, by the first digits of their sha256: nobody knows who is in them."""
    running = being_indexed(store)
    return tuple(digits for digits in unfinished_runs(store) if digits not in running)


def forget(store: Path, removing: Sequence[Holding], planned: Mapping[Path, IndexVersion]) -> Removal:
    """Rewrite the indexes of a store without them, each completely or not at all.

    What unfinished runs stored goes too. `planned` are the indexes as they were when the holdings were read. Raises
    UnwritableError when library.vectors cannot be written: then nothing has changed.
    """
    catalogue = Catalogue(store)
    catalogue.clean()
    # Before anything is rewritten: an embedding must not stay in the derived file when it is gone from the index.
    catalogue.drop_rows([holding.folder for holding in removing])
    removed, busy, expected = [], [], dict(planned)
    try:
        for holding in removing:
            try:
                _drop(catalogue, holding)
                expected[holding.folder] = read_version(holding.folder)
                removed.append(holding)
            except StoreError as error:
                expected.pop(holding.folder, None)
                busy.append(_skipped(holding.video, error))
    finally:
        try:
            # A query that ran meanwhile may have written rows of the old indexes.
            catalogue.drop_rows([holding.folder for holding in removed])
        except StoreError as error:
            busy.append(_skipped(LIBRARY_VECTORS, error))
        catalogue.refresh()
    deleted = delete_unfinished(store)
    with no_writers(store):  # so that no video is between being indexed and having an index
        running, now = being_indexed(store), index_versions(store)
    failed = {holding.folder for holding in removing} - {holding.folder for holding in removed}
    since = [
        folder for folder, version in now.items() if folder not in failed and expected.get(folder) != version
    ]
    for digits in unfinished_runs(store):
        if digits not in running:
            folder = store / f"{UNFINISHED}{digits}"
            busy.append(SkippedVideo(digits, f"{printable(folder)} cannot be deleted; delete it", "busy"))
    return Removal(tuple(removed), tuple(busy), deleted, running, tuple(since))


def _drop(catalogue: Catalogue, holding: Holding) -> None:
    """Remove tracklets from an index, and their faces from the decisions about other people, both or none."""
    with VideoIndex(holding.folder) as index, catalogue.people.writing():
        if (
            read_version(holding.folder) == holding.version
        ):  # else nothing is removed, and the next line says so
            catalogue.people.forget_faces(index, holding.tracklets)
        drop_tracklets(holding.folder, holding.tracklets, holding.version)


def _skipped(name: str, error: StoreError) -> SkippedVideo:
    return SkippedVideo(printable(name), str(error), "busy")


def _holding(
    index: VideoIndex, video: Video, tracklets: Sequence[Tracklet], version: IndexVersion
) -> Holding:
    times, numbers = index.times(), {item.number for item in tracklets}
    return Holding(
        video=video.name, folder=index.folder, tracklets=tuple(item.number for item in tracklets),
        starts=tuple(round(video.seconds(int(times.pts[item.start])), 3) for item in tracklets),
        frames=sum(item.end - item.start for item in tracklets),
        seconds=round(sum(video.duration(times, item.start, item.end) for item in tracklets), 3),
        exemplars=sum(number in numbers for number in index.exemplar_arrays().tracklets.tolist()),
        version=version,
    )  # fmt: skip
