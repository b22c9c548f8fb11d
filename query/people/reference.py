"""A photo becomes a reference: read it, find its faces, embed one of them, and say what makes it a poor reference."""

from __future__ import annotations

import warnings
from pathlib import Path

import cv2
import numpy as np
from PIL import Image as Pillow
from PIL import ImageOps, UnidentifiedImageError

from facereel.indexer.engines.alignment import frontality
from facereel.indexer.engines.face_crops import align_faces, cut_out
from facereel.indexer.engines.protocol import FaceEngine
from facereel.query.records import Reference
from facereel.store.files.digest import hash_file
from facereel.store.files.names import printable
from facereel.store.model.boxes import overlap_of_smaller, xyxy_to_xywh
from facereel.store.model.errors import PhotoError
from facereel.store.model.records import Faces, Floats, Image

# Lengths of the longer side, pixels, at which a photo is searched: large faces are found in small pictures, small ones
# in large pictures. More than 1600 finds faces that are too small to recognise.
_SEARCHED_SIDES = (256, 640, 1600)
_MIN_SCORE = 0.7  # of the detector
_SAME_FACE_OVERLAP = 0.5  # over the smaller box: two detections at different sizes are one face
# Below these a reference gets a warning.
_SMALL_WIDTH = 40.0  # pixels; single photos with smaller faces lose a tenth of their true matches
_PROFILE_FRONTALITY = 0.25
_LOW_CONFIDENCE = 0.4  # the face confidence at which patterns match as often as faces
# A photo of this size takes up to 0.8 GB of memory. JPEGs are scaled down while they are read, unless they are
# progressive.
_MAX_PIXELS = 80_000_000
# Pillow reads many more formats. Some of them run other programs, and few are used for photos.
_FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "JPEG2000", "TIFF", "GIF", "BMP", "PPM")


def read_photo(path: Path) -> Image:
    """The upright picture as BGR (H, W, 3); raises PhotoError when it cannot be read."""
    if not path.is_file():
        why = (
            "is a folder, a pipe or a device; give a file"
            if path.exists()
            else "is not there; check the name"
        )
        raise PhotoError(f"{printable(path)} {why}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about large pictures and unusual tags
            return _read(path)
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Pillow.DecompressionBombError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise PhotoError(
            f"{printable(path)} cannot be read as a photo ({printable(reason)}); give a JPEG, PNG or WebP"
        ) from error


def find_faces(image: Image, engine: FaceEngine) -> Faces:
    """Faces in a photo (H, W, 3), largest first, in pixels of the photo."""
    longest = max(image.shape[:2])
    by_side: list[Faces] = []
    for side in sorted({min(side, max(longest, 256)) for side in _SEARCHED_SIDES}):
        scale = side / longest
        interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
        faces = engine.detect(np.asarray(cv2.resize(image, size, interpolation=interpolation), np.uint8))
        by_side.append(Faces(faces.boxes / scale, faces.scores, faces.landmarks / scale))
    boxes = np.concatenate([faces.boxes for faces in by_side])
    scores = np.concatenate([faces.scores for faces in by_side])
    landmarks = np.concatenate([faces.landmarks for faces in by_side])
    order = _distinct(boxes, scores)
    return Faces(
        boxes[order].astype(np.float32), scores[order].astype(np.float32), landmarks[order].astype(np.float32)
    )


def read_reference(path: Path, engine: FaceEngine, face: int | None = None) -> Reference:
    """The reference in a photo: its largest face, or number `face` (1 is the largest).

    Raises PhotoError when the photo cannot be read, shows no face, or has no face of that number.
    """
    image = read_photo(path)
    faces = find_faces(image, engine)
    if len(faces) == 0:
        size = f"{image.shape[1]}x{image.shape[0]}"
        raise PhotoError(
            f"no face found in {printable(path)} ({size}); give a photo in which the face is clearly visible"
        )
    if face is not None and not 1 <= face <= len(faces):
        only = "1 face" if len(faces) == 1 else f"{len(faces)} faces"
        raise PhotoError(f"{printable(path)} has only {only}; --face must be 1 to {len(faces)}, not {face}")
    position = (face or 1) - 1
    box = xyxy_to_xywh(faces.boxes)[position]
    aligned = align_faces([cut_out(image, box, faces.landmarks[position])], engine)
    embedded = engine.embed(aligned.images)
    confidence = float(embedded.face_confidences[0])
    texts = _warnings(float(box[2]), frontality(aligned.landmarks[0]), confidence)
    if len(faces) > 1 and face is None:
        texts.insert(
            0, f"has {len(faces)} faces, the largest is used; --face 2 uses the next in size, and so on"
        )
    return Reference(
        path=str(path), sha256=hash_file(path), box=box.astype(np.float32),
        embedding=embedded.vectors[0], quality=confidence, warnings=tuple(texts),
    )  # fmt: skip


def _read(path: Path) -> Image:
    with Pillow.open(path, formats=_FORMATS) as photo:
        if not photo.info.get("progressive"):
            photo.draft("RGB", (2 * _SEARCHED_SIDES[-1], 2 * _SEARCHED_SIDES[-1]))  # scales a JPEG down
        if photo.width * photo.height > _MAX_PIXELS:
            raise PhotoError(
                f"{printable(path)} is {photo.width}x{photo.height}; scale it below {_MAX_PIXELS:,} pixels"
            )
        photo.load()
        upright = _upright(photo).convert("RGB")
        return np.ascontiguousarray(np.asarray(upright, np.uint8)[..., ::-1])


def _upright(photo: Pillow.Image) -> Pillow.Image:
    """The photo turned as its EXIF data says, or as it is where these cannot be read."""
    try:
        return ImageOps.exif_transpose(photo)
    except Exception:  # damaged EXIF data raises errors of many kinds
        return photo


def _distinct(boxes: Floats, scores: Floats) -> list[int]:
    """Positions of the confident detections without repetitions of one face, largest face first.

    boxes (N, 4) x0 y0 x1 y1, scores (N,). Of the detections of one face the one with the highest score stays.
    """
    positions: list[int] = []
    for position in np.argsort(-scores, kind="stable").tolist():
        if scores[position] < _MIN_SCORE:
            break
        if (
            not positions
            or overlap_of_smaller(boxes[[position]], boxes[positions]).max() <= _SAME_FACE_OVERLAP
        ):
            positions.append(position)
    return sorted(positions, key=lambda position: -float(np.prod(boxes[position, 2:] - boxes[position, :2])))


def _warnings(width: float, frontality: float, confidence: float) -> list[str]:
    """What makes a face a poor reference: its width in pixels, a profile, a low face confidence."""
    texts = []
    if width < _SMALL_WIDTH:
        texts.append(f"the face is only {width:.0f} px wide; a larger photo finds more")
    if confidence < _LOW_CONFIDENCE:
        texts.append("the face is hard to recognise (tilted, covered or blurred); another photo finds more")
    elif frontality < _PROFILE_FRONTALITY:
        texts.append("the face is seen from the side; a frontal photo finds more")
    return texts
