"""Videos on other machines: copies of what has an address, one worker for several videos, and a real Ray cluster.

The cluster has three nodes, each with processes of its own, on this machine.
"""

from __future__ import annotations

import json
import math
import os
import pickle
import re
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from facereel import Failed, Indexed, Library, Note, OptionError, Started
from facereel.indexer.engines.registry import LOADERS, load_engine
from facereel.indexer.jobs import cluster as cluster_jobs
from facereel.indexer.jobs import local, node, staging
from facereel.indexer.jobs import nodes as node_jobs
from facereel.indexer.jobs.events import BeingIndexed, Event, Job, Progress, nothing_arrives
from facereel.indexer.jobs.job import run_job
from facereel.indexer.jobs.local import LocalRunner
from facereel.indexer.jobs.node import Complete, Content, Known, Part, index_here
from facereel.indexer.jobs.paths import find_videos
from facereel.indexer.jobs.staging import RemoteFile
from facereel.store.files.digest import hash_file
from facereel.store.files.folders import index_folders
from facereel.store.files.locks import locked_videos, video_lock
from facereel.store.index.database import DATABASE
from facereel.store.index.incoming import IncomingIndex
from facereel.store.model.config import Config
from facereel.store.model.errors import (
    DamagedIndexError,
    EngineMismatchError,
    FaceReelError,
    StoreError,
    VideoError,
)
from facereel.store.model.records import EngineInfo, Image
from facereel.store.model.urls import Url, is_url, without_secrets
from facereel.store.model.version import FACEREEL_VERSION
from tests.benchmarks.kill_state import rows_digest
from tests.fake_engine import FakeEngine, backdrop, draw_face, film_of_two, write_film
from tests.marked_engine import marked_engine
from tests.program import ROOT, Run

FAKE = partial(load_engine, "fake")


def film_of(person: str, path: Path, frames: int = 12) -> Path:
    picture = backdrop((160, 90), shade=100)
    draw_face(picture, person, (40, 20, 40, 40))
    return write_film(path, [picture] * frames)


def contents(store: Path) -> dict[str, str]:
    """A digest of the rows of every index of a store, but for dates and durations."""
    return {folder.name: rows_digest(folder / DATABASE) for folder in index_folders(store)}


