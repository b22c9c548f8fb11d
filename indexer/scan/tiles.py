"""A closer look for small faces: the picture in up to its own size, in tiles, beside a small one of it all.

Tiles that overlap, and not one large picture: however large the video, a detector takes no more memory. Pure functions.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from facereel.indexer.engines import detections as candidates
from facereel.store.model.records import Faces, Floats, Image

CLOSER_BELOW = 20  # pixels: faces from this width on are found without
# The smallest face is shown to the detector this large, or as large as it is. Of rendered faces of 12 px YuNet sees
# 99 in 100 and is sure (0.7) of 88; of 10 px 89 and 66, of 8 px 84 and 44.
FACE = 12.0
LARGEST = 1152  # side of a tile, pixels: two cover a picture of 1920x1080
OVERLAP = 96  # pixels: every face up to this size lies whole in some tile
# The picture of it all shows larger ones with 16 px or more, of which YuNet is always sure.
WHOLE, SMALLEST_SHARE = 640, 16.0 / OVERLAP
_CUT = 2.0  # a box as near to the inner edge of a tile shows part of a face, pixels

Tile = tuple[int, int, int, int]  # x0, y0, x1, y1 in pixels
Found = tuple[Floats, Floats, Floats]  # boxes (N, 4), scores (N,), landmarks (N, 5, 2)


def closer_size(width: int, height: int, min_face: int, searched: int) -> tuple[int, int] | None:
    """In which size a video's pictures are looked at for faces of that width.

    None when no closer look is needed: a picture `searched` pixels wide shows them as large.
    """
    scale = min(1.0, FACE / min_face)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return size if min_face < CLOSER_BELOW and size[0] > searched else None


def tiles(width: int, height: int) -> list[Tile]:
    """Tiles that cover a picture; every square of OVERLAP pixels lies whole in one of them."""
    return [(x0, y0, x1, y1) for y0, y1 in _spans(height) for x0, x1 in _spans(width)]


def look_closer(
    picture: Callable[[int, int], Image], detect: Callable[[Image], Faces], size: tuple[int, int]
) -> Faces:
    """Faces in pixels of the picture in `size` (width, height); `picture` gives it in any size."""
    share = min(1.0, max(WHOLE / max(size), SMALLEST_SHARE))
    whole = detect(picture(*(max(1, round(side * share)) for side in size)))
    found = [_kept(whole, 1 / share, (0, 0), _sides(whole.boxes) / share > OVERLAP / 2)]
    image = picture(*size)
    for x0, y0, x1, y1 in tiles(*size):
        seen = detect(np.ascontiguousarray(image[y0:y1, x0:x1]))
        fits = _sides(seen.boxes) <= OVERLAP
        found.append(_kept(seen, 1.0, (x0, y0), fits & ~_cut(seen.boxes, (x0, y0, x1, y1), size)))
    return candidates.best(found)


def _spans(length: int) -> list[tuple[int, int]]:
    """Equal spans that cover a length and overlap."""
    count = max(1, -(-(length - OVERLAP) // (LARGEST - OVERLAP)))
    side = -(-(length + (count - 1) * OVERLAP) // count)
    starts = [round(n * (length - side) / max(1, count - 1)) for n in range(count)]
    return [(start, start + side) for start in starts]


def _sides(boxes: Floats) -> Floats:
    """The longer sides (N,) of boxes (N, 4)."""
    return np.asarray((boxes[:, 2:] - boxes[:, :2]).max(axis=1, initial=0.0), np.float32)


def _cut(boxes: Floats, tile: Tile, size: tuple[int, int]) -> NDArray[np.bool_]:
    """Which boxes (N, 4), in pixels of the tile, reach an edge of it that is none of the picture's."""
    x0, y0, x1, y1 = tile
    inner = np.array([x0 > 0, y0 > 0, x1 < size[0], y1 < size[1]])
    room = np.concatenate([boxes[:, :2], np.array([x1 - x0, y1 - y0], np.float32) - boxes[:, 2:]], axis=1)
    return np.asarray(((room < _CUT) & inner).any(axis=1))


def _kept(seen: Faces, scale: float, corner: tuple[int, int], which: NDArray[np.bool_]) -> Found:
    """Those faces, in pixels of the whole picture."""
    shift = np.array(corner, np.float32)
    boxes = seen.boxes[which] * scale + np.tile(shift, 2)
    return (
        boxes.astype(np.float32),
        seen.scores[which],
        (seen.landmarks[which] * scale + shift).astype(np.float32),
    )
