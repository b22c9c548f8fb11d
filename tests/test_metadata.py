"""A result folder: what its files say, and that it is there whole or not at all."""

from __future__ import annotations

import csv
import json
from datetime import datetime, timezone
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from facereel.query.clips.plan import plan_clips
from facereel.query.clips.result import clip_file_name, write_result
from facereel.query.export.metadata import FRAME_COLUMNS, describe, write_metadata
from facereel.query.records import Clip, Match, Reference
from facereel.store.model.errors import CutError, ResultExistsError, UnwritableError, VideoError
from facereel.store.model.records import EngineInfo, FrameTimes, Sightings, Tracklet, Video
from tests.video_factory import Recipe, code_box, index_pass, write_video

ENGINE = EngineInfo("fake", 4, "d" * 64, "e" * 64)
REFERENCE = Reference(
    "/home/me/ref.jpg",
    "f" * 64,
    np.array([1, 2, 3, 4], np.float32),
    np.ones(4, np.float32),
    0.8,
    ("a little dark",),
)
MOMENT = datetime(2026, 11, 22, 21, 0, tzinfo=timezone.utc)


def make_clip(video: Video, times: FrameTimes, start: int, end: int, number: int = 1) -> Clip:
    tracklet = Tracklet(number, 0, start, end, "scene_cut", "occlusion", 1, 50.0, 0.9)
    boxes = np.array([code_box(Recipe(), 0)] * (end - start), np.float32)
    sightings = Sightings(
        np.arange(start, end), boxes, np.full(end - start, 0.91, np.float32),
        np.arange(start, end, dtype=np.uint8) % 3,
    )  # fmt: skip
    match = Match(video, tracklet, 0.61234, 0.4, "cluster", "joined through a sure match")
    return plan_clips([(match, sightings)], {video.sha256: times})[0][0]


def make_video(name: str = "movie.mp4") -> tuple[Video, FrameTimes]:
    video = Video(
        f"/films/{name}", "a" * 64, 1, 1, 320, 180, 0, Fraction(1), Fraction(1, 30000),
        Fraction(30000, 1001), 1001,
        "h264", True, 50,
    )  # fmt: skip
    return video, FrameTimes(np.arange(1, 51) * 1001, np.full(50, 1001))


def document() -> dict[str, Any]:
    video, times = make_video()
    clips = [make_clip(video, times, 10, 20, 12)]
    return describe(clips, ["movie_0001.mp4"], {video.sha256: times}, [REFERENCE], ENGINE, 0.36, MOMENT)


def test_says_everything_of_a_clip() -> None:
    described = document()
    frames = described["clips"][0].pop("frames")
    assert described == {
        "schema": "facereel.clips/1",
        "created": "2026-11-22T21:00:00Z",
        "engine": {"name": "fake", "detector_sha256": "d" * 64, "recognizer_sha256": "e" * 64},
        "references": [
            {"file": "ref.jpg", "sha256": "f" * 64, "box": [1, 2, 3, 4], "warnings": ["a little dark"]}
        ],
        "threshold": 0.36,
        "clips": [
            {
                "file": "movie_0001.mp4",
                "video": {
                    "file": "movie.mp4", "sha256": "a" * 64, "width": 320, "height": 180,
                    "time_base": "1/30000", "frame_rate": "30000/1001",
                },
                "start": 0.333667, "end": 0.667333, "start_frame": 10, "end_frame": 20,
                "start_pts": 11011, "end_pts": 21021, "start_reason": "scene_cut", "end_reason": "occlusion",
                "tracklet": 12, "similarity": 0.6123, "found": "cluster",
                "crop": {"mode": "follow", "width": 180, "height": 180},
            }
        ],
    }  # fmt: skip
    assert [frame["frame"] for frame in frames] == list(range(10, 20))
    assert [frame["source"] for frame in frames[:3]] == ["tracked", "interpolated", "detected"]
    assert list(frames[0]) == ["frame", "pts", "time", "box", "crop", "source", "score"]
    assert (frames[0]["pts"], frames[0]["time"], frames[0]["score"]) == (11011, 0.333667, 0.91)
    assert frames[0]["box"] == [112.0, 54.0, 96.0, 72.0]


def test_files_agree_with_each_other(tmp_path: Path) -> None:
    described = document()
    write_metadata(tmp_path, described, ["looks alike"])
    text = (tmp_path / "metadata.json").read_text(encoding="utf-8")
    assert json.loads(text) == described
    assert sum('"pts"' in line for line in text.splitlines()) == 10  # a frame a line
    with (tmp_path / "clips.csv").open(encoding="utf-8-sig", newline="") as file:
        [row] = csv.DictReader(file)
    assert (row["file"], row["video"], row["duration"]) == ("movie_0001.mp4", "movie.mp4", "0.333666")
    assert (row["start_frame"], row["end_frame"], row["evidence"]) == ("10", "20", "looks alike")
    with (tmp_path / "frames.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == list(FRAME_COLUMNS)
    assert [int(row["frame"]) for row in rows] == list(range(10, 20))
    assert float(rows[3]["crop_w"]) == described["clips"][0]["frames"][3]["crop"][2]


def test_names_no_folder(tmp_path: Path) -> None:
    write_metadata(tmp_path, document(), [""])
    for file in tmp_path.iterdir():
        assert "/films" not in file.read_text(encoding="utf-8")
        assert "/home" not in file.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["=cmd()|a.mp4", "+1.mp4", "-1.mp4", "@sum.mp4"])
