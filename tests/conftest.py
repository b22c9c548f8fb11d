"""Fixtures that several test files share: a fake engine by name, small films, indexes made once a session."""

from __future__ import annotations

import gc
import json
import logging
import os
import shutil
from collections.abc import Generator, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from typer.main import get_command
from typer.testing import CliRunner, Result

from facereel import cli
from facereel.indexer.engines.registry import LOADERS
from facereel.store.files.folders import index_folders
from facereel.store.library.catalogue import Catalogue
from tests.fake_cli import add_fake_engines
from tests.fake_engine import film_of_two, write_photo
from tests.program import ROOT, SAMPLES, Run


class _RootIsNoTestPackage:
    """The root is the package facereel; pytest would import it a second time, under the folder's name."""

    @staticmethod
    def pytest_collect_directory(path: Path, parent: pytest.Collector) -> pytest.Collector | None:
        return pytest.Dir.from_parent(parent, path=path) if path == ROOT else None


class _NoGarbageInCollection:
    """Thousands of tests and the modules they import live until the end.

    The garbage collector went through all of them again and again: half of the time of finding the tests, and
    a third of a second each time later.
    """

    @staticmethod
    @pytest.hookimpl(wrapper=True)
    def pytest_collection() -> Generator[None, object, object]:
        gc.disable()
        try:
            return (yield)
        finally:
            gc.freeze()
            gc.enable()


def pytest_configure(config: pytest.Config) -> None:
    """Hooks of a conftest are not asked about folders above it; those of a plugin are."""
    config.pluginmanager.register(_RootIsNoTestPackage())
    config.pluginmanager.register(_NoGarbageInCollection())


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Slow tests first: one that begins last would keep one of pytest's workers busy while the others wait."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


@pytest.fixture(autouse=True)
def no_logged_errors(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """A test fails when anything logs an error, ours or a library, though its results look right."""
    yield
    records = [record for when in ("setup", "call") for record in caplog.get_records(when)]
    assert [record.getMessage() for record in records if record.levelno >= logging.ERROR] == []


@pytest.fixture(scope="session", autouse=True)
def fake_engines() -> Iterator[None]:
    """Engines `fake`, `fake-other` (another one) and `fake-new` (the first with other weights)."""
    add_fake_engines()
    yield
    for name in ("fake", "fake-other", "fake-new"):
        del LOADERS[name]


@pytest.fixture(scope="session")
def run() -> Iterator[Run]:
    """Run a command line; what our code lets through as an exception is raised."""
    # Typer would build all commands anew for each one that is run, which takes longer than most of them.
    patch = pytest.MonkeyPatch()
    patch.setattr("typer.testing._get_command", cache(get_command))

    def invoke(*args: str | Path) -> Result:
        return CliRunner().invoke(
            cli.app, [str(arg) for arg in args], catch_exceptions=False, prog_name="facereel"
        )

    yield invoke
    patch.undo()


@pytest.fixture(scope="session")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three shots of 1.2 s at 25 fps, 320x180, with silent sound: red; red and green; nobody."""
    return film_of_two(tmp_path_factory.mktemp("film") / "two.mp4")


@pytest.fixture(scope="session")
def film_store(film: Path, run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with the index of `film`, made by the engine `fake`; not to be changed."""
    store = tmp_path_factory.mktemp("film_store") / "store"
    assert run("index", film, "--store", store, "--engine", "fake").exit_code == 0
    return store


@pytest.fixture
def store(film_store: Path, tmp_path: Path) -> Path:
    """A copy of `film_store` for tests that change it."""
    copy = Path(shutil.copytree(film_store, tmp_path / "faceindex"))
    # So that only tests change the library: to it a copied index is another one.
    Catalogue(copy).refresh(index_folders(copy))
    Catalogue(copy).refresh()
    return copy


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder with `red.png`, `green.png`, `blue.png` (who is in no film), `both.png`, `nobody.png`."""
    folder = tmp_path / "photos"
    for person in ("red", "green", "blue"):
        write_photo(folder / f"{person}.png", person)
    write_photo(folder / "both.png", "green", "red")
    write_photo(folder / "nobody.png")
    return folder


@pytest.fixture(scope="session")
def sample_store(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with the index of the sample film, made by the default engine; not to be changed."""
    base = tmp_path_factory.getbasetemp()
    # Made by the first of pytest's workers that needs it, for all of them: their folders lie in one.
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "sample_store"
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            unfinished = tmp_path_factory.mktemp("unfinished") / "store"
            result = run("index", SAMPLES / "sample.mp4", "--store", unfinished)
            assert result.exit_code == 0, result.output
            unfinished.rename(folder)
    return folder


@pytest.fixture(scope="session")
def sample_truth() -> dict[str, Any]:
    """Who is where in each frame of the sample film."""
    truth: dict[str, Any] = json.loads((SAMPLES / "sample.truth.json").read_text())
    return truth
