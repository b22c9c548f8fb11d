"""What a query searched and what it left out and why, in numbers, as metadata.json and --json have it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from facereel.query.search.search import Answer, SkippedVideo


def told(
    answer: Answer, min_duration: float, too_short: int, not_cut: Sequence[SkippedVideo]
) -> dict[str, Any]:
    """One person's search; names of files, no paths.

    `too_short` are matches dropped by `min_duration`, seconds; `not_cut` videos that are gone or changed.
    """
    counts = answer.counts.values()
    return {
        "videos": len(counts),
        "tracklets": sum(one.tracklets for one in counts),
        "looks": sum(one.looks for one in counts),
        "left_out": [{"video": item.name, "why": item.kind} for item in answer.where.left_out],
        "not_cut": [{"video": item.name, "why": item.kind} for item in not_cut],
        "tracklets_without_a_look": sum(one.lookless for one in counts),
        "matches": len(answer.matches),
        "just_missed": len(answer.misses),
        "min_duration": min_duration,
        "too_short": too_short,
    }
