"""A result folder: what its files say, and that it is there whole or not at all."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timezone
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

import facereel
from facereel.indexer.engines.protocol import default_stranger_rates
from facereel.query.clips.plan import ClipOptions, plan_clips
from facereel.query.clips.render import WrittenResult, check_target, render
from facereel.query.export.metadata import CLIP_COLUMNS, FRAME_COLUMNS, ResultHeader, describe, write_metadata
from facereel.query.records import ClipPlan, FrameFacts, MatchingTracklet, PersonQuery, Reference
from facereel.query.search.certainty import Criterion, Limits
from facereel.query.search.scope import Scope
from facereel.query.search.search import PersonMatches
from facereel.store.library.catalogue import Catalogue
from facereel.store.library.vectors import ClusterSearch
from facereel.store.library.videos import Counts
from facereel.store.model.errors import CutError, ResultExistsError, UnwritableError
from facereel.store.model.records import EngineInfo, FrameTimes, Shot, Sightings, Tracklet, Video
from facereel.store.model.version import RESULTS_VERSION
from tests.program import ROOT
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


ANNA = PersonQuery("anna", (REFERENCE,), ())
BERTA = PersonQuery("berta", (REFERENCE,), ())
STATISTICS = {"videos": 1, "matches": 1}


def make_match(video: Video, start: int, end: int, number: int = 1) -> tuple[MatchingTracklet, Sightings]:
    tracklet = Tracklet(number, 0, start, end, "scene_cut", "occlusion", 3, 50.0, 0.9)
    boxes = np.array([code_box(Recipe(), 0)] * (end - start), np.float32)
    sightings = Sightings(
        np.arange(start, end), boxes, np.full(end - start, 0.91, np.float32),
        np.arange(start, end, dtype=np.uint8) % 3,
    )  # fmt: skip
    return MatchingTracklet(
        video, tracklet, 0.61234, 0.4, "cluster", "joined through a sure match"
    ), sightings


def make_clip(video: Video, times: FrameTimes, start: int, end: int, number: int = 1) -> ClipPlan:
    return plan_clips([make_match(video, start, end, number)], {video.sha256: times})[0][0]


def make_answer(
    films: list[tuple[Video, FrameTimes]], starts: tuple[int, ...] = (3, 12), person: PersonQuery = ANNA
) -> PersonMatches:
    """Everything that a search gives, with matches of five frames."""
    matches = tuple(make_match(video, start, start + 5) for video, _ in films for start in starts)
    counts = Counts(len(films), 2 * len(films), 8 * len(films), 0)
    scope = Scope(Catalogue(Path("store")), ClusterSearch(ENGINE.dim, 0, ()), counts, (), ENGINE)
    times = {video.sha256: times for video, times in films}
    return PersonMatches(person, matches, (), (), times, scope, LIMITS)


def make_video(name: str = "movie.mp4") -> tuple[Video, FrameTimes]:
    video = Video(
        f"/films/{name}", "a" * 64, 1, 1, 320, 180, 0, Fraction(1), Fraction(1, 30000),
        Fraction(30000, 1001), 1001,
        "h264", True, 50,
    )  # fmt: skip
    return video, FrameTimes(np.arange(1, 51) * 1001, np.full(50, 1001))


LIMITS = Limits(Criterion(0.36, 1.0, default_stranger_rates(), fixed=True), references=1, clusters=5)
HEADER = ResultHeader(ANNA, ENGINE, 0.36, STATISTICS, created=MOMENT)


def make_clips(name: str = "movie.mp4") -> list[ClipPlan]:
    video, times = make_video(name)
    return [make_clip(video, times, 10, 20, 12)]


def test_describes_the_question_the_engine_and_each_clip() -> None:
    described = describe(HEADER, make_clips())
    frames = described["clips"][0].pop("frames")
    assert described == {
        "schema": "facereel.clips/2",
        "facereel_version": facereel.__version__,
        "results_version": RESULTS_VERSION,
        "created": "2026-11-22T21:00:00Z",
        "name": "anna",
        "person": None,
        "references": [
            {"file": "ref.jpg", "sha256": "f" * 64, "frame": None, "box": [1, 2, 3, 4], "warnings": ["a little dark"]}
        ],
        "unlike": [],
        "with": [],
        "without": [],
        "engine": {"name": "fake", "detector_sha256": "d" * 64, "recognizer_sha256": "e" * 64},
        "threshold": 0.36,
        "search": {"videos": 1, "matches": 1},
        "exports": [],
        "lost": [],
        "clips": [
            {
                "file": "movie_0001_00-00-00.334.mp4",
                "video": {
                    "file": "movie.mp4", "sha256": "a" * 64, "width": 320, "height": 180,
                    "time_base": "1/30000", "frame_rate": "30000/1001",
                },
                "start": 0.333667, "end": 0.667333, "duration": 0.333667, "start_frame": 10, "end_frame": 20,
                "start_pts": 11011, "end_pts": 21021, "exact": True, "person_start_frame": 10,
                "person_end_frame": 20, "start_reason": "scene_cut", "end_reason": "occlusion",
                "tracklet": 12, "cluster": 3, "similarity": 0.6123, "threshold": 0.4, "matched": "cluster",
                "certainty": "sure", "expected_strangers": 0.0,
                "explanation": "joined through a sure match", "codec": "h264",
                "crop": {"mode": "follow", "aspect": None, "width": 180, "height": 180}, "speaking": None,
            }
        ],
    }  # fmt: skip
    assert [frame["frame"] for frame in frames] == list(range(10, 20))
    assert [frame["source"] for frame in frames[:3]] == ["tracked", "interpolated", "detected"]
    known = ["frame", "pts", "time", "box", "crop", "source", "score"]
    unknown = ["picture_share", "edge_distance", "other_faces", "other_face_size", "sharpness", "yaw"]
    unknown += ["landmarks_source", "speaking", "landmarks"]
    assert list(frames[0]) == [*known, *unknown]
    assert all(frame[name] is None for frame in frames for name in unknown)
    assert (frames[0]["pts"], frames[0]["time"], frames[0]["score"]) == (11011, 0.333667, 0.91)
    assert frames[0]["box"] == [112.0, 54.0, 96.0, 72.0]


def test_a_clip_that_was_not_cut_has_no_file() -> None:
    assert describe(HEADER, make_clips(), cut=False)["clips"][0]["file"] is None


def test_the_three_files_agree_with_each_other_and_with_what_is_returned(tmp_path: Path) -> None:
    described = write_metadata(tmp_path, HEADER, make_clips())
    text = (tmp_path / "metadata.json").read_text(encoding="utf-8")
    assert json.loads(text) == described == describe(HEADER, make_clips())
    assert sum('"pts"' in line for line in text.splitlines()) == 10, "a frame a line"
    [row] = read_csv(tmp_path / "clips.csv")
    assert list(row) == list(CLIP_COLUMNS)
    assert (row["file"], row["video"]) == ("movie_0001_00-00-00.334.mp4", "movie.mp4")
    assert (row["start_frame"], row["end_frame"], row["duration"]) == ("10", "20", "0.333667")
    assert (row["matched"], row["explanation"]) == ("cluster", "joined through a sure match")
    assert (row["crop_mode"], row["width"], row["height"]) == ("follow", "180", "180")
    rows = read_csv(tmp_path / "frames.csv")
    assert list(rows[0]) == list(FRAME_COLUMNS)
    assert [int(row["frame"]) for row in rows] == list(range(10, 20))
    assert float(rows[3]["crop_w"]) == described["clips"][0]["frames"][3]["crop"][2]


def test_facts_of_a_frame_are_in_both_files(tmp_path: Path) -> None:
    [clip] = make_clips()
    landmarks = np.arange(100, dtype=np.float32).reshape(10, 5, 2) + 0.25
    facts = FrameFacts(
        np.linspace(0, 0.9, 10, dtype=np.float32), np.arange(-2, 8, dtype=np.float32), np.arange(10), None,
        np.full(10, 0.5, np.float32), landmarks, np.arange(10) > 0, np.linspace(-45, 45, 10, dtype=np.float32),
    )  # fmt: skip
    frames = write_metadata(tmp_path, HEADER, [replace(clip, facts=facts)])["clips"][0]["frames"]
    assert frames[1]["landmarks"] == [[10.2, 11.2], [12.2, 13.2], [14.2, 15.2], [16.2, 17.2], [18.2, 19.2]]
    assert [frame["landmarks_source"] for frame in frames[:2]] == ["interpolated", "detected"]
    assert {frame["other_face_size"] for frame in frames} == {None}
    rows = read_csv(tmp_path / "frames.csv")
    for name in ("picture_share", "edge_distance", "other_faces", "sharpness", "yaw"):
        assert [float(row[name]) for row in rows] == [frame[name] for frame in frames]
    assert [rows[9]["left_eye_x"], rows[9]["nose_y"], rows[9]["right_mouth_y"]] == ["90.2", "95.2", "99.2"]
    assert rows[0]["other_face_size"] == ""
    assert rows[0]["edge_distance"] == "-2.0"  # a number is no formula


def test_frames_beyond_the_promise_have_no_box(tmp_path: Path) -> None:
    video, times = make_video()
    shots = {Path(): (Shot(0, 8, 40),)}
    clips, _ = plan_clips(
        [make_match(video, 10, 20, 12)], {video.sha256: times}, ClipOptions(handles=5), shots
    )
    [clip] = write_metadata(tmp_path, HEADER, clips)["clips"]
    spans = [clip[f"{of}{end}_frame"] for of in ("", "person_") for end in ("start", "end")]
    assert (spans, clip["exact"], len(clip["frames"])) == ([8, 25, 10, 20], False, 17)
    without = [frame["frame"] for frame in clip["frames"] if frame["box"] is None]
    assert without == [8, 9, *range(20, 25)]
    assert all(frame["crop"][2] > 0 for frame in clip["frames"])
    rows = read_csv(tmp_path / "frames.csv")
    assert [row["box_x"] == row["source"] == row["score"] == "" for row in rows] == [
        int(row["frame"]) in without for row in rows
    ]


def test_times_and_duration_have_one_origin_when_the_picture_starts_late() -> None:
    """The video's sound starts at tick 0, its picture at half a second."""
    video, times = (
        replace(make_video()[0], origin_pts=0),
        FrameTimes(np.arange(50) * 1000 + 15_000, np.full(50, 1000)),
    )
    [clip] = describe(HEADER, [make_clip(video, times, 0, 30)])["clips"]
    assert (clip["start"], clip["end"], clip["duration"]) == (0.5, 1.5, 1.0)


