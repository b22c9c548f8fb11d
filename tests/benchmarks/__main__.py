"""python -m tests.benchmarks [PART ...] [--only NAME] [--engine NAME [--calibration FILE]] [--full]
    [--base FOLDER] [--rounds N] [--json FILE]

Tables on stdout, progress on stderr, exit 1 when a promised figure is missed. $FACEREEL_MEDIA names the
folder with the hand-checked footage and photos of known people; without it samples/people play all parts.
TransNetV2 is measured too where its weights are installed.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.benchmarks.figures import Figure
from tests.benchmarks.parts import BY_ENGINE, LONG, PARTS
from tests.benchmarks.run_facereel import engine_words
from tests.benchmarks.speed import Extent, speed

PACKAGES = ("av", "numpy", "onnxruntime", "opencv-python", "scenedetect", "faiss-cpu", "trackers")


def main() -> int:
    """Run the chosen parts and print what they measured; 1 when a figure misses its target."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks", description="Measure what is promised."
    )
    names = ", ".join(("speed", *PARTS))
    parser.add_argument(
        "parts",
        nargs="*",
        metavar="PART",
        help=f"any of {names}; all but {', '.join(LONG)} when none is named",
    )
    parser.add_argument(
        "--full",
        action="store_true",
        help="speed: all footage, every size and scene, 30 s each; scan and soak, too",
    )
    parser.add_argument("--long", action="store_true", help="speed: memory for half an hour of video, too")
    parser.add_argument("--only", default="", help="only scenarios and videos whose name holds this")
    parser.add_argument(
        "--engine", help=f"measure this engine, by name or folder; for {', '.join(BY_ENGINE)}"
    )
    parser.add_argument("--calibration", type=Path, help="that engine's bar by this file")
    parser.add_argument(
        "--base",
        type=Path,
        help="speed: index the footage by the checkout there, too; its environment is in .venv",
    )
    parser.add_argument("--rounds", type=int, default=0, help="speed: measure each so many times")
    parser.add_argument("--json", type=Path, help="also write the figures and every row here")
    chosen = parser.parse_args()
    extent = Extent(chosen.full, chosen.long, chosen.rounds, chosen.base)
    parts = {"speed": partial(speed, extent=extent)} | PARTS
    if unknown := [part for part in chosen.parts if part not in parts]:
        parser.error(f"no part is called {unknown[0]!r}; known: {names}")
    usual = [part for part in parts if part not in LONG or chosen.full]
    chosen_parts = chosen.parts or (BY_ENGINE if chosen.engine else usual)
    if chosen.engine and (unfit := [part for part in chosen_parts if part not in BY_ENGINE]):
        parser.error(f"{unfit[0]} takes no --engine; those that do: {', '.join(BY_ENGINE)}")
    extra = (engine_words(chosen.engine, chosen.calibration),) if chosen.engine else ()
    console = Console(width=None if sys.stdout.isatty() else 140)
    results: dict[str, Any] = {"machine": machine()}
    figures: list[Figure] = []
    for part in chosen_parts:
        for title, rows, judged in parts[part](chosen.only, *extra):
            _print(console, title, rows, judged)
            figures += judged
            results[title] = {"rows": rows, "figures": [_figure_row(f) for f in judged]}
    if chosen.json:
        chosen.json.write_text(json.dumps(results, indent=1))
    return int(any(f.passed is False for f in figures))


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    packages = {}
    for name in PACKAGES:
        try:
            packages[name] = version(name)
        except PackageNotFoundError:
            packages[name] = "not installed"
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
        "packages": packages,
    }


def _print(console: Console, title: str, rows: list[dict[str, Any]], figures: list[Figure]) -> None:
    if rows:
        table = Table(*rows[0], title=title)
        for row in rows:
            table.add_row(*(_cell(value) for value in row.values()))
        console.print(table)
    if figures:
        table = Table("figure", "value", "target", "", title=f"{title}: what must be seen")
        for f in figures:
            table.add_row(
                f.what, _cell(f.value), f.target, {True: "pass", False: "FAIL", None: "-"}[f.passed]
            )
        console.print(table)


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _figure_row(figure: Figure) -> dict[str, Any]:
    return {"what": figure.what, "value": figure.value, "target": figure.target, "passed": figure.passed}


if __name__ == "__main__":
    sys.exit(main())
