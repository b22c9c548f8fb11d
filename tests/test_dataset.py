"""A data set: which frames become pieces, what their files hold, and that a second run goes on with the first."""

from __future__ import annotations

import csv
import json
import shutil
import wave
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from facereel import (
    Dataset,
    DatasetOptions,
    DatasetVideo,
    Library,
    OptionError,
    ResultExistsError,
    UnwritableError,
)
from facereel.query.clips.cutter import decode_clips
from facereel.query.clips.facts import with_facts
from facereel.query.clips.plan import ClipOptions, plan_clips
from facereel.query.dataset.manifest import split_of, write_manifest
from facereel.query.dataset.notes import writing
from facereel.query.dataset.piece_file import PieceFile
from facereel.query.dataset.pieces import failures, good_stretches, piece_of, split
from facereel.query.dataset.sampling import frame_count, shown_frames
from facereel.query.dataset.speech import loudness, window_powers
from facereel.query.records import ClipPlan, FrameFacts, MatchingTracklet
from facereel.query.terminal import report
from facereel.store.model.records import Image, Sightings, Tracklet
from tests.fake_engine import backdrop, draw_face, write_film
from tests.program import Run
from tests.test_metadata import make_video
from tests.video_factory import Recipe, code_box, index_pass, onsets, read_number, write_video

RATE = Fraction(25)
SHORT = DatasetOptions(size=128, min_seconds=0.5, max_seconds=1.2)


# -- Frames at another rate


@pytest.mark.parametrize(
    "rate",
    [Fraction(24000, 1001), Fraction(25), Fraction(30000, 1001), Fraction(30), Fraction(60), Fraction(12)],
)
def test_frames_are_repeated_or_dropped_only_as_the_rates_ask(rate: Fraction) -> None:
    base, count = 1 / (rate * 1001), 6000
    ticks = np.arange(count + 1, dtype=np.int64) * 1001
    shown = shown_frames(ticks, base, RATE)
    assert len(shown) == int(count / rate * RATE)
    often = np.bincount(shown, minlength=count)
    if rate <= RATE:
        assert often.min() >= 1 or often[:-1].min() >= 1  # the last one may end before the middle of a frame
        assert often.sum() - count <= int(count / rate * (RATE - rate)) + 1
    if rate >= RATE:
        assert often.max() == 1


@given(st.lists(st.integers(1, 90_000), min_size=1, max_size=60), st.sampled_from([24, 25, 30, 50]))
@settings(max_examples=60, deadline=None)
def test_each_frame_shows_what_is_on_show_in_its_middle(durations: list[int], fps: int) -> None:
    base = Fraction(1, 90_000)
    ticks = np.concatenate([[700], 700 + np.cumsum(durations)]).astype(np.int64)
    shown = shown_frames(ticks, base, Fraction(fps))
    assert len(shown) == frame_count(ticks, base, Fraction(fps)) == int(sum(durations) * base * fps)
    for number, frame in enumerate(shown.tolist()):
        middle = (number + Fraction(1, 2)) / fps
        assert (ticks[frame] - 700) * base <= middle < (ticks[frame + 1] - 700) * base


# -- Pieces


def clip_of(count: int, width: float = 100.0) -> ClipPlan:
    """A clip of frames at 30000/1001 a second, with facts that pass every filter."""
    video, _ = make_video()
    boxes = np.tile(np.array([100, 40, width, width], np.float32), (count, 1))
    sightings = Sightings(np.arange(count), boxes, np.ones(count, np.float32), np.zeros(count, np.uint8))
    tracklet = Tracklet(1, 0, 0, count, "video_start", "video_end", 1, width, 0.9)
    facts = FrameFacts(
        np.full(count, 0.1, np.float32), np.full(count, 20, np.float32), np.zeros(count, np.int64),
        np.zeros(count, np.float32), np.full(count, 0.8, np.float32), np.zeros((count, 5, 2), np.float32),
        np.ones(count, np.bool_), np.zeros(count, np.float32),
    )  # fmt: skip
    crops = np.tile(np.array([0, 0, 128, 128], np.float32), (count, 1))
    return ClipPlan(
        MatchingTracklet(video, tracklet, 0.6, 0.4, "photo", ""), "clip", 0, count, 0, count, "video_start",
        "video_end",
        np.arange(count + 1, dtype=np.int64) * 1001, sightings, crops, "follow", 256, 256, facts=facts,
    )  # fmt: skip


