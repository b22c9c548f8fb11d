"""References against people: who comes in, who stays out, and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import combinations, count

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facereel.indexer.engines.protocol import default_stranger_rates
from facereel.query.people.directions import directions
from facereel.query.records import MatchingTracklet, NearTracklet, Reference
from facereel.query.search.certainty import Criterion, Limits
from facereel.query.search.rulings import NO_RULINGS, Rulings
from facereel.store.model.pooling import DEFAULT_THRESHOLD
from facereel.store.model.records import ExemplarArrays, Floats, Tracklet
from tests.exhaustive import answer_of, found_by
from tests.factories import make_video

DIM = 24


def similarity_to(references: Sequence[Reference], embeddings: Floats) -> Floats:
    """How similar the person of the references is to embeddings (N, D): (N,)."""
    person = directions(references)
    return person.combine(person.vectors @ embeddings.T)


def unit(vector: Floats) -> Floats:
    return np.asarray(vector / np.linalg.norm(vector), np.float32)


ELSEWHERE = count()


def face(*agrees: float) -> Floats:
    """A unit vector that agrees so much with each of the first axes; its rest is its own."""
    vector = np.zeros(DIM, np.float32)
    vector[: len(agrees)] = agrees
    vector[8 + next(ELSEWHERE) % (DIM - 8)] = np.sqrt(max(0.0, 1 - float((vector**2).sum())))
    return vector


def photo(vector: Floats, quality: float = 0.9) -> Reference:
    return Reference("photo.jpg", "0" * 64, np.array([0, 0, 99, 99], np.float32), vector, quality)


ASKED = [photo(np.eye(DIM, dtype=np.float32)[0])]


@dataclass
class Film:
    """Tracklets with their looks, put together one by one."""

    tracklets: list[Tracklet] = field(default_factory=list)
    rows: list[tuple[int, Floats, float, float, float, float]] = field(default_factory=list)
    behind: set[int] = field(default_factory=set)  # tracklets in which no face is visible

    def add(
        self, person: int, start: int, end: int, *looks: Floats, quality: float = 0.8, width: float = 90.0,
        sharp: float = 0.9, frontal: float = 0.9,
    ) -> int:  # fmt: skip
        number = len(self.tracklets) + 1
        self.tracklets.append(Tracklet(number, 0, start, end, "scene_cut", "scene_cut", person, width, 0.9))
        self.rows += [(number, look, quality, width, sharp, frontal) for look in looks]
        return number

    def looks(self) -> ExemplarArrays:
        columns = list(zip(*self.rows, strict=True)) or [()] * 6
        return ExemplarArrays(
            np.array(columns[1], np.float32).reshape(-1, DIM), np.array(columns[0], np.int64),
            np.zeros(len(self.rows), np.int64),
            *(np.array(column, np.float32) for column in columns[2:]),
        )  # fmt: skip

    def ask(
        self,
        references: list[Reference] | None = None,
        base: float = DEFAULT_THRESHOLD,
        rulings: Rulings = NO_RULINGS,
    ) -> tuple[list[MatchingTracklet], list[MatchingTracklet | NearTracklet]]:
        return answer_of(
            replace(make_video(), frame_rate=Fraction(25)),
            self.tracklets,
            self.looks(),
            references or ASKED,
            base,
            behind=self.behind,
            rulings=rulings,
        )

    def found(self, criterion: Criterion, clusters: int) -> tuple[list[MatchingTracklet], list[NearTracklet]]:
        """Sure and possible matches, and near misses, as one of a library of so many clusters."""
        return found_by(
            replace(make_video(), frame_rate=Fraction(25)), self.tracklets, self.looks(), ASKED,
            Limits(criterion, len(ASKED), clusters), self.behind,
        )  # fmt: skip


def numbers(found: Sequence[MatchingTracklet | NearTracklet]) -> list[int]:
    return [item.tracklet.number for item in found]


def test_finds_the_person_and_nobody_else() -> None:
    film = Film()
    film.add(1, 50, 90, face(0.8), face(0.7))
    film.add(2, 100, 140, face(0.05), face(0.1))
    film.add(1, 0, 40, face(0.75))
    hits, misses = film.ask()
    assert numbers(hits) == [3, 1], "in order of time"
    assert misses == []
    for hit in hits:
        assert hit.matched == "photo"
        assert hit.similarity >= hit.threshold >= DEFAULT_THRESHOLD


def test_an_index_without_faces_answers_nothing() -> None:
    assert Film().ask() == ([], [])


def test_a_tracklet_that_alone_falls_short_comes_in_through_its_group() -> None:
    film = Film()
    film.add(1, 0, 70, face(0.8), face(0.8))
    film.add(1, 100, 120, face(0.33), quality=0.2)
    hits, _ = film.ask()
    assert [(hit.tracklet.number, hit.matched) for hit in hits] == [(1, "photo"), (2, "cluster")]
    assert hits[1].similarity < hits[1].threshold
    assert "2 tracklets" in hits[1].explanation


def test_but_not_one_that_looks_like_a_stranger() -> None:
    film = Film()
    film.add(1, 0, 70, face(0.8), face(0.8))
    film.add(1, 100, 120, face(0.0), quality=0.2)
    hits, misses = film.ask()
    assert numbers(hits) == [1]
    assert numbers(misses) == [2]
    assert "in a matching cluster" in misses[0].explanation


def test_one_that_alone_would_pass_stays_out_when_its_group_is_somebody_else() -> None:
    film = Film()
    for start in (0, 100, 200, 300):
        film.add(1, start, start + 75, face(0.05, 0.9), face(0.0, 0.9))
    film.add(1, 400, 410, face(0.5, 0.5), quality=0.2)
    hits, misses = film.ask()
    assert hits == []
    assert numbers(misses) == [5]


def test_who_shares_a_frame_with_a_surer_match_is_somebody_else() -> None:
    film = Film()
    film.add(1, 0, 70, face(0.6, 0.5))
    film.add(2, 20, 90, face(0.8, 0.5))
    hits, misses = film.ask()
    assert numbers(hits) == [2]
    assert numbers(misses) == [1]
    assert "one frame with cluster 2" in misses[0].explanation


def test_a_doubtful_tracklet_of_a_match_does_not_remove_a_sure_one() -> None:
    """A track that went over to somebody in front is in the person's cluster; the person beside it is sure."""
    film = Film()
    film.add(1, 0, 70, face(0.8, 0.5), face(0.8, 0.5))
    film.add(1, 100, 140, face(0.35, 0.5), quality=0.2)
    film.add(2, 120, 190, face(0.7, 0.5), quality=0.4)
    hits, misses = film.ask()
    assert numbers(hits) == [1, 3]
    assert numbers(misses) == [2]
    assert "one frame with tracklet 3" in misses[0].explanation
    assert isinstance(misses[0], NearTracklet)
    assert misses[0].ruled_out


