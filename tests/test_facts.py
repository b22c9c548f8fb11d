"""What is said of a face in each frame of a clip: by the index, and by the pixels while it is cut."""

from __future__ import annotations

import shutil
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from facereel import Answer, Library
from facereel.indexer.engines.alignment import yaw
from facereel.query.clips.cutter import cut_clips
from facereel.query.clips.facts import with_facts
from facereel.query.clips.plan import plan_clips
from facereel.query.records import ClipPlan, FrameFacts, MatchingTracklet
from facereel.store.model.records import Image, Sightings, Tracklet
from tests.program import SAMPLES
from tests.video_factory import Recipe, code_box, index_pass, write_video

# Eyes, nose, mouth corners of MediaPipe's canonical face, cm; to the right, down, towards the camera.
FACE = np.array([
    [-3.151, -2.625, 3.466], [3.151, -2.625, 3.466], [0, 1.127, 7.476], [-2.456, 4.343, 4.284], [2.456, 4.343, 4.284]
])  # fmt: skip

SIDE, STEP = 120, 3  # pixels: of the portrait in the film, and how far it moves in a frame
HIDDEN, BLURRED = range(8, 12), range(20, 30)


def turned(degrees: float, roll: float = 0.0) -> NDArray[np.float32]:
    a, b = np.radians([degrees, roll])
    x = FACE[:, 0] * np.cos(a) + FACE[:, 2] * np.sin(a)
    flat = np.column_stack([x * np.cos(b) - FACE[:, 1] * np.sin(b), x * np.sin(b) + FACE[:, 1] * np.cos(b)])
    return np.asarray(flat * 10 + 200, np.float32)


@pytest.mark.parametrize("degrees", [-75, -40, -15, 0, 15, 40, 75])
@pytest.mark.parametrize("roll", [0, 30, 170])
def test_yaw_of_a_turned_face(degrees: float, roll: float) -> None:
    assert yaw(turned(degrees, roll)) == pytest.approx(degrees, abs=3)


def test_the_index_says_where_a_face_lies_and_who_is_beside_it(
    film_store: Path, photos: Path, tmp_path: Path
) -> None:
    library = Library(film_store, engine="fake")
    answer = library.find(photos / "red.png")
    alone, together = (clip.facts for clip in answer.preview(crop="none").clips)
    assert alone is not None
    assert together is not None
    assert alone.picture_shares == pytest.approx(60 * 60 / (320 * 180), rel=0.05)
    assert alone.edge_distances == pytest.approx(
        np.arange(30, 60), abs=1
    )  # of 60 below it and more beside it
    assert alone.other_faces is not None
    assert together.other_faces is not None
    assert set(alone.other_faces.tolist()) == {0}
    assert set(together.other_faces.tolist()) == {1}
    assert together.other_face_sizes == pytest.approx(1, abs=0.05)
    assert together.landmarks is None
    assert together.sharpness is None
    for clip in answer.preview().clips:  # a crop that follows red shows nobody else
        assert clip.facts is not None
        assert clip.facts.other_faces is not None
        x, _, w, _ = np.array([frame["crop"] for frame in frames_of(answer, clip.match.start_frame)]).T
        beside = (x + w > 180 + np.arange(30)) if clip.match.start_frame >= 30 else x > 320
        assert clip.facts.other_faces.tolist() == beside.astype(int).tolist()


def frames_of(answer: Answer, start: int) -> list[dict[str, list[float]]]:
    document = answer.preview().document
    (frames,) = (clip["frames"] for clip in document["clips"] if clip["start_frame"] == start)
    return list(frames)


def test_nothing_is_said_of_other_faces_where_the_index_is_gone(store: Path, photos: Path) -> None:
    answer = Library(store, engine="fake").find(photos / "red.png")
    shutil.rmtree(answer.matches[0].folder)
    facts = answer.preview().clips[0].facts
    assert facts is not None
    assert facts.other_faces is None
    assert facts.other_face_sizes is None
    assert facts.picture_shares.min() > 0


@cache
def portrait() -> Image:
    picture = cv2.imread(str(SAMPLES / "people" / "hopper" / "hopper.jpg"))
    assert picture is not None
    return np.asarray(picture, np.uint8)


def film_frame(recipe: Recipe, frame: int) -> Image:
    picture = np.full((recipe.size[1], recipe.size[0], 3), 90, np.uint8)
    face = cv2.resize(portrait(), (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    if frame in BLURRED:
        face = cv2.GaussianBlur(face, (0, 0), 3)
    picture[30 : 30 + SIDE, 10 + STEP * frame : 10 + STEP * frame + SIDE] = face
    if frame in HIDDEN:
        picture[30 : 30 + SIDE, 10 + STEP * frame : 10 + STEP * frame + SIDE] = 60
    return picture


def measured(path: Path, recipe: Recipe, boxes: NDArray[np.float32]) -> FrameFacts:
    """What is known of a face (N, 4) that is in every frame of a film, once its clip is cut."""
    video, times = index_pass(path)
    count = recipe.frames
    sightings = Sightings(np.arange(count), boxes, np.ones(count, np.float32), np.zeros(count, np.uint8))
    tracklet = Tracklet(1, 0, 0, count, "video_start", "video_end", 1, 80.0, 0.9)
    match = MatchingTracklet(video, tracklet, 0.6, 0.4, "photo", "", path.parent / "nowhere")
    clips, _ = plan_clips([(match, sightings)], {video.sha256: times})
    done: list[ClipPlan] = []
    cut_clips(video, with_facts(clips, {}), times, path.parent, done.append)
    assert done[0].facts is not None
    return done[0].facts


@pytest.mark.parametrize("rotation", [0, 90])
def test_measures_the_face_of_each_frame(tmp_path: Path, rotation: int) -> None:
    recipe = Recipe(frames=30, size=(240, 180), rotation=rotation)
    boxes = np.array([(33 + STEP * frame, 56, 53, 68) for frame in range(30)], np.float32)
    facts = measured(write_video(tmp_path / "film.mp4", recipe, film_frame), recipe, boxes)
    assert facts.landmarks is not None
    assert facts.detected is not None
    assert facts.yaws is not None
    assert [frame for frame in range(30) if not facts.detected[frame]] == [*HIDDEN]
    still = facts.landmarks - np.arange(30)[:, None, None] * np.array([STEP, 0])
    sharp = [frame for frame in range(20) if frame not in HIDDEN]
    assert np.abs(still[:20] - np.median(still[sharp], axis=0)).max() < 3  # the interpolated ones move along
    left_eye, right_eye, nose, left_mouth, right_mouth = np.median(still[sharp], axis=0)
    assert left_eye[0] < nose[0] < right_eye[0]
    assert left_eye[1] < nose[1] < left_mouth[1]
    assert 0 < right_mouth[0] - left_mouth[0] < 40
    assert np.abs(facts.yaws[sharp]).max() < 25
    assert facts.sharpness is not None
    assert facts.sharpness[sharp].min() > 1.5 * facts.sharpness[BLURRED].max()


def test_a_clip_without_a_clear_face_has_no_landmarks(tmp_path: Path) -> None:
    recipe = Recipe(frames=2)
    boxes = np.array([code_box(recipe, frame) for frame in range(2)], np.float32)
    facts = measured(write_video(tmp_path / "code.mp4", recipe), recipe, boxes)
    assert facts.sharpness is not None
    assert len(facts.sharpness) == 2
    assert facts.landmarks is None
    assert facts.detected is None
    assert facts.yaws is None
