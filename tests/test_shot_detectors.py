"""All shot detectors keep one contract; TransNetV2 is a small network with its signature."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from facereel.indexer.shots.adaptive import AdaptiveShotDetector
from facereel.indexer.shots.detector import shot_detector
from facereel.indexer.shots.pyscenedetect import PySceneDetectShots
from facereel.indexer.shots.similarity import THUMBNAIL_SIZE
from facereel.store.model.config import Config
from facereel.store.model.errors import OptionError
from facereel.store.model.records import Image
from tests.factories import index_contents
from tests.fake_engine import FakeEngine, backdrop

RATE = Fraction(25)


def transnet(path: Path, name: str = "input", kind: int = TensorProto.UINT8) -> Path:
    """A network that takes and gives what TransNetV2 does: 1 on the last picture before one that is much brighter."""
    constants = {
        "axes": np.array([2, 3, 4]), "one": np.array([1]), "zero": np.array([0]), "hundred": np.array([100]),
        "last": np.array([99]), "step": np.array(20, np.float32), "pads": np.array([0, 0, 0, 1]),
        "third": np.array([2]),
    }  # fmt: skip
    nodes = [
        helper.make_node("Cast", [name], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["floats", "axes"], ["light"], keepdims=0),
        helper.make_node("Slice", ["light", "one", "hundred", "one"], ["next"]),  # from, to, axis
        helper.make_node("Slice", ["light", "zero", "last", "one"], ["this"]),
        helper.make_node("Sub", ["next", "this"], ["jump"]),
        helper.make_node("Abs", ["jump"], ["size"]),
        helper.make_node("Greater", ["size", "step"], ["far"]),
        helper.make_node("Cast", ["far"], ["found"], to=TensorProto.FLOAT),
        helper.make_node("Pad", ["found", "pads"], ["all"]),
        helper.make_node("Unsqueeze", ["all", "third"], ["output"]),
    ]
    graph = helper.make_graph(
        nodes, "transnet",
        [helper.make_tensor_value_info(name, kind, ["N", 100, 27, 48, 3])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, ["N", 100, 1])],
        [numpy_helper.from_array(value, key) for key, value in constants.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
    return path


def pictures(lengths: Sequence[int]) -> list[Image]:
    """Pictures of shots that are dark and light in turn."""
    shades = (60, 170)
    return [
        backdrop(THUMBNAIL_SIZE, shades[number % 2], seed=number)
        for number, length in enumerate(lengths)
        for _ in range(length)
    ]


@pytest.fixture(params=["adaptive", "content", "transnetv2"])
def config(request: pytest.FixtureRequest, tmp_path: Path) -> Config:
    if request.param == "transnetv2":
        return Config(shots="transnetv2", shots_model=str(transnet(tmp_path / "transnet.onnx")))
    return Config(shots=request.param)


@pytest.mark.parametrize(
    "lengths",
    [(40,), (30, 45), (60, 40, 50, 75), (99, 1 + 30), (100, 100, 100), (149, 52, 150, 149, 60), (210, 30)],
)
def test_cuts_are_found_at_their_frame_and_never_taken_back(config: Config, lengths: tuple[int, ...]) -> None:
    detector = shot_detector(RATE, config)
    truth = np.cumsum(lengths)[:-1].tolist()
    assert detector.cuts() == []
    for index, picture in enumerate(pictures(lengths)):
        detector.push(index, float(index / RATE), picture)
        assert detector.cuts() == [cut for cut in truth if cut < detector.final_before]
        assert detector.final_before <= index + 1
    detector.finish()
    assert detector.final_before == sum(lengths)
    assert detector.cuts() == truth
    shots = [number for number, length in enumerate(lengths) for _ in range(length)]
    assert [detector.shot_of(index) for index in range(sum(lengths))] == shots


def test_the_default_is_the_adaptive_detector() -> None:
    assert isinstance(shot_detector(RATE, Config()), AdaptiveShotDetector)
    assert isinstance(shot_detector(RATE, Config(shots="content")), PySceneDetectShots)


def test_a_film_without_frames_has_no_cuts(config: Config) -> None:
    detector = shot_detector(RATE, config)
    detector.finish()
    assert detector.cuts() == []


def test_a_video_can_be_indexed_by_any_detector(config: Config, film: Path) -> None:
    contents = index_contents(film, FakeEngine(), config)
    assert [shot.start for shot in contents.shots] == [0, 30, 60]
    assert contents.config["shots"] == config.shots


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"shots": "guess"}, "adaptive, content, transnetv2"),
        ({"shots": "transnetv2", "shots_model": "nowhere.onnx"}, "nowhere.onnx is not there"),
        ({"shots": "content", "shots_model": "some.onnx"}, "is for --shots transnetv2"),
    ],
)
def test_an_unusable_choice_is_an_error_that_names_it(settings: dict[str, str], said: str) -> None:
    with pytest.raises(OptionError, match=said):
        shot_detector(RATE, Config(**settings))  # type: ignore[arg-type]  # texts for a field of a few words: the point


@pytest.mark.parametrize("what", ["torn", "other name", "other type"])
def test_a_file_that_is_no_transnet_is_an_error(what: str, tmp_path: Path) -> None:
    path = transnet(
        tmp_path / "model.onnx",
        name="pixels" if what == "other name" else "input",
        kind=TensorProto.FLOAT if what == "other type" else TensorProto.UINT8,
    )
    if what == "torn":
        path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(
        OptionError, match="no ONNX model" if what == "torn" else "is not TransNetV2"
    ) as caught:
        shot_detector(RATE, Config(shots="transnetv2", shots_model=str(path)))
    assert "\n" not in str(caught.value)
