"""The default engine against the same weights in an InsightFace pack, run by the `insightface` package."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeAlias

from facereel.indexer.engines.choice import CALIBRATION_SCHEMA, calibration_file_name
from facereel.indexer.engines.registry import load_engine
from facereel.store.model.pooling import DEFAULT_THRESHOLD
from tests.benchmarks.figures import Figure, at_most
from tests.benchmarks.portraits import cache_folder
from tests.benchmarks.run_facereel import engine_words
from tests.insightface_pack import build_pack

Report: TypeAlias = tuple[str, list[dict[str, Any]], list[Figure]]
LOST = 0.01  # of recall


def compared(measure: Callable[[tuple[str, ...]], Report]) -> Iterator[Report]:
    """Both by the same table, which `measure` makes for an engine's words on the command line."""
    folder = build_pack(cache_folder() / "yunet_sface")
    ours = measure(())
    pack = measure(engine_words(str(folder), calibration_of_the_weights(folder)))
    rows = [
        {"figure": one.what, "opencv-zoo": one.value, "in a pack": other.value, "target": one.target}
        for one, other in zip(ours[2], pack[2], strict=True)
    ]
    lost = [
        _value(ours, what) - _value(pack, what) for what in ("recall, all people", "recall, the worst person")
    ]
    yield f"engines, {ours[0]}", rows, [
        at_most("recall, all people, lost in a pack", lost[0], LOST),
        at_most("recall, the worst person, lost in a pack", lost[1], LOST),
        at_most("wrong frames in a pack", _value(pack, "wrong frames"), 0),
    ]  # fmt: skip


def calibration_of_the_weights(folder: Path) -> Path:
    """A calibration that gives the pack the threshold of the engine whose weights it holds."""
    info = load_engine(str(folder)).info
    path = folder / calibration_file_name(info)
    document = {
        "schema": CALIBRATION_SCHEMA,
        "engine": asdict(info),
        "threshold": DEFAULT_THRESHOLD,
        "people": 24,
        "photos": 240,
    }
    path.write_text(json.dumps(document))
    return path


def _value(report: Report, what: str) -> float:
    return next(float(figure.value or 0) for figure in report[2] if figure.what == what)
