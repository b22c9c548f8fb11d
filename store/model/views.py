"""From which side tracklets show a face, if they show one: one rule for clusters, contact sheet and --json."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from facereel.store.model.records import Floats

# `none`: no crop shows a clear face. It may be a head from behind or half out of the picture, or no person at all: a
# pot, a lamp, a hand. Indexing drops such tracklets; where `reembed` asks another landmark model they may come up.
View: TypeAlias = Literal["frontal", "profile", "none"]

# Mean of the highest and the average face probability of a tracklet's crops from which on it shows a face. On the 13
# films with footage the six objects that were tracked reach 0.48; of the tracklets of people in their truths the lowest
# has 0.53 (a head thrown forward), the next 0.67. Heads from behind, deep profiles and faces in the dark lie on both
# sides: those below are lost with the objects, about 25 heads in these films, none of whom a photo would find.
_MIN_FACE_PROBABILITY = 0.5
# The same mean from which on a tracklet may match by its cluster alone: it keeps heads from behind out of clips, not
# only objects out of the index. On the sitcom, with three crops of each and with six, a head turned away reaches 0.676;
# of people in its truths two who look aside for long have 0.689 and 0.698, the next 0.82.
_MIN_MATCHING_PROBABILITY = 0.68
# Below this width, pixels, the landmark model was not measured; true faces of 9 to 11 px get 0.35 to 0.6.
_MIN_WIDTH = 12.0
# Frontality from which on a face is not in profile.
MIN_FRONTALITY = 0.25


def shows_face(face_width: float, face_probabilities: Sequence[float | None]) -> bool:
    """Do crops of these probabilities show a face? Yes where no landmark model was asked; the width is in pixels."""
    known = [value for value in face_probabilities if value is not None]
    if not known or face_width < _MIN_WIDTH:
        return True
    return pooled_probability(known) >= _MIN_FACE_PROBABILITY


def pooled_probability(face_probabilities: Sequence[float] | NDArray[np.float64]) -> float:
    """The mean of the highest and the average face probability of one or more crops of a tracklet."""
    return (float(np.max(face_probabilities)) + float(np.mean(face_probabilities))) / 2


def match_by_cluster(face_widths: Floats, face_probabilities: Floats) -> NDArray[np.bool_]:
    """Do T tracklets show enough of a face to match by their clusters? (T,) widths in pixels, pooled probabilities."""
    return np.asarray((face_widths < _MIN_WIDTH) | (face_probabilities >= _MIN_MATCHING_PROBABILITY))


def view_of(shown: Sequence[float]) -> View:
    """The view of the frontalities of crops that show a face; `none` without any."""
    if not shown:
        return "none"
    return "frontal" if max(shown) >= MIN_FRONTALITY else "profile"
