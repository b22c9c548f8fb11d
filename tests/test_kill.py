"""Killed, out of space or out of power: all is whole as it was or whole as it was to be, and the next run goes well."""

from __future__ import annotations

import multiprocessing
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from facereel import cli
from facereel.indexer.engines import registry, weights
from facereel.store.files import folders
from facereel.store.files.locks import VIDEO_LOCK
from facereel.store.files.names import hash_suffix
from facereel.store.library.database import LIBRARY
from facereel.store.library.vectors import LIBRARY_VECTORS
from facereel.store.model.errors import UnwritableError
from facereel.store.resume.unfinished import UNFINISHED
from tests.benchmarks import kill
from tests.benchmarks.kill_state import State, check_between, state
from tests.fake_cli import add_fake_engines
from tests.fake_engine import film_of_two
from tests.program import Run

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are read from /proc")
FAKE = ("--engine", "fake")
SPARE = (0, 8 << 10, 28 << 10, 90 << 10)  # bytes left on a disk

LIBRARY_FILES = [LIBRARY, f"{LIBRARY}-journal", LIBRARY_VECTORS]


def _command_line(args: Sequence[str], place: Path) -> None:
    """What a process does: the command line with the fake engines, in a session of its own."""
    os.setsid()
    os.chdir(place)
    os.environ["FACEREEL_STORE"] = "store"
    for stream in (1, 2):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream)
    add_fake_engines()
    cli.app(args)


class Forked:
    """A process that needs no second to import everything."""

    def __init__(self, args: Sequence[str], place: Path) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(
            [
                "test_kill",
                "facereel.indexer.jobs.local",
                "facereel.indexer.pipeline",
                "facereel.query.clips.result",
            ]
        )
        self._process: BaseProcess = context.Process(target=_command_line, args=(tuple(args), place))
        self._process.start()
        assert self._process.pid is not None
        self.pid = self._process.pid

    def wait(self, timeout: float) -> int:
        self._process.join(timeout)
        assert self._process.exitcode is not None
        return self._process.exitcode


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> kill.Range:
    return kill.Range(tmp_path_factory.mktemp("kill"), Forked, seconds=14)


@pytest.mark.slow
@pytest.mark.parametrize(
    "command", sorted(kill.COMMANDS.keys() - {"people merge", "people reject", "people undo"})
)
def test_whatever_the_moment_nothing_is_lost(scene: kill.Range, command: str) -> None:
    """A moment of each command here; `python -m tests.benchmarks kill` has fifty, and chapters."""
    outcome = scene.kill(command, 1, random.Random(command))
    assert outcome.failures == []
    assert outcome.during + outcome.after == 1


def test_the_check_sees_what_is_half_done(tmp_path: Path) -> None:
    """The judge of the kills is no judge if it lets torn things pass."""
    old = State({"a": "1"}, None, (), {})
    for found in (
        State({"a": "2"}, None, (), {}),
        State({"b": "1"}, None, (), {}),
        State({}, {"metadata.json": "x"}, (), {}),
        State({}, None, (("name", 1),), {}),
        State({}, None, (), {"a": {1: "Anna"}}),
    ):
        with pytest.raises(AssertionError):
            check_between(found, (old, State({}, {"metadata.json": "y"}, (("name", 1),), {"a": {1: "Anna"}})))


def test_a_result_set_aside_comes_back(tmp_path: Path) -> None:
    """Between the two renames of --overwrite the old result has another name; whoever comes next puts it back."""
    result = tmp_path / "red"
    result.mkdir()
    (result / "metadata.json").write_text("old")
    result.rename(tmp_path / f"{folders.REPLACED}00000000-red")
    (tmp_path / f"{folders.WRITING}1-00000000").mkdir()
    for foreign in (".tmp-1-00000000", ".old-00000000-red"):
        (tmp_path / foreign).mkdir()
    folders.clean_leftovers(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".old-00000000-red", ".tmp-1-00000000", "red"]
    assert (result / "metadata.json").read_text() == "old"


