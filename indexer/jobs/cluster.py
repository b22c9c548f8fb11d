"""Runs jobs on a Ray cluster: a task a video, on whichever node has room for it, and one process that writes the store.

Ray decides where a task runs and notices nodes that die. What is decided here is only how often a video is tried, and
on which nodes no more. Ray is imported when a cluster is asked for.

While a node works on a video this process holds the lock of its content, as a worker of this machine does: nothing is
done twice, and who forgets or removes something sees that the video is in work.
"""

from __future__ import annotations

import signal
import socket
import threading
import time
import traceback
from collections import Counter, deque
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from facereel.indexer.engines.choice import EngineChoice
from facereel.indexer.engines.devices import Compute
from facereel.indexer.engines.protocol import FaceEngine, Threshold
from facereel.indexer.jobs import job as jobs_of_one
from facereel.indexer.jobs.events import (
    Arriving,
    BeingIndexed,
    Event,
    Failed,
    Indexed,
    Job,
    Note,
    Progress,
    Source,
    Started,
    nothing_arrives,
)
from facereel.indexer.jobs.local import WORKER_MEMORY, Load, with_second_try
from facereel.indexer.jobs.node import Complete, Content, Known, Message, Part
from facereel.indexer.jobs.nodes import SILENT_SECONDS, Began, as_task, packed, run_video
from facereel.indexer.jobs.staging import RemoteFile
from facereel.store.files.locks import OwnerLock, owner_of_video
from facereel.store.files.names import printable
from facereel.store.index.database import writing
from facereel.store.index.incoming import IncomingIndex
from facereel.store.library.catalogue import Catalogue
from facereel.store.model.errors import EngineError, FaceReelError, OptionError, VideoError
from facereel.store.model.records import EngineInfo
from facereel.store.model.urls import Url, is_url
from facereel.store.model.version import FACEREEL_VERSION

ATTEMPTS = 3  # of a video whose worker or node died, each on another node if there is one
CONNECT_SECONDS = 10.0  # for a cluster to answer
ROOM_SECONDS = 30.0  # without a task that begins, after which a note says why
_POLL_SECONDS = 1.0
_SPARE_TASKS = 8  # that wait in Ray beyond those that have room, so that no node waits for this process


@dataclass(frozen=True, slots=True)
class _EngineLoader:
    """Loads the engine of a run on a node; two that load the same are equal there, too."""

    choice: EngineChoice
    threshold: Threshold

    def __call__(self) -> FaceEngine:
        return self.choice.load_with(self.threshold)


