"""What indexing real footage costs: beside decoding it, beside plain loops of the same models, beside another version.

A film is indexed in this process with the engine loaded; all films of the real set, too, in one command with all that
a user waits for.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from facereel.indexer.engines.protocol import FaceEngine
from facereel.indexer.media.video import probe
from facereel.store.model.config import Config
from tests.benchmarks.media_truth import films, footage_videos, grain
from tests.benchmarks.plain_loop import with_onnx_runtime, with_opencv
from tests.benchmarks.processes import watch
from tests.benchmarks.run_facereel import ROOT
from tests.benchmarks.speed_index import IndexRuns, decode, peak_memory
from tests.benchmarks.speed_stages import ALIGNED, EMBEDDED, REGIONS, SEARCHES, by_stage
from tests.benchmarks.stopwatch import (
    Cost,
    Costs,
    Stages,
    cost_of,
    cpu,
    cpu_ratio,
    measured_in_turn,
    wall,
    wall_ratio,
)

# Television, film, a stage, a street; and a film of 1920x1080 with grain and a cut every 2.3 s.
SET = ("sitcom", "herapheri", "hamilton", "dirtydancing", "walking")
GRAIN = "hamilton-grain"
CROWDS = ("dance", "rally")  # upright, flashes; in rows of their own
# Processor and wall seconds of indexing in a checkout, without starting Python and loading the models.
INDEX = """
import json, sys
from pathlib import Path
import cv2
from facereel.indexer.engines.registry import load_engine
from tests.benchmarks.stopwatch import cost_of
from tests.factories import index_contents
cv2.setNumThreads(1)  # as in a worker
engine = load_engine()
engine.finish_loading()
cost = cost_of(lambda: index_contents(Path(sys.argv[1]), engine))
print(json.dumps([cost.wall, cost.cpu]))
"""


@dataclass(slots=True, eq=False)
class Film:
    """One film's figures."""

    name: str
    frames: int
    seconds: float
    costs: Costs  # decode, index, plain, opencv; base
    stages: dict[str, float]  # processor seconds a run, by stage
    counts: dict[str, float]  # of a run
    searched: int  # frames
    tracklets: int
    people: int
    peak: int  # bytes, of the whole command

    @property
    def speed(self) -> float:
        """Times real time."""
        return self.seconds / wall(self.costs["index"])

    def row(self) -> dict[str, Any]:
        """What it costs."""
        row = {
            "video": self.name,
            "frames": self.frames,
            **_beside_decoding(self.costs),
            "x real time": self.speed,
            "peak MiB": self.peak / 2**20,
        }
        if base := self.costs.get("base"):
            row |= {"base CPU s": cpu(base), "index / base": cpu_ratio(self.costs["index"], base)}
        return row

    def work_row(self) -> dict[str, Any]:
        """What is done for it."""
        return {
            "video": self.name,
            "frames searched whole": self.searched,
            "%": 100 * self.searched / self.frames,
            **{what: self.counts.get(what, 0) for what in (SEARCHES, REGIONS, ALIGNED, EMBEDDED)},
            "tracklets": self.tracklets,
            "people": self.people,
        }

    def stage_row(self) -> dict[str, Any]:
        """Where the processor's time goes, seconds."""
        whole = cpu(self.costs["index"])
        return {"video": self.name, **by_stage(self.stages, whole, cpu(self.costs["decode"]))}

    def plain_row(self) -> dict[str, Any]:
        """Beside the plain loops."""
        names = {"index": "index", "plain": "plain loop", "opencv": "in OpenCV"}
        cells: dict[str, float] = {}
        for name, title in names.items():
            cells |= {f"{title}, s": wall(self.costs[name]), f"{title}, CPU s": cpu(self.costs[name])}
        return {"video": self.name, **cells}


def in_set(only: str = "") -> list[Path]:
    """The films of the real set whose names hold `only`: all videos where the footage is other than that named here."""
    footage = footage_videos()
    videos = [video for video in footage if video.stem in SET] or footage
    grainy = [grain(film) for film in films("hamilton.") if only in GRAIN]
    return [video for video in videos if only in video.stem] + grainy


