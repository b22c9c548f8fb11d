"""library.vectors: the same answers as from all rows, never those of an old index, and nothing forgotten stays."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from facereel.query.people.directions import directions
from facereel.query.records import MatchingTracklet, NearTracklet, PersonQuery, Reference
from facereel.query.search import forget, search
from facereel.query.search.rulings import NoDecisions
from facereel.query.search.scope import scope_of
from facereel.query.search.search import PersonMatches
from facereel.store.files import folders
from facereel.store.files.folders import index_names
from facereel.store.index import rewrite
from facereel.store.index.database import DATABASE, read_version
from facereel.store.index.reader import VideoIndex, read_video
from facereel.store.index.vectors import VECTORS
from facereel.store.index.writer import embedding_digest
from facereel.store.library import videos
from facereel.store.library.catalogue import Catalogue
from facereel.store.library.database import LIBRARY, LibraryDatabase
from facereel.store.library.vectors import (
    LIBRARY_VECTORS,
    ClusterSearch,
    UnusableFile,
    VectorFile,
    _Rows,
    encoded,
    rounding,
)
from facereel.store.library.videos import Counts, StoredVideo, VideoClusters, read_clusters
from facereel.store.model import pooling
from facereel.store.model.errors import (
    BusyLibraryError,
    DamagedIndexError,
    NotIndexedError,
    StoreError,
    UnwritableError,
)
from facereel.store.model.records import Cluster, EngineInfo, Floats, Sightings
from tests.exhaustive import answer_of_index
from tests.factories import (
    IndexContents,
    make_contents,
    make_criterion,
    make_sightings,
    make_video,
    write_index,
)

DIM = 16
ENGINE = EngineInfo("fake", DIM, "a" * 64, "b" * 64)


def photo(vector: Floats, quality: float = 0.9) -> Reference:
    return Reference("photo.jpg", "0" * 64, np.array([0, 0, 99, 99], np.float32), vector, quality)


def contents(seed: int, name: str = "", people: int = 5) -> IndexContents:
    """A random index with the same people as any other, whose faces look like them more or less."""
    rng = np.random.default_rng(seed)
    video = make_video(f"/videos/{name or seed}.mp4", name or str(seed), 200)
    made = make_contents(seed, video, 3, 14, 2, DIM)
    faces = np.random.default_rng(people).standard_normal((people, DIM))
    who = {item.number: int(rng.integers(people)) for item in made.tracklets}
    exemplars = {}
    for number, own in made.exemplars.items():
        embeddings = faces[who[number]] + 0.7 * rng.standard_normal((len(own), DIM))
        embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
        exemplars[number] = tuple(
            replace(exemplar, embedding=embedding.astype(np.float32))
            for exemplar, embedding in zip(own, embeddings, strict=True)
        )
    tracklets = tuple(replace(item, cluster=who[item.number] + 1) for item in made.tracklets)
    clusters = tuple(
        Cluster(n, None, tuple(t.number for t in tracklets if t.cluster == n)) for n in range(1, people + 1)
    )
    clusters = tuple(cluster for cluster in clusters if cluster.tracklets)
    return replace(made, tracklets=tracklets, exemplars=exemplars, clusters=clusters)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Three videos; the photo of `ask` is of somebody in the first."""
    for seed in (3, 4, 5):
        write_index(tmp_path / "store", contents(seed))
    return tmp_path / "store"


def folder_of(store: Path, seed: int) -> Path:
    (folder,) = store.glob(f"{seed}.mp4-*")
    return folder


def photo_in(folder: Path) -> Reference:
    with VideoIndex(folder) as index:
        return photo(index.exemplar_arrays().embeddings[0])


def ask(store: Path, *references: Reference, base: float = 0.42) -> PersonMatches:
    where = scope_of(Catalogue(store), [], ENGINE)
    return search.search([PersonQuery("anna", references, ())], where, make_criterion(base))[0]


def vectors_in(store: Path) -> dict[str, dict[int, bytes]]:
    """What library.vectors holds of each folder that library.db knows: the bytes of each cluster's vector."""
    catalogue = Catalogue(store)
    own = catalogue.clusters_like(ENGINE)
    found: dict[str, dict[int, bytes]] = {video.folder.name: {} for video in catalogue.all()}
    for block in own._blocks:
        for codes, (number, cluster) in zip(block.codes, block.owners.tolist(), strict=True):
            if number:
                found[catalogue.stored([number])[number].folder.name][cluster] = codes.tobytes()
    return found


def put(store: Path, *read: VideoClusters) -> None:
    """Write rows as a catalogue does, whatever lies in the store."""
    catalogue = Catalogue(store)
    with catalogue.database.write() as db:
        catalogue._make_usable(db)
        videos.put(db, VectorFile(store), read)
    videos.tidy(catalogue.database, VectorFile(store))


def said(answer: PersonMatches) -> list[Any]:
    """Everything that an answer says, in values that can be compared."""
    matches = [(match, own.frames.tolist(), own.boxes.tolist()) for match, own in answer.matches]
    return [matches, answer.near_misses, {key: times.pts.tolist() for key, times in answer.times.items()}]


def similarities_of(found: Iterable[MatchingTracklet | NearTracklet]) -> dict[tuple[object, ...], float]:
    """What is found, in values that can be compared, and its similarities, which may differ in their last bits."""
    return {(item.video.sha256, item.tracklet, item.explanation): item.similarity for item in found}


def write_tracklets(
    store: Path, towards: Mapping[int, tuple[float, ...]], of_cluster: dict[int, int], starts: dict[int, int]
) -> None:
    """An index of tracklets 1, 2, ... of 30 frames, each with what its faces look like, its cluster, its start."""
    made = make_contents(1, make_video("/videos/a.mp4", "a", 200), 1, len(towards), 2, DIM)
    tracklets = tuple(
        replace(
            item, cluster=of_cluster[item.number], start=starts[item.number], end=starts[item.number] + 30
        )
        for item in made.tracklets
    )
    exemplars = {}
    for item in tracklets:
        vector = towards[item.number]
        embedding = pooling.unit(np.array([*vector, *[0.0] * (DIM - len(vector))], np.float32))
        exemplars[item.number] = tuple(
            replace(one, embedding=embedding, quality=0.5, frame=item.start)
            for one in made.exemplars[item.number]
        )
    clusters = tuple(
        Cluster(number, None, tuple(item.number for item in tracklets if item.cluster == number))
        for number in sorted(set(of_cluster.values()))
    )
    sightings = {
        item.number: make_sightings(np.random.default_rng(1), item.start, item.end) for item in tracklets
    }
    write_index(
        store,
        replace(made, tracklets=tracklets, exemplars=exemplars, clusters=clusters, sightings=sightings),
    )


