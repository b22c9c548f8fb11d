"""Generated sound: a voice for everybody in the picture, a murmur of the place, a beep at every hard cut."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]
RATE = 48_000
BEEP_SECONDS = 0.06
BEEP_HERTZ = 1000.0
PITCH = {"collins": 215.0, "hopper": 180.0, "obama": 118.0, "biden": 102.0}  # a speaking voice's, hertz
# The first three formants of a, e, i, o, u of a grown speaker, hertz (Peterson and Barney 1952, rounded).
VOWELS = np.array(
    [[730, 1090, 2440], [530, 1840, 2480], [270, 2290, 3010], [570, 840, 2410], [300, 870, 2240]], np.float64
)


def _smooth_steps(rng: np.random.Generator, values: Array, step: float, seconds: float) -> Array:
    """Random picks from `values` (V, D), held for about `step` seconds and blended, (samples, D)."""
    count = int(seconds / step) + 3
    picks = values[rng.integers(0, len(values), count)]
    position = np.arange(int(seconds * RATE)) / (step * RATE)
    index = position.astype(int)
    t = np.clip((position - index - 0.6) / 0.4, 0, 1)[:, None]
    t = t * t * (3 - 2 * t)
    return np.asarray(picks[index] * (1 - t) + picks[index + 1] * t)


def voice(name: str, loudness: Array, seed: int) -> Array:
    """Speech-like sound of one person, mono; `loudness` (samples,) 0..1 says when the person is seen."""
    rng = np.random.default_rng(seed)
    seconds = len(loudness) / RATE
    wander = _smooth_steps(rng, np.array([[0.92], [1.0], [1.06], [1.12]]), 0.31, seconds)[:, 0]
    phase = 2 * np.pi * np.cumsum(PITCH[name] * wander) / RATE
    formants = _smooth_steps(rng, VOWELS, 0.19, seconds)
    syllables = _smooth_steps(rng, np.array([[0.0], [0.5], [1.0], [0.9]]), 0.17, seconds)[:, 0]
    sound = np.zeros(len(loudness))
    for k in range(1, int(3600 / PITCH[name])):
        hertz = k * PITCH[name] * wander
        weight = sum(
            np.exp(-(((hertz - formants[:, j]) / (90 + 45 * j)) ** 2)) / (1 + 1.6 * j) for j in range(3)
        )
        sound += (weight + 0.03 / k) * np.sin(k * phase)
    return np.asarray(sound * syllables * loudness * 0.16)


def _murmur(samples: int, shots: Sequence[int], fps: int, seed: int) -> Array:
    """A quiet chord and wind that change with the shot, mono."""
    rng = np.random.default_rng(seed)
    time = np.arange(samples) / RATE
    roots = [110.0, 130.81, 98.0, 123.47, 116.54]
    out = np.zeros(samples)
    bounds = [*(round(s * RATE / fps) for s in shots), samples]
    for k, (a, b) in enumerate(itertools.pairwise(bounds)):
        fade = np.clip(np.minimum(np.arange(b - a), np.arange(b - a)[::-1]) / (0.03 * RATE), 0, 1)
        root = roots[k % len(roots)]
        chord = sum(np.sin(2 * np.pi * root * ratio * time[a:b]) / ratio for ratio in (1, 1.25, 1.5, 2))
        out[a:b] = 0.011 * fade * np.asarray(chord) * (1 + 0.3 * np.sin(2 * np.pi * 0.4 * time[a:b]))
    wind = np.convolve(rng.standard_normal(samples), np.hanning(96) / 48, mode="same")
    return np.asarray(out + 0.006 * wind)


def soundtrack(
    visible: dict[str, Array], places: dict[str, Array], shots: Sequence[int], cuts: Sequence[int],
    passing: Array, fps: int,
) -> Array:  # fmt: skip
    """Stereo sound, (2, samples) float32.

    `visible` (F,) 0..1 is how loud each person is in a frame of 1 / fps, `places` (F,) 0..1 where, from left
    to right; `passing` (F,) 0..1 is a rush of air. A beep begins with every frame in `cuts`.
    """
    frames = len(passing)
    samples = frames * RATE // fps
    at = np.arange(samples) * fps / RATE - 0.5
    out = np.tile(_murmur(samples, shots, fps, 3), (2, 1))
    for k, name in enumerate(sorted(visible)):
        loud = np.convolve(visible[name], np.ones(5) / 5, mode="same")
        sound = voice(name, np.interp(at, np.arange(frames), loud), 40 + k)
        place = np.interp(at, np.arange(frames), places[name])
        out += np.stack([sound * np.cos(place * np.pi / 2), sound * np.sin(place * np.pi / 2)])
    air = np.convolve(np.random.default_rng(9).standard_normal(samples), np.hanning(24) / 12, mode="same")
    out += 0.09 * air * np.interp(at, np.arange(frames), np.convolve(passing, np.ones(7) / 7, mode="same"))
    for cut in cuts:
        start, length = round(cut * RATE / fps), round(BEEP_SECONDS * RATE)
        t = np.arange(length)
        envelope = np.clip(np.minimum(t + 1, length - t) / (0.003 * RATE), 0, 1)
        out[:, start : start + length] *= 0.3
        out[:, start : start + length] += 0.35 * envelope * np.sin(2 * np.pi * BEEP_HERTZ * t / RATE)
    return np.asarray(np.clip(out, -0.95, 0.95), np.float32)