def test_a_tracklet_that_is_no_match_itself_removes_nobody() -> None:
    film = Film()
    film.add(1, 0, 70, face(0.8, 0.5), face(0.8, 0.5))
    film.add(1, 100, 140, face(0.0, 0.5), quality=0.2)
    film.add(2, 120, 190, face(0.6, 0.5), quality=0.4)
    assert numbers(film.ask()[0]) == [1, 3]


def test_a_tracklet_that_is_no_match_itself_does_not_remove_its_own_group() -> None:
    film = Film()
    film.add(1, 0, 190, face(0.8, 0.5), face(0.8, 0.5))
    film.add(2, 200, 270, face(0.7, 0.5), face(0.7, 0.5))
    film.add(2, 100, 140, face(0.0, 0.5), quality=0.2)
    hits, misses = film.ask()
    assert numbers(hits) == [1, 2]
    assert numbers(misses) == [3]


@pytest.mark.parametrize(("similarity", "quality", "found"), [(0.05, 0.03, [1, 2]), (0.05, 0.5, [1])])
def test_a_poor_face_comes_in_with_its_group_where_a_good_one_is_plainly_a_stranger(
    similarity: float, quality: float, found: list[int]
) -> None:
    film = Film()
    film.add(1, 0, 70, face(0.8), face(0.8), face(0.8))
    film.add(1, 100, 120, face(similarity), quality=quality)
    assert numbers(film.ask()[0]) == found


@pytest.mark.parametrize(("similarity", "found"), [(0.3, [1]), (0.6, [1, 2])])
def test_who_is_seen_from_behind_matches_only_by_what_is_visible(similarity: float, found: list[int]) -> None:
    film = Film()
    film.add(1, 0, 70, face(0.8), face(0.8))
    behind = film.add(1, 100, 120, face(similarity), quality=0.2)
    film.behind.add(behind)
    hits, misses = film.ask()
    assert numbers(hits) == found
    assert all("no face is visible" in miss.explanation for miss in misses)


@pytest.mark.parametrize(("width", "found"), [(11, [1, 2]), (12, [1])])
def test_a_face_too_small_for_the_landmark_model_comes_in_with_its_group(
    width: float, found: list[int]
) -> None:
    film = Film()
    film.add(1, 0, 70, face(0.8), face(0.8))
    film.behind.add(film.add(1, 100, 120, face(0.3), quality=0.2, width=width))
    assert numbers(film.ask()[0]) == found


def test_touching_in_time_is_not_sharing_a_frame() -> None:
    film = Film()
    film.add(1, 0, 70, face(0.8, 0.5))
    film.add(2, 70, 90, face(0.8, 0.5))
    assert numbers(film.ask()[0]) == [1, 2]


