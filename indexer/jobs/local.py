"""Runs jobs in worker processes on this machine: a file that crashes its decoder ends one worker only.

A worker loads the engine once and then takes one video after another. One that dies or hangs is replaced, and its
video is named. Only events come back: frozen records and one-line errors.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
import traceback
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from facereel.indexer.jobs.events import (
    Arriving,
    BeingIndexed,
    Event,
    Failed,
    Indexed,
    Job,
    Note,
    Outcome,
    PartJob,
    PartRead,
    Progress,
    ScratchJob,
    Source,
    Started,
    nothing_arrives,
)
from facereel.indexer.jobs.scratch import clean_scratch
from facereel.indexer.machine import (
    collect_garbage_rarely,
    cores,
    free_memory,
    limit_memory,
    return_freed_memory,
)
from facereel.store.files.names import printable
from facereel.store.model.errors import (
    EngineError,
    FaceReelError,
    InternalError,
    UnwritableError,
    VideoError,
)

if TYPE_CHECKING:
    from facereel.indexer.engines.devices import Compute
    from facereel.indexer.engines.protocol import FaceEngine
    from facereel.indexer.jobs.team import PartPool

# A server process that has imported everything starts a worker in 20 ms instead of 1 s. On other systems forking is
# not safe once their frameworks are loaded.
_CONTEXT: Any = multiprocessing.get_context("forkserver" if sys.platform == "linux" else "spawn")
_PRELOAD = [
    "facereel.indexer.jobs.preload",  # first, because it says how NumPy is to be loaded
    "facereel.indexer.jobs.local",
    "facereel.indexer.jobs.job",
    "facereel.indexer.pipeline",
    "facereel.indexer.engines.opencv_zoo",
    "facereel.indexer.shots.adaptive",
    "faiss",
    "filelock",
]
# A worker is silent longest while it clusters and writes the index of a long video; hours of video take minutes.
STALL_SECONDS = 3600.0  # without a message from a worker, after which it is killed
START_ATTEMPTS = 3  # failed starts of workers in a row, after which no more are tried while others work
EXIT_SECONDS = 10.0  # for all workers to end by themselves, after which they are killed
PART_ATTEMPTS = 2  # of a part whose worker died; then the worker that indexes the video reads it itself
REUSED_FOR = 10  # videos that a worker on another machine indexes before a fresh one takes its place
_PROGRESS_SECONDS = 0.1  # between two Progress events of a worker
# What a worker takes at most, bytes: less than 520 MiB at 1080p, and room for larger pictures. That is one process: the
# whole command also has the command line and, on Linux, the server that starts workers.
WORKER_MEMORY = 1 << 30

_POLL_SECONDS = 0.5  # between two looks at parts that other machines read
_SomeEvent = TypeVar("_SomeEvent", bound="Event | PartRead")

Load: TypeAlias = Callable[[], "FaceEngine"]


@dataclass(frozen=True, slots=True)
class _Ready:
    """A worker has loaded its engine and can begin."""


@dataclass(frozen=True, slots=True)
class _NotReady:
    """A worker cannot load its engine and ends."""

    error: FaceReelError


@dataclass(frozen=True, slots=True)
class _IdleQuestion:
    """A worker with a long video wants to know how many workers have nothing to do."""


@dataclass(frozen=True, slots=True)
class _Idle:
    """So many, which wait for parts of that video."""

    count: int


@dataclass(frozen=True, slots=True)
class _Offer:
    """Parts of a video for those that wait."""

    jobs: tuple[PartJob, ...]


@dataclass(frozen=True, slots=True)
class _NeedsPart:
    """A worker with a long video can do nothing until one more part is read."""

    number: int  # of the part among those that are read or given up, from 1


_OfBatch: TypeAlias = _Ready | _NotReady | _IdleQuestion | _Offer | PartRead | Event
_Message: TypeAlias = _OfBatch | _NeedsPart


@dataclass(frozen=True, slots=True)
class LocalRunner:
    """The Runner of this machine: up to `workers` videos at once."""

    load: Load  # makes the engine inside a worker; must be picklable
    workers: int = 1

    def run(self, jobs: Sequence[Job], arriving: Arriving = nothing_arrives) -> Generator[Event, None, None]:
        """As Runner.run. Leftovers of dead processes in the stores and on the disk are cleared first."""
        prepare()
        clean_scratch()
        from facereel.store.library.catalogue import Catalogue

        catalogues = [Catalogue(store) for store in {job.store for job in jobs}]
        for catalogue in catalogues:
            catalogue.clean()
            # Once a batch, so that no job lists the store: videos that are indexed are then found by their paths.
            catalogue.refresh()
        yield from with_second_try(jobs, arriving, self._run)
        for catalogue in catalogues:
            catalogue.refresh()  # indexes that were replaced under another name

    def _run(self, jobs: Sequence[Job], arriving: Arriving) -> Generator[Event, None, None]:
        batch = _Batch(jobs, arriving, self.load, self.workers)
        try:
            yield from batch.events()
        finally:
            batch.close()


def with_second_try(
    jobs: Sequence[Job], arriving: Arriving,
    run: Callable[[Sequence[Job], Arriving], Generator[Event, None, None]],
) -> Generator[Event, None, None]:  # fmt: skip
    """Run jobs, and after all of them once more those that another process had in work: it may have ended since."""
    every, in_use = [*jobs], set[Source]()

    def noting() -> Sequence[Job]:
        arrived = arriving()
        every.extend(arrived)
        return arrived

    with closing(run(jobs, noting)) as events:
        for event in events:
            if isinstance(event, BeingIndexed):
                in_use.add(event.video)
            yield event
    if in_use:
        yield from run([job for job in every if job.video in in_use], arriving)


def prepare() -> None:
    """Begin to import what workers need, in the background where the system allows it; may be called again."""
    if sys.platform == "linux":
        from multiprocessing import forkserver

        _CONTEXT.set_forkserver_preload(_PRELOAD)
        forkserver.ensure_running()


def max_jobs(wanted: int) -> int:
    """As many workers as are wanted, but no more than cores and free memory allow; at least 1."""
    return max(1, min(wanted, cores(), free_memory() // WORKER_MEMORY))


def usual_jobs(videos: int, compute: Compute) -> int:
    """How many workers index so many videos unless the user says: one a core, in half of the free memory.

    Processes of one thread each do more than one process with all threads, of which Python runs one at a time. A
    graphics card is left to one: each has models and memory of its own there.
    """
    if compute.may_use_card:
        return 1
    return max(1, min(videos, compute.allowed, free_memory() // (2 * WORKER_MEMORY)))


@dataclass(slots=True, eq=False)
class _Worker:
    """The caller's side of a worker process."""

    process: BaseProcess
    connection: Connection[Any, Any]
    last_message: float  # seconds of the monotonic clock
    job: Job | ScratchJob | PartJob | None = None  # None while it loads its engine
    stalled: bool = False
    reserved: int = 0  # workers that are kept free for parts of its video
    parts_needed: int = 0  # of its video, before it can go on
    parts_sent: int = 0  # that are read, or cannot be

    @property
    def waits_for_part(self) -> bool:
        """Whether it can do nothing until another worker has read a part, which is watched by itself."""
        return self.parts_needed > self.parts_sent

    def begin(self, job: Job | ScratchJob | PartJob | None) -> None:
        """It has a job now, or none."""
        self.job = job
        self.reserved = self.parts_needed = self.parts_sent = 0

    def receive(self) -> _Message | None:
        """Its next message; None once it has died."""
        try:
            message: _Message = self.connection.recv()
        except (EOFError, OSError):
            _end([self.process], EXIT_SECONDS)
            return None
        self.last_message = time.monotonic()
        if isinstance(message, _NeedsPart):
            self.parts_needed = message.number
        return message

    def send_part(self, read: PartRead) -> None:
        """Tell it of a part of its video; from now on it is not to be silent for long again."""
        self.parts_sent += 1
        self.last_message = time.monotonic()
        self.send(read)

    def send(self, message: Job | PartJob | _Idle | PartRead) -> bool:
        """Say something to it; returns whether it was there to take it, as one that has died is not."""
        try:
            self.connection.send(message)
        except OSError:
            return False
        return True

    def kill_if_stalled(self) -> None:
        """Kill it when it has been silent for too long; one that waits for a part may be, as its reader is not."""
        if not self.waits_for_part and time.monotonic() - self.last_message > STALL_SECONDS:
            self.stalled = True
            self.process.kill()


