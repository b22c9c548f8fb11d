"""Places outlive the numbers of an index: the same faces are found again in another index of the same video."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from facereel.store.index.reader import VideoIndex
from facereel.store.library.places import Place, face_tracks, places_of, tracklets_at
from facereel.store.model.records import Cluster, Exemplar, Sightings, Tracklet
from tests.factories import IndexContents, make_contents, make_exemplar, make_video, write_index

FRAMES = 240


def film(spans: dict[int, tuple[int, int, float]], content: str = "movie") -> IndexContents:
    """Tracklets by number: frames [start, end), and x of a face 40 px wide that moves 1 px a frame."""
    rng = np.random.default_rng(7)
    base = make_contents(video=make_video(content=content, frame_count=FRAMES), shots=1, tracklets=0)
    tracklets = tuple(
        Tracklet(number, 0, start, end, "entered_frame", "left_frame", 1, 40.0, 0.9)
        for number, (start, end, _) in spans.items()
    )
    sightings = {
        number: Sightings(
            np.arange(start, end), np.array([[x + f, 50, 40, 50] for f in range(start, end)], np.float32),
            np.full(end - start, 0.9, np.float32), np.zeros(end - start, np.uint8),
        )
        for number, (start, end, x) in spans.items()
    }  # fmt: skip
    exemplars: dict[int, tuple[Exemplar, ...]] = {
        number: (replace(make_exemplar(rng, start + 1, 16), quality=0.9), make_exemplar(rng, end - 1, 16))
        for number, (start, end, _) in spans.items()
    }
    clusters = (Cluster(1, None, tuple(spans)),)
    return replace(base, tracklets=tracklets, sightings=sightings, exemplars=exemplars, clusters=clusters)


def test_a_place_is_found_by_other_numbers_and_other_ends_of_tracklets(tmp_path: Path) -> None:
    with VideoIndex(write_index(tmp_path / "a", film({1: (0, 60, 10), 2: (0, 60, 300)}))) as index:
        places = places_of(index, [2, 1])
    assert [(place.start, place.end, place.frame) for place in places] == [(0, 60, 1), (0, 60, 1)]
    assert [place.box[0] for place in places] == [11.0, 301.0]
    # Indexed again: the numbers are swapped, the second begins later and its box is a little off.
    with VideoIndex(write_index(tmp_path / "b", film({1: (8, 70, 304), 2: (0, 60, 10)}))) as index:
        assert tracklets_at(index, places) == (2, 1)


def test_a_long_tracklet_that_breaks_in_two_is_found_in_both_pieces(tmp_path: Path) -> None:
    with VideoIndex(write_index(tmp_path / "a", film({1: (0, 200, 10)}))) as index:
        places = places_of(index, [1])
    assert [(place.start, place.end) for place in places] == [(0, 66), (66, 133), (133, 200)]
    assert all(place.start <= place.frame < place.end for place in places)
    with VideoIndex(write_index(tmp_path / "b", film({4: (0, 90, 10), 5: (95, 200, 10)}))) as index:
        assert set(tracklets_at(index, places)) == {4, 5}


def test_places_say_of_how_many_face_tracks_they_are(tmp_path: Path) -> None:
    spans = {
        1: (0, 200, 10.0), 2: (0, 76, 300.0), 3: (30, 106, 500.0), 4: (76, 90, 300.0), 5: (76, 240, 600.0),
        6: (200, 240, 10.0), 7: (100, 105, 900.0),
    }  # fmt: skip
    with VideoIndex(write_index(tmp_path / "a", film(spans))) as index:
        for chosen in (
            [1],
            [2],
            [7],
            [1, 2],
            [1, 3],
            [2, 4],
            [2, 5],
            [2, 4, 5],
            [1, 6],
            [1, 2, 3, 4, 5, 6, 7],
        ):
            places = places_of(index, chosen)
            assert face_tracks(places[::-1]) == len(chosen), chosen
        other = [replace(place, sha256="other") for place in places_of(index, [1])]
        assert face_tracks([*places_of(index, [1]), *other, *other]) == 2
    assert face_tracks([]) == 0


def test_thousands_of_face_tracks_on_end_are_counted_at_once() -> None:
    places = [Place("a", 10 * n, 10 * n + 10, 10 * n, (0.0, 0.0, 9.0, 9.0)) for n in range(3_000)]
    began = time.monotonic()
    assert 0 < face_tracks(places) <= len(places)
    assert time.monotonic() - began < 20


def test_somebody_else_in_that_frame_another_time_or_another_video_is_no_answer(tmp_path: Path) -> None:
    with VideoIndex(write_index(tmp_path / "a", film({1: (0, 60, 10)}))) as index:
        (place,) = places_of(index, [1])
    with VideoIndex(write_index(tmp_path / "b", film({1: (0, 60, 300), 2: (90, 150, -80)}))) as index:
        assert tracklets_at(index, [place]) == (None,)
    with VideoIndex(write_index(tmp_path / "c", film({1: (0, 60, 10)}, content="other"))) as index:
        assert tracklets_at(index, [place]) == (None,)


def test_of_two_faces_at_a_place_the_one_that_overlaps_more_is_taken(tmp_path: Path) -> None:
    with VideoIndex(write_index(tmp_path / "a", film({1: (0, 60, 10), 2: (0, 60, 18)}))) as index:
        sha256 = index.video.sha256
        assert tracklets_at(index, [Place(sha256, 0, 60, 30, (47.0, 50.0, 40.0, 50.0))]) == (2,)
        assert tracklets_at(index, [Place(sha256, 0, 60, 30, (41.0, 50.0, 40.0, 50.0))]) == (1,)
