"""Patch matching: is the face of this patch still visible at that place of another picture?

A cheap check that tells a face that the detector missed from a face that something covers. It compares grey levels by
normalised cross-correlation (NCC) of the whole patch and of blocks of it, so that a face that is partly covered still
counts as visible. Pure functions; boxes are x y w h in pixels of the grey picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from facereel.store.model.records import Floats, Grey

PATCH = 32  # side of a face patch, pixels
_MARGIN = 8  # how far beside the box the face is searched for, pixels of the patch
_BLOCK = 8  # side of a block, pixels of the patch
MIN_NCC_CLEAR = 0.9  # NCC of the whole patch from which on the face is plainly there
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


class Patch:
    """A small picture of a face, and what its comparisons need: computed once, when first asked for."""

    def __init__(self, grey: Grey, row: Floats | None = None) -> None:
        """Its grey levels (PATCH, PATCH); its row where it is known."""
        self.grey = grey
        self._row = row

    @property
    def row(self) -> Floats:
        """Its grey levels with mean 0 and length 1 (PATCH * PATCH,): the product of two rows is their NCC."""
        if self._row is None:
            (self._row,) = _rows(self.grey[None])
        return self._row

    @cached_property
    def deviation(self) -> float:
        """Standard deviation of its grey levels."""
        return float(cv2.meanStdDev(self.grey)[1][0, 0])

    @cached_property
    def blocks(self) -> tuple[Floats, Floats, Floats]:
        """Its grey levels (PATCH, PATCH), and of those of each block (4, 4) the mean and the standard deviation."""
        levels = np.subtract(self.grey, 128, dtype=np.float32)  # small enough for exact squares
        means = _block_means(levels)
        return levels, means, np.sqrt(np.maximum(_block_means(levels * levels) - means * means, 0))


@dataclass(frozen=True, slots=True)
class PatchMatch:
    """How a face's patch compares with one place of one picture."""

    block_share: float  # share of the face's structured blocks that correlate, 0..1; 1 where the NCC suffices
    ncc: float  # of the whole patch, -1..1; 0 where the picture has too little contrast for a face
    shift: tuple[float, float]  # from the box to the best match, in widths and heights of the box

    @property
    def visible(self) -> bool:
        """Can at least part of the face be seen?"""
        return self.block_share >= MIN_BLOCK_SHARE or self.ncc >= MIN_NCC_VISIBLE


def take_patch(grey: Grey, box: Floats) -> Patch:
    """The picture inside a box (4,) as a patch."""
    sample = np.empty((PATCH, PATCH), np.uint8)
    _sample(grey, box.tolist(), sample)
    return Patch(sample)


def take_patches(greys: Sequence[Grey], boxes: Floats) -> tuple[list[Patch], Floats]:
    """The patch of a box (N, 4) of each picture, and the rows (N, PATCH * PATCH) of all."""
    samples = np.empty((len(boxes), PATCH, PATCH), np.uint8)
    for grey, box, sample in zip(greys, boxes.tolist(), samples, strict=True):
        _sample(grey, box, sample)
    rows = _rows(samples)
    return list(map(Patch, samples, rows)), rows


def ncc(a: Patch, b: Patch) -> float:
    """Normalised cross-correlation of two patches without any shift, -1..1."""
    return float(a.row @ b.row)


def ncc_with_contrast(patch: Patch, other: Patch) -> float:
    """As ncc(); 0 where the other patch has too little contrast for the face of the first."""
    value = ncc(patch, other)
    return value if value >= MIN_NCC_CLEAR or _has_contrast(patch, other) else 0.0


def block_share(patch: Patch, other: Patch) -> float:
    """Share of the patch's structured blocks that correlate with those of another, 0..1.

    0 when fewer than three have structure.
    """
    levels, means, deviations = patch.blocks
    structured = deviations > max(_MIN_BLOCK_DEVIATION, _MIN_CONTRAST * patch.deviation)
    count = np.count_nonzero(structured)
    if count < 3:
        return 0.0
    other_levels, other_means, other_deviations = other.blocks
    covariances = _block_means(levels * other_levels) - means * other_means
    block_ncc = covariances / np.maximum(deviations * other_deviations, 1.0)
    equal = (block_ncc > _MIN_BLOCK_NCC) & (other_deviations > _MIN_CONTRAST * deviations)
    return float(np.count_nonzero(equal & structured) / count)