@dataclass(slots=True)
class _VideoProgress:
    """How far a video is of which several workers read parts."""

    video: Source
    done: int = 0  # frames that its own worker has read, or taken from others
    total: int = 0
    parts: dict[int, int] = field(default_factory=dict)  # frames that were read of each part, by its start
    _shown: int = 0

    def with_parts(self, event: _SomeEvent) -> _SomeEvent | Progress:
        """An event of the video's own worker; with its progress that of the parts."""
        if not isinstance(event, Progress) or event.stage != "indexing":
            return event
        self.done, self.total = event.done, event.total
        return self.event()

    def event(self) -> Progress:
        """What is read so far; never less than before."""
        ahead = sum(done for start, done in self.parts.items() if start > self.done)
        self._shown = min(max(self._shown, self.done + ahead), max(self.total, self.done))
        return Progress(self.video, "indexing", self._shown, self.total)


class ReusedWorker:
    """A worker process that does jobs one after another; a fresh one after ten of them, and after any fault."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._worker: _Worker | None = None
        self._done = 0  # jobs of this worker

    def run(
        self, job: ScratchJob | PartJob, pool: PartPool
    ) -> Generator[Progress | Note | Indexed | Failed | PartRead, None, None]:
        """Yield Progress and Note, and last Indexed, PartRead or Failed; raises what loading the engine raises.

        A `pool` reads parts of a long video. Closing the generator before its end stops the worker.
        """
        worker = self._ready()
        self._worker = None  # until the job has ended well
        progress = _VideoProgress(job.video)
        try:
            worker.begin(job)
            worker.connection.send(job)
            while True:
                for event in pool.events():
                    if isinstance(event, PartRead):
                        worker.send_part(event)
                    else:
                        progress.parts[event.start] = event.done
                        yield progress.event()
                if not worker.connection.poll(_POLL_SECONDS):
                    worker.kill_if_stalled()
                    if worker.waits_for_part:  # says that this machine is not the one that is silent
                        yield progress.event()
                    continue
                message = worker.receive()
                if message is None:
                    yield Failed(job.video, _death_at_work(worker, job.video), by_machine=True)
                    return
                if isinstance(message, _IdleQuestion | _Offer | _NeedsPart):
                    _ask(pool, worker, message)
                    continue
                assert isinstance(message, Progress | Note | Indexed | Failed | PartRead)
                if isinstance(message, Indexed | PartRead):
                    self._worker, self._done = worker, self._done + 1
                yield progress.with_parts(message)
                if isinstance(message, Indexed | Failed | PartRead):
                    return
        finally:
            if self._worker is None:
                _kill(worker)

    def close(self) -> None:
        """End the worker process."""
        if self._worker is not None:
            _kill(self._worker)
            self._worker = None

    def _ready(self) -> _Worker:
        """The worker that has loaded its engine, or a fresh one."""
        if self._worker is not None and self._done < REUSED_FOR:
            return self._worker
        self.close()
        prepare()
        worker, self._done = _spawn(self._load), 0
        message = _next_message(worker)
        if isinstance(message, _Ready):
            self._worker = worker
            return worker
        _kill(worker)
        raise message.error if isinstance(message, _NotReady) else _death_at_start(worker)


def _ask(pool: PartPool, worker: _Worker, message: _IdleQuestion | _Offer | _NeedsPart) -> None:
    """Pass on what a worker asks of those who read parts for it."""
    if isinstance(message, _IdleQuestion):
        worker.send(_Idle(pool.idle()))
    elif isinstance(message, _Offer):
        for part in message.jobs:
            pool.submit(part)


def _next_message(worker: _Worker) -> _Message | None:
    """What a worker says next; None once it has died, or was killed because it was silent for too long."""
    while not worker.connection.poll(1.0):
        worker.kill_if_stalled()
    return worker.receive()


def _kill(worker: _Worker) -> None:
    worker.connection.close()
    worker.process.kill()
    _end([worker.process], EXIT_SECONDS)


class _Batch:
    """Jobs that wait, and the workers that do them."""

    def __init__(self, jobs: Sequence[Job], arriving: Arriving, load: Load, workers: int) -> None:
        self._jobs, self._total = deque(jobs), len(jobs)
        self._arriving = arriving
        self._load, self._max_workers = load, workers
        self._workers: list[_Worker] = []
        self._leaving: list[BaseProcess] = []  # workers without work, which end by themselves
        self._parts: deque[PartJob] = deque()
        self._split = False  # has any video been read in parts?
        self._deaths: Counter[Path] = Counter()  # of workers, by the file of the part that they read
        self._progress: dict[Source, _VideoProgress] = {}
        self._ever_ready = False
        self._failed_starts = 0  # since a worker was ready last
        self._start_error: FaceReelError | None = None  # of the last one

    def events(self) -> Generator[Event, None, None]:
        """Do all jobs; raises EngineError when no worker can load the engine."""
        self._add_workers()
        while self._workers:
            self._take_up_arrivals()
            for worker, message in self._messages():
                if message is None or isinstance(message, _NotReady):
                    yield from self._replace(worker, message.error if message else None)
                    continue
                if isinstance(message, _Ready):
                    self._ever_ready, self._failed_starts = True, 0
                elif isinstance(message, _IdleQuestion):
                    worker.reserved = self._idle()
                    worker.send(_Idle(worker.reserved))
                elif isinstance(message, _Offer):
                    worker.reserved = 0
                    self._split = True
                    self._parts += message.jobs
                    self._add_workers()
                elif isinstance(message, PartRead):
                    assert isinstance(worker.job, PartJob)
                    self._tell_lead(worker.job.video, message)
                elif isinstance(worker.job, PartJob):
                    yield from self._of_part(worker.job, message)
                else:
                    if isinstance(message, Outcome):
                        self._give_up_parts(message.video)
                    yield self._progress_of(message.video).with_parts(message)
                if isinstance(message, _Ready | Outcome | PartRead):
                    yield from self._next_job(worker)

    def close(self) -> None:
        """End all workers, those that are at work at once."""
        for worker in self._workers:
            worker.connection.close()
            worker.process.kill()
        _end([*(worker.process for worker in self._workers), *self._leaving], EXIT_SECONDS)
        if self._split:
            clean_scratch()  # a worker that was killed leaves rows of its parts

    def _take_up_arrivals(self) -> None:
        arrived = self._arriving()
        self._jobs += arrived
        self._total += len(arrived)
        if arrived:
            self._add_workers()

    def _messages(self) -> Iterator[tuple[_Worker, _OfBatch | None]]:
        """The next message of each worker that has sent one, None of one that has died; waits a second at most."""
        for worker in self._poll():
            if worker not in self._workers:
                continue  # its video has ended since, as that of a part may
            message = worker.receive()
            if not isinstance(message, _NeedsPart):
                yield worker, message

    def _poll(self) -> list[_Worker]:
        """Workers that have sent a message or died; waits a second at most."""
        by_connection: dict[Any, _Worker] = {worker.connection: worker for worker in self._workers}
        ready = [by_connection[connection] for connection in wait(list(by_connection), timeout=1.0)]
        for worker in self._workers:
            if worker not in ready:
                worker.kill_if_stalled()
        return ready

    def _next_job(self, worker: _Worker) -> Generator[Event, None, None]:
        """Give a worker its next job, or let it go when none is left."""
        worker.begin(None)
        if self._parts:
            if worker.send(self._parts[0]):
                worker.begin(self._parts.popleft())
            return
        if not self._jobs:
            self._let_go(worker)
            return
        if not worker.send(self._jobs[0]):
            return  # it has died between two jobs; the next poll finds it, and another worker takes the job
        job = self._jobs.popleft()
        worker.begin(job)
        yield self._started(job)
        self._add_workers()

    def _replace(self, worker: _Worker, error: FaceReelError | None) -> Generator[Event, None, None]:
        """Name the video of a worker that died, or count its failed start, and start another worker.

        When starts keep failing, the workers that are left do the jobs; when none is left, each further start costs
        one video, so that the batch ends.
        """
        self._let_go(worker)
        if isinstance(worker.job, PartJob):
            self._part_died(worker.job, worker)
        elif worker.job is not None:
            self._give_up_parts(worker.job.video)
            yield Failed(worker.job.video, _death_at_work(worker, worker.job.video), by_machine=True)
        else:
            error = error or _death_at_start(worker)
            if not self._ever_ready:
                if not self._workers:
                    raise error
                return  # another one may still load its engine
            self._failed_starts, self._start_error = self._failed_starts + 1, error
            if self._failed_starts >= START_ATTEMPTS and self._jobs and not self._workers:
                job = self._jobs.popleft()
                yield self._started(job)
                yield Failed(job.video, _not_started(job.video, error))
        self._add_workers()

    def _add_workers(self) -> None:
        """Start workers until there are as many as allowed, or one for each job and part that waits."""
        if self._failed_starts >= START_ATTEMPTS and self._workers:
            while self._parts:  # for which the workers of their videos would wait in vain
                part = self._parts.popleft()
                reason = f"no worker for it starts: {self._start_error}"
                self._tell_lead(part.video, PartRead(part.part.start, reason))
            return
        loading = sum(worker.job is None for worker in self._workers)
        waiting = len(self._jobs) + len(self._parts)
        wanted = min(self._max_workers - len(self._workers), waiting - loading)
        self._workers += [_spawn(self._load) for _ in range(wanted)]

    def _started(self, job: Job) -> Started:
        return Started(job.video, self._total - len(self._jobs), self._total)

    def _idle(self) -> int:
        """How many workers, running or not, have nothing to do and are not kept free: whole videos come first."""
        if self._jobs or self._failed_starts >= START_ATTEMPTS:
            return 0
        busy = sum((worker.job is not None) + worker.reserved for worker in self._workers)
        return max(0, self._max_workers - busy - len(self._parts))

    def _of_part(self, job: PartJob, event: Event) -> Generator[Event, None, None]:
        """What the reader of a part says: how far it is goes into the progress of the video."""
        if isinstance(event, Progress) and self._lead(job.video) is not None:
            progress = self._progress_of(job.video)
            progress.parts[job.part.start] = event.done
            yield progress.event()

    def _progress_of(self, video: Source) -> _VideoProgress:
        return self._progress.setdefault(video, _VideoProgress(video))

    def _part_died(self, job: PartJob, worker: _Worker) -> None:
        """Try a part once more whose worker died, or leave it to the worker of its video, as one that hung for long."""
        self._deaths[job.file] += 1
        if self._deaths[job.file] < PART_ATTEMPTS and not worker.stalled:
            job.file.unlink(missing_ok=True)
            self._parts.append(job)
        else:
            self._tell_lead(job.video, PartRead(job.part.start, str(_death_at_work(worker, job.video))))

    def _give_up_parts(self, video: Source) -> None:
        """Stop who works on parts of a video that is over."""
        self._parts = deque(part for part in self._parts if part.video != video)
        for worker in [
            one for one in self._workers if isinstance(one.job, PartJob) and one.job.video == video
        ]:
            worker.process.kill()
            self._let_go(worker)

    def _tell_lead(self, video: Source, read: PartRead) -> None:
        if lead := self._lead(video):
            lead.send_part(read)

    def _lead(self, video: Source) -> _Worker | None:
        """The worker that indexes a video."""
        jobs = ((worker, worker.job) for worker in self._workers)
        return next((worker for worker, job in jobs if isinstance(job, Job) and job.video == video), None)

    def _let_go(self, worker: _Worker) -> None:
        worker.connection.close()
        self._workers.remove(worker)
        self._leaving.append(worker.process)


def _spawn(load: Load) -> _Worker:
    from facereel.indexer.engines.registry import LOADERS

    ours, theirs = _CONTEXT.Pipe()
    # Engines that were added to LOADERS go along: a new process would not know them.
    process = _CONTEXT.Process(target=_worker_main, args=(theirs, load, dict(LOADERS)), daemon=True)
    process.start()
    theirs.close()
    return _Worker(process, ours, time.monotonic())


def _end(processes: Iterable[BaseProcess], seconds: float) -> None:
    """Wait for processes to end, for so long in all; then kill those that have not."""
    deadline = time.monotonic() + seconds
    for process in processes:
        process.join(max(0.0, deadline - time.monotonic()))
        if process.is_alive():
            process.kill()
            process.join(1.0)  # one that waits for a dead disk does not end even so


def _exit(worker: _Worker) -> str:
    code = worker.process.exitcode or 0
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"


def _death_at_work(worker: _Worker, video: Source) -> VideoError:
    if worker.stalled:
        return VideoError(
            f"{printable(video)}: no progress for {STALL_SECONDS:.0f} s; the file may be damaged or made to do harm, "
            "convert it and index the copy"
        )
    if worker.process.exitcode == -signal.SIGKILL:
        return VideoError(
            f"{printable(video)}: its process was killed (SIGKILL), perhaps for lack of memory; "
            "index it again, without --jobs"
        )
    return VideoError(
        f"{printable(video)}: the decoder crashed ({_exit(worker)}); the file may be damaged or made to do harm, "
        "convert it and index the copy"
    )


def _death_at_start(worker: _Worker) -> EngineError:
    if worker.stalled:
        return EngineError(f"the engine was not loaded within {STALL_SECONDS:.0f} s; try --device cpu")
    return EngineError(f"the engine crashed while loading ({_exit(worker)}); install its packages again")


def _not_started(video: Source, error: FaceReelError) -> EngineError:
    return EngineError(f"{printable(video)} was not indexed: {error}; then index it again")


def _worker_main(connection: Connection[Any, Any], load: Load, loaders: dict[str, Any]) -> None:
    """What a worker does in its own process, until the caller's end of the connection is closed."""
    from facereel.indexer.engines.registry import LOADERS

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # after Ctrl-C the caller ends it
    threading.Thread(target=_end_with_parent, daemon=True).start()
    return_freed_memory()
    limit_memory(free_memory())
    _use_one_thread_for_a_picture()
    LOADERS.update(loaders)
    with suppress(EOFError, OSError):
        try:
            engine = load()
            engine.finish_loading()
            collect_garbage_rarely()
        except Exception as error:
            connection.send(_NotReady(_as_engine_error(error)))
            return
        connection.send(_Ready())
        while True:
            job: Job | ScratchJob | PartJob | PartRead = connection.recv()
            if not isinstance(job, PartRead):  # of a video that ended without it
                connection.send(_result(job, engine, connection))


