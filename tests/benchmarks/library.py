"""What a query and a new video cost in libraries of 1,000 to 100,000 videos of a hundred tracklets each.

A thousand indexes are real; of the others the rows of library.db and the vectors of 10 to 20 clusters are made up, and
their folders are empty: nobody in them is like the person asked for, so no query opens them. Libraries are kept in the
cache folder of the benchmarks.
"""

from __future__ import annotations

import compileall
import hashlib
import inspect
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from facereel.indexer.engines.protocol import FaceEngine
from facereel.indexer.engines.registry import load_engine
from facereel.query.people.directions import directions
from facereel.store.library.catalogue import Catalogue
from facereel.store.library.vectors import ClusterSearch, Neighbours, VectorFile
from facereel.store.model.records import Floats
from tests.benchmarks import speed_store
from tests.benchmarks.figures import Figure, at_most
from tests.benchmarks.portraits import SAMPLES, cache_folder
from tests.benchmarks.report import Report, say
from tests.benchmarks.run_facereel import ROOT

SECONDS = {1_000: 0.6, 10_000: 0.7, 100_000: 1.0}  # for a whole query
SEARCH_MS, MEMORY_MIB, ADDING = 100.0, 1024.0, 1.2
ROUNDS = 7
_BATCH = 2_000  # made-up videos at a time
_UNLIKE = 0.2  # the highest similarity of somebody made up to the person asked for
_VIDEO = SAMPLES.parent / "sample.mp4"  # half a minute, two people


def library(only: str) -> Iterator[Report]:
    """Queries, the search alone, adding a video; and what other ways to search would cost and lose."""
    engine = load_engine()
    rows, figures = [], []
    store, photo = speed_store.thousand(engine)
    if only in "one film":
        yield "one film", [_one_film(photo)], []
    compileall.compile_dir(ROOT, quiet=2, rx=re.compile(r"[/\\]\.venv[/\\]"))  # as pip does when it installs
    for size, seconds in SECONDS.items():
        store = _library(store, size, photo, engine)
        if only not in str(size):
            continue
        say(f"library of {size:,} videos")
        measured, judged = _measure(store, photo, size, seconds, engine)
        rows.append(measured)
        figures += judged
    yield "library", rows, figures
    if only in "ways to search":
        yield "ways to search", _ways(store, engine), []


def _one_film(photo: Path) -> dict[str, Any]:
    """What a query costs however small the library is; the others are compared with it."""
    with tempfile.TemporaryDirectory(prefix="facereel-bench-") as store:
        _run(str(ROOT / "cli.py"), "index", str(_VIDEO), "--store", store)
        query = (str(ROOT / "cli.py"), "query", str(photo), "--store", store, "--dry-run", "--json")
        _run(*query)
        costs = [_run(*query) for _ in range(ROUNDS)]
    return {
        "videos": 1, "query s": statistics.median(cost[0] for cost in costs),
        "CPU s, least": min(cost[2] for cost in costs), "memory MiB": max(cost[1] for cost in costs),
    }  # fmt: skip