def match_patch(patch: Patch, grey: Grey, box: Floats, sufficient_ncc: float = MIN_NCC_VISIBLE) -> PatchMatch:
    """Compare a face's patch with a picture at a box (4,) and up to _MARGIN patch pixels beside it.

    Blocks are compared only where the NCC is lower than `sufficient_ncc`.
    """
    region, best_ncc, (dx, dy) = _best_place(patch, grey, box)
    shift = (dx - _MARGIN) / PATCH, (dy - _MARGIN) / PATCH
    if best_ncc >= sufficient_ncc:
        return PatchMatch(1.0, best_ncc, shift)
    shifted = Patch(region[dy : dy + PATCH, dx : dx + PATCH])
    unshifted = Patch(region[_MARGIN : _MARGIN + PATCH, _MARGIN : _MARGIN + PATCH])
    # When a cover hides most of the face, the best shift follows the cover: so the box itself is compared as well.
    shifted_share, unshifted_share = block_share(patch, shifted), block_share(patch, unshifted)
    if unshifted_share > shifted_share:
        return PatchMatch(unshifted_share, best_ncc, (0.0, 0.0))
    return PatchMatch(shifted_share, best_ncc, shift)


def is_beside(patch: Patch, grey: Grey, box: Floats) -> bool:
    """Is at least part of a face visible up to _MARGIN patch pixels beside a box (4,) that does not show it?"""
    region, best_ncc, (dx, dy) = _best_place(patch, grey, box)
    if best_ncc >= MIN_NCC_VISIBLE:
        return True
    return block_share(patch, Patch(region[dy : dy + PATCH, dx : dx + PATCH])) >= MIN_BLOCK_SHARE


def _best_place(patch: Patch, grey: Grey, box: Floats) -> tuple[Grey, float, tuple[int, int]]:
    """A box (4,) with _MARGIN patch pixels around it, with NCC and corner of the patch's best place there."""
    side = PATCH + 2 * _MARGIN
    region = np.empty((side, side), np.uint8)
    _sample(grey, box.tolist(), region)
    scores = cv2.matchTemplate(region, patch.grey, cv2.TM_CCOEFF_NORMED)
    _, best_ncc, _, (dx, dy) = cv2.minMaxLoc(scores)
    if best_ncc < MIN_NCC_CLEAR and not _has_contrast(patch, Patch(region[dy : dy + PATCH, dx : dx + PATCH])):
        best_ncc = 0.0
    return region, float(best_ncc), (dx, dy)


def _has_contrast(patch: Patch, other: Patch) -> bool:
    return other.deviation >= max(_MIN_CONTRAST * patch.deviation, 1.0)


def _sample(grey: Grey, box: Sequence[float], sample: Grey) -> None:
    """Fill a square sample with the picture inside a box (4,) in the size of a patch, and what is beside it.

    Where the sample is larger than a patch, it shows as much more on each side. Outside the picture its edge is
    repeated.
    """
    x, y, w, h = box
    side = len(sample)
    margin = (side - PATCH) // 2
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
    cv2.warpAffine(grey, matrix, (side, side), sample, flags, cv2.BORDER_REPLICATE)


def _rows(greys: Grey) -> Floats:
    """Rows (N, PATCH * PATCH) of N greys (N, PATCH, PATCH)."""
    rows = greys.reshape(-1, PATCH * PATCH).astype(np.float32)
    rows -= np.add.reduce(rows, axis=1, keepdims=True) / rows.shape[1]  # ndarray.mean takes twice as long
    rows /= np.maximum(np.sqrt(np.vecdot(rows, rows)), 1.0)[:, None]
    return rows


def _block_means(levels: Floats) -> Floats:
    """The mean of each block: (4, 4)."""
    side = PATCH // _BLOCK
    return np.asarray(cv2.resize(levels, (side, side), interpolation=cv2.INTER_AREA))
