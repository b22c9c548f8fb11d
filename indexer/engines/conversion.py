"""Models as ONNX Runtime runs them fastest on a processor, made of the files that packages carry.

The files of the OpenCV Zoo are block-quantised to save room; as float32 they run two to three times as fast. ONNX
Runtime keeps pictures in a layout of its own and leaves it for each PReLU and each output. What is rewritten here is
exact: the models give the same numbers but for rounding.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import onnx

Constant: TypeAlias = NDArray[Any]
MODEL_FORMAT = 5  # raised when a conversion changes, so that a new version does not use old cache files
YUNET_STRIDES = (8, 16, 32)
YUNET_HEADS = ("cls", "obj", "bbox", "kps")  # 1, 1, 4 and 10 values a cell
FEATURES = "features"  # what SFace's last layer, a matrix of 25 MB, turns into a vector
# Bytes of a constant that is worth a place of its own. What Windows maps begins at multiples of as many.
_LARGE = 1 << 16
_MIN_REST = 1e-4  # 1 - slope of a PReLU is kept this far from 0, because it is divided by


def plain(source: Path) -> bytes:
    """A model of the OpenCV Zoo in float32, with a free batch dimension, for any program."""
    return _opencv_zoo(source).to_bytes()


def yunet(source: Path) -> bytes:
    """YuNet with one output (N, cells of all strides, 16): the values of YUNET_HEADS before their sigmoids."""
    graph = _opencv_zoo(source)
    graph.merge_yunet_heads()
    return graph.to_bytes()


def sface_body(source: Path) -> bytes:
    """SFace from crops to FEATURES."""
    graph = _opencv_zoo(source)
    graph.rewrite_prelus()
    graph.cut_at_gemm(keep_end=False)
    return graph.to_bytes()


def sface_end(source: Path) -> bytes:
    """SFace from FEATURES to vectors."""
    graph = _opencv_zoo(source)
    graph.cut_at_gemm(keep_end=True)
    return graph.to_bytes()


def onet(source: Path) -> bytes:
    """ONet."""
    graph = _Graph(source)
    graph.rewrite_prelus()
    return graph.to_bytes()


def apart(model: bytes, file: str = "") -> tuple[bytes, bytes]:
    """A model without its large constants, and these as the content of `file` beside it.

    ONNX Runtime maps that file into memory instead of reading and copying it, which is most of the time that a large
    model takes to load.
    """
    import onnx
    from onnx.external_data_helper import set_external_data

    whole, constants = onnx.load_model_from_string(model), bytearray()
    for tensor in whole.graph.initializer:
        content = tensor.raw_data
        if len(content) >= _LARGE:
            constants += bytes(-len(constants) % _LARGE)
            set_external_data(tensor, file, len(constants), len(content))
            tensor.ClearField("raw_data")
            constants += content
    return bytes(whole.SerializeToString()), bytes(constants)


def _opencv_zoo(source: Path) -> _Graph:
    graph = _Graph(source)
    graph.fold_constants()
    graph.free_batch()
    return graph


class _Graph:
    """Nodes, inputs, outputs and constants of a model, in place of its own."""

    def __init__(self, source: Path) -> None:
        import onnx

        self._model = onnx.load(str(source))
        graph = self._model.graph
        self.nodes = list(graph.node)
        self.constants: dict[str, Constant] = {
            item.name: onnx.numpy_helper.to_array(item) for item in graph.initializer
        }
        self.inputs = [item for item in graph.input if item.name not in self.constants]
        self.outputs = list(graph.output)

    def to_bytes(self) -> bytes:
        """The model as a file, without inputs and constants that nothing uses."""
        import onnx

        used = {name for node in self.nodes for name in node.input}
        inputs = [item for item in self.inputs if item.name in used]
        initializers = [
            onnx.numpy_helper.from_array(value, name)
            for name, value in self.constants.items()
            if name in used
        ]
        graph = onnx.helper.make_graph(self.nodes, self._model.graph.name, inputs, self.outputs, initializers)
        self._model.graph.CopyFrom(graph)
        onnx.checker.check_model(self._model)
        return bytes(self._model.SerializeToString())

    def fold_constants(self) -> None:
        """Compute what depends on constants alone; leave out Dropout, which only training needs."""
        renamed: dict[str, str] = {}
        nodes = []
        for node in self.nodes:
            if node.op_type == "Dropout":
                renamed[node.output[0]] = node.input[0]
            elif not _fold(node, self.constants):
                nodes.append(node)
        for node in nodes:
            for position, name in enumerate(node.input):
                node.input[position] = renamed.get(name, name)
        self.nodes = nodes

    def free_batch(self) -> None:
        """Let the first dimension of inputs, outputs and reshapes have any size, and sides of pictures where they may.

        A matrix product fits one size of picture. That size is left in the model: where ONNX Runtime knows sizes, it
        adds to a result in place.
        """
        free_sides = all(node.op_type != "Gemm" for node in self.nodes)
        for item in [*self.inputs, *self.outputs]:
            dims = item.type.tensor_type.shape.dim
            if len(dims) > 1:
                dims[0].dim_param = "N"
                for place, dim in enumerate(dims[1:], start=1):
                    if len(dims) == 4 and place >= 2 and free_sides:
                        dim.dim_param = f"side{place}"
                    elif len(dims) == 3 and place == 1:
                        dim.dim_param = f"{item.name}_cells"
        for node in self.nodes:
            if node.op_type == "Reshape":
                shape = self.constants[node.input[1]].copy()
                if shape[0] == 1:
                    shape[0] = 0  # 0 keeps the input's own size
                    self.constants[node.input[1]] = shape

    def rewrite_prelus(self) -> None:
        """Write PReLU with slopes a as (1 - a) (max(x, 0) + x a / (1 - a)), its factor into the weights that follow.

        The sum is then one convolution with 1x1 kernels, in ONNX Runtime's own layout. A PReLU whose factor has no
        place in what follows stays.
        """
        import onnx

        nodes = []
        for node in self.nodes:
            if node.op_type != "PRelu":
                nodes.append(node)
                continue
            source, output = node.input[0], node.output[0]
            slope = self.constants[node.input[1]].astype(np.float64).reshape(-1)
            rest = np.where(slope <= 1, 1, -1) * np.maximum(np.abs(1 - slope), _MIN_REST)
            if not self._scale_channels(output, rest):
                nodes.append(node)
                continue
            ratio, positive, scaled = (f"{output}_{part}" for part in ("ratio", "positive", "scaled"))
            self.constants[ratio] = ((1 - rest) / rest).astype(np.float32).reshape(-1, 1, 1, 1)
            nodes += [
                onnx.helper.make_node("Relu", [source], [positive]),
                onnx.helper.make_node("Conv", [source, ratio], [scaled], group=len(slope)),
                onnx.helper.make_node("Add", [scaled, positive], [output]),
            ]
        self.nodes = nodes

    def _scale_channels(self, name: str, factors: NDArray[np.float64]) -> bool:
        """Have what takes a tensor multiply its channels by these factors; False where that has no place."""
        users = [node for node in self.nodes if name in node.input]
        if len(users) != 1:
            return False
        (node,) = users
        if node.op_type == "MaxPool" and (factors > 0).all():
            return self._scale_channels(node.output[0], factors)
        if node.op_type == "Conv":
            weights = self.constants[node.input[1]]
            depthwise = weights.shape[1] == 1 and len(weights) == len(factors)
            shape = (-1, 1, 1, 1) if depthwise else (1, -1, 1, 1)
            self.constants[node.input[1]] = (weights * factors.reshape(shape)).astype(np.float32)
            return True
        if node.op_type == "BatchNormalization":
            gamma, _, mean, _ = node.input[1:]
            self.constants[gamma] = (self.constants[gamma] * factors).astype(np.float32)
            self.constants[mean] = (self.constants[mean] / factors).astype(np.float32)
            return True
        return False

    def cut_at_gemm(self, keep_end: bool) -> None:
        """Keep what comes before the matrix product, or the product and what comes after."""
        import onnx

        place = next(place for place, node in enumerate(self.nodes) if node.op_type == "Gemm")
        gemm = self.nodes[place]
        count = self.constants[gemm.input[1]].shape[1]
        features = onnx.helper.make_tensor_value_info(FEATURES, onnx.TensorProto.FLOAT, ["N", count])
        for node in self.nodes[:place]:
            for position, name in enumerate(node.output):
                if name == gemm.input[0]:
                    node.output[position] = FEATURES
        gemm.input[0] = FEATURES
        if keep_end:
            self.nodes, self.inputs = self.nodes[place:], [features]
        else:
            self.nodes, self.outputs = self.nodes[:place], [features]

    def merge_yunet_heads(self) -> None:
        """Of each stride's four heads make one: the same convolutions, side by side; of all strides one output."""
        import onnx

        made_by = {name: node for node in self.nodes for name in node.output}
        levels, heads, dropped = [], [], set[int]()
        for stride in YUNET_STRIDES:
            pointwise, depthwise = [], []
            for kind in YUNET_HEADS:
                node = made_by[f"{kind}_{stride}"]
                convolutions: list[onnx.NodeProto] = []
                while len(convolutions) < 2:  # backwards over sigmoid, reshape and transpose
                    dropped.add(id(node))
                    if node.op_type == "Conv":
                        convolutions.append(node)
                    previous, node = node.input[0], made_by[node.input[0]]
                depthwise.append(convolutions[0])
                pointwise.append(convolutions[1])
            level = f"level_{stride}"
            heads += [
                self._side_by_side(pointwise, previous, f"{level}_pointwise", group=1, pads=[0] * 4),
                self._side_by_side(depthwise, f"{level}_pointwise", f"{level}_depthwise", group=16, pads=[1] * 4),
                onnx.helper.make_node("Transpose", [f"{level}_depthwise"], [f"{level}_last"], perm=[0, 2, 3, 1]),
                onnx.helper.make_node("Reshape", [f"{level}_last", "rows"], [level]),
            ]  # fmt: skip
            levels.append(level)
        self.constants["rows"] = np.array([0, -1, 16], np.int64)
        self.nodes = [node for node in self.nodes if id(node) not in dropped]
        self.nodes += [*heads, onnx.helper.make_node("Concat", levels, ["cells"], axis=1)]
        self.outputs = [
            onnx.helper.make_tensor_value_info("cells", onnx.TensorProto.FLOAT, ["N", "cells", 16])
        ]

    def _side_by_side(
        self, convolutions: Sequence[onnx.NodeProto], source: str, output: str, **attributes: Any
    ) -> onnx.NodeProto:
        """One convolution with the output channels of several."""
        import onnx

        names = [source]
        for position, part in ((1, "weights"), (2, "biases")):
            names.append(f"{output}_{part}")
            self.constants[names[-1]] = np.concatenate(
                [self.constants[node.input[position]] for node in convolutions]
            )
        return onnx.helper.make_node("Conv", names, [output], **attributes)


def _fold(node: onnx.NodeProto, constants: dict[str, Constant]) -> bool:
    """Replace a DequantizeLinear or Reshape of constants by its result; returns whether it did."""
    import onnx.reference

    if node.op_type not in ("DequantizeLinear", "Reshape") or any(
        name not in constants for name in node.input
    ):
        return False
    feeds = {name: constants[name] for name in node.input}
    values = [
        onnx.helper.make_tensor_value_info(
            name, onnx.helper.np_dtype_to_tensor_dtype(value.dtype), value.shape
        )
        for name, value in feeds.items()
    ]
    result = onnx.helper.make_tensor_value_info(node.output[0], onnx.TensorProto.FLOAT, None)
    graph = onnx.helper.make_graph([node], "fold", values, [result])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 21)])
    outputs = onnx.reference.ReferenceEvaluator(model).run(None, feeds)
    assert isinstance(outputs, list)
    constants[node.output[0]] = outputs[0]
    return True
