"""The speed benchmark counts all that the program does: every process, every call, the films of another checkout."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.benchmarks.stopwatch import Cost, Counter, Stages, cpu_ratio, measured_in_turn, wall_ratio

# A program whose work is done by a grandchild that outlives it, as the server that starts workers does.
ORPHAN = """
import subprocess, sys, time
work = "import time; start = time.process_time()\\nwhile time.process_time() - start < 0.4: pass"
subprocess.Popen([sys.executable, "-c", work])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="processes are read from /proc")
def test_processor_time_of_a_process_that_outlives_its_parent_counts(tmp_path: Path) -> None:
    from tests.benchmarks.processes import watch

    watched = watch((sys.executable, "-c", ORPHAN), 60, lambda: 0, tmp_path)
    assert watched.cost.cpu >= 0.4


def test_stages_count_what_functions_are_given_and_leave_them_as_they_were() -> None:
    before = Stages.timed
    stages, place = Stages(), "tests.benchmarks.stopwatch:Stages.timed"
    with stages.watching({place: "wrap"}, {place: Counter("letters", lambda own, stage, *rest: len(stage))}):
        for word in ("one", "three"):
            Stages().timed(word, len, None)
    assert stages.counts == {"letters": 8}
    assert set(stages.seconds) == {"wrap"}
    assert Stages.timed is before


def test_ratios_are_medians_of_rounds_and_not_ratios_of_medians() -> None:
    own, other = iter([Cost(2, 2), Cost(2, 4), Cost(9, 9)]), iter([Cost(1, 1), Cost(2, 4), Cost(3, 3)])
    costs = measured_in_turn(3, {"own": lambda: next(own), "other": lambda: next(other)})
    assert wall_ratio(costs["own"], costs["other"]) == 2
    assert cpu_ratio(costs["own"], costs["other"]) == 2
