"""Face crops as JPEG, which is how they are kept: to be aligned and embedded again, and shown."""

from __future__ import annotations

import io

import numpy as np

from facereel.store.model.records import Image

ALIGNED_SIZE = 112  # side of an aligned face, pixels
MAX_CROP_SIDE = 256  # of a face with its margin, pixels; indexer/engines/face_crops.py makes smaller ones
# A large face takes about 9 kB at this quality; its embedding keeps a cosine of 0.99 at least (20 photos).
JPEG_QUALITY = 90
# Below this side a crop keeps its colours in full and gets this quality. A face of 24 px then takes 2.6 kB and keeps
# a cosine of 0.992 at least; as a large one it would keep 0.96.
_SMALL_SIDE, _SMALL_QUALITY = 112, 96


def encode_crop(crop: Image) -> bytes:
    """A face crop (S, S, 3) as JPEG; raises ValueError for anything else."""
    import cv2  # here and below: 0.19 s that a listing need not pay

    if crop.dtype != np.uint8 or not _is_crop(crop.shape):
        raise ValueError(
            f"a crop is {crop.dtype} {crop.shape}, not uint8 of at most {MAX_CROP_SIDE} px a side"
        )
    if len(crop) < _SMALL_SIDE:
        full_colour = int(cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444)
        options = [cv2.IMWRITE_JPEG_QUALITY, _SMALL_QUALITY, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, full_colour]
    else:
        options = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
    _, jpeg = cv2.imencode(".jpg", crop, options)
    return jpeg.tobytes()


def decode_crop(jpeg: bytes) -> Image:
    """A face crop (S, S, 3) from JPEG; raises ValueError when there is none."""
    import cv2
    from PIL import Image as Pillow

    try:
        # Unpacked, what claims to be larger may fill the memory before anybody sees that it is.
        with Pillow.open(io.BytesIO(jpeg), formats=("JPEG",)) as picture:
            right = _is_crop((*picture.size, 3))
    except (OSError, SyntaxError, Pillow.DecompressionBombError, Warning):
        right = False
    crop = cv2.imdecode(np.frombuffer(jpeg, dtype=np.uint8), cv2.IMREAD_COLOR) if right else None
    if crop is None or not _is_crop(crop.shape):
        raise ValueError("a crop is no picture of the right size")
    return crop.astype(np.uint8, copy=False)


def _is_crop(shape: tuple[int, ...]) -> bool:
    return len(shape) == 3 and shape[2] == 3 and shape[0] == shape[1] and 1 <= shape[0] <= MAX_CROP_SIDE
