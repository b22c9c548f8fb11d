"""Long work of the page: what waits for what, cancelling, and the end of the server."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from facereel.query.web.jobs import END_SECONDS, MOST_OF_A_KIND, Jobs, Progress, Result


@pytest.fixture
def busy() -> Iterator[Jobs]:
    """Jobs of which as many of the kind `index` run as may."""
    jobs, end = Jobs(), threading.Event()

    def work(progress: Progress) -> Result:
        end.wait(60)
        progress.report(1, 1)
        return {}

    for number in range(MOST_OF_A_KIND):
        jobs.start("index", "Indexing", work, key=f"work {number}")
    yield jobs
    end.set()
    jobs.close()


def test_a_queued_job_is_cancelled_at_once(busy: Jobs) -> None:
    ran = threading.Event()

    def work(progress: Progress) -> Result:
        ran.set()
        return {}

    job = busy.start("index", "Indexing", work)
    assert busy.cancel(job.id).state == "cancelled"
    assert not ran.is_set()


def test_work_that_is_cancelled_does_not_stand_for_new_work(busy: Jobs) -> None:
    first = busy.all()[0]
    assert busy.start("index", "Indexing", lambda progress: {}, key=first.key) is first
    busy.cancel(first.id)
    assert busy.start("index", "Indexing", lambda progress: {}, key=first.key) is not first


def test_what_has_ended_is_forgotten_and_what_goes_on_loses_its_names(busy: Jobs) -> None:
    running = busy.all()
    stop = threading.Event()
    cut = busy.start("cut", "Cutting Anna", lambda progress: {"done": stop.wait(10)})
    busy.cancel(busy.start("index", "Indexing anna.mp4", lambda progress: {}).id)
    busy.forget_people()
    assert busy.all() == [*running, cut]
    assert [job.title for job in busy.all()] == ["Indexing", "Cutting a person"]
    stop.set()


def test_nobody_waits_to_be_forgotten_until_videos_are_indexed(busy: Jobs) -> None:
    done = threading.Event()

    def work(progress: Progress) -> Result:
        done.set()
        return {}

    busy.start("forget", "Forgetting a person", work)
    assert done.wait(60)
    assert busy.all()[0].state == "running"


def test_all_work_together_gets_some_seconds_to_end(monkeypatch: pytest.MonkeyPatch) -> None:
    jobs, end = Jobs(), threading.Event()

    def work(progress: Progress) -> Result:
        end.wait(60)
        return {}

    for kind in ("index", "cut", "proxy"):
        jobs.start(kind, kind, work)
    now = 0.0

    def join(thread: threading.Thread, timeout: float) -> None:
        nonlocal now
        now += timeout

    with monkeypatch.context() as patched:
        patched.setattr(time, "monotonic", lambda: now)
        patched.setattr(threading.Thread, "join", join)
        jobs.close()
    assert now == END_SECONDS
    end.set()
    jobs.close()
