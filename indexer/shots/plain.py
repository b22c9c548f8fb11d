"""Scene changes as PySceneDetect finds them by itself: by content alone, or by the network TransNetV2.

They answer the same questions as indexer/shots/detector.py, whose detector is the default and stricter: here a
flash may be a cut, and nothing is known of what a gradual change mixes.

Soucek and Lokoc, "TransNet V2: An effective deep network architecture for fast shot transition detection", 2020.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from fractions import Fraction
from pathlib import Path
from typing import Protocol

from onnxruntime import InferenceSession
from scenedetect import FrameTimecode
from scenedetect.detector import SceneDetector
from scenedetect.detectors import ContentDetector
from scenedetect.detectors.transnet_v2 import TransnetV2Detector

from facereel.indexer.engines.devices import CPU, disable_telemetry, options
from facereel.indexer.machine import cores
from facereel.indexer.shots.detector import ShotDetector
from facereel.store.files.folders import printable
from facereel.store.model.config import Config
from facereel.store.model.errors import OptionError
from facereel.store.model.records import Image

SHOTS = ("adaptive", "content", "transnetv2")
_SHAPE = [100, 27, 48, 3]  # pictures, height, width, colours of what TransNetV2 looks at
# It answers for half of a hundred pictures once the next hundred is full.
_TRANSNET_DELAY = 150


class Shots(Protocol):
    """What finds scene changes in frames that are pushed one by one."""

    @property
    def settled(self) -> int:
        """Frames before this one belong to shots whose start is known."""
        ...

    def push(self, index: int, tiny: Image) -> None:
        """Take the next frame as a BGR picture of TINY size."""
        ...

    def finish(self) -> None:
        """No more frames will come: everything is settled."""
        ...

    def cuts(self) -> list[int]:
        """First frames of the settled shots, without frame 0."""
        ...

    def shot_of(self, index: int) -> int:
        """Number of the shot that a settled frame belongs to, from 0."""
        ...

    def mixed(self, index: int, margin: int = 0) -> bool:
        """Does a settled frame lie inside a gradual change, or that many frames beside one?"""
        ...


class PlainShots:
    """One of PySceneDetect's detectors, asked picture by picture."""

    def __init__(self, detector: SceneDetector, frame_rate: Fraction, delay: int, early: int = 0) -> None:
        """`delay`: frames until an answer is final; `early`: by how many frames the detector's cuts are too early."""
        self._detector, self._delay, self._early = detector, delay, early
        self._rate = float(max(frame_rate, Fraction(1)))
        self._next = 0
        self._over = False
        self._cuts: list[int] = []  # in order

    @property
    def settled(self) -> int:
        """Frames before this one belong to shots whose start is known."""
        return self._next if self._over else max(0, self._next - self._delay)

    def push(self, index: int, tiny: Image) -> None:
        """Take the next frame as a BGR picture."""
        self._add(self._detector.process_frame(self._timecode(index), tiny))
        self._next = index + 1

    def finish(self) -> None:
        """No more frames will come: everything is settled."""
        if self._next:
            self._add(self._detector.post_process(self._timecode(self._next - 1)))
            # TransNetV2 takes the black that fills up its last hundred for a change.
            self._cuts = [cut for cut in self._cuts if cut < self._next - 1]
        self._over = True

    def cuts(self) -> list[int]:
        """First frames of the settled shots, without frame 0."""
        return [cut for cut in self._cuts if cut < self.settled]

    def shot_of(self, index: int) -> int:
        """Number of the shot that a settled frame belongs to, from 0."""
        return bisect_right(self._cuts, index)

    def mixed(self, index: int, margin: int = 0) -> bool:
        """Does a frame lie inside a gradual change? These detectors do not say."""
        return False

    def _timecode(self, index: int) -> FrameTimecode:
        return FrameTimecode(index, fps=self._rate)

    def _add(self, found: list[FrameTimecode]) -> None:
        for cut in found:
            first = cut.frame_num + self._early
            if first and first not in self._cuts:
                insort(self._cuts, first)


def shot_detector(frame_rate: Fraction, config: Config) -> Shots:
    """The detector that is asked for; raises OptionError for an unknown one or a model that cannot be used."""
    if config.shots not in SHOTS:
        raise OptionError(f"shots {config.shots!r} is unknown; use one of {', '.join(SHOTS)}")
    if config.shots == "transnetv2":
        # It marks the last picture before a change.
        return PlainShots(_transnet(config.shots_model), frame_rate, _TRANSNET_DELAY, early=1)
    if config.shots_model:
        raise OptionError(
            f"--shots-model {printable(config.shots_model)} is for --shots transnetv2; add that"
        )
    if config.shots == "content":
        return PlainShots(ContentDetector(min_scene_len=0), frame_rate, delay=1)
    return ShotDetector(frame_rate)


def check_shots(config: Config) -> None:
    """Raise OptionError now, rather than for every video, when the detector that is asked for cannot be used."""
    shot_detector(Fraction(25), config)


def _transnet(model: str) -> TransnetV2Detector:
    if not model:
        raise OptionError("--shots transnetv2 needs its weights as ONNX; add --shots-model FILE.onnx")
    if not Path(model).is_file():
        raise OptionError(f"--shots-model {printable(model)} is not there; check the name")
    disable_telemetry()
    try:
        # Without a least length of shots: its filter loses the first cut.
        detector = TransnetV2Detector(model, onnx_providers=[CPU], min_scene_len=0)
        # Its own session asks the machine how many cores there are, not the container.
        chosen = options()
        chosen.intra_op_num_threads = cores()
        detector.predictor.session = InferenceSession(model, chosen, providers=[CPU])
    except Exception as error:  # whatever ONNX Runtime makes of a file that is no model
        raise OptionError(f"--shots-model {printable(model)} is no ONNX model; give TransNetV2's") from error
    session = detector.predictor.session
    (taken,), given = session.get_inputs()[:1], [output.name for output in session.get_outputs()]
    if (taken.name, taken.type, taken.shape[1:]) != (
        "input",
        "tensor(uint8)",
        _SHAPE,
    ) or "output" not in given:
        raise OptionError(
            f"--shots-model {printable(model)} is not TransNetV2: "
            f"it takes {taken.type} {taken.shape} as {taken.name!r}, not tensor(uint8) [N, 100, 27, 48, 3] as 'input'"
        )
    return detector
