"""A model of active speakers of LR-ASD's shape, an ONNX file that the user has.

It takes MFCC (1, 4 T, 13) and grey faces (1, T, 112, 112), 0 to 255, as float32 for any T, in inputs of any names, and
gives a score for each of T pictures: above 0 mouth and sound agree. Liao et al., "LR-ASD: Lightweight and robust
network for active speaker detection", 2025, and "A light weight model for active speaker detection", 2023 (Light-ASD).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from facereel.indexer.engines.devices import CPU, session_options
from facereel.query.speaking.mfcc import COEFFICIENTS
from facereel.query.speaking.mouths import RATE, SIDE
from facereel.store.files.names import printable
from facereel.store.model.errors import OptionError
from facereel.store.model.records import Floats, Grey

if TYPE_CHECKING:
    from facereel.indexer.engines.runtime import onnxruntime

STEPS = 4  # of sound for a picture
# Seconds of the pieces in which a clip is scored, one length after the other; the mean counts. So Light-ASD does it
# (`durationSet`), because the model knows only what is in a piece.
_PIECES = (1, 2, 3, 4, 5, 6)
_NEIGHBOURS = 2  # on either side, over whose scores a picture's is the mean, as Light-ASD draws them


class SpeakerModel:
    """Scores how well mouth and sound agree."""

    def __init__(self, path: Path) -> None:
        """Load it; raises OptionError for a file that is no such model."""
        from facereel.indexer.engines.runtime import onnxruntime

        self._path = path
        if not path.is_file():
            raise OptionError(f"--speaking {printable(path)} is not there; check the name")
        try:
            self._session = onnxruntime.InferenceSession(str(path), session_options(), providers=[CPU])
        except Exception as error:  # whatever ONNX Runtime raises for a file that is no model
            raise OptionError(
                f"--speaking {printable(path)} is no ONNX model; give one of LR-ASD's shape"
            ) from error
        self._sound, self._faces = self._inputs(self._session)

    def scores(self, sound: Floats, faces: Grey) -> Floats:
        """A score (T,) for each of T pictures, of MFCC (4 T, 13) and faces (T, 112, 112); raises OptionError."""
        total = np.zeros(len(faces), np.float64)
        for seconds in _PIECES:
            for start in range(0, len(faces), RATE * seconds):
                end = start + RATE * seconds
                total[start:end] += self._run(sound[STEPS * start : STEPS * end], faces[start:end])
        padded = np.pad(total / len(_PIECES), _NEIGHBOURS, mode="edge")
        windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * _NEIGHBOURS + 1)
        return np.asarray(windows.mean(axis=1), np.float32)

    def _run(self, sound: Floats, faces: Grey) -> Floats:
        given = {self._sound: sound[None], self._faces: faces[None].astype(np.float32)}
        try:
            scores = np.asarray(self._session.run(None, given)[0], np.float32).ravel()
        except Exception as error:  # whatever ONNX Runtime raises for shapes that do not fit
            raise OptionError(
                f"--speaking {printable(self._path)} does not take {len(faces)} pictures; export it for any number"
            ) from error
        if len(scores) != len(faces):
            raise OptionError(
                f"--speaking {printable(self._path)} gives {len(scores)} scores for {len(faces)} pictures; "
                "export it with one a picture"
            )
        return scores

    def _inputs(self, session: onnxruntime.InferenceSession) -> tuple[str, str]:
        """The names of the inputs for sound and faces."""
        found = session.get_inputs()
        by_shape = {tuple(each.shape[2:]): each.name for each in found if each.type == "tensor(float)"}
        sound, faces = by_shape.get((COEFFICIENTS,)), by_shape.get((SIDE, SIDE))
        if len(found) != 2 or sound is None or faces is None:
            given = ", ".join(f"{each.type} {each.shape}" for each in found)
            raise OptionError(
                f"--speaking {printable(self._path)} is not of LR-ASD's shape: it takes {given}, not "
                f"tensor(float) [1, 4 T, {COEFFICIENTS}] and tensor(float) [1, T, {SIDE}, {SIDE}]"
            )
        return sound, faces
