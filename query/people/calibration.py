"""Where strangers stop for an engine, measured on somebody's own photos: a folder a person, kept as a JSON file.

Every photo is held against every other. The threshold for films follows from the similarity that a stranger's photo
reaches once in a thousand pairs: rarer ones would say it directly, but half of the people then move it by 0.04 and
not by 0.02.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from facereel.indexer.engines.engine import Calibrated, Compute, FaceEngine, Threshold, load_engine
from facereel.store.files.folders import atomic_file, make_folder, printable
from facereel.store.model.errors import EngineMismatchError, OptionError, UnwritableError
from facereel.store.model.pooling import DEFAULT_THRESHOLD
from facereel.store.model.records import EngineInfo, Floats

if TYPE_CHECKING:
    from facereel.query.people.photos import PersonQuery

SCHEMA = "facereel.calibration/1"
RATES = (1e-2, 1e-3, 1e-4)  # false matches among pairs of different people
TAKEN = 1e-3
# How far the threshold for films lies above that: films gave the default engine its own, photos (240 of 24 people)
# 0.386.
FILMS = DEFAULT_THRESHOLD / 0.386
ENOUGH_SAME = 20  # pairs of one person, below which a share of true matches says little

Scores = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Point:
    """A threshold for a rate of false matches, and what it lets through."""

    rate: float
    threshold: float | None  # None: too few pairs to tell
    found: float | None  # share of pairs of one person at or above the threshold


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """What was measured."""

    engine: EngineInfo
    people: int
    photos: int
    same: Scores  # (S,) similarities of photos of one person
    different: Scores  # (T,) of photos of two people
    points: tuple[Point, ...]

    @property
    def threshold(self) -> float:
        """The threshold for films."""
        found = next(
            point.threshold for point in self.points if point.rate == TAKEN and point.threshold is not None
        )
        return float(np.clip(FILMS * found, 0.01, 0.99))


def measure(people: Sequence[PersonQuery], engine: FaceEngine) -> Calibration:
    """Hold every photo against every other; raises OptionError when there are too few to tell."""
    vectors = np.stack([photo.embedding for person in people for photo in person.references])
    who = np.array([number for number, person in enumerate(people) for _ in person.references])
    same, different = _pairs(vectors, who)
    needed = round(1 / TAKEN)
    if len(different) < needed or len(same) < ENOUGH_SAME:
        raise OptionError(
            f"{len(people)} people with {len(vectors)} photos make {len(same)} pairs of one person and "
            f"{len(different)} of two; {ENOUGH_SAME} and {needed:,} are needed: give 10 people with 5 photos or more"
        )
    points = tuple(_point(same, different, rate) for rate in RATES)
    return Calibration(engine.info, len(people), len(vectors), same, different, points)


def write(measured: Calibration, folder: Path) -> tuple[Path, Path]:
    """Write `calibration-<engine>.json` and a plot beside it as PNG; raises UnwritableError."""
    target = folder / file_name(measured.engine)
    document = {
        "schema": SCHEMA, "engine": asdict(measured.engine), "threshold": round(measured.threshold, 4),
        "people": measured.people, "photos": measured.photos, "pairs_of_one_person": len(measured.same),
        "pairs_of_two_people": len(measured.different), "rates": [asdict(point) for point in measured.points],
    }  # fmt: skip
    try:
        make_folder(folder)
        with atomic_file(target.with_suffix(".png")) as unfinished:
            _plot(measured, unfinished)
            unfinished.chmod(0o600)  # it may lie in a store
        with atomic_file(target) as unfinished:
            unfinished.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
            unfinished.chmod(0o600)
    except OSError as error:
        raise UnwritableError(
            f"{printable(folder)} cannot be written ({error.strerror}); choose another --out"
        ) from error
    return target, target.with_suffix(".png")


def file_name(engine: EngineInfo) -> str:
    """`calibration-opencv-zoo.json`: under this name a store's own calibration is taken up."""
    return f"calibration-{engine.name}.json"


