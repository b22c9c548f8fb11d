"""Patch matching: is the face of this patch still visible at that place of another picture?

A cheap check that tells a face that the detector missed from a face that something covers. It compares grey levels by
normalised cross-correlation (NCC) of the whole patch and of blocks of it, so that a face that is partly covered still
counts as visible. Pure functions; boxes are x y w h in pixels of the grey picture.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from facereel.store.model.records import Floats, Grey

PATCH = 32  # side of a face patch, pixels
_MARGIN = 8  # how far beside the box the face is searched for, pixels of the patch
_BLOCK = 8  # side of a block, pixels of the patch
MIN_NCC_CLEAR = 0.9  # NCC of the whole patch from which on its blocks need not be compared
# A block without structure (a cheek, a shadow) is ignored: it correlates with anything that has the colour of skin.
_MIN_BLOCK_DEVIATION = 3.0  # standard deviation, grey levels
_MIN_BLOCK_NCC = 0.55
# A slope of light on a wall correlates with a face, but with less contrast than this share of the face's.
_MIN_CONTRAST = 0.4
# A face counts as visible from one of these values on. Measured on rendered occlusions and films, up to a third of a
# second apart: of faces at least half visible, 19 in 20 keep half of their blocks; of 100 fully covered places, the
# highest share is 0.45. The NCC of other faces at the same place reaches 0.73; that of the edge of a cover with a face
# lit from one side, 0.79.
MIN_BLOCK_SHARE = 0.5
MIN_NCC_VISIBLE = 0.8


@dataclass(frozen=True, slots=True)
class PatchMatch:
    """How a face's patch compares with one place of one picture."""

    block_share: float  # share of the face's structured blocks that correlate, 0..1
    ncc: float  # of the whole patch, -1..1; 0 where the picture has too little contrast for a face
    shift: tuple[float, float]  # from the box to the best match, in widths and heights of the box

    @property
    def visible(self) -> bool:
        """Can at least part of the face be seen?"""
        return self.block_share >= MIN_BLOCK_SHARE or self.ncc >= MIN_NCC_VISIBLE


def take_patch(grey: Grey, box: Floats, margin: int = 0) -> Grey:
    """The picture inside a box (4,) as a patch (PATCH, PATCH); `margin` adds that many patch pixels on each side.

    Outside the picture its edge is repeated.
    """
    x, y, w, h = (float(value) for value in box)
    side = PATCH + 2 * margin
    step_x, step_y = w / PATCH, h / PATCH
    left, top = x - margin * step_x, y - margin * step_y
    # A large face is averaged down first: sampling single pixels of it would pick up noise.
    factor = int(min(step_x, step_y))
    if factor >= 2:
        x0, y0 = max(0, int(left) - factor), max(0, int(top) - factor)
        region = grey[y0 : int(top + side * step_y) + 2 * factor, x0 : int(left + side * step_x) + 2 * factor]
        columns, rows = region.shape[1] // factor, region.shape[0] // factor
        if columns and rows:
            region = region[: rows * factor, : columns * factor]
            grey = np.asarray(cv2.resize(region, (columns, rows), interpolation=cv2.INTER_AREA), np.uint8)
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
    """Normalised cross-correlation of two patches without any shift, -1..1."""
    one, other = a.astype(np.float32).ravel(), b.astype(np.float32).ravel()
    one -= one.mean()
    other -= other.mean()
    return float(one @ other / max(float(np.sqrt((one @ one) * (other @ other))), 1.0))


def match_patch(patch: Grey, grey: Grey, box: Floats) -> PatchMatch:
    """Compare a face's patch with a picture at a box (4,) and up to _MARGIN patch pixels beside it."""
    region = take_patch(grey, box, _MARGIN)
    scores = cv2.matchTemplate(region, patch, cv2.TM_CCOEFF_NORMED)
    _, best_ncc, _, (dx, dy) = cv2.minMaxLoc(scores)
    shift = (dx - _MARGIN) / PATCH, (dy - _MARGIN) / PATCH
    if best_ncc >= MIN_NCC_CLEAR:
        return PatchMatch(1.0, float(best_ncc), shift)
    shifted = region[dy : dy + PATCH, dx : dx + PATCH]
    if float(shifted.std()) < max(_MIN_CONTRAST * float(patch.std()), 1.0):
        best_ncc = 0.0
    unshifted = region[_MARGIN : _MARGIN + PATCH, _MARGIN : _MARGIN + PATCH]
    # When a cover hides most of the face, the best shift follows the cover: so the box itself is compared as well.
    shifted_share, unshifted_share = _block_share(patch, shifted), _block_share(patch, unshifted)
    if unshifted_share > shifted_share:
        return PatchMatch(unshifted_share, float(best_ncc), (0.0, 0.0))
    return PatchMatch(shifted_share, float(best_ncc), shift)


def _block_share(patch: Grey, other: Grey) -> float:
    """Share of the patch's structured blocks that correlate with those of another; 0 when fewer than three have
    structure."""
    a, b = _blocks(patch), _blocks(other)
    a -= a.mean(axis=1, keepdims=True)
    b -= b.mean(axis=1, keepdims=True)
    deviation_a, deviation_b = np.sqrt((a * a).mean(axis=1)), np.sqrt((b * b).mean(axis=1))
    structured = deviation_a > max(_MIN_BLOCK_DEVIATION, _MIN_CONTRAST * float(patch.std()))
    if structured.sum() < 3:
        return 0.0
    block_ncc = (a * b).mean(axis=1) / np.maximum(deviation_a * deviation_b, 1.0)
    equal = (block_ncc > _MIN_BLOCK_NCC) & (deviation_b > _MIN_CONTRAST * deviation_a)
    return float(equal[structured].mean())


def _blocks(patch: Grey) -> Floats:
    """A patch as rows of its blocks: (16, 64)."""
    count = PATCH // _BLOCK
    blocks = patch.astype(np.float32).reshape(count, _BLOCK, count, _BLOCK).swapaxes(1, 2)
    return np.asarray(blocks.reshape(count * count, _BLOCK * _BLOCK))
