"""Scene changes by PySceneDetect's own detectors: by content alone, or by the network TransNetV2.

They are looser than the default (adaptive.py): a flash may count as a cut, and where a gradual transition begins and
ends is not known.

Soucek and Lokoc, "TransNet V2: An effective deep network architecture for fast shot transition detection", 2020.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from fractions import Fraction
from pathlib import Path

import numpy as np
from scenedetect import FrameTimecode
from scenedetect.detector import SceneDetector
from scenedetect.detectors import ContentDetector
from scenedetect.detectors.transnet_v2 import TransnetV2Detector

from facereel.indexer.engines.devices import CPU, session_options
from facereel.indexer.engines.runtime import onnxruntime
from facereel.indexer.machine import cores
from facereel.indexer.shots.transnet import transnet_model
from facereel.store.files.names import printable
from facereel.store.model.errors import OptionError
from facereel.store.model.records import Image

_TRANSNET_INPUT = [100, 27, 48, 3]  # frames, height, width, colours of one input of TransNetV2
# TransNetV2 answers for 50 frames of its window of 100 once the window after it is full.
_TRANSNET_DELAY = 150


class PySceneDetectShots:
    """One of PySceneDetect's detectors behind the interface of detector.ShotDetector."""

    knows_transitions = False

    def __init__(
        self, detector: SceneDetector, frame_rate: Fraction, delay: int, offset: int = 0, rgb: bool = False
    ) -> None:
        """`delay`: frames until an answer is final; `offset`: what must be added to the detector's cuts, frames.

        `rgb`: the detector takes pictures in that order of colours, not as BGR.
        """
        self._detector, self._delay, self._offset, self._rgb = detector, delay, offset, rgb
        self._rate = float(max(frame_rate, Fraction(1)))
        self._next = 0
        self._over = False
        self._cuts: list[int] = []  # ascending

    @property
    def final_before(self) -> int:
        """Answers about frames before this one no longer change."""
        return self._next if self._over else max(0, self._next - self._delay)

    def push(self, index: int, seconds: float, thumbnail: Image) -> None:
        """Take the next frame as a BGR picture of THUMBNAIL_SIZE; its time is not used."""
        picture = np.ascontiguousarray(thumbnail[..., ::-1]) if self._rgb else thumbnail
        self._add(self._detector.process_frame(self._timecode(index), picture))
        self._next = index + 1

    def finish(self) -> None:
        """No more frames will come: all answers are final."""
        if self._next:
            self._add(self._detector.post_process(self._timecode(self._next - 1)))
            # TransNetV2 pads its last window with black, and reports a cut there.
            self._cuts = [cut for cut in self._cuts if cut < self._next - 1]
        self._over = True

    def cuts(self) -> list[int]:
        """First frames of the shots that are final, without frame 0."""
        return [cut for cut in self._cuts if cut < self.final_before]

    def shot_of(self, index: int) -> int:
        """Number of the shot of a frame before `final_before`, from 0."""
        return bisect_right(self._cuts, index)

    def in_transition(self, index: int, margin: int = 0) -> bool:
        """Always False: these detectors report no gradual transitions."""
        return False

    def _timecode(self, index: int) -> FrameTimecode:
        return FrameTimecode(index, fps=self._rate)

    def _add(self, cuts: list[FrameTimecode]) -> None:
        for cut in cuts:
            first = cut.frame_num + self._offset
            if first and first not in self._cuts:
                insort(self._cuts, first)


def content_shots(frame_rate: Fraction) -> PySceneDetectShots:
    """Cuts by the change of colour and light from frame to frame."""
    return PySceneDetectShots(ContentDetector(min_scene_len=0), frame_rate, delay=1)


def transnet_shots(frame_rate: Fraction, model: str) -> PySceneDetectShots:
    """Cuts by TransNetV2, from an ONNX file or, with no name, from the installed weights.

    Raises OptionError for a file that cannot be used, and the errors of transnet_model.
    """
    # TransNetV2 reports the last frame before a cut.
    return PySceneDetectShots(
        _transnet(model or str(transnet_model())), frame_rate, _TRANSNET_DELAY, offset=1, rgb=True
    )


def _transnet(model: str) -> TransnetV2Detector:
    if not Path(model).is_file():
        raise OptionError(f"--shots-model {printable(model)} is not there; check the name")
    try:
        # A minimum length of shots would lose the first cut.
        detector = TransnetV2Detector(model, onnx_providers=[CPU], min_scene_len=0)
        # Its own session uses as many threads as the machine has cores, whatever the container allows.
        chosen = session_options()
        chosen.intra_op_num_threads = cores()
        session = onnxruntime.InferenceSession(model, chosen, providers=[CPU])
    except Exception as error:  # whatever ONNX Runtime raises for a file that is no model
        raise OptionError(f"--shots-model {printable(model)} is no ONNX model; give TransNetV2's") from error
    _check_signature(session, model)
    detector.predictor.session = session
    return detector


def _check_signature(session: onnxruntime.InferenceSession, model: str) -> None:
    given, outputs = session.get_inputs()[0], [output.name for output in session.get_outputs()]
    if (given.name, given.type, given.shape[1:]) != (
        "input",
        "tensor(uint8)",
        _TRANSNET_INPUT,
    ) or "output" not in outputs:
        raise OptionError(
            f"--shots-model {printable(model)} is not TransNetV2: "
            f"it takes {given.type} {given.shape} as {given.name!r}, not tensor(uint8) [N, 100, 27, 48, 3] as 'input'"
        )
