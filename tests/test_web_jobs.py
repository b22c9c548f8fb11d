"""Long work of the page: cancelled work that waits is over at once, and its key is free."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from facereel.query.web.jobs import MOST_AT_ONCE, Jobs, Progress, Result


@pytest.fixture
def busy() -> Iterator[Jobs]:
    """Jobs of which as many run as may."""
    jobs, end = Jobs(), threading.Event()

    def work(progress: Progress) -> Result:
        end.wait(60)
        progress.report(1, 1)
        return {}

    for number in range(MOST_AT_ONCE):
        jobs.start("index", "Indexing", work, key=f"work {number}")
    yield jobs
    end.set()
    jobs.close()


def test_a_queued_job_is_cancelled_at_once(busy: Jobs) -> None:
    ran = threading.Event()

    def work(progress: Progress) -> Result:
        ran.set()
        return {}

    job = busy.start("cut", "Cutting", work)
    assert busy.cancel(job.id).state == "cancelled"
    assert not ran.is_set()


def test_work_that_is_cancelled_does_not_stand_for_new_work(busy: Jobs) -> None:
    first = busy.all()[0]
    assert busy.start("index", "Indexing", lambda progress: {}, key=first.key) is first
    busy.cancel(first.id)
    assert busy.start("index", "Indexing", lambda progress: {}, key=first.key) is not first


def test_what_has_ended_is_forgotten(busy: Jobs) -> None:
    running = busy.all()
    busy.cancel(busy.start("cut", "Cutting Anna", lambda progress: {}).id)
    busy.forget_ended()
    assert busy.all() == running
