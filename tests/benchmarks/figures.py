"""The figures that are promised, each with its target, from the summed scores."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass

from tests.benchmarks.scoring import ClipScore
from tests.benchmarks.scoring_shots import ShotScore
from tests.benchmarks.scoring_tracks import TrackScore

GRADUAL = ("dissolve", "fade_black", "fade_white", "wipe")
NO_CHANGE = ("flash", "strobe", "pan", "passer", "zoom", "lamp")
EXACT_KINDS = ("cut", "occlusion")
WALKING_KINDS = ("enter", "leave")


@dataclass(frozen=True, slots=True)
class Figure:
    """One row of the report."""

    what: str
    value: float | None  # None: nothing to judge it by
    target: str
    passed: bool | None


def at_least(what: str, value: float | None, threshold: float) -> Figure:
    """A figure that must not be below its threshold."""
    return Figure(what, value, f">= {threshold:g}", None if value is None else value >= threshold)


def at_most(what: str, value: float | None, threshold: float) -> Figure:
    """A figure that must not be above its threshold."""
    return Figure(what, value, f"<= {threshold:g}", None if value is None else value <= threshold)


def scenario_figures(
    clips: ClipScore, shots: ShotScore, tracks: TrackScore, crossings: TrackScore, failed: int
) -> list[Figure]:
    """What must be seen over all rendered scenarios."""
    exact = [abs(off) for kind, off in clips.edges if kind in EXACT_KINDS]
    walking = [abs(off) for kind, off in clips.edges if kind in WALKING_KINDS]
    library = tracks.library()
    return [
        at_most("scenarios on which the program failed", failed, 0),
        at_most("clips across a scene change", clips.cuts, 0),
        at_most("clips across a full occlusion of 2 frames or more", clips.hidden, 0),
        at_most("clips across a full occlusion of 1 frame", clips.hidden_one, 0),
        at_most("wrong-person frames", len(clips.wrong), 0),
        at_least("recall, face >= 32 px and half visible", clips.recall if clips.must else None, 0.98),
        at_least("edges at cuts and occlusions that are exact", _share([e == 0 for e in exact]), 0.95),
        at_most("worst edge at cuts and occlusions, frames", max(exact, default=None), 1),
        at_most("worst edge at entering and leaving, frames", max(walking, default=None), 2),
        *shot_figures(shots),
        at_most("partial occlusions that split", _ratio(clips.partial_splits, clips.partials), 0.05),
        at_least("median IoU of boxes", statistics.median(clips.ious) if clips.ious else None, 0.8),
        at_least("purity of tracklets", tracks.purity if tracks.sightings else None, 0.999),
        at_most(
            "identity switches in crossings", crossings.library()["IDSW"] if crossings.clear else None, 0
        ),
        Figure(
            "tracklets a true track (fragmentation)",
            tracks.fragmentation if tracks.stretches else None,
            "",
            None,
        ),
        Figure("HOTA", library["HOTA"] if tracks.clear else None, "", None),
        Figure("IDF1", library["IDF1"] if tracks.clear else None, "", None),
    ]


def shot_figures(shots: ShotScore) -> list[Figure]:
    """What must be seen of the shot detector alone."""
    events = sum(shots.there.get(k, 0) for k in NO_CHANGE)
    fooled = sum(shots.fooled.get(k, 0) for k in NO_CHANGE)
    return [
        at_least("hard cuts: recall", shots.recall("cut") if shots.there.get("cut") else None, 0.98),
        at_least("hard cuts: precision", shots.precision if shots.there.get("cut") else None, 0.98),
        at_least(
            "dissolves, fades, wipes: recall",
            shots.recall(*GRADUAL) if any(k in shots.there for k in GRADUAL) else None,
            0.95,
        ),
        at_least("flash, strobe, pan, passer-by not taken for a cut", _ratio(events - fooled, events), 0.95),
    ]


def media_figures(people: Mapping[str, ClipScore], shots: ShotScore) -> list[Figure]:
    """What must be seen on the footage with hand-checked truth."""
    total = ClipScore()
    for score in people.values():
        total.add(score)
    return [
        at_least("recall, all people", total.recall if total.must else None, 0.99),
        at_least("recall, the worst person", min((s.recall for s in people.values()), default=None), 0.95),
        at_most("wrong frames", len(total.wrong), 0),
        at_most("clips across a cut", total.cuts, 0),
        at_most("clips across a full occlusion", total.hidden + total.hidden_one, 0),
        at_least("median IoU of boxes", statistics.median(total.ious) if total.ious else None, 0.8),
        at_least("cuts: recall", shots.recall("cut") if shots.there.get("cut") else None, 0.98),
        at_least("cuts: precision", shots.precision if shots.there.get("cut") else None, 0.98),
    ]


def _share(hits: list[bool]) -> float | None:
    return sum(hits) / len(hits) if hits else None


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None
