"""Which frames are searched: as few as possible, with the faces of a search of every frame."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from facereel.indexer.engines.alignment import align
from facereel.indexer.media.decode_log import DecodeLog
from facereel.indexer.media.frame import Frame
from facereel.indexer.media.video import probe, read_frames
from facereel.indexer.scan import scan as scan_module
from facereel.indexer.scan.frame_view import FrameView
from facereel.indexer.scan.scan import Scan
from facereel.indexer.shots.similarity import THUMBNAIL_SIZE
from facereel.store.model.config import Config
from facereel.store.model.records import DETECTED, INTERPOLATED, Faces, Image
from tests.fake_engine import FakeEngine, backdrop, draw_face, write_film

Drawn = Callable[[int, Image], None]  # draws into the picture of a frame
EVERY = 10  # frames from keyframe to keyframe


def film(path: Path, size: tuple[int, int] = (320, 180), frames: int = 31, draw: Drawn | None = None) -> Path:
    """Red walks to the right, as large as a third of the picture; `draw` adds to it."""

    def pictures() -> Iterator[Image]:
        for step in range(frames):
            picture = backdrop(size)
            side = min(size) // 3
            draw_face(picture, "red", (size[0] // 8 + step * size[0] // 80, size[1] // 4, side, side))
            if draw is not None:
                draw(step, picture)
            yield picture

    return write_film(path, pictures())


def scan(
    path: Path, engine: FakeEngine | None = None, every: int = EVERY, check: int = EVERY, **settings: Any
) -> list[FrameView]:
    video = probe(path)
    scanner = Scan(video.width, video.height, float(video.frame_rate), every, check, 5, Config(**settings))
    return list(scanner.views(read_frames(video, DecodeLog()), engine or FakeEngine()))


@pytest.mark.parametrize("every", [1, EVERY])
@pytest.mark.parametrize("size", [(320, 180), (1280, 720), (360, 640)])
def test_faces_are_in_pixels_of_the_displayed_picture(
    tmp_path: Path, size: tuple[int, int], every: int
) -> None:
    views = scan(film(tmp_path / "a.mp4", size), every=every)
    assert [view.index for view in views] == list(range(31))
    side = min(size) // 3
    for step, view in enumerate(views):
        [box] = view.faces.boxes
        x, y = size[0] // 8 + step * size[0] // 80, size[1] // 4
        assert box == pytest.approx([x, y, x + side, y + side], abs=2 + 2 * view.scale)
        assert ((view.faces.landmarks[0] >= box[:2]) & (view.faces.landmarks[0] <= box[2:])).all()


def test_where_nothing_changes_only_keyframes_are_searched(tmp_path: Path) -> None:
    views = scan(film(tmp_path / "a.mp4", frames=36))
    assert [view.index for view in views if view.searched] == [0, 10, 20, 30, 35]
    # The same face goes on from frame to frame, which spares the tracker an assignment.
    assert [view.index for view in views if view.previous[0] < 0] == [0]
    assert all(view.sources[0] == (DETECTED if view.searched else INTERPOLATED) for view in views)


def test_no_full_picture_outlives_its_crops(tmp_path: Path) -> None:
    """Of packed pixels no part can be converted alone; the full picture takes 6 MB at 1080p."""
    video = probe(film(tmp_path / "a.mp4"))
    frames = [
        replace(frame, picture=frame.picture.reformat(format="bgr24"))
        for frame in read_frames(video, DecodeLog())
    ]
    scanner = Scan(video.width, video.height, 25.0, EVERY, EVERY, 5, Config())
    views = list(scanner.views(frames, FakeEngine()))
    assert sum(crop is not None for view in views for crop in view.crops) > 1
    assert all(frame._displayed is None for frame in frames)


@pytest.mark.parametrize(("settings", "there"), [({}, [0, 5, 10, 15, 20]), ({"min_face": 12}, [*range(21)])])
def test_of_a_stretch_only_frames_stay_that_may_be_needed(
    settings: dict[str, Any], there: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of which crops may be taken; all of them where faces are searched in the full size."""
    completed: list[Frame] = []

    def take_crops(scanner: Scan, frame: Frame | None, view: FrameView) -> None:
        if frame is not None:
            completed.append(frame)

    monkeypatch.setattr(Scan, "_take_crops", take_crops)
    path = film(tmp_path / "a.mp4", (1280, 720), frames=21)
    views = scan(path, **settings)
    assert [frame.index for frame in completed] == there
    assert all(len(view.faces) == 1 for view in views)
    assert all(view.small is None for view in views)


