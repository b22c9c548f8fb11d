"""A real InsightFace pack made of the default engine's weights, since InsightFace's own may not be passed on.

Graphs in InsightFace's formats: the detector as SCRFD gives its answers (nine outputs, two anchors a cell, distances in
strides), the recogniser as ArcFace takes its crops. InsightFace's ways to normalise a picture are undone inside.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from facereel.indexer.engines.conversion import YUNET_STRIDES, plain
from facereel.indexer.engines.opencv_zoo import DETECTOR, RECOGNIZER
from facereel.indexer.engines.weights import source_path

INPUT = "input.1"


@dataclass(frozen=True)
class Input:
    """How a model takes its pictures: (x - mean) / std of RGB."""

    mean: float
    std: float
    kind: int = TensorProto.FLOAT


SCRFD, ARCFACE = Input(127.5, 128.0), Input(127.5, 127.5)
EMBEDDED = Input(0.0, 1.0, TensorProto.UINT8)  # a manifest's word for models that take pixels as they are


def build_pack(folder: Path, side: int | None = None) -> Path:
    """Write `det.onnx` and `rec.onnx`; `side` fixes the square picture that the detector takes, pixels."""
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(scrfd(SCRFD, side), str(folder / "det.onnx"))
    onnx.save(arcface(ARCFACE), str(folder / "rec.onnx"))
    return folder


def build_manifest_pack(folder: Path) -> Path:
    """A pack as the newer ones are: its manifest says which file is which, and its models take pixels."""
    (folder / "models").mkdir(parents=True)
    onnx.save(scrfd(EMBEDDED), str(folder / "models" / "one.onnx"))
    onnx.save(arcface(EMBEDDED), str(folder / "models" / "two.onnx"))
    tasks = {
        "detection": {"file": "models/one.onnx", "preprocessing": "embedded"},
        "recognition": {"file": "models/two.onnx", "preprocessing": "embedded", "embedding_dimension": 128},
    }
    manifest = {"manifest_version": 2, "model_id": folder.name, "license": "MODEL.LICENSE", "tasks": tasks}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def scrfd(taken: Input, side: int | None = None) -> onnx.ModelProto:
    """YuNet with SCRFD's input (1, 3, H, W) and its nine outputs."""
    model = onnx.load_from_string(plain(source_path(DETECTOR)))
    graph = model.graph
    # SCRFD takes RGB, YuNet BGR.
    swap = helper.make_node("Gather", ["plain", "backwards"], [graph.input[0].name], axis=1)
    nodes = [*_from_normalised("plain"), swap]
    graph.initializer.append(_constant("backwards", np.array([2, 1, 0], np.int64)))
    outputs = []
    for kind, width in (("score", 1), ("bbox", 4), ("kps", 10)):
        outputs += [(f"{kind}_{stride}", width) for stride in YUNET_STRIDES]
    extra = [node for stride in YUNET_STRIDES for node in _heads(stride)]
    shape = [1, 3, side or "?", side or "?"]
    _rebuild(graph, taken, nodes, extra, shape, [(name, ["?", width]) for name, width in outputs])
    graph.initializer.extend([
        _constant("half", np.array(0.5, np.float32)), _constant("zero", np.array(0, np.float32)),
        _constant("one", np.array(1, np.float32)),
        _constant("first", np.array([0, 1], np.int64)), _constant("last", np.array([2, 3], np.int64)),
        *(_constant(f"rows_of_{width}", np.array([-1, width], np.int64)) for width in (1, 4, 10)),
    ])  # fmt: skip
    onnx.checker.check_model(model)
    return model


def arcface(taken: Input) -> onnx.ModelProto:
    """SFace with ArcFace's input (N, 3, 112, 112) and its one output."""
    model = onnx.load_from_string(plain(source_path(RECOGNIZER)))
    for node in model.graph.node:
        node.name = ""  # by names like _minusscalar0 the package knows models that normalise for themselves
    graph = model.graph
    shape: list[int | str] = ["None", 3, 112, 112]
    nodes = _from_normalised(graph.input[0].name)
    _rebuild(graph, taken, nodes, [], shape, [(graph.output[0].name, ["None", 128])])
    onnx.checker.check_model(model)
    return model


def _from_normalised(target: str) -> list[onnx.NodeProto]:
    return [
        helper.make_node("Cast", [INPUT], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["floats", "std"], ["scaled"]),
        helper.make_node("Add", ["scaled", "mean"], [target]),
    ]


def _heads(stride: int) -> list[onnx.NodeProto]:
    """From cls, obj, bbox and kps of a stride to SCRFD's rows, of which each cell has two."""
    box, point, size = f"bbox_{stride}", f"point_{stride}", f"size_{stride}"

    def own(name: str) -> str:
        return f"{name}_{stride}_"

    def node(kind: str, inputs: list[str], output: str, **attributes: Any) -> onnx.NodeProto:
        return helper.make_node(kind, inputs, [output], **attributes)

    return [
        node("Clip", [f"cls_{stride}", "zero", "one"], own("cls")),
        node("Clip", [f"obj_{stride}", "zero", "one"], own("obj")),
        node("Mul", [own("cls"), own("obj")], own("product")),
        node("Sqrt", [own("product")], own("sure")),
        node("Mul", [own("sure"), "half"], own("unsure")),  # the other anchor: the same box, less sure
        node("Concat", [own("sure"), own("unsure")], own("scores"), axis=2),
        node("Reshape", [own("scores"), "rows_of_1"], f"score_{stride}"),
        node("Gather", [f"raw_{box}", "first"], point, axis=2),
        node("Gather", [f"raw_{box}", "last"], own("log"), axis=2),
        node("Exp", [own("log")], own("whole")),
        node("Mul", [own("whole"), "half"], size),
        node("Sub", [size, point], own("low")),
        node("Add", [size, point], own("high")),
        node("Concat", [own("low"), own("high"), own("low"), own("high")], own("boxes"), axis=2),
        node("Reshape", [own("boxes"), "rows_of_4"], box),
        node("Concat", [f"raw_kps_{stride}"] * 2, own("points"), axis=2),
        node("Reshape", [own("points"), "rows_of_10"], f"kps_{stride}"),
    ]


def _rebuild(
    graph: onnx.GraphProto, taken_as: Input, before: list[onnx.NodeProto], after: list[onnx.NodeProto],
    shape: list[int | str], outputs: list[tuple[str, list[int | str]]],
) -> None:  # fmt: skip
    """Put nodes around a graph and give it InsightFace's input and outputs; names that clash become raw ones."""
    taken = {name for name, _ in outputs} & {item.name for item in graph.output} if after else set()
    for node in graph.node:
        for place, name in enumerate(node.output):
            if name in taken:
                node.output[place] = f"raw_{name}"
        for place, name in enumerate(node.input):
            if name in taken:
                node.input[place] = f"raw_{name}"
    nodes = [*before, *graph.node, *after]
    for name, value in (("std", taken_as.std), ("mean", taken_as.mean)):
        graph.initializer.append(_constant(name, np.array(value, np.float32)))
    del graph.node[:], graph.input[:], graph.output[:], graph.value_info[:]
    graph.node.extend(nodes)
    graph.input.append(helper.make_tensor_value_info(INPUT, taken_as.kind, shape))
    graph.output.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, dims) for name, dims in outputs
    )


def _constant(name: str, value: NDArray[Any]) -> onnx.TensorProto:
    return numpy_helper.from_array(value, name)