@pytest.fixture(scope="module")
def small_disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A file system of 3 MB; only root may mount one."""
    place = tmp_path_factory.mktemp("small")
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "none", place], capture_output=True)
    if done.returncode:
        pytest.skip("no file system may be mounted here")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


def fill(place: Path, spare: int) -> Path:
    """Leave that many bytes on the disk."""
    ballast = place / "ballast"
    ballast.unlink(missing_ok=True)
    status = os.statvfs(place)
    ballast.write_bytes(bytes(status.f_bavail * status.f_frsize - spare))
    return ballast


@pytest.mark.parametrize("name", ["index --force", "query", "query --overwrite", "reembed", "forget"])
def test_on_a_full_disk_all_stays_as_it_was(
    small_disk: Path, run: Run, photos: Path, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Room for nothing, for a little, for nearly all: a line with a remedy, or the work was done."""
    disk = small_disk / "disk"
    film_of_two(tmp_path / "film.mp4", seconds=0.6)
    shutil.rmtree(disk, ignore_errors=True)
    (small_disk / "ballast").unlink(missing_ok=True)
    shutil.copy(photos / "red.png", tmp_path / "red.png")
    monkeypatch.setenv("FACEREEL_STORE", str(disk / "store"))
    monkeypatch.chdir(tmp_path)
    disk.mkdir()
    (disk / "out").mkdir()
    before, args = kill.COMMANDS[name]
    words = [str(disk / "out") if word == "out" else word for word in args]
    before_words = [
        [str(disk / "out") if word == "out" else word for word in kill.BEFORE[earlier]] for earlier in before
    ]
    for earlier_words in before_words:
        assert run(*earlier_words).exit_code == 0
    old, failed = state(disk), 0
    for spare in SPARE:
        ballast = fill(small_disk, spare)
        result = run(*words)
        if result.exit_code == 0:
            break
        failed += 1
        (error,) = (line for line in result.stderr.splitlines() if line.startswith("error: "))
        assert "No space left on device" in error or "disk is full" in error
        assert "; " in error, "what to do about it"
        assert state(disk) == old
        left = [path.name for room in ("store", "out") for path in (disk / room).glob(".facereel*")]
        assert left == []
    assert failed >= 2
    ballast.unlink()
    if failed == len(SPARE):
        assert run(*words).exit_code == 0
    ended = state(disk)
    assert run("verify").exit_code == 0
    if name.startswith("query"):
        assert run(*words, *(() if "--overwrite" in words else ("--overwrite",))).exit_code == 0
        assert state(disk) == ended, "a little room is enough for all or for nothing"


def test_an_index_can_be_removed_from_a_full_disk(small_disk: Path, run: Run, tmp_path: Path) -> None:
    store = small_disk / "full"
    film = film_of_two(tmp_path / "film.mp4", seconds=0.3)
    assert run("index", film, "--store", store, *FAKE).exit_code == 0
    fill(small_disk, 0)
    assert run("remove", "film.mp4", "--store", store).exit_code == 0
    assert folders.index_folders(store) == []


class Disk:
    """Notes what reaches the disk when: fsync by path, renames from and to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.log: list[tuple[str, Path, Path]] = []
        sync, rename, replace = os.fsync, os.rename, os.replace

        def synced(handle: int) -> None:
            path = Path(os.readlink(f"/proc/self/fd/{handle}"))
            self.log.append(("sync", path, path))
            sync(handle)

        def moved(how: Callable[..., None]) -> Callable[..., None]:
            def move(source: Path, target: Path) -> None:
                how(source, target)
                self.log.append(("rename", Path(source).absolute(), Path(target).absolute()))

            return move

        monkeypatch.setattr(os, "fsync", synced)
        monkeypatch.setattr(os, "rename", moved(rename))
        monkeypatch.setattr(os, "replace", moved(replace))

    def assert_lasting(self, target: Path) -> None:
        """What got that name was on the disk before, with all that lay in it, and its name is now."""
        place = max(n for n, (what, _, to) in enumerate(self.log) if what == "rename" and to == target)
        source = self.log[place][1]
        synced = {path for what, path, _ in self.log[:place] if what == "sync"}
        inside = [path.name for path in target.iterdir()] if target.is_dir() else []
        parts = set(inside)
        # A file may have been forced onto the disk under the name that it had until it was whole.
        names = {
            path.name.removeprefix(".").removesuffix(".part") for path in synced if path.parent == source
        }
        assert parts <= names, f"{parts - names} of {target} were never forced onto the disk"
        assert source in synced, f"{source} was not forced onto the disk before it was renamed"
        assert ("sync", target.parent, target.parent) in self.log[place:]


def test_what_has_its_name_is_on_the_disk(
    run: Run, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files, then their folder, then the rename, then the folder above: for indexes, results and single files.

    Indexing is called here rather than in a worker, where it could not be watched.
    """
    from facereel.indexer.jobs.events import Job
    from facereel.indexer.jobs.job import run_job
    from facereel.store.model.config import Config

    film, store, out = (
        film_of_two(tmp_path / "film.mp4", seconds=0.4),
        tmp_path / "deep" / "store",
        tmp_path / "out",
    )
    disk = Disk(monkeypatch)
    index = run_job(Job(film, store, Config()), registry.load_engine("fake")).folder
    disk.assert_lasting(index)
    assert {path for what, path, _ in disk.log if what == "sync"} >= {tmp_path, tmp_path / "deep"}
    args = ("--store", store, *FAKE)
    for again in ((), ("--overwrite",)):
        disk.log.clear()
        assert run("query", photos / "red.png", *args, "--out", out, *again).exit_code == 0
        disk.assert_lasting(out / "red")
    disk.log.clear()
    assert run("reembed", "film.mp4", "--store", store, "--engine", "fake-other").exit_code == 0
    disk.assert_lasting(index)
    disk.log.clear()
    assert (
        run("forget", photos / "red.png", "--store", store, "--engine", "fake-other", "--yes").exit_code == 0
    )
    disk.assert_lasting(index)
    disk.log.clear()
    assert run("faces", "film.mp4", "--store", store, "--out", tmp_path / "sheet.png").exit_code == 0
    disk.assert_lasting(tmp_path / "sheet.png")
    (index / "vectors.faiss").unlink()
    disk.log.clear()
    assert run("verify", "--store", store).exit_code == 0
    disk.assert_lasting(index / "vectors.faiss")
    disk.log.clear()
    assert run("remove", "film.mp4", "--store", store).exit_code == 0
    assert ("sync", store, store) in disk.log


