"""Measures an engine's threshold on the user's own photos, one folder a person, and writes it into a JSON file.

Every photo is compared with every other. The threshold for films is derived from the similarity that one in a
thousand pairs of different people reaches. One in ten thousand would be closer to what films need, but is less
stable: measured on one half of the people or the other, it differs by 0.04 instead of 0.02. How rare more similar
strangers are, by the number of photos and the evidence, is measured by strangers.py and written beside it.

The default engine's own file, indexer/engines/calibration-opencv-zoo.json, is what `facereel engines --calibrate faces
--out indexer/engines` writes of 240 photos of 24 people; its `threshold` is not used, films decide that.

`indexer/engines/choice.py` reads the file.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from facereel.indexer.engines.choice import CALIBRATION_SCHEMA, calibration_file_name
from facereel.indexer.engines.protocol import FaceEngine, default_stranger_rates
from facereel.store.files.disk import atomic_file, make_folder
from facereel.store.files.names import printable, with_escapes
from facereel.store.model.errors import OptionError, UnwritableError
from facereel.store.model.pooling import DEFAULT_THRESHOLD
from facereel.store.model.records import EngineInfo, Floats

if TYPE_CHECKING:
    from facereel.query.people.strangers import Measured
    from facereel.query.records import PersonQuery

FALSE_MATCH_RATES = (1e-2, 1e-3, 1e-4)  # shares of the pairs of different people that pass
THRESHOLD_RATE = 1e-3  # the one from which the threshold for films is derived
# Films need a higher threshold than photos. For the default engine it is DEFAULT_THRESHOLD by films, and 0.383 by
# photos at THRESHOLD_RATE (240 photos of 24 people).
FILMS_OVER_PHOTOS = DEFAULT_THRESHOLD / 0.383
DEFAULT_PEOPLE = 24  # of the default engine's own calibration
MIN_SAME_PAIRS = 20  # with fewer pairs of one person, their share above a threshold says little

Scores = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """The threshold for one false match rate, and the true match rate there."""

    rate: float  # share of the pairs of different people at or above the threshold, at most
    threshold: float | None  # None: there are too few pairs to measure it
    true_match_rate: float | None  # share of the pairs of one person at or above the threshold


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """Similarities of all pairs of photos, and the thresholds that follow."""

    engine: EngineInfo
    people: int
    photos: int
    same: Scores  # (S,) similarities of photos of one person
    different: Scores  # (T,) of photos of two people
    points: tuple[OperatingPoint, ...]
    strangers: Measured | None = None  # how rare similar strangers are; None: not measured

    @property
    def threshold(self) -> float:
        """The threshold for films, a cosine similarity."""
        for_photos = next(
            point.threshold
            for point in self.points
            if point.rate == THRESHOLD_RATE and point.threshold is not None
        )
        return float(np.clip(FILMS_OVER_PHOTOS * for_photos, 0.01, 0.99))


def measure(people: Sequence[PersonQuery], engine: FaceEngine) -> Calibration:
    """Compare every photo with every other; raises OptionError when there are too few photos."""
    vectors = np.stack([photo.embedding for person in people for photo in person.references])
    labels = np.array([number for number, person in enumerate(people) for _ in person.references])
    same, different = _pairs(vectors, labels)
    needed = round(1 / THRESHOLD_RATE)
    if len(different) < needed or len(same) < MIN_SAME_PAIRS:
        raise OptionError(
            f"{len(people)} people with {len(vectors)} photos make {len(same)} pairs of one person and "
            f"{len(different)} of two people; {MIN_SAME_PAIRS} and {needed:,} are needed: give 10 people with 5 "
            "photos or more"
        )
    points = tuple(_operating_point(same, different, rate) for rate in FALSE_MATCH_RATES)
    return Calibration(engine.info, len(people), len(vectors), same, different, points)


def with_strangers(measured: Calibration, people: Sequence[PersonQuery], engine: FaceEngine) -> Calibration:
    """The calibration with how rare similar strangers are to the photos of these people.

    Few people say little about one stranger in a million: from 12 of 24 people follows 0.52 or 0.64 for three photos in
    a library of 200,000 clusters, as the half is, from all 24 0.63. With fewer than those the similarities are at least
    the default engine's, scaled.
    """
    from facereel.query.people import strangers  # which only a calibration needs

    faces = [
        strangers.read_faces([Path(photo.path) for photo in person.references], engine) for person in people
    ]
    scale = measured.threshold / DEFAULT_THRESHOLD
    few = len(people) < DEFAULT_PEOPLE
    at_least = default_stranger_rates().scaled(scale) if few else None
    return replace(measured, strangers=strangers.measure(faces, scale, at_least))


def write(measured: Calibration, folder: Path) -> tuple[Path, Path]:
    """Write `calibration-<engine>.json` and a plot beside it as PNG; raises UnwritableError."""
    target = folder / calibration_file_name(measured.engine)
    document: dict[str, Any] = {
        "schema": CALIBRATION_SCHEMA, "engine": asdict(measured.engine), "threshold": round(measured.threshold, 4),
        "people": measured.people, "photos": measured.photos, "pairs_of_one_person": len(measured.same),
        "pairs_of_two_people": len(measured.different), "rates": [asdict(point) for point in measured.points],
        "date": datetime.now(timezone.utc).date().isoformat(),
    }  # fmt: skip
    if measured.strangers is not None:
        document["strangers"] = measured.strangers.to_document()
    try:
        make_folder(folder)
        with atomic_file(target.with_suffix(".png")) as unfinished:
            _plot(measured, unfinished)
            unfinished.chmod(0o600)  # it may lie in a store
        with atomic_file(target) as unfinished:
            unfinished.write_text(json.dumps(with_escapes(document), indent=1) + "\n", encoding="utf-8")
            unfinished.chmod(0o600)
    except OSError as error:
        raise UnwritableError(
            f"{printable(folder)} cannot be written ({error.strerror}); choose another --out"
        ) from error
    return target, target.with_suffix(".png")


def _pairs(vectors: Floats, labels: NDArray[np.int64]) -> tuple[Scores, Scores]:
    """Similarities of all pairs of photos (N, D), whose people are `labels` (N,): of one person, and of two."""
    one, other = np.triu_indices(len(vectors), 1)
    table = (vectors.astype(np.float64) @ vectors.T.astype(np.float64))[one, other]
    same = labels[one] == labels[other]
    return table[same], table[~same]


def _operating_point(same: Scores, different: Scores, rate: float) -> OperatingPoint:
    """The lowest threshold at which no more than the share `rate` of the pairs of different people passes."""
    if len(different) * rate < 1:
        return OperatingPoint(rate, None, None)
    ordered = np.sort(different)[::-1]
    threshold = float(np.nextafter(ordered[int(rate * len(ordered))], np.inf))
    return OperatingPoint(rate, threshold, float((same >= threshold).mean()))


def _plot(measured: Calibration, path: Path) -> None:
    """Draw the similarities of pairs of one person and of two as histograms, with the thresholds."""
    from matplotlib.figure import Figure  # takes 0.3 s, which other commands should not spend

    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.add_subplot()
    edges = np.linspace(-0.4, 1, 71).tolist()
    for scores, colour, name in (
        (measured.different, "tab:red", f"two people ({len(measured.different):,} pairs)"),
        (measured.same, "tab:blue", f"one person ({len(measured.same):,} pairs)"),
    ):
        weights = np.full(len(scores), 1 / len(scores))
        axes.hist(scores, edges, weights=weights, color=colour, alpha=0.5, label=name)
    for point, style in zip(measured.points, (":", "-", "--"), strict=True):
        if point.threshold is not None:
            label = f"{point.threshold:.2f}: false {point.rate:g}, true {point.true_match_rate:.3f}"
            axes.axvline(point.threshold, color="black", linestyle=style, label=label)
    axes.set(xlabel="cosine similarity", ylabel="share of pairs", title=f"{measured.engine.name}: {measured.photos} "
             f"photos of {measured.people} people")  # fmt: skip
    axes.legend()
    figure.savefig(path, dpi=120, format="png")
