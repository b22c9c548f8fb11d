"""InsightFace's packs as folders: where they lie, under which licence, and how one is fetched when asked for.

Nothing is fetched unless `fetch` is called. The package keeps its packs in ~/.insightface/models; that is kept.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from contextlib import redirect_stdout
from importlib.util import find_spec
from pathlib import Path

from facereel.indexer.engines.engine import PACKS
from facereel.store.files.folders import printable
from facereel.store.model.errors import EngineError, MissingPackError, OptionError, UnwritableError

LICENCE = (
    "InsightFace's weights are for non-commercial research only, whether downloaded by hand or by a program; "
    "for other uses ask its makers: https://github.com/deepinsight/insightface#license"
)


def models_folder() -> Path:
    """Where the `insightface` package keeps its packs."""
    return Path("~/.insightface/models").expanduser()


def is_pack(name: str) -> bool:
    """Whether a name is a known pack's, that of one in the models folder, or a folder."""
    return name in PACKS or Path(name).is_dir() or (_is_plain(name) and (models_folder() / name).is_dir())


def find_pack(name: str) -> Path:
    """The folder with a pack's ONNX files; raises MissingPackError with the way to get it, EngineError for no pack."""
    folder = models_folder() / name if _is_plain(name) else Path(name)
    if not folder.is_dir() and name not in PACKS:
        folder = Path(name)
    if files := _with_files(folder):
        return files
    if name in PACKS:
        raise MissingPackError(
            f"{name} is not here and nothing is fetched unasked (its weights are for non-commercial research "
            f"only); run: python cli.py engines --get {name}, or put its ONNX files into {printable(folder)}"
        )
    raise EngineError(f"{printable(folder)} holds no ONNX file; name the folder of an InsightFace pack")


def check_name(name: str) -> None:
    """Raise OptionError for a name that no pack has."""
    if name not in PACKS:
        raise OptionError(f"no pack is called {name!r}; known: {', '.join(PACKS)}")


def check_package() -> None:
    """Raise EngineError with the command that installs the package `insightface`, where it is missing.

    It is an extra: it requires a second OpenCV, which only its users should have to install.
    """
    if find_spec("insightface") is None:
        raise EngineError(
            'InsightFace packs need the package insightface; run: pip install "facereel[insightface]"'
        )


def fetch(name: str) -> Path:
    """Download a pack through the `insightface` package; there whole or not at all.

    Raises OptionError for an unknown name, EngineError when it cannot be reached, UnwritableError.
    """
    check_name(name)
    check_package()
    from insightface.utils import storage

    target = models_folder() / name
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{name}-", dir=target.parent) as temporary:
            with redirect_stdout(sys.stderr):  # the package tells of its progress on stdout
                came = _with_files(Path(storage.download("models", name, root=temporary)))
            if came is None:
                raise EngineError(f"what came for {name} holds no ONNX file; try again later")
            shutil.rmtree(target, ignore_errors=True)
            came.rename(target)
    except EngineError:
        raise
    except PermissionError as error:
        raise UnwritableError(
            f"{printable(target.parent)} cannot be written; change its permissions"
        ) from error
    except (
        Exception
    ) as error:  # of requests, zipfile or the file system: whatever it is, the pack did not come
        reason = type(error).__name__
        raise EngineError(
            f"{name} could not be downloaded ({reason}); check the network, or put its ONNX files by hand "
            f"into {printable(target)}"
        ) from error
    return target


def _is_plain(name: str) -> bool:
    return bool(name) and name == Path(name).name and not name.startswith(".")


def _with_files(folder: Path) -> Path | None:
    """The folder that holds the ONNX files: this one, or the only one in it (as some archives unpack)."""
    if not folder.is_dir():
        return None
    if _holds_models(folder):
        return folder
    inside = [path for path in folder.iterdir() if path.is_dir() and _holds_models(path)]
    return inside[0] if len(inside) == 1 else None


def _holds_models(folder: Path) -> bool:
    return any(folder.glob("*.onnx")) or (folder / "manifest.json").is_file()
