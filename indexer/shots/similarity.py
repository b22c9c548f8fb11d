"""How similar two thumbnails are as scenes, and whether a run of them is a gradual transition.

Pure functions; adaptive.py decides what follows for shots.
"""

from __future__ import annotations

from collections.abc import Sequence
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
MAX_END_SIMILARITY = 0.85  # of the two ends of a gradual transition, as by same_scene()
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
    def blocks(self) -> Floats:
        """The layout as rows of its blocks: (48, 48)."""
        width, height = _BLOCK
        rows, columns = self.layout.shape[0] // height, self.layout.shape[1] // width
        blocks = self.layout.reshape(rows, height, columns, width).swapaxes(1, 2)
        return np.asarray(blocks.reshape(rows * columns, width * height))

    @cached_property
    def blank(self) -> bool:
        """Does it show nothing?"""
        return float(cv2.meanStdDev(self.grey)[1].item()) < BLANK_DEVIATION


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


def thumbnail_change(one: Image, other: Image) -> float:
    """Mean change of level of two pictures of the same size."""
    return cv2.norm(one, other, cv2.NORM_L1) / one.size


def same_scene(a: Thumbnail, b: Thumbnail, threshold: float) -> bool:
    """Is their similarity, NCC of the layouts plus NCC of the textures, -2..2, above a threshold?

    Each is the best over small shifts, so that a moving camera does not look like another scene.
    """
    if a.blank or b.blank:
        return threshold < (2.0 if a.blank and b.blank else 0.0)
    # Textures first: where they differ by so much, no layout helps.
    texture = _shifted_ncc(a.texture, b.texture)
    return texture + 1 > threshold and texture + _shifted_ncc(a.layout, b.layout) > threshold


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


def changes_most(first: Thumbnail, last: Thumbnail) -> bool:
    """Do two pictures differ in as many blocks as the ends of a gradual transition do?"""
    changes = block_changes(first, last)
    return int(np.count_nonzero(changes > _MIN_BLOCK_CHANGE)) >= _MIN_CHANGED_SHARE * len(changes)


def fit_transition(run: Sequence[Thumbnail]) -> Transition | None:
    """This run of frames, between whose ends most changes, as a gradual transition, if it is a dissolve, fade or wipe.

    Every block of a picture between is fitted as (1 - a) first + a last with 0 <= a <= 1.
    """
    first, *inner, last = run
    ends = _Ends(first, last)
    if ends.energy < _SIZE[0] * _SIZE[1] * _MIN_TOTAL_CHANGE**2 or (first.blank and last.blank):
        return None
    explained = _explained(ends, inner)
    if explained < MIN_EXPLAINED or same_scene(first, last, MAX_END_SIMILARITY):
        return None
    shares, _ = ends.fit(inner)
    visible = np.flatnonzero((shares > _MIN_VISIBLE_SHARE) & (shares < 1 - _MIN_VISIBLE_SHARE)).tolist()
    closer_to_last = np.flatnonzero(shares >= 0.5).tolist()
    middle = inner[closer_to_last[0]].index if closer_to_last else last.index
    mixed = (inner[visible[0]].index, inner[visible[-1]].index) if visible else (middle, middle)
    return Transition(explained, first.index, last.index, middle, mixed)


def _explained(ends: _Ends, inner: Sequence[Thumbnail]) -> float:
    """Share of the change that a mixture explains in three probes of a run; 0 if they do not lead from end to end."""
    quarter = len(inner) // 4
    # The middle one first: where a cut lies in the run it shows one of the ends, and the others need no fit.
    (middle,), (explained,) = ends.fit([inner[len(inner) // 2]])
    low, high = _PROBE_RANGES[1]
    if not low < middle < high:
        return 0.0
    (early, late), others = ends.fit([inner[quarter], inner[-1 - quarter]])
    in_range = all(
        low < share < high for share, (low, high) in zip((early, late), _PROBE_RANGES[::2], strict=True)
    )
    if not in_range or not early < middle < late:
        return 0.0
    return float(min(explained, *others))


class _Ends:
    """The two pictures between which others are fitted."""

    def __init__(self, first: Thumbnail, last: Thumbnail) -> None:
        self._first = first.blocks
        self._change = last.blocks - first.blocks  # (B, P)
        self._energies = np.vecdot(self._change, self._change)  # (B,)
        self._divisors = np.maximum(self._energies, 1e-3)
        self.energy = float(self._energies.sum())

    def fit(self, thumbnails: Sequence[Thumbnail]) -> tuple[Floats, Floats]:
        """Pictures (N) as mixtures of both ends: shares of the last one (N,), and how much of the difference to the
        nearer end each mixture explains (N,)."""
        from_first = np.stack([thumbnail.blocks for thumbnail in thumbnails]) - self._first  # (N, B, P)
        along = np.vecdot(from_first, self._change)  # (N, B)
        flat = from_first.reshape(len(from_first), -1)
        to_first = np.vecdot(flat, flat)  # (N,) squares of all differences
        to_last = to_first - 2 * along.sum(axis=1) + self.energy
        shares = np.minimum(np.maximum(along / self._divisors, 0), 1)
        weighted = shares * self._energies
        # What no share of the change explains.
        rest = to_first - (shares * (2 * along - weighted)).sum(axis=1)
        nearer = np.maximum(np.minimum(to_first, to_last), 1e-3)
        return weighted.sum(axis=1) / max(self.energy, 1e-3), 1 - rest / nearer
