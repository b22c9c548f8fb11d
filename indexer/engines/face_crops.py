"""The one way from a picture to an embedding: a face is cut out with a margin, aligned, and then embedded.

Photos, videos and stored crops all go through here, so that the same face gives the same embedding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from facereel.indexer.engines.alignment import align
from facereel.indexer.engines.protocol import FaceEngine
from facereel.indexer.scaling import scaled
from facereel.store.index.crops import ALIGNED_SIZE, decode_crop
from facereel.store.model.records import Exemplar, FaceCrop, Floats, Image

# Side of the square that is cut out, in longer sides of the box. Of 1,322 exemplars of six films 2% have more than 2%
# of their aligned face outside, none more than 10%: corners of tilted ones.
MARGIN = 1.8
# The longer side of the box is scaled down to this, pixels; in an aligned face it is 95 to 105 long. More changes
# nothing: of 240 photos of 24 people, one against one, true pairs at one stranger in 1,000 and in 10,000 are 93.8% and
# 87.0%; with 100 px 93.4% and 86.9%, in the pictures as they are 93.6% and 86.9%.
BOX_SIDE = 112


@dataclass(frozen=True, slots=True, eq=False)
class AlignedFaces:
    """Faces as a recogniser wants them."""

    images: NDArray[np.uint8]  # (N, 112, 112, 3) BGR
    landmarks: Floats  # (N, 5, 2) pixels of the pictures, by which they were aligned
    face_probabilities: Floats  # (N,) 0..1


class Picture(Protocol):
    """A picture of which parts are looked at."""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height, pixels."""
        ...

    def part(self, corners: tuple[int, int, int, int], size: tuple[int, int], sparse: bool = False) -> Image:
        """The part with these corners x0, y0, x1, y1 inside, as BGR in a `size` (width, height).

        A `sparse` one that is made much smaller may be made of only some of its pixels.
        """
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Still:
    """A picture that is there as BGR pixels."""

    image: Image  # (H, W, 3)

    @property
    def size(self) -> tuple[int, int]:
        """As Picture."""
        height, width = self.image.shape[:2]
        return width, height

    def part(self, corners: tuple[int, int, int, int], size: tuple[int, int], sparse: bool = False) -> Image:
        """As Picture."""
        x0, y0, x1, y1 = corners
        return scaled(self.image[y0:y1, x0:x1], *size)


def cut_out(picture: Picture, box: Floats, landmarks: Floats) -> FaceCrop:
    """The face with this box (4,) x y w h and these landmarks (5, 2) of a picture, with a margin."""
    # Even numbers throughout: in most videos a colour has 2 x 2 pixels, which need no interpolation then.
    left, top, width, height = box.tolist()
    longer = max(width, height, 1.0)
    shrink = min(1.0, BOX_SIDE / longer)
    side = _even(MARGIN * longer)
    x, y = (2 * round((middle - side / 2) / 2) for middle in (left + width / 2, top + height / 2))
    image = _square(picture, x, y, side, _even(side * shrink))
    region = np.array([x, y, side], np.float32)
    return FaceCrop(image, region, np.asarray(box, np.float32), np.asarray(landmarks, np.float32))


def align_faces(crops: Sequence[FaceCrop], engine: FaceEngine) -> AlignedFaces:
    """Each face upright by the engine's landmarks."""
    found = engine.landmarks(crops)
    images = [
        align(crop.image, crop.to_image(points)) for crop, points in zip(crops, found.points, strict=True)
    ]
    empty = np.zeros((0, ALIGNED_SIZE, ALIGNED_SIZE, 3), np.uint8)
    return AlignedFaces(np.stack(images) if images else empty, found.points, found.face_probabilities)


def stored_crop(exemplar: Exemplar) -> FaceCrop | None:
    """The face crop of an exemplar; None in an older index, which holds aligned faces."""
    if exemplar.region is None:
        return None
    return FaceCrop(decode_crop(exemplar.jpeg), exemplar.region, exemplar.box, exemplar.landmarks)


def aligned_face(exemplar: Exemplar) -> Image:
    """The face (112, 112, 3) of an exemplar as it was embedded: to be shown."""
    crop = stored_crop(exemplar)
    return (
        decode_crop(exemplar.jpeg) if crop is None else align(crop.image, crop.to_image(exemplar.landmarks))
    )


def _even(length: float) -> int:
    return 2 * max(1, round(length / 2))


def _square(picture: Picture, x: int, y: int, side: int, size: int) -> Image:
    """The square of a picture with its corner at x, y, scaled down to `size`; black where it lies outside."""
    width, height = picture.size
    x0, y0, x1, y1 = max(0, x), max(0, y), min(width, x + side), min(height, y + side)
    left, top, right, bottom = (
        round(distance * size / side) for distance in (x0 - x, y0 - y, x1 - x, y1 - y)
    )
    if (left, top, right, bottom) == (0, 0, size, size):
        return picture.part((x0, y0, x1, y1), (size, size))
    square = np.zeros((size, size, 3), np.uint8)
    if left < right and top < bottom:
        square[top:bottom, left:right] = picture.part((x0, y0, x1, y1), (right - left, bottom - top))
    return square