def _measure(
    store: Path, photo: Path, size: int, seconds: float, engine: FaceEngine
) -> tuple[dict[str, Any], list[Figure]]:
    query = (str(ROOT / "cli.py"), "query", str(photo), "--store", str(store), "--dry-run", "--json")
    _run(*query)
    costs = [_run(*query) for _ in range(ROUNDS)]
    clusters = Catalogue(store).searchable(engine.info).clusters
    vector = directions(speed_store.person_query(photo, engine).references).vectors[:1]
    search = _milliseconds(lambda: clusters.above(vector, [0.4]))
    with tempfile.TemporaryDirectory(prefix="facereel-bench-") as empty:
        add = (str(ROOT / "cli.py"), "index", "--force", str(_VIDEO), "--store")
        alone = statistics.median(_run(*add, empty)[0] for _ in range(3))
        added = statistics.median(_run(*add, str(store))[0] for _ in range(3))
    first = _run(*query)[0]
    _run(str(ROOT / "cli.py"), "remove", _VIDEO.name, "--store", str(store))
    wall, memory = statistics.median(cost[0] for cost in costs), max(cost[1] for cost in costs)
    row = {
        "videos": size, "clusters": clusters.count, "query s": wall, "CPU s, least": min(cost[2] for cost in costs),
        "first after indexing s": first,
        "memory MiB": memory, "search ms": search, "adding / to an empty library": added / alone,
    }  # fmt: skip
    return row, [
        at_most(f"query over {size:,} videos, s", wall, seconds),
        at_most(f"first query after indexing, {size:,} videos, s", first, seconds),
        at_most(f"search of {clusters.count:,} clusters, ms", search, SEARCH_MS),
        at_most(f"memory of a query over {size:,} videos, MiB", memory, MEMORY_MIB),
        at_most(f"adding a video to {size:,}, against an empty library", added / alone, ADDING),
    ]