# -- Addresses


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder, and its address on a web server."""
    folder = tmp_path / "served"
    folder.mkdir()

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield folder, f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_an_address_is_no_path() -> None:
    for text, name in (
        ("s3://bucket/a b/film.mp4", "film.mp4"),
        ("https://host/film%20one.mp4?key=a/b", "film one.mp4"),
        ("sftp://host", "sftp://host"),
    ):
        assert is_url(text)
        assert Url(text).name == name
    assert not any(map(is_url, ("film.mp4", "/a//b.mp4", "C://films/a.mp4", "a://", "films/s3://a.mp4")))


def test_files_of_a_server_are_copied(served: tuple[Path, str], tmp_path: Path) -> None:
    pytest.importorskip("fsspec")
    pytest.importorskip("aiohttp")
    folder, address = served
    (folder / "a.mp4").write_bytes(os.urandom(300_000))
    for url in (f"{address}/a.mp4", (folder / "a.mp4").as_uri()):
        target = tmp_path / "copy"
        there = staging.stat(Url(url))
        assert there.size == 300_000
        assert there.mtime_ns > 0
        assert list(staging.copy(Url(url), there, target))[-1] == there.size
        assert target.read_bytes() == (folder / "a.mp4").read_bytes()
        target.unlink()
    for url, said in (
        (f"{address}/b.mp4", r"b\.mp4 cannot be read \("),
        ("nonsense://a/b.mp4", r"cannot be read \(Protocol not known: nonsense\); check address and access"),
    ):
        with pytest.raises(VideoError, match=said):
            staging.stat(Url(url))
    url = Url(f"{address}/a.mp4")
    for before in (RemoteFile(299_999, there.mtime_ns), RemoteFile(300_000, there.mtime_ns - 1)):
        with pytest.raises(VideoError, match="changed while it was copied"):
            list(staging.copy(url, before, tmp_path / f"{before.size}"))
    with pytest.raises(VideoError, match="has no room for it"):
        list(staging.copy(url, RemoteFile(1 << 60, 0), tmp_path / "full"))


def test_a_size_alone_does_not_tell_that_a_file_is_the_same() -> None:
    assert RemoteFile(5, 7).is_indexed(RemoteFile(5, 7))
    assert not RemoteFile(5, 8).is_indexed(RemoteFile(5, 7))
    assert not RemoteFile(5, 0, "etag").is_indexed(RemoteFile(5, 0))
    assert not RemoteFile(5, 7).is_indexed(None)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a disk that is always full")
def test_a_full_disk_is_no_failing_server(
    served: tuple[Path, str],
    tmp_path: Path,
    scratch: Callable[[], list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("aiohttp")
    (served[0] / "a.mp4").write_bytes(b"frames")
    job, opened = Job(Url(f"{served[1]}/a.mp4?sig=abc"), tmp_path / "s", Config()), open
    monkeypatch.setattr(
        staging, "open", lambda path, mode: opened("/dev/full", "wb", buffering=0), raising=False
    )
    (end,) = index_here(job, FAKE, frozenset(), None)
    assert isinstance(end, Failed)
    assert end.by_machine, "another node may have room"
    assert re.search(
        r"a\.mp4 cannot be worked on: .*No space left.*; free or repair that disk", str(end.error)
    )


def test_what_gives_access_is_in_no_message(served: tuple[Path, str], tmp_path: Path) -> None:
    """It opens the address; what is stored, shown and compared is the rest."""
    pytest.importorskip("aiohttp")
    for text, public in (
        ("https://b/f.mp4?X-Amz-Credential=AK%2F1&X-Amz-Signature=abc", "https://b/f.mp4"),
        ("https://b/f.mp4?sv=2020&se=2&sp=r&sig=x%3D", "https://b/f.mp4"),
        ("https://b/get?id=5&Expires=1&Signature=2&Key-Pair-Id=3", "https://b/get?id=5"),
        ("https://b/f.mp4?key=a/b&se=2&season=3", "https://b/f.mp4?key=a/b&se=2&season=3"),
        ("no 'https://b/f.mp4?access_token=q&v=1' (there?)", "no 'https://b/f.mp4?v=1' (there?)"),
        ("https://anna:secret@b/f.mp4", "https://b/f.mp4"),
    ):
        assert without_secrets(text) == public
        assert pickle.loads(pickle.dumps(Url(text))) == public
        assert pickle.loads(pickle.dumps(Url(text))).full == text
    url = Url(f"{served[1]}/gone.mp4?token=hidden")
    end = list(index_here(Job(url, tmp_path / "s", Config()), FAKE, (), None))[-1]
    assert isinstance(end, Failed)
    assert "gone.mp4 cannot be read" in str(end.error)
    assert "hidden" not in f"{end.error} {end.trace} {url!r}"


def test_a_folder_of_a_server_is_its_videos() -> None:
    fsspec: Any = pytest.importorskip("fsspec")
    with fsspec.open_files(
        ["memory://films/b.mp4", "memory://films/new/a.MKV", "memory://films/c.txt"], "wb"
    ) as files:
        for file in files:
            file.write(b"x")
    both = [Url("memory:///films/b.mp4"), Url("memory:///films/new/a.MKV")]
    assert staging.find_urls(Url("memory://films")) == both
    assert staging.find_urls(Url("memory://films/*.mp4")) == both[:1]
    assert staging.find_urls(Url("memory://nowhere/a.mp4")) == [Url("memory://nowhere/a.mp4")]
    assert staging.find_urls(Url("http://[::1]:80/a.mp4")) == [Url("http://[::1]:80/a.mp4")]
    with fsspec.open_files(["memory://films/[1].mp4", "memory://films/1.mp4"], "wb") as files:
        for file in files:
            file.write(b"x")
    found = find_videos(["memory://films/*1*"])
    assert len(found) == 2
    assert find_videos(found) == found, "what was found is no pattern"
    for url, said in (
        ("sftp://user:word@host/a.mp4", "has a password"),
        ("https://word@host/a.mp4", "names a user"),
        ("http://me:word@[::1/a.mp4", "is no address"),
    ):
        with pytest.raises(OptionError, match=said) as raised:
            staging.find_urls(Url(url))
        assert "word" not in str(raised.value).replace("password", "")


def test_one_machine_says_what_reads_addresses(tmp_path: Path) -> None:
    job = Job(Url("s3://bucket/a.mp4"), tmp_path / "s", Config())
    with pytest.raises(
        VideoError, match=r"s3://bucket/a\.mp4 is no file of this machine; index it with --cluster"
    ):
        run_job(job, FakeEngine())


def test_clips_of_a_video_that_has_an_address_need_its_file(
    film_store: Path, film: Path, tmp_path: Path, photos: Path, run: Run
) -> None:
    """The remedy that the error names is one: the index then knows the file."""
    (folder,), store = index_folders(film_store), tmp_path / "s"
    with closing(IncomingIndex(store)) as incoming:
        incoming.add((folder / DATABASE).read_bytes())
        video = incoming.video(hash_file(folder / DATABASE), hash_file(film), FakeEngine().info)
        incoming.install(video, "s3://bucket/two.mp4", 0)
    query = ("query", photos / "red.png", "--store", store, "--engine", "fake", "--out", tmp_path / "out")
    result = run(*query)
    assert (
        "s3://bucket/two.mp4 was indexed at its address, and clips are cut from files; download"
        in result.stderr
    )
    result = run("index", film, "--store", store, "--engine", "fake")
    assert "two.mp4: indexed already, as s3://bucket/two.mp4; its new path is noted" in result.stdout
    assert run(*query).exit_code == 0


# -- What a node does


@pytest.fixture(autouse=True)
def no_worker_left() -> Iterator[None]:
    yield
    if node._worker is not None:
        node._worker[1].close()
        node._worker = None


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """Gives what nodes left on their disk."""
    place = tmp_path / "scratch"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    return lambda: [name for _, folders, files in os.walk(place) for name in (*folders[1:], *files)]


def test_an_index_travels_in_parts(
    film: Path,
    film_store: Path,
    tmp_path: Path,
    scratch: Callable[[], list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(node, "PART_BYTES", 10_000)
    job = Job(film, tmp_path / "s", Config())
    *messages, end = index_here(job, FAKE, frozenset(), None)
    parts = [message.data for message in messages if isinstance(message, Part)]
    assert isinstance(end, Complete)
    content = hash_file(film)
    assert messages[0] == Content(content), "said before any work, so that the driver can take its lock"
    assert len(parts) > 1
    assert scratch() == []

    engine = FakeEngine().info
    with closing(IncomingIndex(job.store)) as incoming:
        for part in parts:
            incoming.add(part)
        folder = incoming.install(
            incoming.video(end.sha256, content, engine), str(film), film.stat().st_mtime_ns
        )
    assert contents(job.store) == contents(film_store)
    assert {path.name for path in job.store.iterdir()} == {folder.name}

    refused: list[tuple[list[bytes], str, EngineInfo, type[FaceReelError], str]] = [
        (parts[:-1], content, engine, StoreError, "did not arrive as it was sent"),
        (parts, "0" * 64, engine, StoreError, "of another video"),
        (
            parts,
            content,
            FakeEngine(salt="new").info,
            EngineMismatchError,
            r"by fake \(weights .+, and here is fake \(",
        ),
    ]
    for sent, named, engine_here, kind, said in refused:
        with closing(IncomingIndex(job.store)) as incoming:
            for part in sent:
                incoming.add(part)
            with pytest.raises(kind, match=said):
                incoming.video(end.sha256, named, engine_here)
    assert {path.name for path in job.store.iterdir()} == {folder.name}


def test_a_damaged_index_is_not_installed(film: Path, film_store: Path, tmp_path: Path) -> None:
    """A node that was taken over by a hostile file can send anything."""
    (folder,) = index_folders(film_store)
    for spoil in (
        "UPDATE shots SET end_frame = end_frame + 1 WHERE shot = 0",
        "UPDATE tracklets SET cluster = 99",
        "UPDATE stats SET faces = faces + 1",
        "CREATE TRIGGER later AFTER UPDATE ON video BEGIN DELETE FROM exemplars; END",
    ):
        copy = tmp_path / "index.db"
        copy.write_bytes((folder / DATABASE).read_bytes())
        with closing(sqlite3.connect(copy)) as db, db:
            db.execute(spoil)
        with closing(IncomingIndex(tmp_path / "s")) as incoming:
            incoming.add(copy.read_bytes())
            with pytest.raises(DamagedIndexError):
                incoming.video(hash_file(copy), hash_file(film), FakeEngine().info)
    assert list((tmp_path / "s").iterdir()) == []


def test_what_the_library_has_is_not_indexed(
    film: Path, tmp_path: Path, scratch: Callable[[], list[str]]
) -> None:
    pytest.importorskip("fsspec")
    job = Job(film, tmp_path / "s", Config())
    assert list(index_here(job, FAKE, {hash_file(film)}, None)) == [Known(hash_file(film))]
    url = Url(film.as_uri())
    here = staging.stat(url)
    assert here.mtime_ns > 0
    at_url = Job(url, tmp_path / "s", Config())
    assert list(index_here(at_url, FAKE, frozenset(), here)) == [Known(None)]
    changed = RemoteFile(here.size, here.mtime_ns + 1)
    assert isinstance(list(index_here(at_url, FAKE, frozenset(), changed))[-1], Complete)
    assert scratch() == []


def test_a_worker_is_reused_ten_times_and_not_after_a_fault(
    tmp_path: Path, scratch: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "REUSED_FOR", 2)
    monkeypatch.setitem(LOADERS, "marked", partial(marked_engine, tmp_path))
    load = partial(load_engine, "marked")

    def pid_after(person: str) -> int | None:
        job = Job(film_of(person, tmp_path / f"{person}.mp4"), tmp_path / "s", Config())
        *_, end = index_here(job, load, frozenset(), None)
        if person == "magenta":
            assert isinstance(end, Failed)
            assert end.by_machine
            assert f"{job.video}: the decoder crashed (SIGSEGV)" in str(end.error)
        else:
            assert isinstance(end, Complete)
        assert node._worker is not None
        worker = node._worker[1]._worker
        return worker.process.pid if worker else None

    first = pid_after("red")
    assert pid_after("green") == first
    third = pid_after("cyan")
    assert third not in (first, None)
    assert pid_after("magenta") is None
    assert pid_after("red") not in (third, None)
    assert scratch() == []


def test_a_file_that_is_no_video_is_not_tried_elsewhere_and_one_that_is_not_there_is(tmp_path: Path) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video")
    ends = [
        list(index_here(Job(p, tmp_path, Config()), FAKE, (), None))[-1]
        for p in (broken, tmp_path / "no.mp4")
    ]
    assert [end.by_machine for end in ends if isinstance(end, Failed)] == [False, True]


def test_a_node_with_another_version_names_both() -> None:
    """Whatever that version's records look like."""
    (end,) = node_jobs.index_video("9.9", b"of no use here", frozenset())
    assert isinstance(end, Failed)
    assert end.by_machine
    assert str(end.error).startswith(f"FaceReel {FACEREEL_VERSION} is there and 9.9 here; ")


