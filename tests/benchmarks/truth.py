"""Exact truth of a rendered video, in the format of the hand-checked truth files and somewhat more.

`shots`, `people.<name>.frames`, `may` and `hidden` mean what they mean there. Added:

`width`, `height`  pixels of the picture as a viewer sees it
`changes`          [kind, start, end]: a cut has start == end, a gradual change the frames that show both
`events`           [kind, start, end]: what must not be taken for something else
`people.<name>.seen`       {frame: [x, y, w, h, share]}, the whole box and the visible share of the face
`people.<name>.stretches`  where a clip should be: frames; of both ends the kind and the exact window
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from tests.benchmarks.render import Event, Scene, Seen

GONE = 0.02  # share of a face below which it is not to be seen; soft edges leave a rest
PLAIN = 0.5  # the share from which it must be found
SMALLEST = 32  # pixels of face width from which it must be found


def describe(
    name: str, scene: Scene, faces_by_frame: list[list[Seen]], references: dict[str, list[str]]
) -> dict[str, Any]:
    """The truth of a scene from what was drawn in each of its frames."""
    changes, spans = timeline(scene)
    blinded = {f for e in scene.events if e.kind in ("flash", "strobe") for f in range(e.start, e.end)}
    people = {
        person: _person(person, scene.size, faces_by_frame, spans, changes, blinded)
        | {"references": references[person]}
        for person in sorted({s.person for frame in faces_by_frame for s in frame})
    }
    return {
        "video": name,
        "width": scene.size[0],
        "height": scene.size[1],
        "frames": len(faces_by_frame),
        "shots": [0] + [(a + b + 1) // 2 for _, a, b in changes],
        "unsure_cuts": [],
        "ghost_frames": [],
        "changes": changes,
        "events": [[e.kind, e.start, e.end] for e in scene.events],
        "people": people,
    }


def timeline(scene: Scene) -> tuple[list[list[Any]], list[tuple[int, int, str, str]]]:
    """Changes [kind, start, end], and each take's own frames [start, end) with the kinds of its two ends."""
    changes: list[list[Any]] = []
    spans: list[tuple[int, int, str, str]] = []
    at, before = 0, "video_start"
    for number, take in enumerate(scene.takes):
        end = at + take.frames
        join = scene.joins[number] if number < len(scene.joins) else None
        after = join.kind if join else ("cut" if number + 1 < len(scene.takes) else "video_end")
        spans.append((at, end, before, after))
        at = end + (join.frames if join else 0)
        if number + 1 < len(scene.takes):
            changes.append([after, end, at])
        before = after
    return changes, spans


def _person(
    person: str,
    size: tuple[int, int],
    faces_by_frame: list[list[Seen]],
    spans: list[tuple[int, int, str, str]],
    changes: list[list[Any]],
    blinded: set[int],
) -> dict[str, Any]:
    mixed = {f for _, a, b in changes for f in range(a, b)}
    faces = {f: s for f, frame in enumerate(faces_by_frame) for s in frame if s.person == person}
    printable = {f: s for f, s in faces.items() if s.share > GONE}
    may = (
        {f for f, s in printable.items() if s.share < PLAIN or s.box[2] < SMALLEST}
        | (mixed & set(faces))
        | blinded
    )
    stretches, hidden = [], []
    for start, end, before, after in spans:
        runs = _runs([f for f in range(start, end) if f in printable])
        for a, b in runs:
            plain = [
                f for f in range(a, b) if printable[f].share >= PLAIN and printable[f].box[2] >= SMALLEST
            ]
            if plain:
                first = before if a == start else _cause(faces.get(a - 1), size, "enter")
                last = after if b == end else _cause(faces.get(b), size, "leave")
                stretches.append(
                    {
                        "frames": [a, b],
                        "start": [first, *_window(first, a, plain[0], changes)],
                        "end": [last, *_window(last, plain[-1] + 1, b, changes)],
                    }
                )
        hidden += [
            [b, a] for (_, b), (a, _) in pairwise(runs) if _cause(faces.get(b), size, "leave") == "occlusion"
        ]
    return {
        "frames": {f: list(s.box) for f, s in printable.items() if f not in mixed and s.share >= PLAIN},
        "may": [list(r) for r in _runs(sorted(may))],
        "hidden": hidden,
        "seen": {f: [*s.box, round(s.share, 3)] for f, s in faces.items()},
        "stretches": stretches,
    }


def _window(kind: str, low: int, high: int, changes: list[list[Any]]) -> tuple[int, int]:
    """First and last frame at which an edge is exact.

    While something slides over a face it is partly seen: an edge may lie anywhere between plainly there and
    gone. Leaving and entering count at the frame where half the face is in the picture; a gradual change
    counts anywhere inside.
    """
    gradual = [(a, b) for k, a, b in changes if a != b and (low in (a, b) or high in (a, b))]
    if gradual and kind not in ("occlusion", "leave", "enter"):
        return gradual[0]
    if kind == "leave":
        return low, low
    if kind == "enter":
        return high, high
    return low, high


def _cause(missing: Seen | None, size: tuple[int, int], outside: str) -> str:
    """Why a face is not seen: something covers it, or it is outside the picture."""
    if missing is None:
        return outside
    x, y, w, h = missing.box
    inside_w = min(x + w, size[0]) - max(x, 0.0)
    inside_h = min(y + h, size[1]) - max(y, 0.0)
    return "occlusion" if inside_w > 0.5 * w and inside_h > 0.5 * h else outside


def _runs(frames: list[int]) -> list[tuple[int, int]]:
    """Runs [start, end) of successive numbers."""
    runs: list[tuple[int, int]] = []
    for f in frames:
        if runs and runs[-1][1] == f:
            runs[-1] = (runs[-1][0], f + 1)
        else:
            runs.append((f, f + 1))
    return runs


def events_of(kind: str, *spans: tuple[int, int]) -> tuple[Event, ...]:
    """Events of one kind."""
    return tuple(Event(kind, a, b) for a, b in spans)
