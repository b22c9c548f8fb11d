"""The engines command, and what index and query say of engines and devices."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from facereel.indexer.engines import packs
from facereel.indexer.engines import status as engines
from facereel.indexer.engines.packs import PACKS
from facereel.indexer.engines.registry import DEFAULT_ENGINE
from facereel.indexer.engines.weights import cache_folder
from tests.insightface_pack import build_pack
from tests.program import Run


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home without packs, and no way to fetch one; models that are converted already are taken from ours."""
    monkeypatch.setenv("FACEREEL_CACHE", str(cache_folder()))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(packs, "fetch", lambda name: pytest.fail("fetched unasked"))
    return tmp_path / "home" / ".insightface" / "models"


def test_each_engine_is_listed_with_licence_state_and_bar(run: Run) -> None:
    known = {row["engine"]: row for row in json.loads(run("engines", "--json").stdout)["engines"]}
    assert {DEFAULT_ENGINE, *PACKS} <= known.keys()
    assert known[DEFAULT_ENGINE]["state"] == "ready"
    assert known[DEFAULT_ENGINE]["threshold"] == 0.44
    assert "13 films" in known[DEFAULT_ENGINE]["threshold_source"]
    assert known["buffalo_l"]["state"] == "not here: engines --get buffalo_l"
    assert known["buffalo_l"]["licence"] == "non-commercial research only"
    assert "search_ms" not in known[DEFAULT_ENGINE]
    text = run("engines").stdout
    assert "0.44" in text
    assert "buffalo_l" in text


def test_a_pack_that_is_here_is_ready_and_its_speed_is_measured(
    run: Run, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build_pack(home / "buffalo_s")
    monkeypatch.setattr(engines, "RUNS", 1)
    monkeypatch.setattr(engines, "CROPS", 1)
    known = {row["engine"]: row for row in json.loads(run("engines", "--json", "--speed").stdout)["engines"]}
    assert (known["buffalo_s"]["state"], known["buffalo_s"]["vector_length"]) == ("ready", 128)
    assert known["buffalo_s"]["search_ms"] > 0
    assert known["buffalo_s"]["embed_ms"] > 0


def test_nothing_is_fetched_where_nobody_can_agree(run: Run, film: Path, tmp_path: Path) -> None:
    result = run("engines", "--get", "buffalo_l")
    assert result.exit_code == 1
    assert "non-commercial research" in result.stderr
    assert "facereel engines --get buffalo_l --yes" in result.stderr
    result = run("index", film, "--engine", "buffalo_l", "--store", tmp_path / "s")
    assert result.exit_code == 1
    assert "facereel engines --get buffalo_l" in result.stderr
    assert not (tmp_path / "s").exists()


def test_it_is_fetched_once_the_licence_was_shown_and_agreed_to(
    run: Run, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packs, "fetch", lambda name: build_pack(home / name))
    result = run("engines", "--get", "buffalo_s", "--yes")
    assert result.exit_code == 0
    assert "non-commercial research" in result.stderr
    assert str(home / "buffalo_s") in result.stdout


@pytest.mark.parametrize(("answer", "code"), [("y", 0), ("n", 1)])
def test_on_a_terminal_the_first_use_asks(
    run: Run, home: Path, film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str, code: int
) -> None:
    asked: list[str] = []

    def confirm(text: str, err: bool) -> bool:
        asked.append(text)
        return answer == "y"

    monkeypatch.setattr(packs, "fetch", lambda name: build_pack(home / name))
    monkeypatch.setattr("facereel.cli._can_ask", lambda: True)
    monkeypatch.setattr("typer.confirm", confirm)
    result = run("index", film, "--engine", "buffalo_sc", "--store", tmp_path / "s")
    assert result.exit_code == code
    assert asked == ["Download buffalo_sc for such use?"]
    assert "non-commercial research" in result.stderr


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--device", "cuda"), "pip install onnxruntime-gpu"),
        (("--device", "abacus"), "auto, cpu, cuda, coreml"),
        (("--shots", "guess"), "adaptive, content, transnetv2"),
        (("--shots", "transnetv2", "--shots-model", "none.onnx"), "none.onnx is not there"),
        (("--calibration", "nowhere.json"), "nowhere.json is no calibration"),
        (("--engine", "samples"), "samples holds no ONNX file"),
    ],
)
def test_what_cannot_be_used_is_one_line(
    run: Run, film: Path, tmp_path: Path, options: tuple[str, ...], said: str
) -> None:
    result = run("index", film, "--store", tmp_path / "s", *options)
    assert result.exit_code == 1
    assert said in result.stderr
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "s").exists()


def test_threads_beyond_the_cores_are_said(run: Run, film: Path, tmp_path: Path) -> None:
    result = run("index", film, "--store", tmp_path / "s", "--engine", "fake", "--threads", "999")
    assert result.exit_code == 0
    assert "--threads 999: there are " in result.stderr