def without(clip: ClipPlan, **changes: NDArray[Any]) -> ClipPlan:
    assert clip.facts is not None
    return replace(clip, facts=replace(clip.facts, **changes))


def at(value: float, frames: slice, otherwise: float = 0.0) -> NDArray[np.float32]:
    values = np.full(300, otherwise, np.float32)
    values[frames] = value
    return values


BAD = slice(100, 120)


@pytest.mark.parametrize(
    ("reason", "options", "clip"),
    [
        (
            "upscale",
            DatasetOptions(),
            replace(clip_of(300), crops=np.tile(at(127, BAD, 128)[:, None], (1, 4))),
        ),
        (
            "other_face",
            DatasetOptions(one_face=True),
            without(clip_of(300), other_face_sizes=at(0.3, BAD, 0.29)),
        ),
        ("yaw", DatasetOptions(max_yaw=40), without(clip_of(300), yaws=at(-41, BAD, 40))),
        ("blur", DatasetOptions(min_sharpness=0.5), without(clip_of(300), sharpness=at(0.4, BAD, 0.5))),
    ],
)
def test_no_frame_of_a_piece_fails_a_filter(reason: str, options: DatasetOptions, clip: ClipPlan) -> None:
    good, filtered = good_stretches(clip, failures(clip, options), 3.0)
    assert good == [(0, 100), (120, 300)]
    assert {name: (own.stretches, round(own.seconds, 3)) for name, own in filtered.items()} == {
        reason: (1, round(20 * 1001 / 30000, 3))
    }
    lax = DatasetOptions(max_upscale=4)
    assert good_stretches(clip, failures(clip, lax), 3.0) == ([(0, 300)], {})


def test_filters_of_a_whole_tracklet() -> None:
    clip = clip_of(100, width=60)
    for reason, options in (
        ("similarity", DatasetOptions(min_similarity=0.61)), ("small_face", DatasetOptions(min_face=61)),
    ):  # fmt: skip
        good, filtered = good_stretches(clip, failures(clip, options), 3.0)
        assert good == []
        assert set(filtered) == {reason}
    assert good_stretches(clip, failures(clip, DatasetOptions(min_similarity=0.6, min_face=60)), 3.0)[0] == [
        (0, 100)
    ]
    assert list(good_stretches(clip, {}, 3.4)[1]) == ["short"]


def test_what_is_not_known_fails() -> None:
    clip = clip_of(100)
    assert clip.facts is not None
    unknown = replace(clip, facts=replace(clip.facts, yaws=None, other_face_sizes=None))
    for options in (DatasetOptions(max_yaw=90), DatasetOptions(one_face=True)):
        assert good_stretches(unknown, failures(unknown, options), 3.0)[0] == []


def test_one_leap_of_an_estimate_cuts_nothing() -> None:
    clip = without(clip_of(300), yaws=at(80, slice(150, 152)))
    assert good_stretches(clip, failures(clip, DatasetOptions(max_yaw=45)), 3.0)[0] == [(0, 300)]


@given(st.lists(st.integers(500, 4000), min_size=90, max_size=900), st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None)
def test_pieces_are_as_long_as_wanted_and_leave_nothing_out(durations: list[int], seed: int) -> None:
    ticks = np.concatenate([[0], np.cumsum(durations)]).astype(np.int64)
    base, options = Fraction(1, 30_000), DatasetOptions()
    loud = np.random.default_rng(seed).uniform(0, 60, len(ticks))
    if ticks[-1] * base < 3:
        return
    pieces = split(ticks, loud, base, options)
    assert [first for first, _ in pieces] == [0, *(end for _, end in pieces[:-1])]
    assert pieces[-1][1] == len(durations)
    assert all(3 <= (ticks[end] - ticks[start]) * base <= 10 for start, end in pieces)


