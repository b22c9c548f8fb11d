"""The house stands as it was drawn: which room may import which, what waits to be imported, who decodes and prints.

Reads the source by `ast`, so an import inside a function or under TYPE_CHECKING is an arrow too.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from facereel.indexer.jobs import local
from tests.program import ROOT

PROGRAM = sorted(
    path.relative_to(ROOT)
    for path in (
        *ROOT.glob("*.py"),
        *(file for folder in ("indexer", "query", "store") for file in (ROOT / folder).rglob("*.py")),
    )
)

# What each room may import besides itself. A name stands for the room and for all rooms in it.
MAY_IMPORT: dict[str, tuple[str, ...]] = {
    "store.model": (),
    "store.files": ("store.model",),
    "store.index": ("store.files", "store.model"),
    "store.resume": ("store.index", "store.files", "store.model"),
    "store.library": ("store.resume", "store.index", "store.files", "store.model"),
    "indexer.machine": (),
    "indexer.timing": (),
    "indexer.scaling": ("store",),
    "indexer.media": ("indexer.scaling", "store"),
    "indexer.engines": ("indexer.machine", "indexer.scaling", "store"),
    "indexer.shots": ("indexer.engines", "indexer.machine", "indexer.timing", "store"),
    "indexer.scan": (
        "indexer.media",
        "indexer.engines",
        "indexer.scaling",
        "indexer.shots",
        "indexer.timing",
        "store",
    ),
    "indexer.track": ("indexer.scan", "indexer.timing", "store"),
    "indexer.identity": ("indexer.engines", "indexer.timing", "indexer.track", "store"),
    "indexer.segments": (
        "indexer.timing",
        "indexer.media",
        "indexer.engines",
        "indexer.shots",
        "indexer.scan",
        "indexer.track",
        "indexer.identity",
        "store",
    ),
    "indexer.parts": (
        "indexer.segments",
        "indexer.media",
        "indexer.scan",
        "indexer.identity",
        "store",
    ),
    "indexer.pipeline": (
        "indexer.parts",
        "indexer.segments",
        "indexer.media",
        "indexer.engines",
        "indexer.scan",
        "indexer.identity",
        "store",
    ),
    "indexer.jobs": (
        "indexer.pipeline",
        "indexer.parts",
        "indexer.media",
        "indexer.engines",
        "indexer.machine",
        "store",
    ),
    "query.text": (),
    "query.records": ("store",),
    "query.command_line": ("query.records", "store"),
    "query.videos": ("indexer.media", "store"),
    "query.people": ("query.records", "indexer.engines", "indexer.identity", "store"),
    "query.search": ("query.people", "query.records", "store"),
    "query.export": ("query.text", "query.records", "indexer.engines", "indexer.media", "store"),
    "query.library": (
        "query.search",
        "query.people",
        "query.records",
        "query.export",
        "query.dataset",
        "store",
    ),
    "query.clips": (
        "query.text",
        "query.export",
        "query.search",
        "query.people",
        "query.records",
        "indexer.engines",
        "indexer.identity",
        "indexer.media",
        "store",
    ),
    "query.blur": (
        "query.clips",
        "query.text",
        "query.search",
        "query.people",
        "query.records",
        "indexer.engines",
        "indexer.jobs",
        "indexer.media",
        "indexer.scan",
        "indexer.shots",
        "indexer.track",
        "store",
    ),
    "query.speaking": (
        "query.clips",
        "query.search",
        "query.records",
        "indexer.engines",
        "store",
    ),
    "query.dataset": (
        "query.clips",
        "query.search",
        "query.records",
        "query.text",
        "indexer.machine",
        "indexer.media",
        "store",
    ),
    "api": (
        "query.speaking",
        "query.text",
        "query.records",
        "query.command_line",
        "query.videos",
        "query.people",
        "query.search",
        "query.library",
        "query.export",
        "query.clips",
        "query.blur",
        "query.dataset",
        "indexer",
        "store",
    ),
    "query.terminal": ("api", "query.text", "store.files"),
    "query.web": ("api",),
    "cli": ("api", "query.terminal", "query.web"),
}
MAY_DECODE = {
    "indexer/media/container.py",
    "indexer/media/packets.py",
    "indexer/media/hardware.py",
    "indexer/media/video.py",
    "indexer/media/display.py",
    "indexer/media/cropping.py",
    "indexer/media/fields.py",
    "indexer/media/filters.py",
    "indexer/media/frame.py",
    "indexer/media/tone_mapping.py",
    "query/blur/blur.py",
    "query/blur/copy.py",
    "query/clips/cutter.py",
    "query/clips/losses.py",
    "query/clips/mp4.py",
    "query/clips/proxy.py",
    "query/clips/sound.py",
    "query/clips/stills.py",
    "query/clips/stream_copy.py",
    "query/dataset/piece_file.py",
}
MAY_PRINT = {"query/terminal/console.py"}
HEAVY = {
    "av",
    "cv2",
    "faiss",
    "numpy",
    "onnx",
    "fsspec",
    "onnxruntime",
    "PIL",
    "ray",
    "scenedetect",
    "scipy",
    "sqlite_utils",
    "starlette",
    "uvicorn",
    "jinja2",
}


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse((ROOT / path).read_text(encoding="utf-8"), str(path))


def module_name(path: Path) -> str:
    """`query/clips/plan.py` -> `facereel.query.clips.plan`, `query/__init__.py` -> `facereel.query`."""
    return ".".join(("facereel", *path.with_suffix("").parts)).removesuffix(".__init__")


MODULES = {module_name(path) for path in PROGRAM}


def room(module: str) -> str:
    """`facereel.query.clips.plan` -> `query.clips`, `facereel.cli` -> `cli`; empty for the package itself."""
    return ".".join(module.split(".")[1:3])


def imported(node: ast.AST, inside: str) -> Iterator[str]:
    """Modules that an import statement reaches, relative ones resolved; a module of ours in full."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        package = inside.split(".")[: -node.level] if node.level else []
        base = ".".join((*package, *((node.module,) if node.module else ())))
        for alias in node.names:
            full = f"{base}.{alias.name}"
            yield full if full in MODULES or alias.name == "__version__" else base


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """(line, module) of everything that a module of ours imports, wherever in it."""
    for node in ast.walk(tree(path)):
        for name in imported(node, module_name(path)):
            yield node.lineno, name  # type: ignore[attr-defined]  # an import statement has a line


