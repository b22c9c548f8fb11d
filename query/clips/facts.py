"""What the index knows of a face in each frame of a clip besides its box: how large, how near the edge, beside whom."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np

from facereel.query.records import ClipPlan, FrameFacts
from facereel.query.search.search import MatchKey, key_of
from facereel.store.index.reader import VideoIndex
from facereel.store.model.boxes import xywh_to_xyxy
from facereel.store.model.errors import StoreError
from facereel.store.model.records import Floats, Ints

# Boxes are stored in tenths of a pixel.
_SAME_BOX = 0.05


def with_facts(clips: Sequence[ClipPlan], speaking: Mapping[MatchKey, Floats]) -> list[ClipPlan]:
    """The clips, each with the facts of its frames; nothing is known of other faces where the index is gone.

    `speaking` has the scores of frames by match, as PersonMatches has them. Decodes nothing, so that landmarks, yaw and
    sharpness are unknown.
    """
    others: dict[str, tuple[Ints, Floats]] = {}
    by_folder: dict[Path, list[ClipPlan]] = {}
    for clip in clips:
        by_folder.setdefault(clip.match.folder, []).append(clip)
    for folder, own in by_folder.items():
        with suppress(StoreError):
            others |= _other_faces(folder, own)
    return [
        replace(
            clip,
            facts=_facts(clip, others.get(clip.file), speaking.get(key_of(clip.match, clip.sightings))),
        )
        for clip in clips
    ]


def _facts(clip: ClipPlan, others: tuple[Ints, Floats] | None, speaking: Floats | None) -> FrameFacts:
    video = clip.match.video
    size = np.array([video.width, video.height], np.float32)
    corners = xywh_to_xyxy(clip.sightings.boxes)
    sides = np.clip(corners[:, 2:], 0, size) - np.clip(corners[:, :2], 0, size)
    distances = np.concatenate([corners[:, :2], size - corners[:, 2:]], axis=1).min(axis=1)
    counts, sizes = (None, None) if others is None else others
    if speaking is not None and len(speaking) != len(clip.sightings):
        speaking = None  # a whole shot with several matches, which were scored one by one
    shares = np.asarray(sides.prod(axis=1) / size.prod())
    return FrameFacts(shares, distances, counts, sizes, speaking=speaking)


def _other_faces(folder: Path, clips: Sequence[ClipPlan]) -> dict[str, tuple[Ints, Floats]]:
    """How many other faces the crop shows at each sighting, and the size of the largest, by the file of the clip.

    A clip is left out where the index is not the one that was searched any more. Raises StoreError.
    """
    found = {}
    with VideoIndex(folder) as index:
        for clip in clips:
            own = np.full((clip.end - clip.start, 4), np.nan, np.float32)  # a row a frame
            own[clip.sightings.frames - clip.start] = clip.sightings.boxes
            others, known = [], np.zeros(len(own), bool)
            for first, boxes in index.faces_between(clip.start, clip.end).values():
                frames = slice(first - clip.start, first - clip.start + len(boxes))
                apart = np.abs(boxes - own[frames]).max(axis=1)
                apart = apart[np.isfinite(apart)]
                if len(apart) and apart.max() < _SAME_BOX:
                    known[frames] = True
                else:
                    others.append((frames, boxes))
            if known[clip.sightings.frames - clip.start].all():
                found[clip.file] = _in_crop(clip, own, others)
    return found


def _in_crop(clip: ClipPlan, own: Floats, faces: Sequence[tuple[slice, Floats]]) -> tuple[Ints, Floats]:
    counts, sizes = np.zeros(len(own), np.int64), np.zeros(len(own), np.float32)
    own_sides = own[:, 2:].max(axis=1)
    for frames, boxes in faces:
        face, crop = xywh_to_xyxy(boxes), xywh_to_xyxy(clip.crops[frames])
        shared = np.minimum(face[:, 2:], crop[:, 2:]) - np.maximum(face[:, :2], crop[:, :2])
        visible = (shared > 0).all(axis=1)
        counts[frames] += visible
        relative = boxes[:, 2:].max(axis=1) / own_sides[frames]
        sizes[frames] = np.maximum(sizes[frames], np.where(visible, relative, 0))
    places = clip.sightings.frames - clip.start
    return counts[places], sizes[places]
