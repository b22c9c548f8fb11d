"""Videos in worker processes: crashes, hangs and Ctrl-C cost one video at most; two processes share the work."""

from __future__ import annotations

import ctypes
import hashlib
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from facereel.indexer.engines import opencv_zoo
from facereel.indexer.engines.devices import Compute
from facereel.indexer.engines.protocol import FaceEngine
from facereel.indexer.engines.registry import LOADERS, load_engine
from facereel.indexer.engines.weights import Weights
from facereel.indexer.jobs import local as workers
from facereel.indexer.jobs.events import BeingIndexed, Event, Failed, Indexed, Job, Note, Progress, Started
from facereel.indexer.jobs.local import LocalRunner
from facereel.store.files import digest
from facereel.store.files.digest import hash_file
from facereel.store.files.locks import VIDEO_LOCK, video_lock
from facereel.store.library.catalogue import Catalogue
from facereel.store.model.config import Config
from facereel.store.model.errors import EngineError, VideoError
from facereel.store.model.records import Faces, Image
from tests.fake_engine import FakeEngine, backdrop, draw_face, film_of_two, write_film
from tests.program import Run

ROOT = Path(__file__).parent.parent
FAKE = ("--engine", "fake")


class Fragile(FakeEngine):
    """Reads address 0 when it sees magenta, sleeps for ever when it sees blue, breaks when it sees yellow.

    When it sees all of these at once it tries to take more memory than there is.
    """

    def detect(self, image: Image) -> Faces:
        b, g, r = (int(value) for value in image.reshape(-1, 3).max(axis=0) > 200)
        if (b, g, r) == (1, 0, 1):
            ctypes.string_at(0)
        while (b, g, r) == (1, 0, 0):
            time.sleep(1)
        if (b, g, r) == (1, 1, 1):
            np.ones(1 << 46, np.uint8)
        if (b, g, r) == (0, 1, 1):
            raise RuntimeError("a bug\nof two lines")
        return super().detect(image)


def fragile_engine(compute: Compute) -> FakeEngine:
    return Fragile()


def deadly(compute: Compute) -> FakeEngine:
    os.kill(os.getpid(), signal.SIGILL)
    return FakeEngine()


def counting(compute: Compute) -> FakeEngine:
    raise EngineError(f"OpenCV uses {cv2.getNumThreads()} threads")


def film_of(person: str, path: Path, frames: int = 12) -> Path:
    pictures = [backdrop((160, 90), shade=100) for _ in range(frames)]
    for picture in pictures:
        for place, one in enumerate(person.split()):
            draw_face(picture, one, (40 + 60 * place, 20, 40, 40))
    return write_film(path, pictures)