def test_who_is_in_one_frame_with_a_surer_match_is_the_last_near_miss(tmp_path: Path) -> None:
    """Tracklet 3 is in the cluster of 1 and 2, but 4, a surer match, is in its frames; 5 is a stranger."""
    write_tracklets(
        tmp_path,
        {1: (0.9, 0.436), 2: (0.9, 0.436), 3: (0.4, 0.917), 4: (0.6, 0.8), 5: (0.38, 0.0, 0.92)},
        {1: 1, 2: 1, 3: 1, 4: 2, 5: 3},
        {1: 0, 2: 40, 3: 80, 4: 90, 5: 160},
    )
    answer = ask(tmp_path, photo(np.eye(DIM, dtype=np.float32)[0]))
    assert [match.tracklet.number for match, _ in answer.matches] == [1, 2, 4]
    assert [match.tracklet.number for match, _ in answer.possible] == [5]
    assert [(miss.tracklet.number, miss.ruled_out) for miss in answer.near_misses] == [(3, True)]


def test_near_misses_that_look_like_the_matches_come_first(tmp_path: Path) -> None:
    """A turned head is unlike the photo, a stranger's is closer; but it is like the same person in the same film."""
    # A match, a stranger, the turned head, and one in the cluster of the match that is too unlike the photo.
    towards = {1: (0.8, 0.6, 0.0), 2: (0.38, 0.0, 0.92), 3: (0.31, 0.85, -0.42), 4: (0.1, 0.0, -0.99)}
    starts = {number: 40 * number for number in towards}
    write_tracklets(tmp_path, towards, {1: 1, 2: 2, 3: 3, 4: 1}, starts)
    answer = ask(tmp_path, photo(np.eye(DIM, dtype=np.float32)[0]))
    assert [match.tracklet.number for match, _ in answer.matches] == [1]
    assert [miss.tracklet.number for miss in answer.near_misses] == [4]
    assert [match.tracklet.number for match, _ in answer.possible] == [3, 2]
    by_photo = [match.similarity for match, _ in answer.possible]
    assert by_photo == sorted(by_photo)


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 10_000), count=st.integers(1, 4), base=st.floats(0.2, 0.8))
@example(
    seed=763, count=2, base=0.671875
)  # a cluster is just below the limit, and above it once it is rounded
def test_a_query_answers_as_if_it_read_every_exemplar(
    tmp_path_factory: pytest.TempPathFactory, seed: int, count: int, base: float
) -> None:
    store = tmp_path_factory.mktemp("store")
    folders = [write_index(store, contents(seed + number)) for number in range(3)]
    rng = np.random.default_rng(seed)
    with VideoIndex(folders[0]) as index:
        embeddings = index.exemplar_arrays().embeddings
    photos = [photo(embeddings[rng.integers(len(embeddings))], rng.random()) for _ in range(count)]
    expected, opened = {}, set()
    for folder in folders:
        with VideoIndex(folder) as index:
            expected[index.video.sha256] = answer_of_index(index, photos, base)
            person = directions(photos)
            clusters = index.pooled().clusters
            if person.combine(person.vectors @ clusters.embeddings.T).max() >= base - 0.12:
                opened.add(index.video.sha256)
    answer = ask(store, *photos, base=base)
    matches = [match for own, _ in expected.values() for match in own]
    others = [miss for sha256 in opened for miss in expected[sha256][1]]
    assert similarities_of(m for m, _ in answer.matches) == pytest.approx(similarities_of(matches), abs=1e-5)
    not_sure: list[MatchingTracklet | NearTracklet] = [
        *(match for match, _ in answer.possible),
        *answer.near_misses,
    ]
    assert similarities_of(not_sure) == pytest.approx(similarities_of(others), abs=1e-5)


def test_a_second_query_opens_only_indexes_with_a_similar_cluster(store: Path) -> None:
    wanted = photo_in(folder_of(store, 3))
    first = ask(store, wanted, base=0.9)
    near = {match.video.name for match, _ in first.matches} | {m.video.name for m in first.near_misses}
    near |= {match.video.name for match, _ in first.possible}
    assert near
    others = [folder for folder in store.glob("*.mp4-*") if folder.name.split("-")[0] not in near]
    assert others
    for folder in others:
        destroy_unnoticed(folder)
    assert said(ask(store, wanted, base=0.9)) == said(first)
    with pytest.raises(DamagedIndexError):
        VideoIndex(others[0])


def test_a_listing_opens_no_index_that_is_in_the_file(store: Path) -> None:
    before = Catalogue(store).listing()
    assert not (store / LIBRARY_VECTORS).exists(), "a listing writes nothing"
    Catalogue(store).refresh()
    for folder in store.glob("*.mp4-*"):
        destroy_unnoticed(folder)
    assert Catalogue(store).listing() == before


def destroy_unnoticed(folder: Path) -> None:
    """Make an index unreadable without a sign from outside."""
    path = folder / DATABASE
    status = path.stat()
    with path.open("r+b") as file:
        file.seek(100)
        file.write(b"\xff" * (status.st_size - 100))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def test_a_row_comes_back_with_every_digest_of_its_engine(store: Path) -> None:
    """A row that cannot be read is no error, only a file that is made anew with every command."""
    video = read_clusters(folder_of(store, 3))
    video = replace(video, engine=replace(video.engine, landmarks_sha256="f" * 64))
    put(store, video)
    assert [(row.folder, row.engine) for row in Catalogue(store).all()] == [(video.folder, video.engine)]


