"""Long work beside the requests: each job has a thread, says how far it is, and can be cancelled.

Knows nothing of what is done. Jobs are forgotten when the server ends; what they wrote is whole or not there.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any, TypeAlias

from facereel import api

Result: TypeAlias = dict[str, Any]
MOST_OF_A_KIND = 1  # at once: clips are cut, and somebody is forgotten, while hours of film are indexed
MOST_REMEMBERED = 50  # finished jobs
END_SECONDS = 5.0  # that all jobs together get to notice that the server ends
_ENDED = ("done", "failed", "cancelled")
# Titles, by kind, of work that is about people.
_WITHOUT_NAMES = {"cut": "Cutting a person", "export": "Exporting a person"}


class Cancelled(Exception):
    """Raised inside the work of a job that is to end."""


class Progress:
    """What the work of a job is given."""

    def __init__(self, job: Job) -> None:
        self._job = job

    @property
    def cancelled(self) -> bool:
        """Whether the work is to end, for work that ends in a better way than by an exception."""
        return self._job.cancel.is_set()

    def report(self, done: float, total: float, text: str = "") -> None:
        """Say how far the work is; raises Cancelled when it is to end."""
        if self.cancelled:
            raise Cancelled
        self._job.done, self._job.total, self._job.text = done, total, text


Work: TypeAlias = Callable[[Progress], Result]


class Job:
    """One piece of work, as it is now."""

    def __init__(self, kind: str, title: str, key: str | None = None) -> None:
        self.id = secrets.token_hex(8)
        self.kind, self.title, self.key = kind, title, key
        self.state = "queued"
        self.done, self.total, self.text = 0.0, 0.0, ""
        self.result: Result | None = None
        self.error: dict[str, str] | None = None
        self.cancel = threading.Event()

    def data(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "id": self.id, "kind": self.kind, "title": self.title, "state": self.state, "done": self.done,
            "total": self.total, "text": self.text, "result": self.result, "error": self.error,
        }  # fmt: skip


class Jobs:
    """All jobs of one server, oldest first."""

    def __init__(self) -> None:
        self._jobs: dict[str, Job] = {}
        self._lock = threading.Lock()
        self._places: dict[str, threading.Semaphore] = defaultdict(
            lambda: threading.Semaphore(MOST_OF_A_KIND)
        )
        self._threads: list[threading.Thread] = []

    def start(self, kind: str, title: str, work: Work, key: str | None = None) -> Job:
        """Begin work, or let it wait for other work of its kind; what it returns is the result of the job.

        Work with a `key` is done once at a time: the job that has the key is given instead,
        unless it has ended or is cancelled.
        """
        job = Job(kind, title, key)
        with self._lock:
            for other in self._jobs.values():
                going_on = other.state not in _ENDED and not other.cancel.is_set()
                if key is not None and other.key == key and going_on:
                    return other
            ended = [other.id for other in self._jobs.values() if other.state in _ENDED]
            for old in ended[: max(0, len(ended) - MOST_REMEMBERED)]:
                del self._jobs[old]
            self._jobs[job.id] = job
            # A daemon, so that work which cannot be cancelled does not keep the server from ending.
            thread = threading.Thread(
                target=self._run, args=(job, work, self._places[kind]), name=f"job {kind}", daemon=True
            )
            self._threads = [other for other in self._threads if other.is_alive()] + [thread]
            # Inside the lock: a thread that is listed has begun, and can be waited for.
            thread.start()
        return job

    def all(self) -> list[Job]:
        """Jobs that wait or run, and those that ended last."""
        with self._lock:
            return list(self._jobs.values())

    def find(self, job: str) -> Job:
        """One job; raises NotIndexedError for an id that no job has."""
        with self._lock:
            if job in self._jobs:
                return self._jobs[job]
        raise api.NotIndexedError("that work is not known any more; the server was started again meanwhile")

    def cancel(self, job: str) -> Job:
        """Let a job end: at once if it waits, else when it next says how far it is. One that has ended stays so."""
        found = self.find(job)
        with self._lock:
            found.cancel.set()
            if found.state == "queued":
                found.state = "cancelled"
        return found

    def forget_people(self) -> None:
        """Drop all that have ended, with titles and results, and names from titles of others: some may be forgotten."""
        with self._lock:
            self._jobs = {number: job for number, job in self._jobs.items() if job.state not in _ENDED}
            for job in self._jobs.values():
                job.title = _WITHOUT_NAMES.get(job.kind, job.title)

    def close(self) -> None:
        """Let all jobs end, and wait a little for them."""
        for job in self.all():
            job.cancel.set()
        end = time.monotonic() + END_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))

    def _run(self, job: Job, work: Work, place: threading.Semaphore) -> None:
        with place:
            with self._lock:
                if job.cancel.is_set():
                    job.state = "cancelled"
                    return
                job.state = "running"
            try:
                job.result = work(Progress(job))
                job.state = "done"
            except Cancelled:
                job.state = "cancelled"
            except api.FaceReelError as error:
                job.error = {"kind": type(error).__name__, "message": str(error)}
                job.state = "failed"
            except Exception as error:
                job.error = {
                    "kind": "InternalError",
                    "message": f"a fault of FaceReel: {type(error).__name__}",
                }
                job.state = "failed"
                raise
