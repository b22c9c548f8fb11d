"""How similar two thumbnails are as scenes, and whether a run of them is a gradual transition.

Pure functions; adaptive.py decides what follows for shots.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from facereel.store.model.records import Floats, Image

THUMBNAIL_SIZE = (128, 72)  # width and height of the pictures that thumbnail_of() takes, pixels
_SIZE = (64, 36)  # width and height of what is compared
_MAX_SHIFT = (6, 4)  # how far a camera may move between two pictures that are compared, pixels of _SIZE
_BLOCK = (8, 6)  # width and height of a block, pixels of _SIZE
_BLOCK_SHIFT = 1  # how far the content of a block may move and still be the same, pixels of _SIZE
# Share of the change that a mixture of both ends explains. A pan reaches 0.25, as two unrelated pictures do; a
# dissolve between moving pictures 0.7 and more.
MIN_EXPLAINED = 0.62
MAX_END_SIMILARITY = 0.85  # of the two ends of a gradual transition, as by scene_similarity()
# A gradual transition changes most blocks by some grey levels. Somebody who leaves, or a panel that slides in, changes
# only a part of the picture.
_MIN_BLOCK_CHANGE, _MIN_CHANGED_SHARE = 6.0, 0.6
_MIN_TOTAL_CHANGE = 8.0  # grey levels, root mean square, between the two ends
# Where the first, the second and the third probe of a transition may be on the way from one end to the other.
_PROBE_RANGES = ((0, 0.6), (0.2, 0.8), (0.4, 1))
_MIN_VISIBLE_SHARE = 0.08  # an end with a smaller share in a picture cannot be seen in it
BLANK_DEVIATION = 5.0  # standard deviation of grey levels below which a picture shows nothing


@dataclass(frozen=True, eq=False)
class Thumbnail:
    """One frame as similarity needs it. What only few frames need is computed on demand."""

    index: int
    seconds: float  # when the frame is shown
    grey: Floats  # (36, 64)
    layout: Floats  # (36, 64) grey, slightly blurred

    @cached_property
    def texture(self) -> Floats:
        """Grey (36, 64) relative to its surroundings, independent of the light."""
        detail = self.grey - cv2.GaussianBlur(self.grey, (0, 0), 3)
        contrast = np.sqrt(cv2.GaussianBlur(detail * detail, (0, 0), 3))
        return np.asarray(detail / (contrast + 4), np.float32)

    @cached_property
    def blank(self) -> bool:
        """Does it show nothing?"""
        return float(self.grey.std()) < BLANK_DEVIATION


@dataclass(frozen=True, slots=True)
class Transition:
    """A run of frames that looks like a gradual transition."""

    explained: float  # share of the change that a mixture of both ends explains, 0..1
    first: int  # the two frames at its ends that were compared
    last: int
    middle: int  # first frame closer to the last than to the first
    mixed: tuple[int, int]  # first and last frame in which both ends are visible


def thumbnail_of(index: int, seconds: float, picture: Image) -> Thumbnail:
    """The thumbnail of a BGR picture of THUMBNAIL_SIZE."""
    grey = cv2.cvtColor(cv2.resize(picture, _SIZE, interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2GRAY)
    levels = grey.astype(np.float32)
    return Thumbnail(index, seconds, levels, np.asarray(cv2.GaussianBlur(levels, (0, 0), 1)))


def scene_similarity(a: Thumbnail, b: Thumbnail) -> float:
    """NCC of the layouts plus NCC of the textures, -2..2.

    Each is the best over small shifts, so that a moving camera does not look like another scene.
    """
    if a.blank or b.blank:
        return 2.0 if a.blank and b.blank else 0.0
    return _shifted_ncc(a.layout, b.layout) + _shifted_ncc(a.texture, b.texture)


def _shifted_ncc(a: Floats, b: Floats) -> float:
    dx, dy = _MAX_SHIFT
    return float(cv2.matchTemplate(b, np.ascontiguousarray(a[dy:-dy, dx:-dx]), cv2.TM_CCOEFF_NORMED).max())


def block_changes(a: Thumbnail, b: Thumbnail) -> Floats:
    """Mean change of grey level of each block (48,)."""
    columns, rows = a.layout.shape[1] // _BLOCK[0], a.layout.shape[0] // _BLOCK[1]
    means = cv2.resize(cv2.absdiff(a.layout, b.layout), (columns, rows), interpolation=cv2.INTER_AREA)
    return np.asarray(means.ravel())


def count_replaced(a: Thumbnail, b: Thumbnail, min_change: float, min_ncc: float) -> int:
    """Number of blocks whose content is replaced: changed by more than `min_change` grey levels, and with an NCC of
    texture below `min_ncc` even a little beside their place.

    The lowest third of the picture is ignored: captions come and go there.
    """
    columns = a.layout.shape[1] // _BLOCK[0]
    count = 0
    for block in np.flatnonzero(block_changes(a, b) > min_change):
        row, column = divmod(int(block), columns)
        if row * _BLOCK[1] >= a.layout.shape[0] * 2 // 3:
            continue
        x, y = column * _BLOCK[0], row * _BLOCK[1]
        patch = np.ascontiguousarray(a.texture[y : y + _BLOCK[1], x : x + _BLOCK[0]])
        region = b.texture[
            max(0, y - _BLOCK_SHIFT) : y + _BLOCK[1] + _BLOCK_SHIFT,
            max(0, x - _BLOCK_SHIFT) : x + _BLOCK[0] + _BLOCK_SHIFT,
        ]
        scores = cv2.matchTemplate(np.ascontiguousarray(region), patch, cv2.TM_CCOEFF_NORMED)
        count += float(scores.max()) < min_ncc
    return count


def fit_transition(first: Thumbnail, inner: list[Thumbnail], last: Thumbnail) -> Transition | None:
    """This run of frames as a gradual transition, if it is a dissolve, a fade or a wipe.

    Every block of a picture between is fitted as (1 - a) first + a last with 0 <= a <= 1.
    """
    if float((block_changes(first, last) > _MIN_BLOCK_CHANGE).mean()) < _MIN_CHANGED_SHARE:
        return None
    change = _blocks(last.layout - first.layout)  # (B, P)
    energy = (change**2).sum(axis=1)
    if energy.sum() < _SIZE[0] * _SIZE[1] * _MIN_TOTAL_CHANGE**2 or (first.blank and last.blank):
        return None
    explained = _explained(first, inner, change, energy)
    if explained < MIN_EXPLAINED or scene_similarity(first, last) > MAX_END_SIMILARITY:
        return None
    shares = [_fit(first, thumbnail, change, energy)[0] for thumbnail in inner]
    indices = [thumbnail.index for thumbnail in inner]
    middle = next((index for index, share in zip(indices, shares, strict=True) if share >= 0.5), last.index)
    mixed = [
        index
        for index, share in zip(indices, shares, strict=True)
        if _MIN_VISIBLE_SHARE < share < 1 - _MIN_VISIBLE_SHARE
    ]
    span = (mixed[0], mixed[-1]) if mixed else (middle, middle)
    return Transition(explained, first.index, last.index, middle, span)


def _explained(first: Thumbnail, inner: list[Thumbnail], change: Floats, energy: Floats) -> float:
    """Share of the change that a mixture explains in three probes of a run; 0 if they do not lead from end to end."""
    quarter = len(inner) // 4
    probes = inner[quarter], inner[len(inner) // 2], inner[-1 - quarter]
    fits = [_fit(first, thumbnail, change, energy) for thumbnail in probes]
    shares = [share for share, _ in fits]
    in_range = all(low < share < high for share, (low, high) in zip(shares, _PROBE_RANGES, strict=True))
    if not in_range or not shares[0] < shares[1] < shares[2]:
        return 0.0
    return min(explained for _, explained in fits)


def _fit(first: Thumbnail, thumbnail: Thumbnail, change: Floats, energy: Floats) -> tuple[float, float]:
    """A picture as a mixture of both ends: the share of the last one, and how much of the difference to the nearer
    end the mixture explains. `change` (B, P) leads from the first to the last, `energy` (B,) is its square."""
    from_first = _blocks(thumbnail.layout - first.layout)
    share = np.clip((from_first * change).sum(axis=1) / np.maximum(energy, 1e-3), 0, 1)
    rest = ((from_first - share[:, None] * change) ** 2).sum()
    nearer = min((from_first**2).sum(), ((from_first - change) ** 2).sum())
    mean_share = float((share * energy).sum() / max(float(energy.sum()), 1e-3))
    return mean_share, float(1 - rest / max(float(nearer), 1e-3))


def _blocks(image: Floats) -> Floats:
    """A picture (36, 64) as rows of its blocks: (48, 48)."""
    width, height = _BLOCK
    rows, columns = image.shape[0] // height, image.shape[1] // width
    return np.asarray(image.reshape(rows, height, columns, width).swapaxes(1, 2).reshape(rows * columns, -1))
