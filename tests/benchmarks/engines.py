"""The default engine against the same weights in an InsightFace pack, run by the `insightface` package."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

from facereel.indexer.engines.choice import CALIBRATION_SCHEMA, calibration_file_name
from facereel.indexer.engines.registry import load_engine
from facereel.store.model.pooling import DEFAULT_THRESHOLD
from facereel.store.model.records import EngineInfo
from tests.benchmarks.figures import at_most
from tests.benchmarks.portraits import cache_folder
from tests.benchmarks.report import Report
from tests.benchmarks.run_facereel import engine_words
from tests.insightface_pack import build_pack

LOST = 0.01  # of recall


def compared(measure: Callable[[tuple[str, ...]], Report]) -> Iterator[Report]:
    """Both by the same table, which `measure` makes for an engine's words on the command line."""
    folder = build_pack(cache_folder() / "yunet_sface")
    ours = measure(())
    # The threshold of the engine whose weights the pack holds.
    calibration = calibration_file(load_engine(str(folder)).info, DEFAULT_THRESHOLD, folder)
    pack = measure(engine_words(str(folder), calibration))
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


def calibration_file(info: EngineInfo, threshold: float, folder: Path) -> Path:
    """A file in that folder that gives the engine a threshold, as `engines --calibrate` writes it."""
    path = folder / calibration_file_name(info)
    document = {
        "schema": CALIBRATION_SCHEMA, "engine": asdict(info), "threshold": threshold, "people": 24, "photos": 240,
    }  # fmt: skip
    path.write_text(json.dumps(document))
    return path


def _value(report: Report, what: str) -> float:
    return next(float(figure.value or 0) for figure in report[2] if figure.what == what)
