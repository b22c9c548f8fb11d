"""What indexing tells of its work: for people, for scripts, and as a file."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from facereel.query.terminal.console import say, warn
from facereel.query.text import clock, count
from facereel.store.files.folders import atomic_file, printable
from facereel.store.model.errors import UnwritableError


def indexed_json(path: Path, figures: Mapping[str, Any]) -> dict[str, Any]:
    """What came of a video, for scripts; `figures` as indexer.batch.Indexed has them."""
    told = {
        **figures,
        "video": str(path),
        "folder": str(figures["folder"]),
        "warnings": list(figures["warnings"]),
    }
    seconds = max(told["seconds"], 1e-9)
    return {
        "video": told.pop("video"), "state": "skipped" if told.pop("skipped") else "indexed", **told,
        "frames_per_second": round(told["frames"] / seconds, 1),
        "times_real_time": round(told["duration"] / seconds, 2),
    }  # fmt: skip


def indexed(path: Path, figures: Mapping[str, Any]) -> None:
    """The same for people."""
    name, told = printable(path.name), indexed_json(path, figures)
    if told["state"] == "skipped":
        say(f"{name}: {figures['skipped']}")
    else:
        speed = f"{told['frames_per_second']:.0f} frames/s, {told['times_real_time']:.1f} times real time"
        say(f"{name}: {clock(told['duration'])} indexed in {told['seconds']:.1f} s ({speed})")
    things = [
        ("frames", "frame", ""), ("shots", "shot", ""), ("faces", "face", ""), ("tracklets", "tracklet", ""),
        ("clusters", "person", "people"),
    ]  # fmt: skip
    say("  " + ", ".join(count(told[key], one, many) for key, one, many in things))
    losses = {key: told[f"frames_{key}"] for key in ("skipped", "damaged", "concealed", "missing")}
    if any(losses.values()):
        say("  lost: " + ", ".join(f"{number:,} {key}" for key, number in losses.items() if number))
    lost(path, told["warnings"])


def check_report(target: Path) -> None:
    """Raise UnwritableError where a report could not be written; worth asking before hours of work."""
    if target.is_dir() or not target.absolute().parent.is_dir():
        raise UnwritableError(
            f"--report {printable(target)} cannot be written; name a file in a folder that is there"
        )


def write_report(target: Path, told: Mapping[str, Any]) -> None:
    """What came of each video as a JSON file, whole or as it was before."""
    try:
        with atomic_file(target) as unfinished:
            unfinished.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise UnwritableError(f"--report {printable(target)} cannot be written: {error.strerror}") from error


def lost(path: Path, warnings: Iterable[str]) -> None:
    """What could not be read of a video."""
    for warning in warnings:
        warn(f"{printable(path.name)}: {warning}")


def what_next(store: Path, standard: Path) -> None:
    """The command to go on with after indexing."""
    option = "" if store == standard else f" --store {shlex.quote(printable(store))}"
    say(f"next: python cli.py query PHOTO{option}    or see who is there: python cli.py faces VIDEO{option}")
