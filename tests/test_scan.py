"""Where and when faces are looked for: every frame, in order, in pixels of the picture as displayed."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from indexer.scan import Scan, View
from indexer.shots import TINY
from indexer.video import Frame, Reading, probe, read_frames
from store.config import Config
from store.records import Faces, Image
from tests.fake_engine import FakeEngine, backdrop, draw_face, write_film


def film(path: Path, size: tuple[int, int], frames: int = 14) -> Path:
    """Red walks to the right, as large as a third of the picture."""

    def pictures() -> Iterator[Image]:
        for step in range(frames):
            picture = backdrop(size)
            side = min(size) // 3
            draw_face(picture, "red", (size[0] // 8 + step * size[0] // 40, size[1] // 4, side, side))
            yield picture

    return write_film(path, pictures())


def scan(
    path: Path, config: Config, engine: FakeEngine | None = None, every: int = 5
) -> tuple[Scan, list[View]]:
    video = probe(path)
    scanner = Scan(video.width, video.height, every, config)
    return scanner, list(scanner.views(read_frames(video, Reading()), engine or FakeEngine()))


@pytest.mark.parametrize("size", [(320, 180), (1280, 720), (360, 640)])
def test_faces_are_in_pixels_of_the_displayed_picture(tmp_path: Path, size: tuple[int, int]) -> None:
    scanner, views = scan(film(tmp_path / "a.mp4", size), Config())
    side = min(size) // 3
    for step, view in enumerate(views):
        [box] = view.faces.boxes
        x, y = size[0] // 8 + step * size[0] // 40, size[1] // 4
        assert box == pytest.approx([x, y, x + side, y + side], abs=2 + 2 * scanner.scale)
        assert ((view.faces.landmarks[0] >= box[:2]) & (view.faces.landmarks[0] <= box[2:])).all()


def test_every_frame_is_looked_at_once_in_order(tmp_path: Path) -> None:
    _, views = scan(film(tmp_path / "a.mp4", (320, 180), frames=33), Config())
    assert [view.index for view in views] == list(range(33))
    assert [len(view.faces) for view in views] == [1] * 33


def test_pictures_come_in_the_sizes_that_others_want(tmp_path: Path) -> None:
    scanner, views = scan(film(tmp_path / "a.mp4", (1280, 720)), Config(analysis_side_max=640))
    for view in views:
        assert view.tiny.shape == (TINY[1], TINY[0], 3)
        assert view.grey.shape == (360, 640)
        assert view.scale == scanner.scale == 2.0
        [crop] = view.crops
        assert crop is not None
        assert crop.shape == (112, 112, 3)


def test_looks_are_cut_from_the_full_picture_now_and_then(tmp_path: Path) -> None:
    _, views = scan(film(tmp_path / "a.mp4", (1280, 720)), Config(), every=5)
    assert [view.index for view in views if view.full] == [0, 5, 10]
    for view in views:
        # The same face, whether it comes from the full picture or from the small one.
        [crop] = view.crops
        assert crop is not None
        assert crop[30:40, 50:62].reshape(-1, 3).mean(axis=0) == pytest.approx([40, 40, 230], abs=25)


def test_the_smallest_face_says_how_large_a_picture_is_searched() -> None:
    sides = [Scan(1920, 1080, 5, Config(min_face=face)).scale for face in (10, 20, 40, 400)]
    assert sides == sorted(sides)
    for face in (20, 25):
        scale = Scan(1920, 1080, 5, Config(min_face=face)).scale
        assert face / scale >= Config().detector_min_face
    assert Scan(320, 180, 5, Config()).scale == 1.0


def test_a_fault_in_the_engine_is_not_swallowed(tmp_path: Path) -> None:
    class Broken(FakeEngine):
        def detect(self, image: Image) -> Faces:
            raise RuntimeError("the engine broke")

    with pytest.raises(RuntimeError, match="the engine broke"):
        scan(film(tmp_path / "a.mp4", (320, 180)), Config(), Broken())


def test_only_a_few_frames_are_held_at_a_time(tmp_path: Path) -> None:
    read = 0

    def counted(frames: Iterator[Frame]) -> Iterator[Frame]:
        nonlocal read
        for frame in frames:
            read += 1
            yield frame

    video = probe(film(tmp_path / "a.mp4", (320, 180), frames=60))
    views = Scan(320, 180, 5, Config()).views(counted(read_frames(video, Reading())), FakeEngine())
    for seen, view in enumerate(views, start=1):
        assert read - seen <= 8
        assert isinstance(view.faces.boxes, np.ndarray)
    assert read == 60
    assert video.frame_rate == Fraction(25)
