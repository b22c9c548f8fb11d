"""What is known of one frame, without its full pixels."""

from __future__ import annotations

from dataclasses import dataclass

from facereel.store.model.records import Faces, Grey, Image


@dataclass(frozen=True, slots=True, eq=False)
class FrameView:
    """What was seen in one frame, without the frame itself."""

    index: int
    faces: Faces  # pixels of the displayed picture
    searched: bool  # by the detector; else the faces follow from those of the frames around it
    continues: bool  # the same faces in the same order as in the frame before
    crops: tuple[
        Image | None, ...
    ]  # aligned, cut from the full picture, one a face; None where it gives no look
    grey: Grey  # the picture that was searched
    scale: float  # displayed pixels a pixel of grey
    thumbnail: Image  # for the scene changes
