"""Few frames a second, pictures that are shown for long, uneven clocks: time counts, not the number of frames."""

from __future__ import annotations

import json
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from av.video.stream import VideoStream

from facereel.store.model.records import Image
from tests.factories import IndexContents, index_contents
from tests.fake_engine import FakeEngine, backdrop, draw_face
from tests.program import Run

TICKS = 12_000  # a second


def slide(number: int, person: str | None, x: int = 100) -> Image:
    """A scene of its own for each number, with somebody in it."""
    picture = backdrop(seed=number, shade=(80, 190, 130)[number % 3])
    if person is not None:
        draw_face(picture, person, (x, 60, 60, 60))
    return picture


def write_slides(path: Path, slides: Sequence[tuple[Image, float]]) -> Path:
    """Pictures, each one frame that is shown for so many seconds."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        assert isinstance(stream, VideoStream)
        stream.pix_fmt = "yuv420p"
        stream.height, stream.width = slides[0][0].shape[:2]
        stream.codec_context.options = {"preset": "ultrafast", "crf": "10", "bf": "0"}
        stream.codec_context.time_base = Fraction(1, TICKS)
        clock, packets = 0, []
        for picture, seconds in slides:
            frame = av.VideoFrame.from_ndarray(picture, "bgr24")
            frame.pts, frame.time_base = clock, Fraction(1, TICKS)
            clock += round(seconds * TICKS)
            packets += stream.encode(frame)
        packets += stream.encode(None)
        packets[-1].duration = round(slides[-1][1] * TICKS)  # of the others the next one's time says it
        container.mux(packets)
    return path


def look_at(path: Path, slides: Sequence[tuple[Image, float]]) -> IndexContents:
    return index_contents(write_slides(path, slides), FakeEngine())


def spans(contents: IndexContents) -> list[tuple[int, int]]:
    return [(tracklet.start, tracklet.end) for tracklet in contents.tracklets]


@pytest.mark.parametrize("seconds", [3.0, 1.0, 0.5])
@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_a_face_of_a_single_frame_is_found_when_it_is_shown_for_long(
    tmp_path: Path, seconds: float, suffix: str
) -> None:
    people = ["red", "green", "red", None, "green"]
    slides = [(slide(number, person), seconds) for number, person in enumerate(people)]
    contents = look_at(tmp_path / f"slides.{suffix}", slides)
    assert [shot.start for shot in contents.shots] == [0, 1, 2, 3, 4]
    assert spans(contents) == [(0, 1), (1, 2), (2, 3), (4, 5)]
    assert [tracklet.cluster for tracklet in contents.tracklets] == [1, 2, 1, 2]
    assert (contents.stats.brief_faces, contents.stats.brief_seconds) == (0, 0.0)


def test_a_still_in_a_film_is_searched_wherever_it_stands(tmp_path: Path) -> None:
    """As in a recording of a screen: moving pictures, then one that stays. The mean rate says nothing of either."""
    film = [(slide(0, None), 0.04)] * 30
    stills = [(slide(1, "red"), 2.0), (slide(2, "green"), 0.5), (slide(3, "red"), 0.3)]
    contents = look_at(tmp_path / "screen.mp4", [*film, *stills, *film])
    assert spans(contents) == [(30, 31), (31, 32), (32, 33)]
    assert [shot.start for shot in contents.shots] == [0, 30, 31, 32, 33]


def test_a_burst_of_frames_in_a_slow_film_is_followed_as_a_film_is(tmp_path: Path) -> None:
    """Red walks for a second at 25 frames a second, is hidden for 0.2 s of it, and then stays in one picture."""
    burst = [(slide(0, None if 10 <= step < 15 else "red", 60 + 3 * step), 0.04) for step in range(25)]
    slow = [(slide(0, "red", 132), 4.0)] * 4
    contents = look_at(tmp_path / "burst.mp4", [*burst, *slow])
    # The first of the long times might be a gap in the recording; a clip ends there.
    assert spans(contents) == [(0, 10), (15, 26), (26, 29)]
    assert [shot.start for shot in contents.shots] == [0, 26]


@pytest.mark.parametrize(
    ("frames", "rate", "kept"),
    [(2, 25, False), (3, 25, True), (3, 30, True), (3, 60, False), (6, 60, True), (1, 8, True)],
)
def test_what_is_too_brief_to_be_followed_is_left_out_and_said(
    run: Run, tmp_path: Path, frames: int, rate: int, kept: bool
) -> None:
    around = [(slide(0, None), 1 / rate)] * 20
    slides = [*around, *[(slide(1, "red"), 1 / rate)] * frames, *around]
    path, store, report = tmp_path / "brief.mp4", tmp_path / "store", tmp_path / "report.json"
    write_slides(path, slides)
    words = run("index", path, "--store", store, "--engine", "fake", "--report", report).stdout
    (video,) = json.loads(report.read_text())["videos"]
    known = json.loads(run("info", path, "--store", store, "--json").stdout)
    assert video["tracklets"] == int(kept)
    for output in (video, known):
        assert output["brief_faces"] == int(not kept)
        assert output["brief_seconds"] == pytest.approx(0 if kept else frames / rate, abs=0.002)
    left_out = f"left out, too short to be followed: 1 face, {frames / rate:.2f} s in all"
    assert (left_out in words) is not kept


def test_a_face_of_which_a_dissolve_leaves_nothing_is_not_counted_as_brief(tmp_path: Path) -> None:
    """It is there for three frames before the middle of the dissolve, and for one after it, which is too brief."""
    before, after = slide(0, None), slide(1, None)
    slides = [(before, 0.04)] * 30
    for step in range(1, 20):
        picture = np.asarray(cv2.addWeighted(before, 1 - step / 20, after, step / 20, 0), np.uint8)
        if 8 <= step < 12:
            draw_face(picture, "red", (100, 60, 30, 30))
        slides.append((picture, 0.04))
    contents = look_at(tmp_path / "dissolve.mp4", [*slides, *[(after, 0.04)] * 30])
    assert [shot.start for shot in contents.shots] == [0, 40]
    assert (contents.tracklets, contents.stats.brief_faces, contents.stats.brief_seconds) == ((), 1, 0.04)


def with_beard(picture: Image) -> Image:
    """Another face than all others: darker in its lower part."""
    picture[96:120, 100:160] = picture[96:120, 100:160] // 3
    return picture


@pytest.mark.parametrize("others", [1, 4])
def test_somebody_who_takes_the_place_of_another_between_two_frames_is_another(
    tmp_path: Path, others: int
) -> None:
    """The camera stays, so that place and picture are nearly the same: only the face says who it is."""
    slides = [(slide(0, "red"), 1.0)] * 4 + [(with_beard(slide(0, "green")), 1.0)] * others
    contents = look_at(tmp_path / "seat.mp4", slides)
    assert len(contents.shots) == 1
    assert spans(contents) == [(0, 4), (4, 4 + others)]
    assert [tracklet.cluster for tracklet in contents.tracklets] == [1, 2]


def test_somebody_who_takes_a_place_only_briefly_is_left_out_and_said(tmp_path: Path) -> None:
    green = (with_beard(slide(0, "green")), 0.04)
    slides = [*[(slide(0, "red"), 1.0)] * 4, green, *[(slide(1, None), 1.0)] * 3]
    contents = look_at(tmp_path / "seat.mp4", slides)
    assert spans(contents) == [(0, 4)]
    assert (contents.stats.brief_faces, contents.stats.brief_seconds) == (1, 0.04)


def test_somebody_who_moves_between_two_frames_stays_one(tmp_path: Path) -> None:
    slides = [(slide(0, "red", 100 + 8 * step), 1.0) for step in range(5)]
    slides[2] = (with_beard(slides[2][0].copy()), 1.0)
    assert spans(look_at(tmp_path / "moves.mp4", slides)) == [(0, 5)]


def test_people_are_numbered_by_the_time_for_which_they_are_there(tmp_path: Path) -> None:
    """Not by their frames: green's one picture is shown for longer than all of red's."""
    film = [(slide(0, "red", 60 + step), 0.04) for step in range(25)]
    contents = look_at(
        tmp_path / "still.mp4", [*film, (slide(1, "green"), 0.9), *film, (slide(1, "green"), 1.5)]
    )
    assert [tracklet.cluster for tracklet in contents.tracklets] == [2, 1, 2, 1]
