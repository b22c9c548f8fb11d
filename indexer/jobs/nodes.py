"""What Ray runs on the nodes of a cluster: a video, and the parts of a long one on nodes that have nothing to do.

`cluster` hands out the videos, from the process that writes the store. Little is imported here, because each of Ray's
workers imports it before its first video.
"""

from __future__ import annotations

import pickle
import sys
import time
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from facereel.indexer.engines.registry import LOADERS
from facereel.indexer.jobs.events import Failed, PartJob, PartRead
from facereel.indexer.jobs.local import PART_ATTEMPTS, STALL_SECONDS, WORKER_MEMORY, Load, prepare
from facereel.indexer.jobs.node import Message, PartData, index_here, part_here
from facereel.indexer.jobs.team import PartProgress, end_file
from facereel.store.model.errors import EngineError
from facereel.store.model.version import FACEREEL_VERSION

# For a node to begin with a part that was free when it was asked; then the video goes on without.
BEGIN_SECONDS = 30.0
# A node notices a hanging worker process itself; this is for a node that hangs as a whole.
SILENT_SECONDS = STALL_SECONDS + 600.0


@dataclass(frozen=True, slots=True)
class Began:
    """A node has taken a video or a part up."""

    node: str  # id


@dataclass(slots=True, eq=False)
class _Attempt:
    """A part that Ray has."""

    job: PartJob
    number: int  # from 1
    last_message: float = field(default_factory=time.monotonic)  # from its submission on
    began: bool = False

    def fault(self) -> str:
        """Why it is to be given up now; empty if it is not."""
        silent = time.monotonic() - self.last_message
        if not self.began and silent > BEGIN_SECONDS:
            return "no node has room for it any more"
        return f"its node has said nothing for {SILENT_SECONDS:.0f} s" if silent > SILENT_SECONDS else ""


class IdleNodes:
    """A PartPool of Ray tasks, each of which takes what the task of a video takes."""

    def __init__(self, cores: int, gpus: int, load: Load) -> None:
        """Each part takes so many cores and graphics cards."""
        import ray

        self._ray: Any = ray
        self._cores, self._gpus, self._load = cores, gpus, load
        self._remote = as_task(_run_part, cores, gpus)
        self._attempts: dict[Any, _Attempt] = {}

    def idle(self) -> int:
        """As PartPool."""
        free = self._ray.available_resources()
        tasks = free.get("CPU", 0) // self._cores
        return int(min(tasks, free.get("GPU", 0) // self._gpus) if self._gpus else tasks)

    def submit(self, job: PartJob) -> None:
        """As PartPool."""
        self._submit(job, 1)

    def events(self) -> list[PartRead | PartProgress]:
        """As PartPool."""
        streams = list(self._attempts)
        if not streams:
            return []
        ready, _ = self._ray.wait(streams, num_returns=len(streams), timeout=0, fetch_local=False)
        events = [event for stream in ready if (event := self._receive(stream)) is not None]
        for stream, attempt in list(self._attempts.items()):
            if fault := attempt.fault():
                self._cancel(stream)
                events.append(PartRead(attempt.job.part.start, fault))
        return events

    def close(self) -> None:
        """As PartPool."""
        for stream in list(self._attempts):
            self._cancel(stream)

    def _submit(self, job: PartJob, number: int) -> None:
        stream = self._remote.remote(FACEREEL_VERSION, packed(self._load, job))
        self._attempts[stream] = _Attempt(job, number)

    def _cancel(self, stream: Any) -> None:
        self._ray.cancel(stream, force=True)
        del self._attempts[stream]

    def _receive(self, stream: Any) -> PartRead | PartProgress | None:
        """Take one message of an attempt."""
        attempt = self._attempts[stream]
        job = attempt.job
        try:
            message: Began | PartProgress | PartData | PartRead = self._ray.get(next(stream))
        except (StopIteration, self._ray.exceptions.RayError) as error:
            del self._attempts[stream]
            if attempt.number < PART_ATTEMPTS:
                for written in (job.file, end_file(job.file)):
                    written.unlink(missing_ok=True)
                self._submit(job, attempt.number + 1)
                return None
            return PartRead(job.part.start, f"{type(error).__name__} on its node")
        attempt.last_message = time.monotonic()
        if isinstance(message, Began):
            attempt.began = True
            return None
        if isinstance(message, PartData):
            with open(message.target(job.file), "ab") as file:
                file.write(message.data)
            return None
        if isinstance(message, PartRead):
            del self._attempts[stream]
        return message


def as_task(function: Callable[..., Any], cores: int, gpus: int) -> Any:
    """What Ray runs of ours, with what it takes of a node."""
    import ray

    # Without retries of Ray's own, which know no bound where memory runs out. A Ray worker stays for the next task also
    # where it uses a graphics card: what holds the card is a process of its own.
    return ray.remote(
        num_cpus=cores,
        num_gpus=gpus,
        memory=WORKER_MEMORY,
        max_retries=0,
        max_calls=0,
        num_returns="streaming",
    )(function)


def packed(load: Load, *arguments: object) -> bytes:
    """Work for a node: what loads the engine, what it is to do, and the engines that this process knows."""
    from ray import cloudpickle

    work: bytes = cloudpickle.dumps((load, dict(LOADERS), arguments))
    return work


def begin_on_node(version: str, work: bytes) -> tuple[Any, ...]:
    """Make this process, a worker of Ray, ready for the work of a driver of a version; gives what was `packed`.

    Work is pickled because it may be another version's records. Raises EngineError for another version.
    """
    if version != FACEREEL_VERSION:
        raise EngineError(
            f"FaceReel {FACEREEL_VERSION} is there and {version} here; install the same on every node"
        )
    load, loaders, arguments = pickle.loads(work)
    LOADERS.update(loaders)  # as a worker process of this machine gets them
    # Processes that this one starts would import its main module, which is Ray's, and with it all of Ray.
    vars(sys.modules["__main__"]).pop("__file__", None)
    prepare()  # while the video is copied or hashed
    return load, *arguments


def run_video(version: str, work: bytes, contents: frozenset[str]) -> Generator[Message | Began, None, None]:
    """What Ray runs on a node for a video."""
    import ray

    yield Began(ray.get_runtime_context().get_node_id())
    yield from index_video(version, work, contents)


def index_video(version: str, work: bytes, contents: frozenset[str]) -> Generator[Message, None, None]:
    """What a node does for a video after it has begun."""
    try:
        load, job, indexed_as, cores, gpus = begin_on_node(version, work)
    except EngineError as error:
        yield Failed(Path(), error, by_machine=True)
        return
    with closing(IdleNodes(cores, gpus, load)) as pool:
        yield from index_here(job, load, contents, indexed_as, pool)


def _run_part(version: str, work: bytes) -> Generator[Began | PartProgress | PartData | PartRead, None, None]:
    """What Ray runs on a node for a part."""
    import ray

    yield Began(ray.get_runtime_context().get_node_id())
    load, job = begin_on_node(version, work)
    yield from part_here(job, load)
