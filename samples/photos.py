"""The photos that go with the sample: references, one with two faces, one without a face."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from skimage import data

# isort: split
from portraits import SOURCES, Array

# x y w h of the face in the two pictures that are not in the film, measured like portraits.SOURCES
OTHER_FACES = {"obama2": (201, 233, 271, 396), "obama3": (642, 259, 261, 352)}


def _head(picture: Array, box: tuple[int, int, int, int], tall: int, room: float = 0.55) -> Array:
    x, y, w, h = box
    left, top = int(x + w / 2 - h * (0.5 + room)), int(y - h * room)
    side = int(h * (1 + 2 * room))
    x0, y0 = max(left, 0), max(top, 0)
    part: Array = picture[y0 : top + side, x0 : left + side]
    scale = tall / part.shape[0]
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return cv2.resize(part, None, fx=scale, fy=scale, interpolation=method)


def _changed(
    picture: Array, box: tuple[int, int, int, int], light: float, lean: float, gamma: float
) -> Array:
    """Cropped, seen from the side, lit from the side, other tones: as unlike the film as it can be."""
    part = _head(picture, box, 420)
    height, width = part.shape[:2]
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    shift = np.array([[0, 0.06], [-0.10, 0.0], [-0.10, 0.02], [0.0, -0.06]], np.float32)
    seen = corners + shift * np.array([width, lean * height], np.float32)
    flat = cv2.getPerspectiveTransform(corners, seen.astype(np.float32))
    part = cv2.warpPerspective(part, flat, (width, height), borderMode=cv2.BORDER_REPLICATE)
    edge = int(0.09 * width)
    part = part[edge:-edge, edge:-edge]
    across = 1 + light * np.linspace(-1, 1, part.shape[1], dtype=np.float32)[None, :, None]
    tint = np.array([0.92, 1.0, 1.06], np.float32)
    tones = np.clip((part / np.float32(255)) ** gamma * across * tint, 0, 1)
    return np.asarray(tones * 255 + 0.5).astype(np.uint8)


def _write(path: Path, picture: Array, quality: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), picture, [cv2.IMWRITE_JPEG_QUALITY, quality])


def write_photos(pictures: dict[str, Array], out: Path) -> dict[str, list[str]]:
    """Write all photos below `out`; the references of each person as paths relative to it."""
    others = {"obama2": pictures["obama2"][:, :545], "obama3": pictures["obama3"]}  # without a neighbour
    photos = {f"people/obama/{name}.jpg": _head(others[name], OTHER_FACES[name], 560) for name in OTHER_FACES}
    changes = {"collins": (0.35, 1.0, 0.85), "hopper": (-0.35, 0.8, 1.2), "biden": (0.3, -0.8, 0.8)}
    for name, (light, lean, gamma) in changes.items():
        photos[f"people/{name}/{name}.jpg"] = _changed(pictures[name], SOURCES[name].box, light, lean, gamma)
    references: dict[str, list[str]] = {name: [] for name in SOURCES}
    for path, photo in photos.items():
        _write(out / path, photo, 80)
        references[path.split("/")[1]].append(path)
    pair = [_head(pictures[name], SOURCES[name].box, 400) for name in ("collins", "hopper")]
    _write(out / "two_faces.jpg", np.hstack(pair), 88)
    coffee = data.coffee()  # type: ignore[no-untyped-call]  # scikit-image has no types
    _write(out / "no_face.jpg", coffee[:, :, ::-1], 88)
    return references
