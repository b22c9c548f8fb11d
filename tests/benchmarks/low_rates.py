"""Footage at a low frame rate: every n-th frame of a film, and the truth of those frames."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from facereel.store.model.records import Image
from tests.benchmarks.encode import write_video

RATES = (6, 3, 1)  # frames a second, of which the nearest that a whole step gives is taken


def step_to(rate: float, frame_rate: Fraction) -> int:
    """Of how many frames one stays, so that about `rate` a second are left."""
    return max(1, round(float(frame_rate) / rate))


def write_every(video: Path, step: int, target: Path) -> Path:
    """Write every `step`-th frame of a film, shown for as much longer, nearly without loss."""
    with av.open(str(video)) as container:
        rate = Fraction(container.streams.video[0].average_rate or 25)
    write_video(target, _every(video, step), rate / step, options={"crf": "10"})
    return target


def truth_of_every(truth: dict[str, Any], step: int) -> dict[str, Any]:
    """The truth of a film of which every `step`-th frame is left."""

    def first(frame: int) -> int:
        return -(-frame // step)  # the first frame left that is not before this one

    def spans(ranges: list[list[int]]) -> list[list[int]]:
        return [[first(start), first(end)] for start, end in ranges if first(start) < first(end)]

    def boxes(frames: dict[str, Any]) -> dict[str, Any]:
        return {str(int(frame) // step): box for frame, box in frames.items() if int(frame) % step == 0}

    people = {
        name: person
        | {"frames": boxes(person["frames"]), "may": spans(person["may"]), "hidden": spans(person["hidden"])}
        for name, person in truth["people"].items()
    }
    left = first(truth["frames"])
    return truth | {
        "frames": left,
        "shots": sorted({first(cut) for cut in truth["shots"] if first(cut) < left}),
        "unsure_cuts": sorted({first(cut) for cut in truth["unsure_cuts"]}),
        "ghost_frames": [frame // step for frame in truth["ghost_frames"] if frame % step == 0],
        "people": people,
    }


def _every(video: Path, step: int) -> Iterator[Image]:
    with av.open(str(video)) as container:
        for number, frame in enumerate(container.decode(video=0)):
            if number % step == 0:
                yield np.asarray(frame.to_ndarray(format="bgr24"), np.uint8)