def test_an_index_that_cannot_be_read_is_skipped(store: Path) -> None:
    """Also when nothing from outside shows that; one that is named is an error."""
    wanted = photo_in(folder_of(store, 3))
    first = ask(store, wanted, base=0.2)
    assert {match.video.name for match, _ in first.matches} == {"3.mp4", "4.mp4", "5.mp4"}
    destroy_unnoticed(folder_of(store, 4))
    answer = ask(store, wanted, base=0.2)
    assert said(answer)[0] == [one for one in said(first)[0] if one[0].video.name != "4.mp4"]
    assert [(item.name, item.kind) for item in answer.scope.skipped] == [("4.mp4", "damaged")]
    assert [folder.name[0] for folder, _ in answer.scope.searched] == ["3", "5"]
    assert answer.scope.counts == Counts(2, 28, 56, 0)
    where = scope_of(Catalogue(store), ["4.mp4"], ENGINE)
    with pytest.raises(DamagedIndexError):
        search.search([PersonQuery("anna", (wanted,), ())], where, make_criterion(0.2))


def test_forget_skips_an_index_whose_embeddings_turn_out_to_be_altered(store: Path) -> None:
    """A search reads them from the derived files; what it removes is counted in the rows."""
    wanted, folder = photo_in(folder_of(store, 3)), folder_of(store, 4)
    answer = ask(store, wanted, base=0.2)
    with VideoIndex(folder) as index:
        embedding = index.exemplar_arrays().embeddings[0].tobytes()
    path, status = folder / DATABASE, (folder / DATABASE).stat()
    path.write_bytes(path.read_bytes().replace(embedding, embedding[:-1] + bytes([embedding[-1] ^ 1])))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert said(ask(store, wanted, base=0.2)) == said(answer)
    matching, _, unreadable = forget.holdings([answer], answer.scope, NoDecisions())
    assert [item.video for item in matching] == ["3.mp4", "5.mp4"]
    assert [(item.name, item.kind) for item in unreadable] == [("4.mp4", "damaged")]


def test_two_indexes_of_one_content_stay_distinct(tmp_path: Path) -> None:
    """A store into which another was copied may hold them; their clusters have other numbers."""
    one = write_index(tmp_path / "store", contents(3))
    (tmp_path / "merged").mkdir()
    shutil.copytree(one, tmp_path / "merged" / one.name)
    other = write_index(tmp_path / "other", contents(99, name="3", people=6))
    copy = tmp_path / "merged" / other.name.replace("3.mp4", "renamed.mp4")
    shutil.copytree(other, copy)
    with VideoIndex(one) as index, VideoIndex(copy) as copied:
        assert index.video.sha256 == copied.video.sha256
    wanted = photo_in(one)
    answer = ask(tmp_path / "merged", wanted)
    expected = {}
    for folder in (tmp_path / "merged" / one.name, copy):
        with VideoIndex(folder) as index:
            numbers = {match.tracklet.cluster for match in answer_of_index(index, [wanted], 0.42)[0]}
            expected[folder] = {item.number for item in index.tracklets() if item.cluster in numbers}
    assert answer.scope.counts.videos == 2
    matching, _, _ = forget.holdings([answer], answer.scope, NoDecisions())
    assert matching
    assert {item.folder: set(item.tracklets) for item in matching} == {
        folder: numbers for folder, numbers in expected.items() if numbers
    }


def test_a_replaced_index_answers_with_its_own_video(store: Path) -> None:
    """Its path and counts, not those of the index that was there when the videos were chosen."""
    wanted = photo_in(folder_of(store, 3))
    where = scope_of(Catalogue(store), [], ENGINE)
    with closing(sqlite3.connect(folder_of(store, 3) / DATABASE)) as rows:
        rows.execute("UPDATE video SET path = CAST('/moved/3.mp4' AS BLOB)")
        rows.commit()
    (answer,) = search.search([PersonQuery("anna", (wanted,), ())], where, make_criterion(0.42))
    assert {match.video.path for match, _ in answer.matches if match.video.name == "3.mp4"} == {
        "/moved/3.mp4"
    }


