"""Thresholds measured on photos: correct on known data, written to a file, read by the engine's choice."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from facereel.indexer.engines.choice import calibrated
from facereel.indexer.engines.registry import load_engine
from facereel.query.people import calibration, strangers
from facereel.query.records import PersonQuery, Reference
from facereel.store.model.errors import EngineMismatchError, OptionError
from facereel.store.model.records import Floats
from tests.fake_engine import PEOPLE, write_photo
from tests.program import Run

FAKE = ("--engine", "fake")


def person_query(vectors: Floats) -> PersonQuery:
    box = np.zeros(4, np.float32)
    return PersonQuery("x", tuple(Reference("x.jpg", "0" * 64, box, vector, 1.0) for vector in vectors), ())


def crowd(seed: int, people: int = 12, photos: int = 6, dim: int = 32) -> list[PersonQuery]:
    """People whose photos scatter around a direction of their own."""
    rng = np.random.default_rng(seed)
    own = rng.normal(size=(people, 1, dim)) + 0.7 * rng.normal(size=(people, photos, dim))
    vectors = own / np.linalg.norm(own, axis=-1, keepdims=True)
    return [person_query(person.astype(np.float32)) for person in vectors]


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6))
def test_no_more_strangers_pass_than_the_rate_says(seed: int) -> None:
    people = crowd(seed)
    measured = calibration.measure(people, load_engine("fake"))
    assert (len(measured.same), len(measured.different)) == (12 * 15, 66 * 36)
    one = np.sort(measured.different)
    plain = np.sort([
        float(a.embedding @ b.embedding) for p, q in product(people, people) if people.index(p) < people.index(q)
        for a in p.references for b in q.references
    ])  # fmt: skip
    np.testing.assert_allclose(one, plain, atol=1e-5)
    for point in measured.points:
        if point.threshold is None:
            assert point.rate == 1e-4
            continue
        assert (measured.different >= point.threshold).mean() <= point.rate
        assert (measured.different >= point.threshold - 1e-3).mean() >= point.rate - 1 / len(one) - 0.02
        assert point.true_match_rate == (measured.same >= point.threshold).mean()
    thresholds = [point.threshold for point in measured.points if point.threshold is not None]
    assert thresholds == sorted(thresholds)
    assert measured.threshold == pytest.approx(thresholds[1] * calibration.FILMS_OVER_PHOTOS)


def test_too_few_photos_are_refused() -> None:
    with pytest.raises(OptionError, match="10 people with 5 photos"):
        calibration.measure(crowd(0, people=4), load_engine("fake"))


@pytest.fixture(autouse=True)
def few_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    """How well strangers are counted is another test's question."""
    for name, smaller in (("_SAMPLES", 5), ("_CLUSTERS", 20), ("_QUESTIONS", 3)):
        monkeypatch.setattr(strangers, name, smaller)


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six hues with ten photos each."""
    folder = tmp_path_factory.mktemp("people")
    for person, number in product(PEOPLE, range(10)):
        write_photo(folder / person / f"{number}.png", person, size=(200 + 4 * number, 200))
    return folder


def test_a_calibration_is_measured_drawn_written_and_used(
    run: Run, people: Path, store: Path, photos: Path, tmp_path: Path
) -> None:
    result = run("engines", "--calibrate", people, *FAKE, "--out", tmp_path / "out", "--store", store)
    assert result.exit_code == 0, result.output
    assert "60 photos of 6 people, 270 pairs of one person, 1,500 of two" in result.stdout
    assert "too few pairs" in result.stdout
    file = tmp_path / "out" / "calibration-fake.json"
    known = json.loads(file.read_text())
    assert known["engine"]["recognizer_sha256"] == load_engine("fake").info.recognizer_sha256
    assert [row["rate"] for row in known["rates"]] == [1e-2, 1e-3, 1e-4]
    assert 0 < known["threshold"] < 0.2
    assert np.shape(known["strangers"]["similarities"]) == (9, 3, 9)
    with Image.open(file.with_suffix(".png")) as plot:
        assert plot.size == (960, 540)
        assert np.asarray(plot).std() > 10
    ask = ("query", photos / "red.png", "--store", store, "--dry-run", "--json", *FAKE)
    plain = run(*ask)
    assert json.loads(plain.stdout)["results"][0]["threshold"] == pytest.approx(0.44)
    chosen = run(*ask, "--calibration", file)
    assert json.loads(chosen.stdout)["results"][0]["threshold"] == pytest.approx(known["threshold"])
    assert f"{known['threshold']:.2f} from {file}" in chosen.stderr
    (store / file.name).write_bytes(file.read_bytes())
    assert json.loads(run(*ask).stdout)["results"][0]["threshold"] == pytest.approx(known["threshold"])
    assert json.loads(run(*ask, "--threshold", "0.5").stdout)["results"][0]["threshold"] == 0.5
    older = tmp_path / "older.json"
    before = {("bar" if key == "threshold" else key): value for key, value in known.items()}
    older.write_text(json.dumps(before | {"schema": "facereel.calibration/1"}))
    assert json.loads(run(*ask, "--calibration", older).stdout)["results"][0]["threshold"] == pytest.approx(
        known["threshold"]
    )
    other = run("query", photos / "red.png", "--store", store, "--engine", "fake-new", "--calibration", file)
    assert other.exit_code == 1
    assert "other weights" in other.stderr


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"schema": "facereel.calibration/1"}', '{"schema": "else", "threshold": 0.4}', None],
)
def test_a_file_that_is_no_calibration_is_refused(text: str | None, tmp_path: Path) -> None:
    path = tmp_path / "wrong.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(OptionError, match=r"wrong\.json is no calibration") as caught:
        calibrated(load_engine("fake"), path, tmp_path, lambda text: None)
    assert "\n" not in str(caught.value)


def test_a_threshold_out_of_range_or_of_other_weights_is_refused(tmp_path: Path) -> None:
    measured = calibration.measure(crowd(1), load_engine("fake"))
    file, _ = calibration.write(measured, tmp_path)
    with pytest.raises(EngineMismatchError, match="other weights"):
        calibrated(load_engine("fake-new"), file, tmp_path, lambda text: None)
    file.write_text(json.dumps(json.loads(file.read_text()) | {"threshold": 1.5}))
    with pytest.raises(OptionError, match=r"1\.5"):
        calibrated(load_engine("fake"), file, tmp_path, lambda text: None)
