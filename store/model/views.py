"""From which side tracklets show a face, if they show one: one rule for clusters, contact sheet and --json."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

import numpy as np

# `none`: no crop shows a clear face. It may be a head from behind or half out of the picture, or no person at all: a
# pot, a lamp, a hand. Indexing drops such tracklets; where `reembed` asks another landmark model they may come up.
View: TypeAlias = Literal["frontal", "profile", "none"]

# Mean of the highest and the average face probability of a tracklet's crops from which on it shows a face. On the 13
# films with footage the six objects that were tracked reach 0.48; of the tracklets of people in their truths the lowest
# has 0.53 (a head thrown forward), the next 0.67. Heads from behind, deep profiles and faces in the dark lie on both
# sides: those below are lost with the objects, about 25 heads in these films, none of whom a photo would find.
_MIN_FACE_PROBABILITY = 0.5
# Below this width, pixels, the landmark model was not measured; true faces of 9 to 11 px get 0.35 to 0.6.
_MIN_WIDTH = 12.0
# Frontality from which on a face is not in profile; query/search/matching.py calls less `from the side`.
_MIN_FRONTALITY = 0.25


def shows_face(face_width: float, face_probabilities: Sequence[float | None]) -> bool:
    """Do crops of these probabilities show a face? Yes where no landmark model was asked; the width is in pixels."""
    known = [value for value in face_probabilities if value is not None]
    if not known or face_width < _MIN_WIDTH:
        return True
    return (max(known) + float(np.mean(known))) / 2 >= _MIN_FACE_PROBABILITY


def view_of(shown: Sequence[float]) -> View:
    """The view of the frontalities of crops that show a face; `none` without any."""
    if not shown:
        return "none"
    return "frontal" if max(shown) >= _MIN_FRONTALITY else "profile"
