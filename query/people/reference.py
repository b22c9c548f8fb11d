"""A photo becomes a reference: find the face in it, say what is poor about it, embed it."""

from __future__ import annotations

import warnings
from pathlib import Path

import cv2
import numpy as np
from PIL import Image as Pillow
from PIL import ImageOps, UnidentifiedImageError

from facereel.indexer.engines.alignment import align, frontality
from facereel.indexer.engines.protocol import FaceEngine
from facereel.query.records import Reference
from facereel.store.files.digest import hash_file
from facereel.store.model.boxes import overlap_of_smaller, xyxy_to_xywh
from facereel.store.model.errors import PhotoError
from facereel.store.model.records import Faces, Floats, Image

# A photo is searched at these lengths of its longer side, pixels: large faces are found in small pictures, small
# ones in large. More than 1600 finds faces that are too small to tell people apart.
_SIDES = (256, 640, 1600)
_SURE = 0.7
_SMALL_FACE = 40.0  # pixels; below it single photos lose a tenth of their true matches
_PROFILE = 0.25
_SAME_FACE = 0.5  # of the smaller box, when one face is found at two sizes
_WEAK = 0.4  # strength below which a single photo is as likely to agree with a pattern as with a face
# Unpacked it takes up to 0.8 GB; a larger one is a bomb or a mistake. JPEGs shrink first, unless they are progressive.
_MAX_PIXELS = 80_000_000
# Of all that Pillow reads: some of the others run programs, few are photos.
_FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "JPEG2000", "TIFF", "GIF", "BMP", "PPM")


def read_photo(path: Path) -> Image:
    """The upright picture as BGR (H, W, 3); raises PhotoError when it cannot be read."""
    if not path.is_file():
        why = (
            "is a folder, a pipe or a device; give a file"
            if path.exists()
            else "is not there; check the name"
        )
        raise PhotoError(f"{path} {why}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of bombs and odd tags: what matters is whether it can be read
            return _read(path)
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Pillow.DecompressionBombError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise PhotoError(f"{path} cannot be read as a photo ({reason}); give a JPEG, PNG or WebP") from error


def _read(path: Path) -> Image:
    with Pillow.open(path, formats=_FORMATS) as photo:
        if not photo.info.get("progressive"):
            photo.draft("RGB", (2 * _SIDES[-1], 2 * _SIDES[-1]))  # JPEGs are unpacked no larger than that
        if photo.width * photo.height > _MAX_PIXELS:
            raise PhotoError(f"{path} is {photo.width}x{photo.height}; scale it below {_MAX_PIXELS:,} pixels")
        photo.load()
        upright = _upright(photo).convert("RGB")
        return np.ascontiguousarray(np.asarray(upright, np.uint8)[..., ::-1])


def _upright(photo: Pillow.Image) -> Pillow.Image:
    """The photo turned as its EXIF says; as it is where that is nonsense, of whatever kind."""
    try:
        return ImageOps.exif_transpose(photo)
    except Exception:
        return photo


def find_faces(image: Image, engine: FaceEngine) -> Faces:
    """Faces in a photo, largest first, pixels of the photo."""
    boxes: list[Floats] = []
    scores: list[float] = []
    landmarks: list[Floats] = []
    longest = max(image.shape[:2])
    for side in sorted({min(side, max(longest, 256)) for side in _SIDES}):
        scale = side / longest
        interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
        found = engine.detect(np.asarray(cv2.resize(image, size, interpolation=interpolation), np.uint8))
        for box, score, points in zip(found.boxes, found.scores, found.landmarks, strict=True):
            _keep(boxes, scores, landmarks, box / scale, float(score), points / scale)
    sure = [index for index, score in enumerate(scores) if score >= _SURE]
    sure.sort(key=lambda index: -float(np.prod(boxes[index][2:] - boxes[index][:2])))
    return Faces(
        np.array([boxes[index] for index in sure], np.float32).reshape(-1, 4),
        np.array([scores[index] for index in sure], np.float32),
        np.array([landmarks[index] for index in sure], np.float32).reshape(-1, 5, 2),
    )


def read_reference(path: Path, engine: FaceEngine, face: int | None = None) -> Reference:
    """The reference in a photo: its largest face, or number `face` (1 is the largest).

    Raises PhotoError when the photo cannot be read, shows no face, or has no face of that number.
    """
    image = read_photo(path)
    faces = find_faces(image, engine)
    if len(faces) == 0:
        size = f"{image.shape[1]}x{image.shape[0]}"
        raise PhotoError(f"no face found in {path} ({size}); give a photo in which the face is clearly seen")
    if face is not None and not 1 <= face <= len(faces):
        only = "1 face" if len(faces) == 1 else f"{len(faces)} faces"
        raise PhotoError(f"{path} has only {only}; --face must be 1 to {len(faces)}, not {face}")
    chosen = (face or 1) - 1
    box = xyxy_to_xywh(faces.boxes)[chosen]
    seen = engine.embed(align(image, faces.landmarks[chosen])[None])
    strength = float(seen.face_confidences[0])
    said = _warnings(box, faces, chosen, face, strength)
    return Reference(
        path=str(path), sha256=hash_file(path), box=box.astype(np.float32),
        embedding=seen.vectors[0], quality=strength, warnings=tuple(said),
    )  # fmt: skip


def disagreements(references: list[Reference], scale: float = 1.0) -> list[str]:
    """A warning for each photo that seems to show somebody else than its fellows; `scale` is Bar.scale."""
    if len(references) < 2:
        return []
    vectors = np.stack([reference.embedding for reference in references])
    similarity = vectors @ vectors.T
    np.fill_diagonal(similarity, np.nan)
    agreement = np.nanmax(similarity, axis=1)
    return [
        f"{reference.path} agrees with none of the other photos (at most {value:.2f}): is it the same person?"
        for reference, value in zip(references, agreement, strict=True)
        if value < scale * 0.25
    ]


def _keep(
    boxes: list[Floats],
    scores: list[float],
    landmarks: list[Floats],
    box: Floats,
    score: float,
    points: Floats,
) -> None:
    """Add a face, or let it replace the same face found at another size with a lower score."""
    for index, other in enumerate(boxes):
        if overlap_of_smaller(box[None], other[None])[0, 0] > _SAME_FACE:
            if score > scores[index]:
                boxes[index], scores[index], landmarks[index] = box, score, points
            return
    boxes.append(box)
    scores.append(score)
    landmarks.append(points)


def _warnings(box: Floats, faces: Faces, chosen: int, asked: int | None, strength: float) -> list[str]:
    said = []
    if len(faces) > 1 and asked is None:
        said.append(
            f"{len(faces)} faces seen, the largest was taken; --face N chooses another (2 is the next in size)"
        )
    if float(box[2]) < _SMALL_FACE:
        said.append(f"the face is only {float(box[2]):.0f} px wide; a larger photo finds more")
    if strength < _WEAK:
        said.append(
            "the face is hard to recognise (tilted, covered or blurred); another photo finds more, and surer"
        )
    elif frontality(faces.landmarks[chosen]) < _PROFILE:
        said.append("the face is seen from the side; a frontal photo finds more")
    return said
