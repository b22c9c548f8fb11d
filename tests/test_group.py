"""Tracklets into people."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facereel.indexer.identity.clustering import (
    MIN_JOINED_WIDTH,
    TrackletIdentity,
    cluster,
    is_joinable,
    tracklet_identity,
)
from facereel.store.model.config import Config
from facereel.store.model.records import Floats, Tracklet


def unit(vector: Floats) -> Floats:
    return np.asarray(vector / np.linalg.norm(vector), np.float32)


def look(hue: float, start: int, end: int, quality: float = 0.5) -> TrackletIdentity:
    """A tracklet whose look is an angle in a plane: two agree as the cosine of what lies between them."""
    angle = np.radians(hue)
    return TrackletIdentity(
        np.array([np.cos(angle), np.sin(angle)], np.float32), quality, start, end, (end - start) / 25
    )


def crowd(seed: int, count: int, spread: float = 0.5, meeting: bool = True) -> list[TrackletIdentity]:
    """Tracklets of three people, more or less alike, some of them in the same frames."""
    rng = np.random.default_rng(seed)
    people = rng.normal(size=(3, 8))
    found = []
    for number in range(count):
        vector = unit(people[rng.integers(3)] / 3 + rng.normal(0, spread, 8))
        start = int(rng.integers(0, 300)) if meeting else 1000 * number
        quality, frames = float(rng.uniform(0.05, 1)), int(rng.integers(1, 120))
        found.append(TrackletIdentity(vector, quality, start, start + frames, frames / 25))
    return found


def meet(one: TrackletIdentity, other: TrackletIdentity) -> bool:
    return one.start < other.end and other.start < one.end


def parts(numbers: list[int]) -> set[frozenset[int]]:
    """A grouping without its numbers."""
    return {frozenset(np.flatnonzero(np.array(numbers) == number).tolist()) for number in set(numbers)}


def alike(evidence: list[TrackletIdentity], one: frozenset[int], other: frozenset[int]) -> float:
    """Weighted mean similarity of all pairs between two groups; -inf when any two share a frame."""
    total = weight = 0.0
    for i in one:
        for j in other:
            if meet(evidence[i], evidence[j]):
                return -np.inf
            pair = evidence[i].weight * evidence[j].weight
            total += pair * float(evidence[i].embedding @ evidence[j].embedding)
            weight += pair
    return total / weight


def plainly(evidence: list[TrackletIdentity], join: float) -> set[frozenset[int]]:
    """The same grouping, written for reading: join the most alike two until none is alike enough."""
    groups = {frozenset([number]) for number in range(len(evidence))}
    while len(groups) > 1:
        one, other = max(combinations(groups, 2), key=lambda pair: alike(evidence, *pair))
        if alike(evidence, one, other) < join:
            break
        groups = (groups - {one, other}) | {one | other}
    return groups


CROWDS = st.builds(
    crowd, st.integers(0, 10_000), st.integers(1, 14), st.sampled_from([0.2, 0.5, 1.0]), st.booleans()
)
BARS = st.sampled_from([-0.5, 0.0, 0.3, 0.5, 0.8])


@given(CROWDS, BARS)
@settings(max_examples=80)
def test_nobody_shares_a_frame_with_himself(evidence: list[TrackletIdentity], join: float) -> None:
    numbers = cluster(evidence, join)
    for one, other in combinations(range(len(evidence)), 2):
        if numbers[one] == numbers[other]:
            assert not meet(evidence[one], evidence[other])


@given(CROWDS, BARS, st.integers(0, 99))
@settings(max_examples=60)
def test_order_does_not_matter(evidence: list[TrackletIdentity], join: float, seed: int) -> None:
    order = np.random.default_rng(seed).permutation(len(evidence)).tolist()
    shuffled = cluster([evidence[place] for place in order], join)
    back = [0] * len(order)
    for place, number in zip(order, shuffled, strict=True):
        back[place] = number
    assert parts(back) == parts(cluster(evidence, join))


@given(CROWDS, BARS)
@settings(max_examples=80, deadline=None)
def test_is_average_linkage_that_stops_at_the_bar(evidence: list[TrackletIdentity], join: float) -> None:
    found = parts(cluster(evidence, join))
    assert found == plainly(evidence, join)
    for one, other in combinations(found, 2):
        assert alike(evidence, one, other) < join + 1e-6


@given(CROWDS, BARS)
@settings(max_examples=30)
def test_numbers_follow_the_first_members(evidence: list[TrackletIdentity], join: float) -> None:
    numbers = cluster(evidence, join)
    firsts = list(dict.fromkeys(numbers))
    assert firsts == list(range(len(firsts)))


def test_nothing_gives_no_groups() -> None:
    assert cluster([]) == []


def test_the_same_person_later_and_somebody_else() -> None:
    assert cluster([look(0, 0, 50), look(90, 60, 99), look(10, 100, 150), look(80, 200, 240)]) == [0, 1, 0, 1]


def test_two_who_look_alike_in_one_frame_stay_two_and_their_later_looks_find_their_own() -> None:
    twins = [look(0, 0, 50), look(20, 0, 50), look(2, 60, 99), look(19, 60, 99)]
    assert cluster(twins) == [0, 1, 0, 1]


def test_touching_in_time_is_not_meeting() -> None:
    assert cluster([look(0, 0, 50), look(5, 50, 80)]) == [0, 0]
    assert cluster([look(0, 0, 50), look(5, 49, 80)]) == [0, 1]


@pytest.mark.parametrize(("between", "same"), [(30, True), (100, False)])
def test_the_bar_lies_between_one_person_and_strangers(between: float, same: bool) -> None:
    assert (len(set(cluster([look(0, 0, 9), look(between, 20, 29)]))) == 1) is same


def test_a_good_long_look_outweighs_a_poor_short_one() -> None:
    # The third agrees with the good look and hardly with the poor one: pooled by weight, it still comes in.
    near = [look(0, 0, 75, quality=0.9), look(60, 100, 105, quality=0.01), look(-65, 200, 275, quality=0.9)]
    assert len(set(cluster(near, min_similarity=0.4))) == 1
    near[0], near[1] = look(0, 0, 5, quality=0.01), look(60, 100, 175, quality=0.9)
    assert len(set(cluster(near, min_similarity=0.4))) == 2


def test_a_face_too_small_to_be_known_joins_nobody() -> None:
    same = [look(0, 0, 10), look(5, 20, 30), replace(look(2, 40, 50), joinable=False)]
    assert cluster(same) == [0, 0, 1]
    assert cluster([replace(one, joinable=False) for one in same]) == [0, 1, 2]


def test_only_who_asks_for_smaller_faces_than_usual_has_them_alone() -> None:
    usual = Config().min_face
    assert is_joinable(12.0, usual)
    assert not is_joinable(12.0, usual - 1)
    assert is_joinable(float(MIN_JOINED_WIDTH), usual - 1)


@pytest.mark.parametrize("rate", [25, 60, 100])
def test_a_tracklet_counts_by_its_seconds_and_not_by_its_frames(rate: int) -> None:
    """Up to three seconds, at any frame rate."""

    def weight(seconds: int) -> float:
        tracklet = Tracklet(1, 0, 0, seconds * rate, "scene_cut", "scene_cut", 1, 60.0, 0.9)
        one = np.ones((1, 4), np.float32), np.full(1, 0.5, np.float32)
        return tracklet_identity(tracklet, *one, Fraction(rate), 20).weight

    assert weight(2) == pytest.approx(weight(1) * np.sqrt(2))
    assert weight(10) == weight(3) == pytest.approx(weight(1) * np.sqrt(3))
