"""The benchmark counts all that the program does, and names what only one of two scans finds."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from tests.benchmarks.run_facereel import Answer
from tests.benchmarks.scan_modes import difference, missing_faces
from tests.benchmarks.speed_films import in_set
from tests.benchmarks.stopwatch import Cost, Counter, Stages, cpu_ratio, measured_in_turn, wall_ratio

# A program whose work is done by a grandchild that outlives it, as the server that starts workers does.
ORPHAN = """
import subprocess, sys, time
work = "import time; start = time.process_time()\\nwhile time.process_time() - start < 0.4: pass"
subprocess.Popen([sys.executable, "-c", work])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="processes are read from /proc")
def test_processor_time_of_a_process_that_outlives_its_parent_counts(tmp_path: Path) -> None:
    from tests.benchmarks.processes import watch

    watched = watch((sys.executable, "-c", ORPHAN), 60, lambda: 0, tmp_path)
    assert watched.cost.cpu >= 0.4


def test_stages_count_what_functions_are_given_and_leave_them_as_they_were() -> None:
    before = Stages.timed
    stages, place = Stages(), "tests.benchmarks.stopwatch:Stages.timed"
    with stages.watching({place: "wrap"}, {place: Counter("letters", lambda own, stage, *rest: len(stage))}):
        for word in ("one", "three"):
            Stages().timed(word, len, None)
    assert stages.counts == {"letters": 8}
    assert set(stages.seconds) == {"wrap"}
    assert Stages.timed is before


def test_ratios_are_medians_of_rounds_and_not_ratios_of_medians() -> None:
    own, other = iter([Cost(2, 2), Cost(2, 4), Cost(9, 9)]), iter([Cost(1, 1), Cost(2, 4), Cost(3, 3)])
    costs = measured_in_turn(3, {"own": lambda: next(own), "other": lambda: next(other)})
    assert wall_ratio(costs["own"], costs["other"]) == 2
    assert cpu_ratio(costs["own"], costs["other"]) == 2


def clip(start: int, end: int) -> dict[str, Any]:
    """A clip whose box stays where it is."""
    return {
        "start_frame": start, "end_frame": end, "similarity": 0.7, "matched": "photo",
        "start_reason": "scene_cut", "end_reason": "left_frame",
        "frames": [{"frame": frame, "box": [10.0, 20.0, 30.0, 40.0]} for frame in range(start, end)],
    }  # fmt: skip


def answer(*clips: dict[str, Any]) -> Answer:
    """What the program says of one person."""
    tracklets = {
        number: {frame["frame"]: frame["box"] for frame in one["frames"]} for number, one in enumerate(clips)
    }
    return Answer({"ann": {"clips": list(clips)}}, [0], tracklets, {})


def test_a_clip_that_one_scan_has_alone_or_otherwise_is_named_with_frames_and_box() -> None:
    off = difference(answer(clip(0, 20), clip(30, 50)), answer(clip(0, 8), clip(9, 20), clip(60, 70)), "ann")
    rows = {(row["scan"], row["frames"]): row for row in off.rows}
    # Of the two that lie in one clip of the default scan the first takes it.
    assert set(rows) == {("every", "0-8"), ("every", "9-20"), ("every", "60-70"), ("default", "30-50")}
    assert off.unpaired == 3
    assert [rows["every", frames]["the other's"] for frames in ("0-8", "9-20")] == ["0-20", None]
    assert [rows["every", "9-20"][what] for what in ("face followed", "in its clips")] == [1, 1]
    assert [rows["every", "60-70"][what] for what in ("face followed", "in its clips")] == [0, 0]
    assert (rows["default", "30-50"]["at"], rows["default", "30-50"]["box"]) == (40, "10 20 30 40")


def test_faces_that_the_other_scan_lacks_are_counted_by_frame_and_place() -> None:
    here, elsewhere = [0.0, 0.0, 10.0, 10.0], [50.0, 0.0, 10.0, 10.0]
    assert missing_faces({1: [here, elsewhere], 2: [here]}, {1: [here], 3: [here]}) == pytest.approx(2 / 3)
    assert missing_faces({}, {1: [here]}) is None


def test_the_real_set_is_all_footage_where_that_is_other_than_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACEREEL_MEDIA", str(tmp_path))
    (tmp_path / "wedding.mp4").touch()
    assert [video.stem for video in in_set()] == ["wedding"]
    (tmp_path / "sitcom.mp4").touch()
    assert [video.stem for video in in_set()] == ["sitcom"]
    assert in_set("wedding") == []
