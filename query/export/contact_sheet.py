"""A contact sheet of a video: one row a cluster, with its best face crops and their times, as one picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

from facereel.indexer.engines.face_crops import aligned_face
from facereel.query.text import clock, count
from facereel.store.files.disk import atomic_file, make_folder
from facereel.store.files.names import printable
from facereel.store.index.reader import VideoIndex
from facereel.store.index.summary import screen_time
from facereel.store.model.errors import UnwritableError
from facereel.store.model.pooling import SUFFICIENT_QUALITY
from facereel.store.model.records import Exemplar, FrameTimes, Image, Video

CROPS_IN_A_ROW = 8
_FACE, _GAP, _LABEL, _HEADER, _CAPTION = 112, 10, 190, 44, 20  # pixels
_PAPER, _INK, _FAINT = (250, 250, 248), (30, 30, 34), (120, 120, 126)


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """A cluster and the exemplars that are drawn of it."""

    cluster: int
    name: str | None
    seconds: float  # on screen in all
    tracklets: int
    quality_sum: float  # of all exemplars
    exemplars: tuple[Exemplar, ...]  # those drawn, by time

    @property
    def weak(self) -> bool:
        """Whether the cluster is hard to recognise: one or two exemplars, dark ones, the back of a head."""
        return self.quality_sum < SUFFICIENT_QUALITY


def rows_of(index: VideoIndex) -> list[Row]:
    """A row for each cluster of a video with exemplars: by time on screen, weak ones last."""
    times, tracklets, exemplars = index.times(), index.tracklets(), index.exemplars()
    rows = []
    for cluster in index.clusters():
        by_tracklet = [exemplars.get(number, ()) for number in cluster.tracklets]
        quality_sum = sum(exemplar.quality for own in by_tracklet for exemplar in own)
        best = best_exemplars(by_tracklet)
        if best:
            seconds = screen_time(cluster, tracklets, index.video, times)
            rows.append(Row(cluster.number, cluster.name, seconds, len(cluster.tracklets), quality_sum, best))
    return sorted(rows, key=lambda row: (row.weak, -row.seconds, row.cluster))


def best_exemplars(
    by_tracklet: Sequence[Sequence[Exemplar]], limit: int = CROPS_IN_A_ROW
) -> tuple[Exemplar, ...]:
    """The best exemplar of each tracklet before the second best of any: at most `limit`, by time."""
    ranked = [sorted(own, key=lambda exemplar: -exemplar.quality) for own in by_tracklet]
    ordered = [(rank, -exemplar.quality, exemplar) for own in ranked for rank, exemplar in enumerate(own)]
    ordered.sort(key=lambda item: item[:2])
    best = [exemplar for _, _, exemplar in ordered[:limit]]
    return tuple(sorted(best, key=lambda exemplar: exemplar.frame))


def draw(rows: Sequence[Row], left_out: int, video: Video, times: FrameTimes) -> Image:
    """The sheet as an RGB picture (H, W, 3)."""
    line = _FACE + _CAPTION + _GAP
    width = _GAP + _LABEL + CROPS_IN_A_ROW * (_FACE + _GAP)
    height = _HEADER + max(1, len(rows)) * line + (_HEADER if left_out else _GAP)
    sheet = Pillow.new("RGB", (width, height), _PAPER)
    pen = ImageDraw.Draw(sheet)
    clusters = count(len(rows) + left_out, "cluster")
    title = f"{_drawable(video.name)}   {clusters} in {clock(video.length(times))}"
    pen.text((_GAP, 12), title, _INK, ImageFont.load_default(17))
    for number, row in enumerate(rows):
        _draw_row(sheet, pen, row, _HEADER + number * line, video, times)
    if left_out:
        text = f"{count(left_out, 'cluster is', 'clusters are')} not shown; --most N shows more"
        pen.text((_GAP, height - 30), text, _FAINT, ImageFont.load_default(14))
    return np.asarray(sheet, np.uint8)


def write_sheet(index: VideoIndex, target: Path, most: int) -> tuple[list[Row], int]:
    """Draw the `most` first clusters of a video into a PNG; the rows drawn, and how many clusters are not.

    Raises UnwritableError.
    """
    rows = rows_of(index)
    picture = draw(rows[:most], max(0, len(rows) - most), index.video, index.times())
    try:
        make_folder(target.parent)
        with atomic_file(target) as unfinished:
            Pillow.fromarray(picture).save(unfinished, "PNG")
    except OSError as error:
        raise UnwritableError(
            f"{printable(target)} cannot be written ({error.strerror}); choose another --out"
        ) from error
    return rows[:most], max(0, len(rows) - most)


def _draw_row(
    sheet: Pillow.Image, pen: ImageDraw.ImageDraw, row: Row, top: int, video: Video, times: FrameTimes
) -> None:
    name = _drawable(row.name) if row.name else ""
    pen.text((_GAP, top + 18), name or f"cluster {row.cluster}", _INK, ImageFont.load_default(17))
    lines = [f"{clock(row.seconds)[:-2]} on screen", count(row.tracklets, "face track")]
    if name:
        lines.insert(0, f"cluster {row.cluster}")
    if row.weak:
        lines.append("hard to recognise")
    for number, text in enumerate(lines):
        pen.text((_GAP, top + 44 + 20 * number), text, _FAINT, ImageFont.load_default(14))
    for number, exemplar in enumerate(row.exemplars):
        left = _GAP + _LABEL + number * (_FACE + _GAP)
        crop = np.ascontiguousarray(aligned_face(exemplar)[..., ::-1])
        sheet.paste(Pillow.fromarray(crop), (left, top))
        moment = clock(video.seconds(int(times.pts[exemplar.frame])))[:-2]
        pen.text((left, top + _FACE + 3), moment, _FAINT, ImageFont.load_default(12))


def _drawable(name: str) -> str:
    """A name if the built-in font has all its letters, else nothing."""
    return name if name.isascii() and name.isprintable() else ""
