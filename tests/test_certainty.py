"""How sure a match is: more photos, more evidence and more clusters ask for more; what is listed as possible."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise, product
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facereel.indexer.engines.protocol import DEFAULT_CALIBRATION, Threshold, default_stranger_rates
from facereel.indexer.engines.registry import load_engine
from facereel.query.people import strangers
from facereel.query.records import Reference
from facereel.query.search.certainty import SURE_STRANGERS, Limits, stranger_shares
from facereel.store.model.pooling import DEFAULT_THRESHOLD
from facereel.store.model.strangers import MOST_REFERENCES, StrangerRates
from tests.benchmarks.strangers import SECOND_SOURCE
from tests.factories import make_criterion
from tests.test_match import Film, face

QUALITY_SUMS = [0.01, 0.3, 3.0]
COUNTS = st.integers(1, 10_000_000)


def limits(references: int = 1, clusters: int = 10) -> Limits:
    return Limits(make_criterion(), references, clusters)


@given(references=st.integers(1, 20), clusters=COUNTS, more=st.integers(1, 100))
def test_photos_evidence_and_clusters_only_ever_raise_what_is_sure(
    references: int, clusters: int, more: int
) -> None:
    sure = limits(references, clusters).sure(QUALITY_SUMS)
    assert (limits(references + more, clusters).sure(QUALITY_SUMS) >= sure).all()
    assert (limits(references, clusters * (1 + more)).sure(QUALITY_SUMS) >= sure).all()
    assert (sure >= limits(references, 1).in_one_video(QUALITY_SUMS)).all(), "never looser than in one film"


@given(references=st.integers(1, 9), clusters=st.integers(2_000, 10_000_000))
def test_a_tenth_of_a_stranger_is_expected_where_a_match_is_just_sure(references: int, clusters: int) -> None:
    own = limits(references, clusters)
    expected = own.expected_strangers(own.sure(QUALITY_SUMS), QUALITY_SUMS)
    assert expected == pytest.approx(SURE_STRANGERS * clusters / (clusters - 193), rel=0.01)


def test_a_film_is_answered_by_its_threshold_and_a_large_library_is_not() -> None:
    assert limits(9, 193).sure(3.0) == pytest.approx(DEFAULT_THRESHOLD)
    assert DEFAULT_THRESHOLD < limits(3, 1_000).sure(3.0)[0] < limits(3, 200_000).sure(3.0)[0]
    assert 0.55 < limits(3, 200_000).sure(3.0)[0] < 0.66
    assert 0.55 < limits(1, 200_000).sure(3.0)[0] < limits(3, 200_000).sure(3.0)[0]


def test_a_threshold_of_the_user_decides_alone() -> None:
    chosen = Limits(make_criterion(0.3), 3, 2_000_000)
    assert chosen.sure(3.0) == pytest.approx(0.3)


def test_few_videos_of_a_large_library_are_opened() -> None:
    """What is looked at has no more strangers than ten, whatever the library holds."""
    for clusters in (1_000, 200_000, 2_000_000):
        own = limits(3, clusters)
        lowest = own.lowest()
        assert lowest > DEFAULT_THRESHOLD - 0.12
        poorest = own.possible(0.0)
        assert own.expected_strangers(poorest, 0.0)[0] <= 10.01
        assert lowest <= own.possible(QUALITY_SUMS).min()


@given(st.lists(st.floats(0, 100), max_size=30))
def test_the_share_of_strangers_counts_those_that_are_as_good(expected: list[float]) -> None:
    shares = stranger_shares(expected)
    assert len(shares) == len(expected)
    for value, share in zip(expected, shares, strict=True):
        reached = [other for other in expected if other <= value]
        assert share <= min(1.0, max(reached) / len(reached)) + 1e-9
    ordered = [share for _, share in sorted(zip(expected, shares, strict=True))]
    assert ordered == sorted(ordered)


def test_one_that_is_not_sure_any_more_says_that_the_library_grew() -> None:
    film = Film()
    film.add(1, 0, 70, face(0.55))
    (small,), _ = film.found(make_criterion(), clusters=10)
    assert (small.certainty, small.stranger_share) == ("sure", None)
    (large,), _ = film.found(make_criterion(), clusters=200_000)
    assert large.certainty == "possible"
    assert "sure in a few videos (from 0.44 on)" in large.explanation
    assert "200,000 clusters" in large.explanation
    assert large.threshold > large.similarity > small.threshold
    assert large.expected_strangers > SURE_STRANGERS > small.expected_strangers


def test_two_in_one_frame_are_not_both_possible() -> None:
    film = Film()
    film.add(1, 0, 70, face(0.40))
    film.add(2, 20, 90, face(0.38))
    matches, near_misses = film.found(make_criterion(), clusters=10)
    assert [(match.tracklet.number, match.certainty) for match in matches] == [(1, "possible")]
    assert [miss.tracklet.number for miss in near_misses] == [2]
    assert "one frame with cluster 1" in near_misses[0].explanation


def test_the_default_calibration_is_above_a_second_source() -> None:
    rates = default_stranger_rates()
    for number, points in SECOND_SOURCE.items():
        for similarity, share in points:
            assert rates.rate_of([similarity], number, [3.0])[0] >= share


def test_the_default_calibration_says_what_it_was_measured_on() -> None:
    document = json.loads(DEFAULT_CALIBRATION.read_text(encoding="utf-8"))
    engine = load_engine().info
    assert document["engine"]["recognizer_sha256"] == engine.recognizer_sha256
    assert document["engine"]["landmarks_sha256"] == engine.landmarks_sha256
    assert (document["people"], document["photos"]) == (24, 240)
    assert document["strangers"]["measured_to"] == pytest.approx(1.8e-5)
    fit, upper = (np.array(document["strangers"][key]) for key in ("fit", "similarities"))
    assert fit.shape == upper.shape == (MOST_REFERENCES, 3, 9)
    assert (upper >= fit).all(), "the upper end of an interval"


def test_an_engine_without_a_calibration_has_the_default_scaled() -> None:
    other = Threshold(0.22, "made up").stranger_rates
    np.testing.assert_allclose(other.similarities, default_stranger_rates().similarities / 2)
    assert Threshold(0.22, "made up", other).stranger_rates is other


@pytest.mark.parametrize(
    "harm",
    [
        {"rates": [0.1]}, {"rates": [0.1] * 9}, {"similarities": [[[0.1] * 9] * 3]}, {"evidence": [0.1, 0.2, 0.8]},
        {"similarities": [[[float("nan")] * 9] * 3] * 9}, {"similarities": "many"}, {"evidence": None},
    ],
)  # fmt: skip
def test_a_calibration_that_cannot_be_is_refused(harm: dict[str, Any]) -> None:
    document = default_stranger_rates().to_document()
    again = StrangerRates.from_document(document)
    np.testing.assert_allclose(again.similarities, default_stranger_rates().similarities, atol=1e-4)
    with pytest.raises((ValueError, TypeError, LookupError)):
        StrangerRates.from_document(document | harm)


@pytest.fixture(scope="module")
def crowd() -> list[strangers.PersonFaces]:
    """Sixteen people whose photos scatter around a direction of their own, as the photos of a recogniser do."""
    rng = np.random.default_rng(4)
    people = []
    for _ in range(16):
        own = rng.normal(size=(1, 64)) + 0.8 * rng.normal(size=(8, 64)) + 0.4
        vectors = (own / np.linalg.norm(own, axis=1, keepdims=True)).astype(np.float32)
        references = tuple(Reference("x.jpg", "", np.zeros(4, np.float32), vector, 1.0) for vector in vectors)
        qualities = rng.uniform(0.1, 0.7, 8).astype(np.float32)
        people.append(
            strangers.PersonFaces(references, vectors, qualities, np.arange(8), np.zeros(8, np.int64))
        )
    return people


def test_a_calibration_counts_strangers_as_they_are(
    crowd: list[strangers.PersonFaces], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, smaller in (("_SAMPLES", 10), ("_CLUSTERS", 60), ("_QUESTIONS", 6)):
        monkeypatch.setattr(strangers, name, smaller)
    measured = strangers.measure(crowd, 1.0)
    assert measured.people == 16
    assert measured.photos == 128
    fit, upper = measured.fit, measured.rates.similarities
    assert (upper >= fit).all()
    for curves in (fit, upper):
        assert all((after >= before).all() for before, after in pairwise(curves)), "by photos"
        assert (np.diff(curves, axis=1) >= 0).all(), "by evidence"
        assert (np.diff(curves, axis=2) >= 0).all(), "by rate"
    # Photos against photos: of one photo and one crop, one in a hundred reaches about what is measured with evidence.
    alike = np.array([
        float(a.embedding @ b)
        for one, other in product(crowd, crowd) if one is not other
        for a in one.references for b in other.embeddings
    ])  # fmt: skip
    assert np.quantile(alike, 0.99) == pytest.approx(fit[0, 1, 1], abs=0.06)
    raised = replace(measured.rates, similarities=upper + 0.1)
    assert strangers.measure(crowd, 1.0, raised).rates.similarities == pytest.approx(upper + 0.1)
