"""What `pip install` gives: one top-level module with every room and data file, a command, the right ranges."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from setuptools.config.pyprojecttoml import read_configuration

from tests.program import ROOT
from tests.test_project import DEV, RUN, requirements, tracked

ROOMS = ("indexer", "query", "store")
# Started from a folder that is neither the checkout nor has it in sight.
IMPORT_ALL = """
import importlib, pkgutil, sys
import facereel
names = [module.name for module in pkgutil.walk_packages(facereel.__path__, "facereel.")]
for name in names:
    importlib.import_module(name)
print(facereel.__file__)
print(len(names))
"""


def pyproject() -> dict[str, Any]:
    """pyproject.toml as setuptools reads it, without the values it would compute."""
    return dict(read_configuration(ROOT / "pyproject.toml", expand=False))


def by_name(lines: list[str]) -> dict[str, Requirement]:
    """Requirements by canonical name."""
    return {canonicalize_name(found.name): found for line in lines if (found := Requirement(line))}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel and the sdist, built from a copy of what a clone has."""
    copy = tmp_path_factory.mktemp("source")
    for path in tracked():
        target = copy / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    (copy / ".typing").mkdir()
    (copy / ".typing" / "facereel").symlink_to("..", target_is_directory=True)  # as `make lint` leaves it
    out = tmp_path_factory.mktemp("dist")
    for kind in ("wheel", "sdist"):
        build = f"import setuptools.build_meta as backend; backend.build_{kind}({str(out)!r})"
        done = subprocess.run(
            [sys.executable, "-c", build], cwd=copy, capture_output=True, text=True, check=False, timeout=100
        )
        assert done.returncode == 0, done.stderr
    return out


@pytest.fixture(scope="module")
def unpacked(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel's content, as it would lie in site-packages."""
    folder = tmp_path_factory.mktemp("site-packages")
    with zipfile.ZipFile(next(built.glob("*.whl"))) as wheel:
        wheel.extractall(folder)
    return folder


def test_the_list_of_packages_is_that_of_the_folders() -> None:
    folders = {path.parent for room in ROOMS for path in (ROOT / room).rglob("*.py")}
    rooms = {".".join(("facereel", *folder.relative_to(ROOT).parts)) for folder in folders}
    assert set(pyproject()["tool"]["setuptools"]["packages"]) == rooms | {"facereel"}
    assert [str(folder) for folder in folders if not (folder / "__init__.py").is_file()] == []


def test_the_wheel_holds_every_room_and_data_file_and_nothing_else(unpacked: Path) -> None:
    names = {path.relative_to(unpacked).as_posix() for path in unpacked.rglob("*") if path.is_file()}
    tops = {name.split("/")[0] for name in names}
    assert len(tops) == 2
    assert [top for top in tops if not re.fullmatch(r"facereel|facereel-[\d.]+\.dist-info", top)] == []
    inside = [path.relative_to(ROOT) for path in tracked()]
    expected = {f"facereel/{path}" for path in inside if path.parts[0] in ROOMS}
    expected |= {f"facereel/{path}" for path in inside if len(path.parts) == 1 and path.suffix == ".py"}
    assert {name for name in names if name.startswith("facereel/")} == expected | {"facereel/py.typed"}


def test_the_wheel_is_the_whole_program(unpacked: Path, tmp_path: Path) -> None:
    """Each module can be imported from it, outside the checkout."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", IMPORT_ALL],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(unpacked)}, capture_output=True, text=True,
        check=False, timeout=100,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    where, count = done.stdout.split()
    assert Path(where) == unpacked / "facereel" / "__init__.py"
    modules = [path for room in ROOMS for path in (ROOT / room).rglob("*.py")]
    assert int(count) == len(modules) + len(list(ROOT.glob("*.py"))) - 1  # without facereel itself


def test_the_wheel_brings_the_command(built: Path) -> None:
    with zipfile.ZipFile(next(built.glob("*.whl"))) as wheel:
        (entry,) = [name for name in wheel.namelist() if name.endswith("entry_points.txt")]
        assert wheel.read(entry).decode().split("\n")[:2] == [
            "[console_scripts]",
            "facereel = facereel.cli:run",
        ]


def test_the_sdist_holds_the_program_and_no_tests(built: Path) -> None:
    with tarfile.open(next(built.glob("*.tar.gz"))) as sdist:
        names = {"/".join(name.split("/")[1:]) for name in sdist.getnames()} - {""}
    program = {str(path.relative_to(ROOT)) for path in tracked() if path.relative_to(ROOT).parts[0] in ROOMS}
    assert program | {"__init__.py", "cli.py", "py.typed", "LICENSE", "README.md", "CHANGELOG.md"} <= names
    tops = {name.split("/")[0] for name in names}
    assert tops & {"tests", "samples", "outputs", ".typing", ".ci", ".venv"} == set()


def test_the_ranges_in_pyproject_and_requirements_agree() -> None:
    """A checkout has the extra insightface as well."""
    project = pyproject()["project"]
    extra = project["optional-dependencies"]["insightface"]
    assert by_name([*project["dependencies"], *extra]) == requirements(RUN)
    cluster = by_name(project["optional-dependencies"]["cluster"])
    assert cluster.items() <= requirements(DEV).items()


def test_pip_installs_one_opencv() -> None:
    """Two of them write into one folder; opencv-python needs libGL, which servers lack."""
    needed = by_name(pyproject()["project"]["dependencies"])
    assert [name for name in needed if name.startswith("opencv")] == ["opencv-python-headless"]
    pins = {str(requirements(RUN)[name].specifier) for name in ("opencv-python", "opencv-python-headless")}
    assert len(pins) == 1


def test_cli_py_without_the_package_says_what_to_run(tmp_path: Path) -> None:
    """In a Python that has no FaceReel, and in one that has another."""
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    shutil.copy(ROOT / "cli.py", checkout)
    alone = subprocess.run(
        [sys.executable, "-I", "-S", "cli.py", "--version"],
        cwd=checkout, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    other = subprocess.run(
        [sys.executable, "cli.py", "--version"],
        cwd=checkout, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    for done in (alone, other):
        assert done.returncode == 1
        assert done.stdout == ""
        (line,) = done.stderr.splitlines()
        assert line.startswith("error: ")
        assert str(checkout) in line
        assert line.endswith("run in that folder: pip install -r requirements.txt")
    assert str(ROOT) in other.stderr