def test_cuts_where_it_is_quiet() -> None:
    """A tone with pauses of a fifth of a second at 4.6 and 9.1 seconds of 14."""
    seconds = np.arange(14 * 16_000) / 16_000
    tone = (0.2 * np.sin(2 * np.pi * 220 * seconds)).astype(np.float32)
    for pause in (4.6, 9.1):
        tone[(seconds >= pause) & (seconds < pause + 0.2)] = 0
    ticks = np.arange(14 * 25 + 1, dtype=np.int64)
    loud = loudness(window_powers(tone), ticks / 25)
    pieces = split(ticks, loud, Fraction(1, 25), DatasetOptions())
    cuts = [end / 25 for _, end in pieces[:-1]]
    assert cuts
    assert all(min(abs(cut - 4.7), abs(cut - 9.2)) <= 0.04 for cut in cuts)


def test_a_piece_is_a_part_of_its_clip() -> None:
    clip = clip_of(90)
    piece = piece_of(clip, 10, 40, "a/b.mp4")
    assert (piece.start, piece.end, piece.file) == (10, 40, "a/b.mp4")
    assert piece.ticks.tolist() == clip.ticks[10:41].tolist()
    assert piece.facts is not None
    assert piece.facts.yaws is not None
    assert {
        len(piece.sightings),
        len(piece.crops),
        len(piece.facts.yaws),
        len(piece.facts.picture_shares),
    } == {30}


def test_a_person_does_not_move_between_training_and_validation() -> None:
    splits = [split_of(f"id{number:05}", 0.1) for number in range(2000)]
    assert 150 < splits.count("val") < 250
    assert [split_of(f"id{number:05}", 0.3) for number in range(2000) if splits[number] == "val"].count(
        "train"
    ) == 0


# -- Files


@pytest.mark.parametrize(
    ("fps", "audio_rate"),
    [(Fraction(24000, 1001), 44_100), (Fraction(30000, 1001), 48_000), (Fraction(25), 8_000)],
)
def test_picture_and_sound_of_a_piece_agree(tmp_path: Path, fps: Fraction, audio_rate: int) -> None:
    frames = round(5 * fps)
    chirps = (30, frames - 20)
    recipe = Recipe(frames=frames, fps=fps, audio="aac", audio_rate=audio_rate, chirps=chirps)
    video, times = index_pass(write_video(tmp_path / "film.mp4", recipe))
    boxes = np.array([code_box(recipe, frame) for frame in range(frames)], np.float32)
    sightings = Sightings(np.arange(frames), boxes, np.ones(frames, np.float32), np.zeros(frames, np.uint8))
    tracklet = Tracklet(1, 0, 0, frames, "video_start", "video_end", 1, 80.0, 0.9)
    match = MatchingTracklet(video, tracklet, 0.6, 0.4, "photo", "", tmp_path / "nowhere")
    (clip,), _ = plan_clips([(match, sightings)], {video.sha256: times}, ClipOptions("follow", 128))
    (clip,) = with_facts([clip], {})
    assert clip.facts is not None
    known = replace(clip, facts=replace(clip.facts, sharpness=np.zeros(frames, np.float32)))
    piece = piece_of(known, 5, frames, "who/film/piece.mp4")
    decode_clips(video, [piece], times, lambda one, colours: PieceFile(one, tmp_path, colours, RATE))
    folder = tmp_path / "who" / "film"
    assert sorted(path.name for path in folder.iterdir()) == ["piece.csv", "piece.mp4", "piece.wav"]
    shown = [frame for frame, _ in numbers(folder / "piece.mp4", piece, recipe)]
    rows = read_rows(folder / "piece.csv")
    assert shown == [int(row["source_frame"]) for row in rows]
    with wave.open(str(folder / "piece.wav")) as sound:
        assert (sound.getframerate(), sound.getnchannels(), sound.getsampwidth()) == (16_000, 1, 2)
        assert sound.getnframes() == len(shown) * 640
        samples = np.frombuffer(sound.readframes(sound.getnframes()), "<i2") / 32768
    for frame, heard in zip(chirps, onsets(samples.astype(np.float32), 16_000, 2), strict=True):
        assert abs(shown.index(frame) / 25 - heard) <= 0.0205