def test_a_lack_of_room_is_said_only_where_nothing_begins_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not when one video ends and the next one has not begun yet."""
    now = 0.0
    monkeypatch.setattr(cluster_jobs, "time", SimpleNamespace(monotonic=lambda: now))
    task: Any = SimpleNamespace(needs=lambda: "2 cores")
    batch = cluster_jobs._Batch(None, [], nothing_arrives, FakeEngine().info, task)
    waiting = cluster_jobs._Waiting(Job(Path("film.mp4"), Path("s"), Config()))
    notes = []
    for now, at in ((0.0, "n"), (1000.0, "n"), (1001.0, ""), (1029.0, ""), (1031.0, ""), (1090.0, "")):  # noqa: B007
        batch._attempts = {at: cluster_jobs._Attempt(waiting, at, at)}
        notes.append([event.text for event in batch._note_room() if isinstance(event, Note)])
    assert [len(texts) for texts in notes] == [0, 0, 0, 0, 1, 0]
    assert "no node of the cluster has room now; a video takes 2 cores" in notes[4][0]


def test_what_a_node_has_sent_is_no_silence() -> None:
    """Also where whoever takes the events has taken none for longer than a node may be silent."""
    stopped: list[str] = []
    ray = SimpleNamespace(
        wait=lambda streams, **_: (["sent"], ["silent"]), cancel=lambda stream, force: stopped.append(stream)
    )
    task: Any = SimpleNamespace()
    batch = cluster_jobs._Batch(ray, [], nothing_arrives, FakeEngine().info, task)
    waiting = cluster_jobs._Waiting(Job(Path("film.mp4"), Path("s"), Config()))
    for stream in ("sent", "silent"):
        batch._attempts[stream] = cluster_jobs._Attempt(waiting, stream, "node", last_message=-math.inf)
    assert batch._ready() == ["sent"]
    assert stopped == ["silent"]


# -- Ray


def test_without_ray_or_a_cluster_the_remedy_is_named(
    run: Run, film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    args = ("index", film, "--store", tmp_path / "s", "--engine", "fake", "--cluster")
    result = run(*args, "auto", "--jobs", "2")
    assert (
        "error: --jobs is for this machine; a cluster indexes as many videos as it has room for"
        in result.stderr
    )
    result = run(*args, "auto", "--jobs", "2", "--json-lines")
    assert json.loads(result.stdout)["error"]["kind"] == "OptionError"
    assert result.stdout.count("\n") == 1
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "ray", None)
        result = run(*args, "auto")
    assert result.exit_code == 1
    assert "error: --cluster needs Ray; run: pip install 'facereel[cluster]'" in result.stderr


def test_an_address_at_which_nobody_listens_is_named_at_once(film: Path, tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="Ray is not installed")
    library = Library(tmp_path / "s", engine="fake")
    for address in ("127.0.0.1:1", "127.0.0.1:99999"):
        with pytest.raises(OptionError, match=rf"--cluster {address}: no Ray cluster can be reached \("):
            library.index(film, cluster=address)


def test_ray_is_imported_only_when_a_cluster_is_wanted() -> None:
    source = (
        "import sys, facereel.cli, facereel.indexer.jobs.local, facereel.indexer.jobs.cluster; "
        "print(*sorted({'ray', 'fsspec', 'aiohttp'} & sys.modules.keys()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", source], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == []


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A Ray cluster of a head without cores and two nodes with one core each."""
    pytest.importorskip("ray", reason="Ray is not installed")
    from ray.cluster_utils import Cluster

    made, patch = Cluster(), pytest.MonkeyPatch()
    # By itself Ray runs its workers at niceness 15: beside other tests they would begin too late.
    patch.setenv("RAY_worker_niceness", "0")
    try:
        _add_node(made, num_cpus=0, include_dashboard=False, include_log_monitor=False, no_monitor=True)
        for _ in range(2):
            _add_node(made, num_cpus=1, include_log_monitor=False)
        yield made
    finally:
        patch.undo()
        made.shutdown()


