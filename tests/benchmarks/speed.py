"""Speed: indexing beside decoding alone, memory, queries, matching in a large store, cutting.

Every figure is the median of several runs; where a machine's speed would tell, as a ratio to a reference that was
measured in turn with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from facereel.indexer.engines.registry import load_engine
from facereel.indexer.media.video import probe
from facereel.store.model.config import Config
from tests.benchmarks import speed_targets as asked
from tests.benchmarks.figures import Figure, at_least, at_most
from tests.benchmarks.media_truth import footage_videos
from tests.benchmarks.portraits import media
from tests.benchmarks.report import Report, say
from tests.benchmarks.speed_films import (
    CROWDS,
    GRAIN,
    Film,
    in_set,
    measure_film,
    measure_set,
    set_row,
    stage_rows,
)
from tests.benchmarks.speed_index import Measured, measure, memory_rows
from tests.benchmarks.speed_query import cutting, matching, start_up
from tests.benchmarks.speed_videos import NAMES, Input, repeated, video
from tests.benchmarks.stopwatch import cpu, wall

QUICK = ("720p-talk", "1080p-talk", "1080p-crowd", "1080p-nobody")
CLOSER = "1080p-crowd, --min-face 12"  # what looking closer costs
REAL_SET = "real-set"


@dataclass(frozen=True, slots=True)
class Extent:
    """How much is measured."""

    full: bool = (
        False  # all footage, every size and scene, 30 s each, and 120 s for memory; else four scenes of 10 s
    )
    long: bool = False  # 30 minutes for memory
    most_rounds: int = 0  # 0: as many as are usual
    base: Path | None = None  # another checkout, which indexes the footage beside this one

    @property
    def seconds(self) -> int:
        return 30 if self.full else 10

    @property
    def rounds(self) -> int:
        return self.most_rounds or (5 if self.full else 3)


def speed(only: str, extent: Extent) -> Iterator[Report]:
    """All tables, real footage first, since drawn scenes are kinder.

    With `only` the rows of the videos whose names hold it, or real-set, start-up, matching, 1080p-cutting.
    """
    yield from _footage(only, extent)
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


def _footage(only: str, extent: Extent) -> Iterator[Report]:
    """The real set, then other films; nothing without footage."""
    if media() is None:
        say("real footage: set FACEREEL_MEDIA")
        return
    whole = only in REAL_SET
    films = in_set("" if whole else only)
    more = only != "" or extent.full
    others = [path for path in footage_videos(only) if path not in films and (more or path.stem in CROWDS)]
    engine = load_engine()
    engine.finish_loading()
    measured = []
    for path in films + others:
        say(path.stem)
        measured.append(measure_film(path, engine, extent.rounds, extent.base))
    own, rest = measured[: len(films)], measured[len(films) :]
    if whole:
        say("the real set in one command")
        costs = measure_set(films, extent.rounds, extent.base)
        row = set_row(costs, own)
        figure = at_most("real set: CPU of index / CPU of decoding", row["index / decode"], asked.REAL_SET)
        yield "real footage: all films of the set in one index command", [row], [figure]
    if measured:
        yield "real footage", [film.row() for film in measured], _film_figures(measured)
        yield "real footage: what is done", [film.work_row() for film in measured], []
        yield "real footage: CPU seconds by stage", stage_rows(own, rest), []
        rows = [film.plain_row() for film in measured]
        yield "real footage: plain loop, every fifth frame", rows, _plain_figures(own) if whole else []


def _film_figures(measured: Sequence[Film]) -> list[Figure]:
    figures = []
    for film in measured:
        row = film.row()
        if film.name in asked.FILM:
            figures.append(
                at_most(
                    f"CPU of index / CPU of decoding, {film.name}",
                    row["index / decode"],
                    asked.FILM[film.name],
                )
            )
        if film.name in asked.FILM_SPEED:
            figures.append(at_least(f"times real time, {film.name}", film.speed, asked.FILM_SPEED[film.name]))
        if film.name in (GRAIN, "walking"):
            figures.append(at_most(f"peak memory, {film.name}, MiB", row["peak MiB"], asked.MEMORY))
    return figures


def _plain_figures(own: Sequence[Film]) -> list[Figure]:
    """Indexing beside the faster of the two loops, over all films of the set."""
    index, *loops = (sum(wall(film.costs[name]) for film in own) for name in ("index", "plain", "opencv"))
    index_cpu, *loops_cpu = (
        sum(cpu(film.costs[name]) for film in own) for name in ("index", "plain", "opencv")
    )
    return [
        at_most("index / the faster plain loop, wall time", index / min(loops), asked.PLAIN_LOOP),
        Figure("index / the cheaper plain loop, CPU", index_cpu / min(loops_cpu), "", None),
        Figure("plain loop: OpenCV / ONNX Runtime, wall time", loops[1] / loops[0], "", None),
    ]  # fmt: skip


def _inputs(only: str, extent: Extent) -> Iterator[Input]:
    """Generated videos."""
    for name in NAMES if only or extent.full else QUICK:
        if only in name:
            say(f"{name}, {extent.seconds} s")
            yield video(name, extent.seconds)


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
        name = item.source.name
        if scene in asked.SCENE and size in ("720p", "1080p"):
            figures.append(at_most(f"index / decode, {name}", row["index / decode"], asked.SCENE[scene]))
        if scene in asked.SCENE and size == "1080p" and scene != "crowd":
            figures.append(at_least(f"times real time, {name}", row["x real time"], asked.SCENE_SPEED))
        if size == "1080p":
            figures.append(at_most(f"peak memory, {name}, MiB", row["peak MiB"], asked.MEMORY))
        if scene == "talk":
            what = f"index size, {name}, MiB a minute"
            figures.append(at_most(what, row["MiB a minute"], asked.INDEX_SIZE))
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
        at_most("peak memory, MiB", max(row["peak MiB"] for row in rows), asked.MEMORY),
        at_most("peak memory of the longest over that of 30 s", grown, asked.MEMORY_GROWTH),
    ]  # fmt: skip
