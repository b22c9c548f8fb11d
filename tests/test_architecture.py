"""The house stands as it was drawn: which way imports point, what waits to be imported, how long things are.

Reads the source by `ast`, so an import inside a function or under TYPE_CHECKING is an arrow too.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FLOORS = ("cli", "indexer", "query", "store")
PROGRAM = sorted(
    path.relative_to(ROOT)
    for path in (ROOT / "cli.py", *(file for floor in FLOORS[1:] for file in (ROOT / floor).rglob("*.py")))
)

# What a floor may reach besides itself. A photo must be embedded by the code that indexed the video:
# that is why `query` may reach the engine and the alignment, and nothing else of the indexer.
MAY_REACH = {
    "cli": ("query", "indexer", "store"),
    "query": ("indexer.engine", "indexer.align", "store"),
    "indexer": ("store",),
    "store": (),
}
MAY_DECODE = {"indexer/video.py", "indexer/picture.py", "query/cutter.py", "query/mp4.py", "query/sound.py"}
MAY_PRINT = {"cli.py", "query/console.py"}
HEAVY = {"av", "cv2", "faiss", "numpy", "onnx", "onnxruntime", "PIL", "scenedetect", "scipy", "sqlite_utils"}

MODULE_LINES = 260
FUNCTION_LINES = 45
# cli.py has the signature of every command, a line an option: longer, but without logic.
CLI = "cli.py"


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse((ROOT / path).read_text(encoding="utf-8"), str(path))


def module_name(path: Path) -> str:
    """`query/clips.py` -> `query.clips`, `query/__init__.py` -> `query`."""
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


MODULES = {module_name(path) for path in PROGRAM}


def imported(node: ast.AST, inside: Path) -> Iterator[str]:
    """Dotted names that an import statement reaches, relative ones resolved; a module of ours in full."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        package = inside.parent.parts[: len(inside.parent.parts) + 1 - node.level] if node.level else ()
        base = ".".join((*package, *((node.module,) if node.module else ())))
        for alias in node.names:
            full = f"{base}.{alias.name}"
            yield full if full in MODULES else base


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """(line, dotted name) of everything that a module of ours imports, wherever in it."""
    for node in ast.walk(tree(path)):
        for name in imported(node, path):
            yield node.lineno, name  # type: ignore[attr-defined]  # an import statement has a line


def within(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


def forbidden(path: Path, name: str) -> bool:
    """Whether an import of `name` in `path` is an arrow that points up or sideways."""
    floor = module_name(path).split(".")[0]
    if name.split(".")[0] in ("tests", "samples"):
        return True
    if name.split(".")[0] not in FLOORS or within(name, floor):
        return False
    return not any(within(name, allowed) for allowed in MAY_REACH[floor])


def test_no_arrow_points_up() -> None:
    arrows = [
        f"{path}:{line} imports {name}"
        for path in PROGRAM
        for line, name in imports(path)
        if forbidden(path, name)
    ]
    assert not arrows


@pytest.mark.parametrize(
    ("path", "statement", "caught"),
    [
        ("store/rows.py", "import indexer", True),
        ("store/rows.py", "from query.clips import plan_clips", True),
        ("store/rows.py", "from store.records import Video", False),
        ("store/rows.py", "from .records import Video", False),
        ("indexer/scan.py", "import query.clips", True),
        ("indexer/engines/opencv_zoo.py", "from ..engine import FaceEngine", False),
        ("indexer/engines/opencv_zoo.py", "from ...query import clips", True),
        ("query/match.py", "from indexer import scan", True),
        ("query/match.py", "from indexer import align", False),
        ("query/match.py", "from indexer.engine import FaceEngine", False),
        ("query/match.py", "from indexer.engines.opencv_zoo import OpenCVZoo", True),
        ("query/match.py", "import cli", True),
        ("query/match.py", "from tests import factories", True),
        ("cli.py", "from query import report", False),
    ],
)
def test_the_guard_sees_each_kind_of_arrow(path: str, statement: str, caught: bool) -> None:
    node = ast.parse(statement).body[0]
    assert any(forbidden(Path(path), name) for name in imported(node, Path(path))) is caught


def test_only_a_few_modules_decode_and_encode() -> None:
    found = {path.as_posix() for path in PROGRAM for _, name in imports(path) if within(name, "av")}
    assert found <= MAY_DECODE


def test_only_the_command_line_prints() -> None:
    printing = [
        f"{path}:{node.lineno}"
        for path in PROGRAM
        if path.as_posix() not in MAY_PRINT
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]
    assert not printing


def test_help_waits_for_nothing_heavy() -> None:
    """`cli.py --help` answers at once only if importing cli, and all that it imports, leaves these out."""
    source = f"import sys, cli; print(*sorted({HEAVY!r} & sys.modules.keys()))"
    done = subprocess.run(
        [sys.executable, "-c", source], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.split() == []


def test_no_module_is_long() -> None:
    lines = {path.as_posix(): len((ROOT / path).read_text(encoding="utf-8").splitlines()) for path in PROGRAM}
    assert {path: count for path, count in lines.items() if count > MODULE_LINES and path != CLI} == {}


def test_no_function_is_long() -> None:
    """From `def` to the last line, its signature and docstring too."""
    lengths = {
        f"{path.as_posix()}:{node.name}": node.end_lineno - node.lineno + 1
        for path in PROGRAM
        for node in ast.walk(tree(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno is not None
    }
    assert {
        name: count for name, count in lengths.items() if count > FUNCTION_LINES and not name.startswith(CLI)
    } == {}


def test_the_floors_are_there() -> None:
    """A guard over nothing would pass for ever."""
    assert {module_name(path).split(".")[0] for path in PROGRAM} == set(FLOORS)
    assert {path for path in MAY_DECODE | MAY_PRINT if not (ROOT / path).is_file()} == set()
