"""Who fits whom from frame to frame: patches are compared for few pairs, and the answer is that of comparing all."""

from __future__ import annotations

from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from facereel.indexer.scan.frame_view import FrameView
from facereel.indexer.track import affinity as affinity_module
from facereel.indexer.track.affinity import Affinities
from facereel.indexer.track.association import place_score
from facereel.indexer.track.track import Track, VideoFormat
from facereel.store.model.records import Box, Floats
from tests.test_track import HEIGHT, RATE, WIDTH, Actor, hold, view_of

VIDEO = VideoFormat(WIDTH, HEIGHT, RATE)


def tracks_in(view: FrameView) -> list[Track]:
    tracks = []
    for face, box in enumerate(view.boxes):
        tracks.append(Track(0, "video_start", VIDEO))
        tracks[-1].add(view, box, face, strong=True)
    return tracks


def all_affinities(tracks: list[Track], view: FrameView) -> Floats:
    """Of each track with each face of a view: all patches are compared."""
    places = np.array(
        [[place_score(track.predict(view.seconds), box) for box in view.boxes] for track in tracks], float
    )
    affinity, certain = np.zeros(places.shape), np.zeros(places.shape, np.bool_)
    for pair in zip(*np.nonzero(places > 0), strict=True):
        patch = tracks[pair[0]].patch
        assert patch is not None
        match = view.match_patch(patch, view.boxes[pair[1]], 0.55)
        if match.ncc >= 0.55 or match.block_share >= 0.4:
            affinity[pair] = places[pair] + max(match.ncc, 0)
            certain[pair] = match.ncc >= 0.85
    unsure = ~certain.any(axis=1, keepdims=True) & ~certain.any(axis=0)
    for pair in zip(*np.nonzero((places == 0) & unsure), strict=True):
        patch = tracks[pair[0]].patch
        assert patch is not None
        match = view.match_patch(patch, view.boxes[pair[1]], -1)
        affinity[pair] = match.ncc if match.ncc >= 0.85 else 0
    return affinity.astype(np.float32)


people = st.lists(
    st.tuples(
        st.integers(1, 4), st.integers(20, 200), st.integers(20, 90), st.integers(-60, 60), st.integers(-6, 6)
    ),
    min_size=1, max_size=5,
)  # fmt: skip


@settings(deadline=None)  # a busy machine is no fault of the tracker
@given(people)
def test_the_best_pairs_are_those_of_all_comparisons(people: list[tuple[int, int, int, int, int]]) -> None:
    """Some look alike, and some come to where another one was."""
    before = [Actor(seed, hold(x, y + 0.1 * n), range(2)) for n, (seed, x, y, _, _) in enumerate(people)]
    after = [
        Actor(seed, hold(x + dx, y + dy + 0.1 * n), range(2)) for n, (seed, x, y, dx, dy) in enumerate(people)
    ]
    tracks, view = tracks_in(view_of(0, before)), view_of(1, after)
    affinity = all_affinities(tracks, view)
    with mock.patch.object(
        affinity_module, "_MIN_NCC_TO_SEARCH", -1.0
    ):  # which spares comparisons, not always rightly
        pairs = Affinities(tracks, view.boxes, view).best()
    assert len({row for row, _ in pairs}) == len({column for _, column in pairs}) == len(pairs)
    best = affinity[linear_sum_assignment(affinity, maximize=True)].sum()
    assert sum(float(affinity[pair]) for pair in pairs) == pytest.approx(float(best), abs=1e-4)


def test_what_was_taken_or_removed_does_not_come_back() -> None:
    actors = [Actor(seed, hold(40 + 70 * seed, 60), range(2)) for seed in range(1, 4)]
    tracks, view = tracks_in(view_of(0, actors)), view_of(1, actors)
    affinities = Affinities(tracks, view.boxes, view)
    assert affinities.best() == [(0, 0), (1, 1), (2, 2)]
    affinities.take((0, 0))
    affinities.remove((1, 1))
    assert affinities.best() == [(2, 2)]


def test_no_face_that_hardly_moves_is_searched_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its patch at its box says enough, also beside others who are within reach."""
    actors = [Actor(seed, hold(30 + 60 * seed, 60, dx=1), range(2)) for seed in range(1, 4)]
    tracks, view = tracks_in(view_of(0, actors)), view_of(1, actors)

    def search(patch: object, box: Box, sufficient_ncc: float = 0) -> None:
        raise AssertionError("searched")

    monkeypatch.setattr(view, "match_patch", search)
    assert Affinities(tracks, view.boxes, view).best() == [(0, 0), (1, 1), (2, 2)]
