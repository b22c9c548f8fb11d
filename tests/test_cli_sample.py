"""The sample film by the default engine, held against its truth; and what a start of the program costs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import av
import pytest

from tests.program import SAMPLES, Run

CLI = Path(__file__).parent.parent / "cli.py"
Box = list[float]


def iou(one: Box, other: Box) -> float:
    """Overlap of two boxes x y w h."""
    across = min(one[0] + one[2], other[0] + other[2]) - max(one[0], other[0])
    down = min(one[1] + one[3], other[1] + other[3]) - max(one[1], other[1])
    shared = max(0.0, across) * max(0.0, down)
    return shared / (one[2] * one[3] + other[2] * other[3] - shared)


def spans(clip: dict[str, Any], start: int, end: int) -> bool:
    """Does a clip reach over the frames [start, end)?"""
    return bool(clip["start_frame"] < start and end < clip["end_frame"])


@pytest.mark.parametrize("person", ["collins", "hopper", "obama", "biden"])
def test_everybody_in_the_sample_is_found(
    run: Run, sample_store: Path, sample_truth: dict[str, Any], person: str
) -> None:
    photos = [SAMPLES / name for name in sample_truth["people"][person]["references"]]
    clips = json.loads(run("query", *photos, "--store", sample_store, "--dry-run", "--json").stdout)[
        "results"
    ][0]["clips"]
    truth = sample_truth["people"][person]
    where: dict[int, Box] = {int(frame): box for frame, box in truth["frames"].items()}
    may = {frame for start, end in truth["may"] for frame in range(start, end)}
    right = {
        frame["frame"] for clip in clips for frame in clip["frames"]
        if frame["frame"] in where and iou(frame["box"], where[frame["frame"]]) >= 0.4
    }  # fmt: skip
    wrong = {frame["frame"] for clip in clips for frame in clip["frames"]} - right - may
    must = set(where) - may
    assert wrong == set()
    assert len(right & must) / len(must) >= 0.95
    # A cut inside `may` is the middle of a dissolve, which is no frame to be exact about.
    cuts = set(sample_truth["shots"]) - may
    assert not [clip for clip in clips for cut in cuts if spans(clip, cut, cut)]
    assert not [clip for clip in clips for start, end in truth["hidden"] if spans(clip, start, end)]


def test_the_samples_that_no_query_can_use(run: Run, sample_store: Path) -> None:
    none = run("query", SAMPLES / "no_face.jpg", "--store", sample_store, "--dry-run")
    assert (none.exit_code, none.stderr.startswith("error: no face found in ")) == (1, True)
    two = run("query", SAMPLES / "two_faces.jpg", "--store", sample_store, "--dry-run")
    assert two.exit_code == 0
    assert "has 2 faces" in two.stderr


def test_clips_are_written_and_printed_by_a_real_process(sample_store: Path, tmp_path: Path) -> None:
    photo = SAMPLES / "people" / "biden" / "biden.jpg"
    command = [sys.executable, str(CLI), "query", str(photo), "--store", str(sample_store), "--size", "128"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True, timeout=120)
    assert done.stderr == ""
    assert done.stdout.splitlines()[-2].endswith(f"of 1 video: {Path('outputs/biden')}")
    document = json.loads((tmp_path / "outputs" / "biden" / "metadata.json").read_text())
    for clip in document["clips"]:
        with av.open(str(tmp_path / "outputs" / "biden" / clip["file"])) as container:
            assert sum(1 for _ in container.decode(video=0)) == len(clip["frames"])


def test_who_stops_reading_does_not_stop_the_cutting(sample_store: Path, tmp_path: Path) -> None:
    photo = SAMPLES / "people" / "biden" / "biden.jpg"
    command = [sys.executable, str(CLI), "query", str(photo), "--store", str(sample_store), "--size", "128"]
    with subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert (process.stderr.read(), process.wait(120)) == ("", 0)
    assert (tmp_path / "outputs" / "biden" / "metadata.json").is_file()


def imported(*args: str | Path) -> set[str]:
    """Top-level names of what a run of the program imports."""
    command = [sys.executable, "-X", "importtime", str(CLI), *map(str, args)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    lines = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    return {line.rpartition("|")[2].strip().partition(".")[0] for line in lines}


def test_help_imports_nothing_heavy() -> None:
    heavy = {
        "numpy",
        "cv2",
        "onnxruntime",
        "faiss",
        "av",
        "scipy",
        "scenedetect",
        "sqlite_utils",
        "PIL",
        "rich",
    }
    assert not heavy & imported("--help")


def test_a_query_imports_only_what_it_needs(sample_store: Path) -> None:
    photo = SAMPLES / "people" / "biden" / "biden.jpg"
    loaded = imported("query", photo, "--store", sample_store, "--dry-run")
    assert "onnxruntime" in loaded
    assert not {"av", "scipy", "scenedetect", "sqlite_utils", "onnx", "rich"} & loaded