def numbers(path: Path, piece: ClipPlan, recipe: Recipe) -> Iterator[tuple[int, Image]]:
    """The source frame that each picture of a piece shows, and the picture."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert stream.average_rate == 25
        assert (stream.width, stream.height) == (piece.width, piece.height)
        for number, frame in enumerate(container.decode(video=0)):
            assert frame.time == number / 25
            picture = np.asarray(frame.to_ndarray(format="gray"), np.uint8)
            yield read_number(picture, code_box(recipe, 0), piece.crops[0]), picture


def read_rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


# -- Whole


@pytest.fixture(scope="module")
def talk_store(tmp_path_factory: pytest.TempPathFactory, run: Run) -> Path:
    """The index of a film of 3.2 s: red and green side by side, in the second half green alone."""
    place = tmp_path_factory.mktemp("talk")

    def pictures() -> Iterator[Image]:
        for shot, people in enumerate((("red", "green"), ("green",))):
            ground = backdrop(shade=(80, 190)[shot], seed=shot)
            for step in range(40):
                picture = ground.copy()
                for number, person in enumerate(people):
                    draw_face(picture, person, (50 + 140 * number + step // 2, 60, 60, 60))
                yield picture

    write_film(place / "talk.mp4", pictures(), sound=True)
    assert run("index", place / "talk.mp4", "--store", place / "store", "--engine", "fake").exit_code == 0
    return place / "store"


def made(store: Path, out: Path, options: DatasetOptions = SHORT) -> tuple[Dataset, list[DatasetVideo]]:
    videos: list[DatasetVideo] = []
    dataset = Library(store, engine="fake").dataset(out, options=options, jobs=1, on_video=videos.append)
    return dataset, videos


def content(out: Path) -> dict[str, bytes]:
    return {str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def talk_set(talk_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data set of everybody in it; not to be changed."""
    out = tmp_path_factory.mktemp("talk_set") / "set"
    made(talk_store, out)
    return out


def rows_of(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "manifest.jsonl").read_text(encoding="utf-8").splitlines()]


def test_a_data_set_of_everybody(talk_store: Path, talk_set: Path) -> None:
    rows = rows_of(talk_set)
    assert len(rows) == 6  # each of three matches of 1.6 s in two pieces
    assert len({row["id"] for row in rows}) == 2
    for row in rows:
        assert Path(row["file"]).parts[:2] == (row["id"], talk_store_video(talk_store))
        assert 0.5 <= row["duration"] <= 1.2
        assert row["frames"] == len(read_rows(talk_set / row["frames_file"]))
        with av.open(str(talk_set / row["file"])) as container:
            assert sum(1 for _ in container.decode(video=0)) == row["frames"]
        with wave.open(str(talk_set / row["audio"])) as sound:
            assert sound.getnframes() == row["frames"] * 640
        assert row["upscale"] <= 2
        assert row["similarity"] > 0.9
    document = json.loads((talk_set / "dataset.json").read_text())
    assert (document["complete"], document["pieces"], document["options"]["size"]) == (True, 6, 128)
    assert document["seconds"] == pytest.approx(sum(row["duration"] for row in rows))
    assert document["identities"] == 2


def talk_store_video(store: Path) -> str:
    (folder,) = (path.name for path in store.iterdir() if path.is_dir())
    return folder


def test_the_same_again_and_on_with_it(talk_store: Path, talk_set: Path, tmp_path: Path) -> None:
    """Twice the same bytes; what is missing is written again, and nothing else."""
    dataset, _ = made(talk_store, tmp_path / "set")
    assert (dataset.pieces, dataset.identities) == (6, 2)
    whole = content(talk_set)
    assert content(tmp_path / "set") == whole
    missing = sorted((tmp_path / "set").rglob("*.csv"))[1]
    missing.unlink()
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "set").rglob("*.mp4")}
    _, (video,) = made(talk_store, tmp_path / "set")
    assert (video.pieces, video.written) == (6, 1)
    assert content(tmp_path / "set") == whole
    assert [path for path, time in before.items() if path.stat().st_mtime_ns != time] == [
        missing.with_suffix(".mp4")
    ]
    _, (video,) = made(talk_store, tmp_path / "set")
    assert video.written == 0


