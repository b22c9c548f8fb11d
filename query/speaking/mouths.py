"""The lower half of a face as models of active speakers take it: 112x112, grey, 25 pictures a second.

As in Light-ASD, Columbia_test.py (`crop_video`, `evaluate_network`): the middle half of a square of 1.4 times the
longer side of the box, moved down by 0.2 of that side. What lies beyond the picture repeats its edge; there it is grey.
"""

from __future__ import annotations

import cv2
import numpy as np

from facereel.query.clips.resample import Plane, crop_planes, samples_per_pixel
from facereel.query.records import ClipPlan
from facereel.store.model.records import Floats, Grey, Ints, Video

RATE = 25  # pictures a second
SIDE = 112  # pixels
_SIZE, _LOWER = (
    0.7,
    0.2,
)  # side of the square and how far below the middle of the box it lies, of the longer side
_SMOOTH = 13  # pictures over which the median of a box is taken


def frames_at(clip: ClipPlan) -> Ints:
    """Which of a clip's N frames is shown at each of T even times, 25 a second: positions (T,), at least one."""
    shown = clip.ticks - clip.ticks[0]
    tick = 1 / (RATE * clip.match.video.time_base)  # ticks a picture
    count = max(1, int(shown[-1] / tick))
    ticks = [int(number * tick) for number in range(count)]
    return np.searchsorted(shown[:-1], ticks, side="right") - 1


def pictures_at(clip: ClipPlan) -> Ints:
    """The even time that is current in each of a clip's N frames: positions (N,) in what `frames_at` gives."""
    tick = 1 / (RATE * clip.match.video.time_base)
    last = len(frames_at(clip)) - 1
    return np.array(
        [min(last, int(int(shown) / tick)) for shown in clip.ticks[:-1] - clip.ticks[0]], np.int64
    )


def squares(boxes: Floats) -> Floats:
    """What is cut for each of T pictures: x y w h (T, 4), of smoothed boxes (T, 4)."""
    longer = _smoothed(boxes[:, 2:].max(axis=1))
    x, y = (_smoothed(middle) for middle in (boxes[:, :2] + boxes[:, 2:] / 2).T)
    side = _SIZE * longer
    return np.column_stack([x - side / 2, y + _LOWER * longer - side / 2, side, side]).astype(np.float32)


def mouth(planes: list[Plane], video: Video, square: Floats) -> Grey:
    """The picture (112, 112) of a square, from the planes of the coded picture."""
    stacked = crop_planes(
        planes, (video.width, video.height), (video.rotation, video.mirrored), square.tolist(), (SIDE, SIDE),
        samples_per_pixel(square[None], SIDE, SIDE),
    )  # fmt: skip
    # Through colour, as the models saw grey of full range.
    return np.asarray(
        cv2.cvtColor(cv2.cvtColor(stacked, cv2.COLOR_YUV2BGR_I420), cv2.COLOR_BGR2GRAY), np.uint8
    )


def _smoothed(values: Floats) -> Floats:
    """The running median, with the ends repeated."""
    padded = np.pad(values, _SMOOTH // 2, mode="edge")
    return np.asarray(
        np.median(np.lib.stride_tricks.sliding_window_view(padded, _SMOOTH), axis=1), np.float32
    )
