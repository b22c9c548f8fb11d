"""The rewritten models give the numbers of the files that they are made of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from facereel.indexer.engines import conversion, devices, onet, opencv_zoo, weights
from facereel.indexer.engines.devices import session_options
from facereel.indexer.engines.opencv_zoo import DETECTOR, RECOGNIZER
from facereel.indexer.engines.runtime import onnxruntime
from facereel.indexer.engines.weights import source_path
from facereel.store.model.records import Floats

CROPS = np.random.default_rng(0).integers(0, 256, (3, 3, 112, 112)).astype(np.float32)


def run(model: bytes, **feeds: Floats) -> list[Floats]:
    session = onnxruntime.InferenceSession(model, session_options(), providers=["CPUExecutionProvider"])
    return [np.asarray(output) for output in session.run(None, feeds)]


def sigmoid(values: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-values)), np.float32)


@pytest.mark.parametrize("size", [(32, 32), (96, 160)])
def test_merged_heads_say_what_the_twelve_say(size: tuple[int, int]) -> None:
    pictures = np.random.default_rng(1).integers(0, 256, (2, 3, *size)).astype(np.float32)
    source = source_path(DETECTOR)
    twelve = run(conversion.plain(source), input=pictures)
    cls, obj, sides, points = (np.concatenate(twelve[kind : kind + 3], axis=1) for kind in (0, 3, 6, 9))
    (cells,) = run(conversion.yunet(source), input=pictures)
    np.testing.assert_allclose(sigmoid(cells[..., :2]), np.concatenate([cls, obj], axis=2), atol=1e-6)
    np.testing.assert_allclose(cells[..., 2:], np.concatenate([sides, points], axis=2), atol=1e-5)


def test_body_and_end_give_the_vectors_of_the_whole() -> None:
    source = source_path(RECOGNIZER)
    (whole,) = run(conversion.plain(source), data=CROPS)
    (features,) = run(conversion.sface_body(source), data=CROPS)
    (vectors,) = run(conversion.sface_end(source), **{conversion.FEATURES: features})
    np.testing.assert_allclose(vectors, whole, atol=1e-4)


def test_constants_in_a_file_of_their_own_change_no_number(tmp_path: Path) -> None:
    source = source_path(RECOGNIZER)
    body = conversion.sface_body(source)
    small, constants = conversion.apart(body, "constants")
    assert len(small) < 1_000_000 < len(constants)
    (tmp_path / "model.onnx").write_bytes(small)
    (tmp_path / "constants").write_bytes(constants)
    session = devices.load_model(tmp_path / "model.onnx", devices.Compute("cpu"), packed=False)
    np.testing.assert_array_equal(session.run(None, {"data": CROPS})[0], run(body, data=CROPS)[0])


def test_a_model_whose_constants_are_deleted_before_it_is_read_is_loaded_without_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Versions of FaceReel share a cache; an older one deletes files of others whenever it starts."""
    offset = np.arange(1 << 15, dtype=np.float32)
    shape = [1, len(offset)]
    graph = helper.make_graph(
        [helper.make_node("Add", ["data", "offset"], ["sum"])], "small",
        [helper.make_tensor_value_info("data", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("sum", TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(offset, "offset")],
    )  # fmt: skip
    opset = [helper.make_opsetid("", 17)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=8).SerializeToString()
    monkeypatch.setenv("FACEREEL_CACHE", str(tmp_path))

    def deleted(*which: Any) -> Path:
        path = weights.cached_model(*which)
        for constants in tmp_path.glob("*-constants-*"):
            if which[-1] == "end":
                constants.unlink()
        return path

    conversions: list[Path] = []

    def convert(source: Path) -> bytes:
        conversions.append(source)
        return bytes(model)

    monkeypatch.setattr(opencv_zoo, "cached_model", deleted)
    session = opencv_zoo._load_apart(RECOGNIZER, convert, devices.Compute("cpu"), "end")
    assert len(conversions) == 1, "that of SFace takes seconds"
    np.testing.assert_array_equal(
        session.run(None, {"data": np.ones(shape, np.float32)})[0], 1 + offset[None]
    )


def test_onet_gives_what_it_gave() -> None:
    faces = np.random.default_rng(2).normal(size=(3, 48, 48, 3)).astype(np.float32)
    source = source_path(onet.WEIGHTS)
    rewritten = conversion.onet(source)
    for old, new in zip(run(source.read_bytes(), input_3=faces), run(rewritten, input_3=faces), strict=True):
        np.testing.assert_allclose(new, old, atol=1e-5)
    kinds = [node.op_type for node in onnx.load_from_string(rewritten).graph.node]
    # Those that are left have a matrix product behind them.
    assert kinds.count("PRelu") == 2


@pytest.mark.parametrize("follower", ["convolution", "depthwise", "normalisation", "pooling", "nothing"])
@pytest.mark.parametrize("slopes", [(0.25, -0.6, 0.9), (0.25, 1.0, 1.3)])
def test_a_prelu_of_any_slopes_keeps_its_values(
    follower: str, slopes: tuple[float, ...], tmp_path: Path
) -> None:
    rng = np.random.default_rng(3)
    kernels = {
        "first": rng.normal(size=(3, 2, 3, 3)), "slopes": np.array(slopes).reshape(3, 1, 1),
        "next": rng.normal(size=(3, 1, 3, 3) if follower == "depthwise" else (4, 3, 3, 3)),
        "gamma": rng.normal(size=3), "beta": rng.normal(size=3), "mean": rng.normal(size=3),
        "variance": rng.uniform(1, 2, 3),
    }  # fmt: skip
    convolution = helper.make_node(
        "Conv", ["activated", "next"], ["last"], group=3 if follower == "depthwise" else 1
    )
    after = {
        "convolution": [convolution],
        "depthwise": [convolution],
        "normalisation": [
            helper.make_node(
                "BatchNormalization", ["activated", "gamma", "beta", "mean", "variance"], ["last"]
            )
        ],
        "pooling": [
            helper.make_node("MaxPool", ["activated"], ["pooled"], kernel_shape=[2, 2]),
            helper.make_node("Conv", ["pooled", "next"], ["last"]),
        ],
        "nothing": [helper.make_node("Identity", ["activated"], ["last"])],
    }[follower]
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["data", "first"], ["made"]),
            helper.make_node("PRelu", ["made", "slopes"], ["activated"]),
            *after,
        ],
        "small",
        [helper.make_tensor_value_info("data", TensorProto.FLOAT, ["N", 2, 16, 16])],
        [helper.make_tensor_value_info("last", TensorProto.FLOAT, ["N", "C", "H", "W"])],
        [numpy_helper.from_array(value.astype(np.float32), name) for name, value in kernels.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8)
    (tmp_path / "small.onnx").write_bytes(model.SerializeToString())
    data = rng.normal(size=(2, 2, 16, 16)).astype(np.float32)
    rewritten = conversion.onet(tmp_path / "small.onnx")
    new, old = run(rewritten, data=data)[0], run(model.SerializeToString(), data=data)[0]
    assert np.abs(new - old).max() < 2e-4 * np.abs(old).max()
    kept = [node.op_type for node in onnx.load_from_string(rewritten).graph.node].count("PRelu")
    # A maximum may change its place with a factor only where the factor is positive.
    assert kept == (follower == "nothing" or (follower == "pooling" and max(slopes) > 1))