def measure_film(video: Path, engine: FaceEngine, rounds: int, base: Path | None) -> Film:
    """Decode, index, run the plain loops and index in the base in turn; the engine is loaded before."""
    runs = IndexRuns(engine, Config(), Stages())
    measures: dict[str, Callable[[], Cost]] = {
        "decode": partial(cost_of, lambda: decode(video)),
        "index": partial(cost_of, lambda: runs.index(video)),
        "plain": partial(cost_of, lambda: with_onnx_runtime(video, engine)),
        "opencv": partial(cost_of, lambda: with_opencv(video)),
    }
    if base is not None:
        measures["base"] = partial(_index_in, base, video)
    costs = measured_in_turn(rounds, measures)
    header, contents = probe(video), runs.contents
    assert contents is not None
    return Film(
        video.stem, len(contents.times.pts), contents.video.length(contents.times), costs,
        {stage: seconds / rounds for stage, seconds in runs.stages.seconds.items()},
        {what: number / rounds for what, number in runs.stages.counts.items()},
        contents.stats.searched, len(contents.tracklets), len(contents.clusters), peak_memory(header.path, Config()),
    )  # fmt: skip


def measure_set(videos: Sequence[Path], rounds: int, base: Path | None) -> Costs:
    """Decode all films, and index them in one command, in turn."""

    def decode_all() -> None:
        for video in videos:
            decode(video)

    measures: dict[str, Callable[[], Cost]] = {
        "decode": partial(cost_of, decode_all),
        "index": partial(_command, ROOT, Path(sys.executable), videos),
    }
    if base is not None:
        measures["base"] = partial(_command, base.absolute(), _python(base), videos)
    return measured_in_turn(rounds, measures)


def _beside_decoding(costs: Costs) -> dict[str, Any]:
    """The columns that hold indexing against decoding."""
    decode, index = costs["decode"], costs["index"]
    return {
        "decode CPU s": cpu(decode),
        "index CPU s": cpu(index),
        "index / decode": cpu_ratio(index, decode),
        "decode s": wall(decode),
        "index s": wall(index),
        "in wall time": wall_ratio(index, decode),
    }


def set_row(costs: Costs, own: Sequence[Film]) -> dict[str, Any]:
    """All films of the set in one command; `own` are their figures without start-up."""
    index = costs["index"]
    row = {
        "films": len(own),
        "frames": sum(film.frames for film in own),
        **_beside_decoding(costs),
        "x real time": sum(film.seconds for film in own) / wall(index),
        "CPU s besides the films'": cpu(index) - sum(cpu(film.costs["index"]) for film in own),
    }
    if base := costs.get("base"):
        row |= {"base CPU s": cpu(base), "index / base": cpu_ratio(index, base)}
    return row


def stage_rows(own: Sequence[Film], others: Sequence[Film]) -> list[dict[str, Any]]:
    """A line for each film, those of the set summed, and that sum over decoding."""
    rows = [film.stage_row() for film in own]
    total = {stage: sum(row[stage] for row in rows) for stage in rows[0] if stage != "video"} if rows else {}
    if len(rows) > 1:
        rows.append({"video": "all of the set", **total})
        rows.append({"video": "/ decode", **{name: value / total["decode"] for name, value in total.items()}})
    return rows + [film.stage_row() for film in others]


def _command(checkout: Path, python: Path, videos: Sequence[Path]) -> Cost:
    """One index command over all videos, of all its processes."""
    with tempfile.TemporaryDirectory(prefix="facereel-bench-") as store:
        words = (str(python), str(checkout / "cli.py"), "index", "--store", store, *map(str, videos))
        return watch(words, 3600, lambda: 0, checkout).cost


def _index_in(base: Path, video: Path) -> Cost:
    """Index in another checkout; raises RuntimeError with the program's last words when it fails."""
    done = subprocess.run(
        [str(_python(base)), "-c", INDEX, str(video)],
        cwd=base,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"{base} cannot index {video.name}: {done.stderr.strip()[-400:]}")
    return Cost(*json.loads(done.stdout))


def _python(checkout: Path) -> Path:
    return checkout.absolute() / ".venv" / "bin" / "python"