def test_a_group_that_just_misses_comes_in_when_it_looks_like_the_sure_ones() -> None:
    def film_with(scene_similarity: float) -> Film:
        film = Film()
        film.add(1, 0, 70, face(0.7, 0.7))
        film.add(2, 100, 170, face(DEFAULT_THRESHOLD - 0.03, scene_similarity))
        return film

    assert numbers(film_with(0.8).ask()[0]) == [1, 2]
    assert numbers(film_with(0.0).ask()[0]) == [1]
    alone = Film()
    alone.add(2, 100, 170, face(DEFAULT_THRESHOLD - 0.03, 0.8))
    hits, misses = alone.ask()
    assert hits == []
    assert numbers(misses) == [1]
    assert "below the threshold" in misses[0].explanation


@pytest.mark.parametrize(
    ("similarity", "common", "found"), [(0.47, 0.2, [1]), (0.47, 0.6, [1, 2]), (0.6, 0.2, [1, 2])]
)
def test_a_second_group_far_below_the_first_must_look_like_it(
    similarity: float, common: float, found: list[int]
) -> None:
    """Clustering kept the two apart: a look-alike reaches the threshold, and not much more."""
    film = Film()
    film.add(1, 0, 70, face(0.75, 0.5))
    film.add(2, 100, 170, face(similarity, common))
    assert numbers(film.ask()[0]) == found


@pytest.mark.parametrize(("width", "found"), [(40, [1, 2]), (16, [1])])
def test_but_not_when_it_is_too_small_to_look_like_anybody(width: float, found: list[int]) -> None:
    film = Film()
    film.add(1, 0, 70, face(0.6, 0.6), face(0.6, 0.6))
    film.add(2, 100, 170, face(DEFAULT_THRESHOLD - 0.03, 0.6), width=width)
    assert numbers(film.ask()[0]) == found


def test_a_near_miss_says_what_is_poor_about_it() -> None:
    film = Film()
    film.add(1, 0, 40, face(DEFAULT_THRESHOLD - 0.05), width=18, sharp=0.1, frontal=0.1)
    film.add(2, 100, 140, face(DEFAULT_THRESHOLD - 0.06))
    film.add(3, 200, 240, face(0.0))
    hits, misses = film.ask()
    assert hits == []
    assert numbers(misses) == [1, 2], "nearest first, and no strangers"
    assert all(word in misses[0].explanation for word in ("small (18 px)", "blurred", "from the side"))
    assert "best look" not in misses[1].explanation


def test_little_evidence_must_agree_better() -> None:
    limits = Limits(Criterion(DEFAULT_THRESHOLD, 1.0, default_stranger_rates()), references=1, clusters=10)
    bars = limits.in_one_video([0.0, 0.1, 0.3, 0.5, 5.0]).tolist()
    assert bars == sorted(bars, reverse=True)
    assert bars[0] > DEFAULT_THRESHOLD
    assert bars[-1] == DEFAULT_THRESHOLD
    assert replace(limits, criterion=replace(limits.criterion, threshold=0.6)).in_one_video(
        1.0
    ) == pytest.approx(0.6)


def test_a_good_look_counts_for_more_than_a_poor_one() -> None:
    film = Film()
    number = film.add(1, 0, 40, face(0.9), quality=0.9)
    film.rows.append((number, face(0.0), 0.02, 90, 0.9, 0.9))
    assert film.ask()[0][0].similarity > 0.85


def test_a_tracklet_without_looks_answers_nothing() -> None:
    film = Film()
    film.add(1, 0, 40, face(0.9))
    film.add(1, 60, 90)
    assert numbers(film.ask()[0]) == [1]


def test_one_photo_agrees_as_its_vector_does() -> None:
    vectors = np.stack([face(0.7), face(0.1), face(-0.3)])
    assert similarity_to(ASKED, vectors) == pytest.approx([0.7, 0.1, -0.3], abs=1e-6)


def test_several_photos_know_more_than_one() -> None:
    person = np.eye(DIM, dtype=np.float32)[0]
    photos = [photo(face(0.7)) for _ in range(4)]
    look = np.stack([unit(0.7 * person + 0.7 * np.eye(DIM, dtype=np.float32)[7])])
    alone = [float(similarity_to([one], look)[0]) for one in photos]
    assert float(similarity_to(photos, look)[0]) > max(alone) + 0.05


def test_a_photo_of_somebody_else_among_several_hardly_counts() -> None:
    right = [photo(face(0.9)) for _ in range(3)]
    stray = photo(np.eye(DIM, dtype=np.float32)[1], quality=0.2)
    look = np.stack([np.eye(DIM, dtype=np.float32)[0]])
    assert similarity_to([*right, stray], look)[0] > similarity_to(right, look)[0] - 0.05