@pytest.fixture
def fragile(monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    monkeypatch.setitem(LOADERS, "fragile", fragile_engine)
    return "--engine", "fragile"


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_a_crash_costs_one_video(run: Run, tmp_path: Path, fragile: tuple[str, str], jobs: str) -> None:
    people = ("red", "magenta", "green", "yellow", "cyan")
    films = [film_of(person, tmp_path / f"{person}.mp4") for person in people]
    report = tmp_path / "report.json"
    args = ("--store", tmp_path / "s", *fragile, "--jobs", jobs, "--report", report)
    result = run("index", *films, *args)
    assert result.exit_code == 1
    errors = [line for line in result.stderr.splitlines() if line.startswith("error:")]
    assert len(errors) == 3
    (crash,) = (line for line in errors if "SIGSEGV" in line)
    assert "magenta.mp4: the decoder crashed (SIGSEGV); " in crash
    (bug,) = (line for line in errors if "RuntimeError" in line)
    assert (
        "yellow.mp4 was not indexed because of a bug in FaceReel (RuntimeError: a bug of two lines); run it again"
        in bug
    )
    assert f"2 of 5 videos failed: {films[1]}, {films[3]}" in errors[-1]
    assert len(Catalogue(tmp_path / "s").listing().entries) == 3
    output = json.loads(report.read_text())
    assert [video["state"] for video in output["videos"]] == [
        "indexed", "failed", "indexed", "failed", "indexed",
    ]  # fmt: skip


def test_a_hang_costs_one_video(
    run: Run, tmp_path: Path, fragile: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "STALL_SECONDS", 2.0)
    films = [film_of(person, tmp_path / f"{person}.mp4") for person in ("blue", "red")]
    result = run("index", *films, "--store", tmp_path / "s", *fragile)
    assert result.exit_code == 1
    assert "blue.mp4: no progress for 2 s" in result.stderr
    assert len(Catalogue(tmp_path / "s").listing().entries) == 1


def test_a_lack_of_memory_costs_one_video(run: Run, tmp_path: Path, fragile: tuple[str, str]) -> None:
    films = [film_of(person, tmp_path / f"{person}.mp4") for person in ("cyan red", "red")]
    result = run("index", *films, "--store", tmp_path / "s", *fragile)
    assert result.exit_code == 1
    assert "cyan red.mp4: not enough memory; index it alone, or scale it down" in result.stderr
    assert len(Catalogue(tmp_path / "s").listing().entries) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells and takes such limits")
def test_a_worker_is_the_one_to_go_when_memory_runs_out() -> None:
    """It may take what is free when it starts, and the system ends it before anything else."""
    script = (
        "import resource; from facereel.indexer.machine import limit_memory; limit_memory(5 << 30); "
        "print(resource.getrlimit(resource.RLIMIT_DATA)[0], open('/proc/self/oom_score_adj').read())"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert list(map(int, done.stdout.split())) == [5 << 30, 1000]


def test_an_engine_that_crashes_or_is_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(LOADERS, "deadly", deadly)
    for name, said in (
        ("deadly", r"crashed while loading \(SIGILL\)"),
        ("magic", "no engine is called"),
    ):
        work = LocalRunner(partial(load_engine, name)).run(
            [Job(tmp_path / "a.mp4", tmp_path / "s", Config())]
        )
        with pytest.raises(EngineError, match=said):
            next(work)


def test_opencv_works_on_the_thread_that_calls_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(LOADERS, "counting", counting)
    work = LocalRunner(partial(load_engine, "counting")).run([Job(tmp_path / "a.mp4", tmp_path, Config())])
    with pytest.raises(EngineError, match="OpenCV uses 1 threads"):
        next(work)


def test_results_are_those_of_one_by_one(run: Run, tmp_path: Path) -> None:
    films = [film_of_two(tmp_path / f"{n}.mp4", seconds=0.3 + 0.1 * n) for n in range(5)]
    stores = [tmp_path / "one", tmp_path / "many"]
    output = []
    for store, jobs in zip(stores, ("1", "2"), strict=True):
        videos = json.loads(run("index", *films, "--store", store, *FAKE, "--jobs", jobs, "--json").stdout)
        output.append([(v["video"], v["frames"], v["faces"], v["tracklets"]) for v in videos["videos"]])
    assert output[0] == output[1]


def test_who_waits_takes_what_came_of_it(tmp_path: Path, film: Path) -> None:
    store = tmp_path / "s"
    claim = video_lock(store, hash_file(film), lambda: None)
    claim.__enter__()
    threading.Timer(2.5, lambda: claim.__exit__(None, None, None)).start()
    events = list(LocalRunner(partial(load_engine, "fake")).run([Job(film, store, Config())]))
    assert events[0] == Started(film, 1, 1)
    assert isinstance(events[-1], Indexed)
    notes = [event for event in events if isinstance(event, Note)]
    assert notes == [Note(film, "another process is indexing two.mp4; waiting for it")]
    assert not list(store.glob(f"{VIDEO_LOCK}*"))


def test_who_does_not_wait_takes_the_next_video(tmp_path: Path) -> None:
    films = [film_of_two(tmp_path / f"{n}.mp4", seconds=0.3 + 0.1 * n) for n in range(3)]
    store, runner = tmp_path / "s", LocalRunner(partial(load_engine, "fake"))
    jobs = [Job(film, store, Config(), wait=False) for film in films]
    with (
        video_lock(store, hash_file(films[0]), lambda: None),
        ExitStack() as other,
        closing(runner.run(jobs)) as events,
    ):
        other.enter_context(video_lock(store, hash_file(films[1]), lambda: None))
        ends = []
        for event in events:
            if isinstance(event, Indexed | Failed | BeingIndexed):
                ends.append((event.video, type(event)))
            if isinstance(event, Indexed):
                other.close()  # the other process ends with its second video, and without an index of it
    left = [(film, BeingIndexed) for film in films[:2]]
    assert ends == [*left, (films[2], Indexed), left[0], (films[1], Indexed)]


def start(*args: str | Path) -> subprocess.Popen[str]:
    """A real process with the fake engines."""
    return subprocess.Popen(
        [sys.executable, "-m", "tests.fake_cli", *map(str, args)],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip


def test_processes_share_a_store(tmp_path: Path, run: Run, photos: Path) -> None:
    """Three index the same two videos while others are asked for and removed; neither breaks."""
    films = [film_of_two(tmp_path / f"{n}.mp4", seconds=1.0 + n) for n in range(2)]
    store = tmp_path / "s"
    with video_lock(store, hash_file(films[0]), lambda: None):
        both = [start("index", *films, "--store", store, *FAKE, *force) for force in ((), (), ("--force",))]
        for process in both:
            assert process.stderr is not None
            lines = iter(process.stderr.readline, "")
            assert "indexing 2 of 2: 1.mp4\n" in lines  # reads no further
    while any(process.poll() is None for process in both):
        result = run("query", photos / "red.png", "--store", store, *FAKE, "--dry-run")
        assert result.exit_code == 0 or "holds no index" in result.stderr, result.stderr
        assert run("list", "--store", store).exit_code == 0
    ends = [(process.wait(), *process.communicate()) for process in both]
    assert [code for code, _, _ in ends] == [0, 0, 0], ends
    assert run("verify", "--store", store).stdout == "0.mp4: ok\n1.mp4: ok\n"
    assert len([path for path in store.iterdir() if path.is_dir()]) == 2


@pytest.fixture(scope="module")
def long_film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two minutes, of which the index is far from made when it is stopped."""
    return film_of_two(tmp_path_factory.mktemp("long") / "long.mp4", seconds=40)


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGKILL])
def test_nobody_stays_behind(tmp_path: Path, long_film: Path, sent: signal.Signals) -> None:
    """Ctrl-C reaches the whole group as from a terminal; kill -9 only the parent. No worker outlives it."""
    process = start("index", long_film, "--store", tmp_path / "s", *FAKE)
    deadline = time.monotonic() + 60
    while not list((tmp_path / "s").glob(f"{VIDEO_LOCK}*")) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert process.poll() is None
    if sent == signal.SIGINT:
        os.killpg(process.pid, sent)
        assert process.wait(timeout=20) == 130
        assert process.communicate()[1] == "stopped; run it again to resume\n"
    else:
        process.kill()
        process.communicate()
    while (left := alive(process.pid)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert left == []
    Catalogue(tmp_path / "s").clean()
    assert Catalogue(tmp_path / "s").listing().entries == ()
    assert list((tmp_path / "s").iterdir()) == []


def alive(session: int) -> list[str]:
    """Processes of a session, by what they run."""
    if not Path("/proc/self/stat").exists():
        pytest.skip("this system does not tell its processes by /proc")
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
            if int(fields[3]) == session and fields[0] not in "ZX":
                found.append(status.with_name("cmdline").read_text().replace("\0", " "))
        except OSError:
            continue
    return found


class Killed(FakeEngine):
    """Its process is killed as by a system without memory when it searches a frame."""

    def detect(self, image: Image) -> Faces:
        os.kill(os.getpid(), signal.SIGKILL)
        return super().detect(image)


def test_a_killed_worker_is_not_the_videos_fault(tmp_path: Path) -> None:
    """Out of memory the system kills; the video need not be damaged."""
    (failed,) = results(tmp_path, Killed, [film_of("red", tmp_path / "red.mp4")])
    assert isinstance(failed, Failed)
    assert isinstance(failed.error, VideoError)
    assert "red.mp4: its process was killed (SIGKILL), perhaps for lack of memory" in str(failed.error)


def results(folder: Path, load: workers.Load, films: list[Path], at_once: int = 1) -> list[Event]:
    """What came of each video, in the order in which they ended; each is started once and ends once."""
    jobs = [Job(film, folder / "s", Config()) for film in films]
    events = list(LocalRunner(load, at_once).run(jobs))
    assert sorted(event.video for event in events if isinstance(event, Started)) == sorted(films)
    ends = [event for event in events if isinstance(event, Indexed | Failed)]
    assert sorted(event.video for event in ends) == sorted(films)
    return [*ends]


def load_by_script(script: str, counter: Path) -> FakeEngine:
    """The n-th worker loads its engine where the script has a dot, and dies where it has an x, as from its end on."""
    with counter.open("a+") as file:
        file.write(".")
        file.flush()
        number = file.tell()
    if script[number - 1 : number] != ".":
        os.kill(os.getpid(), signal.SIGILL)
    return Fragile()


@pytest.mark.parametrize(
    ("script", "at_once", "indexed"),
    [
        (".x.", 1, {"red", "green", "cyan"}),
        (".xx.", 1, {"red", "green", "cyan"}),
        (".xxx", 1, {"red"}),
        (".xxx.", 1, {"red", "cyan"}),
        ("..xxxx", 2, {"red", "green", "cyan"}),
        ("x..", 2, {"red", "green", "cyan"}),
    ],
)
def test_a_replacement_that_cannot_start_does_not_end_the_batch(
    tmp_path: Path, script: str, at_once: int, indexed: set[str]
) -> None:
    """Magenta crashes its worker; what is not indexed after that is named with the reason."""
    films = [film_of(person, tmp_path / f"{person}.mp4") for person in ("red", "magenta", "green", "cyan")]
    ends = results(tmp_path, partial(load_by_script, script, tmp_path / "counter"), films, at_once)
    assert {Path(end.video).stem for end in ends if isinstance(end, Indexed)} == indexed
    for end in ends:
        if isinstance(end, Failed) and Path(end.video).stem != "magenta":
            assert isinstance(end.error, EngineError)
            assert f"{end.video} was not indexed: the engine crashed while loading (SIGILL); " in str(
                end.error
            )


def test_no_worker_that_can_start_is_one_error(tmp_path: Path) -> None:
    films = [film_of(person, tmp_path / f"{person}.mp4") for person in ("red", "green", "cyan")]
    with pytest.raises(EngineError, match=r"crashed while loading \(SIGILL\)"):
        results(tmp_path, partial(load_by_script, "xx", tmp_path / "counter"), films, at_once=2)
    assert (tmp_path / "counter").read_text() == ".."


def load_without_recogniser() -> FaceEngine:
    opencv_zoo.RECOGNIZER = Weights("not_there.onnx", "0" * 64)
    return opencv_zoo.OpenCVZoo(Compute())


def test_a_recogniser_that_cannot_be_loaded_fails_the_batch_at_once(tmp_path: Path) -> None:
    """Not each video after it was decoded."""
    jobs = [Job(film_of("red", tmp_path / "red.mp4"), tmp_path / "s", Config())]
    with pytest.raises(EngineError, match=r"not_there\.onnx is not installed"):
        next(LocalRunner(load_without_recogniser).run(jobs))


class Slow:
    """A hash as slow as that of a file of hundreds of gigabytes: a second a piece. Later ones are quick again."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()

    def update(self, piece: bytes) -> None:
        time.sleep(1)
        self._hash.update(piece)

    def hexdigest(self) -> str:
        vars(digest)["hashlib"] = hashlib
        return self._hash.hexdigest()


def load_with_slow_hash(bytes_at_once: int) -> FakeEngine:
    vars(digest)["hashlib"] = SimpleNamespace(sha256=Slow)
    digest.CHUNK_BYTES = bytes_at_once
    return FakeEngine()


def test_a_file_that_takes_long_to_hash_is_not_taken_for_a_hang(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    film = film_of("red", tmp_path / "red.mp4")
    monkeypatch.setattr(workers, "STALL_SECONDS", 4.0)
    load = partial(load_with_slow_hash, film.stat().st_size // 7)
    events = list(LocalRunner(load).run([Job(film, tmp_path / "s", Config())]))
    assert isinstance(events[-1], Indexed)
    read = [event.done for event in events if isinstance(event, Progress) and event.stage == "reading"]
    assert len(read) >= 7
    assert read == sorted(read)
    assert read[-1] == film.stat().st_size


def load_with_thread_that_never_ends() -> FakeEngine:
    threading.Thread(target=time.sleep, args=(1000,)).start()
    return FakeEngine()


def test_a_worker_that_hangs_at_its_end_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "EXIT_SECONDS", 1.0)
    films = [film_of(person, tmp_path / f"{person}.mp4") for person in ("red", "green")]
    ends = results(tmp_path, load_with_thread_that_never_ends, films, at_once=2)
    assert all(isinstance(end, Indexed) for end in ends)
    assert multiprocessing.active_children() == []


def test_the_environment_of_the_caller_stays_as_it_is(tmp_path: Path, film: Path) -> None:
    before = dict(os.environ)
    results(tmp_path, FakeEngine, [film])
    assert dict(os.environ) == before
