"""Draws a planned scene frame by frame, and says exactly what is to be seen in each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

import cv2
import numpy as np

from facereel.store.model.records import Floats, Image
from tests.benchmarks.heads import head
from tests.benchmarks.portraits import Portrait
from tests.benchmarks.stage import Sprite, actor, room, turned

Pose: TypeAlias = tuple[float, float, float, float]  # x, y of the middle and width in pixels, turn in degrees
Path: TypeAlias = Callable[[float], Pose]  # over the frames of a take, fractions and negative ones too
Camera: TypeAlias = Callable[
    [float], tuple[float, float, float]
]  # shift x, y in pixels, zoom about the middle
Grade: TypeAlias = Callable[[Floats, int], Floats]
Box: TypeAlias = tuple[float, float, float, float]

SPRITE_FACE = 200  # pixels: faces are prepared at this width, or at twice it for close-ups


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """Somebody (a portrait) or something (a sprite) on its way through a take."""

    what: Portrait | Sprite
    path: Path
    yaw: Callable[[float], float] | None = None  # degrees, for people
    solid: bool = False  # turns as a head with a nose (heads.py), not as a portrait rolled round a cylinder


@dataclass(frozen=True, slots=True, eq=False)
class Take:
    """What one camera sees from one place; layers from back to front."""

    frames: int
    layers: tuple[Layer, ...]
    room: int  # which background
    camera: Camera = lambda t: (4 * np.sin(t / 40), 3 * np.sin(t / 33), 1.0)
    shutter: int = 1  # pictures averaged into a frame: motion blur
    grade: Grade | None = None
    wide: int = 1  # how many pictures wide the background is


@dataclass(frozen=True, slots=True)
class Join:
    """How one take becomes the next: cut, dissolve, fade_black, fade_white or wipe, over so many frames."""

    kind: str = "cut"
    frames: int = 0


@dataclass(frozen=True, slots=True)
class Event:
    """Something in [start, end) that must not be taken for something else: flash, pan, partial ..."""

    kind: str
    start: int
    end: int


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """A whole video, planned."""

    takes: tuple[Take, ...]
    joins: tuple[Join, ...] = ()
    events: tuple[Event, ...] = ()
    size: tuple[int, int] = (640, 360)
    grain: float = 2.0  # spread of the noise, grey levels
    coding: dict[str, object] = field(default_factory=dict)  # arguments of encode.write_video


@dataclass(frozen=True, slots=True)
class Seen:
    """One face in one frame: its whole box, and how much of the face is to be seen, 0..1."""

    person: str
    box: Box
    share: float


def frames_of(scene: Scene, seed: int) -> Iterator[tuple[Image, list[Seen], bool]]:
    """Pictures BGR (H, W, 3) in order, with the faces in each and whether two takes are mixed in it."""
    rng = np.random.default_rng(seed)
    width, height = scene.size
    fields = [rng.standard_normal((height, width, 1)).astype(np.float32) for _ in range(6)]
    for number, (picture, visible, mixed) in enumerate(_plain_frames(scene)):
        roll = (int(rng.integers(height)), int(rng.integers(width)))
        grain = np.roll(fields[number % 6], roll, axis=(0, 1)) * scene.grain
        yield np.clip(picture + grain, 0, 255).astype(np.uint8), visible, mixed


def _plain_frames(scene: Scene) -> Iterator[tuple[Floats, list[Seen], bool]]:
    for number, take in enumerate(scene.takes):
        for t in range(take.frames):
            picture, visible = draw(take, t, scene.size)
            yield picture, visible, False
        if number < len(scene.joins) and scene.joins[number].kind != "cut":
            join, following = scene.joins[number], scene.takes[number + 1]
            for i in range(join.frames):
                old, old_seen = draw(take, take.frames + i, scene.size)
                new, new_seen = draw(following, i - join.frames, scene.size)
                merged = {s.person: s for s in old_seen} | {s.person: s for s in new_seen}
                yield mix(join.kind, old, new, (i + 1) / (join.frames + 1)), list(merged.values()), True


def mix(kind: str, old: Floats, new: Floats, weight: float) -> Floats:
    """The picture a share `weight` of the way from one take to the next."""
    if kind == "dissolve":
        return old * np.float32(1 - weight) + new * np.float32(weight)
    if kind == "wipe":
        edge = int(weight * old.shape[1])
        return np.concatenate([new[:, :edge], old[:, edge:]], axis=1)
    paint = np.float32(255 if kind == "fade_white" else 0)
    away = np.float32(abs(1 - 2 * weight))
    return (old if weight < 0.5 else new) * away + paint * (1 - away)


def draw(take: Take, t: int, size: tuple[int, int]) -> tuple[Floats, list[Seen]]:
    """One frame of a take, float BGR 0..255, and who is in it at the middle of the exposure."""
    offsets = (np.arange(take.shutter) - (take.shutter - 1) / 2) / take.shutter * 0.6
    picture = np.zeros((size[1], size[0], 3), dtype=np.float32)
    shares: dict[str, list[float]] = {}
    boxes: dict[str, Box] = {}
    for offset in offsets:
        still, visible = _expose(take, t + float(offset), size)
        picture += still / take.shutter
        for s in visible:
            shares.setdefault(s.person, []).append(s.share)
            boxes[s.person] = (
                s.box if abs(offset) < 0.5 / take.shutter or s.person not in boxes else boxes[s.person]
            )
    if take.grade is not None:
        picture = take.grade(picture, t)
    return picture, [Seen(p, boxes[p], float(np.mean(v))) for p, v in shares.items()]


def _expose(take: Take, t: float, size: tuple[int, int]) -> tuple[Floats, list[Seen]]:
    width, height = size
    dx, dy, zoom = take.camera(t)
    view = np.array([[zoom, 0, width / 2 * (1 - zoom) + dx], [0, zoom, height / 2 * (1 - zoom) + dy]])
    canvas = room(take.room, int(width * (take.wide + 0.4)), int(height * 1.4))
    placed = view @ np.array([[1, 0, -0.2 * width], [0, 1, -0.2 * height], [0, 0, 1]])
    picture = np.asarray(
        cv2.warpAffine(canvas, placed, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT),
        np.float32,
    )
    faces: list[tuple[str, Box, float, Floats]] = []
    for layer in take.layers:
        sprite = _sprite(layer, t)
        matrix = view @ np.vstack([_placing(sprite, layer.path(t)), [0, 0, 1]])
        alpha = _paint(picture, sprite, matrix)
        faces = [(p, b, total, mask * (1 - alpha)) for p, b, total, mask in faces]
        if isinstance(layer.what, Portrait):
            faces.append(_face(layer.what.person, sprite, layer, t, matrix, size))
    visible = [Seen(p, b, min(1.0, float(mask.sum()) / total)) for p, b, total, mask in faces]
    return picture, visible


def _sprite(layer: Layer, t: float) -> Sprite:
    if isinstance(layer.what, Sprite):
        return layer.what
    width = layer.path(t)[2]
    prepared = next(
        w for w in (25, 50, 100, SPRITE_FACE, 2 * SPRITE_FACE) if width <= w or w == 2 * SPRITE_FACE
    )
    if layer.solid:
        return head(
            layer.what,
            min(prepared, SPRITE_FACE),
            6 * round(layer.yaw(t) / 6) if layer.yaw is not None else 0,
        )
    sprite = actor(layer.what, prepared)
    return turned(sprite, layer.yaw(t)) if layer.yaw is not None else sprite


def _placing(sprite: Sprite, pose: Pose) -> Floats:
    x, y, width, turn = pose
    matrix = np.asarray(cv2.getRotationMatrix2D(sprite.anchor, turn, width / sprite.unit), dtype=np.float32)
    matrix[:, 2] += np.array([x - sprite.anchor[0], y - sprite.anchor[1]], dtype=np.float32)
    return matrix


def _paint(picture: Floats, sprite: Sprite, matrix: Floats) -> Floats:
    """Lay a sprite over the picture in place; returns its alpha (H, W) there."""
    size = (picture.shape[1], picture.shape[0])
    alpha = np.asarray(cv2.warpAffine(sprite.alpha, matrix, size, flags=cv2.INTER_LINEAR), dtype=np.float32)
    rows, columns = np.flatnonzero(alpha.any(axis=1)), np.flatnonzero(alpha.any(axis=0))
    if len(rows):
        y, x = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
        moved = matrix - np.array([[0, 0, x.start], [0, 0, y.start]])
        part = (x.stop - x.start, y.stop - y.start)
        picture[y, x] *= 1 - alpha[y, x, None]
        picture[y, x] += cv2.warpAffine(sprite.colour, moved, part, flags=cv2.INTER_LINEAR)
    return alpha


def _face(
    person: str, sprite: Sprite, layer: Layer, t: float, matrix: Floats, size: tuple[int, int]
) -> tuple[str, Box, float, Floats]:
    """Where a face is: its whole box, its whole area, and the part of it inside the picture (H, W)."""
    assert sprite.face is not None
    straight = _sprite(Layer(layer.what, layer.path, solid=layer.solid), t).face
    mask = np.asarray(cv2.warpAffine(sprite.face, matrix, size, flags=cv2.INTER_LINEAR), dtype=np.float32)
    assert straight is not None
    total = float(straight.sum()) * float(abs(np.linalg.det(matrix[:, :2])))
    columns, rows = np.flatnonzero(sprite.face.max(axis=0) > 0.5), np.flatnonzero(straight.max(axis=1) > 0.5)
    if not len(columns):  # turned wholly away: nothing of the face is left
        columns = np.array([int(sprite.anchor[0])])
    half = np.array([(columns[-1] - columns[0] + 1) / 2, (rows[-1] - rows[0] + 1) / 2])
    middle = np.array([columns[0] + half[0] - 0.5, rows[0] + half[1] - 0.5, 1.0])
    x, y = matrix @ middle
    # Half sides of the box around an ellipse: the root of the summed squares of its turned half axes.
    half_w, half_h = np.sqrt((matrix[:, :2] ** 2) @ (half**2))
    box = (float(x - half_w), float(y - half_h), float(2 * half_w), float(2 * half_h))
    return person, box, max(total, 1e-6), mask
