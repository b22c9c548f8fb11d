"""A contact sheet as one picture: rows of face crops, each with a title and a few lines, and captions below."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

from facereel.store.files.disk import atomic_file, make_folder
from facereel.store.files.names import printable
from facereel.store.model.errors import OptionError, UnwritableError
from facereel.store.model.records import Image

CROPS_IN_A_ROW = 8
_FACE, _GAP, _LABEL, _HEADER, _CAPTION = 112, 10, 190, 44, 20  # pixels
_SMALL_FACE = 56  # pixels: of what cannot be recognised
_PAPER, _INK, _FAINT = (250, 250, 248), (30, 30, 34), (120, 120, 126)


@dataclass(frozen=True, slots=True, eq=False)
class SheetRow:
    """What is drawn of one person or cluster."""

    title: str
    lines: tuple[str, ...]
    crops: tuple[tuple[Image, str], ...]  # (S, S, 3) RGB, and what stands below
    small: bool = False  # less than others: nobody can be recognised

    @property
    def crop_side(self) -> int:
        """Side of a drawn crop, pixels."""
        return _SMALL_FACE if self.small else _FACE

    @property
    def height(self) -> int:
        """Pixels of the sheet that the row takes."""
        return self.crop_side + _CAPTION + _GAP


def draw(title: str, rows: Sequence[SheetRow], footer: str = "") -> Image:
    """The sheet as an RGB picture (H, W, 3)."""
    width = _GAP + _LABEL + CROPS_IN_A_ROW * (_FACE + _GAP)
    content = sum(row.height for row in rows) or _FACE
    height = _HEADER + content + (_HEADER if footer else _GAP)
    sheet = Pillow.new("RGB", (width, height), _PAPER)
    pen = ImageDraw.Draw(sheet)
    pen.text((_GAP, 12), title, _INK, ImageFont.load_default(17))
    top = _HEADER
    for row in rows:
        _draw_row(sheet, pen, row, top)
        top += row.height
    if footer:
        pen.text((_GAP, height - 30), footer, _FAINT, ImageFont.load_default(14))
    return np.asarray(sheet, np.uint8)


def write_png(picture: Image, target: Path) -> None:
    """Write an RGB picture (H, W, 3) as a PNG, complete or not at all; raises UnwritableError.

    Raises OptionError for a file that is called otherwise: it would hold what its name does not say.
    """
    if target.suffix.lower() != ".png":
        raise OptionError(f"a sheet is a PNG, and {printable(target)} is not called so; add .png to --out")
    try:
        make_folder(target.parent)
        with atomic_file(target) as unfinished:
            Pillow.fromarray(picture).save(unfinished, "PNG")
    except OSError as error:
        raise UnwritableError(
            f"{printable(target)} cannot be written ({error.strerror}); choose another --out"
        ) from error


def drawable(name: str) -> str:
    """A name if the built-in font has all its letters, else nothing."""
    return name if name.isascii() and name.isprintable() else ""


def _draw_row(sheet: Pillow.Image, pen: ImageDraw.ImageDraw, row: SheetRow, top: int) -> None:
    title, faint, line = (14, 11, 14) if row.small else (17, 14, 20)  # pixels
    pen.text((_GAP, top + line - 2), row.title, _INK, ImageFont.load_default(title))
    for number, text in enumerate(row.lines, start=2):
        pen.text((_GAP, top + line * number + 2), text, _FAINT, ImageFont.load_default(faint))
    side = row.crop_side
    for number, (crop, caption) in enumerate(row.crops):
        left = _GAP + _LABEL + number * (side + _GAP)
        sheet.paste(Pillow.fromarray(crop).resize((side, side)), (left, top))
        pen.text((left, top + side + 3), caption, _FAINT, ImageFont.load_default(faint - 2))
