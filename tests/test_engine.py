"""What every engine owes: the same contract, held against each of them."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest

from facereel.indexer.engines import opencv_zoo, weights
from facereel.indexer.engines.alignment import align
from facereel.indexer.engines.devices import Compute
from facereel.indexer.engines.face_crops import Still, cut_out
from facereel.indexer.engines.protocol import FaceEngine
from facereel.indexer.engines.registry import LOADERS, load_engine
from facereel.indexer.engines.status import known_engines
from facereel.store.model.boxes import xyxy_to_xywh
from facereel.store.model.errors import EngineError
from facereel.store.model.records import Faces, Image
from tests.fake_engine import backdrop, draw_face
from tests.insightface_pack import build_manifest_pack, build_pack

PEOPLE = Path(__file__).parent.parent / "samples" / "people"


def photo(name: str) -> Image:
    """A sample photo with a longer side of 480 pixels."""
    picture = cv2.imread(str(PEOPLE / name))
    assert picture is not None
    scale = 480 / max(picture.shape[:2])
    return np.asarray(cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)


def squares(person: str) -> Image:
    picture = backdrop((400, 300))
    draw_face(picture, person, (120, 80, 120, 120))
    return picture


PHOTOS: dict[str, Callable[[], Image]] = {
    "one": lambda: photo("obama/obama2.jpg"),
    "again": lambda: photo("obama/obama3.jpg"),
    "other": lambda: photo("biden/biden.jpg"),
}
PICTURES: dict[str, dict[str, Callable[[], Image]]] = {
    "fake": {
        "one": lambda: squares("red"),
        "again": lambda: squares("red")[:, 20:].copy(),
        "other": lambda: squares("cyan"),
    },
    **dict.fromkeys(LOADERS, PHOTOS),
    "pack": PHOTOS,
    "pack-of-one-size": PHOTOS,
    "pack-with-manifest": PHOTOS,
}


@pytest.fixture(scope="module", params=PICTURES)
def name(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """What the engine is loaded by; packs are built and named by their folder."""
    chosen: str = request.param
    if not chosen.startswith("pack"):
        return chosen
    folder = tmp_path_factory.mktemp("packs") / chosen
    if chosen == "pack-with-manifest":
        return str(build_manifest_pack(folder))
    return str(build_pack(folder, 640 if chosen == "pack-of-one-size" else None))


@pytest.fixture(scope="module")
def engine(name: str, fake_engines: None) -> FaceEngine:
    return load_engine(name)


@pytest.fixture(scope="module")
def pictures(name: str) -> dict[str, Image]:
    return {what: make() for what, make in PICTURES[Path(name).name].items()}


def first_crop(engine: FaceEngine, picture: Image) -> Image:
    return align(picture, engine.detect(picture).landmarks[0])


def assert_sound(faces: Faces) -> None:
    count = len(faces)
    assert faces.boxes.shape == (count, 4)
    assert faces.scores.shape == (count,)
    assert faces.landmarks.shape == (count, 5, 2)
    assert ((faces.scores >= 0.2) & (faces.scores <= 1)).all()
    assert (np.diff(faces.scores) <= 0).all(), "best first"
    assert (faces.boxes[:, 2:] > faces.boxes[:, :2]).all()


def test_says_who_it_is(engine: FaceEngine, name: str) -> None:
    info = engine.info
    assert info.name == Path(name).name
    assert info.dim > 0
    for digest in (info.detector_sha256, info.recognizer_sha256):
        assert len(digest) == 64
        assert set(digest) <= set("0123456789abcdef")
    assert load_engine(name).info == info


def test_says_where_strangers_stop_and_how_it_may_be_asked(engine: FaceEngine) -> None:
    assert 0 < engine.threshold.value < 1
    assert engine.threshold.source
    assert engine.licence
    engine.finish_loading()
    assert engine.threads >= 1


def test_finds_a_face_with_its_landmarks_inside(engine: FaceEngine, pictures: dict[str, Image]) -> None:
    for picture in pictures.values():
        faces = engine.detect(picture)
        assert_sound(faces)
        assert faces.scores[0] > 0.8
        x0, y0, x1, y1 = faces.boxes[0]
        points = faces.landmarks[0]
        assert ((points >= (x0, y0)) & (points <= (x1, y1))).all()
        left_eye, right_eye, nose, left_mouth, right_mouth = points
        assert left_eye[0] < nose[0] < right_eye[0]
        assert left_mouth[0] < right_mouth[0]
        assert max(left_eye[1], right_eye[1]) < nose[1] < min(left_mouth[1], right_mouth[1])


@pytest.mark.parametrize("size", [(1, 1), (7, 300), (32, 32), (97, 131), (360, 640), (1300, 40)])
def test_finds_nobody_where_nobody_is_whatever_the_size(engine: FaceEngine, size: tuple[int, int]) -> None:
    faces = engine.detect(np.full((*size, 3), 127, np.uint8))
    assert_sound(faces)
    assert len(faces) == 0


def test_boxes_are_pixels_of_the_picture(engine: FaceEngine, pictures: dict[str, Image]) -> None:
    picture = pictures["one"]
    wide = cv2.copyMakeBorder(picture, 40, 0, 70, 10, cv2.BORDER_CONSTANT, value=(127, 127, 127))
    here, there = engine.detect(picture), engine.detect(np.asarray(wide, np.uint8))
    side = float(here.boxes[0, 2] - here.boxes[0, 0])
    assert there.boxes[0] == pytest.approx(here.boxes[0] + [70, 40, 70, 40], abs=0.1 * side)


def test_regions_hold_what_a_search_of_the_same_pixels_finds(
    engine: FaceEngine, pictures: dict[str, Image]
) -> None:
    regions = []
    for picture in pictures.values():
        x0, y0, x1, y1 = engine.detect(picture).boxes[0]
        margin, side = (x1 - x0) / 2, 150  # no multiple of 32, and too small to be searched at two scales
        cut = picture[
            max(0, int(y0 - margin)) : int(y1 + margin), max(0, int(x0 - margin)) : int(x1 + margin)
        ]
        for width, height in ((side, side), (97, 131), (side + 9, side - 1), (40, 33)):
            regions.append(
                np.asarray(cv2.resize(cut, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
            )
    regions = regions * 6  # more than a batch of one size
    regions[5:5] = [np.full((64, 64, 3), 127, np.uint8)]
    found = engine.detect_regions(regions)
    assert len(found) == len(regions)
    for faces, region in zip(found, regions, strict=True):
        alone = engine.detect(region)
        assert_sound(faces)
        np.testing.assert_allclose(faces.boxes, alone.boxes, atol=0.01)
        np.testing.assert_allclose(faces.scores, alone.scores, atol=1e-4)
        np.testing.assert_allclose(faces.landmarks, alone.landmarks, atol=0.01)
    assert sum(len(faces) > 0 for faces in found) > len(regions) / 2
    assert len(found[5]) == 0
    assert engine.detect_regions([]) == []


def test_embeds_to_unit_vectors_one_by_one_as_in_a_batch(
    engine: FaceEngine, pictures: dict[str, Image]
) -> None:
    crops = np.stack([first_crop(engine, picture) for picture in pictures.values()])
    together = engine.embed(crops)
    assert together.vectors.shape == (3, engine.info.dim)
    assert together.vectors.dtype == np.float32
    assert np.linalg.norm(together.vectors, axis=1) == pytest.approx(np.ones(3), abs=1e-4)
    assert ((together.face_confidences >= 0) & (together.face_confidences <= 1)).all()
    for crop, vector in zip(crops, together.vectors, strict=True):
        np.testing.assert_allclose(engine.embed(crop[None]).vectors[0], vector, atol=1e-4)


def test_nothing_embeds_to_nothing(engine: FaceEngine) -> None:
    none = engine.embed(np.zeros((0, 112, 112, 3), np.uint8))
    assert none.vectors.shape == (0, engine.info.dim)
    assert none.face_confidences.shape == (0,)


def test_knows_people_apart(engine: FaceEngine, pictures: dict[str, Image]) -> None:
    crops = np.stack([first_crop(engine, pictures[what]) for what in ("one", "again", "other")])
    one, again, other = engine.embed(crops).vectors
    assert one @ again > 0.45
    assert one @ other < 0.3
    assert again @ other < 0.3


def test_a_face_is_stronger_than_none(engine: FaceEngine, pictures: dict[str, Image]) -> None:
    noise = np.random.default_rng(1).integers(100, 150, (112, 112, 1)).astype(np.uint8).repeat(3, axis=2)
    face, nothing = engine.embed(np.stack([first_crop(engine, pictures["one"]), noise])).face_confidences
    assert face > 0.5
    assert nothing < 0.2


def test_may_be_asked_from_several_threads(engine: FaceEngine, pictures: dict[str, Image]) -> None:
    alone = [engine.detect(picture).boxes for picture in pictures.values()]
    with ThreadPoolExecutor(3) as pool:
        side_by_side = list(pool.map(lambda picture: engine.detect(picture).boxes, pictures.values()))
    for one, other in zip(alone, side_by_side, strict=True):
        np.testing.assert_array_equal(one, other)


def test_an_unknown_engine_is_named_with_those_that_are_known() -> None:
    with pytest.raises(EngineError, match="opencv-zoo") as caught:
        load_engine("no-such-engine")
    assert "no-such-engine" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_engine_whose_recogniser_cannot_be_loaded_is_not_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    missing = weights.Weights("not_there.onnx", "0" * 64)
    monkeypatch.setattr(opencv_zoo, "RECOGNIZER", missing)
    (row,) = [row for row in known_engines(Compute()) if row["engine"] == "opencv-zoo"]
    assert "not_there.onnx is not installed" in row["state"]
    assert row["licence"] == opencv_zoo.LICENCE


def test_landmarks_are_the_same_alone_as_in_a_batch(engine: FaceEngine, pictures: dict[str, Image]) -> None:
    picture = pictures["one"]
    faces = engine.detect(picture)
    crops = [
        cut_out(Still(picture), box, points)
        for box, points in zip(xyxy_to_xywh(faces.boxes), faces.landmarks, strict=True)
    ] * 2
    found = engine.landmarks(crops)
    assert found.points.shape == (len(crops), 5, 2)
    assert found.face_probabilities.shape == (len(crops),)
    assert ((found.face_probabilities >= 0) & (found.face_probabilities <= 1)).all()
    np.testing.assert_allclose(found.points[0], engine.landmarks(crops[:1]).points[0], atol=0.01)
    # In pixels of the picture: inside the box, eyes above the mouth.
    x0, y0, x1, y1 = faces.boxes[0]
    points = found.points[0]
    assert ((points >= (x0, y0)) & (points <= (x1, y1))).all()
    assert points[:2, 1].max() < points[3:, 1].min()
    assert len(engine.landmarks([])) == 0