@dataclass(frozen=True, slots=True)
class ChosenEngine:
    """An engine as somebody asked for it; a call loads it, be it in another process."""

    name: str
    compute: Compute
    calibration: Path | None
    store: Path

    def __call__(self, tell: Callable[[str], None] = lambda text: None) -> FaceEngine:
        """Load it with its threshold; `tell` hears where that is from. Raises as load_engine and calibrated do."""
        return calibrated(self.loaded(), self.calibration, self.store, tell)

    def shared(self, jobs: int) -> ChosenEngine:
        """The same for each of several processes at once."""
        return replace(self, compute=self.compute.shared(jobs))

    def loaded(self) -> FaceEngine:
        """Load it as it comes, without calibration."""
        return load_engine(self.name, self.compute)


def calibrated(engine: FaceEngine, file: Path | None, store: Path, tell: Callable[[str], None]) -> FaceEngine:
    """The engine with the threshold of `file`, else of the store's own file, else as it is; `tell` hears of it.

    Raises OptionError for a file that cannot be read, EngineMismatchError for one of other weights.
    """
    of_store = store / file_name(engine.info)
    chosen = file or (of_store if of_store.is_file() else None)
    if chosen is None:
        return engine
    threshold = _read(chosen, engine.info)
    tell(f"{engine.info.name}: the bar is {threshold.value:.2f} by {printable(chosen)}")
    return Calibrated(engine, threshold)


def _read(path: Path, engine: EngineInfo) -> Threshold:
    try:
        document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if document["schema"] != SCHEMA:
            raise ValueError(f"schema {document['schema']!r}")
        value, made_for = float(document["threshold"]), EngineInfo(**document["engine"])
        if not 0 < value < 1:
            raise ValueError(f"bar {value:g}")
        source = f"{int(document['photos'])} photos of {int(document['people'])} people, {path.name}"
    except (OSError, ValueError, TypeError, LookupError) as error:
        reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
        raise OptionError(
            f"{printable(path)} is no calibration ({reason}); make one: python cli.py engines --calibrate FOLDER"
        ) from error
    if made_for.recognizer_sha256 != engine.recognizer_sha256:
        raise EngineMismatchError(
            f"{printable(path)} was measured with other weights ({made_for.name}) than {engine.name} has; "
            f"run: python cli.py engines --calibrate FOLDER --engine {engine.name}"
        )
    return Threshold(value, source)


def _pairs(vectors: Floats, who: NDArray[np.int64]) -> tuple[Scores, Scores]:
    """Similarities of all pairs of photos (N, D): of one person, and of two."""
    one, other = np.triu_indices(len(vectors), 1)
    table = (vectors.astype(np.float64) @ vectors.T.astype(np.float64))[one, other]
    alike = who[one] == who[other]
    return table[alike], table[~alike]


def _point(same: Scores, different: Scores, rate: float) -> Point:
    """The lowest threshold at which no more than that share of false pairs passes."""
    if len(different) * rate < 1:
        return Point(rate, None, None)
    ordered = np.sort(different)[::-1]
    threshold = float(np.nextafter(ordered[int(rate * len(ordered))], np.inf))
    return Point(rate, threshold, float((same >= threshold).mean()))


def _plot(measured: Calibration, path: Path) -> None:
    """Draw how similar photos of one person and of two are, with the thresholds."""
    from matplotlib.figure import Figure  # 0.3 s that nobody else should wait for

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
            label = f"{point.threshold:.2f}: false {point.rate:g}, true {point.found:.3f}"
            axes.axvline(point.threshold, color="black", linestyle=style, label=label)
    axes.set(xlabel="cosine similarity", ylabel="share of pairs", title=f"{measured.engine.name}: {measured.photos} "
             f"photos of {measured.people} people")  # fmt: skip
    axes.legend()
    figure.savefig(path, dpi=120, format="png")