def test_a_name_is_no_formula(tmp_path: Path, name: str) -> None:
    video, times = make_video(name)
    clips = [make_clip(video, times, 10, 20)]
    write_metadata(tmp_path, describe(clips, ["c.mp4"], {video.sha256: times}, [], ENGINE, 0.3), [name])
    with (tmp_path / "clips.csv").open(encoding="utf-8-sig", newline="") as file:
        [row] = csv.DictReader(file)
    assert row["video"] == row["evidence"] == "'" + name


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("movie.mp4", "movie_0007_00-00-00.334.mp4"),
        ("Ferien am Meer 2024.MOV", "Ferien am Meer 2024_0007_00-00-00.334.mp4"),
        ("हेरा फेरी.mkv", "हेरा फेरी_0007_00-00-00.334.mp4"),
        ("a:b?c*d|e.mp4", "a_b_c_d_e_0007_00-00-00.334.mp4"),
        ("-rf.mp4", "_rf_0007_00-00-00.334.mp4"),
        ("... .mp4", "video_0007_00-00-00.334.mp4"),
    ],
)
def test_file_names_are_safe(name: str, expected: str) -> None:
    video, times = make_video(name)
    assert clip_file_name(make_clip(video, times, 10, 20), 7, times) == expected


def test_a_long_name_still_fits() -> None:
    video, times = make_video("ж" * 126 + ".mp4")
    assert len(clip_file_name(make_clip(video, times, 10, 20), 7, times).encode()) < 160


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Video, FrameTimes]]:
    """Two videos of one name in two folders."""
    made = []
    for number in range(2):
        folder = tmp_path_factory.mktemp("films")
        made.append(index_pass(write_video(folder / "film.mp4", Recipe(frames=30 + number))))
    return made


def write(
    folder: Path,
    films: list[tuple[Video, FrameTimes]],
    overwrite: bool = False,
    seen: list[str] | None = None,
) -> list[Path]:
    clips = [make_clip(video, times, start, start + 5) for video, times in films for start in (3, 12)]
    times_of = {video.sha256: times for video, times in films}
    note = seen.append if seen is not None else lambda file: None
    return write_result(
        folder, clips, times_of, [REFERENCE], ENGINE, 0.36, overwrite, lambda clip, file: note(file)
    )


def test_a_result_is_whole(tmp_path: Path, films: list[tuple[Video, FrameTimes]]) -> None:
    seen: list[str] = []
    paths = write(tmp_path / "out" / "me", films, seen=seen)
    assert [path.name for path in paths] == seen
    assert len(set(paths)) == 4
    described = json.loads((tmp_path / "out" / "me" / "metadata.json").read_text(encoding="utf-8"))
    for clip, path in zip(described["clips"], paths, strict=True):
        assert clip["file"] == path.name
        with av.open(str(path)) as container:
            assert sum(1 for _ in container.decode(video=0)) == len(clip["frames"]) == 5
    names = {path.name for path in (tmp_path / "out" / "me").iterdir()}
    assert names == {*seen, "metadata.json", "clips.csv", "frames.csv"}
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["me"]


def test_nothing_found_is_a_result_too(tmp_path: Path) -> None:
    assert write_result(tmp_path / "me", [], {}, [REFERENCE], ENGINE, 0.36) == []
    assert json.loads((tmp_path / "me" / "metadata.json").read_text(encoding="utf-8"))["clips"] == []


def test_an_existing_result_stays_unless_asked(tmp_path: Path, films: list[tuple[Video, FrameTimes]]) -> None:
    write(tmp_path / "me", films)
    with pytest.raises(ResultExistsError, match="--overwrite"):
        write(tmp_path / "me", films[:1])
    assert len(list((tmp_path / "me").glob("*.mp4"))) == 4
    write(tmp_path / "me", films[:1], overwrite=True)
    assert len(list((tmp_path / "me").glob("*.mp4"))) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["me"]


def test_of_two_queries_at_once_the_faster_stays(
    tmp_path: Path, films: list[tuple[Video, FrameTimes]]
) -> None:
    video, times = films[0]

    def meanwhile(clip: Clip, file: str) -> None:
        write(tmp_path / "me", films)

    with pytest.raises(ResultExistsError, match="--overwrite"):
        write_result(
            tmp_path / "me", [make_clip(video, times, 3, 8)], {video.sha256: times}, [REFERENCE], ENGINE, 0.36,
            on_clip_done=meanwhile,
        )  # fmt: skip
    assert len(list((tmp_path / "me").glob("*.mp4"))) == 4
    assert [path.name for path in tmp_path.iterdir()] == ["me"]


def test_overwrite_never_takes_a_folder_of_something_else(
    tmp_path: Path, films: list[tuple[Video, FrameTimes]]
) -> None:
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "dear.txt").write_text("keep me", encoding="utf-8")
    with pytest.raises(ResultExistsError, match="is no result of a query"):
        write(tmp_path / "letters", films, overwrite=True)
    assert (tmp_path / "letters" / "dear.txt").exists()


def test_a_failure_leaves_the_old_result(tmp_path: Path, films: list[tuple[Video, FrameTimes]]) -> None:
    write(tmp_path / "me", films)
    before = sorted((path.name, path.stat().st_mtime_ns) for path in (tmp_path / "me").iterdir())
    video, times = films[0]
    with pytest.raises(CutError):
        write(tmp_path / "me", [(video, FrameTimes(times.pts + 1, times.durations))], overwrite=True)
    assert sorted((path.name, path.stat().st_mtime_ns) for path in (tmp_path / "me").iterdir()) == before
    assert [path.name for path in tmp_path.iterdir()] == ["me"]


def test_a_failure_leaves_nothing(tmp_path: Path) -> None:
    video, times = make_video()
    with pytest.raises(VideoError, match="no longer there"):
        write(tmp_path / "me", [(video, times)])
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_made(tmp_path: Path, films: list[tuple[Video, FrameTimes]]) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(UnwritableError, match="cannot be written"):
        write(tmp_path / "file" / "me", films)
