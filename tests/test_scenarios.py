"""The benchmark's own measure: scoring on small hand-made cases, and truth of a scene drawn here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from tests.benchmarks import identity
from tests.benchmarks.encode import write_video
from tests.benchmarks.paths import along, hold, passing
from tests.benchmarks.portraits import Portrait
from tests.benchmarks.render import Event, Join, Layer, Scene, Take, frames_of
from tests.benchmarks.scoring import iou, score_clips, spans_change
from tests.benchmarks.scoring_shots import score_shots
from tests.benchmarks.scoring_tracks import score_tracks
from tests.benchmarks.speed_stages import COUNTERS, ORDER, STAGES
from tests.benchmarks.stage import thing
from tests.benchmarks.stopwatch import Stages
from tests.benchmarks.truth import describe

A, B = [10.0, 10, 40, 50], [200.0, 10, 40, 50]


def truth_of(**changed: Any) -> dict[str, Any]:
    """Twenty frames, a cut at 10; ann is there but hidden in [4, 6), bob beside her after the cut."""
    ann = [f for f in range(20) if f not in (4, 5)]
    truth: dict[str, Any] = {
        "frames": 20, "width": 320, "height": 180, "shots": [0, 10], "unsure_cuts": [], "ghost_frames": [],
        "changes": [["cut", 10, 10]], "events": [],
        "people": {
            "ann": {
                "frames": {str(f): A for f in ann}, "may": [], "hidden": [[4, 6]],
                "seen": {str(f): [*A, 1.0 if f in ann else 0.0] for f in range(20)},
                "stretches": [
                    {"frames": [0, 4], "start": ["video_start", 0, 0], "end": ["occlusion", 3, 4]},
                    {"frames": [6, 10], "start": ["occlusion", 6, 6], "end": ["cut", 10, 10]},
                    {"frames": [10, 20], "start": ["cut", 10, 10], "end": ["video_end", 20, 20]},
                ],
            },
            "bob": {
                "frames": {str(f): B for f in range(10, 20)}, "may": [], "hidden": [],
                "seen": {str(f): [*B, 1.0] for f in range(10, 20)},
                "stretches": [{"frames": [10, 20], "start": ["cut", 10, 10], "end": ["video_end", 20, 20]}],
            },
        },
    }  # fmt: skip
    return truth | changed


def clip(start: int, end: int, box: list[float] = A) -> dict[str, Any]:
    """A clip whose box stays where it is."""
    return {
        "start_frame": start,
        "end_frame": end,
        "frames": [{"frame": f, "box": box} for f in range(start, end)],
    }


def test_perfect_clips_score_perfectly() -> None:
    score = score_clips(truth_of(), "ann", [clip(0, 4), clip(6, 10), clip(10, 20)])
    assert (score.recall, score.wrong, score.cuts, score.hidden, score.clips) == (1.0, [], 0, 0, 3)
    assert score.must == 18
    assert all(off == 0 for _, off in score.edges)
    assert min(score.ious) > 0.99


def test_one_long_clip_spans_cut_and_occlusion_and_is_wrong_while_hidden() -> None:
    score = score_clips(truth_of(), "ann", [clip(0, 20)])
    assert (score.cuts, score.hidden, score.hidden_one) == (1, 1, 0)
    assert score.wrong == [4, 5]
    assert score.recall == 1.0


def test_occlusion_of_one_frame_is_counted_apart() -> None:
    truth = truth_of()
    truth["people"]["ann"]["hidden"] = [[4, 5]]
    score = score_clips(truth, "ann", [clip(0, 9)])
    assert (score.hidden, score.hidden_one) == (0, 1)


def test_clip_that_only_touches_an_occlusion_does_not_span_it() -> None:
    assert score_clips(truth_of(), "ann", [clip(0, 6)]).hidden == 0
    assert score_clips(truth_of(), "ann", [clip(4, 9)]).hidden == 0


def test_box_on_somebody_else_is_wrong_and_finds_nothing() -> None:
    score = score_clips(truth_of(), "ann", [clip(10, 20, B)])
    assert len(score.wrong) == 10
    assert score.hits == 0


def test_may_frames_are_neither_asked_for_nor_wrong_unless_on_somebody_else() -> None:
    truth = truth_of()
    truth["people"]["ann"]["may"] = [[15, 20]]
    assert score_clips(truth, "ann", [clip(10, 15)]).must == 13
    nowhere = [100.0, 100, 20, 20]
    assert score_clips(truth, "ann", [clip(15, 20, nowhere)]).wrong == []
    assert score_clips(truth, "ann", [clip(15, 20, B)]).wrong == [15, 16, 17, 18, 19]


def test_edges_are_signed_and_windows_forgive() -> None:
    score = score_clips(truth_of(), "ann", [clip(0, 3), clip(7, 10), clip(12, 19)])
    assert score.edges == [
        ("video_start", 0), ("occlusion", 0), ("occlusion", 1), ("cut", 0), ("cut", 2), ("video_end", -1)
    ]  # fmt: skip


def test_box_outside_the_picture_is_clipped_when_the_size_is_known() -> None:
    truth = truth_of()
    truth["people"]["ann"]["frames"] = {"0": [-30.0, 10, 60, 50]}
    score = score_clips(truth, "ann", [clip(0, 1, [0.0, 10, 30, 50])])
    assert score.ious == pytest.approx([1.0])


def test_gradual_changes_are_spanned_only_beyond_the_slack() -> None:
    truth = truth_of(changes=[["dissolve", 8, 12]])
    assert not spans_change(truth, 0, 14)
    assert spans_change(truth, 0, 15)
    assert not spans_change(truth, 6, 20)
    assert spans_change(truth, 5, 20)


def test_ghost_frames_mean_what_they_mean_to_the_checked_truth() -> None:
    truth = truth_of(ghost_frames=[9], unsure_cuts=[])
    del truth["changes"]
    assert not spans_change(truth, 0, 10)
    assert not spans_change(truth, 9, 20)
    assert spans_change(truth, 0, 11)
    assert not spans_change(truth_of(unsure_cuts=[10], changes=[]), 0, 20)


def test_partial_occlusion_splits_when_no_clip_covers_it() -> None:
    truth = truth_of(events=[["partial", 12, 16]])
    whole = score_clips(truth, "ann", [clip(10, 20)])
    broken = score_clips(truth, "ann", [clip(10, 14), clip(14, 20)])
    assert (whole.partials, whole.partial_splits) == (1, 0)
    assert (broken.partials, broken.partial_splits) == (1, 1)


def test_iou_of_known_boxes() -> None:
    assert iou([0, 0, 2, 2], [1, 0, 2, 2]) == pytest.approx(1 / 3)
    assert iou([0, 0, 2, 2], [5, 5, 2, 2]) == 0


def test_shots_hard_cut_must_be_met_to_the_frame() -> None:
    assert score_shots(truth_of(), [0, 10]).recall("cut") == 1.0
    late = score_shots(truth_of(), [0, 11])
    assert (late.recall("cut"), late.precision, late.surplus) == (0.0, 0.0, [11])


def test_shots_gradual_change_needs_one_boundary_inside() -> None:
    truth = truth_of(changes=[["dissolve", 6, 12]])
    assert score_shots(truth, [0, 9]).recall("dissolve") == 1.0
    assert score_shots(truth, [0, 14]).recall("dissolve") == 1.0
    assert score_shots(truth, [0, 15]).recall("dissolve") == 0.0
    assert score_shots(truth, [0, 7, 11]).surplus == [11]


def test_shots_event_taken_for_a_change_is_counted() -> None:
    score = score_shots(truth_of(events=[["flash", 4, 6], ["pan", 14, 18]]), [0, 5, 10])
    assert score.fooled == {"flash": 1, "pan": 0}
    assert score.precision == 0.5


def tracks_of(*pieces: tuple[int, int, list[float]]) -> dict[int, dict[int, list[float]]]:
    """Tracklets numbered from 1, each [start, end) with a box that stays."""
    return {i + 1: dict.fromkeys(range(a, b), box) for i, (a, b, box) in enumerate(pieces)}


def test_perfect_tracks_score_perfectly() -> None:
    score = score_tracks(truth_of(), tracks_of((0, 4, A), (6, 10, A), (10, 20, A), (10, 20, B)))
    assert (score.purity, score.fragmentation, score.stray) == (1.0, 1.0, 0)
    library = score.library()
    assert library["HOTA"] == pytest.approx(1.0, abs=1e-6)
    assert library["IDF1"] == pytest.approx(1.0)
    assert library["IDSW"] == 0


def test_two_people_in_one_tracklet_cost_purity_and_an_identity_switch() -> None:
    swapped = {
        1: {f: (A if f < 15 else B) for f in range(10, 20)},
        2: {f: (B if f < 15 else A) for f in range(10, 20)},
    }
    score = score_tracks(truth_of(), swapped)
    assert score.purity == 0.5
    assert score.library()["IDSW"] == 2


def test_broken_track_is_fragmented_but_pure() -> None:
    score = score_tracks(truth_of(), tracks_of((10, 14, A), (14, 20, A), (10, 20, B)))
    assert (score.purity, score.fragmentation) == (1.0, 1.5)


def test_equals_the_checked_truths_own_scorer() -> None:
    """Recall, wrong, cuts and hidden on random clips, against a reading of that scorer's lines kept here."""
    rng = np.random.default_rng(3)
    truth = truth_of(ghost_frames=[9])
    del truth["changes"], truth["width"], truth["height"]
    truth["people"]["ann"]["may"] = [[13, 15]]
    for _ in range(50):
        start, length = int(rng.integers(0, 18)), int(rng.integers(1, 12))
        where = [float(rng.choice([10, 25, 60, 200])), 10.0, 40.0, 50.0]
        clips = [clip(start, min(20, start + length), where)]
        score = score_clips(truth, "ann", clips)
        assert (score.hits, len(score.wrong), score.cuts, score.hidden) == checked(truth, clips[0])