@dataclass(frozen=True, slots=True)
class ClusterRunner:
    """The Runner of a Ray cluster. A video takes `choice.compute.threads` cores, and a graphics card with `cuda`."""

    address: str  # as ray.init has it: auto, or HOST:PORT
    choice: EngineChoice

    def run(self, jobs: Sequence[Job], arriving: Arriving = nothing_arrives) -> Generator[Event, None, None]:
        """As Runner.run; raises OptionError where there is no such cluster, and when it is lost."""
        with _connected(self.address) as ray:
            engine = self.choice.on_cpu().load()  # while Ray starts its workers
            load = _EngineLoader(self.choice, engine.threshold)
            task = _Task(self.choice.compute, load)

            def run(jobs: Sequence[Job], arriving: Arriving) -> Generator[Event, None, None]:
                batch = _Batch(ray, jobs, arriving, engine.info, task)
                try:
                    yield from batch.events()
                finally:
                    batch.close()

            try:
                yield from with_second_try(jobs, arriving, run)
            except ray.exceptions.RayError as error:
                raise OptionError(
                    f"--cluster {printable(self.address)}: the cluster does not answer any more "
                    f"({_first_line(error)}); run it again to go on with the rest"
                ) from error


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A job that is to be handed to Ray."""

    job: Job
    number: int = 1  # of the attempt
    failed_on: tuple[str, ...] = ()  # ids of nodes on which earlier attempts failed


@dataclass(slots=True, eq=False)
class _Attempt:
    """A job that Ray has, from its submission to its end."""

    waited: _Waiting
    stream: Any  # of references to messages
    node: str = ""  # id; empty until it begins
    last_message: float = field(default_factory=time.monotonic)
    content: str = ""  # SHA-256 of the video, once a node has read it
    lock: OwnerLock | None = None  # of that content
    incoming: IncomingIndex | None = None

    @property
    def job(self) -> Job:
        return self.waited.job


class _Task:
    """How a video is indexed on a node: what it takes there, and how it is submitted."""

    def __init__(self, compute: Compute, load: Load) -> None:
        self._load = load
        self.cores, self._gpus = compute.threads, int(compute.device == "cuda")
        self._remote = as_task(run_video, self.cores, self._gpus)

    def submit(self, job: Job, contents: Any, indexed_as: RemoteFile | None, failed_on: Sequence[str]) -> Any:
        """Hand a job to Ray, which prefers nodes on which it has not failed; gives the stream of its messages."""
        remote = self._remote
        if failed_on:
            from ray.util.scheduling_strategies import NodeLabelSchedulingStrategy, NotIn

            elsewhere = {"ray.io/node-id": NotIn(*failed_on)}
            remote = remote.options(scheduling_strategy=NodeLabelSchedulingStrategy(hard={}, soft=elsewhere))
        work = packed(self._load, job, indexed_as, self.cores, self._gpus)
        return remote.remote(FACEREEL_VERSION, work, contents)

    def needs(self) -> str:
        """What a node needs for one video."""
        cores = f"{self.cores} core{'s' if self.cores > 1 else ''}"
        return f"{cores}, {WORKER_MEMORY >> 30} GiB of memory" + ", a graphics card" * self._gpus


class _Batch:
    """Jobs that wait, and attempts that Ray has."""

    def __init__(
        self, ray: Any, jobs: Sequence[Job], arriving: Arriving, engine: EngineInfo, task: _Task
    ) -> None:
        self._ray, self._engine, self._task = ray, engine, task
        self._arriving = arriving
        self._waiting = deque(_Waiting(job) for job in jobs)
        self._in_use: list[tuple[_Waiting, str]] = []  # by another process, and the SHA-256 of their content
        self._next_look = 0.0  # at whether it still is
        self._cores, self._next_count = 0, 0.0  # of the cluster, and when they are counted again
        self._hosts: dict[str, str] = {}  # of nodes, by their ids
        self._attempts: dict[Any, _Attempt] = {}
        self._begun: set[Source] = set()
        self._total = len(jobs)
        self._catalogues = {store: Catalogue(store) for store in {job.store for job in jobs}}
        self._ever_loaded = False
        self._idle_since, self._room_note_sent = time.monotonic(), False

    def events(self) -> Generator[Event, None, None]:
        """Do all jobs; raises EngineError when no node can load the engine."""
        contents: dict[Path, Any] = {}
        urls: dict[Path, dict[str, RemoteFile]] = {}
        for store, catalogue in self._catalogues.items():
            catalogue.clean()
            catalogue.refresh()
            known = [stored.video for stored in catalogue.all()]
            contents[store] = self._ray.put(frozenset(video.sha256 for video in known))
            urls[store] = {v.path: RemoteFile(v.size, v.mtime_ns) for v in known if is_url(v.path)}
        while self._waiting or self._attempts or self._in_use:
            yield from self._take_up_released()
            arrived = self._arriving()
            self._waiting += map(_Waiting, arrived)
            self._total += len(arrived)
            most = self._most_attempts()
            while self._waiting and len(self._attempts) < most:
                waited = self._waiting.popleft()
                job = waited.job
                event = self._existing(job) if waited.number == 1 else None
                if event is not None:
                    yield from self._begin(job)
                    yield event
                    continue
                stream = self._task.submit(
                    _absolute(job), contents[job.store], urls[job.store].get(str(job.video)), waited.failed_on
                )
                self._attempts[stream] = _Attempt(waited, stream)
            for stream in self._ready():
                yield from self._receive(self._attempts[stream])
            yield from self._note_room()
        for catalogue in self._catalogues.values():
            catalogue.refresh()  # indexes that were replaced under another name

    def close(self) -> None:
        """Stop what is under way."""
        for attempt in list(self._attempts.values()):
            self._stop(attempt)

    def _stop(self, attempt: _Attempt) -> None:
        """An attempt is over, whatever its node still does."""
        with suppress(Exception):  # the cluster may be gone
            self._ray.cancel(attempt.stream, force=True)
        self._drop(attempt)

    def _ready(self) -> list[Any]:
        """All streams of tasks that have sent something or ended; waits a second at most for the first."""
        if not self._attempts:
            if self._in_use:
                time.sleep(_POLL_SECONDS)
            return []
        streams = list(self._attempts)
        wait = partial(self._ray.wait, streams, fetch_local=False)
        ready, _ = wait(num_returns=1, timeout=_POLL_SECONDS)
        if ready:
            ready, _ = wait(num_returns=len(streams), timeout=0)
        for stream in self._attempts.keys() - set(ready):  # what was sent and is not taken yet is no silence
            attempt = self._attempts[stream]
            if attempt.node and time.monotonic() - attempt.last_message > SILENT_SECONDS:
                self._ray.cancel(stream, force=True)
        return list(ready)

    def _receive(self, attempt: _Attempt) -> Generator[Event, None, None]:
        """Take one message of an attempt."""
        try:
            message: Message | Began = self._ray.get(next(attempt.stream))
        except StopIteration:  # only after an error, which has been dealt with
            message = Failed(attempt.job.video, VideoError("its task ended early"), by_machine=True)
        except self._ray.exceptions.RayError as error:
            message = Failed(attempt.job.video, _lost(error), traceback.format_exc(), by_machine=True)
        attempt.last_message = time.monotonic()
        job = attempt.job
        if isinstance(message, Began):
            attempt.node = message.node
            yield from self._begin(job, self._node_name(message.node))
        elif isinstance(message, Progress | Note):
            if isinstance(message, Progress) and message.stage == "indexing":
                self._ever_loaded = True
            yield replace(message, video=job.video)
        elif isinstance(message, Content):
            yield from self._claim(attempt, message.sha256)
        elif isinstance(message, Part):
            try:
                attempt.incoming = attempt.incoming or IncomingIndex(job.store)
                attempt.incoming.add(message.data)
            except FaceReelError as error:
                self._stop(attempt)
                yield Failed(job.video, error, traceback.format_exc())
        elif isinstance(message, Failed):
            yield from self._failed(attempt, replace(message, video=job.video))
        else:
            yield self._end(attempt, self._installed(attempt, message))

    def _end(self, attempt: _Attempt, event: Event) -> Event:
        """An attempt is over; gives the event that says so."""
        self._drop(attempt)
        return event

    def _drop(self, attempt: _Attempt) -> None:
        del self._attempts[attempt.stream]
        if attempt.incoming is not None:
            attempt.incoming.close()
        if attempt.lock is not None:
            attempt.lock.release()

    def _claim(self, attempt: _Attempt, content: str) -> Generator[Event, None, None]:
        """Take the lock of a video's content for as long as its node works; stop the node where there is no need to."""
        job = attempt.job
        try:
            lock = self._try_lock(job, content)
            if lock is not None:
                attempt.content, attempt.lock = content, lock
                # Another process may have indexed it since the nodes were given what there is.
                event = self._existing_content(job, content)
                if event is not None:
                    self._stop(attempt)
                yield event or Progress(job.video, "indexing", 0, 0)
                return
        except FaceReelError as error:
            self._stop(attempt)
            yield Failed(job.video, error, traceback.format_exc())
            return
        self._stop(attempt)
        if not job.wait:
            yield BeingIndexed(job.video)
            return
        self._in_use.append((attempt.waited, content))
        name = printable(job.video.name)
        yield Note(job.video, f"another process is indexing {name}; waiting for it")
        yield Progress(job.video, "waiting", 0, 0)

    def _take_up_released(self) -> Generator[Event, None, None]:
        """Go on with videos that another process had in work, and has no more."""
        if time.monotonic() < self._next_look:
            return
        self._next_look = time.monotonic() + _POLL_SECONDS
        still: list[tuple[_Waiting, str]] = []
        for waited, content in self._in_use:
            job = waited.job
            try:
                lock = self._try_lock(job, content)
                if lock is None:
                    still.append((waited, content))
                    continue
                lock.release()
                if event := self._existing_content(job, content):
                    yield event
                else:
                    self._waiting.append(waited)
            except FaceReelError as error:
                yield Failed(job.video, error, traceback.format_exc())
        self._in_use = still

    def _try_lock(self, job: Job, content: str) -> OwnerLock | None:
        """The lock of a content, taken; None while somebody else holds it. Raises UnwritableError."""
        with writing(job.store):
            lock = owner_of_video(job.store, content)
            return lock if lock.try_acquire() else None

    def _failed(self, attempt: _Attempt, failed: Failed) -> Generator[Event, None, None]:
        """Try a video elsewhere when the machine may be to blame, and name it after the last attempt."""
        video = attempt.job.video
        node = self._node_name(attempt.node) if attempt.node else "a node"
        waited = attempt.waited
        if failed.by_machine and waited.number < ATTEMPTS:
            yield self._end(
                attempt,
                Note(video, f"{node}, {printable(video.name)}: {failed.error}; trying it elsewhere"),
            )
            failed_on = (*waited.failed_on, attempt.node) if attempt.node else waited.failed_on
            self._waiting.append(_Waiting(waited.job, waited.number + 1, failed_on))
            return
        if isinstance(failed.error, EngineError) and not self._ever_loaded:
            raise failed.error
        if failed.by_machine:
            text = f"{printable(video)} failed {ATTEMPTS} times, last on {node}: {failed.error}"
            failed = replace(failed, error=type(failed.error)(text))
        yield from self._begin(attempt.job)
        yield self._end(attempt, failed)

    def _existing(self, job: Job) -> Indexed | Failed | None:
        """What becomes of a job whose video is indexed by its path; None if that is not known without reading it."""
        catalogue = self._catalogues[job.store]
        try:
            index = jobs_of_one.index_of_path(job, catalogue)
            return None if index is None else jobs_of_one.existing(job, self._engine, index, catalogue)
        except FaceReelError as error:
            return Failed(job.video, error, traceback.format_exc())

    def _existing_content(self, job: Job, content: str) -> Indexed | None:
        """What becomes of a job whose content is indexed; None if it is not. Raises what `existing` does."""
        catalogue = self._catalogues[job.store]
        index = jobs_of_one.index_of_content(job, catalogue, content)
        return None if index is None else jobs_of_one.existing(job, self._engine, index, catalogue)

    def _installed(self, attempt: _Attempt, end: Known | Complete) -> Indexed | Failed:
        """What became of a video that a node knew, or has indexed."""
        job, catalogue = attempt.job, self._catalogues[attempt.job.store]
        try:
            if isinstance(end, Known):
                index = catalogue.by_hash(end.sha256) if end.sha256 else catalogue.by_url(Url(str(job.video)))
                if index is None:
                    raise VideoError(
                        f"{printable(job.video)} was removed from the library meanwhile; index it again"
                    )
                return jobs_of_one.existing(job, self._engine, index, catalogue)
            assert attempt.incoming is not None
            video = attempt.incoming.video(end.sha256, attempt.content, self._engine)
            if isinstance(job.video, Url):
                folder = attempt.incoming.install(video, str(job.video), end.mtime_ns or 0)
            else:
                folder = attempt.incoming.install(video, str(job.video.resolve()), video.mtime_ns)
            catalogue.refresh([folder])
            return jobs_of_one.indexed(folder, job.video)
        except FaceReelError as error:
            named = type(error)(f"{printable(job.video)} from {self._node_name(attempt.node)}: {error}")
            return Failed(job.video, named, traceback.format_exc())

    def _begin(self, job: Job, node: str = "") -> Generator[Started, None, None]:
        """Say that a video begins, unless that was said of an earlier attempt."""
        if job.video not in self._begun:
            self._begun.add(job.video)
            yield Started(job.video, len(self._begun), self._total, node)

    def _most_attempts(self) -> int:
        """As many as have room now, and as many again, so that new nodes find work."""
        if time.monotonic() >= self._next_count:
            self._next_count = time.monotonic() + _POLL_SECONDS
            self._cores = int(self._ray.cluster_resources().get("CPU", 0))
        return 2 * (self._cores // self._task.cores) + _SPARE_TASKS

    def _note_room(self) -> Generator[Event, None, None]:
        """Say, once, that videos wait for long and none begins, and what a node would need."""
        if not self._attempts or any(attempt.node for attempt in self._attempts.values()):
            self._idle_since, self._room_note_sent = time.monotonic(), False
        elif not self._room_note_sent and time.monotonic() - self._idle_since > ROOM_SECONDS:
            self._room_note_sent = True
            attempt = next(iter(self._attempts.values()))
            yield Note(
                attempt.job.video,
                f"no node of the cluster has room now; a video takes {self._task.needs()}; waiting for one",
            )

    def _node_name(self, node: str) -> str:
        """The host of a node, with the start of its id where several nodes have one host."""
        if node not in self._hosts:
            self._hosts = {one["NodeID"]: one["NodeManagerHostname"] for one in self._ray.nodes()}
        host = self._hosts.get(node, "")
        return host if host and Counter(self._hosts.values())[host] == 1 else f"{host or 'node'}/{node[:6]}"


def _absolute(job: Job) -> Job:
    """A job for another process, whose current folder is another one."""
    return job if isinstance(job.video, Url) else replace(job, video=job.video.absolute())


def _lost(error: Exception) -> FaceReelError:
    """What became of a task whose worker or node is gone, or whose code raised what it should not."""
    lines = str(error).strip().splitlines() or [""]
    # A task's own exception comes with its traceback first; what Ray says of a lost one, the other way round.
    line = lines[-1] if isinstance(getattr(error, "cause", None), Exception) else lines[0]
    return VideoError(f"{type(error).__name__}, {printable(line[:200])}")


def _first_line(error: Exception) -> str:
    return printable(str(error).strip().partition("\n")[0][:200])


@contextmanager
def _connected(address: str) -> Iterator[Any]:
    """Ray, connected to a cluster; a connection that the program has already is used and stays."""
    try:
        import ray
    except ModuleNotFoundError as error:
        raise OptionError("--cluster needs Ray; run: pip install 'facereel[cluster]'") from error
    if address.startswith("ray://"):
        raise OptionError(
            f"--cluster {address}: a Ray client sees no messages of its tasks; run this on a machine of the cluster, "
            "with --cluster auto"
        )
    if ray.is_initialized():
        yield ray
        return
    with _same_signal_handler():
        try:
            _check_reachable(address)
            ray.init(address=address, log_to_driver=False, configure_logging=False)
        except (OSError, OverflowError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
            raise OptionError(
                f"--cluster {printable(address)}: no Ray cluster can be reached ({_first_line(error)}); "
                "start one: ray start --head"
            ) from error
    _print_nothing()
    try:
        yield ray
    finally:
        ray.shutdown()


def _check_reachable(address: str) -> None:
    """Raise OSError where nobody listens, which Ray would find out only after minutes."""
    host, _, port = address.rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_SECONDS).close()


@contextmanager
def _same_signal_handler() -> Iterator[None]:
    """Ray sets one for SIGTERM when it connects; whoever calls the API keeps theirs."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)


def _print_nothing() -> None:
    """Ray prints what nodes report, to stdout, and has no option against it; the same comes as exceptions of tasks."""
    with suppress(ImportError, AttributeError, KeyError):
        from ray._private.ray_logging import global_worker_stdstream_dispatcher

        global_worker_stdstream_dispatcher.remove_handler("ray_print_logs")
