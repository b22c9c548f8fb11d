"""Scene changes: hard cuts, dissolves, fades and wipes; not flashes, strobes, pans, lamps or passers-by.

PySceneDetect's AdaptiveDetector proposes hard cuts. Each is held against the pictures around it: a cut is one only
when what follows does not look like what came before, in layout and in texture, shifted a little if need be.
Gradual changes are found by their nature: every picture in them is a mixture of the one before and the one after,
block by block; no moving camera or passing person makes such pictures.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

import cv2
import numpy as np
from scenedetect import FrameTimecode
from scenedetect.detectors import AdaptiveDetector

from store.records import Floats, Image

TINY = (128, 72)  # width and height of the pictures that push() wants, pixels
_SMALL = (64, 36)
_SHIFT = (6, 4)  # how far a camera may move between the two pictures, pixels of _SMALL
_BLOCK = (8, 6)

# Measured on films, television and music video: layout + texture likeness of neighbours is above 1.32 without a cut,
# below 1.19 across one.
SAME_SCENE = 1.25
# Candidates of the adaptive detector: a third of its usual content bar, as cuts between alike pictures fall to 8.
MIN_CONTENT = 7.0
ADAPTIVE_RATIO = 2.5
FLASH_SECONDS = 0.4  # within this time a flash is over and the picture is back
MIXTURE_SECONDS = (0.28, 0.6, 1.2)  # spans in which a gradual change is looked for
# Share of the change that mixtures of both ends explain: a pan reaches 0.25 (what two unrelated pictures give), a
# dissolve of moving pictures 0.7 and more.
MIXTURE_EXPLAINED = 0.62
MIXTURE_UNLIKE = 0.85  # layout + texture likeness of the two ends of a gradual change
# A gradual change replaces the whole picture; somebody who leaves it or a panel that slides in, a part.
_CHANGED, _CHANGED_PART = 6.0, 0.6  # grey levels a block; share of the blocks
# A jump on one background: blocks that must become another picture, by how many grey levels and how unlike, and the
# frames on either side that must be quiet.
_JUMPED, _JUMP_LEVEL, _JUMP_ALIKE, _QUIET = 3, 7.0, 0.8, 2
_PURE = 0.08  # a smaller share of the other side is not to be seen
COMES_BACK = 0.95  # likeness a second apart that the two sides of a true gradual change do not reach
BLANK_CONTRAST = 5.0  # standard deviation of grey levels in a picture that shows nothing


@dataclass(frozen=True, slots=True, eq=False)
class _Thumb:
    """One frame, as small as likeness needs."""

    index: int
    layout: Floats  # (36, 64) grey
    texture: Floats  # (36, 64) grey against its surroundings, so that light does not matter
    contrast: float

    @property
    def blank(self) -> bool:
        return self.contrast < BLANK_CONTRAST


@dataclass(frozen=True, slots=True)
class _Mixture:
    """A stretch that looks like a gradual change."""

    explained: float  # share of the change that mixtures of both ends explain
    first: int  # frames that were compared
    last: int
    middle: int  # first frame nearer to the end than to the start
    mixed: tuple[int, int]  # first and last frame that show both


class ShotDetector:
    """Finds scene changes in frames that are pushed one by one; an answer comes about a second late."""

    def __init__(self, frame_rate: Fraction) -> None:
        self._rate = max(frame_rate, Fraction(1))
        self._adaptive = AdaptiveDetector(
            adaptive_threshold=ADAPTIVE_RATIO, min_scene_len=1, min_content_val=MIN_CONTENT
        )
        self._spans = tuple(max(6, round(seconds * self._rate)) for seconds in MIXTURE_SECONDS)
        self._flash = max(4, round(FLASH_SECONDS * self._rate))
        self.delay = self._spans[-1] + self._flash + 2  # frames until an answer is final
        self._over = False
        self._thumbs: deque[_Thumb] = deque(maxlen=2 * self.delay + 2)
        self._candidates: list[int] = []
        self._cuts: list[int] = []
        self._mixtures: list[_Mixture] = []
        self._gradual: list[tuple[int, int]] = []  # first and last mixed frame of each gradual change

    @property
    def settled(self) -> int:
        """Frames before this one belong to shots whose start is known."""
        return self._next if self._over else max(0, self._next - self.delay)

    @property
    def _next(self) -> int:
        return self._thumbs[-1].index + 1 if self._thumbs else 0

    def push(self, index: int, tiny: Image) -> None:
        """Take the next frame as a BGR picture of TINY size."""
        self._thumbs.append(_thumb(index, tiny))
        timecode = FrameTimecode(index, fps=float(self._rate))
        self._candidates += [cut.frame_num for cut in self._adaptive.process_frame(timecode, tiny)]
        if index - _QUIET not in self._candidates and self._jumped(index - _QUIET):
            self._candidates.append(index - _QUIET)
        self._judge_candidates(index - self._flash)
        if index % 2 == 0:
            self._look_for_mixtures()

    def finish(self) -> None:
        """No more frames will come: everything is settled."""
        self._over = True
        self._judge_candidates(self._next)

    def cuts(self) -> list[int]:
        """First frames of the settled shots, without frame 0."""
        self._settle_mixtures()
        return sorted(cut for cut in self._cuts if cut < self.settled)

    def _passes(self, found: _Mixture) -> bool:
        """Something large that slides through the picture is no wipe: the scene comes back behind it."""
        first, last = self._at(found.first), self._at(found.last)
        reach = self._spans[-1]
        later = [self._at(found.last + step) for step in range(2, reach, 3)]
        earlier = [self._at(found.first - step) for step in range(2, reach, 3)]
        comes_back = first and any(thumb and likeness(first, thumb) > COMES_BACK for thumb in later)
        was_there = last and any(thumb and likeness(last, thumb) > COMES_BACK for thumb in earlier)
        return bool(comes_back or was_there)

    def mixed(self, index: int, margin: int = 0) -> bool:
        """Does a settled frame lie inside a gradual change, or that many frames beside one?"""
        return any(first - margin <= index <= last + margin for first, last in self._gradual)

    def _at(self, index: int) -> _Thumb | None:
        position = index - self._thumbs[0].index if self._thumbs else -1
        return self._thumbs[position] if 0 <= position < len(self._thumbs) else None

    def _judge_candidates(self, until: int) -> None:
        waiting = [cut for cut in self._candidates if cut > until]
        self._cuts += [cut for cut in self._candidates if cut <= until and self._is_cut(cut)]
        self._candidates = waiting

    def _is_cut(self, cut: int) -> bool:
        """No picture shortly after may look like one shortly before: else it was a flash or a passing thing."""
        before = [self._at(index) for index in range(cut - 1, cut - 1 - self._flash, -1)]
        after = [self._at(index) for index in range(cut, cut + self._flash)]
        last, first = before[0], after[0]
        if last is None or first is None:
            return False
        if likeness(last, first) > SAME_SCENE:
            return self._jumped(cut) and not any(
                thumb and _changed(last, thumb) < _JUMPED for thumb in after[1:]
            )
        returned = any(thumb and likeness(last, thumb) > SAME_SCENE for thumb in after[1:])
        left = any(thumb and likeness(thumb, first) > SAME_SCENE for thumb in before[1:])
        return not (returned or left)

    def _jumped(self, cut: int) -> bool:
        """Did a part of a still picture become another from one frame to the next, as in a cut on one background?

        Something that moves into the picture changes it in several frames; a lamp changes no texture.
        """
        near = [self._at(index) for index in range(cut - 1 - _QUIET, cut + 1 + _QUIET)]
        if any(thumb is None for thumb in near):
            return False
        thumbs = [thumb for thumb in near if thumb is not None]
        steps = [_change(a, b) for a, b in pairwise(thumbs)]
        step = steps.pop(_QUIET)
        if (step > _JUMP_LEVEL).sum() < _JUMPED or max(float(other.max()) for other in steps) > 0.35 * float(
            step.max()
        ):
            return False
        return _changed(thumbs[_QUIET], thumbs[_QUIET + 1]) >= _JUMPED

    def _look_for_mixtures(self) -> None:
        for span in self._spans:
            last = self._thumbs[-1]
            first = self._at(last.index - span)
            if first is None or any(first.index < cut <= last.index for cut in self._cuts):
                continue
            inner = [thumb for index in range(first.index + 1, last.index) if (thumb := self._at(index))]
            found = mixture(first, inner, last)
            if found is not None:
                self._mixtures.append(found)

    def _settle_mixtures(self) -> None:
        """Of windows that overlap, the longest and then the best explained says where the change is."""
        ripe = [
            found for found in self._mixtures if self._over or found.last < self.settled + self._spans[-1]
        ]
        for found in sorted(ripe, key=lambda found: (found.first - found.last, -found.explained)):
            near = max(self._spans[0], (found.last - found.first) * 2 // 3)
            if all(abs(found.middle - cut) > near for cut in self._cuts) and not self._passes(found):
                self._cuts.append(found.middle)
                self._gradual.append(found.mixed)
        self._mixtures = [found for found in self._mixtures if found not in ripe]


def _thumb(index: int, tiny: Image) -> _Thumb:
    grey = cv2.cvtColor(cv2.resize(tiny, _SMALL, interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2GRAY)
    layout = grey.astype(np.float32)
    detail = layout - cv2.GaussianBlur(layout, (0, 0), 3)
    strength = np.sqrt(cv2.GaussianBlur(detail * detail, (0, 0), 3))
    texture = (detail / (strength + 4)).astype(np.float32)
    return _Thumb(index, np.asarray(cv2.GaussianBlur(layout, (0, 0), 1)), texture, float(layout.std()))


def likeness(a: _Thumb, b: _Thumb) -> float:
    """How much two pictures look like one scene, -2..2: correlation of layout plus that of texture.

    Each is the best over small shifts, so that a moving camera does not look like another scene.
    """
    if a.blank or b.blank:
        return 2.0 if a.blank and b.blank else 0.0
    return _correlation(a.layout, b.layout) + _correlation(a.texture, b.texture)


def _correlation(a: Floats, b: Floats) -> float:
    dx, dy = _SHIFT
    return float(cv2.matchTemplate(b, np.ascontiguousarray(a[dy:-dy, dx:-dx]), cv2.TM_CCOEFF_NORMED).max())


def _change(a: _Thumb, b: _Thumb) -> Floats:
    """Mean change of grey level of each block (48,)."""
    return np.asarray(np.abs(_blocks(b.layout - a.layout)).mean(axis=1))


def _changed(a: _Thumb, b: _Thumb) -> int:
    """Number of blocks that show something else: changed in light and in texture, captions at the bottom left out."""
    one, two = _blocks(a.texture), _blocks(b.texture)
    one, two = one - one.mean(axis=1, keepdims=True), two - two.mean(axis=1, keepdims=True)
    alike = (one * two).sum(axis=1) / np.maximum(np.sqrt((one**2).sum(axis=1) * (two**2).sum(axis=1)), 1e-3)
    other = (_change(a, b) > _JUMP_LEVEL) & (alike < _JUMP_ALIKE)
    return int(other[: len(other) * 2 // 3].sum())


def mixture(first: _Thumb, inner: list[_Thumb], last: _Thumb) -> _Mixture | None:
    """This stretch as a gradual change, if it is a dissolve, a fade or a wipe.

    Every block of a picture between is fitted as (1 - a) first + a last with 0 <= a <= 1.
    """
    change = _blocks(last.layout - first.layout)  # (B, P)
    energy = (change**2).sum(axis=1)
    if float((np.abs(change).mean(axis=1) > _CHANGED).mean()) < _CHANGED_PART:
        return None
    if energy.sum() < 36 * 64 * 8.0**2 or (first.blank and last.blank):
        return None
    quarter = len(inner) // 4
    probes = [inner[quarter], inner[len(inner) // 2], inner[-1 - quarter]]
    fits = [_fit(first, thumb, change, energy) for thumb in probes]
    if not all(
        low < fit[0] < high for fit, (low, high) in zip(fits, ((0, 0.6), (0.2, 0.8), (0.4, 1)), strict=True)
    ):
        return None
    explained = min(fit[1] for fit in fits)
    if explained < MIXTURE_EXPLAINED or not fits[0][0] < fits[1][0] < fits[2][0]:
        return None
    if likeness(first, last) > MIXTURE_UNLIKE:
        return None
    shares = [_fit(first, thumb, change, energy)[0] for thumb in inner]
    middle = next(
        (thumb.index for thumb, share in zip(inner, shares, strict=True) if share >= 0.5), last.index
    )
    both = [thumb.index for thumb, share in zip(inner, shares, strict=True) if _PURE < share < 1 - _PURE]
    return _Mixture(
        explained, first.index, last.index, middle, (both[0], both[-1]) if both else (middle, middle)
    )


def _fit(first: _Thumb, thumb: _Thumb, change: Floats, energy: Floats) -> tuple[float, float]:
    """Share of the end in a picture, and how much of its difference to the nearer end the mixture explains."""
    from_first = _blocks(thumb.layout - first.layout)
    share = np.clip((from_first * change).sum(axis=1) / np.maximum(energy, 1e-3), 0, 1)
    rest = ((from_first - share[:, None] * change) ** 2).sum()
    nearer = min((from_first**2).sum(), ((from_first - change) ** 2).sum())
    mean_share = float((share * energy).sum() / max(float(energy.sum()), 1e-3))
    return mean_share, float(1 - rest / max(float(nearer), 1e-3))


def _blocks(image: Floats) -> Floats:
    """Cut (36, 64) into blocks of 8 x 6 pixels: (48, 48)."""
    width, height = _BLOCK
    rows, columns = image.shape[0] // height, image.shape[1] // width
    return np.asarray(image.reshape(rows, height, columns, width).swapaxes(1, 2).reshape(rows * columns, -1))