def _add_node(cluster: Any, **options: Any) -> None:
    """Ray gives a node 30 s to start and has no setting for it; a busy machine may need a second try."""
    try:
        cluster.add_node(**options)
    except Exception:  # Ray has no class for it
        cluster.add_node(**options)


def wait_for(condition: Callable[[], bool]) -> bool:
    end = time.monotonic() + 100
    while not condition() and time.monotonic() < end:
        time.sleep(0.05)
    return condition()


def outcomes(events: list[Event]) -> list[Indexed | Failed]:
    return [event for event in events if isinstance(event, Indexed | Failed)]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_cluster_indexes_as_one_machine_does(
    cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """One test of all that needs a cluster: of several, each process of a parallel run would start its own."""
    monkeypatch.setitem(LOADERS, "marked", partial(marked_engine, tmp_path))
    films = [film_of_two(tmp_path / f"{n}.mp4", seconds=0.3 + 0.1 * n) for n in range(3)]
    check_rows_and_faults(cluster, tmp_path, films)
    import ray

    # Ray's workers belong to a connection: with one for the rest, the same ones go on.
    ray.init(address=cluster.address, log_to_driver=False, configure_logging=False)
    try:
        check_what_is_known_or_in_use(cluster, tmp_path, films[0])
        check_a_node_that_dies_at_a_part(cluster, tmp_path)
        check_stopping_and_a_node_that_dies(cluster, tmp_path)
    finally:
        ray.shutdown()
    # What Ray prints of its own would spoil what a script reads.
    assert capfd.readouterr().out == ""


def check_rows_and_faults(cluster: Any, place: Path, films: list[Path]) -> None:
    """The same rows; a crash and a broken file cost one video each; a second run indexes nothing again."""
    broken, deadly = place / "broken.mp4", film_of("magenta", place / "magenta.mp4")
    broken.write_bytes(b"no video")
    local_jobs = [Job(film, place / "one", Config()) for film in films]
    assert len(outcomes(list(LocalRunner(partial(load_engine, "marked")).run(local_jobs)))) == len(films)

    library = Library(place / "many", engine="marked")
    before = signal.getsignal(signal.SIGTERM)
    events: list[Event] = []
    report = library.index([*films, broken, deadly], cluster=cluster.address, on_event=events.append)
    assert signal.getsignal(signal.SIGTERM) is before
    assert contents(place / "many") == contents(place / "one")
    assert {event.video for event in report.failed} == {broken, deadly}
    crash = next(event for event in report.failed if event.video == deadly)
    assert f"{deadly} failed 3 times, last on " in str(crash.error)
    assert "the decoder crashed (SIGSEGV)" in str(crash.error)
    notes = [event for event in events if isinstance(event, Note)]
    assert [note.video for note in notes] == [deadly, deadly]
    assert all(note.text.endswith("; trying it elsewhere") for note in notes)
    started = [event for event in events if isinstance(event, Started)]
    assert sorted(event.number for event in started) == [1, 2, 3, 4, 5]
    nodes = {event.node for event in started}
    assert len(nodes) >= 2
    assert all("/" in node for node in nodes)  # both have this host's name
    assert [health.problems for health in library.verify()] == [()] * len(films)
    assert locked_videos(library.store) == []
    again = library.index(films, cluster=cluster.address)
    assert all(isinstance(event, Indexed) and event.skipped for event in again.videos)


def check_what_is_known_or_in_use(cluster: Any, place: Path, film: Path) -> None:
    """A URL is indexed once; what another process has in work is left to it, or waited for."""
    library = Library(place / "url", engine="marked")
    with video_lock(library.store, hash_file(film), lambda: None):
        left = library.index([film.as_uri()], cluster=cluster.address, wait=False)
        assert [event.video for event in left.being_indexed] == [film.as_uri()]
        assert index_folders(library.store) == []
        running = library.index_events(film.as_uri(), cluster=cluster.address)
        note = next(event for event in running if isinstance(event, Note))
        assert note.text == f"another process is indexing {film.name}; waiting for it"
    with closing(running):
        (by_url,) = outcomes(list(running))
    assert isinstance(by_url, Indexed)
    assert not by_url.skipped
    (known,) = library.index(film.as_uri(), cluster=cluster.address).videos
    assert isinstance(known, Indexed)
    assert known.skipped == "indexed already; --force does it again"
    assert [video.path for video in library.videos().videos] == [film.as_uri()]


def check_a_node_that_dies_at_a_part(cluster: Any, place: Path) -> None:
    """A third node reads the part, and the rows are those of one pass; the video's own node is not silent meanwhile."""
    film, waiting = four_minutes(place / "long.mp4"), place / "waiting"
    list(LocalRunner(FakeEngine).run([Job(film, place / "whole", Config())]))
    _add_node(cluster, num_cpus=1, include_log_monitor=False)
    library, events = Library(place / "parts", engine="marked"), list[Event]()
    with closing(library.index_events(film, cluster=cluster.address, split_longer_than=200)) as running:
        for event in running:
            events.append(event)
            if waiting.exists() and not (place / "go").exists():
                at_work = int(waiting.read_text())
                dying = next(one for one in cluster.worker_nodes if is_of_node(at_work, one))
                (started,) = (one for one in events if isinstance(one, Started))
                assert not dying.node_id.startswith(started.node.rpartition("/")[2])
                cluster.remove_node(dying)
                assert wait_for(partial(is_gone, at_work))
                (place / "go").touch()
    assert isinstance(events[-1], Indexed)
    assert not [event for event in events if isinstance(event, Note)]
    assert contents(library.store) == contents(place / "whole")
    waiting.unlink()
    (place / "go").unlink()


def four_minutes(path: Path) -> Path:
    """With a cut every nine seconds, and blue only behind the middle."""

    def pictures() -> Iterator[Image]:
        for frame in range(490):
            shot = frame // 18
            picture = backdrop((160, 90), seed=shot, shade=80 if shot % 2 else 180)
            person = "blue" if frame > 400 and shot % 2 else ("red", "green")[shot % 2]
            draw_face(picture, person, (30 + frame % 18, 20, 40, 40))
            yield picture

    return write_film(path, pictures(), fps=2)


def is_gone(process: int) -> bool:
    return not Path(f"/proc/{process}").exists()


def is_of_node(process: int, node: Any) -> bool:
    """Whether one of its parents is the node's own process."""
    raylet: int = node.all_processes["raylet"][0].process.pid
    while process not in (raylet, 1):
        status = Path(f"/proc/{process}/stat").read_text()
        process = int(status.rpartition(")")[2].split()[1])
    return process == raylet


def check_stopping_and_a_node_that_dies(cluster: Any, place: Path) -> None:
    """Nothing of a run that is stopped goes on; a video of a node that dies is indexed on the other one."""
    film = film_of("blue", place / "blue.mp4")
    library, waiting = Library(place / "s", engine="marked"), place / "waiting"
    with closing(library.index_events(film, cluster=cluster.address)) as running:
        next(event for event in running if isinstance(event, Progress) and event.stage == "indexing")
        assert wait_for(waiting.exists)
        (digits,) = locked_videos(library.store)
        assert hash_file(film).startswith(digits)
        (here,) = library.index(film, wait=False).videos
        assert isinstance(here, BeingIndexed), "whoever indexes or forgets sees that it is in work"
    assert locked_videos(library.store) == []
    at_work = int(waiting.read_text())
    assert wait_for(partial(is_gone, at_work))

    waiting.unlink()
    events: list[Event] = []
    with closing(library.index_events(film, cluster=cluster.address)) as running:
        for event in running:
            events.append(event)
            if isinstance(event, Started):
                assert wait_for(waiting.exists)
                id_begin = event.node.rpartition("/")[2]
                (dying,) = (one for one in cluster.worker_nodes if one.node_id.startswith(id_begin))
                cluster.remove_node(dying)
                (place / "go").touch()
    assert isinstance(events[-1], Indexed)
    # On a busy machine another note may say that the second attempt has not begun for long.
    (lost,) = (e for e in events if isinstance(e, Note) and e.text.endswith("; trying it elsewhere"))
    assert "blue.mp4: NodeDiedError" in lost.text
    assert [health.problems for health in library.verify()] == [()]
