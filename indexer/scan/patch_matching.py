"""The cheap witness: is the face of this patch still to be seen at that place of another picture?

It tells a detector's miss on a face that is plainly there from a face that something covers. Pure functions on grey
pictures; boxes are x, y, w, h in pixels of the picture.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from facereel.store.model.records import Floats, Grey

PATCH = 32  # side of a face patch, pixels
_MARGIN = 8  # how far the face may have moved from the place asked for, pixels of the patch
_BLOCK = 8
CLEAR_NCC = 0.9  # correlation at which the parts need not be asked one by one
# A block without structure (cheek, shadow) proves nothing: skin-coloured things look like it.
_STRUCTURE = 3.0  # standard deviation of grey levels
_BLOCK_ALIKE = 0.55  # correlation of a block with its counterpart
# A wall in shadow correlates with a face by its slope of light alone, but has not its contrast.
_PLAIN = 0.4
# Measured on rendered occlusions and films, up to eight frames apart: of faces at least half to be seen 19 in 20 keep
# a share of 0.5; of 100 fully covered places one reaches 0.45. Whole patches of other faces correlate by 0.73 at most;
# the edge of a cover with a brightly lit face by 0.79.
SHARE_VISIBLE = 0.5
WHOLE_VISIBLE = 0.8  # correlation of whole patches


@dataclass(frozen=True, slots=True)
class PatchMatch:
    """What the witness says of one place in one picture."""

    block_share: float  # of the face's structured blocks that are still there, 0..1
    ncc: float  # correlation of the whole patch, -1..1; 0 where the picture is plain
    shift: tuple[
        float, float
    ]  # where the face lies beside the place asked for, in widths and heights of the box

    @property
    def visible(self) -> bool:
        return self.block_share >= SHARE_VISIBLE or self.ncc >= WHOLE_VISIBLE


def take_patch(grey: Grey, box: Floats, margin: int = 0) -> Grey:
    """The picture inside a box (4,) as a square patch; `margin` adds that many patch pixels on each side.

    Outside the picture the edge is repeated.
    """
    x, y, w, h = (float(value) for value in box)
    side = PATCH + 2 * margin
    step_x, step_y = w / PATCH, h / PATCH
    left, top = x - margin * step_x, y - margin * step_y
    # Averaging first keeps a large face from being sampled at single pixels.
    factor = int(min(step_x, step_y))
    if factor >= 2:
        x0, y0 = max(0, int(left) - factor), max(0, int(top) - factor)
        part = grey[y0 : int(top + side * step_y) + 2 * factor, x0 : int(left + side * step_x) + 2 * factor]
        columns, rows = part.shape[1] // factor, part.shape[0] // factor
        if columns and rows:
            part = part[: rows * factor, : columns * factor]
            grey = np.asarray(cv2.resize(part, (columns, rows), interpolation=cv2.INTER_AREA), np.uint8)
            left, top = (left - x0) / factor, (top - y0) / factor
            step_x, step_y = step_x / factor, step_y / factor
    matrix = np.array(
        [[step_x, 0, left + step_x / 2 - 0.5], [0, step_y, top + step_y / 2 - 0.5]], dtype=np.float32
    )
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(
        cv2.warpAffine(grey, matrix, (side, side), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    )


def ncc(a: Grey, b: Grey) -> float:
    """Correlation of two patches as they are, -1..1."""
    one, other = a.astype(np.float32).ravel(), b.astype(np.float32).ravel()
    one -= one.mean()
    other -= other.mean()
    return float(one @ other / max(float(np.sqrt((one @ one) * (other @ other))), 1.0))


def match_patch(patch: Grey, grey: Grey, box: Floats) -> PatchMatch:
    """Hold a face's patch against a picture at a box, a little beside it if need be."""
    region = take_patch(grey, box, _MARGIN)
    scores = cv2.matchTemplate(region, patch, cv2.TM_CCOEFF_NORMED)
    _, whole, _, (dx, dy) = cv2.minMaxLoc(scores)
    if whole >= CLEAR_NCC:
        return PatchMatch(1.0, float(whole), ((dx - _MARGIN) / PATCH, (dy - _MARGIN) / PATCH))
    found = region[dy : dy + PATCH, dx : dx + PATCH]
    if float(found.std()) < max(_PLAIN * float(patch.std()), 1.0):
        whole = 0.0
    still = region[_MARGIN : _MARGIN + PATCH, _MARGIN : _MARGIN + PATCH]
    # With most of the face covered, the best shift follows the cover: the unshifted place counts too.
    share, unmoved = _share(patch, found), _share(patch, still)
    if unmoved > share:
        return PatchMatch(unmoved, float(whole), (0.0, 0.0))
    return PatchMatch(share, float(whole), ((dx - _MARGIN) / PATCH, (dy - _MARGIN) / PATCH))


def _share(patch: Grey, found: Grey) -> float:
    """Share of the patch's structured blocks that correlate with the same blocks found, 0 when there are too few."""
    a, b = _blocks(patch), _blocks(found)
    a -= a.mean(axis=1, keepdims=True)
    b -= b.mean(axis=1, keepdims=True)
    deviation_a, deviation_b = np.sqrt((a * a).mean(axis=1)), np.sqrt((b * b).mean(axis=1))
    structured = deviation_a > max(_STRUCTURE, _PLAIN * float(patch.std()))
    if structured.sum() < 3:
        return 0.0
    correlation = (a * b).mean(axis=1) / np.maximum(deviation_a * deviation_b, 1.0)
    alike = (correlation > _BLOCK_ALIKE) & (deviation_b > _PLAIN * deviation_a)
    return float(alike[structured].mean())


def _blocks(patch: Grey) -> Floats:
    count = PATCH // _BLOCK
    blocks = patch.astype(np.float32).reshape(count, _BLOCK, count, _BLOCK).swapaxes(1, 2)
    return np.asarray(blocks.reshape(count * count, _BLOCK * _BLOCK))
