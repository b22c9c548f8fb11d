"""What the commands about engines tell: which there are, how one was calibrated, what was recognised anew."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facereel.query.terminal.console import say, table, warn
from facereel.query.text import count
from facereel.store.files.folders import printable

if TYPE_CHECKING:
    from facereel.query.people.calibration import Calibration
    from facereel.query.records import PersonQuery


def engines(known: Sequence[dict[str, Any]]) -> None:
    """All engines."""
    shown_as = {
        "engine": "engine", "licence": "licence", "state": "state", "vector_length": "vector length",
        "threshold": "threshold",
        "threshold_source": "measured on", "search_ms": "search 640x360, ms", "embed_ms": "embed a face, ms",
    }  # fmt: skip
    keys = [key for key in shown_as if any(key in row for row in known)]
    table(
        [shown_as[key] for key in keys],
        [["" if row.get(key) is None else row[key] for key in keys] for row in known],
    )


def calibration(measured: Calibration, files: Sequence[Path], store: Path) -> None:
    """Thresholds by their rate of false matches, and how to use them."""
    say(f"{measured.engine.name}: {measured.photos} photos of {measured.people} people, "
        f"{len(measured.same):,} pairs of one person, {len(measured.different):,} of two")  # fmt: skip
    rows = [
        (f"{point.rate:g}",)
        + (("too few pairs", "") if point.threshold is None else (point.threshold, point.true_match_rate))
        for point in measured.points
    ]
    table(("false matches", "threshold", "true matches"), rows)
    for file in files:
        say(printable(str(file)))
    say(f"the threshold for films is {measured.threshold:.2f} with --calibration {shlex.quote(printable(files[0]))}, "
        f"or always once that file lies in {printable(store)}")  # fmt: skip


def reembedded(told: Mapping[str, Any]) -> None:
    """What became of one index; `told` as indexer.reembed.Reembedded has it."""
    name, looks = printable(told["video"]), count(told["looks"], "look")
    if told["skipped"]:
        say(f"{name}: recognised by {told['engine']} already ({looks})")
    else:
        say(f"{name}: {looks} recognised anew by {told['engine']}, until now by {told['before']}; "
            f"{count(told['people'], 'person', 'people')}, {told['people_before']:,} before")  # fmt: skip


def photos_left_out(people: Sequence[PersonQuery]) -> None:
    """Photos that could not be used, or seem to show somebody else."""
    for asked in people:
        for warning in asked.warnings:
            warn(printable(warning))
