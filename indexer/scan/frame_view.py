"""What is known of one frame. Its full-size pixels are a media Frame and are gone by the time a view is given."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from facereel.indexer.media.frame import SmallPicture
from facereel.indexer.scan.patch_matching import (
    MIN_BLOCK_SHARE,
    MIN_NCC_CLEAR,
    MIN_NCC_VISIBLE,
    Patch,
    PatchMatch,
    block_share,
    is_beside,
    match_patch,
    ncc,
    take_patch,
    take_patches,
)
from facereel.store.model.boxes import xyxy_to_xywh
from facereel.store.model.records import DETECTED, Box, FaceCrop, Faces, Floats, Grey, Image, Ints


@dataclass(eq=False)
class FrameView:
    """One frame, from scan to tracker. The tracker sets `in_transition` and `tracked_boxes`, the scan all else."""

    index: int
    seconds: float  # when a player shows it
    duration: float  # for how long, seconds
    grey: Grey  # (h, w) the picture in analysis size
    thumbnail: Image  # BGR, for the shot detector
    # With `grey`, until the scan gives the view; None where a frame has none.
    small: SmallPicture | None = None
    scale: float = 1.0  # displayed pixels a pixel of `grey`
    analysis_faces: Faces | None = None  # in pixels of `grey`; None until the scan knows them
    sources: NDArray[np.uint8] = field(default_factory=lambda: np.zeros(0, np.uint8))
    # (N,) DETECTED or INTERPOLATED, of each face
    previous: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    # (N,) which face of the frame before is the same one, -1 where the scan does not know
    searched: bool = False  # has the detector searched the whole frame?
    change: float = math.nan  # of the thumbnail since the frame before, mean grey levels
    after_cut: bool = False  # may a cut be right before it?
    may_begin: bool = False  # would a scan that begins with it find the same cuts?
    still: bool = False  # its faces hardly move: they are interpolated over a long stretch
    is_key_frame: bool = False  # the scan may begin with it
    wants_crops: bool = False  # it shows somebody whom no key frame shows
    # One a face, of the frame or of what is left of it; None where not taken.
    crops: tuple[FaceCrop | None, ...] = ()
    clothes: Mapping[int, Floats] = field(default_factory=dict)  # (CLOTHES_BINS,) by the face that shows them
    in_transition: bool = False  # shows two shots at once, or lies close to a frame that does
    tracked_boxes: list[Box] = field(default_factory=list)  # of the tracks that have a face here
    face_patches: Sequence[Patch | None] = ()  # one a face, where the scan has taken it at the face's box

    def set_searched(self, faces: Faces) -> None:
        """Set what the detector has found in the whole frame, pixels of `grey`."""
        self.set_faces(faces)
        self.searched = True
        # Both stretches beside the frame and the tracker compare them.
        self.face_patches, _ = take_patches([self.grey] * len(faces), xyxy_to_xywh(faces.boxes))

    def set_faces(self, faces: Faces, source: int = DETECTED, previous: Ints | None = None) -> None:
        """Set the faces, pixels of `grey`; `previous` (N,) as the field, all -1 unless given."""
        self.analysis_faces = faces
        self.sources = np.full(len(faces), source, np.uint8)
        self.previous = np.full(len(faces), -1) if previous is None else previous

    @cached_property
    def faces(self) -> Faces:
        """The faces in pixels of the displayed picture; not to be asked for before the scan knows them."""
        assert self.analysis_faces is not None
        faces = self.analysis_faces
        boxes, landmarks = faces.boxes * self.scale, faces.landmarks * self.scale
        return Faces(np.asarray(boxes, np.float32), faces.scores, np.asarray(landmarks, np.float32))

    @cached_property
    def boxes(self) -> list[Box]:
        """The boxes of the faces, displayed pixels."""
        return [(x, y, w, h) for x, y, w, h in xyxy_to_xywh(self.faces.boxes).tolist()]

    @cached_property
    def _patches(self) -> dict[Box, Patch]:
        """By box: several tracks ask for the same ones."""
        patches = zip(self.boxes, self.face_patches, strict=bool(self.face_patches))
        return {box: patch for box, patch in patches if patch is not None}

    def patch(self, box: Box) -> Patch:
        """The patch inside a box, displayed pixels."""
        patch = self._patches.get(box)
        if patch is None:
            patch = self._patches[box] = take_patch(self.grey, self._scaled(box))
        return patch

    def match_patch(self, patch: Patch, box: Box, sufficient_ncc: float = MIN_NCC_VISIBLE) -> PatchMatch:
        """Is the face of `patch` at a box, displayed pixels? Searches around it only when unsure.

        Blocks of the patch are compared only where the NCC is lower than `sufficient_ncc`.
        """
        value = ncc(patch, self.patch(box))
        if value >= MIN_NCC_CLEAR:
            return PatchMatch(1.0, value, (0.0, 0.0))
        return match_patch(patch, self.grey, self._scaled(box), sufficient_ncc)

    def shows(self, patch: Patch, box: Box) -> bool:
        """Is at least part of the face of `patch` visible at a box, displayed pixels?"""
        here = self.patch(box)
        # Around the box it is searched for only when the box itself does not show it.
        if ncc(patch, here) >= MIN_NCC_CLEAR or block_share(patch, here) >= MIN_BLOCK_SHARE:
            return True
        return is_beside(patch, self.grey, self._scaled(box))

    def _scaled(self, box: Box) -> Floats:
        """A box (4,) in pixels of `grey`."""
        return np.array(box, np.float32) / self.scale