def test_names_no_folder_unless_paths_are_wanted(tmp_path: Path) -> None:
    write_metadata(tmp_path, HEADER, make_clips())
    for file in tmp_path.iterdir():
        assert "/films" not in file.read_text(encoding="utf-8")
        assert "/home" not in file.read_text(encoding="utf-8")
    described = describe(replace(HEADER, absolute=True), make_clips())
    assert Path(described["references"][0]["path"]).as_posix().endswith("/home/me/ref.jpg")
    assert Path(described["clips"][0]["video"]["path"]).as_posix().endswith("/films/movie.mp4")


@pytest.mark.parametrize("name", ["=cmd()|a.mp4", "+1.mp4", "-1.mp4", "@sum.mp4"])
def test_a_name_is_no_formula(tmp_path: Path, name: str) -> None:
    [clip] = make_clips(name)
    clip = replace(clip, match=replace(clip.match, explanation=name))
    write_metadata(tmp_path, HEADER, [clip])
    [row] = read_csv(tmp_path / "clips.csv")
    assert row["video"] == row["explanation"] == "'" + name


def test_every_field_is_documented() -> None:
    text = (ROOT / "outputs" / "README.md").read_text(encoding="utf-8")
    fields = {
        f"`{name}`" for name in (*CLIP_COLUMNS, *FRAME_COLUMNS, *all_keys(describe(HEADER, make_clips())))
    }
    assert sorted(field for field in fields if field not in text) == []