def test_a_photo_that_agrees_best_of_all_counts_on_its_own() -> None:
    """A profile among frontal photos: it alone knows the profile in the film."""
    profile = face(0.3, 0.9)
    photos = [*(photo(face(0.95)) for _ in range(4)), photo(profile)]
    found = float(similarity_to(photos, np.stack([profile]))[0])
    assert 0.85 < found < 1.0


@st.composite
def films(draw: st.DrawFn) -> Film:
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    film = Film()
    for _ in range(draw(st.integers(0, 8))):
        start = int(rng.integers(0, 200))
        looks = [unit(rng.normal(0, 0.25, DIM).astype(np.float32) + rng.uniform(0, 0.8) * np.eye(DIM)[0])
                 for _ in range(int(rng.integers(1, 4)))]  # fmt: skip
        quality, person = float(rng.uniform(0.01, 1)), int(rng.integers(1, 6))
        film.add(person, start, start + int(rng.integers(1, 90)), *looks, quality=quality)
    return film


@given(films())
@settings(max_examples=60, deadline=None)
def test_nobody_answers_twice_nor_is_in_one_frame_twice(film: Film) -> None:
    hits, misses = film.ask()
    found = numbers(hits)
    assert len(set(found) | set(numbers(misses))) == len(hits) + len(misses)
    assert hits == sorted(hits, key=lambda hit: (hit.tracklet.start, hit.tracklet.number))
    assert [miss.similarity for miss in misses] == sorted((miss.similarity for miss in misses), reverse=True)
    for one in hits:
        assert (one.matched == "photo") == (one.similarity >= one.threshold)
    for a, b in combinations((hit.tracklet for hit in hits), 2):
        assert a.cluster == b.cluster or a.end <= b.start or b.end <= a.start


@given(films())
@settings(max_examples=30, deadline=None)
def test_a_bar_that_nobody_reaches_lets_nobody_in(film: Film) -> None:
    assert film.ask(base=1.5)[0] == []


def test_a_confirmed_tracklet_matches_whatever_its_similarity_and_outdoes_who_is_in_a_frame_with_it() -> None:
    film = Film()
    poor, alike = film.add(1, 0, 50, face(0.1)), film.add(2, 20, 90, face(0.8))
    assert [match.tracklet.number for match in film.ask()[0]] == [alike]
    matches, near_misses = film.ask(rulings=Rulings(confirmed=frozenset({poor})))
    assert [(match.tracklet.number, match.matched) for match in matches] == [(poor, "decision")]
    assert [miss.tracklet.number for miss in near_misses] == [alike]


def test_two_tracklets_in_one_frame_match_when_both_are_confirmed() -> None:
    film = Film()
    both = {film.add(1, 0, 50, face(0.9)), film.add(2, 20, 90, face(0.8))}
    matches, _ = film.ask(rulings=Rulings(confirmed=frozenset(both)))
    assert {match.tracklet.number for match in matches} == both


def test_an_excluded_tracklet_is_neither_a_match_nor_a_near_miss_and_rules_nobody_out() -> None:
    film = Film()
    wrong, right = film.add(1, 0, 50, face(0.9)), film.add(2, 20, 90, face(0.7))
    matches, near_misses = film.ask(rulings=Rulings(excluded=frozenset({wrong})))
    assert [match.tracklet.number for match in matches] == [right]
    assert not near_misses


def test_the_rest_of_a_cluster_with_a_confirmed_tracklet_matches_too() -> None:
    film = Film()
    profile = face(0.2)
    confirmed = film.add(1, 0, 50, profile)
    rest = film.add(1, 60, 90, profile, quality=0.2)
    matches, _ = film.ask(rulings=Rulings(confirmed=frozenset({confirmed})))
    assert [(match.tracklet.number, match.matched) for match in matches] == [
        (confirmed, "decision"), (rest, "cluster"),
    ]  # fmt: skip


def test_an_unlike_looking_confirmed_tracklet_does_not_keep_a_good_match_out() -> None:
    film = Film()
    profile, frontal = film.add(1, 0, 50, face(0.1)), film.add(2, 60, 90, face(0.5))
    matches, _ = film.ask(rulings=Rulings(confirmed=frozenset({profile})))
    assert [match.tracklet.number for match in matches] == [profile, frontal]


def test_a_refused_cluster_is_a_near_miss_with_the_reason_unless_it_is_confirmed() -> None:
    film = Film()
    number = film.add(1, 0, 50, face(0.8))
    refused = {1: "more similar to other.jpg (0.90)"}
    matches, near_misses = film.ask(rulings=Rulings(refused=refused))
    assert not matches
    assert near_misses[0].explanation.startswith(refused[1])
    matches, _ = film.ask(rulings=Rulings(confirmed=frozenset({number}), refused=refused))
    assert [match.matched for match in matches] == ["decision"]
