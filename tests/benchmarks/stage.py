"""What is put before the camera: people cut from portraits, things that get in the way, rooms behind them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from facereel.store.model.records import Floats, Image
from tests.benchmarks.portraits import Portrait

Array: TypeAlias = NDArray[Any]
MARGIN = 1.35  # how far the body's picture reaches beyond the face's middle, in face widths
HEAD = (0.74, 0.70)  # half axes of a head in face boxes: hair and ears stand out of the box; by eye


@dataclass(frozen=True, slots=True, eq=False)
class Sprite:
    """A flat picture with soft edges that is moved before the camera."""

    colour: Floats  # (H, W, 3) BGR 0..255, already multiplied by alpha
    alpha: Floats  # (H, W) 0..1
    face: Floats | None  # (H, W) 1 where the face is (the ellipse inside its box), None for things
    anchor: tuple[float, float]  # pixel that is placed: the middle of the face box or of the thing
    unit: float  # pixels that count as size 1: the width of the face box or of the thing


@lru_cache(maxsize=64)
def actor(portrait: Portrait, width: int) -> Sprite:
    """Head and shoulders with a face `width` pixels wide (at most one and a half times the photo's)."""
    photo = portrait.read()
    scale = min(width / float(portrait.box[2]), 1.5)
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    photo = np.asarray(cv2.resize(photo, None, fx=scale, fy=scale, interpolation=method), dtype=np.uint8)
    x, y, w, h = (float(v) for v in portrait.box * scale)
    canvas_w, canvas_h = (
        int(2 * MARGIN * w) + 2,
        int(6.0 * h),
    )  # a torso long enough to reach the floor of a tall picture
    anchor = (canvas_w / 2, 1.05 * h)
    colour, alpha = _shoulders(portrait, photo, (x, y, w, h), (canvas_w, canvas_h), anchor)
    shift = np.array([[1, 0, anchor[0] - x - w / 2], [0, 1, anchor[1] - y - h / 2]], dtype=np.float32)
    size = (canvas_w, canvas_h)
    head = cv2.warpAffine(photo, shift, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    matte = cv2.warpAffine(_matte(photo.shape[:2], (x, y, w, h)), shift, size)
    colour = colour * (1 - matte[..., None]) + head.astype(np.float32) * matte[..., None]
    alpha = np.maximum(alpha, matte)
    face = ellipse(size, anchor, (w / 2, h / 2), 1.0)
    return Sprite((colour * alpha[..., None]).astype(np.float32), alpha, face, anchor, w)


def ellipse(
    size: tuple[int, int], centre: tuple[float, float], axes: tuple[float, float], soft: float
) -> Floats:
    """Filled ellipse (H, W) 0..1 whose edge falls over `soft` pixels."""
    xs = (np.arange(size[0], dtype=np.float32) - centre[0]) / axes[0]
    ys = (np.arange(size[1], dtype=np.float32) - centre[1]) / axes[1]
    radius = np.sqrt(xs[None, :] ** 2 + ys[:, None] ** 2)
    return np.clip((1 - radius) * min(axes) / soft + 0.5, 0, 1).astype(np.float32)


def _matte(shape: tuple[int, int], box: tuple[float, float, float, float]) -> Floats:
    x, y, w, h = box
    size = (shape[1], shape[0])
    head = ellipse(size, (x + w / 2, y + 0.47 * h), (HEAD[0] * w, HEAD[1] * h), 0.10 * w)
    edge = max(2.0, 0.05 * w)
    xs, ys = np.arange(size[0], dtype=np.float32), np.arange(size[1], dtype=np.float32)
    inside_x = np.clip(np.minimum(xs, size[0] - 1 - xs) / edge, 0, 1)
    inside_y = np.clip(np.minimum(ys, size[1] - 1 - ys) / edge, 0, 1)
    return (head * inside_x[None, :] * inside_y[:, None]).astype(np.float32)


def _shoulders(
    portrait: Portrait,
    photo: Image,
    box: tuple[float, float, float, float],
    size: tuple[int, int],
    anchor: tuple[float, float],
) -> tuple[Floats, Floats]:
    """Hair behind the head, neck in the cheek's colour, a shirt in a colour of that person's own."""
    x, y, w, h = box
    rng = np.random.default_rng(int.from_bytes(portrait.person.encode()[-4:], "big"))
    cheek = photo[int(y + 0.55 * h) : int(y + 0.75 * h), int(x + 0.25 * w) : int(x + 0.75 * w)]
    skin, hair = np.median(cheek, axis=(0, 1)), _hair(photo, (x, y, w, h))
    shirt = rng.uniform(30, 170) + rng.uniform(-25, 25, 3)
    cx, cy = anchor
    parts = [
        (ellipse(size, (cx, cy - 0.03 * h), (0.70 * w, 0.70 * h), 0.12 * w), hair),
        (ellipse(size, (cx, cy + 0.75 * h), (0.33 * w, 0.55 * h), 0.04 * w), skin * 0.85),
        (ellipse(size, (cx, cy + 2.0 * h), (1.25 * w, 1.15 * h), 0.03 * w), shirt),
    ]
    parts[2][0][int(cy + 2.0 * h) :] = parts[2][0][int(cy + 2.0 * h)]  # the torso goes straight down
    colour = np.zeros((size[1], size[0], 3), dtype=np.float32)
    alpha = np.zeros((size[1], size[0]), dtype=np.float32)
    for mask, paint in parts:
        colour = colour * (1 - mask[..., None]) + mask[..., None] * paint.astype(np.float32)
        alpha = np.maximum(alpha, mask)
    return np.asarray(colour * (1 + 0.05 * noise(size, w / 6, rng)[..., None]), np.float32), alpha


def _hair(photo: Image, box: tuple[float, float, float, float]) -> Floats:
    """Colour (3,) of the dark quarter of what surrounds the forehead: hair rather than skin or wall."""
    x, y, w, h = (int(v) for v in box)
    around = photo[max(0, y - h // 8) : y + h // 3, max(0, x - w // 10) : x + w + w // 10].reshape(-1, 3)
    light = around.sum(axis=1)
    return np.asarray(np.median(around[light <= np.quantile(light, 0.25)], axis=0), dtype=np.float32)


def noise(size: tuple[int, int], grain: float, rng: np.random.Generator) -> Floats:
    """Smooth noise (H, W), mean 0, spread 1, with spots of about `grain` pixels."""
    coarse = (max(3, int(size[1] / grain) + 2), max(3, int(size[0] / grain) + 2))
    field = rng.standard_normal(coarse).astype(np.float32)
    return np.asarray(cv2.resize(field, size, interpolation=cv2.INTER_CUBIC), dtype=np.float32)


def turned(sprite: Sprite, yaw: float) -> Sprite:
    """The actor with the head turned about its upright axis by `yaw` degrees; beyond 130 no face is left.

    The head is a cylinder that carries the portrait on its front and hair on the rest.
    """
    assert sprite.face is not None
    if abs(yaw) < 0.5:
        return sprite
    height, width = sprite.alpha.shape
    radius = 0.72 * sprite.unit
    across = ((np.arange(width, dtype=np.float32) - sprite.anchor[0]) / radius).astype(np.float32)
    angle = np.degrees(np.arcsin(np.clip(across, -1, 1))) - yaw
    source = np.sin(np.radians(np.clip(angle, -89, 89))) * radius + sprite.anchor[0]
    ys = np.repeat(np.arange(height, dtype=np.float32)[:, None], width, axis=1)
    xs = np.repeat(source[None, :].astype(np.float32), height, axis=0)
    head = ellipse((width, height), sprite.anchor, (radius, 0.70 * face_height(sprite)), 0.08 * sprite.unit)
    whole = np.asarray(sprite.colour / np.maximum(sprite.alpha[..., None], 1e-3), dtype=np.float32)
    rolled: Array = cv2.remap(whole, xs, ys, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    ear = 72 - 26 * min(1.0, abs(yaw) / 30)  # what lies behind it in the photo is wall, not head
    back = np.clip((np.abs(angle) - ear) / 8, 0, 1).astype(np.float32)[None, :, None]
    rolled = rolled * (1 - back) + back_of_head(sprite, whole) * back
    keep = (head * (np.abs(across) < 1)[None, :])[..., None]
    colour = (whole * (1 - keep) + rolled * keep) * np.maximum(sprite.alpha, keep[..., 0])[..., None]
    face = cv2.remap(sprite.face, xs, ys, cv2.INTER_LINEAR) * (1 - back[..., 0]) * keep[..., 0]
    alpha = np.maximum(sprite.alpha, keep[..., 0])
    return Sprite(colour.astype(np.float32), alpha, face.astype(np.float32), sprite.anchor, sprite.unit)


def face_height(sprite: Sprite) -> float:
    """Height of the sprite's face, pixels."""
    assert sprite.face is not None
    return float((sprite.face.max(axis=1) > 0.5).sum())


def back_of_head(sprite: Sprite, whole: Floats) -> Floats:
    """Hair in the colour of the crown, in strands."""
    height, width = sprite.alpha.shape
    cx, cy = (int(v) for v in sprite.anchor)
    reach, tall = int(0.3 * sprite.unit), face_height(sprite)
    top = whole[max(0, int(cy - 0.62 * tall)) : int(cy - 0.35 * tall), cx - reach : cx + reach].reshape(-1, 3)
    light = top.sum(axis=1)
    hair = np.minimum(np.median(top[light <= np.quantile(light, 0.3)], axis=0), 120)
    rng = np.random.default_rng(7)
    strands = rng.standard_normal((2, max(3, width // 3))).astype(np.float32)
    shade = cv2.resize(strands, (width, height), interpolation=cv2.INTER_CUBIC)[..., None]
    return np.asarray(np.clip(hair * (1 + 0.12 * shade), 0, 255), dtype=np.float32)


@lru_cache(maxsize=32)
def thing(kind: str, ratio: float = 1.2) -> Sprite:
    """What gets in the way: plain, textured, skin (a palm), microphone or passer; `ratio` is H / W."""
    rng = np.random.default_rng(sum(kind.encode()))
    size = (240, int(240 * ratio))
    middle = (size[0] / 2, size[1] / 2)
    shade = np.linspace(0.75, 1.15, size[0], dtype=np.float32)[None, :, None]
    paint: Array = np.ones((size[1], size[0], 3), dtype=np.float32) * shade
    alpha = _board(size)
    if kind == "plain":
        paint = paint * np.array([120, 96, 70], dtype=np.float32)
    elif kind == "textured":
        checks = np.indices((size[1], size[0])).sum(axis=0) // 20 % 2
        paint = (
            paint * (70 + 90 * checks[..., None]) * np.array([0.7, 0.9, 1.1])
            + 14 * noise(size, 4, rng)[..., None]
        )
    elif kind == "skin":
        alpha = _palm(size)
        lines = 8 * noise(size, 30, rng) + 3 * noise(size, 3, rng)
        paint = paint * np.array([120, 150, 205], dtype=np.float32) + lines[..., None]
    elif kind == "microphone":
        head = ellipse(size, (120, 70), (70, 68), 3)
        mesh = np.indices((size[1], size[0])).sum(axis=0) % 10 < 4
        alpha = np.maximum(head, _board(size, (95, 70, 145, size[1])))
        paint = paint * 40 + 35 * (mesh * head)[..., None]
    else:
        alpha = ellipse(size, middle, (112, size[1] / 2 - 8), 14)
        paint = paint * np.array([40, 34, 38], dtype=np.float32) + 8 * noise(size, 12, rng)[..., None]
    colour = np.clip(paint, 0, 255).astype(np.float32) * alpha[..., None]
    return Sprite(colour.astype(np.float32), alpha, None, middle, float(size[0]))


def _board(size: tuple[int, int], box: tuple[int, int, int, int] | None = None) -> Floats:
    x0, y0, x1, y1 = box or (3, 3, size[0] - 3, size[1] - 3)
    mask = np.zeros((size[1], size[0]), dtype=np.float32)
    mask[y0:y1, x0:x1] = 1
    return np.asarray(cv2.GaussianBlur(mask, (5, 5), 1.2), dtype=np.float32)


def _palm(size: tuple[int, int]) -> Floats:
    """A hand held up flat: a round palm, four fingers above it, a wrist below."""
    mask = np.zeros((size[1], size[0]), dtype=np.uint8)
    width, height = size
    cv2.ellipse(
        mask, (width // 2, int(0.58 * height)), (int(0.47 * width), int(0.36 * height)), 0, 0, 360, 255, -1
    )
    for i, reach in enumerate((0.20, 0.09, 0.08, 0.16)):
        x = int(width * (0.17 + 0.22 * i))
        cv2.line(mask, (x, int(reach * height)), (x, int(0.5 * height)), 255, int(0.20 * width))
    cv2.rectangle(mask, (int(0.25 * width), int(0.8 * height)), (int(0.75 * width), height), 255, -1)
    return np.asarray(cv2.GaussianBlur(mask, (5, 5), 1.2) / np.float32(255), dtype=np.float32)


@lru_cache(maxsize=32)
def room(seed: int, width: int, height: int) -> Floats:
    """A wall with soft light, texture and a few out-of-focus shapes, (H, W, 3) BGR 0..255."""
    rng = np.random.default_rng(1000 + seed)
    base = rng.uniform(70, 160) + rng.uniform(-20, 20, 3)
    picture = np.ones((height, width, 3), dtype=np.float32) * base.astype(np.float32)
    for _ in range(max(5, 9 * width // 640)):
        x, y = int(rng.integers(-40, width)), int(rng.integers(-40, height))
        w, h = (int(v) for v in rng.integers(50, 220, 2))
        paint = tuple(float(v) for v in rng.uniform(25, 215) + rng.uniform(-30, 30, 3))
        cv2.rectangle(picture, (x, y), (x + w, y + h), paint, -1)
    picture = np.asarray(cv2.GaussianBlur(picture, (0, 0), 5), dtype=np.float32)
    texture = 4 * noise((width, height), 6, rng) + 12 * noise((width, height), 90, rng)
    return np.clip(picture + texture[..., None], 5, 250).astype(np.float32)