def all_keys(value: Any) -> Iterator[str]:
    """The keys of a JSON document, those of objects in it too."""
    if isinstance(value, dict):
        yield from value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from all_keys(inner)


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


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
    clips, _ = plan_clips([make_match(video, 10, 20)] * 7, {video.sha256: times})
    assert clips[6].file == expected


def test_a_long_name_still_fits() -> None:
    [clip] = make_clips("ж" * 126 + ".mp4")
    assert len(clip.file.encode()) < 160


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
    person: PersonQuery = ANNA,
    on_clip_done: Callable[[ClipPlan], None] = lambda clip: None,
) -> WrittenResult:
    return render(
        make_answer(films, person=person), ClipOptions(overwrite=overwrite), folder, on_clip_done=on_clip_done
    )


def test_a_result_is_complete(tmp_path: Path, films: list[tuple[Video, FrameTimes]]) -> None:
    done: list[str] = []
    result = write(tmp_path / "out" / "me", films, on_clip_done=lambda clip: done.append(clip.file))
    assert done == [clip.file for clip in result.clips], "in their order"
    assert len(set(done)) == 4
    described = json.loads((tmp_path / "out" / "me" / "metadata.json").read_text(encoding="utf-8"))
    assert described == result.document
    for clip, file in zip(described["clips"], done, strict=True):
        assert clip["file"] == file
        with av.open(str(tmp_path / "out" / "me" / file)) as container:
            assert sum(1 for _ in container.decode(video=0)) == len(clip["frames"]) == 5
    names = {path.name for path in (tmp_path / "out" / "me").iterdir()}
    assert names == {*done, "metadata.json", "clips.csv", "frames.csv"}
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["me"]


