"""What a part of the benchmark yields, and where it says how far it is."""

from __future__ import annotations

import sys
from typing import Any, TypeAlias

from tests.benchmarks.figures import Figure

Report: TypeAlias = tuple[str, list[dict[str, Any]], list[Figure]]  # title, rows of the table, figures
Words: TypeAlias = tuple[str, ...]  # options of the command line that choose an engine


def say(text: str) -> None:
    """A line of progress."""
    print(text, file=sys.stderr, flush=True)
