"""Who speaks: the inputs of a model of active speakers, and the way from a question to the clips of those who speak."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper

from facereel.api import Library
from facereel.query.clips.plan import plan_clips
from facereel.query.records import ClipPlan, MatchingTracklet
from facereel.query.search.search import PersonMatches
from facereel.query.speaking import mouths, speakers
from facereel.query.speaking.mfcc import mfcc
from facereel.query.speaking.model import SpeakerModel
from facereel.store.model.errors import CutError, OptionError
from facereel.store.model.records import FrameTimes, Image, Sightings, Tracklet
from tests.factories import make_video
from tests.fake_engine import backdrop, draw_face, write_film
from tests.program import ROOT, Run

FAKE = ("--engine", "fake")
FPS, SECONDS = 25, 4
# Bursts of speech: in these of the film's frames somebody speaks.
LOUD = np.array([(frame // 7 + frame // 17) % 2 == 0 for frame in range(FPS * SECONDS)])
ENTER = 20  # the frame in which people come into the picture
AMISS = range(50, 75)  # frames in which what red says is not to be heard


def speaker_model(path: Path, faces: tuple[int | str, ...] = (1, "T", 112, 112), scores: int = 1) -> Path:
    """A model for which a dark mouth is open and a loud sound is speech: above 0 where both or neither are so."""
    nodes = [
        helper.make_node("Slice", ["sound", "zero", "one", "last"], ["energy"]),
        helper.make_node("Reshape", ["energy", "steps"], ["grouped"]),
        helper.make_node("ReduceMean", ["grouped"], ["loud"], axes=[2], keepdims=0),
        helper.make_node("ReduceMean", ["faces"], ["light"], axes=[2, 3], keepdims=0),
        helper.make_node("ReduceMean", ["loud"], ["usual_loud"], axes=[1], keepdims=1),
        helper.make_node("ReduceMean", ["light"], ["usual_light"], axes=[1], keepdims=1),
        helper.make_node("Sub", ["loud", "usual_loud"], ["louder"]),
        helper.make_node("Sub", ["usual_light", "light"], ["darker"]),
        helper.make_node("Mul", ["louder", "darker"], ["agreement"]),
        helper.make_node("Tile", ["agreement", "times"], ["scores"]),
    ]
    constants = {"zero": [0], "one": [1], "last": [2], "steps": [1, -1, 4], "times": [1, scores]}
    graph = helper.make_graph(
        nodes, "speaker",
        [
            helper.make_tensor_value_info("sound", TensorProto.FLOAT, [1, "S", 13]),
            helper.make_tensor_value_info("faces", TensorProto.FLOAT, [*faces]),
        ],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [1, "N"])],
        [helper.make_tensor(name, TensorProto.INT64, [len(of)], of) for name, of in constants.items()],
    )  # fmt: skip
    opset = helper.make_opsetid("", 17)
    onnx.save(helper.make_model(graph, opset_imports=[opset], ir_version=9), path)
    return path


def add_speech(silent: Path, target: Path) -> Path:
    """The film with a voice in the frames that are LOUD."""
    loud = np.repeat(LOUD, 48_000 // FPS)
    voice = (0.4 * np.sin(np.arange(len(loud)) * 2 * np.pi * 300 / 48_000) * loud).astype(np.float32)
    with av.open(str(silent)) as source, av.open(str(target), "w") as container:
        picture = source.streams.video[0]
        copy = container.add_stream_from_template(picture)
        sound = container.add_stream("aac", rate=48_000)
        for packet in source.demux(picture):
            if packet.dts is not None:
                packet.stream = copy
                container.mux(packet)
        for start in range(0, len(voice), 1024):
            block = av.AudioFrame.from_ndarray(voice[None, start : start + 1024], "fltp", "mono")
            block.sample_rate, block.time_base, block.pts = 48_000, Fraction(1, 48_000), start
            container.mux(sound.encode(block))
        container.mux(sound.encode(None))
    return target


def pictures() -> Iterator[Image]:
    """Red opens the mouth when the voice is heard, but for a second; green when it is not heard. Both walk."""
    for frame, loud in enumerate(LOUD):
        picture = backdrop()
        red = not loud if frame in AMISS else loud
        people = (("red", red), ("green", not loud)) if frame >= ENTER else ()
        for place, (person, opens) in enumerate(people):
            x, y, side = 20 + 150 * place + frame // 4, 50, 70
            draw_face(picture, person, (x, y, side, side))
            light = picture[y + 2, x + 2].tolist()
            colour = [value // 3 for value in light] if opens else light
            cv2.rectangle(picture, (x + 20, y + 44), (x + 50, y + 62), colour, -1)
        yield picture


@pytest.fixture(scope="module")
def spoken(run: Run, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The film with a voice, and a store with its index."""
    folder = tmp_path_factory.mktemp("spoken")
    film = add_speech(write_film(folder / "silent.mp4", pictures()), folder / "talk.mp4")
    assert run("index", film, "--store", folder / "store", *FAKE).exit_code == 0
    return film, folder / "store"


