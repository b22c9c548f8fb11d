"""Tracklets into people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facereel.indexer.engines.face_crops import Still
from facereel.indexer.identity.clustering import (
    MOST_IN_TABLE,
    TrackletIdentity,
    cluster,
    tracklet_identity,
)
from facereel.indexer.identity.linkage import link
from facereel.indexer.scan.clothes import clothes_histogram, pool_clothes
from facereel.store.index.rows import sighting_rows, sightings_of
from facereel.store.model.records import CLOTHES_BINS, Floats, FrameTimes, Image, Sightings, Tracklet

RED, GREEN, BLUE, DARK = (30, 30, 190), (40, 150, 30), (170, 60, 20), (14, 12, 13)  # BGR


def unit(vector: Floats) -> Floats:
    return np.asarray(vector / np.linalg.norm(vector), np.float32)


def wearing(*colours: tuple[int, int, int], seed: int = 0) -> bytes:
    """Clothes of these colours, in stripes, with some noise."""
    stripes = np.repeat(np.array(colours), 300 // len(colours), axis=0)[:, None].repeat(200, axis=1)
    noisy = stripes + np.random.default_rng(seed).integers(-6, 7, stripes.shape)
    picture = np.concatenate([np.zeros((120, 200, 3)), noisy]).clip(0, 255).astype(np.uint8)
    box = np.array([75, 50, 50, 60], np.float32)
    histogram = clothes_histogram(Still(picture), box, box[None])
    assert histogram is not None
    stored = pool_clothes([histogram])
    assert stored is not None
    return stored


def look(
    hue: float,
    start: int,
    end: int,
    quality: float = 0.5,
    shot: int = 0,
    x: float = 0,
    clothes: bytes | None = None,
) -> TrackletIdentity:
    """A tracklet whose look is an angle in a plane: two agree as the cosine of what lies between them."""
    angle = np.radians(hue)
    ends = np.array([[x, 0, 50, 60]] * 2, np.float32)
    return TrackletIdentity(
        np.array([np.cos(angle), np.sin(angle)], np.float32), quality, shot, start, end, start / 25,
        (end - start) / 25, ends, clothes,
    )  # fmt: skip


def crowd(seed: int, count: int, spread: float = 0.5, meeting: bool = True) -> list[TrackletIdentity]:
    """Tracklets of three people, more or less alike, some of them in the same frames."""
    rng = np.random.default_rng(seed)
    people = rng.normal(size=(3, 8))
    suits = [wearing(RED, BLUE), wearing(GREEN), wearing(DARK)]
    found = []
    for number in range(count):
        person = int(rng.integers(3))
        vector = unit(people[person] / 3 + rng.normal(0, spread, 8))
        start = int(rng.integers(0, 300)) if meeting else 1000 * number
        quality, frames = float(rng.uniform(0.05, 1)), int(rng.integers(1, 120))
        ends = np.tile(np.array([*rng.uniform(0, 500, 2), 50, 60], np.float32), (2, 1))
        found.append(
            TrackletIdentity(
                vector,
                quality,
                number % 4,
                start,
                start + frames,
                start / 25,
                frames / 25,
                ends,
                suits[person],
            )
        )
    return found


def meet(one: TrackletIdentity, other: TrackletIdentity) -> bool:
    return one.start < other.end and other.start < one.end


def parts(numbers: list[int]) -> set[frozenset[int]]:
    """A grouping without its numbers."""
    return {frozenset(np.flatnonzero(np.array(numbers) == number).tolist()) for number in set(numbers)}


Odds = Sequence[Sequence[float]]


def mean_odds(odds: Odds, weights: Sequence[float], one: frozenset[int], other: frozenset[int]) -> float:
    """Weighted mean of all pairs between two groups; -inf when any two may not be joined."""
    pairs = [(weights[i] * weights[j], odds[i][j]) for i in one for j in other]
    return sum(weight * value for weight, value in pairs) / sum(weight for weight, _ in pairs)


def plainly(odds: Odds, weights: Sequence[float], minimum: float) -> set[frozenset[int]]:
    """Average linkage, written for reading: join the most alike two until none is alike enough."""
    groups = {frozenset([number]) for number in range(len(weights))}
    while len(groups) > 1:
        one, other = max(combinations(groups, 2), key=lambda pair: mean_odds(odds, weights, *pair))
        if mean_odds(odds, weights, one, other) < minimum:
            break
        groups = (groups - {one, other}) | {one | other}
    return groups


CROWDS = st.builds(
    crowd, st.integers(0, 10_000), st.integers(1, 14), st.sampled_from([0.2, 0.5, 1.0]), st.booleans()
)


@given(CROWDS, st.booleans())
@settings(max_examples=60, deadline=None)
def test_nobody_shares_a_frame_with_himself(evidence: list[TrackletIdentity], sparse: bool) -> None:
    numbers = cluster(evidence, most_in_table=0 if sparse else MOST_IN_TABLE)
    for one, other in combinations(range(len(evidence)), 2):
        if numbers[one] == numbers[other]:
            assert not meet(evidence[one], evidence[other])


@given(CROWDS, st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_order_does_not_matter(evidence: list[TrackletIdentity], seed: int) -> None:
    order = np.random.default_rng(seed).permutation(len(evidence)).tolist()
    shuffled = cluster([evidence[place] for place in order])
    back = [0] * len(order)
    for place, number in zip(order, shuffled, strict=True):
        back[place] = number
    assert parts(back) == parts(cluster(evidence))


@given(st.integers(0, 10_000), st.integers(1, 14), st.sampled_from([-0.5, 0.0, 0.5, 2.0]))
@settings(max_examples=80, deadline=None)
def test_is_average_linkage_that_stops_at_the_minimum(seed: int, count: int, minimum: float) -> None:
    rng = np.random.default_rng(seed)
    odds = rng.normal(size=(count, count))
    odds = odds + odds.T
    odds[rng.random((count, count)) < 0.1] = -np.inf
    odds = np.minimum(odds, odds.T)
    np.fill_diagonal(odds, -np.inf)
    weights = rng.uniform(0.1, 1, count)
    expected = plainly(odds.tolist(), weights.tolist(), minimum)
    assert parts(link(odds.copy(), weights.copy(), minimum)) == expected


@given(CROWDS)
@settings(max_examples=30, deadline=None)
def test_numbers_follow_the_first_members(evidence: list[TrackletIdentity]) -> None:
    numbers = cluster(evidence)
    firsts = list(dict.fromkeys(numbers))
    assert firsts == list(range(len(firsts)))


def test_without_room_for_the_table_of_pairs_the_clusters_are_the_same() -> None:
    """Each of 600 tracklets knows the 32 nearest to it; four people, three at a time, each 150 times."""
    rng = np.random.default_rng(0)
    people = np.linalg.qr(rng.normal(size=(64, 4)))[0].T
    film = [
        replace(
            look(0, 100 * time, 100 * time + 50, float(rng.uniform(0.05, 0.6)), time, 200.0 * place),
            embedding=unit(people[(time + place) % 4] + rng.normal(0, 0.04, 64)),
        )
        for time in range(200)
        for place in range(3)
    ]
    expected = [(number // 3 + number % 3) % 4 for number in range(600)]
    assert cluster(film) == cluster(film, most_in_table=0)
    assert parts(cluster(film)) == parts(expected)


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
def test_the_threshold_lies_between_one_person_and_strangers(between: float, same: bool) -> None:
    assert (len(set(cluster([look(0, 0, 9), look(between, 20, 29)]))) == 1) is same


def test_poor_faces_must_be_more_alike_than_chance_to_be_joined() -> None:
    """A similarity of 0.45 joins two fair faces; of two that show hardly anything it means nothing."""
    assert cluster([look(0, 0, 50, 0.1), look(63, 60, 99, 0.1)]) == [0, 0]
    assert cluster([look(0, 0, 50, 0.002), look(63, 60, 99, 0.002)]) == [0, 1]


def test_two_good_faces_must_be_more_alike_than_two_fair_ones() -> None:
    assert cluster([look(0, 0, 50, 0.6), look(63, 60, 99, 0.6)]) == [0, 1]


COLOURS = (RED, GREEN, BLUE, (200, 200, 200), (60, 160, 200))
CAST = len(COLOURS)


def suits(seed: int) -> list[bytes]:
    return [wearing(colour, seed=seed) for colour in COLOURS]


def wide_shot(
    start: int,
    clothes: Sequence[bytes],
    quality: float,
    similarity: float = 0.36,
    order: Sequence[int] = range(CAST),
) -> list[TrackletIdentity]:
    """People side by side in one shot; the faces are that much like each of those in the shot at frame 0."""
    faces = np.eye(2 * CAST, dtype=np.float32)[:CAST]
    if start:
        faces = similarity * faces.sum(axis=0) + np.sqrt(1 - CAST * similarity**2) * np.eye(2 * CAST)[CAST:]
    return [
        replace(
            look(0, start, start + 100, quality, start // 100, 200.0 * place, clothes[order[place]]),
            embedding=np.asarray(face, np.float32),
        )
        for place, face in enumerate(faces)
    ]


def by_faces(tracklets: Sequence[TrackletIdentity]) -> list[int]:
    return cluster([replace(one, clothes=None) for one in tracklets])


def test_clothes_join_small_faces_that_say_too_little() -> None:
    film = wide_shot(0, suits(1), 0.03) + wide_shot(500, suits(2), 0.03)
    assert cluster(film) == [0, 1, 2, 3, 4] * 2
    assert by_faces(film) == list(range(2 * CAST))


def test_what_shows_no_face_is_nobody_and_no_evidence() -> None:
    """A lamp that wears what somebody wears neither joins anybody nor makes the clothes common."""
    film = wide_shot(0, suits(1), 0.03) + wide_shot(500, suits(2), 0.03)
    lamps = [
        replace(
            film[place],
            embedding=unit(np.ones(2 * CAST, np.float32)),
            clothes=film[other].clothes,
            joinable=False,
        )
        for place, other in ((0, 1), (1, 2), (2, 0))
    ]
    assert cluster([*lamps, *film]) == [0, 1, 2, *[3, 4, 5, 6, 7] * 2]


@pytest.mark.parametrize("uniform", [DARK, RED])
def test_clothes_that_all_wear_say_nothing(uniform: tuple[int, int, int]) -> None:
    """In the dark, or in a team: those who share a frame show that one's clothes are everybody's."""
    worn = [[wearing(uniform, seed=10 * time + n) for n in range(CAST)] for time in (1, 2)]
    film = wide_shot(0, worn[0], 0.03) + wide_shot(500, worn[1], 0.03)
    assert cluster(film) == by_faces(film) == list(range(2 * CAST))


def test_the_same_clothes_do_not_make_two_one() -> None:
    """Two referees among players: hardly anybody is dressed as they are, but one stands beside the other."""
    film = wide_shot(0, suits(1), 0.03) + wide_shot(500, suits(2), 0.03)
    assert cluster(film)[CAST] == 0
    twin = replace(film[1], clothes=wearing(RED, seed=5))
    assert cluster([film[0], twin, *film[2:]])[CAST] not in (0, 1)


def test_clothes_say_nothing_where_nobody_shares_a_frame() -> None:
    """Then the video does not show whether clothes tell its people apart."""
    faces = look(0, 0, 50, 0.03, clothes=wearing(RED)), look(70, 60, 100, 0.03, clothes=wearing(RED))
    assert cluster(faces) == [0, 1]


def test_clothes_never_join_good_faces_that_are_unlike() -> None:
    film = wide_shot(0, suits(1), 0.5) + wide_shot(500, suits(2), 0.5, similarity=0.1)
    assert cluster(film) == list(range(2 * CAST))


def test_who_changes_clothes_is_recognised_by_a_good_face() -> None:
    before = wide_shot(0, suits(1), 0.5)
    again = replace(before[0], start=900, end=950, start_seconds=36, shot=9, clothes=wearing(GREEN, seed=2))
    assert cluster([*before, again])[-1] == 0


def test_different_clothes_keep_poor_faces_of_one_scene_apart() -> None:
    """Where good faces show that people keep their clothes on; an hour later they may wear others."""
    good = [
        replace(one, start=start, end=start + 50, start_seconds=start / 25)
        for start in range(0, 300, 60)
        for one in wide_shot(0, suits(start), 0.5)
    ]
    one = look(0, 400, 450, 0.05, shot=4, clothes=wearing(RED, seed=3))
    one = replace(one, embedding=np.eye(2 * CAST, dtype=np.float32)[9])
    other = replace(one, start=500, end=550, start_seconds=20.0, shot=5, clothes=wearing(GREEN, seed=4))
    other = replace(other, embedding=unit(np.eye(2 * CAST)[9] + 1.3 * np.eye(2 * CAST)[8]))

    def joined(*pair: TrackletIdentity) -> bool:
        labels = cluster([*good, *pair])
        return labels[-1] == labels[-2]

    assert by_faces([one, other]) == [0, 0]
    assert not joined(one, other)
    assert joined(one, replace(other, clothes=one.clothes))
    assert joined(one, replace(other, start=10**5, end=10**5 + 50, start_seconds=4000.0))


def test_clothes_count_less_as_time_passes() -> None:
    an_hour = 3600 * 25
    film = wide_shot(0, suits(1), 0.03) + wide_shot(an_hour, suits(2), 0.03)
    assert cluster(film) == list(range(2 * CAST))


def test_who_appears_elsewhere_in_a_shot_is_somebody_else_unless_the_face_says_so() -> None:
    leaving = look(0, 0, 50, quality=0.06)
    there, elsewhere = (look(55, 60, 99, quality=0.06, x=x) for x in (40, 400))
    assert cluster([leaving, there]) == [0, 0]
    assert cluster([leaving, elsewhere]) == [0, 1]
    assert cluster([leaving, replace(elsewhere, shot=1)]) == [0, 0]
    assert cluster([look(0, 0, 50, quality=0.5), look(10, 60, 99, quality=0.5, x=400)]) == [0, 0]


def test_in_a_long_shot_somebody_may_have_walked_elsewhere() -> None:
    speaking = look(0, 0, 50, quality=0.06)
    elsewhere = look(55, 60, 99, quality=0.06, x=400)
    minutes_later = replace(elsewhere, start=5000, end=5039, start_seconds=200.0)
    assert cluster([speaking, elsewhere]) == [0, 1]
    assert cluster([speaking, minutes_later]) == [0, 0]


def test_in_a_crowd_a_face_must_be_more_alike() -> None:
    pair = [look(0, 0, 50, quality=0.06), look(55, 100, 150, quality=0.06, shot=1)]
    strangers = [look(120 + 8 * n, 0, 50, quality=0.06, x=100.0 * n) for n in range(1, 12)]
    assert cluster(pair) == [0, 0]
    assert cluster(pair + strangers)[1] != 0


def film_still(clothes: tuple[int, int, int]) -> Image:
    picture = np.full((300, 300, 3), 90, np.uint8)
    picture[150:] = clothes
    return picture


def test_clothes_are_what_is_below_the_face_and_not_behind_another() -> None:
    picture = film_still(RED)
    box, other = np.array([125, 80, 50, 60], np.float32), np.array([60, 150, 190, 150], np.float32)
    alone = clothes_histogram(Still(picture), box, box[None])
    assert alone is not None
    assert alone.shape == (CLOTHES_BINS,)
    assert float(alone.max()) > 0.95
    assert clothes_histogram(Still(picture), box, np.stack([box, other])) is None


def test_a_face_at_the_lower_edge_shows_no_clothes() -> None:
    low = np.array([125, 239, 50, 60], np.float32)
    assert clothes_histogram(Still(film_still(RED)), low, low[None]) is None
    assert pool_clothes([]) is None


@pytest.mark.parametrize("zoom", [1, 3])
def test_clothes_do_not_depend_on_the_size_of_the_picture(zoom: int) -> None:
    picture = np.concatenate([film_still(RED)[:, :150], film_still(BLUE)[:, 150:]], axis=1)
    large = picture.repeat(zoom, axis=0).repeat(zoom, axis=1)
    box = np.array([125, 80, 50, 60], np.float32)
    small_one, large_one = (
        clothes_histogram(Still(picture), box, box[None]),
        clothes_histogram(Still(large), box * zoom, box[None] * zoom),
    )
    assert small_one is not None
    assert large_one is not None
    assert float(np.sqrt(small_one) @ np.sqrt(large_one)) > 0.98


def test_ends_are_those_that_an_index_stores() -> None:
    """To the last bit: a run that resumes reads them from there, and must come to the same clusters."""
    frames = 2000
    boxes = np.random.default_rng(4).uniform(1, 2000, (frames, 4)).astype(np.float32)
    tracklet = Tracklet(1, 0, 0, frames, "scene_cut", "scene_cut", 1, 60.0, 0.9)
    sightings = Sightings(np.arange(frames), boxes, np.ones(frames, np.float32), np.ones(frames, np.uint8))
    numbers = [[*row[1:-1], 1] for row in sighting_rows(tracklet, sightings)]
    stored = sightings_of(np.array(numbers), 0, frames).boxes.reshape(-1, 2, 4)
    one = np.ones((1, 4), np.float32), np.full(1, 0.5, np.float32)
    for ends, stored_ends in zip(boxes.reshape(-1, 2, 4), stored, strict=True):
        assert tracklet_identity(tracklet, ends, *one, [], (0.0, 1.0)).ends.tolist() == stored_ends.tolist()


@pytest.mark.parametrize("rate", [25, 60, 100])
def test_a_tracklet_counts_by_its_seconds_and_not_by_its_frames(rate: int) -> None:
    """Up to three seconds, at any frame rate."""

    def weight(seconds: int) -> float:
        tracklet = Tracklet(1, 0, 0, seconds * rate, "scene_cut", "scene_cut", 1, 60.0, 0.9)
        one = np.ones((1, 4), np.float32), np.full(1, 0.5, np.float32)
        ends = np.zeros((2, 4), np.float32)
        times = FrameTimes(np.arange(seconds * rate), np.ones(seconds * rate, np.int64))
        span = times.span(0, seconds * rate, Fraction(1, rate))
        return tracklet_identity(tracklet, ends, *one, [], span).weight

    assert weight(2) == pytest.approx(weight(1) * np.sqrt(2))
    assert weight(10) == weight(3) == pytest.approx(weight(1) * np.sqrt(3))