def checked(truth: dict[str, Any], one: dict[str, Any]) -> tuple[int, int, int, int]:
    """What the footage's own scorer counts for ann: found, wrong, cuts, hidden."""
    person, other = truth["people"]["ann"], truth["people"]["bob"]["frames"]
    may = {f for a, b in person["may"] for f in range(a, b)} | set(truth["ghost_frames"])
    right, wrong = set(), 0
    for row in one["frames"]:
        f, box = row["frame"], row["box"]
        best = iou(box, person["frames"][str(f)]) if str(f) in person["frames"] else 0
        worst = iou(box, other[str(f)]) if str(f) in other else 0
        if best >= 0.4 and best >= worst:
            right.add(f)
        elif not (f in may and worst < 0.4):
            wrong += 1
    s, e = one["start_frame"], one["end_frame"]
    hidden = any(s < a and b < e for a, b in person["hidden"])
    return len(right - may), wrong, int(s < 9 and e > 10), int(hidden)


def test_bar_lets_no_more_pass_than_the_rate() -> None:
    scores = np.arange(1000) / 1000
    assert (scores >= identity.threshold_for(scores, 0.01)).sum() == 10
    assert (scores >= identity.threshold_for(scores, 1e-4)).sum() == 0


def test_identity_measures_clear_people_as_clear_and_pools_noise_away() -> None:
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((12, 32))
    noisy = {f"p{i}": c + 1.3 * rng.standard_normal((10, 32)) for i, c in enumerate(centres)}
    people = {n: (v / np.linalg.norm(v, axis=1, keepdims=True)).astype(np.float32) for n, v in noisy.items()}
    rows = {(r["evidence"], r["rate"]): r for r in identity.measure(people)}
    assert (
        rows["1 photo, 1 crop", 1e-2]["true matches"] < rows["1 photo, 5 crops", 1e-2]["true matches"] - 0.1
    )
    assert rows["3 photos, 5 crops", 1e-2]["true matches"] > rows["1 photo, 5 crops", 1e-2]["true matches"]


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> list[Portrait]:
    """Two drawn faces (skin, eyes, mouth), 180 x 200 pixels, the face box known by construction."""
    folder = tmp_path_factory.mktemp("portraits")
    cast = []
    for name, skin in (("ann", (150, 180, 220)), ("bob", (60, 90, 140))):
        picture = np.full((200, 180, 3), 90, np.uint8)
        cv2.ellipse(picture, (90, 100), (50, 65), 0, 0, 360, skin, -1)
        for x in (70, 110):
            cv2.circle(picture, (x, 85), 7, (20, 20, 20), -1)
        path = folder / f"{name}.png"
        cv2.imwrite(str(path), picture)
        box = np.array([40, 35, 100, 130], np.float32)
        marks = np.array([[70, 85], [110, 85], [90, 105], [75, 130], [105, 130]], np.float32)
        cast.append(Portrait(name, path, box, marks, (path,), np.full(4, 0.5, np.float32)))
    return cast