def test_only_clips_stay_in_which_mouth_and_sound_agree(
    run: Run, spoken: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two people, whose clips one model judges, which is loaded once."""
    film, store = spoken
    load, loaded = SpeakerModel.__init__, []

    def counted(self: SpeakerModel, path: Path) -> None:
        loaded.append(path)
        load(self, path)

    monkeypatch.setattr(SpeakerModel, "__init__", counted)
    model = speaker_model(tmp_path / "model.onnx")
    args = ("--everybody", "--video", film, "--store", store, *FAKE, "--out", tmp_path / "out")
    both = run("query", *args, "--dry-run", "--json")
    results = json.loads(both.stdout)["results"]
    assert len(results) == 2
    assert {clip["speaking"] for result in results for clip in result["clips"]} == {None}
    result = run("query", *args, "--speaking", model)
    assert result.exit_code == 0, result.output
    assert "1 match that do" in result.stdout
    assert loaded == [model]
    (folder,) = (tmp_path / "out").iterdir()
    document = json.loads((folder / "metadata.json").read_text())
    assert (document["search"]["matches"], document["search"]["not_speaking"]) == (1, 0)
    (clip,) = document["clips"]
    assert clip["frames"][0]["box"][0] < 100, "it is not red, who stands left"
    assert 0.6 < clip["speaking"] < 0.85
    scores = np.array([frame["speaking"] for frame in clip["frames"]])
    assert clip["speaking"] == pytest.approx(np.mean(scores > 0), abs=1e-4)
    assert clip["start_frame"] == ENTER
    first, last = AMISS.start - ENTER, AMISS.stop - ENTER
    assert np.mean(scores[first + 3 : last - 3] > 0) < 0.1
    assert np.mean(np.delete(scores, range(first - 3, last + 3)) > 0) > 0.95
    with (folder / "frames.csv").open(encoding="utf-8-sig", newline="") as file:
        assert [float(row["speaking"]) for row in csv.DictReader(file)] == scores.tolist()


def test_without_sound_nobody_speaks_and_of_a_video_that_is_gone_nothing_is_known(
    spoken: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    film, store = spoken
    library = Library(store, engine="fake")
    found = library.find_many(library.everybody(film), videos=film).answers[0]._found
    model = SpeakerModel(speaker_model(tmp_path / "model.onnx"))

    def judged(**change: object) -> PersonMatches:
        pairs = [(replace(match, video=replace(match.video, **change)), run) for match, run in found.matches]  # type: ignore[arg-type]  # any field
        return speakers.speaking(replace(found, matches=tuple(pairs)), model)

    silent = judged(has_audio=False)
    assert (silent.matches, silent.not_speaking) == ((), len(found.matches))
    gone = judged(path=str(tmp_path / "gone.mp4"))
    assert (len(gone.matches), gone.speaking) == (len(found.matches), {})

    def torn(*_: object) -> None:
        raise CutError("a frame is not found")

    monkeypatch.setattr(speakers, "decode_clips", torn)
    damaged = judged()
    assert (len(damaged.matches), damaged.speaking, damaged.not_speaking) == (len(found.matches), {}, 0)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: path, "is not there"),
        (lambda path: Path(path.write_text("no model") and path), "no ONNX model"),
        (lambda path: speaker_model(path, faces=(1, "T", 96, 96)), "not of LR-ASD's shape"),
    ],
)
def test_a_file_that_is_no_such_model_is_refused(
    run: Run, film: Path, store: Path, photos: Path, tmp_path: Path, make: Callable[[Path], Path], words: str
) -> None:
    model = make(tmp_path / "model.onnx")
    result = run("query", photos / "red.png", "--store", store, *FAKE, "--speaking", model)
    assert result.exit_code == 1
    assert words in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


def test_a_model_of_other_scores_is_refused(tmp_path: Path) -> None:
    model = SpeakerModel(speaker_model(tmp_path / "model.onnx", scores=2))
    with pytest.raises(OptionError, match="gives 20 scores for 10 pictures"):
        model.scores(np.zeros((40, 13), np.float32), np.zeros((10, 112, 112), np.uint8))
    fixed = SpeakerModel(speaker_model(tmp_path / "fixed.onnx", faces=(1, 25, 112, 112)))
    with pytest.raises(OptionError, match="export it for any number"):
        fixed.scores(np.zeros((40, 13), np.float32), np.zeros((10, 112, 112), np.uint8))


def test_sound_is_described_as_models_were_trained_on_it() -> None:
    """mfcc.csv is what python_speech_features 0.6 gives with its defaults for these samples."""
    numbers = np.arange(4000)
    samples = (numbers * numbers % 2003 - 1000) * (numbers // 500 % 4) * 8 / 32_768
    expected = np.loadtxt(ROOT / "tests" / "data" / "mfcc.csv", delimiter=",")
    assert mfcc(samples.astype(np.float32)) == pytest.approx(expected, abs=0.001)
    assert [len(mfcc(np.zeros(count, np.float32))) for count in (0, 1, 400, 401, 560, 561)] == [
        1,
        1,
        1,
        2,
        2,
        3,
    ]


def clip_at(ticks: NDArray[np.int64], time_base: Fraction) -> ClipPlan:
    count = len(ticks) - 1
    video = replace(make_video(frame_count=count), time_base=time_base, origin_pts=0)
    sightings = Sightings(
        np.arange(count), np.full((count, 4), 50, np.float32), np.ones(count, np.float32), np.zeros(count, np.uint8)
    )  # fmt: skip
    match = MatchingTracklet(
        video, Tracklet(1, 0, 0, count, "scene_cut", "scene_cut", 1, 50.0, 1.0), 0.7, 0.5, "photo", ""
    )
    times = FrameTimes(ticks[:-1], np.diff(ticks))
    return plan_clips([(match, sightings)], {video.sha256: times})[0][0]


@pytest.mark.parametrize("rate", [Fraction(24_000, 1001), Fraction(25), Fraction(30_000, 1001), Fraction(50)])
def test_pictures_are_even_in_time(rate: Fraction) -> None:
    time_base = 1 / (rate.numerator * Fraction(1)) if rate.denominator > 1 else 1 / rate
    step = int(1 / rate / time_base)
    clip = clip_at(np.arange(301) * step + 7, time_base)
    frames = mouths.frames_at(clip)
    assert len(frames) == int(300 / rate * 25)
    for picture, frame in enumerate(frames.tolist()):
        assert Fraction(frame) / rate <= Fraction(picture, 25) < Fraction(frame + 1) / rate
    pictures = mouths.pictures_at(clip)
    for frame, picture in enumerate(pictures.tolist()):
        assert picture == min(len(frames) - 1, int(frame / rate * 25))


def test_a_rate_that_varies_is_made_even() -> None:
    ticks = np.cumsum([0, 3000, 3000, 12_000, 1000, 1000, 90_000])  # 90,000 a second: 1.22 s
    clip = clip_at(ticks, Fraction(1, 90_000))
    assert mouths.frames_at(clip).tolist() == [0, 1, 2, 2, 2, 3, *([5] * 24)]
    assert mouths.pictures_at(clip).tolist() == [0, 0, 1, 5, 5, 5]
    short = clip_at(np.array([0, 900]), Fraction(1, 90_000))
    assert (mouths.frames_at(short).tolist(), mouths.pictures_at(short).tolist()) == ([0], [0])


def test_the_mouth_is_in_the_middle_of_what_is_cut() -> None:
    boxes = np.tile(np.array([100, 40, 60, 80], np.float32), (40, 1))
    boxes[20, 0] = 400  # a detector's slip
    assert mouths.squares(boxes) == pytest.approx(np.tile([102, 68, 56, 56], (40, 1)), abs=1e-3)
