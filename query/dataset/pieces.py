"""Which frames of a clip become which pieces. Arithmetic: decodes nothing and writes nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facereel.query.dataset.options import DatasetOptions
from facereel.query.records import ClipPlan, FrameFacts
from facereel.store.model.records import Bools, Ints

# Another face in the crop that is as large as this, in sizes of the face, makes it two.
ONE_FACE_SIZE = 0.3
# Frames over which yaw and sharpness are the median: estimates that leap in a single frame.
_STEADY = 5
# A cut costs its loudness in decibels above silence and this, so that silence is not cut more often than is needed.
_CUT_COST = 10.0


@dataclass(frozen=True, slots=True)
class Filtered:
    """What a filter left out."""

    stretches: int = 0  # runs of frames
    seconds: float = 0.0

    def __add__(self, other: Filtered) -> Filtered:
        return Filtered(self.stretches + other.stretches, self.seconds + other.seconds)


def failures(clip: ClipPlan, options: DatasetOptions) -> dict[str, Bools]:
    """In which of its N frames a clip fails which filter, in the order in which they are counted."""
    facts = clip.facts
    if facts is None:
        raise ValueError("a clip without facts cannot be filtered")
    everywhere = np.ones(len(clip.sightings), np.bool_)
    failed = {}
    if options.min_similarity is not None:
        failed["similarity"] = everywhere & (clip.match.similarity < options.min_similarity)
    if options.min_face is not None:
        failed["small_face"] = clip.sightings.boxes[:, 2] < options.min_face
    failed["upscale"] = upscales(clip) > options.max_upscale
    if options.one_face:
        sizes = facts.other_face_sizes
        failed["other_face"] = everywhere if sizes is None else sizes >= ONE_FACE_SIZE
    if options.max_yaw is not None:
        failed["yaw"] = everywhere if facts.yaws is None else np.abs(_steady(facts.yaws)) > options.max_yaw
    if options.min_sharpness is not None:
        sharpness = facts.sharpness
        failed["blur"] = everywhere if sharpness is None else _steady(sharpness) < options.min_sharpness
    return failed


def upscales(clip: ClipPlan) -> NDArray[np.float32]:
    """How many times larger the picture of a clip is than its crop, in each frame (N,)."""
    return np.asarray(clip.width / clip.crops[:, 2], np.float32)


def good_stretches(
    clip: ClipPlan, failed: Mapping[str, Bools], min_seconds: float
) -> tuple[list[tuple[int, int]], dict[str, Filtered]]:
    """The runs [start, end) of a clip's frames, counted from its first, that pass all filters and are long enough.

    Also what was left out, by the first filter that failed; `short` is what passes and is too short.
    """
    count = len(clip.sightings)
    reasons = np.full(count, -1)
    for number, frames in reversed(list(enumerate(failed.values()))):
        reasons[frames] = number
    names, good, filtered = list(failed), [], dict[str, Filtered]()
    for start, end in _runs(reasons):
        reason = "short" if reasons[start] < 0 else names[reasons[start]]
        seconds = _seconds(clip, start, end)
        if reasons[start] < 0 and seconds >= min_seconds:
            good.append((start, end))
        else:
            filtered[reason] = filtered.get(reason, Filtered()) + Filtered(1, float(seconds))
    return good, filtered


def split(
    ticks: Ints, loudness: NDArray[np.float64], time_base: Fraction, options: DatasetOptions
) -> list[tuple[int, int]]:
    """Frames (N,) in pieces [start, end) of the wanted lengths, one after the other, cut where it is quietest.

    ticks (N + 1,): when each frame is shown, and when the last one ends; loudness (N + 1,) decibels above silence at
    each of these. Where single frames last for seconds, those at the end may fill no piece.
    """
    shortest = -(-Fraction(options.min_seconds) // time_base)  # ticks
    longest = Fraction(options.max_seconds) // time_base
    costs = np.full(len(ticks), np.inf)
    before = np.zeros(len(ticks), np.int64)
    costs[0] = 0.0
    own = loudness + _CUT_COST
    firsts = np.searchsorted(ticks, ticks - int(longest), "left")
    lasts = np.searchsorted(ticks, ticks - int(shortest), "right")
    for end, (first, last) in enumerate(zip(firsts.tolist(), lasts.tolist(), strict=True)):
        if first < last:
            place = first + int(costs[first:last].argmin())
            costs[end], before[end] = costs[place] + own[end], place
    end = int(np.flatnonzero(np.isfinite(costs))[-1])
    pieces = []
    while end > 0:
        pieces.append((int(before[end]), end))
        end = int(before[end])
    return pieces[::-1]


def piece_of(clip: ClipPlan, start: int, end: int, file: str) -> ClipPlan:
    """The frames [start, end) of a clip, counted from its first, as a clip of its own."""
    frames, facts = slice(start, end), clip.facts
    sightings = clip.sightings
    return replace(
        clip, file=file, start=clip.start + start, end=clip.start + end, person_start=clip.start + start,
        person_end=clip.start + end, ticks=clip.ticks[start : end + 1],
        sightings=replace(
            sightings, frames=sightings.frames[frames], boxes=sightings.boxes[frames],
            scores=sightings.scores[frames], sources=sightings.sources[frames],
        ),
        crops=clip.crops[frames], facts=None if facts is None else _facts_of(facts, frames),
    )  # fmt: skip


def _facts_of(facts: FrameFacts, frames: slice) -> FrameFacts:
    parts: dict[str, Any] = {}
    for one in fields(facts):
        values = getattr(facts, one.name)
        parts[one.name] = None if values is None else values[frames]
    return FrameFacts(**parts)


def _seconds(clip: ClipPlan, start: int, end: int) -> Fraction:
    return int(clip.ticks[end] - clip.ticks[start]) * clip.match.video.time_base


def _runs(values: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    edges = [0, *(np.flatnonzero(np.diff(values)) + 1).tolist(), len(values)]
    yield from pairwise(edges)


def _steady(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """The median of each value and its neighbours."""
    padded = np.pad(values, _STEADY // 2, mode="edge")
    return np.asarray(
        np.median(np.lib.stride_tricks.sliding_window_view(padded, _STEADY), axis=1), np.float32
    )


def total(counts: Sequence[Mapping[str, Filtered]]) -> dict[str, Filtered]:
    """What filters left out in several clips."""
    found: dict[str, Filtered] = {}
    for own in counts:
        for reason, filtered in own.items():
            found[reason] = found.get(reason, Filtered()) + filtered
    return found