def drawn(scene: Scene) -> dict[str, Any]:
    """The truth of a scene as it is drawn, after a round trip through JSON."""
    visible = [faces for _, faces, _ in frames_of(scene, 1)]
    names = {s.person for frame in visible for s in frame}
    truth: dict[str, Any] = json.loads(json.dumps(describe("x.mp4", scene, visible, {n: [] for n in names})))
    return truth


@pytest.mark.parametrize("frames", [1, 3, 10])
def test_drawn_occlusion_hides_for_exactly_its_frames(people: list[Portrait], frames: int) -> None:
    face = hold(160, 80, 50)
    cover = Layer(thing("plain", 1.7), passing(face, 12, frames, 0.85, 1.6))
    truth = drawn(Scene((Take(34, (Layer(people[0], face), cover), 1),), size=(320, 180)))
    ann = truth["people"]["ann"]
    assert ann["hidden"] == [[12, 12 + frames]]
    assert [s["end"][0] for s in ann["stretches"]] == ["occlusion", "video_end"]


def test_drawn_face_lies_where_the_truth_says(people: list[Portrait]) -> None:
    """The drawn skin's extent, found in the picture by its colour, is the truth's box."""
    scene = Scene(
        (Take(3, (Layer(people[0], along([(0, 150, 90, 60), (2, 170, 80, 70)])),), 2),), (), (), (320, 180), 0
    )
    for picture, faces, _ in frames_of(scene, 1):
        x, y, w, h = faces[0].box
        centre = picture[int(y + 0.62 * h) : int(y + 0.7 * h), int(x + 0.4 * w) : int(x + 0.6 * w)]
        assert np.abs(centre.reshape(-1, 3).mean(axis=0) - (150, 180, 220)).max() < 12
        row = np.abs(picture[int(y + h / 2)].astype(int) - (150, 180, 220)).max(axis=1) < 25
        columns = np.flatnonzero(row)
        assert abs(columns[0] - x) < 2.5
        assert abs(columns[-1] - (x + w)) < 2.5


