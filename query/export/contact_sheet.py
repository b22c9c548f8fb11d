"""A contact sheet of a video: one row a cluster, with its best face crops and their times, as one picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
from facereel.store.model.records import Cluster, Exemplar, FrameTimes, Image, Tracklet, Video
from facereel.store.model.views import View, shows_face, view_of

CROPS_IN_A_ROW = 8
_FACE, _GAP, _LABEL, _HEADER, _CAPTION = 112, 10, 190, 44, 20  # pixels
_SMALL_FACE = 56  # pixels: of what cannot be recognised
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
    view: View

    @property
    def recognisable(self) -> bool:
        """Whether a face is to be seen, and in more than one or two poor exemplars."""
        return self.view != "none" and self.quality_sum >= SUFFICIENT_QUALITY

    @property
    def crop_side(self) -> int:
        """Side of a drawn crop, pixels."""
        return _FACE if self.recognisable else _SMALL_FACE

    @property
    def height(self) -> int:
        """Pixels of the sheet that the row takes."""
        return self.crop_side + _CAPTION + _GAP


def rows_of(index: VideoIndex) -> list[Row]:
    """A row for each cluster of a video with exemplars: by time on screen, the unrecognisable last."""
    times, tracklets, exemplars = index.times(), index.tracklets(), index.exemplars()
    rows = []
    for cluster in index.clusters():
        by_tracklet = [exemplars.get(number, ()) for number in cluster.tracklets]
        quality_sum = sum(exemplar.quality for own in by_tracklet for exemplar in own)
        best = best_exemplars(by_tracklet)
        if best:
            seconds = screen_time(cluster, tracklets, index.video, times)
            view = _view(cluster, tracklets, exemplars)
            rows.append(
                Row(cluster.number, cluster.name, seconds, len(cluster.tracklets), quality_sum, best, view)
            )
    # What shows no face at all comes after faces that are hard to recognise.
    return sorted(rows, key=lambda row: (not row.recognisable, row.view == "none", -row.seconds, row.cluster))


def _view(
    cluster: Cluster, tracklets: Sequence[Tracklet], exemplars: Mapping[int, Sequence[Exemplar]]
) -> View:
    """From which side a cluster shows its face: by the crops of those of its tracklets that show one."""
    frontalities: list[float] = []
    for tracklet in tracklets:
        own = exemplars.get(tracklet.number, ()) if tracklet.cluster == cluster.number else ()
        if own and shows_face(tracklet.face_width, [exemplar.face_probability for exemplar in own]):
            frontalities += [exemplar.frontality for exemplar in own]
    return view_of(frontalities)


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
    width = _GAP + _LABEL + CROPS_IN_A_ROW * (_FACE + _GAP)
    content = sum(row.height for row in rows) or _FACE
    height = _HEADER + content + (_HEADER if left_out else _GAP)
    sheet = Pillow.new("RGB", (width, height), _PAPER)
    pen = ImageDraw.Draw(sheet)
    clusters = count(len(rows) + left_out, "cluster")
    title = f"{_drawable(video.name)}   {clusters} in {clock(video.length(times))}"
    pen.text((_GAP, 12), title, _INK, ImageFont.load_default(17))
    top = _HEADER
    for row in rows:
        _draw_row(sheet, pen, row, top, video, times)
        top += row.height
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
    small = not row.recognisable
    title, faint, line = (14, 11, 14) if small else (17, 14, 20)  # pixels
    pen.text((_GAP, top + line - 2), name or f"cluster {row.cluster}", _INK, ImageFont.load_default(title))
    lines = [f"{clock(row.seconds)[:-2]} on screen", count(row.tracklets, "face track")]
    if name:
        lines.insert(0, f"cluster {row.cluster}")
    if row.view == "none":
        lines.append("no clear face")
    elif small:
        lines.append("hard to recognise")
    elif row.view == "profile":
        lines.append("only from the side")
    for number, text in enumerate(lines, start=2):
        pen.text((_GAP, top + line * number + 2), text, _FAINT, ImageFont.load_default(faint))
    side = row.crop_side
    for number, exemplar in enumerate(row.exemplars):
        left = _GAP + _LABEL + number * (side + _GAP)
        crop = np.ascontiguousarray(aligned_face(exemplar)[..., ::-1])
        sheet.paste(Pillow.fromarray(crop).resize((side, side)), (left, top))
        moment = clock(video.seconds(int(times.pts[exemplar.frame])))[:-2]
        pen.text((left, top + side + 3), moment, _FAINT, ImageFont.load_default(faint - 2))


def _drawable(name: str) -> str:
    """A name if the built-in font has all its letters, else nothing."""
    return name if name.isascii() and name.isprintable() else ""
