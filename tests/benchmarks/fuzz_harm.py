"""Harm done to bytes, from a seed: cut off, flipped, overwritten, doubled, with numbers out of this world."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np

Rng: TypeAlias = np.random.Generator
Mutation: TypeAlias = Callable[[bytes, Rng], bytes]

_EXTREMES = (
    b"\xff\xff\xff\xff",
    b"\x7f\xff\xff\xff",
    b"\xff\xff\xff\x7f",
    b"\0\0\0\0",
    b"\x80\0\0\0",
    b"\x3b\x9a\xca\x00",
)


# Where MP4 and AVI keep counts and sizes; Matroska is hit by chance.
_COUNTED = tuple(b"stsz stts stsc stco ctts mvhd mdhd tkhd avc1 trun avih strh idx1 strf".split())


def truncated(data: bytes, rng: Rng) -> bytes:
    return data[: int(rng.integers(0, len(data)))]


def flipped(data: bytes, rng: Rng) -> bytes:
    out = bytearray(data)
    reach = len(out) if rng.random() < 0.6 else min(len(out), 2048)  # often where headers are
    for place in rng.integers(0, reach, int(rng.choice([1, 3, 12, 60]))):
        out[int(place)] ^= 1 << int(rng.integers(8))
    return bytes(out)


def overwritten(data: bytes, rng: Rng) -> bytes:
    start, count = int(rng.integers(0, len(data))), int(rng.choice([16, 200, 2000]))
    patch = bytes(count) if rng.random() < 0.5 else rng.bytes(count)
    return (data[:start] + patch + data[start + count :])[: len(data)]


def cut_out(data: bytes, rng: Rng) -> bytes:
    start, count = int(rng.integers(0, len(data))), int(rng.integers(1, max(2, len(data) // 3)))
    return data[:start] + data[start + count :]


def doubled(data: bytes, rng: Rng) -> bytes:
    start, end = sorted(int(place) for place in rng.integers(0, len(data), 2))
    return data[:end] + data[start:]


def huge_numbers(data: bytes, rng: Rng) -> bytes:
    """Sizes, counts and lengths that are out of this world, where a header keeps them."""
    out = bytearray(data)
    marks = [place for mark in _COUNTED for place in _all(data, mark)]
    for _ in range(int(rng.choice([1, 2, 5]))):
        if marks and rng.random() < 0.7:
            place = int(rng.choice(marks)) + int(rng.integers(0, 24))
        else:
            place = int(rng.integers(0, min(len(out), 1500)))
        value = _EXTREMES[int(rng.integers(len(_EXTREMES)))]
        out[place : place + 4] = value
    return bytes(out[: len(data)])


def _all(data: bytes, mark: bytes) -> list[int]:
    places, place = [], data.find(mark)
    while place >= 0:
        places.append(place)
        place = data.find(mark, place + 1)
    return places


MUTATIONS: dict[str, Mutation] = {
    "truncated": truncated, "flipped": flipped, "overwritten": overwritten,
    "cut out": cut_out, "doubled": doubled, "huge numbers": huge_numbers,
}  # fmt: skip

NAMES = (
    "a\nb.mp4", "..mp4", "...", "-rf.mp4", "--force", "x" * 251 + ".mp4", "\x1b[31m.mp4", "\u202egnp.mp4", " .mp4",
    "a%00s.mp4", "con.mp4", "映" * 83 + ".mp4", "caf\udce9.mp4", "file:a.mp4", "pipe:1.mp4", "a'b\"c;$(id).mp4",
    "[x]*?.mp4", "~.mp4",
)  # fmt: skip

HEADERS = ("flipped", "huge numbers", "doubled")  # harm that changes what a film says of itself
