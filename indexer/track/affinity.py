"""How well the faces of a frame fit tracks in place and appearance. Patches are compared only where that decides."""

from __future__ import annotations

from collections.abc import Sequence

from facereel.indexer.scan.frame_view import FrameView
from facereel.indexer.scan.patch_matching import ncc, ncc_with_contrast
from facereel.indexer.track.assignment import Pair, assign_pairs, parts
from facereel.indexer.track.association import place_score
from facereel.indexer.track.track import Track
from facereel.store.model.records import Box

# Patches of one face in neighbouring frames have an NCC above 0.64 in 99 of 100 cases, or share half of their blocks.
# Those of different faces at the same place reach an NCC of 0.73. Either suffices where the detection is near the
# predicted box.
_MIN_NCC_NEAR, _MIN_BLOCK_SHARE_NEAR = 0.55, 0.4
MIN_NCC_FAR = 0.85  # the same face although it is not near
# NCC at the box itself from which on a face that is not near is searched for around it. Of 1,286 such pairs of six
# films 768 have less: one of the 46 that are the same face.
_MIN_NCC_TO_SEARCH = 0.2
_MAX_NCC = 1.0


class Affinities:
    """Pairs of a track (row) and a face of a view (column) that may be one face."""

    def __init__(self, tracks: Sequence[Track], boxes: Sequence[Box], view: FrameView) -> None:
        """`boxes` are those of the faces of the view, in which that of a divided face is complete."""
        self._tracks, self._boxes, self._view = tracks, boxes, view
        self._places: dict[Pair, float] = {}
        for row, track in enumerate(tracks):
            predicted = track.predict(view.seconds)
            for column, box in enumerate(boxes):
                place = place_score(predicted, box)
                if place is not None:
                    self._places[row, column] = place
        self._certain: dict[Pair, bool] = {}  # of the pairs whose patches were compared
        # Of a pair that was not compared yet, the highest that it may be: if such a pair is not in the best
        # assignment, it is not in that of the affinities either.
        self._affinities = {pair: place + _MAX_NCC for pair, place in self._places.items()}

    def best(self) -> list[Pair]:
        """The pairs with the largest sum of affinities, each track and each face once."""
        found: list[Pair] = []
        open_parts = [*parts(self._affinities)]
        while open_parts:
            part = open_parts.pop()
            pairs = assign_pairs({pair: self._affinities[pair] for pair in part})
            unsure = [pair for pair in pairs if pair not in self._certain and not self._is_plain(pair)]
            for pair in unsure:
                self._compare(pair)
            if unsure:
                open_parts += parts(pair for pair in part if pair in self._affinities)
            else:
                found += pairs
        return sorted(found)

    def remove(self, pair: Pair) -> None:
        """It is not one face."""
        self._affinities.pop(pair, None)

    def take(self, pair: Pair) -> None:
        """It is one face: no other pair with this track, or this face, is."""
        for other in [other for other in self._affinities if other[0] == pair[0] or other[1] == pair[1]]:
            del self._affinities[other]

    def _is_plain(self, pair: Pair) -> bool:
        """Is it one face, and in the best assignment, by its patches at the box alone, without a search around it?"""
        place = self._places[pair]
        if not place:
            return False
        track, box = self._tracks[pair[0]], self._boxes[pair[1]]
        assert track.patch is not None
        value = ncc_with_contrast(track.patch, self._view.patch(box))
        # Without it two other pairs may be in the assignment, one with its track and one with its face.
        rivals = [0.0, 0.0]
        for other, affinity in self._affinities.items():
            for side in (0, 1):
                if other[side] == pair[side] and other != pair:
                    rivals[side] = max(rivals[side], affinity)
        return value >= _MIN_NCC_NEAR and place + value >= sum(rivals)

    def _compare(self, pair: Pair) -> None:
        """Find the affinity of a pair."""
        track, box, place = self._tracks[pair[0]], self._boxes[pair[1]], self._places[pair]
        assert track.patch is not None
        self._certain[pair] = False
        if place:
            match = self._view.match_patch(track.patch, box, _MIN_NCC_NEAR)
            same = match.ncc >= _MIN_NCC_NEAR or match.block_share >= _MIN_BLOCK_SHARE_NEAR
            # Without a gap, in which the face may have been hidden, the link cannot be refused.
            self._certain[pair] = match.ncc >= MIN_NCC_FAR and track.frames[-1] == self._view.index - 1
        elif ncc(track.patch, self._view.patch(box)) < _MIN_NCC_TO_SEARCH or self._is_certain_nearby(pair):
            same = False
        else:
            match = self._view.match_patch(track.patch, box, sufficient_ncc=-1)  # blocks say too little
            same = match.ncc >= MIN_NCC_FAR
        if not same:
            self.remove(pair)
        elif pair in self._affinities:
            self._affinities[pair] = place + max(match.ncc, 0.0)

    def _is_certain_nearby(self, pair: Pair) -> bool:
        """Is the track certain to be at a face near it, or the face at a track? Then neither is looked for further."""
        near = [
            other
            for other, place in self._places.items()
            if place and (other[0] == pair[0] or other[1] == pair[1])
        ]
        for other in near:
            if other not in self._certain:
                self._compare(other)
        return any(self._certain[other] for other in near)
