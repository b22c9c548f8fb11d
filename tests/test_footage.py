"""The benchmark's measure of footage: partial truths, clusters, and truths of films made smaller or slower."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.benchmarks import media_truth
from tests.benchmarks.clusters import PEOPLE_BY_EYE
from tests.benchmarks.encode import write_video
from tests.benchmarks.footage import frame_spans
from tests.benchmarks.media_truth import Film, nearest_frames, retimed, scaled, shrunk, slowed
from tests.benchmarks.scoring import score_clips
from tests.benchmarks.scoring_clusters import score_clusters

ANN, BOB, POT, NOWHERE = [10.0, 10, 40, 50], [200.0, 10, 40, 50], [100.0, 100, 20, 20], [60.0, 10, 20, 20]


def partial_truth() -> dict[str, Any]:
    """Twenty frames, a cut at 10; ann before it, bob after it, a pot in every frame."""
    return {
        "frames": 20, "shots": [0, 10], "unsure_cuts": [], "ghost_frames": [], "partial": True,
        "objects": {str(f): [POT] for f in range(20)},
        "people": {
            "ann": {"frames": {str(f): ANN for f in range(8)}, "may": [[6, 8]], "hidden": [[3, 4]]},
            "bob": {"frames": {str(f): BOB for f in range(10, 20)}, "may": [], "hidden": []},
        },
    }  # fmt: skip


def clip(start: int, end: int, box: list[float]) -> dict[str, Any]:
    """A clip whose box stays where it is."""
    return {
        "start_frame": start,
        "end_frame": end,
        "frames": [{"frame": f, "box": box} for f in range(start, end)],
    }


def sightings(start: int, end: int, box: list[float]) -> dict[int, list[float]]:
    """A tracklet whose box stays where it is."""
    return dict.fromkeys(range(start, end), box)


def test_a_box_on_nothing_listed_is_unlisted_where_the_person_is_in_the_shot_and_wrong_elsewhere() -> None:
    score = score_clips(partial_truth(), "ann", [clip(0, 4, NOWHERE), clip(12, 14, NOWHERE)])
    assert score.unlisted == [0, 1, 2, 3]
    assert score.wrong == [12, 13]


def test_a_box_on_an_object_or_on_somebody_else_is_wrong_in_a_partial_truth_too() -> None:
    score = score_clips(partial_truth(), "ann", [clip(0, 2, POT)])
    assert (score.wrong, score.unlisted) == ([0, 1], [])
    score = score_clips(partial_truth(), "ann", [clip(10, 12, BOB)])
    assert (score.wrong, score.unlisted) == ([10, 11], [])


def test_where_a_truth_lists_everybody_a_box_on_nothing_is_wrong() -> None:
    truth = {name: value for name, value in partial_truth().items() if name not in ("partial", "objects")}
    score = score_clips(truth, "ann", [clip(0, 4, NOWHERE)])
    assert (score.wrong, score.unlisted) == ([0, 1, 2, 3], [])


def test_one_cluster_a_person_is_perfect_and_an_object_counts_apart() -> None:
    tracklets = {1: sightings(0, 6, ANN), 2: sightings(10, 20, BOB), 3: sightings(0, 20, POT)}
    score = score_clusters(partial_truth(), tracklets, {1: (1,), 2: (2,), 3: (3,)}, {1, 2, 3})
    assert (score.precision, score.recall, score.people, score.clusters) == (1.0, 1.0, 2, 2)
    assert (score.objects, score.mixed, score.unlisted, score.frames) == (1, (), 0, 16)


def test_two_people_in_one_cluster_cost_precision_by_frames() -> None:
    tracklets = {1: sightings(0, 6, ANN), 2: sightings(10, 20, BOB)}
    score = score_clusters(partial_truth(), tracklets, {7: (1, 2)}, {7})
    assert score.precision == pytest.approx((6 * 6 / 16 + 10 * 10 / 16) / 16)
    assert score.recall == 1.0
    assert score.mixed == ("7: ann, bob",)


def test_a_person_in_two_clusters_costs_recall_by_frames() -> None:
    tracklets = {1: sightings(10, 14, BOB), 2: sightings(14, 20, BOB)}
    score = score_clusters(partial_truth(), tracklets, {1: (1,), 2: (2,)}, {1, 2})
    assert score.recall == pytest.approx((4 * 4 / 10 + 6 * 6 / 10) / 10)
    assert (score.precision, score.clusters) == (1.0, 2)


def test_a_tracklet_on_nobody_is_unlisted_and_frames_that_need_not_be_found_do_not_count() -> None:
    tracklets = {1: sightings(0, 8, ANN), 2: sightings(0, 8, NOWHERE), 3: sightings(6, 8, ANN)}
    score = score_clusters(partial_truth(), tracklets, {1: (1,), 2: (2,), 3: (3,)}, {1, 2, 3})
    assert (score.unlisted, score.frames, score.clusters) == (1, 6, 1)


def test_an_object_in_the_cluster_of_a_face_is_no_cluster_of_objects() -> None:
    tracklets = {1: sightings(0, 6, ANN), 2: sightings(0, 20, POT)}
    assert score_clusters(partial_truth(), tracklets, {1: (1, 2)}, {1}).objects == 0


def test_an_object_that_is_not_shown_as_a_person_does_not_count() -> None:
    tracklets = {1: sightings(0, 6, ANN), 3: sightings(0, 20, POT)}
    assert score_clusters(partial_truth(), tracklets, {1: (1,), 3: (3,)}, {1}).objects == 0


def test_of_each_time_the_nearest_frame_stays() -> None:
    assert nearest_frames(10, Fraction(25), 25) == list(range(10))
    assert nearest_frames(60, Fraction(30000, 1001), 6) == [0, 5, 10, 15, 20, 25, 30, 35, 40, 45, 50, 55]
    assert nearest_frames(50, Fraction(25), 1) == [0, 25]


def test_a_slower_truth_names_the_same_faces_cuts_and_occlusions_by_their_new_frames() -> None:
    truth = retimed(partial_truth(), [0, 3, 6, 9, 12, 15, 18])
    assert truth["frames"] == 7
    assert truth["shots"] == [0, 4]
    ann = truth["people"]["ann"]
    assert sorted(ann["frames"]) == ["0", "1", "2"]
    assert (ann["may"], ann["hidden"]) == ([[2, 3]], [[1, 2]])
    assert sorted(truth["people"]["bob"]["frames"]) == ["4", "5", "6"]
    assert sorted(truth["objects"]) == [str(f) for f in range(7)]


def test_of_an_occlusion_between_the_frames_that_stay_nothing_is_left() -> None:
    assert retimed(partial_truth(), [0, 2, 4, 6])["people"]["ann"]["hidden"] == []


def test_a_scaled_truth_has_all_boxes_scaled() -> None:
    truth = scaled(partial_truth(), 0.5)
    assert truth["people"]["ann"]["frames"]["0"] == [5, 5, 20, 25]
    assert truth["objects"]["0"] == [[50, 50, 10, 10]]
    assert truth["shots"] == [0, 10]


def test_films_are_written_smaller_and_slower(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACEREEL_BENCH_CACHE", str(tmp_path / "cache"))
    pictures = [np.full((180, 320, 3), 12 * number, np.uint8) for number in range(20)]
    write_video(tmp_path / "film.mp4", iter(pictures), Fraction(20))
    film = Film("film", tmp_path / "film.mp4", partial_truth(), {})

    rate, small = media_truth.read_pictures(shrunk(film, 160, 90).video)
    assert (rate, len(small), small[0].shape) == (Fraction(20), 20, (90, 160, 3))

    slow = slowed(film, 5)
    rate, few = media_truth.read_pictures(slow.video)
    assert (rate, slow.truth["frames"]) == (Fraction(5), 5)
    brightness = np.array([picture.mean() for picture in media_truth.read_pictures(film.video)[1]])
    assert [int(np.abs(brightness - picture.mean()).argmin()) for picture in few] == [0, 4, 8, 12, 16]


def test_successive_frames_are_one_span() -> None:
    assert frame_spans([5, 3, 4, 9]) == ["3-5", "9-9"]


def test_people_counted_by_eye_are_of_videos_by_name() -> None:
    assert all(name.endswith(".mp4") and count >= 0 for name, count in PEOPLE_BY_EYE.items())
