"""The idle nodes of a Ray cluster as readers of parts of one long video, for the task that indexes it."""

from __future__ import annotations

import pickle
import sys
import time
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any

from facereel.indexer.engines.registry import LOADERS
from facereel.indexer.jobs.events import PartJob, PartRead
from facereel.indexer.jobs.local import PART_ATTEMPTS, WORKER_MEMORY, Load
from facereel.indexer.jobs.node import PartData, part_here
from facereel.indexer.jobs.team import PartProgress, end_file
from facereel.store.model.errors import EngineError
from facereel.store.model.version import FACEREEL_VERSION

BEGIN_SECONDS = (
    30.0  # for a node to begin with a part that was free when it was asked; then the video goes on without
)


@dataclass(frozen=True, slots=True)
class _Began:
    """A node has taken a part up."""


@dataclass(slots=True, eq=False)
class _Attempt:
    """A part that Ray has."""

    job: PartJob
    number: int  # from 1
    submitted: float = field(default_factory=time.monotonic)
    began: bool = False


class IdleNodes:
    """A PartPool of Ray tasks, each of which takes what the task of a video takes."""

    def __init__(self, cores: int, gpus: int, load: Load) -> None:
        """Each part takes so many cores and graphics cards."""
        import ray

        self._ray: Any = ray
        self._cores, self._gpus, self._load = cores, gpus, load
        self._remote = ray.remote(
            num_cpus=cores,
            num_gpus=gpus,
            memory=WORKER_MEMORY,
            max_retries=0,
            max_calls=0,
            num_returns="streaming",
        )(_run_part)
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
            if not attempt.began and time.monotonic() - attempt.submitted > BEGIN_SECONDS:
                self._cancel(stream)
                events.append(PartRead(attempt.job.part.start, "no node has room for it any more"))
        return events

    def close(self) -> None:
        """As PartPool."""
        for stream in list(self._attempts):
            self._cancel(stream)

    def _submit(self, job: PartJob, number: int) -> None:
        stream = self._remote.remote(
            FACEREEL_VERSION, self._ray.cloudpickle.dumps((job, self._load, dict(LOADERS)))
        )
        self._attempts[stream] = _Attempt(job, number)

    def _cancel(self, stream: Any) -> None:
        self._ray.cancel(stream, force=True)
        del self._attempts[stream]

    def _receive(self, stream: Any) -> PartRead | PartProgress | None:
        """Take one message of an attempt."""
        attempt = self._attempts[stream]
        job = attempt.job
        try:
            message: _Began | PartProgress | PartData | PartRead = self._ray.get(next(stream))
        except (StopIteration, self._ray.exceptions.RayError) as error:
            del self._attempts[stream]
            if attempt.number < PART_ATTEMPTS:
                for written in (job.file, end_file(job.file)):
                    written.unlink(missing_ok=True)
                self._submit(job, attempt.number + 1)
                return None
            return PartRead(job.part.start, f"{type(error).__name__} on its node")
        if isinstance(message, _Began):
            attempt.began = True
            return None
        if isinstance(message, PartData):
            with open(message.target(job.file), "ab") as file:
                file.write(message.data)
            return None
        if isinstance(message, PartRead):
            del self._attempts[stream]
        return message


def _run_part(
    version: str, work: bytes
) -> Generator[_Began | PartProgress | PartData | PartRead, None, None]:
    """What Ray runs on a node."""
    yield _Began()
    if version != FACEREEL_VERSION:
        raise EngineError(f"FaceReel {FACEREEL_VERSION} is on one node and {version} on another")
    job, load, loaders = pickle.loads(work)
    LOADERS.update(loaders)
    vars(sys.modules["__main__"]).pop("__file__", None)  # as for a video
    yield from part_here(job, load)