def _ways(store: Path, engine: FaceEngine) -> list[dict[str, Any]]:
    """The whole search beside FAISS's inverted lists: time, and how many of a thousand similar clusters are lost."""
    clusters = Catalogue(store).searchable(engine.info).clusters
    codes = np.concatenate([block.codes for block in clusters._blocks])
    rng = np.random.default_rng(0)
    chosen = rng.choice(len(codes), 1000, replace=False)
    vectors = codes[chosen].astype(np.float32) - 128
    noise = rng.standard_normal(vectors.shape).astype(np.float32)
    queries = _unit(_unit(vectors) + 1.2 * _unit(noise))  # similarities of about 0.64
    alike = (queries * _unit(vectors)).sum(axis=1)
    lowest = (alike - 0.02).tolist()

    def lost(search: Callable[[Floats, float], set[int]]) -> int:
        return sum(
            int(place) not in search(query[None], low)
            for query, low, place in zip(queries, lowest, chosen, strict=True)
        )

    own = ClusterSearch(engine.info.dim, len(codes), clusters._blocks)
    owners = np.concatenate([block.owners for block in clusters._blocks])[chosen]
    found: list[Neighbours] = own.above(queries[:100], lowest[:100])
    missing = sum(
        not ((one.videos == owner[0]) & (one.clusters == owner[1])).any()
        for one, owner in zip(found, owners[:100], strict=True)
    )
    rows = [
        {
            "search": "whole, int8", "ms": _milliseconds(lambda: own.above(queries[:1], lowest[:1])),
            "lost of 1,000": 10 * missing, "bytes a cluster": engine.info.dim,
        }
    ]  # fmt: skip
    lists = 1024
    index = faiss.IndexIVFScalarQuantizer(
        faiss.IndexFlatIP(engine.info.dim), engine.info.dim, lists,
        faiss.ScalarQuantizer.QT_8bit_direct_signed, faiss.METRIC_INNER_PRODUCT, False,
    )  # fmt: skip
    index.train(codes[:: max(1, len(codes) // 60_000)].astype(np.float32) - 128)
    for start in range(0, len(codes), 100_000):
        index.add(codes[start : start + 100_000].astype(np.float32) - 128)
    unit = (127 / min(1.0, 5 / engine.info.dim**0.5)) ** 2
    for probed in (16, 64, 256):
        index.nprobe = probed

        def inverted(query: Floats, low: float) -> set[int]:
            scaled = np.rint(query * np.float32(unit**0.5))
            return set(index.range_search(scaled, low * unit)[2].tolist())

        rows.append({
            "search": f"{probed} of {lists:,} inverted lists, int8",
            "ms": _milliseconds(lambda: inverted(queries[:1], lowest[0])),
            "lost of 1,000": lost(inverted), "bytes a cluster": engine.info.dim + 8,
        })  # fmt: skip
    return rows


def _library(smaller: Path, size: int, photo: Path, engine: FaceEngine) -> Path:
    """A store with the indexes of a smaller one, and made-up videos beside them up to `size`."""
    made_of = re.sub(r".*-", "", smaller.name) + inspect.getsource(_make_up)
    store = cache_folder() / f"library-{size}-{hashlib.sha256(made_of.encode()).hexdigest()[:12]}"
    if store.exists():
        return store
    part = store.with_name(f"{store.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    shutil.copytree(smaller, part, copy_function=_link, ignore=shutil.ignore_patterns(".*"))
    catalogue = Catalogue(part)
    catalogue.refresh()
    vector = speed_store.person_query(photo, engine).references[0].embedding
    for start in range(len(catalogue.all()), size, _BATCH):
        _make_up(catalogue, start, min(start + _BATCH, size), vector, engine)
    part.rename(store)
    Catalogue(store).refresh()
    return store


def _link(source: str, target: str) -> None:
    """Give an index a second name; library.db and library.vectors, which are written in place, are copied."""
    (shutil.copy2 if Path(source).name.startswith("library.") else os.link)(source, target)


def _make_up(catalogue: Catalogue, start: int, end: int, person: Floats, engine: FaceEngine) -> None:
    rng = np.random.default_rng(start)
    numbers = range(start, end)
    hashes = [hashlib.sha256(str(number).encode()).hexdigest() for number in numbers]
    folders = [f"made-up-{number}.mp4-{sha256[:12]}" for number, sha256 in zip(numbers, hashes, strict=True)]
    sizes = rng.integers(10, 21, len(numbers))
    vectors = _unit(rng.standard_normal((int(sizes.sum()), len(person))).astype(np.float32))
    similarities = vectors @ person
    vectors = _unit(vectors - np.maximum(similarities - _UNLIKE, 0)[:, None] * person)
    parts = np.split(vectors, np.cumsum(sizes)[:-1])
    with catalogue.database.write() as db:
        db.row_factory = None
        model = dict(zip(*_first_row(db), strict=True))
        (last,) = db.execute("SELECT max(video) FROM videos").fetchone()
        places = VectorFile(catalogue.store).append(
            db, engine.info,
            [(last + 1 + at, np.arange(1, len(part) + 1), part) for at, part in enumerate(parts)],
        )  # fmt: skip
        facts = json.loads(model["facts"])
        for at, (number, sha256, folder, part) in enumerate(
            zip(numbers, hashes, folders, parts, strict=True)
        ):
            facts["video"] |= {
                "path": f"/videos/made-up-{number}.mp4",
                "name": f"made-up-{number}.mp4",
                "sha256": sha256,
            }
            row = model | {
                "video": last + 1 + at, "folder": folder, "sha256": sha256, "path": facts["video"]["path"].encode(),
                "name": facts["video"]["name"], "facts": json.dumps(facts), "clusters": len(part),
                "block": places[at][0], "first_row": places[at][1],
            }  # fmt: skip
            db.execute(
                f"INSERT INTO videos ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})", [*row.values()]
            )
    for folder in folders:
        (catalogue.store / folder).mkdir()


def _first_row(db: Any) -> tuple[list[str], tuple[Any, ...]]:
    found = db.execute("SELECT * FROM videos LIMIT 1")
    return [column[0] for column in found.description], found.fetchone()


def _unit(vectors: Floats) -> Floats:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


def _milliseconds(work: Callable[[], object]) -> float:
    times = []
    for _ in range(15):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return 1000 * statistics.median(times)


def _run(*arguments: str) -> tuple[float, float, float]:
    """Seconds, MiB and seconds of CPU of a whole command."""
    started = time.perf_counter()
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    with subprocess.Popen(
        [sys.executable, *arguments], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as child:
        assert child.stderr is not None
        words = child.stderr.read().decode(errors="replace")
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise RuntimeError(f"{arguments[1]} ended with {child.returncode}: {words[-400:]}")
    memory = used.ru_maxrss / (1024 if sys.platform == "linux" else 1 << 20)
    return time.perf_counter() - started, memory, used.ru_utime + used.ru_stime