def test_drawn_leaving_and_gradual_change_are_in_the_truth(people: list[Portrait]) -> None:
    out = along([(2, 160, 80, 50), (14, 400, 80, 50)])
    takes = (Take(20, (Layer(people[0], out),), 3), Take(12, (Layer(people[1], hold(150, 80, 50)),), 4))
    scene = Scene(takes, (Join("dissolve", 6),), (Event("pan", 2, 4),), (320, 180))
    truth = drawn(scene)
    assert truth["frames"] == 38
    assert truth["changes"] == [["dissolve", 20, 26]]
    (gone,) = truth["people"]["ann"]["stretches"]
    assert gone["end"][0] == "leave"
    half = gone["end"][1]
    assert (
        truth["people"]["ann"]["seen"][str(half - 1)][4] >= 0.5 > truth["people"]["ann"]["seen"][str(half)][4]
    )
    assert truth["people"]["bob"]["stretches"][0]["start"] == ["dissolve", 20, 26]
    assert not {int(f) for f in truth["people"]["bob"]["frames"]} & set(range(20, 26))


def test_crossing_counts_who_is_in_front(people: list[Portrait]) -> None:
    left, right = [(2, 60, 80, 50), (26, 260, 80, 50)], [(2, 260, 80, 48), (26, 60, 80, 48)]
    scene = Scene(
        (Take(28, (Layer(people[1], along(right)), Layer(people[0], along(left))), 5),), size=(320, 180)
    )
    truth = drawn(scene)
    assert truth["people"]["ann"]["hidden"] == []
    assert len(truth["people"]["bob"]["hidden"]) == 1


CODINGS: list[dict[str, Any]] = [
    {}, {"turned": 90}, {"turned": 270}, {"ticks": [3000, 6000, 1500]}, {"delay": 90000}
]  # fmt: skip


@pytest.mark.parametrize("settings", CODINGS)
def test_written_video_shows_its_pictures(tmp_path: Path, settings: dict[str, Any]) -> None:
    import av

    pictures = [np.full((96, 160, 3), 30 * i, np.uint8) for i in range(1, 7)]
    for picture in pictures:
        picture[:20, :40] = (0, 0, 255)  # a red corner, top left, tells how it is turned
    write_video(tmp_path / "v.mp4", pictures, **settings)
    with av.open(str(tmp_path / "v.mp4")) as container:
        frames = list(container.decode(video=0))
    assert len(frames) == 6
    times = [frame.pts for frame in frames if frame.pts is not None]
    if "ticks" in settings:
        steps = np.diff(times) * float(frames[0].time_base or 0) * 90000
        assert steps.round().tolist() == [3000, 6000, 1500, 3000, 6000]
    shown = [np.rot90(f.to_ndarray(format="bgr24"), (f.rotation // 90) % 4) for f in frames]
    assert shown[0].shape == (96, 160, 3)
    assert shown[3][5:15, 5:30].mean(axis=(0, 1)) == pytest.approx((0, 0, 255), abs=30)
    assert shown[3][50:, 60:].mean() == pytest.approx(120, abs=6)


def test_the_stages_that_are_timed_are_functions_of_the_program() -> None:
    stages = Stages()
    with stages.watching(STAGES, COUNTERS):
        assert set(STAGES.values()) == set(ORDER)
    assert COUNTERS.keys() <= STAGES.keys()