def test_who_is_there_between_two_frames_that_stay_has_a_crop_of_the_small_picture(tmp_path: Path) -> None:
    def passing(step: int, picture: Image) -> None:
        if step in (6, 7, 8):
            draw_face(picture, "green", (1000, 100, 240, 240))

    views = scan(film(tmp_path / "a.mp4", (1280, 720), frames=11, draw=passing), check=5)
    crops = [crop for view in views for crop in view.crops if crop is not None and crop.box[0] > 900]
    assert crops
    for crop in crops:
        aligned = align(crop.image, crop.to_image(crop.landmarks))
        assert aligned[30:40, 50:62].reshape(-1, 3).mean(axis=0) == pytest.approx([40, 200, 40], abs=40)


def test_fewer_frames_follow_a_key_frame_where_pictures_are_large(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In all, a small picture counting for a quarter of a frame: 4.5 frames."""
    monkeypatch.setattr(scan_module, "_STRETCH_BYTES", 1.5 * 1280 * 720 * 4.5)
    path = film(tmp_path / "a.mp4", (1280, 720), frames=30)

    def searched(**settings: Any) -> list[int]:
        return [view.index for view in scan(path, every=20, **settings) if view.searched]

    # Of the frames between only those stay whose number is a multiple of five.
    assert searched() == [0, 11, 21, 29]
    # All of them stay, and an analysis picture is two thirds as large.
    assert searched(min_face=12) == [*range(0, 30, 3), 29]


def test_every_frame_can_be_searched(tmp_path: Path) -> None:
    assert all(view.searched for view in scan(film(tmp_path / "a.mp4"), every=1))


def faces_of(path: Path, every: int) -> list[int]:
    return [len(view.faces) for view in scan(path, every=every)]


@pytest.mark.parametrize("first", [11, 14, 19, 20])
def test_a_face_that_appears_between_keyframes_is_there_from_its_first_frame(
    tmp_path: Path, first: int
) -> None:
    def green(step: int, picture: Image) -> None:
        if step >= first:
            draw_face(picture, "green", (240, 60, 50, 50))

    path = film(tmp_path / "a.mp4", draw=green)
    assert faces_of(path, EVERY) == faces_of(path, 1) == [1] * first + [2] * (31 - first)


@pytest.mark.parametrize("covered", [(14, 15), (11, 12), (12, 19)])
def test_a_face_covered_between_keyframes_is_missing_in_exactly_those_frames(
    tmp_path: Path, covered: tuple[int, int]
) -> None:
    def cover(step: int, picture: Image) -> None:
        if covered[0] <= step < covered[1]:
            picture[20:130, 20:260] = backdrop(seed=5)[20:130, 20:260]

    path = film(tmp_path / "a.mp4", draw=cover)
    there = [0 if covered[0] <= step < covered[1] else 1 for step in range(31)]
    assert faces_of(path, EVERY) == faces_of(path, 1) == there


def test_a_short_shot_between_keyframes_is_not_overlooked(tmp_path: Path) -> None:
    """Nobody before, nobody after: only the thumbnails show that there is something between."""

    def pictures() -> Iterator[Image]:
        for step in range(31):
            inside = 12 <= step < 18
            picture = backdrop(shade=180 if inside else 80, seed=inside)
            if inside:
                draw_face(picture, "blue", (100, 60, 60, 60))
            yield picture

    path = write_film(tmp_path / "a.mp4", pictures())
    assert faces_of(path, EVERY) == faces_of(path, 1) == [0] * 12 + [1] * 6 + [0] * 13


def test_views_hold_the_analysis_picture_and_the_thumbnail(tmp_path: Path) -> None:
    for view in scan(film(tmp_path / "a.mp4", (1280, 720)), analysis_side_max=640):
        assert view.thumbnail.shape == (THUMBNAIL_SIZE[1], THUMBNAIL_SIZE[0], 3)
        assert view.grey.shape == (360, 640)
        assert view.scale == 2.0


def test_crops_are_cut_from_the_full_picture_every_few_frames(tmp_path: Path) -> None:
    views = scan(film(tmp_path / "a.mp4", (1280, 720), frames=21))
    crops = {view.index: view.crops[0] for view in views if view.crops[0] is not None}
    assert list(crops) == [0, 5, 10, 15, 20]
    for crop in crops.values():
        # Also where the landmarks are interpolated.
        aligned = align(crop.image, crop.to_image(crop.landmarks))
        assert aligned[30:40, 50:62].reshape(-1, 3).mean(axis=0) == pytest.approx([40, 40, 230], abs=25)


def test_clothes_are_taken_in_searched_frames_unless_they_are_not_wanted(tmp_path: Path) -> None:
    def dressed(step: int, picture: Image) -> None:
        picture[110:] = (150, 150, 120)

    path = film(tmp_path / "a.mp4", frames=21, draw=dressed)
    clothes = {view.index: view.clothes[0] for view in scan(path) if view.clothes}
    assert list(clothes) == [0, 10, 20]
    roots = np.sqrt(np.stack(list(clothes.values())))
    assert float((roots @ roots.T).min()) > 0.9, "the same clothes all the time"
    assert not any(view.clothes for view in scan(path, clothes=False))


def test_the_smallest_face_decides_the_size_of_the_analysis_picture() -> None:
    sides = [Scan(1920, 1080, 25.0, 5, 5, 5, Config(min_face=face)).scale for face in (10, 20, 40, 400)]
    assert sides == sorted(sides)
    for face in (20, 25):
        scale = Scan(1920, 1080, 25.0, 5, 5, 5, Config(min_face=face)).scale
        assert face / scale >= Config().detector_min_face
    assert Scan(320, 180, 25.0, 5, 5, 5, Config()).scale == 1.0


def test_small_faces_are_searched_in_tiles_when_they_are_asked_for(tmp_path: Path) -> None:
    def far(step: int, picture: Image) -> None:
        draw_face(picture, "cyan", (1100 + step, 600, 12, 12))

    path = film(tmp_path / "a.mp4", (1280, 720), frames=11, draw=far)
    assert any(len(view.faces) == 1 for view in scan(path))
    for view in scan(path, min_face=12):
        assert len(view.faces) == 2
        x, y = 1100 + view.index, 600
        assert max(view.faces.boxes, key=lambda box: box[0]) == pytest.approx([x, y, x + 12, y + 12], abs=2)


def test_an_error_in_the_engine_reaches_the_caller(tmp_path: Path) -> None:
    class Broken(FakeEngine):
        def detect(self, image: Image) -> Faces:
            raise RuntimeError("the engine broke")

    with pytest.raises(RuntimeError, match="the engine broke"):
        scan(film(tmp_path / "a.mp4"), Broken())


def test_only_a_few_frames_are_read_ahead(tmp_path: Path) -> None:
    read = 0

    def counted(frames: Iterator[Frame]) -> Iterator[Frame]:
        nonlocal read
        for frame in frames:
            read += 1
            yield frame

    video = probe(film(tmp_path / "a.mp4", frames=60))
    views = Scan(320, 180, 25.0, 5, 5, 5, Config()).views(
        counted(read_frames(video, DecodeLog())), FakeEngine()
    )
    for seen, view in enumerate(views, start=1):
        assert read - seen <= 20  # four stretches
        assert isinstance(view.faces.boxes, np.ndarray)
    assert read == 60
    assert video.frame_rate == Fraction(25)


def test_somebody_who_comes_and_goes_in_a_long_stretch_is_found_by_a_search_in_its_middle(
    tmp_path: Path,
) -> None:
    def green(step: int, picture: Image) -> None:
        if 7 <= step < 14:
            draw_face(picture, "green", (240, 60, 50, 50))

    path = film(tmp_path / "a.mp4", draw=green)
    there = [1] * 7 + [2] * 7 + [1] * 17
    assert [len(view.faces) for view in scan(path, every=20, check=10)] == faces_of(path, 1) == there


class CountingRegions(FakeEngine):
    """Notes the sizes of the regions in which it searches."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[tuple[int, ...]] = []

    def detect_regions(self, images: Sequence[Image]) -> list[Faces]:
        self.sizes += [image.shape[1::-1] for image in images]
        return super().detect_regions(images)


@pytest.mark.parametrize(("still", "count"), [(True, 0), (False, 2)])
def test_a_long_stretch_is_searched_in_half_size_only_where_something_moves(
    tmp_path: Path, still: bool, count: int
) -> None:
    def pictures() -> Iterator[Image]:
        for step in range(41):
            picture = backdrop((640, 360))
            # Down and up again: the ends of a stretch are alike, and the frames between are not.
            lamp = 0 if still else abs(step % 20 - 10) * 6
            cv2.circle(picture, (500, 100 + lamp), 30, (250, 250, 250), -1)
            yield picture

    engine = CountingRegions()
    views = scan(write_film(tmp_path / "a.mp4", pictures()), engine, every=20, check=10)
    assert [view.index for view in views if view.searched] == [0, 20, 40]
    assert engine.sizes == [(320, 180)] * count


def test_a_weak_face_that_a_region_shows_clearly_is_searched_from_then_on(tmp_path: Path) -> None:
    """Nobody searches for it, but for its neighbour, who is hidden while it nods."""

    class Timid(CountingRegions):
        """Green's score is low in whole frames."""

        def detect(self, image: Image) -> Faces:
            faces = super().detect(image)
            green = faces.boxes[:, 0] > 160
            return Faces(faces.boxes, np.where(green, np.float32(0.4), faces.scores), faces.landmarks)

    def pictures() -> Iterator[Image]:
        for step in range(11):
            picture = backdrop((640, 360))
            if not 3 <= step < 8:
                draw_face(picture, "red", (120, 100, 36, 36))
            draw_face(picture, "green", (165, 100 + 3 * step + 10 * (3 <= step < 8), 36, 36))
            yield picture

    engine = Timid()
    views = scan(write_film(tmp_path / "a.mp4", pictures()), engine)
    greens = [faces.scores[faces.boxes[:, 0] > 160] for faces in (view.faces for view in views)]
    assert all(len(scores) == 1 for scores in greens), "one face, not two"
    assert max(scores[0] for scores in greens) > 0.5
    assert len(engine.sizes) <= 12, "more where it is followed as somebody new"


@pytest.mark.parametrize(("walks", "most"), [(range(13, 31), 6), (range(17), 8), (range(13, 28), 12)])
def test_who_comes_or_goes_between_key_frames_is_searched_in_regions(
    tmp_path: Path, walks: range, most: int
) -> None:
    """Not in whole frames, not in every frame in which the face plainly goes on, and nowhere twice in vain."""

    def green(step: int, picture: Image) -> None:
        if step in walks:
            draw_face(picture, "green", (400 + step, 200, 50, 50))

    path, engine = film(tmp_path / "a.mp4", (640, 360), draw=green), CountingRegions()
    views = scan(path, engine)
    assert [view.index for view in views if view.searched] == [0, 10, 20, 30]
    assert [len(view.faces) for view in views] == [1 + (step in walks) for step in range(31)]
    assert 1 <= len(engine.sizes) <= most
    comes = [view.index for view in views if len(view.faces) == 2]
    assert all((views[index].previous >= 0).all() for index in comes[2:]), "the tracker knows who goes on"


@pytest.mark.parametrize(("rate", "film_frame"), [(25, 1), (60, 2)])
def test_who_is_hidden_for_a_moment_is_found_again_at_any_frame_rate(
    tmp_path: Path, rate: int, film_frame: int
) -> None:
    def pictures() -> Iterator[Image]:
        for step in range(31 * film_frame):
            picture = backdrop((640, 360))
            if step // film_frame in [*range(3, 12), *range(15, 27)]:
                draw_face(picture, "green", (400, 200, 50, 50))
            yield picture

    path = write_film(tmp_path / "a.mp4", pictures(), rate)
    views = scan(path, every=20 * film_frame, check=20 * film_frame)
    shown = [view.index // film_frame for view in views if len(view.faces)]
    assert sorted(set(shown)) == [*range(3, 12), *range(15, 27)]


def test_both_frames_beside_a_cut_are_searched_and_nothing_across_it(tmp_path: Path) -> None:
    def cut(step: int, picture: Image) -> None:
        if step >= 14:
            picture[:] = backdrop((320, 180), shade=190, seed=4)
            draw_face(picture, "green", (60 + step, 60, 60, 60))

    engine = CountingRegions()
    views = scan(film(tmp_path / "a.mp4", frames=34, draw=cut), engine)
    assert [view.index for view in views if view.searched] == [0, 10, 13, 14, 24, 33]
    assert views[14].previous.tolist() == [-1]
    assert not engine.sizes


def test_crops_are_fewer_where_nobody_moves(tmp_path: Path) -> None:
    def pictures() -> Iterator[Image]:
        for _ in range(41):
            picture = backdrop((640, 360))
            draw_face(picture, "red", (100, 100, 90, 90))
            yield picture

    views = scan(write_film(tmp_path / "a.mp4", pictures()), every=20, check=10)
    assert [view.index for view in views if view.crops[0] is not None] == [0, 10, 20, 30, 40]
