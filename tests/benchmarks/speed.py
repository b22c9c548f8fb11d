"""Speed: indexing beside decoding alone, memory, queries, matching in a large store, cutting.

Every figure is the median of several runs; where a machine's speed would tell, as a ratio to a reference that was
measured in turn with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from facereel.indexer.engines.registry import load_engine
from facereel.indexer.media.video import probe
from facereel.store.model.config import Config
from tests.benchmarks.figures import Figure, at_least, at_most
from tests.benchmarks.portraits import media
from tests.benchmarks.report import Report, say
from tests.benchmarks.speed_index import Measured, measure, memory_rows
from tests.benchmarks.speed_query import cutting, matching, start_up
from tests.benchmarks.speed_videos import NAMES, Input, repeated, video

QUICK = ("720p-talk", "1080p-talk", "1080p-crowd", "1080p-nobody")
# Index over decode that must not be exceeded, by the scene's name.
MOST = {"one": 1.5, "talk": 1.5, "three": 1.5, "crowd": 2.5, "nobody": 1.3}
CLOSER = "1080p-crowd, --min-face 12"  # what looking closer costs
MOST_MEMORY, MOST_INDEX = 700.0, 1.5  # MiB; MiB a minute with two faces


@dataclass(frozen=True, slots=True)
class Extent:
    """How much is measured."""

    full: bool = False  # every size and scene, 30 s each, and 120 s for memory; else four videos of 10 s
    long: bool = False  # 30 minutes for memory

    @property
    def seconds(self) -> int:
        return 30 if self.full else 10

    @property
    def rounds(self) -> int:
        return 5 if self.full else 3


def speed(only: str, extent: Extent) -> Iterator[Report]:
    """All tables; with `only` the rows of the videos whose names hold it, or start-up, matching, 1080p-cutting."""
    yield from _indexing(only, extent)
    if extent.full or extent.long:
        yield from _memory(only, extent)
    engine = load_engine()
    if only in "start-up":
        say("start-up of a query")
        yield "start-up", *start_up(video("720p-talk", 10), engine, extent.rounds)
    if only in "matching":
        say("matching in a thousand videos (the first run writes them: two minutes)")
        yield "matching", *matching(engine, extent.rounds)
    for name in ("1080p-cutting", "720p-cutting"):
        if only in name:
            say(name)
            source = video(name.replace("cutting", "talk"), extent.seconds)
            yield name, *cutting(source, engine, extent.rounds)


def _inputs(only: str, extent: Extent) -> Iterator[Input]:
    """Generated videos, and the footage where there is any."""
    wanted = [name for name in (NAMES if only or extent.full else QUICK) if only in name]
    for name in wanted:
        say(f"{name}, {extent.seconds} s")
        yield video(name, extent.seconds)
    footage = media()
    if footage is not None and (only or extent.full):
        for path in sorted(footage.glob("*.mp4")):
            if only in path.name:
                say(path.name)
                header = probe(path)
                yield Input(path.name, path, float(header.frame_estimate / header.frame_rate), ())


def _indexing(only: str, extent: Extent) -> Iterator[Report]:
    engine = load_engine()
    measured = [measure(source, engine, extent.rounds, Config()) for source in _inputs(only, extent)]
    if only in CLOSER:
        say(CLOSER)
        source = replace(video("1080p-crowd", extent.seconds), name=CLOSER)
        measured.append(measure(source, engine, extent.rounds, Config(min_face=12)))
    if not measured:
        return
    yield "indexing", [item.row() for item in measured], _index_figures(measured)
    yield "where indexing spends the processor's time", [item.stage_row() for item in measured], []
    yield "inputs", [_input_row(item) for item in measured], []


def _index_figures(measured: Sequence[Measured]) -> list[Figure]:
    figures = []
    for item in measured:
        size, _, scene = item.source.name.partition("-")
        row = item.row()
        if scene in MOST and size in ("720p", "1080p"):
            figures.append(at_most(f"index / decode, {item.source.name}", item.index_ratio, MOST[scene]))
        if scene in MOST and size == "1080p" and scene != "crowd":
            figures.append(at_least(f"times real time, {item.source.name}", row["x real time"], 6))
        if size == "1080p":
            figures.append(at_most(f"peak memory, {item.source.name}, MiB", row["peak MiB"], MOST_MEMORY))
        if scene == "talk":
            what = f"index size, {item.source.name}, MiB a minute"
            figures.append(at_most(what, row["MiB a minute"], MOST_INDEX))
    return figures


def _input_row(item: Measured) -> dict[str, Any]:
    header, size = probe(item.source.path), item.source.path.stat().st_size
    return {
        "video": item.source.name, "width": header.width, "height": header.height, "codec": header.codec,
        "frames/s": float(header.frame_rate), "frames": item.frames,
        "Mbit/s": size * 8 / item.source.seconds / 1e6,
    }  # fmt: skip


def _memory(only: str, extent: Extent) -> Iterator[Report]:
    name = "1080p-talk"
    if only not in name:
        return
    short = video(name, 30)
    say(f"memory, {name}")
    sources = [short, repeated(short, 4)] + ([repeated(short, 60)] if extent.long else [])
    rows = list(memory_rows(sources))
    grown = rows[-1]["peak MiB"] / rows[0]["peak MiB"]
    yield "memory", rows, [
        at_most("peak memory, MiB", max(row["peak MiB"] for row in rows), MOST_MEMORY),
        at_most("peak memory of the longest over that of 30 s", grown, 1.1),
    ]  # fmt: skip