def test_clips_are_reported_in_order_whatever_is_done_first(tmp_path: Path) -> None:
    """A long clip ends after the short ones that start later."""
    video, times = index_pass(write_video(tmp_path / "film.mp4", Recipe(frames=50)))
    answer = replace(
        make_answer([(video, times)]),
        matches=tuple(make_match(video, start, end) for start, end in ((0, 40), (5, 10), (12, 30))),
    )
    done: list[int] = []
    render(answer, ClipOptions(), tmp_path / "me", lambda clip: done.append(clip.start))
    assert done == [0, 5, 12]


def test_without_a_folder_the_same_is_planned_and_nothing_written(
    tmp_path: Path, films: list[tuple[Video, FrameTimes]]
) -> None:
    planned = render(make_answer(films), ClipOptions())
    written = write(tmp_path / "me", films)
    assert (planned.folder, written.folder) == (None, tmp_path / "me")
    assert [clip.file for clip in planned.clips] == [clip.file for clip in written.clips]
    for clip in written.document["clips"]:
        clip["file"] = None
        for frame in clip["frames"]:  # what only the pixels say
            frame |= dict.fromkeys(("sharpness", "yaw", "landmarks_source", "landmarks"))
    written.document["created"] = planned.document["created"]
    assert planned.document == written.document


def test_a_repeated_question_replaces_its_result_and_another_does_not(
    tmp_path: Path, films: list[tuple[Video, FrameTimes]]
) -> None:
    write(tmp_path / "me", films)
    other_photo = PersonQuery("anna", (replace(REFERENCE, sha256="0" * 64),), ())
    for person in (BERTA, other_photo):
        with pytest.raises(ResultExistsError, match="--overwrite"):
            check_target(tmp_path / "me", person, overwrite=False)
        with pytest.raises(ResultExistsError, match="--overwrite"):
            write(tmp_path / "me", films[:1], person=person)
    assert len(list((tmp_path / "me").glob("*.mp4"))) == 4
    write(tmp_path / "me", films[:1])
    assert len(list((tmp_path / "me").glob("*.mp4"))) == 2, "the same question, in other videos"
    write(tmp_path / "me", films, overwrite=True, person=BERTA)
    assert len(list((tmp_path / "me").glob("*.mp4"))) == 4
    assert [path.name for path in tmp_path.iterdir()] == ["me"]


def test_the_order_of_the_photos_does_not_make_another_question(
    tmp_path: Path, films: list[tuple[Video, FrameTimes]]
) -> None:
    photos = (REFERENCE, replace(REFERENCE, sha256="0" * 64))
    write(tmp_path / "me", films, person=PersonQuery("anna", photos, ()))
    check_target(tmp_path / "me", PersonQuery("anna", photos[::-1], ()), overwrite=False)


def test_a_result_of_the_version_before_is_replaced_only_with_overwrite(
    tmp_path: Path, films: list[tuple[Video, FrameTimes]]
) -> None:
    (tmp_path / "me").mkdir()
    old = {
        "schema": "facereel.clips/1",
        "references": [{"file": "ref.jpg", "sha256": REFERENCE.sha256}],
        "clips": [],
    }
    (tmp_path / "me" / "metadata.json").write_text(json.dumps(old), encoding="utf-8")
    with pytest.raises(ResultExistsError, match="--overwrite"):
        write(tmp_path / "me", films)
    write(tmp_path / "me", films, overwrite=True)
    assert len(list((tmp_path / "me").glob("*.mp4"))) == 4


