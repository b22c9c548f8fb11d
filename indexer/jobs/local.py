"""Videos are indexed in processes of their own: what a hostile file does to a decoder stays in one of them.

A worker loads the engine once and takes one video after another; one that dies is replaced, and its video is
named. Nothing but records and one-line errors comes back. Knows nothing of how a video is indexed.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from facereel.indexer.engines.engine import LOADERS, FaceEngine
from facereel.indexer.jobs.events import Event, Failed, Indexed, Note, Progress, Started
from facereel.indexer.jobs.job import index_one
from facereel.indexer.machine import cores, free_memory, limit_memory
from facereel.store.files.folders import printable
from facereel.store.library.catalogue import Catalogue
from facereel.store.model.config import Config
from facereel.store.model.errors import EngineError, FaceReelError, VideoError

# From a server that has imported everything a new worker starts in 20 ms instead of 1 s. Elsewhere forking is not
# safe once frameworks of the system are loaded.
_CONTEXT: Any = multiprocessing.get_context("forkserver" if sys.platform == "linux" else "spawn")
_PRELOAD = [
    "facereel.indexer.jobs.local",
    "facereel.indexer.pipeline",
    "facereel.indexer.engines.opencv_zoo",
    "sqlite_utils",
    "faiss",
]
# Else glibc keeps the pictures of each thread in a heap of its own long after they were let go: a quarter more memory.
_MALLOC = {"MALLOC_ARENA_MAX": "2", "MALLOC_MMAP_THRESHOLD_": str(2 << 20)}
# Reading a whole file for its hash is the longest that a worker is silent: 300 GB at 100 MB/s.
STALLED = 3600.0  # seconds without a word after which a worker is given up
_TELL_EVERY = 0.1  # seconds
# What a worker takes at most, bytes: 700 MiB at 1080p, and room.
WORKER_MEMORY = 1 << 30

Load = Callable[[], FaceEngine]


@dataclass(frozen=True, slots=True)
class Task:
    """What a worker is told to do."""

    store: Path
    config: Config
    force: bool


@dataclass(slots=True, eq=False)
class _Worker:
    process: BaseProcess
    line: Any  # a Connection
    path: Path | None = None  # what it is at; None before it has loaded its engine
    heard: float = 0.0  # when it last said something, seconds of the monotonic clock
    given_up: bool = False


def index_many(paths: Sequence[Path], load: Load, task: Task, jobs: int = 1) -> Generator[Event, None, None]:
    """Index videos, up to `jobs` at once; gives events as they happen, the last of a video is Indexed or Failed.

    `load` makes the engine inside a worker; it must be picklable. Raises EngineError when it cannot. Closing the
    generator ends the workers.
    """
    Catalogue(task.store).clean()
    todo = list(reversed(paths))
    with _workers(load, min(jobs, len(paths))) as workers:
        while workers:
            for worker in _poll(workers):
                path = worker.path
                kind, content = _next_word(worker)
                if kind == "progress":
                    yield Progress(_at(path), *content)
                elif kind == "note":
                    yield Note(_at(path), content)
                else:
                    if path is not None:
                        yield content
                    if _go_on(worker, kind, todo, workers, load, task):
                        yield Started(_at(worker.path), len(paths) - len(todo), len(paths))


def max_jobs(asked: int) -> int:
    """As many as were asked for, but no more than processors and free memory carry."""
    return max(1, min(asked, cores(), free_memory() // WORKER_MEMORY))


@contextmanager
def _workers(load: Load, count: int) -> Iterator[list[_Worker]]:
    """Workers that are gone, with what they had begun, when the block ends for whatever reason."""
    workers: list[_Worker] = []
    try:
        workers.extend(_spawn(load) for _ in range(count))
        yield workers
    finally:
        for worker in workers:
            worker.line.close()
            worker.process.kill()
        for worker in workers:
            worker.process.join()


def _spawn(load: Load) -> _Worker:
    if sys.platform == "linux":
        _CONTEXT.set_forkserver_preload(_PRELOAD)
        for name, value in _MALLOC.items():
            os.environ.setdefault(name, value)
    ours, theirs = _CONTEXT.Pipe()
    # Engines that were added to the known ones go along: a new process would not know them.
    process = _CONTEXT.Process(target=_work, args=(theirs, load, dict(LOADERS)), daemon=True)
    process.start()
    theirs.close()
    return _Worker(process, ours, heard=time.monotonic())


def _poll(workers: list[_Worker]) -> list[_Worker]:
    """Workers that have said something, died, or been silent for too long."""
    by_line: dict[Any, _Worker] = {worker.line: worker for worker in workers}
    spoken = [by_line[line] for line in wait(list(by_line), timeout=1.0)]
    now = time.monotonic()
    for worker in workers:
        if worker in spoken:
            worker.heard = now
        elif now - worker.heard > STALLED:
            worker.given_up = True
            worker.process.kill()
    return spoken


def _next_word(worker: _Worker) -> tuple[str, Any]:
    """Kind and content of what a worker said, `died` if it can say nothing more; raises its EngineError."""
    try:
        kind, content = worker.line.recv()
    except (EOFError, OSError):
        worker.process.join()
        return "died", _death(worker)
    if kind == "engine":
        raise content
    return str(kind), content


def _death(worker: _Worker) -> Failed:
    code = worker.process.exitcode or 0
    how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
    if worker.path is None:
        raise EngineError(f"the engine crashed while it was loaded ({how}); install its packages again")
    if code == -signal.SIGKILL and not worker.given_up:
        return Failed(
            worker.path,
            VideoError(
                f"{printable(worker.path)}: its process was killed ({how}), perhaps for want of memory; "
                "index it again, without --jobs"
            ),
        )
    what = f"no progress for {STALLED:.0f} s" if worker.given_up else f"the decoder crashed ({how})"
    return Failed(
        worker.path,
        VideoError(f"{printable(worker.path)}: {what}; the file is damaged or hostile, convert it anew"),
    )


def _go_on(
    worker: _Worker, kind: str, todo: list[Path], workers: list[_Worker], load: Load, task: Task
) -> bool:
    """Give a worker its next video, or its place to another one if it died; end it when nothing is left.

    Says whether it has begun with a video.
    """
    if not todo:
        worker.line.close()
        workers.remove(worker)
        worker.process.join()
    elif kind == "died":
        workers[workers.index(worker)] = _spawn(load)
    else:
        worker.path = todo.pop()
        worker.line.send((worker.path, task))
        return True
    return False


def _at(path: Path | None) -> Path:
    assert path is not None, "a worker told of a video before it had one"
    return path


def _work(line: Connection, load: Load, loaders: dict[str, Any]) -> None:
    """What a worker does, in its own process, until nobody listens any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the business of who hired it
    threading.Thread(target=_end_with_parent, daemon=True).start()
    limit_memory(free_memory())
    LOADERS.update(loaders)
    try:
        engine = load()
    except FaceReelError as error:
        line.send(("engine", error))
        return
    line.send(("ready", None))
    with suppress(EOFError, OSError):
        while True:
            path, task = line.recv()
            line.send(("done", _indexed(path, engine, task, line)))


def _indexed(path: Path, engine: FaceEngine, task: Task, line: Connection) -> Indexed | Failed:
    told = 0.0

    def progress(done: int, total: int) -> None:
        nonlocal told
        if time.monotonic() - told >= _TELL_EVERY:
            told = time.monotonic()
            line.send(("progress", (done, total)))

    try:
        return index_one(
            path,
            task.store,
            engine,
            task.config,
            progress,
            task.force,
            lambda text: line.send(("note", text)),
        )
    except FaceReelError as error:
        return Failed(path, error, traceback.format_exc())
    except MemoryError:
        return Failed(
            path, VideoError(f"{printable(path)}: not enough memory; index it alone, or scale it down")
        )
    except BrokenPipeError:
        raise
    except Exception as error:
        said = f"{type(error).__name__}: {' '.join(str(error).split())}"
        return Failed(
            path,
            VideoError(f"{printable(path)} could not be indexed ({said}); --debug shows where"),
            traceback.format_exc(),
        )


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
