"""Threads and workers stay within what affinity and containers leave; garbage is looked for rarely."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from pathlib import Path

import pytest

from facereel.indexer.engines.devices import Compute
from facereel.indexer.jobs import local
from facereel.indexer.jobs.local import usual_jobs
from facereel.indexer.machine import collect_garbage_rarely, cores, free_memory, threads


@pytest.fixture
def eight(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)), raising=False)


def group(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    return folder


@pytest.mark.parametrize(
    ("files", "there"),
    [
        ({}, 8),
        ({"cpu.max": "max 100000\n"}, 8),
        ({"cpu.max": "300000 100000\n"}, 3),
        ({"cpu.max": "250000 100000\n"}, 2),
        ({"cpu.max": "10000 100000\n"}, 1),
        ({"cpu.max": "6400000 100000\n"}, 8),
        ({"cpu.max": "what\n"}, 8),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, 8),
        ({"cpu/cpu.cfs_quota_us": "400000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 4),
    ],
)
@pytest.mark.usefixtures("eight")
def test_a_quota_counts(files: dict[str, str], there: int, tmp_path: Path) -> None:
    assert cores(group(tmp_path, files)) == there


@pytest.mark.usefixtures("eight")
def test_no_more_threads_than_cores(tmp_path: Path) -> None:
    assert [threads(wanted, tmp_path) for wanted in (0, 1, 5, 8, 99)] == [8, 1, 5, 8, 8]


def test_where_affinity_is_not_known_all_cores_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert cores(tmp_path) == 1


@pytest.mark.parametrize(
    ("files", "gib"),
    [
        ({}, 8),
        ({"memory.max": "max\n", "memory.current": "5\n"}, 8),
        ({"memory.max": f"{3 << 30}\n", "memory.current": f"{1 << 30}\n"}, 2),
        ({"memory.max": f"{1 << 30}\n", "memory.current": f"{2 << 30}\n"}, 0),
        (
            {
                "memory.max": f"{3 << 30}\n",
                "memory.current": f"{3 << 30}\n",
                "memory.stat": f"inactive_file {1 << 30}\n",
            },
            1,
        ),
        ({"memory/memory.limit_in_bytes": f"{4 << 30}\n", "memory/memory.usage_in_bytes": "0\n"}, 4),
        ({"memory/memory.limit_in_bytes": f"{1 << 63}\n", "memory/memory.usage_in_bytes": "0\n"}, 8),
    ],
)
def test_a_container_bounds_the_memory(files: dict[str, str], gib: int, tmp_path: Path) -> None:
    meminfo = tmp_path / "meminfo"
    meminfo.write_text(f"MemTotal: 99 kB\nMemAvailable: {8 << 20} kB\n")
    assert free_memory(group(tmp_path, files), meminfo) == gib << 30
    assert free_memory(tmp_path / "none", tmp_path / "none") > 1 << 60


@pytest.mark.usefixtures("eight")
def test_videos_at_once_share_the_cores() -> None:
    assert [Compute(threads=wanted).shared(jobs).threads for wanted, jobs in ((8, 2), (6, 4), (2, 8))] == [
        4,
        1,
        1,
    ]
    assert Compute(threads=5).shared(1) == Compute(threads=5)


@pytest.mark.usefixtures("eight")
@pytest.mark.parametrize(
    ("videos", "compute", "free", "jobs"),
    [
        (1, Compute(), 64, 1),
        (5, Compute(), 64, 5),
        (100, Compute(), 64, 8),
        (100, Compute(threads=3), 64, 3),
        (100, Compute(), 5, 2),  # half of the memory stays free
        (100, Compute(), 0, 1),
        (100, Compute("cuda"), 64, 1),
    ],
)
def test_videos_are_indexed_one_a_core_as_memory_allows(
    videos: int, compute: Compute, free: int, jobs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "free_memory", lambda: free << 30)
    assert usual_jobs(videos, compute) == jobs


def test_a_card_may_be_used_where_this_onnx_runtime_has_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "onnxruntime"
    (folder / "capi").mkdir(parents=True)
    (folder / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "onnxruntime", raising=False)
    assert not Compute().may_use_card
    (folder / "capi" / "libonnxruntime_providers_cuda.so").touch()
    assert Compute().may_use_card
    assert not Compute("cpu").may_use_card


def test_workers_tell_openblas_of_one_thread_before_numpy_loads_it() -> None:
    first = local._PRELOAD[0]
    asked = f"import sys, os, {first}; print('numpy' in sys.modules, os.environ['OPENBLAS_NUM_THREADS'])"
    without = {name: value for name, value in os.environ.items() if name != "OPENBLAS_NUM_THREADS"}
    done = subprocess.run(
        [sys.executable, "-c", asked], capture_output=True, text=True, check=True, env=without
    )
    assert done.stdout.split() == ["False", "1"]


def test_garbage_is_looked_for_rarely_and_not_among_what_is_loaded() -> None:
    before = gc.get_threshold()
    gc.unfreeze()  # what conftest.py leaves frozen, and this test too
    try:
        collect_garbage_rarely()
        assert gc.get_freeze_count() > 1000
        assert gc.get_threshold()[0] > 10 * 700
    finally:
        gc.set_threshold(*before)
