"""Where the program lies, and what the fixture `run` is."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from typer.testing import Result

ROOT = Path(__file__).resolve().parent.parent
SAMPLES = ROOT / "samples"
Run = Callable[..., Result]


# What lets root write where permissions forbid it.
OVERRIDE = "-dac_override,-dac_read_search"


def run_bound(*args: str | Path) -> subprocess.CompletedProcess[str]:
    """The command line with the fake engines, in a process that file permissions bind even if root runs it."""
    root = hasattr(os, "geteuid") and os.geteuid() == 0
    bound = ["setpriv", f"--bounding-set={OVERRIDE}", f"--inh-caps={OVERRIDE}"] if root else []
    words = [*bound, sys.executable, "-m", "tests.fake_cli", *(str(arg) for arg in args)]
    return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False, timeout=100)