def test_a_run_that_died_at_its_end_leaves_no_looks(run: Run, store: Path, film: Path) -> None:
    """Killed between the index and tidying up, chapters would lie in the store for a month; so would a dead claim."""
    (index,) = folders.index_folders(store)
    digits = hash_suffix(index.name)
    checkpoint, newer = store / f"{UNFINISHED}{digits}", store / f"{UNFINISHED}{'0' * 12}"
    for folder in (checkpoint, newer):
        folder.mkdir()
        (folder / "chapter.npz").write_text("looks")
    (store / f"{VIDEO_LOCK}{digits}").touch()
    os.utime(checkpoint, (1, (index / "index.db").stat().st_mtime - 1))
    assert run("index", film, "--store", store, "--engine", "fake").exit_code == 0
    assert sorted(path.name for path in store.iterdir()) == [newer.name, *LIBRARY_FILES, index.name]
    checkpoint.mkdir()
    assert run("index", film, "--store", store, "--engine", "fake").exit_code == 0
    assert checkpoint.exists(), "a run with --force goes on with it"
    assert run("remove", "two.mp4", "--store", store).exit_code == 0
    assert sorted(path.name for path in store.iterdir()) == [newer.name, *LIBRARY_FILES]


def test_unpacked_weights_are_whole_and_leave_nothing_beside_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a model of a process that was killed, or on a full disk, would take its 40 MB for ever."""
    kind = weights.Weights("small.onnx", "0" * 64)
    monkeypatch.setenv("FACEREEL_CACHE", str(tmp_path))
    monkeypatch.setattr(weights, "source_path", lambda kind: tmp_path)
    name = f"small-{'0' * 12}-v1.onnx"
    (tmp_path / f"{name}abcd1234").write_bytes(b"mod")

    def full(path: Path) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(weights, "sync", full)
        with pytest.raises(UnwritableError, match="No space left on device"):
            weights.cached_model(kind, 1, lambda source: b"model")
    assert list(tmp_path.iterdir()) == []
    disk = Disk(monkeypatch)
    assert weights.cached_model(kind, 1, lambda source: b"model").read_bytes() == b"model"
    disk.assert_lasting(tmp_path / name)
    assert len(list(tmp_path.iterdir())) == 2
    # What has the size and time that it had then is not read again.
    monkeypatch.setattr(weights, "hash_file", full)
    assert weights.cached_model(kind, 1, lambda source: b"other") == tmp_path / name
    # One whose checksum is damaged is made anew.
    (tmp_path / name).with_suffix(".sha256").write_bytes(b"\xff")
    assert weights.cached_model(kind, 1, lambda source: b"other").read_bytes() == b"other"


def test_unpacked_weights_replace_those_of_other_versions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the same file only, in whatever parts it was kept then."""
    kind = weights.Weights("small.onnx", "0" * 64)
    monkeypatch.setenv("FACEREEL_CACHE", str(tmp_path))
    monkeypatch.setattr(weights, "source_path", lambda kind: tmp_path)
    others = [weights.Weights("small.onnx", "1" * 64), weights.Weights("smaller.onnx", "0" * 64)]
    kept = [weights.cached_model(other, 1, lambda source: b"other") for other in others]
    old = [weights.cached_model(kind, 1, lambda source: b"old", part) for part in ("", "body")]
    new = [weights.cached_model(kind, 12, lambda source: b"new", part) for part in ("body", "end")]
    assert not any(path.exists() or path.with_suffix(".sha256").exists() for path in old)
    assert all(path.exists() and path.with_suffix(".sha256").exists() for path in [*kept, *new])
    assert weights.cached_model(kind, 1, lambda source: b"old").read_bytes() == b"old"