def within(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


def forbidden(inside: str, name: str) -> bool:
    """Whether an import of `name` in the module `inside` is an arrow that points up or sideways."""
    top = name.split(".")[0]
    if name == "facereel.__version__":
        return False  # a number that every room may write into its files
    if top in ("cli", "indexer", "query", "store", "tests", "samples"):
        return True  # ours have one name each, and tests are above all
    if top != "facereel" or within(name, f"facereel.{room(inside)}"):
        return False
    return not any(within(name, f"facereel.{allowed}") for allowed in MAY_IMPORT[room(inside)])


def test_no_arrow_points_up() -> None:
    arrows = [
        f"{path}:{line} imports {name}"
        for path in PROGRAM
        if room(module_name(path)) in MAY_IMPORT
        for line, name in imports(path)
        if forbidden(module_name(path), name)
    ]
    assert not arrows


def test_every_room_has_its_place() -> None:
    """And the table allows no circle, so that there can be none."""
    floors = {"", "indexer", "query", "store"}  # packages that hold rooms and nothing else
    assert {room(module_name(path)) for path in PROGRAM} == {*MAY_IMPORT, *floors}
    for floor in floors - {""}:
        assert len(tree(Path(floor, "__init__.py")).body) <= 1, "a docstring at most"
    below = {
        name: {other for other in MAY_IMPORT if other != name and any(within(other, a) for a in allowed)}
        for name, allowed in MAY_IMPORT.items()
    }
    assert len(list(TopologicalSorter(below).static_order())) == len(MAY_IMPORT)


@pytest.mark.parametrize(
    ("inside", "statement", "caught"),
    [
        ("store.index.rows", "import facereel.indexer", True),
        ("store.index.rows", "from facereel.query.clips.plan import plan_clips", True),
        ("store.index.rows", "from facereel.store.model.records import Video", False),
        ("store.index.rows", "from ..model.records import Video", False),
        ("store.index.rows", "from facereel.store.library import catalogue", True),
        ("store.index.rows", "from store.model.records import Video", True),
        ("indexer.scan.scan", "import facereel.query.clips", True),
        ("indexer.scan.scan", "from facereel.indexer import pipeline", True),
        ("indexer.engines.opencv_zoo", "from . import devices", False),
        ("indexer.engines.opencv_zoo", "from ...query import clips", True),
        ("query.search.matching", "from facereel.indexer.scan import scan", True),
        ("query.search.matching", "from facereel.query.clips import plan", True),
        ("query.people.reference", "from facereel.indexer.engines import alignment", False),
        ("query.search.matching", "from facereel import cli", True),
        ("query.search.matching", "from tests import factories", True),
        ("cli", "from facereel.query.terminal import report", False),
    ],
)
def test_the_guard_sees_each_kind_of_arrow(inside: str, statement: str, caught: bool) -> None:
    node, module = ast.parse(statement).body[0], f"facereel.{inside}"
    assert any(forbidden(module, name) for name in imported(node, module)) is caught


def test_only_a_few_modules_decode_and_encode() -> None:
    decoding = {path.as_posix() for path in PROGRAM for _, name in imports(path) if within(name, "av")}
    assert decoding == MAY_DECODE


def test_only_the_terminal_prints() -> None:
    printing = {
        path.as_posix()
        for path in PROGRAM
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    }
    assert printing == MAY_PRINT


def test_help_waits_for_nothing_heavy() -> None:
    """`--help` answers at once only if importing the commands, and all that they import, leaves these out."""
    source = f"import sys, facereel.cli; print(*sorted({HEAVY!r} & sys.modules.keys()))"
    done = subprocess.run(
        [sys.executable, "-c", source], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.split() == []


def test_index_imports_only_what_it_needs() -> None:
    """Each of these would cost every start of `index` a tenth of a second or more."""
    hands_out = (
        "import facereel.indexer.jobs.local, facereel.indexer.shots.detector, facereel.indexer.engines.choice"
    )
    hands_out += ", facereel.store.library.catalogue"
    for source, needless in (
        (
            hands_out,
            {
                "av",
                "cv2",
                "faiss",
                "onnxruntime",
                "scenedetect",
                "scipy",
                "sqlite_utils",
                "starlette",
                "uvicorn",
                "jinja2",
                "opentimelineio",
            },
        ),
        (
            f"import {', '.join(local._PRELOAD)}",
            {"onnx", "pandas", "PIL", "rich", "scenedetect", "scipy", "sqlite_utils", "typer"},
        ),
    ):
        done = subprocess.run(
            [sys.executable, "-c", f"{source}, sys; print(*sorted({needless!r} & sys.modules.keys()))"],
            cwd=ROOT, capture_output=True, text=True, check=True, timeout=60,
        )  # fmt: skip
        assert done.stdout.split() == []


def test_a_query_imports_only_what_it_needs(store: Path, photos: Path) -> None:
    """Nor does a query look for garbage among what it imports: that would be an eighth of its time over one film."""
    needless = {"jinja2", "onnx", "opentimelineio", "scenedetect", "scipy", "starlette", "uvicorn"}
    needless |= {
        "facereel.query.export.editors",
        "facereel.query.library.people",
        "http",
        "numpy.ma",
        "pydantic",
    }
    needless |= {"xml"}
    source = (
        "import gc, sys; from facereel import cli; from tests.fake_cli import add_fake_engines; add_fake_engines()\n"
        "before = gc.get_stats()\n"
        "sys.argv = ['facereel', *sys.argv[1:]]\n"
        "try: cli.run()\n"
        "except SystemExit as ended: assert not ended.code, ended.code\n"
        "after = gc.get_stats()\n"
        "full = after[2]['collections'] - before[2]['collections']\n"
        f"print(gc.isenabled(), full, *sorted({needless!r} & sys.modules.keys()), file=sys.stderr)"
    )
    words = (
        "query",
        str(photos / "red.png"),
        "--store",
        str(store),
        "--engine",
        "fake",
        "--dry-run",
        "--json",
    )
    done = subprocess.run(
        [sys.executable, "-c", source, *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stderr.splitlines()[-1].split() == ["True", "0"]


def test_no_module_is_imported_under_two_names() -> None:
    """`store` and `facereel.store` would be two copies of every record."""
    twice = {
        name
        for name, module in list(sys.modules.items())
        if (file := getattr(module, "__file__", None))
        and Path(file).resolve().is_relative_to(ROOT)
        and Path(file).resolve().relative_to(ROOT).parts[0]
        in ("cli.py", "indexer", "query", "store", "__init__.py")
        and name.split(".")[0] != "facereel"
    }
    assert twice == set()
