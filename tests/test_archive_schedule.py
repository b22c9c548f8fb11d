"""The simulation behind docs/archive.md: every video is done once, and its numbers are those of cases known by hand."""

from __future__ import annotations

import pytest

from tests.benchmarks import archive
from tests.benchmarks.archive import REPAIR_HOURS, WORKERS, Task, parts, simulate


def test_without_failures_it_is_a_queue() -> None:
    tasks = [Task(hours, number) for number, hours in enumerate([1.0] * WORKERS + [4.0])]
    as_they_come = simulate(tasks, 1, 0, resumes=False, failures=False)
    longest_first = simulate(tasks[::-1], 1, 0, resumes=False, failures=False)
    assert (as_they_come.hours, longest_first.hours) == (5.0, 4.0)
    assert as_they_come.busy == pytest.approx((WORKERS + 4) / (5 * WORKERS))


def test_what_a_machine_had_in_work_is_done_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two machines; the first fails after an hour: of its videos nothing is lost, but time."""
    moments = iter([[1.0], []])
    monkeypatch.setattr(archive, "_failures", lambda rng, horizon: next(moments))
    tasks = [Task(3.0, number) for number in range(2 * WORKERS)]
    again = simulate(tasks, 2, 0, resumes=False)
    assert (again.done, again.lost) == (2 * WORKERS, WORKERS * 1.0)
    assert again.hours == 1.0 + REPAIR_HOURS + 3.0
    moments = iter([[1.0], []])
    resumed = simulate(tasks, 2, 0, resumes=True)
    assert (resumed.done, resumed.lost, resumed.hours) == (2 * WORKERS, 0.0, 1.0 + REPAIR_HOURS + 2.0)


def test_every_video_is_done_and_a_seed_repeats_itself() -> None:
    tasks = archive.archive(500.0, seed=3)
    assert tasks == archive.archive(500.0, seed=3)
    for run in (parts(tasks, 5, 1), simulate(tasks, 5, 1, resumes=False)):
        assert run.done == len(tasks)
        assert 0 < run.busy <= 1
