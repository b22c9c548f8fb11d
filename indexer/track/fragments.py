"""A face behind something narrow, such as a lamp post or a microphone: the detector sees a fragment on either side."""

from __future__ import annotations

from collections.abc import Sequence

from facereel.indexer.track.association import iou, overlap_of_smaller
from facereel.store.model.records import Box

_MAX_WIDTH = 0.85  # of a fragment, in widths of the face
_MIN_INSIDE = 0.6  # share of a fragment inside the face's box
_MAX_OVERLAP = 0.4  # of two fragments, as a share of the smaller
_MIN_IOU = 0.5  # of the box around two fragments with the face's box


def fragments_of(face: Box, boxes: Sequence[Box]) -> list[int]:
    """Which of the boxes are fragments of a face, whose unoccluded box this is: one, two or none."""
    left, right, widest = face[0], face[0] + face[2], _MAX_WIDTH * face[2]
    parts = [
        part
        for part, (x, _, w, _) in enumerate(boxes)
        # A cheap first look: a narrow box that lies mostly inside the face has its middle there.
        if w < widest and left < x + w / 2 < right and overlap_of_smaller(face, boxes[part]) > _MIN_INSIDE
    ]
    return parts if len(parts) < 2 or _are_complete([boxes[part] for part in parts], face) else []


def _are_complete(parts: Sequence[Box], face: Box) -> bool:
    """Are the parts two that lie apart and together make up the face?"""
    return (
        len(parts) == 2
        and overlap_of_smaller(*parts) <= _MAX_OVERLAP
        and iou(bounding_box(parts), face) > _MIN_IOU
    )


def bounding_box(boxes: Sequence[Box]) -> Box:
    """The smallest box that holds the boxes."""
    x, y = min(box[0] for box in boxes), min(box[1] for box in boxes)
    return x, y, max(box[0] + box[2] for box in boxes) - x, max(box[1] + box[3] for box in boxes) - y