def _use_one_thread_for_a_picture() -> None:
    """Several pictures are worked on at once, each by a thread; OpenCV's own threads would wait for work, and spin."""
    import cv2  # here, because a process that only hands out jobs does not need it

    cv2.setNumThreads(1)


class _Line:
    """A worker's way to ask for the help of idle ones."""

    def __init__(self, connection: Connection[Any, Any]) -> None:
        self._connection = connection
        self._read: deque[PartRead] = deque()  # that came while it waited for something else
        self._taken = 0

    def idle(self) -> int:
        """As Line."""
        self._connection.send(_IdleQuestion())
        while not isinstance(answer := self._connection.recv(), _Idle):
            self._read.append(answer)
        return answer.count

    def offer(self, jobs: Sequence[PartJob]) -> None:
        """As Line."""
        self._connection.send(_Offer(tuple(jobs)))

    def next_part(self) -> PartRead:
        """As Line."""
        self._taken += 1
        if self._read:
            return self._read.popleft()
        self._connection.send(_NeedsPart(self._taken))
        read: PartRead = self._connection.recv()
        return read


def _result(
    job: Job | ScratchJob | PartJob, engine: FaceEngine, connection: Connection[Any, Any]
) -> Outcome | PartRead:
    from facereel.indexer.jobs.job import VideoInUse, run_job, run_scratch_job

    last_progress = 0.0

    def report(event: Progress | Note) -> None:
        nonlocal last_progress
        if isinstance(event, Progress):
            if time.monotonic() - last_progress < _PROGRESS_SECONDS:
                return
            last_progress = time.monotonic()
        connection.send(event)

    if isinstance(job, PartJob):
        return _part_result(job, engine, report)
    try:
        if isinstance(job, ScratchJob):
            return run_scratch_job(job, engine, report, _Line(connection))
        return run_job(job, engine, report, _Line(connection))
    except VideoInUse:
        return BeingIndexed(job.video)
    except FaceReelError as error:
        by_machine = isinstance(error, UnwritableError | EngineError)
        return Failed(job.video, error, traceback.format_exc(), by_machine)
    except MemoryError:
        full = VideoError(f"{printable(job.video)}: not enough memory; index it alone, or scale it down")
        return Failed(job.video, full, traceback.format_exc(), by_machine=True)
    except BrokenPipeError:
        raise  # the caller is gone
    except Exception as error:
        return Failed(job.video, _as_internal_error(job.video, error), traceback.format_exc())


def _part_result(job: PartJob, engine: FaceEngine, report: Callable[[Progress | Note], None]) -> PartRead:
    from facereel.indexer.jobs.job import run_part

    try:
        run_part(job, engine, report)
    except BrokenPipeError:
        raise  # the caller is gone
    except Exception as error:
        # Whatever it is, the worker that indexes the video meets it, too, or does better. On a full disk it needs room.
        with suppress(OSError):
            job.file.unlink(missing_ok=True)
        return PartRead(job.part.start, _one_line(error))
    return PartRead(job.part.start)


def _as_internal_error(video: Source, error: Exception) -> InternalError:
    return InternalError(
        f"{printable(video)} was not indexed because of a bug in FaceReel ({_one_line(error)}); "
        "run it again with --debug and report what it prints"
    )


def _as_engine_error(error: Exception) -> FaceReelError:
    if isinstance(error, FaceReelError):
        return error
    return EngineError(
        f"the engine could not be loaded ({_one_line(error)}); install its packages again, or use another --engine"
    )


def _one_line(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
