"""How much two tiny pictures look like one scene, and whether a stretch of them is a gradual change.

Pure functions on thumbnails; what they mean for shots is decided in shots.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from facereel.store.model.records import Floats, Image

THUMBNAIL_SIZE = (128, 72)  # width and height of the pictures that thumb_of() wants, pixels
_SMALL = (64, 36)
_SHIFT = (6, 4)  # how far a camera may move between the two pictures, pixels of _SMALL
BLOCK = (8, 6)
REACH = 1  # how far a block may have moved and still be the same, pixels of _SMALL
# Share of the change that transitions of both ends explain: a pan reaches 0.25 (what two unrelated pictures give), a
# dissolve of moving pictures 0.7 and more.
MIXTURE_EXPLAINED = 0.62
MIXTURE_UNLIKE = 0.85  # layout + texture similarity of the two ends of a gradual change
# A gradual change replaces the whole picture; somebody who leaves it or a panel that slides in, a part.
CHANGED, CHANGED_PART = 6.0, 0.6  # grey levels a block; share of the blocks
_PURE = 0.08  # a smaller share of the other side is not to be seen
BLANK_CONTRAST = 5.0  # standard deviation of grey levels in a picture that shows nothing


@dataclass(frozen=True, eq=False)
class Thumbnail:
    """One frame, as small as similarity needs; what few frames are asked for is reckoned when it is."""

    index: int
    grey: Floats  # (36, 64)
    layout: Floats  # (36, 64) grey, slightly blurred

    @cached_property
    def texture(self) -> Floats:
        """Grey (36, 64) against its surroundings, so that light does not matter."""
        detail = self.grey - cv2.GaussianBlur(self.grey, (0, 0), 3)
        strength = np.sqrt(cv2.GaussianBlur(detail * detail, (0, 0), 3))
        return np.asarray(detail / (strength + 4), np.float32)

    @cached_property
    def blank(self) -> bool:
        """Whether it shows nothing."""
        return float(self.grey.std()) < BLANK_CONTRAST


@dataclass(frozen=True, slots=True)
class Transition:
    """A stretch that looks like a gradual change."""

    explained: float  # share of the change that transitions of both ends explain
    first: int  # frames that were compared
    last: int
    middle: int  # first frame nearer to the end than to the start
    mixed: tuple[int, int]  # first and last frame that show both


def thumbnail_of(index: int, tiny: Image) -> Thumbnail:
    small = cv2.cvtColor(cv2.resize(tiny, _SMALL, interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2GRAY)
    grey = small.astype(np.float32)
    return Thumbnail(index, grey, np.asarray(cv2.GaussianBlur(grey, (0, 0), 1)))


def scene_similarity(a: Thumbnail, b: Thumbnail) -> float:
    """How much two pictures look like one scene, -2..2: correlation of layout plus that of texture.

    Each is the best over small shifts, so that a moving camera does not look like another scene.
    """
    if a.blank or b.blank:
        return 2.0 if a.blank and b.blank else 0.0
    return _correlation(a.layout, b.layout) + _correlation(a.texture, b.texture)


def _correlation(a: Floats, b: Floats) -> float:
    dx, dy = _SHIFT
    return float(cv2.matchTemplate(b, np.ascontiguousarray(a[dy:-dy, dx:-dx]), cv2.TM_CCOEFF_NORMED).max())


def change(a: Thumbnail, b: Thumbnail) -> Floats:
    """Mean change of grey level of each block (48,)."""
    columns, rows = a.layout.shape[1] // BLOCK[0], a.layout.shape[0] // BLOCK[1]
    means = cv2.resize(cv2.absdiff(a.layout, b.layout), (columns, rows), interpolation=cv2.INTER_AREA)
    return np.asarray(means.ravel())


def changed(a: Thumbnail, b: Thumbnail, level: float, alike: float) -> int:
    """Number of blocks that show something else: changed by more than `level` and found nowhere near by texture.

    The lowest third is left out: captions come and go there.
    """
    columns = a.layout.shape[1] // BLOCK[0]
    count = 0
    for block in np.flatnonzero(change(a, b) > level):
        row, column = divmod(int(block), columns)
        if row * BLOCK[1] >= a.layout.shape[0] * 2 // 3:
            continue
        x, y = column * BLOCK[0], row * BLOCK[1]
        patch = np.ascontiguousarray(a.texture[y : y + BLOCK[1], x : x + BLOCK[0]])
        region = b.texture[max(0, y - REACH) : y + BLOCK[1] + REACH, max(0, x - REACH) : x + BLOCK[0] + REACH]
        found = cv2.matchTemplate(np.ascontiguousarray(region), patch, cv2.TM_CCOEFF_NORMED)
        count += float(found.max()) < alike
    return count


def fit_transition(first: Thumbnail, inner: list[Thumbnail], last: Thumbnail) -> Transition | None:
    """This stretch as a gradual change, if it is a dissolve, a fade or a wipe.

    Every block of a picture between is fitted as (1 - a) first + a last with 0 <= a <= 1.
    """
    if float((change(first, last) > CHANGED).mean()) < CHANGED_PART:
        return None
    whole = blocks(last.layout - first.layout)  # (B, P)
    energy = (whole**2).sum(axis=1)
    if energy.sum() < 36 * 64 * 8.0**2 or (first.blank and last.blank):
        return None
    quarter = len(inner) // 4
    probes = [inner[quarter], inner[len(inner) // 2], inner[-1 - quarter]]
    fits = [_fit(first, thumb, whole, energy) for thumb in probes]
    if not all(
        low < fit[0] < high for fit, (low, high) in zip(fits, ((0, 0.6), (0.2, 0.8), (0.4, 1)), strict=True)
    ):
        return None
    explained = min(fit[1] for fit in fits)
    if explained < MIXTURE_EXPLAINED or not fits[0][0] < fits[1][0] < fits[2][0]:
        return None
    if scene_similarity(first, last) > MIXTURE_UNLIKE:
        return None
    shares = [_fit(first, thumb, whole, energy)[0] for thumb in inner]
    middle = next(
        (thumb.index for thumb, share in zip(inner, shares, strict=True) if share >= 0.5), last.index
    )
    both = [thumb.index for thumb, share in zip(inner, shares, strict=True) if _PURE < share < 1 - _PURE]
    return Transition(
        explained, first.index, last.index, middle, (both[0], both[-1]) if both else (middle, middle)
    )


def _fit(first: Thumbnail, thumb: Thumbnail, whole: Floats, energy: Floats) -> tuple[float, float]:
    """Share of the end in a picture, and how much of its difference to the nearer end the transition explains."""
    from_first = blocks(thumb.layout - first.layout)
    share = np.clip((from_first * whole).sum(axis=1) / np.maximum(energy, 1e-3), 0, 1)
    rest = ((from_first - share[:, None] * whole) ** 2).sum()
    nearer = min((from_first**2).sum(), ((from_first - whole) ** 2).sum())
    mean_share = float((share * energy).sum() / max(float(energy.sum()), 1e-3))
    return mean_share, float(1 - rest / max(float(nearer), 1e-3))


def blocks(image: Floats) -> Floats:
    """Cut (36, 64) into blocks of 8 x 6 pixels: (48, 48)."""
    width, height = BLOCK
    rows, columns = image.shape[0] // height, image.shape[1] // width
    return np.asarray(image.reshape(rows, height, columns, width).swapaxes(1, 2).reshape(rows * columns, -1))
