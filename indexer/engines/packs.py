"""InsightFace's packs as folders: where they are, under which licence, and how one is fetched.

Nothing is fetched unless `fetch` is called. Packs are kept where the package keeps them: ~/.insightface/models.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from contextlib import redirect_stdout
from importlib.util import find_spec
from pathlib import Path

from facereel.store.files.names import printable
from facereel.store.model.errors import EngineError, MissingPackError, OptionError, UnwritableError

# InsightFace's packs by name; any other is named by its folder.
PACKS = ("antelopev2", "buffalo_l", "buffalo_m", "buffalo_s", "buffalo_sc", "raccoon_l", "raccoon_s")
LICENCE = (
    "InsightFace's weights are for non-commercial research only, whether downloaded by hand or by a program; "
    "for other uses ask its makers: https://github.com/deepinsight/insightface#license"
)


def models_folder() -> Path:
    """Where the `insightface` package keeps its packs."""
    return Path("~/.insightface/models").expanduser()


def licence_of(name: str) -> str:
    """The licence of a pack's weights in a few words; InsightFace's own packs are known by name."""
    return "non-commercial research only" if name in PACKS else "that of the pack's makers"


def is_pack(name: str) -> bool:
    """Whether a name is one of PACKS, that of a folder among the packs, or a folder's path."""
    return name in PACKS or Path(name).is_dir() or (_is_plain(name) and (models_folder() / name).is_dir())


def find_pack(name: str) -> Path:
    """The folder with a pack's ONNX files; raises MissingPackError when it is to be fetched first, EngineError."""
    folder = models_folder() / name if _is_plain(name) else Path(name)
    if not folder.is_dir() and name not in PACKS:
        folder = Path(name)
    if models := _models_in(folder):
        return models
    if name in PACKS:
        raise MissingPackError(
            f"{name} is not here and nothing is fetched unasked (its weights are for non-commercial research "
            f"only); run: facereel engines --get {name}, or put its ONNX files into {printable(folder)}"
        )
    raise EngineError(f"{printable(folder)} holds no ONNX file; name the folder of an InsightFace pack")


def check_name(name: str) -> None:
    """Raise OptionError for a name that is none of PACKS."""
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
    """Download a pack through the `insightface` package, completely or not at all.

    Raises OptionError for an unknown name, EngineError when the download fails, UnwritableError.
    """
    check_name(name)
    check_package()
    from insightface.utils import storage

    target = models_folder() / name
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{name}-", dir=target.parent) as temporary:
            with redirect_stdout(sys.stderr):  # the package prints its progress on stdout
                models = _models_in(Path(storage.download("models", name, root=temporary)))
            if models is None:
                raise EngineError(f"the download of {name} holds no ONNX file; try again later")
            shutil.rmtree(target, ignore_errors=True)
            models.rename(target)
    except EngineError:
        raise
    except PermissionError as error:
        raise UnwritableError(
            f"{printable(target.parent)} cannot be written; change its permissions"
        ) from error
    except Exception as error:  # of requests, zipfile or the file system
        reason = type(error).__name__
        raise EngineError(
            f"{name} could not be downloaded ({reason}); check the network, or put its ONNX files by hand "
            f"into {printable(target)}"
        ) from error
    return target


def _is_plain(name: str) -> bool:
    return bool(name) and name == Path(name).name and not name.startswith(".")


def _models_in(folder: Path) -> Path | None:
    """The folder that holds the ONNX files: this one, or the only one in it (as some archives unpack)."""
    if not folder.is_dir():
        return None
    if _holds_models(folder):
        return folder
    inside = [path for path in folder.iterdir() if path.is_dir() and _holds_models(path)]
    return inside[0] if len(inside) == 1 else None


def _holds_models(folder: Path) -> bool:
    return any(folder.glob("*.onnx")) or (folder / "manifest.json").is_file()