def test_rows_that_go_while_they_are_read_are_read_again(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted, really = photo_in(folder_of(store, 3)), VideoIndex.sightings
    where = scope_of(Catalogue(store), ["3.mp4"], ENGINE)
    changes = [1]

    def sightings_late(index: VideoIndex, numbers: Iterable[int]) -> dict[int, Sightings]:
        wanted_numbers = list(numbers)
        if changes:
            changes.pop()
            with closing(sqlite3.connect(folder_of(store, 3) / DATABASE)) as rows:
                for table in ("sightings", "exemplars", "tracklets"):
                    rows.execute(f"DELETE FROM {table} WHERE tracklet = ?", wanted_numbers[:1])
                digest = embedding_digest(rows, DIM)
                rows.execute("UPDATE vectors SET count = ?, sha256 = ?", digest)
                rows.commit()
        return really(index, wanted_numbers)

    monkeypatch.setattr(VideoIndex, "sightings", sightings_late)
    (answer,) = search.search([PersonQuery("anna", (wanted,), ())], where, make_criterion(0.42))
    assert not changes
    with VideoIndex(folder_of(store, 3)) as index:
        left = [match.tracklet.number for match in answer_of_index(index, [wanted], 0.42)[0]]
    assert [match.tracklet.number for match, _ in answer.matches] == left


def test_an_index_that_goes_while_it_is_named_is_an_error_of_ours(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    locate = Catalogue.locate

    def locate_and_remove(self: Catalogue, name: str | Path) -> Path:
        folder = locate(self, name)
        shutil.rmtree(folder)
        return folder

    monkeypatch.setattr(Catalogue, "locate", locate_and_remove)
    with pytest.raises(NotIndexedError, match="was removed or replaced meanwhile; run it again"):
        scope_of(Catalogue(store), ["3.mp4"], ENGINE)


def test_a_damaged_index_makes_no_query_wait(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder_of(store, 4) / DATABASE).write_bytes(b"not a database" * 100)
    ask(store, photo_in(folder_of(store, 3)))

    def lock(*_: object) -> None:
        raise AssertionError("readers take no lock")

    monkeypatch.setattr("facereel.store.files.locks.folder_lock", lock)
    assert len(Catalogue(store).searchable(ENGINE).failures) == 1


def test_a_listing_waits_for_the_successor_of_an_index(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two renames the folder is not there."""
    folder = folder_of(store, 3)
    names = [entry.folder for entry in Catalogue(store).listing().entries]
    really_read, pending = read_video, [folder]

    def read_between(place: Path, path: str | None = None) -> Any:
        if place in pending:
            pending.remove(place)
            place.rename(store / "aside")
            try:
                return really_read(place, path)
            finally:
                (store / "aside").rename(place)
        return really_read(place, path)

    monkeypatch.setattr("facereel.store.library.catalogue.read_video", read_between)
    assert [entry.folder for entry in Catalogue(store).listing().entries] == names
    assert not pending


def recorded(list_folder: Callable[[Path], Any], listings: list[Path]) -> Callable[[Path], Any]:
    """A function of os that notes which folders it lists."""

    def recording(folder: Path) -> Any:
        listings.append(Path(folder))
        return list_folder(folder)

    return recording


def test_a_store_whose_folders_are_known_is_listed_once(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a hundred thousand folders that takes a tenth of a second."""
    Catalogue(store).refresh()
    (store / "notes.txt").touch()  # which gives the store's folder another time
    listings: list[Path] = []
    for name in ("listdir", "scandir"):
        monkeypatch.setattr(os, name, recorded(getattr(os, name), listings))
    Catalogue(store).clean()
    Catalogue(store).refresh()
    assert listings.count(store) == 2, "one for leftovers, one for indexes"


@contextmanager
def during_listings(happen: Callable[[], None]) -> Iterator[None]:
    """What happens right after each listing of a store's names."""
    really_list = index_names

    def list_and_go_on(place: Path, known: Set[str] = frozenset()) -> set[str]:
        names = really_list(place, known=known)
        happen()
        return names

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("facereel.store.files.folders.index_names", list_and_go_on)
        yield


def folders_known(store: Path) -> set[Path]:
    return {stored.folder for stored in Catalogue(store).all()}


def test_an_index_that_comes_during_a_listing_is_not_missed(store: Path) -> None:
    """What is placed by hand takes no lock."""
    Catalogue(store).refresh()
    (store / "notes.txt").touch()
    folder, aside = folder_of(store, 3), store.parent / "aside"
    folder.rename(aside)

    def place() -> None:
        if aside.exists():
            aside.rename(folder)

    with during_listings(place):
        Catalogue(store).refresh()
        Catalogue(store).refresh()
    assert folder in folders_known(store)


def test_an_index_whose_rows_go_during_a_listing_is_read_again(store: Path) -> None:
    """As while somebody is forgotten."""
    Catalogue(store).refresh()
    (store / "notes.txt").touch()
    to_drop = [folder_of(store, 3)]

    def drop() -> None:
        while to_drop:
            Catalogue(store).drop_rows([to_drop.pop()])

    with during_listings(drop):
        Catalogue(store).refresh()
    assert folder_of(store, 3) in folders_known(store)


def test_what_a_dead_writer_set_aside_is_searched_until_it_is_put_back(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Catalogue(store).refresh()
    monkeypatch.setattr(folders, "_PAUSE", 0.0)
    before = vectors_in(store)
    folder = folder_of(store, 3)
    aside = folder.rename(store / f"{folders.REPLACED}00000000-{folder.name}")
    Catalogue(store).refresh()
    names = {folder.name: aside.name}
    assert vectors_in(store) == {names.get(name, name): vectors for name, vectors in before.items()}
    Catalogue(store).clean()
    Catalogue(store).refresh()
    assert vectors_in(store) == before


def test_a_damaged_index_that_is_deleted_by_hand_is_noted_no_more(store: Path) -> None:
    folder = folder_of(store, 4)
    sha256 = read_video(folder)[0].sha256
    (folder / DATABASE).write_bytes(b"not a database" * 100)
    Catalogue(store).refresh()
    with pytest.raises(DamagedIndexError):
        Catalogue(store).by_hash(sha256)
    shutil.rmtree(folder)
    Catalogue(store).refresh()
    assert Catalogue(store).by_hash(sha256) is None


def test_it_is_for_its_owner_only(store: Path) -> None:
    Catalogue(store).refresh()
    assert (store / LIBRARY_VECTORS).stat().st_mode & 0o777 == 0o600
    files = [path for path in store.iterdir() if path.is_file()]
    assert sorted(path.name for path in files) == [LIBRARY, f"{LIBRARY}-journal", LIBRARY_VECTORS]
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}


def test_changed_rows_make_a_row_stale(store: Path) -> None:
    wanted = photo_in(folder_of(store, 3))
    ask(store, wanted)
    with closing(sqlite3.connect(folder_of(store, 3) / DATABASE)) as rows:
        rows.execute(
            "UPDATE tracklets SET cluster = (SELECT min(cluster) FROM clusters), end_reason = 'video_end'"
        )
        rows.commit()
    assert Catalogue(store).current(folder_of(store, 3)).clusters_count == 1
    assert len(vectors_in(store)[folder_of(store, 3).name]) == 1
    shutil.rmtree(folder_of(store, 4))
    shutil.rmtree(folder_of(store, 5))
    with VideoIndex(folder_of(store, 3)) as index:
        expected = answer_of_index(index, [wanted], 0.2)
    assert [match.explanation for match, _ in ask(store, wanted, base=0.2).matches] == [
        match.explanation for match in expected[0]
    ]


def test_a_damaged_index_is_named_although_its_row_is_there(store: Path) -> None:
    Catalogue(store).refresh()
    wanted = photo_in(folder_of(store, 3))
    (folder_of(store, 3) / DATABASE).write_bytes(b"not a database, nothing of it" * 100)
    ((folder, error),) = Catalogue(store).listing().failures
    assert folder == folder_of(store, 3)
    assert isinstance(error, DamagedIndexError)
    assert "/videos/3.mp4" in str(error), "the row knows where the video lies"
    with pytest.raises(DamagedIndexError, match=r"/videos/3\.mp4"):
        scope_of(Catalogue(store), ["3.mp4"], ENGINE)
    ((item),) = ask(store, wanted).scope.skipped
    assert (item.name, item.kind) == ("3.mp4", "damaged")


HARM: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda data: b"",
    "torn": lambda data: data[: len(data) // 2],
    "text": lambda data: b"not vectors" * 1000,
    "header": lambda data: b"\xff" * 40 + data[40:],
    "generation": lambda data: data[:60] + bytes([data[60] ^ 1]) + data[61:],
    "vector": lambda data: data[:200] + bytes([data[200] ^ 1]) + data[201:],
    "owner": lambda data: data[: 64 + 64 * DIM] + bytes([data[64 + 64 * DIM] ^ 3]) + data[65 + 64 * DIM :],
    "older version": lambda data: b"SQLite format 3\0" + bytes(4080),
}


@pytest.mark.parametrize("harm", [*HARM, "missing", "copied"])
def test_a_damaged_or_foreign_file_changes_no_answer(store: Path, harm: str) -> None:
    wanted = photo_in(folder_of(store, 3))
    first = said(ask(store, wanted))
    path, before = store / LIBRARY_VECTORS, vectors_in(store)
    if harm == "missing":
        path.unlink()
    elif harm == "copied":  # with another time
        shutil.copyfile(path, store.parent / "copy")
        shutil.copyfile(store.parent / "copy", path)
    else:
        path.write_bytes(HARM[harm](path.read_bytes()))
    generation = path.read_bytes()[48:64] if path.exists() else b""
    for _ in range(2):
        assert said(ask(store, wanted)) == first
    assert vectors_in(store) == before
    assert (path.read_bytes()[48:64] == generation) == (harm == "copied"), (
        "nothing is read again without need"
    )


def test_a_block_that_cannot_be_is_not_searched(store: Path) -> None:
    """library.db may come from somebody else: numbers from it never lead out of the file."""
    wanted = photo_in(folder_of(store, 3))
    first = said(ask(store, wanted))
    for change in (
        "rows = 100000, capacity = 100096",
        "dim = 0",
        "place = 32",
        "dead = 99",
        "place = 1 << 40",
    ):
        with closing(sqlite3.connect(store / LIBRARY)) as db:
            db.execute(f"UPDATE vector_blocks SET {change}")
            db.commit()
        assert said(ask(store, wanted)) == first, change
        assert set(vectors_in(store)) == {folder.name for folder in store.glob("*.mp4-*")}


@settings(max_examples=25, deadline=None)
@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_no_turned_bit_changes_an_answer(
    tmp_path_factory: pytest.TempPathFactory, place: float, bit: int
) -> None:
    store = tmp_path_factory.mktemp("s")
    folder = write_index(store, contents(3))
    wanted = photo_in(folder)
    first = said(ask(store, wanted))
    data = bytearray((store / LIBRARY_VECTORS).read_bytes())
    data[int(place * len(data))] ^= 1 << bit
    (store / LIBRARY_VECTORS).write_bytes(data)
    assert said(ask(store, wanted)) == first


# Another process replaces or removes an index at a moment of another's query.


def embeddings_of(folder: Path) -> list[bytes]:
    """What must not be found in any file once it is forgotten."""
    with VideoIndex(folder) as index:
        pooled = index.pooled()
    exact = [row.tobytes() for row in (*pooled.embeddings, *pooled.clusters.embeddings)]
    return exact + [row.tobytes() for row in encoded(pooled.clusters.embeddings)]


def holds_any(store: Path, traces: list[bytes]) -> bool:
    data = b"".join(path.read_bytes() for path in store.rglob("*") if path.is_file())
    return any(trace in data for trace in traces)


def replace_index(store: Path) -> None:
    """What `index --force` and `forget` do, with other people in the same video."""
    write_index(store, contents(99, name="3"))
    Catalogue(store).refresh([folder_of(store, 3)])


def remove_index(store: Path) -> None:
    Catalogue(store).remove("3.mp4")


def edit_in_place(store: Path) -> None:
    with closing(sqlite3.connect(folder_of(store, 3) / DATABASE)) as rows:
        rows.execute("UPDATE exemplars SET quality = 1 - quality")
        rows.commit()


@pytest.mark.parametrize("change", [replace_index, remove_index, edit_in_place])
@pytest.mark.parametrize("moment", ["before open", "between open and read", "between read and write"])
def test_what_was_read_of_an_old_index_never_counts_as_the_new_one(
    store: Path, monkeypatch: pytest.MonkeyPatch, moment: str, change: Callable[[Path], None]
) -> None:
    old, wanted = embeddings_of(folder_of(store, 3)), photo_in(folder_of(store, 3))
    pending = [change]

    def meanwhile() -> None:
        if pending:
            pending.pop()(store)

    if moment == "before open":
        really_read = videos.read_clusters

        def read_late(folder: Path, path: str | None = None) -> VideoClusters:
            meanwhile()
            return really_read(folder, path)

        monkeypatch.setattr("facereel.store.library.catalogue.read_clusters", read_late)
    elif moment == "between open and read":
        really_pool = videos.clusters_of

        def pool_late(index: VideoIndex) -> VideoClusters:
            meanwhile()
            return really_pool(index)

        monkeypatch.setattr(videos, "clusters_of", pool_late)
    else:
        really_write = Catalogue._write

        def write_late(self: Catalogue, read: list[VideoClusters]) -> None:
            meanwhile()
            really_write(self, read)

        monkeypatch.setattr(Catalogue, "_write", write_late)
    Catalogue(store).refresh()
    assert not pending
    assert_current(store)
    if change is not edit_in_place:
        assert not holds_any(store, old)
    if change is replace_index:
        with VideoIndex(folder_of(store, 3)) as index:
            expected = [m.tracklet for m in answer_of_index(index, [wanted], 0.42)[0]]
        found = [m.tracklet for m, _ in ask(store, wanted).matches if m.video.name == "3.mp4"]
        assert found == expected


def assert_current(store: Path) -> None:
    """Each row that counts is what its index holds now."""
    found = vectors_in(store)
    for row in Catalogue(store).all():
        if row.version == read_version(row.folder):
            with VideoIndex(row.folder) as index:
                clusters = index.pooled().clusters
            codes = [one.tobytes() for one in encoded(clusters.embeddings)]
            assert found[row.folder.name] == dict(zip(clusters.numbers.tolist(), codes, strict=True))


def test_an_index_that_was_replaced_after_the_scope_was_chosen_answers_as_it_is_now(store: Path) -> None:
    wanted = photo_in(folder_of(store, 3))
    where = scope_of(Catalogue(store), [], ENGINE)
    write_index(store, contents(99, name="3"))
    with VideoIndex(folder_of(store, 3)) as index:
        expected = {match.tracklet.number for match in answer_of_index(index, [wanted], 0.3)[0]}
    (answer,) = search.search([PersonQuery("anna", (wanted,), ())], where, make_criterion(0.3))
    found = {match.tracklet.number for match, _ in answer.matches if match.video.name == "3.mp4"}
    assert found == expected


@pytest.mark.parametrize("times", [1, 100])
def test_questions_wait_for_a_file_that_is_written_anew(
    store: Path, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    catalogue, find, left = Catalogue(store), VectorFile.search, [times]
    expected = catalogue.questions(3)

    def written(self: VectorFile, *args: Any) -> ClusterSearch:
        left[0] -= 1
        if left[0] >= 0:
            raise UnusableFile("of another state")
        return find(self, *args)

    monkeypatch.setattr(VectorFile, "search", written)
    if times == 1:
        assert catalogue.questions(3) == expected
    else:
        for ask_library in (
            catalogue.questions,
            catalogue.suggest,
            lambda _: catalogue.clusters_like(ENGINE),
        ):
            with pytest.raises(StoreError, match="being written by another process"):
                ask_library(3)


def test_what_cannot_be_written_may_change_while_it_is_read(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where one request of a server finds a new index while another lists."""
    catalogue = Catalogue(store)

    @contextmanager
    def refused(self: LibraryDatabase, patience: float | None = None) -> Iterator[sqlite3.Connection]:
        raise UnwritableError("the disk is full")
        yield

    monkeypatch.setattr(LibraryDatabase, "write", refused)
    catalogue.refresh()

    def one_more(video: StoredVideo) -> bool:
        if not list(store.glob("9.mp4-*")):
            write_index(store, contents(9))
            catalogue.refresh()
        return True

    assert len(catalogue._known(lambda db: [], one_more)) == 3
    assert [name for _, name in catalogue.names(10)] == ["3.mp4", "4.mp4", "5.mp4", "9.mp4"]
    numbers = [catalogue.current(folder_of(store, seed)).number for seed in (3, 4, 5, 3)]
    assert numbers[3] == numbers[0]
    assert len(set(numbers)) == 3, "each is read anew, and a search tells videos apart by their numbers"


def test_what_is_forgotten_is_in_no_file(store: Path) -> None:
    """Not in rows, not in free pages, also after many rows were replaced."""
    for seed in range(6, 30):
        write_index(store, contents(seed))
    Catalogue(store).refresh()
    folder = folder_of(store, 3)
    with VideoIndex(folder) as index:
        pooled, tracklets = index.pooled(), index.tracklets()
    number = tracklets[0].cluster
    place = pooled.clusters.numbers.tolist().index(number)
    gone = [encoded(pooled.clusters.embeddings)[place].tobytes()]
    numbers = [tracklet.number for tracklet in tracklets if tracklet.cluster == number]
    gone += [pooled.embeddings[pooled.tracklets.tolist().index(n)].tobytes() for n in numbers]
    assert holds_any(store, gone[:1])
    assert holds_any(store, gone[1:])
    rewrite.drop_tracklets(folder, numbers, read_version(folder))
    Catalogue(store).refresh([folder])
    assert not holds_any(store, gone)
    for seed in range(6, 30, 2):
        removed = embeddings_of(folder_of(store, seed))
        Catalogue(store).remove(f"{seed}.mp4")
        assert not holds_any(store, removed)


def test_a_file_that_is_written_anew_keeps_what_lives_and_nothing_else(tmp_path: Path) -> None:
    """Rows come, are replaced and go; now and then the file is compacted."""
    store, rng = tmp_path / "store", np.random.default_rng(0)
    blank = read_clusters(write_index(store, make_contents(dim=8)))
    present: dict[str, bytes] = {}
    gone: list[bytes] = []
    files = set()
    for step in range(160):
        name = f"{rng.integers(40)}.mp4-{'0' * 12}"
        if name in present and rng.random() < 0.5:
            database = LibraryDatabase(store)
            with database.write() as db:
                videos.drop(db, VectorFile(store), [name])
            videos.tidy(database, VectorFile(store))
            gone.append(present.pop(name))
        else:
            count = int(rng.integers(1, 90))
            embeddings = pooling_units(rng.standard_normal((count, 8)).astype(np.float32))
            clusters = replace(
                blank.clusters, numbers=np.arange(count), embeddings=embeddings, quality_sums=np.ones(count)
            )
            put(store, replace(blank, folder=store / name, clusters=clusters, clusters_count=count))
            if name in present:
                gone.append(present[name])
            present[name] = encoded(embeddings).tobytes()
        files.add((store / LIBRARY_VECTORS).stat().st_ino)
        if step % 20 == 19:
            data = (store / LIBRARY_VECTORS).read_bytes()
            assert all(trace in data for trace in present.values())
            assert not any(trace in data for trace in gone if len(trace) >= 32)
            own = Catalogue(store).clusters_like(blank.engine)
            for name, trace in present.items():
                with LibraryDatabase(store).read() as db:
                    number = videos.by_folder(db, store, name)
                assert number is not None
                vector = (np.frombuffer(trace[:8], np.uint8).astype(np.float32) - 128)[None]
                (found,) = own.nearest(vector / np.linalg.norm(vector), 1)
                assert found.similarities[0] > 0.95
    assert len(files) > 1, "never compacted: this tests nothing"


def pooling_units(vectors: Floats) -> Floats:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


def test_what_a_dead_process_wrote_is_overwritten(store: Path) -> None:
    """Rows that no transaction counts: whoever writes next clears them."""
    ask(store, photo_in(folder_of(store, 3)))
    path = store / LIBRARY_VECTORS
    trace = os.urandom(32)
    with path.open("r+b") as file:
        file.seek(64 + 63 * DIM)  # the last row of the first block
        file.write(trace[:DIM])
        file.seek(0, os.SEEK_END)
        file.write(trace)
    put(store, read_clusters(folder_of(store, 3)))
    data = path.read_bytes()
    assert trace[:DIM] not in data
    assert trace not in data


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), dim=st.sampled_from([8, 16, 20, 128, 512]), count=st.integers(1, 400))
def test_no_cluster_above_the_threshold_is_lost(seed: int, dim: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    vectors = pooling_units(rng.standard_normal((count, dim)).astype(np.float32))
    near = pooling_units(
        vectors[rng.integers(count, size=3)]
        + 0.5 * rng.standard_normal((3, dim)).astype(np.float32) / np.sqrt(dim)
    )
    owners = np.stack([np.arange(1, count + 1), np.arange(count) % 7], axis=1)
    half = count // 2
    own = ClusterSearch(
        dim,
        count,
        [_Rows(encoded(vectors[:half]), owners[:half]), _Rows(encoded(vectors[half:]), owners[half:])],
    )
    exact = near @ vectors.T
    thresholds = rng.uniform(-0.1, 0.9, 3)
    for found, similarities, threshold in zip(
        own.above(near, thresholds.tolist()), exact, thresholds, strict=True
    ):
        reach = set((np.flatnonzero(similarities >= threshold) + 1).tolist())
        allowed = set((np.flatnonzero(similarities >= threshold - 2 * rounding(dim)) + 1).tolist())
        assert reach <= set(found.videos.tolist()) <= allowed
        assert np.abs(found.similarities - similarities[found.videos - 1]).max(initial=0) <= rounding(dim)
        assert found.clusters.tolist() == [(number - 1) % 7 for number in found.videos.tolist()]
        assert (np.diff(found.similarities) <= 0).all()
    for found, similarities in zip(own.nearest(near, 5), exact, strict=True):
        assert len(found) == min(5, count)
        least = np.sort(similarities)[-len(found)]
        assert (similarities[found.videos - 1] >= least - 2 * rounding(dim)).all()


def test_removed_with_its_index(store: Path) -> None:
    Catalogue(store).refresh()
    name = folder_of(store, 3).name
    Catalogue(store).remove("3.mp4")
    assert name not in vectors_in(store)
    shutil.rmtree(folder_of(store, 4))
    Catalogue(store).searchable(ENGINE)
    assert list(vectors_in(store)) == [folder_of(store, 5).name]


def test_an_index_without_exemplars_is_searched_too(tmp_path: Path) -> None:
    write_index(tmp_path, make_contents(tracklets=0))
    write_index(tmp_path, contents(3))
    answer = ask(tmp_path, photo_in(folder_of(tmp_path, 3)))
    assert answer.matches
    assert answer.scope.counts == Counts(2, 14, 28, 0)


def test_a_store_that_cannot_be_written_answers_all_the_same(store: Path) -> None:
    wanted = photo_in(folder_of(store, 3))
    first = said(ask(store, wanted))
    (store / LIBRARY_VECTORS).unlink()
    (store / LIBRARY_VECTORS).mkdir()  # in the way, also for root
    assert said(ask(store, wanted)) == first


def _ask_again_and_again(store: Path, photo_: Reference, expected: int) -> None:
    for _ in range(6):
        (store / LIBRARY_VECTORS).unlink(missing_ok=True)
        if len(ask(store, photo_).matches) != expected:
            raise SystemExit(3)


def test_processes_query_and_refresh_at_once(store: Path) -> None:
    wanted = photo_in(folder_of(store, 3))
    expected = len(ask(store, wanted).matches)
    context = multiprocessing.get_context("forkserver")
    processes = [
        context.Process(target=_ask_again_and_again, args=(store, wanted, expected)) for _ in range(3)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0]
    Catalogue(store).refresh()
    assert_current(store)
    assert len(vectors_in(store)) == 3


def test_a_path_leads_to_its_index_without_opening_others(store: Path, tmp_path: Path) -> None:
    film = tmp_path / "film.mp4"
    film.write_bytes(b"film")
    status = film.stat()
    video = replace(make_video(str(film)), size=status.st_size, mtime_ns=status.st_mtime_ns)
    folder = write_index(store, make_contents(video=video))
    catalogue = Catalogue(store)
    assert catalogue.by_path(film) is None, "the file does not know it yet"
    catalogue.refresh([folder])
    for other in (3, 4, 5):
        destroy_unnoticed(folder_of(store, other))
    found = catalogue.by_path(film)
    assert found is not None
    assert found.folder == folder
    found.close()
    film.write_bytes(b"another film")
    assert catalogue.by_path(film) is None


def test_vectors_faiss_is_what_a_query_searches(store: Path) -> None:
    """An index whose embeddings are gone from index.db still answers: similarities come from vectors.faiss."""
    wanted = photo_in(folder_of(store, 3))
    first = ask(store, wanted)
    for folder in store.glob("*.mp4-*"):
        version = read_version(folder)
        status = (folder / DATABASE).stat()
        data = (folder / DATABASE).read_bytes()
        with VideoIndex(folder) as index:
            rows = index.exemplar_arrays().embeddings
        for row in rows:
            data = data.replace(row.tobytes(), bytes(4 * DIM))
        with (folder / DATABASE).open("r+b") as file:
            file.write(data)
        os.utime(folder / DATABASE, ns=(status.st_atime_ns, status.st_mtime_ns))
        assert read_version(folder) == version
        assert (folder / VECTORS).exists()
    assert said(ask(store, wanted)) == said(first)


@contextmanager
def another_writes(store: Path, *read: VideoClusters, commits: bool) -> Iterator[None]:
    """Another process has written some videos and has not committed yet; afterwards it commits, or fails."""
    written, finish = threading.Event(), threading.Event()

    def write() -> None:
        catalogue = Catalogue(store)
        with suppress(KeyboardInterrupt), catalogue.database.write() as db:
            videos.put(db, VectorFile(store), read)
            written.set()
            finish.wait()
            if not commits:
                raise KeyboardInterrupt

    thread = threading.Thread(target=write)
    thread.start()
    assert written.wait(60)
    try:
        yield
    finally:
        finish.set()
        thread.join()


@pytest.mark.parametrize("commits", [True, False])
def test_what_is_not_committed_changes_no_answer(store: Path, commits: bool) -> None:
    """Rows of a video that is written again still count for others, and for all if the writer fails."""
    wanted = photo_in(folder_of(store, 3))
    first = said(ask(store, wanted))
    path = store / LIBRARY_VECTORS
    before, generation = vectors_in(store), path.read_bytes()[:64]
    mapped = Catalogue(store).clusters_like(ENGINE)
    old = mapped.nearest(wanted.embedding[None], 50)[0]
    catalogue = Catalogue(store)
    with another_writes(
        store, *(read_clusters(folder_of(store, seed)) for seed in (3, 4, 5)), commits=commits
    ):
        now = mapped.nearest(wanted.embedding[None], 50)[0]
        assert now.similarities.tolist() == old.similarities.tolist()
        assert said(ask(store, wanted)) == first
        assert vectors_in(store) == before
        assert catalogue.is_current(mapped)
    assert catalogue.is_current(mapped) != commits, "they may be overwritten from now on"
    assert said(ask(store, wanted)) == first
    assert vectors_in(store) == before
    assert path.read_bytes()[:64] == generation, "nothing was made anew"


def test_rows_that_a_dead_process_was_to_overwrite_do_not_count_and_go(store: Path) -> None:
    wanted = photo_in(folder_of(store, 3))
    first = said(ask(store, wanted))
    before, traces = vectors_in(store), embeddings_of(folder_of(store, 3))
    with LibraryDatabase(store).write() as db:
        videos.drop(db, VectorFile(store), [folder_of(store, 3).name])
    shutil.rmtree(folder_of(store, 3))
    assert holds_any(store, traces), "not overwritten yet"
    (found,) = Catalogue(store).clusters_like(ENGINE).nearest(wanted.embedding[None], 50)
    assert len(found) == sum(len(before[folder_of(store, seed).name]) for seed in (4, 5))
    write_index(store, contents(6))
    Catalogue(store).refresh()
    assert said(ask(store, wanted)) != first
    assert not holds_any(store, traces)
    assert_current(store)


def test_an_error_while_people_are_joined_makes_no_vectors_anew(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask(store, photo_in(folder_of(store, 3)))
    generation = (store / LIBRARY_VECTORS).read_bytes()[:64]
    write_index(store, contents(99, name="3"))
    with monkeypatch.context() as context:
        context.setattr("facereel.store.library.catalogue.join", _raise(OSError("a hiccup")))
        Catalogue(store).refresh([folder_of(store, 3)])
    read: list[Path] = []
    really_read = videos.read_clusters

    def note(folder: Path, path: str | None = None) -> VideoClusters:
        read.append(folder)
        return really_read(folder, path)

    monkeypatch.setattr("facereel.store.library.catalogue.read_clusters", note)
    Catalogue(store).refresh([folder_of(store, seed) for seed in (3, 4, 5)])
    assert read == [folder_of(store, 3)]
    assert (store / LIBRARY_VECTORS).read_bytes()[:64] == generation
    assert_current(store)


def _raise(error: Exception) -> Callable[..., None]:
    def fail(*_: object) -> None:
        raise error

    return fail


def test_a_copied_store_is_read_completely_once(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = photo_in(folder_of(store, 3))
    first = said(ask(store, wanted))
    copy = store.with_name("copy")
    shutil.copytree(store, copy, copy_function=shutil.copyfile)
    for folder in copy.glob("*.mp4-*"):  # the indexes keep their times, as with cp -a
        status = (store / folder.name / DATABASE).stat()
        os.utime(folder / DATABASE, ns=(status.st_atime_ns, status.st_mtime_ns))
    ask(copy, wanted)
    monkeypatch.setattr("facereel.store.library.vectors._checksums", _raise(AssertionError("read again")))
    assert said(ask(copy, wanted))[1] == first[1]


def test_a_writer_who_takes_long_lets_nobody_read_every_index(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = photo_in(folder_of(store, 3))
    ask(store, wanted)
    (store / LIBRARY_VECTORS).unlink()
    monkeypatch.setattr("facereel.store.library.database._PATIENCE", 0.1)
    monkeypatch.setattr("facereel.store.library.catalogue.read_clusters", _raise(AssertionError("read")))
    with LibraryDatabase(store).write(), pytest.raises(BusyLibraryError, match="run it again"):
        ask_in_thread(store, wanted)


def ask_in_thread(store: Path, wanted: Reference) -> PersonMatches:
    """As another process would: a thread's transactions belong together."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(ask, store, wanted).result()


@pytest.mark.parametrize("kind", ["killed", "mapped"])
def test_a_file_that_was_written_anew_counts_before_it_has_its_name(
    store: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """The process died before, or the old one is mapped, which Windows replaces not."""
    wanted = photo_in(folder_of(store, 3))
    first = said(ask(store, wanted))
    before = vectors_in(store)
    monkeypatch.setattr("facereel.store.library.vectors._MIN_DEAD", 1)
    really_replace = Path.replace

    def refuse(path: Path, target: Path) -> Path:
        if target == store / LIBRARY_VECTORS:
            raise PermissionError(13, "in use") if kind == "mapped" else KeyboardInterrupt
        return really_replace(path, target)

    with monkeypatch.context() as context:
        context.setattr(Path, "replace", refuse)
        for _ in range(2):
            with suppress(KeyboardInterrupt):
                put(store, *(read_clusters(folder_of(store, seed)) for seed in (3, 4, 5)))
        assert len(list(store.glob(f".{LIBRARY_VECTORS}*"))) == 1
        assert said(ask(store, wanted)) == first
        assert vectors_in(store) == before
    put(store, read_clusters(folder_of(store, 3)))
    assert not list(store.glob(f".{LIBRARY_VECTORS}*"))
    assert said(ask(store, wanted)) == first
    assert vectors_in(store) == before


def test_vectors_of_some_clusters_are_read_without_mapping_the_file(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalogue = Catalogue(store)
    catalogue.refresh()
    monkeypatch.setattr(np, "memmap", _raise(AssertionError("mapped")))
    for stored in catalogue.all():
        with VideoIndex(stored.folder) as index:
            exact = index.pooled().clusters
        chosen = [(stored.number, int(number)) for number in exact.numbers[::-1]]
        with catalogue.database.read() as db:
            read = VectorFile(store).embeddings(db, [(stored.number, 99), *chosen])
        assert np.abs(read - exact.embeddings[::-1]).max() < rounding(DIM)
