"""Who is in a video, at a glance: a row a person, their best looks with times under them, as one picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

from facereel.query.text import clock, count
from facereel.store.files.folders import atomic_file, make_folder, printable
from facereel.store.index.crops import decode_crop
from facereel.store.index.reader import VideoIndex
from facereel.store.index.summary import screen_time
from facereel.store.model.errors import UnwritableError
from facereel.store.model.pooling import ENOUGH
from facereel.store.model.records import Exemplar, FrameTimes, Image, Video

LOOKS = 8  # in a row
_FACE, _GAP, _LABEL, _HEADER, _CAPTION = 112, 10, 190, 44, 20  # pixels
_PAPER, _INK, _FAINT = (250, 250, 248), (30, 30, 34), (120, 120, 126)


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """A person and what is shown of them."""

    person: int
    name: str | None
    seconds: float  # seen in all
    tracklets: int
    evidence: float  # sum of the qualities of all looks
    looks: tuple[Exemplar, ...]  # those shown, in order of time

    @property
    def weak(self) -> bool:
        """Too little to recognise somebody by: a look or two, darkness, the back of a head."""
        return self.evidence < ENOUGH


def rows_of(index: VideoIndex) -> list[Row]:
    """Everybody in a video, longest seen first, those nobody could recognise last."""
    times, tracklets, exemplars = index.times(), index.tracklets(), index.exemplars()
    rows = []
    for person in index.clusters():
        by_tracklet = [exemplars.get(number, ()) for number in person.tracklets]
        evidence = sum(look.quality for looks in by_tracklet for look in looks)
        looks = best_looks(by_tracklet)
        if looks:
            seconds = screen_time(person, tracklets, index.video, times)
            rows.append(Row(person.number, person.name, seconds, len(person.tracklets), evidence, looks))
    return sorted(rows, key=lambda row: (row.weak, -row.seconds, row.person))


def best_looks(by_tracklet: Sequence[Sequence[Exemplar]], limit: int = LOOKS) -> tuple[Exemplar, ...]:
    """The best look of each tracklet before the second best of any, at most `limit`, in order of time."""
    ranked = [sorted(looks, key=lambda look: -look.quality) for looks in by_tracklet]
    ordered = [(place, -look.quality, look) for looks in ranked for place, look in enumerate(looks)]
    ordered.sort(key=lambda item: item[:2])
    return tuple(sorted((look for _, _, look in ordered[:limit]), key=lambda look: look.frame))


def draw(rows: Sequence[Row], left_out: int, video: Video, times: FrameTimes) -> Image:
    """The sheet as an RGB picture (H, W, 3)."""
    line = _FACE + _CAPTION + _GAP
    width = _GAP + _LABEL + LOOKS * (_FACE + _GAP)
    height = _HEADER + max(1, len(rows)) * line + (_HEADER if left_out else _GAP)
    sheet = Pillow.new("RGB", (width, height), _PAPER)
    pen = ImageDraw.Draw(sheet)
    people = count(len(rows) + left_out, "person", "people")
    title = f"{_spelled(video.name)}   {people} in {clock(video.length(times))}"
    pen.text((_GAP, 12), title, _INK, ImageFont.load_default(17))
    for number, row in enumerate(rows):
        _draw_row(sheet, pen, row, _HEADER + number * line, video, times)
    if left_out:
        text = f"and {count(left_out, 'person', 'people')} more, seen less: --most N shows them"
        pen.text((_GAP, height - 30), text, _FAINT, ImageFont.load_default(14))
    return np.asarray(sheet, np.uint8)


def write_sheet(index: VideoIndex, target: Path, most: int) -> tuple[list[Row], int]:
    """Draw a video's sheet into a PNG; the rows on it, and how many people were left out.

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
            f"{printable(target)} cannot be written ({error.strerror}); name another --out"
        ) from error
    return rows[:most], max(0, len(rows) - most)


def _draw_row(
    sheet: Pillow.Image, pen: ImageDraw.ImageDraw, row: Row, top: int, video: Video, times: FrameTimes
) -> None:
    name = _spelled(row.name) if row.name else ""
    pen.text((_GAP, top + 18), name or f"person {row.person}", _INK, ImageFont.load_default(17))
    lines = [f"{clock(row.seconds)[:-2]} on screen", count(row.tracklets, "tracklet")]
    if name:
        lines.insert(0, f"person {row.person}")
    if row.weak:
        lines.append("hard to recognise")
    for number, text in enumerate(lines):
        pen.text((_GAP, top + 44 + 20 * number), text, _FAINT, ImageFont.load_default(14))
    for number, look in enumerate(row.looks):
        left = _GAP + _LABEL + number * (_FACE + _GAP)
        sheet.paste(Pillow.fromarray(np.ascontiguousarray(decode_crop(look.jpeg)[..., ::-1])), (left, top))
        moment = clock(video.seconds(int(times.pts[look.frame])))[:-2]
        pen.text((left, top + _FACE + 3), moment, _FAINT, ImageFont.load_default(12))


def _spelled(name: str) -> str:
    """What the built-in font can draw of a name, nothing when letters would become boxes."""
    return name if name.isascii() and name.isprintable() else ""