def test_a_stopped_run_is_gone_on_with(
    talk_store: Path, talk_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish, done = PieceFile.finish, []

    def stop_at_the_third(self: PieceFile) -> ClipPlan:
        done.append(finish(self))
        if len(done) == 3:
            raise KeyboardInterrupt
        return done[-1]

    with monkeypatch.context() as patch:
        patch.setattr(PieceFile, "finish", stop_at_the_third)
        with pytest.raises(KeyboardInterrupt):
            made(talk_store, tmp_path / "set")
    assert not (tmp_path / "set" / "manifest.jsonl").exists()
    assert not list((tmp_path / "set").rglob("*.part"))
    _, (video,) = made(talk_store, tmp_path / "set")
    assert 0 < video.written <= 3
    assert content(tmp_path / "set") == content(talk_set)


def test_what_is_no_longer_in_the_answer_goes(talk_store: Path, talk_set: Path, tmp_path: Path) -> None:
    store, out = (Path(shutil.copytree(one, tmp_path / one.name)) for one in (talk_store, talk_set))
    people = Library(store, engine="fake").people
    hidden = people.all()[0].id
    people.hide(str(hidden))
    dataset, _ = made(store, out)
    assert dataset.identities == 1
    assert {path.parts[-3] for path in out.rglob("*.mp4")} == {row["id"] for row in rows_of(out)}
    assert not (out / f"id{hidden:05}").exists()


def test_only_a_data_set_of_the_same_question_is_gone_on_with(
    talk_store: Path, talk_set: Path, tmp_path: Path
) -> None:
    out = Path(shutil.copytree(talk_set, tmp_path / "set"))
    for other in (replace(SHORT, size=64), replace(SHORT, one_face=True)):
        with pytest.raises(ResultExistsError, match="choose another --out"):
            made(talk_store, out, other)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    with pytest.raises(ResultExistsError, match="not empty"):
        made(talk_store, tmp_path / "mine")
    assert content(out) == content(talk_set)


def test_a_video_that_is_gone_is_named(talk_store: Path, tmp_path: Path, run: Run) -> None:
    film = talk_store.parent / "talk.mp4"
    options = ("--store", talk_store, "--out", tmp_path / "set", "--engine", "fake")
    film.rename(tmp_path / "away.mp4")
    try:
        done = run("dataset", "--everybody", *options)
    finally:
        (tmp_path / "away.mp4").rename(film)
    assert done.exit_code == 1
    assert "talk.mp4" in done.stderr
    assert json.loads((tmp_path / "set" / "dataset.json").read_text())["complete"] is False


def test_what_is_complete_stays_while_its_video_is_away(
    talk_store: Path, talk_set: Path, tmp_path: Path
) -> None:
    out = Path(shutil.copytree(talk_set, tmp_path / "set"))
    film = talk_store.parent / "talk.mp4"
    film.rename(tmp_path / "away.mp4")
    try:
        dataset, (video,) = made(talk_store, out)
    finally:
        (tmp_path / "away.mp4").rename(film)
    assert (dataset.skipped, dataset.pieces, video.written) == ((), 6, 0)
    assert content(out) == content(talk_set)


def test_what_is_no_longer_in_the_answer_goes_while_its_video_is_away(
    talk_store: Path, talk_set: Path, tmp_path: Path
) -> None:
    store, out = (Path(shutil.copytree(one, tmp_path / one.name)) for one in (talk_store, talk_set))
    people = Library(store, engine="fake").people
    (rejected, *_), rest = [row["file"] for row in rows_of(out)], len(rows_of(out)) - 2
    row = rows_of(out)[0]
    rejection = people.reject(
        row["id"].removeprefix("id").lstrip("0"), [f"{talk_store_video(store)}#t{row['tracklet']}"]
    )
    film = talk_store.parent / "talk.mp4"
    film.rename(tmp_path / "away.mp4")
    try:
        dataset, _ = made(store, out)
    finally:
        (tmp_path / "away.mp4").rename(film)
    assert "2 pieces of it that show nobody of the answer any more were deleted" in dataset.skipped[0].reason
    assert not list(out.glob(f"{Path(rejected).parent}/{Path(rejected).stem}.*"))
    assert len(list(out.rglob("*.mp4"))) == len(list(out.rglob("*.csv"))) == rest
    people.undo(*rejection.decisions)
    dataset, _ = made(store, out)
    assert (dataset.skipped, dataset.pieces) == ((), rest + 2)


def test_pieces_stay_while_their_video_cannot_be_searched(
    talk_store: Path, talk_set: Path, film_store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store, out = (Path(shutil.copytree(one, tmp_path / one.name)) for one in (talk_store, talk_set))
    shutil.copytree(film_store, store, dirs_exist_ok=True, ignore=shutil.ignore_patterns("library.*"))
    database = next(store.glob("talk.mp4-*/index.db"))
    database.write_bytes(b"damaged")
    dataset, _ = made(store, out)
    (talk,) = dataset.skipped
    assert "damaged" in talk.kind
    assert "(6 pieces) stays in the folder" in talk.reason
    report.dataset(dataset)
    assert len([line for line in capsys.readouterr().err.splitlines() if "damaged" in line]) == 1
    assert json.loads((out / "dataset.json").read_text())["complete"] is False
    kept = {name: data for name, data in content(talk_set).items() if name.startswith(("id", ".videos/talk"))}
    assert len(kept) == 6 * 3 + 1
    assert kept.items() <= content(out).items()
    shutil.rmtree(database.parent)  # then the video is no part of the question
    dataset, _ = made(store, out)
    assert not dataset.skipped
    assert not list(out.rglob("talk.mp4-*"))


def test_without_a_note_the_names_of_the_pieces_say_what_goes_while_a_video_is_away(
    talk_store: Path, talk_set: Path, tmp_path: Path
) -> None:
    store, out = (Path(shutil.copytree(one, tmp_path / one.name)) for one in (talk_store, talk_set))
    (note,) = (out / ".videos").glob("*.json")
    note.write_text("torn")
    film = talk_store.parent / "talk.mp4"
    film.rename(tmp_path / "away.mp4")
    try:
        dataset, _ = made(store, out)
        assert "deleted" not in dataset.skipped[0].reason
        assert len(list(out.rglob("*.mp4"))) == 6
        hidden = Library(store, engine="fake").people.all()[0].id
        Library(store, engine="fake").people.hide(str(hidden))
        dataset, _ = made(store, out)
    finally:
        (tmp_path / "away.mp4").rename(film)
    gone = [row for row in rows_of(talk_set) if row["id"] == f"id{hidden:05}"]
    assert f"{len(gone)} pieces of it that show nobody of the answer any more" in dataset.skipped[0].reason
    assert len(list(out.rglob("*.mp4"))) == 6 - len(gone)


def test_nothing_outside_of_a_data_set_is_deleted(talk_store: Path, talk_set: Path, tmp_path: Path) -> None:
    """Notes that somebody else made, and links, lead to no other folder."""
    out = Path(shutil.copytree(talk_set, tmp_path / "set"))
    letter = tmp_path / "mine" / "old.mp4-0123456789ab" / "letter.txt"
    letter.parent.mkdir(parents=True)
    letter.write_text("dear")
    (out / "id99999").symlink_to(tmp_path / "mine")
    (out / "id99998").mkdir()
    (out / "id99998" / letter.parent.name).symlink_to(letter.parent)
    for name in (letter.parent.name, ".."):
        (out / ".videos" / f"{name}.json").write_text("{}")
    dataset, _ = made(talk_store, out)
    assert dataset.pieces == 6
    assert letter.read_text() == "dear"


def test_a_photo_that_is_given_twice_is_one_person(talk_store: Path, photos: Path, tmp_path: Path) -> None:
    library, photo = Library(talk_store, engine="fake"), str(photos / "red.png")
    once, twice = (
        library.dataset(tmp_path / name, library.read_persons(words), options=SHORT, jobs=1)
        for name, words in (("once", [photo]), ("twice", [photo, photo]))
    )
    assert 0 < once.pieces == twice.pieces
    assert rows_of(tmp_path / "once") == rows_of(tmp_path / "twice")


def test_a_photo_of_somebody_who_is_there_by_name_is_refused(
    talk_store: Path, photos: Path, tmp_path: Path
) -> None:
    """Their pieces would be of two people, and left out."""
    library = Library(talk_store, engine="fake")
    (person,) = library.people_in(library.find(photos / "red.png"))
    asked = library.read_persons([str(person.id), str(photos / "red.png")])
    with pytest.raises(OptionError, match=rf"red.png shows person {person.id}, who is asked for, too"):
        library.dataset(tmp_path / "set", asked, options=SHORT)
    with pytest.raises(OptionError, match="leave one of them out"):
        library.export("talk.mp4", ["edl"], tmp_path, people=asked)


def test_videos_of_a_question_are_those_of_the_library(talk_store: Path, tmp_path: Path) -> None:
    """However they are written, it is the same data set."""
    library = Library(talk_store, engine="fake")
    for word in ("talk.mp4", talk_store.parent / "talk.mp4"):
        library.dataset(tmp_path / "set", videos=[word], options=SHORT, jobs=1)
    document = json.loads((tmp_path / "set" / "dataset.json").read_text())
    assert document["question"]["videos"] == [talk_store_video(talk_store)]


def test_a_rate_with_decimals(talk_store: Path, tmp_path: Path) -> None:
    dataset, _ = made(talk_store, tmp_path / "set", replace(SHORT, fps=23.976))
    assert dataset.pieces > 0
    for row in rows_of(tmp_path / "set"):
        assert row["fps"] == 23.976
        with av.open(str(tmp_path / "set" / row["file"])) as container:
            assert container.streams.video[0].average_rate == Fraction(23976, 1000)
            assert sum(1 for _ in container.decode(video=0)) == row["frames"]


def test_a_folder_that_cannot_be_made_is_one_line(talk_store: Path, tmp_path: Path) -> None:
    (tmp_path / "letter").write_text("dear")
    with pytest.raises(ResultExistsError, match="--out"):
        made(talk_store, tmp_path / "letter")
    for out in (tmp_path / "letter" / "more", tmp_path / ("n" * 300)):
        with pytest.raises(UnwritableError, match="--out"):
            made(talk_store, out)


def test_two_runs_do_not_work_on_one_data_set(talk_store: Path, talk_set: Path, tmp_path: Path) -> None:
    out = Path(shutil.copytree(talk_set, tmp_path / "set"))
    with writing(out), pytest.raises(ResultExistsError, match="another run"):
        made(talk_store, out)
    assert content(out) == content(talk_set)
    made(talk_store, out)


def test_parquet_holds_the_same(talk_set: Path, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    write_manifest(tmp_path, rows_of(talk_set))
    assert parquet.read_table(tmp_path / "manifest.parquet").to_pylist() == rows_of(talk_set)


@pytest.mark.parametrize(
    "options",
    [
        {"size": 33}, {"size": 2000}, {"fps": 0}, {"min_seconds": 0}, {"min_seconds": 0.01},
        {"max_seconds": 5}, {"max_seconds": float("inf")}, {"max_seconds": float("nan")}, {"max_upscale": 0},
        {"max_yaw": 91}, {"min_sharpness": 2}, {"min_similarity": -2}, {"val_share": 1.5},
    ],
)  # fmt: skip
def test_options_out_of_their_range(options: dict[str, Any]) -> None:
    (name,) = options
    with pytest.raises(OptionError, match="--" + name.replace("_share", "").replace("_", "-")):
        DatasetOptions(**options).check()
