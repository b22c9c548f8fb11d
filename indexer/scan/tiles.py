"""Search for small faces: the picture in up to full size, cut into overlapping tiles, and once small as a whole.

Tiles instead of one large picture keep the detector's memory constant, however large the video is. Pure functions.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from facereel.indexer.engines.detections import Detections, suppress_overlaps
from facereel.store.model.records import Faces, Floats, Image

TILES_BELOW = 20  # pixels: faces of this width and more are detected without tiles
# The smallest face is enlarged to this width for the detector, but never beyond full size. Of rendered faces of 12 px
# YuNet detects 99 in 100, 88 of them with a score of 0.7; of 10 px 89 and 66, of 8 px 84 and 44.
DETECTED_WIDTH = 12.0
MAX_TILE_SIDE = 1152  # pixels: two tiles cover 1920x1080
OVERLAP = 96  # pixels: every face up to this size lies completely in some tile
# Larger faces are detected in the small picture, where they have 16 px or more; YuNet always scores those high.
OVERVIEW_SIDE, MIN_OVERVIEW_SCALE = 640, 16.0 / OVERLAP
_EDGE_DISTANCE = 2.0  # a box closer to a tile's inner edge than this is probably part of a face, pixels

Tile = tuple[int, int, int, int]  # x0, y0, x1, y1 in pixels


def tiled_size(width: int, height: int, min_face: int, analysis_width: int) -> tuple[int, int] | None:
    """Width and height in which a video of `width` x `height` is cut into tiles to detect faces of `min_face` px.

    None when no tiles are needed: an analysis picture of that width shows the faces as large.
    """
    scale = min(1.0, DETECTED_WIDTH / min_face)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return size if min_face < TILES_BELOW and size[0] > analysis_width else None


def tiles(width: int, height: int) -> list[Tile]:
    """Tiles that cover a picture; every square of OVERLAP pixels lies completely in one of them."""
    return [(x0, y0, x1, y1) for y0, y1 in _spans(height) for x0, x1 in _spans(width)]


def search_tiles(
    convert: Callable[[int, int], Image], detect: Callable[[Image], Faces], size: tuple[int, int]
) -> Faces:
    """Faces in pixels of the picture in `size` (width, height); `convert(width, height)` gives it in any size."""
    scale = min(1.0, max(OVERVIEW_SIDE / max(size), MIN_OVERVIEW_SCALE))
    overview = detect(convert(*(max(1, round(side * scale)) for side in size)))
    detections = [_select(overview, _longer_sides(overview.boxes) / scale > OVERLAP / 2, 1 / scale, (0, 0))]
    picture = convert(*size)
    for x0, y0, x1, y1 in tiles(*size):
        faces = detect(np.ascontiguousarray(picture[y0:y1, x0:x1]))
        complete = ~_cut_off(faces.boxes, (x0, y0, x1, y1), size)
        small = _longer_sides(faces.boxes) <= OVERLAP
        detections.append(_select(faces, small & complete, 1.0, (x0, y0)))
    return suppress_overlaps(detections)


def _spans(length: int) -> list[tuple[int, int]]:
    """Equal, overlapping spans that cover a length."""
    count = max(1, -(-(length - OVERLAP) // (MAX_TILE_SIDE - OVERLAP)))
    side = -(-(length + (count - 1) * OVERLAP) // count)
    starts = [round(n * (length - side) / max(1, count - 1)) for n in range(count)]
    return [(start, start + side) for start in starts]


def _longer_sides(boxes: Floats) -> Floats:
    """The longer side (N,) of each box (N, 4)."""
    return np.asarray((boxes[:, 2:] - boxes[:, :2]).max(axis=1, initial=0.0), np.float32)


def _cut_off(boxes: Floats, tile: Tile, size: tuple[int, int]) -> NDArray[np.bool_]:
    """Which boxes (N, 4), in pixels of the tile, reach an edge of the tile that is not an edge of the picture."""
    x0, y0, x1, y1 = tile
    inner = np.array([x0 > 0, y0 > 0, x1 < size[0], y1 < size[1]])
    room = np.concatenate([boxes[:, :2], np.array([x1 - x0, y1 - y0], np.float32) - boxes[:, 2:]], axis=1)
    return np.asarray(((room < _EDGE_DISTANCE) & inner).any(axis=1))


def _select(faces: Faces, chosen: NDArray[np.bool_], scale: float, corner: tuple[int, int]) -> Detections:
    """The chosen faces, scaled and moved to a tile's corner: in pixels of the complete picture."""
    shift = np.array(corner, np.float32)
    boxes = faces.boxes[chosen] * scale + np.tile(shift, 2)
    return (
        boxes.astype(np.float32),
        faces.scores[chosen],
        (faces.landmarks[chosen] * scale + shift).astype(np.float32),
    )
