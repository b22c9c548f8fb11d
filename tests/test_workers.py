"""Videos in worker processes: crashes, hangs and Ctrl-C cost one video at most; two processes share the work."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from facereel.indexer.engines.engine import LOADERS, Compute, load_engine
from facereel.indexer.jobs import local as workers
from facereel.indexer.jobs.events import Indexed, Note, Started
from facereel.store.files.digest import hash_file
from facereel.store.files.locks import CLAIM, video_lock
from facereel.store.library.catalogue import Catalogue
from facereel.store.model.config import Config
from facereel.store.model.errors import EngineError
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


def deadly(compute: Compute) -> FakeEngine:
    os.kill(os.getpid(), signal.SIGILL)
    return FakeEngine()


def film_of(person: str, path: Path, frames: int = 12) -> Path:
    pictures = [backdrop((160, 90), shade=100) for _ in range(frames)]
    for picture in pictures:
        for place, one in enumerate(person.split()):
            draw_face(picture, one, (40 + 60 * place, 20, 40, 40))
    return write_film(path, pictures)


@pytest.fixture
def fragile(monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    monkeypatch.setitem(LOADERS, "fragile", Fragile)
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
    assert "yellow.mp4 could not be indexed (RuntimeError: a bug of two lines); --debug shows where" in bug
    assert f"2 of 5 videos failed: {films[1]}, {films[3]}" in errors[-1]
    assert len(Catalogue(tmp_path / "s").listing().entries) == 3
    told = json.loads(report.read_text())
    assert [video["state"] for video in told["videos"]] == [
        "indexed", "failed", "indexed", "failed", "indexed",
    ]  # fmt: skip


def test_a_hang_costs_one_video(
    run: Run, tmp_path: Path, fragile: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "STALLED", 2.0)
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
    """It may take what is free when it starts, and the system is told to end it before anything else."""
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
    task = workers.Task(tmp_path / "s", Config(), force=False)
    for name, said in (
        ("deadly", r"crashed while it was loaded \(SIGILL\)"),
        ("magic", "no engine is called"),
    ):
        work = workers.index_many([tmp_path / "a.mp4"], partial(load_engine, name), task)
        with pytest.raises(EngineError, match=said):
            next(work)


def test_results_are_those_of_one_by_one(run: Run, tmp_path: Path) -> None:
    films = [film_of_two(tmp_path / f"{n}.mp4", seconds=0.3 + 0.1 * n) for n in range(5)]
    stores = [tmp_path / "one", tmp_path / "many"]
    told = []
    for store, jobs in zip(stores, ("1", "2"), strict=True):
        videos = json.loads(run("index", *films, "--store", store, *FAKE, "--jobs", jobs, "--json").stdout)
        told.append([(v["video"], v["frames"], v["faces"], v["tracklets"]) for v in videos["videos"]])
    assert told[0] == told[1]


def test_who_waits_takes_what_came_of_it(tmp_path: Path, film: Path) -> None:
    store = tmp_path / "s"
    claim = video_lock(store, hash_file(film), lambda: None)
    claim.__enter__()
    threading.Timer(2.5, lambda: claim.__exit__(None, None, None)).start()
    task = workers.Task(store, Config(), force=False)
    events = list(workers.index_many([film], partial(load_engine, "fake"), task))
    assert events[0] == Started(film, 1, 1)
    assert isinstance(events[-1], Indexed)
    notes = [event for event in events if isinstance(event, Note)]
    assert notes == [Note(film, "another process is indexing two.mp4; waiting for it")]
    assert not list(store.glob(f"{CLAIM}*"))


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
            assert process.stderr.readline() == "another process is indexing 0.mp4; waiting for it\n"
    while any(process.poll() is None for process in both):
        result = run("query", photos / "red.png", "--store", store, *FAKE, "--dry-run")
        assert result.exit_code == 0 or "holds no index" in result.stderr, result.stderr
        assert run("list", "--store", store).exit_code == 0
    ends = [(process.wait(), *process.communicate()) for process in both]
    assert [code for code, _, _ in ends] == [0, 0, 0], ends
    assert run("verify", "--store", store).stdout == "0.mp4: ok\n1.mp4: ok\n"
    assert len(list(store.iterdir())) == 2


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGKILL])
def test_nobody_stays_behind(tmp_path: Path, sent: signal.Signals) -> None:
    """Ctrl-C reaches the whole group as from a terminal; kill -9 only the parent. No worker outlives it."""
    film = film_of_two(tmp_path / "long.mp4", seconds=30)
    process = start("index", film, "--store", tmp_path / "s", *FAKE)
    deadline = time.monotonic() + 60
    while not list((tmp_path / "s").glob(f"{CLAIM}*")) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert process.poll() is None
    if sent == signal.SIGINT:
        os.killpg(process.pid, sent)
        assert process.wait(timeout=20) == 130
        assert (
            process.communicate()[1]
            == "stopped; nothing unfinished was kept; index goes on where it stopped when run again\n"
        )
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


def test_a_killed_worker_is_not_the_videos_fault() -> None:
    """Out of memory the system kills; the video need not be damaged."""
    worker = workers._Worker(SimpleNamespace(exitcode=-9), None, path=Path("a.mp4"))  # type: ignore[arg-type]
    assert "a.mp4: its process was killed (SIGKILL), perhaps for want of memory" in str(
        workers._death(worker).error
    )
