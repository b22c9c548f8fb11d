"""A Ray cluster of three nodes on this machine: the same rows as without it, its price, and random kills.

Linux only: processes are found in /proc. The part is left out where Ray is not installed.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from facereel import Library
from facereel.query import videos as checks
from facereel.store.files.folders import index_folders
from facereel.store.index.database import DATABASE
from tests.benchmarks.figures import at_least, at_most
from tests.benchmarks.kill_state import rows_digest
from tests.benchmarks.report import Report, say
from tests.benchmarks.scenarios import all_scenarios, render
from tests.fake_engine import film_of_two

ROOT = Path(__file__).parent.parent.parent
SAME = 12  # videos whose rows are compared, scenarios with people
PRICED = 40  # videos that are indexed with and without Ray, and how long they are
PRICED_SECONDS = 60
KILLS = 20
KILLED_FILMS, KILLED_SECONDS = 12, 24  # as many as take longer than starting a command


def cluster(only: str) -> Iterator[Report]:
    """Rows, wall time, kills."""
    if find_spec("ray") is None or sys.platform != "linux":
        say("  left out: Ray is not installed, or this is not Linux")
        return
    from ray.cluster_utils import Cluster

    head = {"num_cpus": 0, "include_dashboard": False}
    nodes = Cluster(initialize_head=True, head_node_args=head)
    try:
        for _ in range(2):
            nodes.add_node(num_cpus=1)
        with tempfile.TemporaryDirectory() as place:
            yield from (report for part in (same_rows, price) for report in part(nodes, Path(place), only))
            nodes.add_node(num_cpus=1)
            yield from kills(nodes, Path(place))
    finally:
        nodes.shutdown()


def same_rows(nodes: Any, place: Path, only: str) -> Iterator[Report]:
    """Videos with real faces by one machine and by the cluster."""
    chosen = [one for one in all_scenarios().values() if only in one.name and one.needs][:SAME]
    films = [render(one).video for one in chosen]
    say(f"  {len(films)} videos twice")
    digests = []
    for name, address in (("one", None), ("many", nodes.address)):
        library = Library(place / name)
        if failed := library.index(films, cluster=address).failed:
            raise RuntimeError(str(failed[0].error))
        digests.append({f.name: rows_digest(f / DATABASE) for f in index_folders(library.store)})
    other = [name for name in digests[0] if digests[0][name] != digests[1].get(name)]
    figures = [
        at_least("videos that both indexed", min(map(len, digests)), len(films)),
        at_most("videos with other rows than on one machine", len(other), 0),
    ]
    yield "cluster: rows", [], figures


def price(nodes: Any, place: Path, only: str) -> Iterator[Report]:
    """Wall time with Ray already running against `--jobs 2`, by turns; the better of two of each."""
    if only:
        return
    # Lengths differ, so that no two have one content.
    films = [film_of_two(place / f"{n}.mp4", PRICED_SECONDS / 3 + n / 25) for n in range(PRICED)]
    seconds: dict[str, list[float]] = {"--jobs 2": [], "--cluster": []}
    for turn in range(2):
        for name in seconds:
            say(f"  {PRICED} videos, {name}")
            library = Library(place / f"{name}{turn}")
            begin = time.monotonic()
            options: dict[str, Any] = {"jobs": 2} if name == "--jobs 2" else {"cluster": nodes.address}
            if failed := library.index(films, **options).failed:
                raise RuntimeError(str(failed[0].error))
            seconds[name].append(time.monotonic() - begin)
    rows = [{"way": name, **{f"turn {n}, s": s for n, s in enumerate(t, 1)}} for name, t in seconds.items()]
    more = min(seconds["--cluster"]) / min(seconds["--jobs 2"])
    yield "cluster: price", rows, [at_most("wall time, of that of --jobs 2", more, 1.15)]


def kills(nodes: Any, place: Path, seed: int = 1) -> Iterator[Report]:
    """Worker processes, Ray's workers, nodes and the driver killed while a store is made again and again."""
    rng, store = random.Random(seed), place / "killed"
    films = [film_of_two(place / f"k{n}.mp4", KILLED_SECONDS / 3 + n / 25) for n in range(KILLED_FILMS)]
    words = [
        sys.executable, "-m", "tests.fake_cli", "index", *map(str, films), "--store", str(store), "--engine", "fake",
        "--cluster", nodes.address, "--json", "--force",
    ]  # fmt: skip
    counts: dict[str, int] = dict.fromkeys(("worker", "Ray worker", "node", "driver"), 0)
    runs, unnamed, failed = 0, 0, 0
    while sum(counts.values()) < KILLS:
        driver = subprocess.Popen(
            words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        runs += 1
        while driver.poll() is None and sum(counts.values()) < KILLS:
            time.sleep(rng.uniform(0.2, 4.0))
            kind = min(counts, key=lambda one: (counts[one], rng.random()))
            if _kill(kind, nodes, driver, rng):
                counts[kind] += 1
                say(f"  {sum(counts.values())} of {KILLS}: a {kind}")
        output = driver.communicate()[0]
        if driver.returncode in (0, 1):
            ends = json.loads(output)["videos"]
            named = {end["video"] for end in ends if end["state"] != "failed" or end["error"]["message"]}
            unnamed += len({str(film) for film in films} - named)
            failed += sum(end["state"] == "failed" for end in ends)
    last = subprocess.run(words[:-1], cwd=ROOT, capture_output=True, text=True, check=True)
    state = [end["state"] for end in json.loads(last.stdout)["videos"]]
    folders = index_folders(store)
    unsound = [folder.name for folder in folders if checks.verify(folder).problems]
    left = [path.name for path in store.iterdir() if path.name.startswith(".")]
    figures = [
        at_least("kills", sum(counts.values()), KILLS),
        at_most("videos that a run neither indexed nor named", unnamed, 0),
        at_most("videos that are not indexed after a run without kills", len(films) - len(folders), 0),
        at_most("indexes that are there twice", len(folders) - len({f.name[-12:] for f in folders}), 0),
        at_most("indexes that are not sound", len(unsound), 0),
        at_most("leftovers in the store", len(left), 0),
    ]
    rows = [{**counts, "runs": runs, "named as failed": failed, "skipped at last": state.count("skipped")}]
    yield "cluster: kills", rows, figures


def _kill(kind: str, nodes: Any, driver: subprocess.Popen[str], rng: random.Random) -> bool:
    """Kill something that works now; False where there is none."""
    if kind == "driver":
        driver.kill()
        return True
    if kind == "node":
        if not _ray_workers():
            return False
        nodes.remove_node(rng.choice(list(nodes.worker_nodes)))
        nodes.add_node(num_cpus=1)
        return True
    found = _ray_workers()
    if kind == "worker":
        found = [below for worker in found for server in _children(worker) for below in _children(server)]
    if not found:
        return False
    with suppress(ProcessLookupError):
        os.kill(rng.choice(found), signal.SIGKILL)
        return True
    return False


def _ray_workers() -> list[int]:
    """Processes of Ray that have a task of ours."""
    return [pid for pid, name, _ in _processes() if "_run_task" in name]


def _children(parent: int) -> list[int]:
    return [pid for pid, _, above in _processes() if above == parent]


def _processes() -> Iterator[tuple[int, str, int]]:
    """(pid, command line, parent's pid) of every process."""
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with suppress(OSError, ValueError, IndexError):
                name = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                # The program's name, which may hold spaces, is in brackets.
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
                yield int(folder.name), name, int(fields[1])
