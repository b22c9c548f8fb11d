"""Where the program lies, and what the fixture `run` is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from typer.testing import Result

ROOT = Path(__file__).resolve().parent.parent
SAMPLES = ROOT / "samples"
Run = Callable[..., Result]
