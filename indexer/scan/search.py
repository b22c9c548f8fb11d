"""How a frame is searched: whole, or in regions. Faces are in pixels of the analysis picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from facereel.indexer.engines.protocol import FaceEngine
from facereel.indexer.media.frame import Frame
from facereel.indexer.scan.frame_view import FrameView
from facereel.indexer.scan.regions import Region, complete_faces, region_around
from facereel.indexer.scan.tiles import search_tiles, tiled_size
from facereel.store.model.config import Config
from facereel.store.model.records import Faces, Floats, Image


@dataclass(slots=True, eq=False)
class RegionPicture:
    """A frame in the size in which regions of it are searched; only these are converted where its format allows it."""

    frame: Frame | None
    view: FrameView
    size: tuple[int, int]  # width and height, pixels
    _whole: Image | None = None

    def part(self, region: Region) -> Image:
        """The pixels of a region, BGR."""
        if self.view.small is not None and self.size == self.view.grey.shape[::-1]:
            return self.view.small.part(region.corners)
        if self._whole is None:
            self._whole = _converted(self.frame, self.size)
        x0, y0, x1, y1 = region.corners
        return self._whole[y0:y1, x0:x1]


@dataclass(frozen=True, slots=True)
class FrameSearch:
    """The detector, and in which sizes it is given the frames of a video."""

    width: int  # of a frame, displayed pixels
    height: int
    config: Config
    engine: FaceEngine

    def whole(self, frame: Frame | None, view: FrameView) -> Faces:
        """The faces of a frame."""
        height, width = view.grey.shape
        size = self._tiled_size(view)
        if size is None:
            return self.engine.detect(_image(frame, view, (width, height)))
        assert frame is not None
        return _scaled(search_tiles(frame.image, self.engine.detect, size), width / size[0])

    def half_size(self, frame: Frame | None, view: FrameView) -> Faces:
        """The larger faces of a frame, for a quarter of the cost of whole()."""
        height, width = view.grey.shape
        size = width // 4 * 2, height // 4 * 2
        (faces,) = self.engine.detect_regions([_image(frame, view, size)])
        return _scaled(faces, width / size[0])

    def needs_frame(self, view: FrameView) -> bool:
        """Is the frame itself needed to search it?"""
        return view.small is None or self._tiled_size(view) is not None

    def whole_pixels(self, view: FrameView) -> int:
        """How many pixels whole() searches."""
        size = self._tiled_size(view)
        return int(view.grey.size) if size is None else size[0] * size[1]

    def region_picture(self, frame: Frame | None, view: FrameView) -> RegionPicture:
        """The picture from which regions are cut: as large as the smallest face needs it."""
        height, width = view.grey.shape
        return RegionPicture(frame, view, self._tiled_size(view) or (width, height))

    def regions(self, work: Sequence[tuple[RegionPicture, Floats]], width: int) -> list[Faces]:
        """The faces in the region around a box (4,) of each region picture; `width` is that of the analysis picture."""
        scales = [np.float32(picture.size[0] / width) for picture, _ in work]
        regions = [
            region_around(box * scale, *picture.size)
            for (picture, box), scale in zip(work, scales, strict=True)
        ]
        found = self.engine.detect_regions(
            [
                region.searched(picture.part(region))
                for (picture, _), region in zip(work, regions, strict=True)
            ]
        )
        return [
            _scaled(complete_faces(faces, region, *picture.size), float(1 / scale))
            for faces, region, (picture, _), scale in zip(found, regions, work, scales, strict=True)
        ]

    def _tiled_size(self, view: FrameView) -> tuple[int, int] | None:
        return tiled_size(self.width, self.height, self.config.min_face, view.grey.shape[1])


def _image(frame: Frame | None, view: FrameView, size: tuple[int, int]) -> Image:
    """The picture in `size` (width, height) for a detector."""
    return _converted(frame, size) if view.small is None else view.small.image(*size)


def _converted(frame: Frame | None, size: tuple[int, int]) -> Image:
    assert frame is not None  # the scan keeps those of which no small picture is enough
    return frame.image(*size)


def _scaled(faces: Faces, scale: float) -> Faces:
    if scale == 1.0:
        return faces
    factor = np.float32(scale)
    return Faces(faces.boxes * factor, faces.scores, faces.landmarks * factor)