def test_of_two_queries_at_once_the_faster_stays(
    tmp_path: Path, films: list[tuple[Video, FrameTimes]]
) -> None:
    meanwhile: list[WrittenResult] = []

    def on_clip_done(clip: ClipPlan) -> None:
        if not meanwhile:
            meanwhile.append(write(tmp_path / "me", films, person=BERTA))

    with pytest.raises(ResultExistsError, match="--overwrite"):
        write(tmp_path / "me", films[:1], on_clip_done=on_clip_done)
    assert len(list((tmp_path / "me").glob("*.mp4"))) == 4
    assert [path.name for path in tmp_path.iterdir()] == ["me"]


def test_overwrite_never_takes_a_folder_of_something_else(
    tmp_path: Path, films: list[tuple[Video, FrameTimes]]
) -> None:
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "dear.txt").write_text("keep me", encoding="utf-8")
    with pytest.raises(ResultExistsError, match=r"letters .*--out"):
        write(tmp_path / "letters", films, overwrite=True)
    assert (tmp_path / "letters" / "dear.txt").exists()


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_result_with_a_file_of_the_user_is_not_replaced(
    tmp_path: Path, films: list[tuple[Video, FrameTimes]], overwrite: bool
) -> None:
    write(tmp_path / "me", films)
    (tmp_path / "me" / ".DS_Store").write_bytes(b"")
    write(tmp_path / "me", films, overwrite=overwrite)
    notes = tmp_path / "me" / "notes.txt"
    notes.write_text("keep me", encoding="utf-8")
    with pytest.raises(ResultExistsError, match=r"notes\.txt.*move that file"):
        write(tmp_path / "me", films, overwrite=overwrite)
    assert notes.read_text(encoding="utf-8") == "keep me"
    assert len(list((tmp_path / "me").glob("*.mp4"))) == 4


def test_an_error_of_the_callers_function_is_raised_as_it_is(
    tmp_path: Path, films: list[tuple[Video, FrameTimes]]
) -> None:
    def upload(clip: ClipPlan) -> None:
        raise ConnectionResetError("the server has gone")

    with pytest.raises(ConnectionResetError, match="the server has gone"):
        write(tmp_path / "me", films, on_clip_done=upload)
    assert list(tmp_path.iterdir()) == []


def test_a_failure_leaves_the_old_result(tmp_path: Path, films: list[tuple[Video, FrameTimes]]) -> None:
    write(tmp_path / "me", films)
    before = sorted((path.name, path.stat().st_mtime_ns) for path in (tmp_path / "me").iterdir())
    video, times = films[0]
    with pytest.raises(CutError):
        write(tmp_path / "me", [(video, FrameTimes(times.pts + 1, times.durations))], overwrite=True)
    assert sorted((path.name, path.stat().st_mtime_ns) for path in (tmp_path / "me").iterdir()) == before
    assert [path.name for path in tmp_path.iterdir()] == ["me"]


def test_a_video_that_cannot_be_copied_is_reported_and_the_others_are_cut(
    tmp_path: Path, films: list[tuple[Video, FrameTimes]]
) -> None:
    no_times = index_pass(write_video(tmp_path / "no_times.avi", Recipe(frames=24, b_frames=0)))
    answer = make_answer([*films[:1], no_times])
    result = render(answer, ClipOptions(codec="copy"), tmp_path / "me")
    assert [(item.name, item.kind) for item in result.not_cut] == [("no_times.avi", "not_copied")]
    assert {clip.match.video.name for clip in result.clips} == {films[0][0].name}
    assert len(list((tmp_path / "me").glob("*.mp4"))) == 2


def test_a_video_that_is_gone_is_reported_and_the_others_are_cut(
    tmp_path: Path, films: list[tuple[Video, FrameTimes]]
) -> None:
    result = write(tmp_path / "me", [make_video(), *films])
    assert [(item.name, item.kind) for item in result.not_cut] == [("movie.mp4", "gone")]
    assert len(list((tmp_path / "me").glob("*.mp4"))) == 4
    alone = write(tmp_path / "nobody", [make_video()])
    assert (alone.clips, alone.folder) == ((), None)
    assert not (tmp_path / "nobody").exists()


def test_a_folder_that_cannot_be_made(tmp_path: Path, films: list[tuple[Video, FrameTimes]]) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(UnwritableError, match="--out"):
        write(tmp_path / "file" / "me", films)
