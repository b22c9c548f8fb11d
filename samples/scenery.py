"""Backgrounds, things that pass, and the look of film. Pictures are float32 BGR 0..1."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]
HEIGHT, WIDTH = 720, 1280
MARGIN = 120  # a background is that much larger on every side, to be moved behind the people


def _canvas() -> tuple[int, int]:
    return HEIGHT + 2 * MARGIN, WIDTH + 2 * MARGIN


def _gradient(top: tuple[float, ...], bottom: tuple[float, ...]) -> Array:
    height, width = _canvas()
    t = np.linspace(0, 1, height, dtype=np.float32)[:, None, None]
    return np.array(
        np.broadcast_to(
            np.array(top, np.float32) * (1 - t) + np.array(bottom, np.float32) * t, (height, width, 3)
        )
    )


def _noise(rng: np.random.Generator, sigma_x: float, sigma_y: float) -> Array:
    height, width = _canvas()
    noise = cv2.GaussianBlur(rng.standard_normal((height, width), np.float32), (0, 0), sigma_x, None, sigma_y)
    return np.asarray(noise / np.float32(noise.std()))


def _lights(
    rng: np.random.Generator,
    count: int,
    radii: tuple[int, int],
    colours: Sequence[tuple[float, ...]],
    bottom: float = 1.0,
) -> Array:
    height, width = _canvas()
    lights = np.zeros((height, width, 3), np.float32)
    for _ in range(count):
        at = int(rng.uniform(0, width)), int(rng.uniform(0, height * bottom))
        radius = int(rng.integers(*radii))
        disc = np.zeros((height, width), np.float32)
        cv2.circle(disc, at, radius, 0.8, -1, cv2.LINE_AA)
        # a lens brightens the rim of its blur
        cv2.circle(disc, at, radius, 1.0, max(2, radius // 9), cv2.LINE_AA)
        colour = np.array(colours[int(rng.integers(len(colours)))], np.float32) * rng.uniform(0.25, 0.9)
        lights += cv2.GaussianBlur(disc, (0, 0), 1.5 + radius / 14)[..., None] * colour.astype(np.float32)
    return lights


class Background:
    """A still backdrop with lights that breathe, moved slowly behind the people."""

    def __init__(
        self, base: Array, lights: tuple[Array, ...] = (), drift: tuple[float, float] = (0.0, 0.0)
    ) -> None:
        self.base, self.lights, self.drift = base, lights, drift

    def at(self, frame: int) -> Array:
        """The backdrop of one frame of its shot, (720, 1280, 3)."""
        dx = float(np.clip(self.drift[0] * frame, -MARGIN, MARGIN))
        dy = float(np.clip(self.drift[1] * frame, -MARGIN, MARGIN))
        move = np.array([[1, 0, MARGIN + dx], [0, 1, MARGIN + dy]], np.float32)
        picture = self.base
        for k, layer in enumerate(self.lights):
            picture = picture + layer * np.float32(0.75 + 0.25 * np.sin(frame / (9.0 + 4 * k) + 2 * k))
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        return cv2.warpAffine(picture, move, (WIDTH, HEIGHT), flags=flags)


def night(seed: int) -> Background:
    """City lights far out of focus."""
    rng = np.random.default_rng(seed)
    warm = [(0.15, 0.45, 0.95), (0.25, 0.6, 1.0), (0.3, 0.3, 0.9), (0.8, 0.5, 0.3)]
    base = _gradient((0.20, 0.09, 0.05), (0.10, 0.05, 0.06)) + 0.006 * _noise(rng, 60, 40)[..., None]
    lights = tuple(_lights(rng, 22, (16, 62), warm) for _ in range(2))
    return Background(base, lights, (0.35, 0.05))


def room(seed: int) -> Background:
    """A warm room: panelled wall, a bright window out of focus."""
    rng = np.random.default_rng(seed)
    grain = 0.030 * _noise(rng, 2.5, 90) + 0.03 * _noise(rng, 90, 200)
    base = _gradient((0.30, 0.42, 0.55), (0.16, 0.24, 0.36)) * (1 + grain[..., None])
    height, width = _canvas()
    panels = np.ones((height, width), np.float32)
    for x in range(60, width, 220):
        panels[:, x : x + 7], panels[:, x + 7 : x + 12] = 0.62, 1.25
    base *= cv2.GaussianBlur(panels, (0, 0), 3.5)[..., None]
    window = np.zeros((height, width), np.float32)
    cv2.rectangle(window, (650, 90), (930, 560), 1.0, -1)
    cv2.rectangle(window, (783, 90), (797, 560), 0.3, -1)
    cv2.rectangle(window, (650, 300), (930, 312), 0.3, -1)
    glow = cv2.GaussianBlur(window, (0, 0), 13) + 0.35 * cv2.GaussianBlur(window, (0, 0), 110)
    return Background(base + glow[..., None] * np.array([0.52, 0.50, 0.44], np.float32), (), (-0.25, 0.0))


def garden(seed: int) -> Background:
    """Leaves and sky, out of focus."""
    rng = np.random.default_rng(seed)
    base = _gradient((0.82, 0.74, 0.62), (0.22, 0.38, 0.28))
    leaves = np.clip(0.5 + 0.35 * _noise(rng, 26, 20), 0, 1)[..., None]
    base = base * (0.62 + 0.5 * leaves)
    greens = [(0.18, 0.42, 0.30), (0.25, 0.55, 0.45), (0.35, 0.55, 0.5)]
    return Background(
        base, (_lights(rng, 60, (12, 40), greens), _lights(rng, 18, (10, 26), greens, 0.6)), (0.5, 0.0)
    )


def stage_curtain(seed: int) -> Background:
    """A red curtain in folds under a lamp."""
    rng = np.random.default_rng(seed)
    height, width = _canvas()
    bend = 14 * _noise(rng, 120, 160)
    x = np.arange(width, dtype=np.float32)[None, :] + bend
    folds = 0.55 + 0.25 * np.sin(x / 23) + 0.14 * np.sin(x / 9.1 + 1) + 0.02 * _noise(rng, 1.2, 30)
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    lamp = 0.35 + 0.8 * np.exp(-(((columns - width / 2) / 560) ** 2) - ((rows - 380) / 380) ** 2)
    base = (folds * lamp)[..., None] * np.array([0.16, 0.11, 0.58], np.float32)
    return Background(np.clip(base, 0, 1), (), (0.0, 0.0))


def dusk(seed: int) -> Background:
    """An evening sky over a lit street, out of focus."""
    rng = np.random.default_rng(seed)
    base = _gradient((0.42, 0.26, 0.20), (0.20, 0.30, 0.52)) * (1 + 0.05 * _noise(rng, 110, 30)[..., None])
    cool = [(0.75, 0.6, 0.2), (0.2, 0.5, 0.95), (0.45, 0.65, 0.95)]
    return Background(base, (_lights(rng, 20, (14, 46), cool), _lights(rng, 16, (8, 28), cool)), (-0.3, 0.04))


def _on_stage(picture: Array, alpha: Array, left: float, top: float) -> Array:
    layer = np.concatenate([picture * alpha[..., None], alpha[..., None]], axis=2).astype(np.float32)
    move = np.array([[1, 0, left], [0, 1, top]], np.float32)
    return cv2.warpAffine(layer, move, (WIDTH, HEIGHT), flags=cv2.INTER_LINEAR)


def make_panel(seed: int, width: int, colour: tuple[float, float, float]) -> tuple[Array, Array]:
    """A tall woven panel and its alpha, near the camera and so a little soft at its edges."""
    rng = np.random.default_rng(seed)
    height = HEIGHT + 40
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    weave = 0.10 * np.sin(columns / 2.6 + 2.2 * np.sin(rows / 9)) + 0.10 * np.sin(rows / 3.1)
    streaks = cv2.GaussianBlur(rng.standard_normal((height, width), np.float32), (0, 0), 3, None, 60) * 2.2
    patch = cv2.GaussianBlur(rng.standard_normal((height, width), np.float32), (0, 0), 30) * 8
    shade = 0.55 + 0.45 * np.sin(np.pi * (columns + 0.1 * width) / (1.2 * width))
    picture = np.clip((0.8 + weave + streaks + patch) * shade, 0.1, 1.3)[..., None] * np.array(
        colour, np.float32
    )
    edge = np.minimum(np.minimum(columns, width - 1 - columns) / 9, 1)
    return cv2.GaussianBlur(picture, (0, 0), 1.2), edge


def panel_at(panel: tuple[Array, Array], left: float) -> Array:
    """The panel on an empty stage, its left edge at `left`; BGRA premultiplied."""
    return _on_stage(panel[0], panel[1], left, -20)


def make_microphone(radius: int) -> tuple[Array, Array]:
    """A hand-held microphone with a foam ball of that radius, and its alpha."""
    rng = np.random.default_rng(11)
    height, width = HEIGHT, 4 * radius
    cx, cy = 2 * radius, radius + 6
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    u, v = (columns - cx) / radius, (rows - cy) / (1.12 * radius)
    ball = np.clip((1 - np.sqrt(u * u + v * v)) * radius / 3, 0, 1)
    round_light = np.clip(1 - 0.8 * np.hypot(u + 0.4, v + 0.45), 0.05, 1)
    foam = cv2.GaussianBlur(rng.standard_normal((height, width), np.float32), (0, 0), 1.3)
    grain = (0.09 + 0.20 * round_light + 0.06 * foam)[..., None] * np.array([1.05, 1.0, 0.98], np.float32)
    half = 0.30 * radius + 0.03 * (cy + 3 * radius - rows)
    stick = np.clip((half - np.abs(columns - cx)) / 2, 0, 1) * (rows > cy)
    metal = 0.10 + 0.22 * np.exp(-(((columns - cx + 0.12 * radius) / (0.12 * radius)) ** 2))
    picture = np.where(ball[..., None] > 0, grain, metal[..., None] * np.array([1.1, 1.0, 0.95], np.float32))
    return np.clip(picture, 0, 1), cv2.GaussianBlur(np.maximum(ball, stick), (0, 0), 1.3)


def microphone_at(microphone: tuple[Array, Array], x: float, y: float) -> Array:
    """The microphone on an empty stage, the middle of its ball at `x`, `y`; BGRA premultiplied."""
    radius = microphone[0].shape[1] // 4
    return _on_stage(microphone[0], microphone[1], x - 2 * radius, y - radius - 6)


class Film:
    """Vignette, a little softness and grain: what makes layers one picture."""

    def __init__(self, seed: int, grain: float) -> None:
        rng = np.random.default_rng(seed)
        tall = rng.standard_normal((HEIGHT + 256, WIDTH + 256), np.float32)
        self.grain = cv2.GaussianBlur(tall, (0, 0), 0.8) * np.float32(grain / 0.35)
        self.offsets = rng.integers(0, 256, (4096, 2))
        rows, columns = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
        r2 = ((columns - WIDTH / 2) / WIDTH) ** 2 + ((rows - HEIGHT / 2) / HEIGHT) ** 2
        self.vignette = (1.04 - 0.42 * r2)[..., None]

    def expose(self, picture: Array, frame: int) -> Array:
        """(720, 1280, 3) BGR uint8 as filmed."""
        x, y = self.offsets[frame]
        picture = cv2.GaussianBlur(picture, (0, 0), 0.55) * self.vignette
        picture = picture + self.grain[y : y + HEIGHT, x : x + WIDTH, None]
        return np.clip(picture * 255 + 0.5, 0, 255).astype(np.uint8)
