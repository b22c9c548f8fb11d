"""The detectors of scene changes beside each other: what each finds, by one decode of every video."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from facereel.indexer.media.decode_log import DecodeLog
from facereel.indexer.media.video import probe, read_frames
from facereel.indexer.scan.scan import Scan
from facereel.indexer.shots.detector import shot_detector
from facereel.indexer.shots.similarity import THUMBNAIL_SIZE
from facereel.indexer.shots.transnet import check_transnet
from facereel.store.model.config import Config
from facereel.store.model.errors import EngineError
from tests.benchmarks.figures import GRADUAL, NO_CHANGE
from tests.benchmarks.scoring_shots import ShotScore


def detectors() -> dict[str, Config]:
    """All by name; TransNetV2 where its weights are installed."""
    known = {"adaptive": Config(), "content": Config(shots="content")}
    with suppress(EngineError):
        check_transnet()
        known["transnetv2"] = Config(shots="transnetv2")
    return known


def starts_by(video: Path, configs: Mapping[str, Config]) -> dict[str, list[int]]:
    """First frames of the shots (without frame 0) that each finds in a video, shown what an index shows it."""
    known = probe(video)
    scale = Scan(known.width, known.height, 25.0, 1, 1, 1, Config()).scale
    size = round(known.width / scale), round(known.height / scale)
    detectors_by_name = {name: shot_detector(known.frame_rate, config) for name, config in configs.items()}
    for frame in read_frames(known, DecodeLog()):
        tiny = (frame.small(frame.grey(*size)) or frame).image(*THUMBNAIL_SIZE)
        for detector in detectors_by_name.values():
            detector.push(frame.index, frame.seconds, tiny)
    for detector in detectors_by_name.values():
        detector.finish()
    return {name: detector.cuts() for name, detector in detectors_by_name.items()}


def row(name: str, score: ShotScore) -> dict[str, Any]:
    """A detector's line."""
    events = sum(score.there.get(kind, 0) for kind in NO_CHANGE)
    return {
        "--shots": name,
        "hard cuts: recall": score.recall("cut"),
        "precision": score.precision,
        "gradual: recall": score.recall(*GRADUAL),
        "taken for a change": f"{sum(score.fooled.values())} of {events}",
        "surplus": len(score.surplus),
    }
