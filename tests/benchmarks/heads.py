"""A head as a solid: a portrait on the front of an ellipsoid with a nose, hair on the rest; it turns to a profile.

Flat portraits that slide past each other are easy for a tracker: the one in front is always plainly a face. Where
people meet in films the one in front is often in profile, which a detector misses and a recogniser mistakes.
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

from facereel.store.model.records import Floats
from tests.benchmarks.portraits import Portrait
from tests.benchmarks.stage import Sprite, actor, back_of_head, face_height

# Half axes across (face widths), up (face heights) and deep (face widths); all by eye, as the nose.
_AXES = (0.70, 0.70, 0.78)
_NOSE = (0.15, 0.10)  # how far it stands out and half its width, in face widths
_STEP = 0.6  # pixels between the points that are drawn


@lru_cache(maxsize=512)
def head(portrait: Portrait, width: int, yaw: int) -> Sprite:
    """Head and shoulders with a face `width` pixels wide, the head turned by `yaw` whole degrees to the right."""
    sprite = actor(portrait, width)
    assert sprite.face is not None
    whole = np.asarray(sprite.colour / np.maximum(sprite.alpha[..., None], 1e-3), np.float32)
    x, y, z, longitude = _surface(portrait, sprite)
    columns, rows = x + np.float32(sprite.anchor[0]), y + np.float32(sprite.anchor[1])
    # The photo shows the front; what lies farther round than the ears is hair.
    hair = np.clip((np.abs(np.degrees(longitude)) - 62) / 12, 0, 1).astype(np.float32)
    front = cv2.remap(whole, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    back = cv2.remap(back_of_head(sprite, whole), columns, rows, cv2.INTER_LINEAR)
    paint = front * (1 - hair[..., None]) + back * hair[..., None]
    shown = cv2.remap(sprite.face, columns, rows, cv2.INTER_LINEAR) * (1 - hair)
    turn = np.radians(yaw)
    across = x * np.cos(turn) + z * np.sin(turn)
    # From the farthest meridian to the nearest: what lies in front is drawn over what lies behind.
    order = np.argsort(np.cos(longitude[0] + turn))
    points = np.concatenate([paint, shown[..., None]], axis=2)
    at = across + np.float32(sprite.anchor[0])
    painted = _draw(points[:, order], at[:, order], rows[:, order], sprite.alpha.shape)
    solid, colour, face = painted[..., 4], painted[..., :3], painted[..., 3]
    # Of the flat actor only what is below the chin stays.
    below = np.arange(len(solid), dtype=np.float32) - np.float32(sprite.anchor[1])
    body = sprite.alpha * np.clip(below / face_height(sprite) * 10 - 3, 0, 1)[:, None]
    alpha = np.maximum(body, solid)
    mixed = (whole * (1 - solid[..., None]) + colour * solid[..., None]) * alpha[..., None]
    return Sprite(
        mixed.astype(np.float32), alpha.astype(np.float32), (face * solid).astype(np.float32),
        sprite.anchor, sprite.unit,
    )  # fmt: skip


def _surface(portrait: Portrait, sprite: Sprite) -> tuple[Floats, Floats, Floats, Floats]:
    """Points of the head (rows, meridians) in pixels from its middle: across, down, towards us; and longitudes."""
    unit = sprite.unit
    a, b, c = _AXES[0] * unit, _AXES[1] * face_height(sprite), _AXES[2] * unit
    meridians = np.linspace(-np.pi, np.pi, int(2 * np.pi * c / _STEP), dtype=np.float32)
    down = np.arange(-b + 0.5, b - 0.5, _STEP, dtype=np.float32)
    longitude, y = np.meshgrid(meridians, down)
    round_ = np.sqrt(1 - (y / b) ** 2)
    x, z = a * round_ * np.sin(longitude), c * round_ * np.cos(longitude)
    points = (portrait.landmarks - portrait.box[:2] - portrait.box[2:] / 2) * unit / portrait.box[2]
    eyes, nose = points[:2].mean(axis=0), points[2]
    # The ridge rises from the eyes to the tip and falls off below.
    share = (y - eyes[1]) / max(float(nose[1] - eyes[1]), 1.0)
    ridge = np.where(share <= 1, np.clip(share, 0, 1) ** 1.3, np.exp(-(((share - 1) / 0.2) ** 2)))
    middle = eyes[0] + (nose[0] - eyes[0]) * np.clip(share, 0, 1)
    bump = _NOSE[0] * unit * ridge * np.exp(-(((x - middle) / (_NOSE[1] * unit)) ** 2))
    z = z + np.where(np.abs(longitude) < np.pi / 2, bump, 0)
    return x.astype(np.float32), y, z.astype(np.float32), longitude


def _draw(points: Floats, x: Floats, y: Floats, shape: tuple[int, ...]) -> Floats:
    """Points (rows, meridians, K) at x, y as a picture (H, W, K + 1); the last channel is how solid it is."""
    columns, rows = np.rint(x).astype(np.int64), np.rint(y).astype(np.int64)
    inside = (columns >= 0) & (columns < shape[1]) & (rows >= 0) & (rows < shape[0])
    picture = np.zeros((*shape, points.shape[2] + 1), np.float32)
    values = np.concatenate([points, np.ones((*points.shape[:2], 1), np.float32)], axis=2)
    # Meridian by meridian, so that the order is that of the columns of `points`.
    picture[rows.T[inside.T], columns.T[inside.T]] = values.transpose(1, 0, 2)[inside.T]
    # Pixels between the points take the mean of those around them.
    mask = picture[..., -1:].copy()
    filled = cv2.GaussianBlur(picture, (0, 0), 1.0)
    picture = np.where(mask > 0, picture, filled / np.maximum(filled[..., -1:], 1e-3))
    solid = cv2.morphologyEx(mask[..., 0], cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8))
    picture[..., -1] = cv2.GaussianBlur(solid, (0, 0), 1.0)
    return np.asarray(picture, np.float32)
