"""What indexing real footage costs the processor, held against decoding and against another version of the program."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.benchmarks.figures import Figure, at_most
from tests.benchmarks.media_truth import films, footage_videos, grain
from tests.benchmarks.report import Report, say
from tests.benchmarks.run_facereel import ROOT
from tests.benchmarks.speed_index import decode
from tests.benchmarks.stopwatch import cost_of

ROUNDS = 3
GROWTH = 1.10  # over the base
# Seconds of the processor, of all threads, without starting Python and loading the models; and how many frames.
INDEX = """
import json, sys, time
from pathlib import Path
from facereel.indexer.engines.registry import load_engine
from tests.factories import index_contents
engine = load_engine()
start = time.process_time()
contents = index_contents(Path(sys.argv[1]), engine)
print(json.dumps([time.process_time() - start, len(contents.times.pts)]))
"""


def cost(only: str, base: Path | None = None) -> Iterator[Report]:
    """Every video of the footage, and one with grain; in each round decoding, this program and the base in turn."""
    rows, sums = [], {"own": 0.0, "base": 0.0}
    videos = footage_videos(only) + [grain(film) for film in films("hamilton") if only in "hamilton-grain"]
    for video in videos:
        say(video.name)
        rounds = [_round(video, base) for _ in range(ROUNDS)]
        # The least: whatever else the machine does only adds to it.
        seconds = {name: min(one[name] for one in rounds) for name in rounds[0]}
        for name in sums:
            sums[name] += seconds.get(name, 0.0)
        rows.append(_row(video, seconds))
    if rows:
        growth = sums["own"] / sums["base"] if base else None
        yield "processor time of indexing", rows, [
            at_most("indexing over that of the base, all videos", growth, GROWTH),
            Figure("indexing, all videos, CPU s", sums["own"], "", None),
        ]  # fmt: skip


def _round(video: Path, base: Path | None) -> dict[str, float]:
    own, frames = _index(Path(sys.executable), ROOT, video)
    seconds = {"frames": frames, "decode": cost_of(lambda: decode(video)).cpu, "own": own}
    if base is not None:
        seconds["base"], _ = _index(base.absolute() / ".venv" / "bin" / "python", base, video)
    return seconds


def _index(python: Path, checkout: Path, video: Path) -> tuple[float, float]:
    """CPU seconds and frames; raises RuntimeError with the program's last words when it fails."""
    command = [str(python), "-c", INDEX, str(video)]
    done = subprocess.run(command, cwd=checkout, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{checkout} cannot index {video.name}: {done.stderr.strip()[-400:]}")
    seconds, frames = json.loads(done.stdout)
    return float(seconds), float(frames)


def _row(video: Path, seconds: dict[str, float]) -> dict[str, Any]:
    base = seconds.get("base")
    milliseconds = 1000 / seconds["frames"]
    return {
        "video": video.name,
        "frames": int(seconds["frames"]),
        "decode, CPU ms a frame": milliseconds * seconds["decode"],
        "index": milliseconds * seconds["own"],
        "base": None if base is None else milliseconds * base,
        "index / decode": seconds["own"] / seconds["decode"],
        "index / base": None if base is None else seconds["own"] / base,
    }
