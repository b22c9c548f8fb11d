"""A photo becomes references: read it, find its faces, embed one or all, and say what makes each a poor reference."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from facereel.indexer.engines.alignment import frontality
from facereel.indexer.engines.face_crops import Still, align_faces, cut_out
from facereel.indexer.engines.protocol import FaceEngine
from facereel.query.people.picture import read_photo
from facereel.query.records import Reference
from facereel.store.files.digest import hash_file
from facereel.store.files.names import printable
from facereel.store.model.boxes import overlap_of_smaller, xyxy_to_xywh
from facereel.store.model.errors import PhotoError
from facereel.store.model.records import Faces, Floats, Image
from facereel.store.model.views import MIN_FRONTALITY

# Lengths of the longer side, pixels, at which a photo is searched: large faces are found in small pictures, small ones
# in large pictures. More than 1600 finds faces that are too small to recognise.
_SEARCHED_SIDES = (256, 640, 1600)
_MIN_SCORE = 0.7  # of the detector
_SAME_FACE_OVERLAP = 0.5  # over the smaller box: two detections at different sizes are one face
# Below these a reference gets a warning.
_SMALL_WIDTH = 40.0  # pixels; single photos with smaller faces lose a tenth of their true matches
_LOW_CONFIDENCE = 0.4  # the face confidence at which patterns match as often as faces
_PICTURE_SIDE = 1280  # pixels, of the longer side at which a photo is shown
_PICTURE_QUALITY = 85  # of its JPEG


@dataclass(frozen=True, slots=True, eq=False)
class Photo:
    """A photo and all faces found in it, of which one can be chosen as reference."""

    name: str
    width: int  # pixels of the upright photo, in which the boxes of the faces are
    height: int
    faces: tuple[Reference, ...]  # largest first, at least one
    picture: bytes  # the upright photo as a JPEG, for showing: 1280 pixels on its longer side at most


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


def read_photo_faces(path: Path, engine: FaceEngine) -> Photo:
    """All faces of a photo as references; raises PhotoError when it cannot be read or shows no face."""
    image = read_photo(path)
    faces = _faces_in(path, image, engine)
    height, width = image.shape[:2]
    return Photo(
        path.name, width, height, _references(path, image, faces, range(len(faces)), engine), _picture(image)
    )  # fmt: skip


def read_content_faces(content: bytes, name: str, engine: FaceEngine) -> Photo:
    """As read_photo_faces, of the content of a file; it is on the disk only while it is read.

    References and errors call it by `name`.
    """
    with tempfile.TemporaryDirectory(prefix="facereel-") as folder:
        path = Path(folder) / "photo"
        path.write_bytes(content)
        try:
            photo = read_photo_faces(path, engine)
        except PhotoError as error:
            raise PhotoError(str(error).replace(str(path), printable(name))) from error
    faces = tuple(replace(face, path=name) for face in photo.faces)
    return replace(photo, name=name, faces=faces)


def read_reference(path: Path, engine: FaceEngine, face: int | None = None) -> Reference:
    """The reference in a photo: its largest face, or number `face` (1 is the largest).

    Raises PhotoError when the photo cannot be read, shows no face, or has no face of that number.
    """
    image = read_photo(path)
    faces = _faces_in(path, image, engine)
    if face is not None and not 1 <= face <= len(faces):
        only = "1 face" if len(faces) == 1 else f"{len(faces)} faces"
        raise PhotoError(f"{printable(path)} has only {only}; --face must be 1 to {len(faces)}, not {face}")
    (reference,) = _references(path, image, faces, [(face or 1) - 1], engine)
    if len(faces) > 1 and face is None:
        text = f"has {len(faces)} faces, the largest is used; --face 2 uses the next in size, and so on"
        reference = replace(reference, warnings=(text, *reference.warnings))
    return reference


def _faces_in(path: Path, image: Image, engine: FaceEngine) -> Faces:
    """The faces of a photo, largest first; raises PhotoError where there is none."""
    faces = find_faces(image, engine)
    if len(faces) == 0:
        size = f"{image.shape[1]}x{image.shape[0]}"
        raise PhotoError(
            f"no face found in {printable(path)} ({size}); give a photo in which the face is clearly visible"
        )
    return faces


def _references(
    path: Path, image: Image, faces: Faces, chosen: Sequence[int], engine: FaceEngine
) -> tuple[Reference, ...]:
    """The references that some of the faces of a photo give, by position."""
    boxes, still = xyxy_to_xywh(faces.boxes), Still(image)
    aligned = align_faces([cut_out(still, boxes[one], faces.landmarks[one]) for one in chosen], engine)
    embedded = engine.embed(aligned.images)
    sha256 = hash_file(path)
    return tuple(
        Reference(
            path=str(path), sha256=sha256, box=boxes[position].astype(np.float32),
            embedding=embedded.vectors[place], quality=float(embedded.face_confidences[place]),
            warnings=tuple(
                _warnings(
                    float(boxes[position][2]), frontality(aligned.landmarks[place]),
                    float(embedded.face_confidences[place]),
                )
            ),
        )
        for place, position in enumerate(chosen)
    )  # fmt: skip


def _picture(image: Image) -> bytes:
    scale = min(1.0, _PICTURE_SIDE / max(image.shape[:2]))
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, _PICTURE_QUALITY])[1].tobytes()


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
    elif frontality < MIN_FRONTALITY:
        texts.append("the face is seen from the side; a frontal photo finds more")
    return texts
