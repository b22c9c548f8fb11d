"""What a container says is not shown of a picture: the clean aperture of MP4, the cropping of Matroska.

FFmpeg reads both and hands them to programs that PyAV does not reach, so they are read here. What a codec crops, its
decoder leaves out already.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO, NamedTuple

import av
from av.video.stream import VideoStream

from facereel.indexer.media.filters import PictureFilter

_MOST = 10_000  # boxes or elements that are looked at in a row; a file with more is none that somebody made


class Crop(NamedTuple):
    """Pixels that are left out at each side of the coded picture."""

    left: int
    top: int
    right: int
    bottom: int


NOTHING = Crop(0, 0, 0, 0)


def crop_of(path: Path, kind: str, stream: VideoStream) -> Crop:
    """What the container of a demuxer's `kind` leaves out of a stream; nothing where it does not say or is damaged."""
    width, height = stream.width or 0, stream.height or 0
    try:
        with path.open("rb") as file:
            if kind.startswith("mov"):
                crop = _of_mp4(file, stream.id, width, height)
            elif kind.startswith("matroska"):
                crop = _of_matroska(file, stream.index, width, height)
            else:
                return NOTHING
    except (OSError, LookupError, struct.error, ZeroDivisionError):
        return NOTHING
    fits = min(crop) >= 0 and crop.left + crop.right < width and crop.top + crop.bottom < height
    return crop if fits else NOTHING


def cropped(pictures: Iterable[av.VideoFrame], crop: Crop) -> Iterator[av.VideoFrame]:
    """The pictures without their margins; those of another size than the first lose the same number of pixels."""
    if crop == NOTHING:
        yield from pictures
        return
    filters: PictureFilter | None = None
    for picture in pictures:
        if filters is None or not filters.takes(picture):
            width = max(2, picture.width - crop.left - crop.right)
            height = max(2, picture.height - crop.top - crop.bottom)
            filters = PictureFilter(picture, "crop", f"{width}:{height}:{crop.left}:{crop.top}:exact=1")
        yield from filters.push(picture)


def _of_mp4(file: BinaryIO, track: int, width: int, height: int) -> Crop:
    """By ISO/IEC 14496-12: tkhd names the track, clap (12.1.4) lies in the first sample entry."""
    whole = 0, file.seek(0, 2)
    for start, end in _inside(file, whole, b"moov", b"trak"):
        head = next(_inside(file, (start, end), b"tkhd"), None)
        if head is None:
            continue
        file.seek(head[0])
        version = file.read(24)
        if struct.unpack_from(">I", version, 20 if version[0] else 12)[0] != track:
            continue
        for entries, stop in _inside(file, (start, end), b"mdia", b"minf", b"stbl", b"stsd"):
            _, first, last = next(_boxes(file, entries + 8, stop), (b"", 0, 0))
            for place, _ in _inside(file, (first + 78, last), b"clap"):
                file.seek(place)
                return _aperture(struct.unpack(">IIIIiIiI", file.read(32)), width, height)
    return NOTHING


def _aperture(numbers: tuple[int, ...], width: int, height: int) -> Crop:
    shown_width, shown_height, across, down = (
        Fraction(over, under) for over, under in zip(numbers[::2], numbers[1::2], strict=True)
    )
    left, top = (width - shown_width) / 2 + across, (height - shown_height) / 2 + down
    right, bottom = width - left - shown_width, height - top - shown_height
    return Crop(*(round(side) for side in (left, top, right, bottom)))


def _inside(file: BinaryIO, span: tuple[int, int], *kinds: bytes) -> Iterator[tuple[int, int]]:
    """Where the content of boxes lies that are inside each other."""
    for kind, start, end in _boxes(file, *span):
        if kind == kinds[0]:
            yield from _inside(file, (start, end), *kinds[1:]) if kinds[1:] else [(start, end)]


def _boxes(file: BinaryIO, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    for _ in range(_MOST):
        if start + 8 > end:
            return
        file.seek(start)
        size, kind = struct.unpack(">I4s", file.read(8))
        head = 8
        if size == 1:
            head, (size,) = 16, struct.unpack(">Q", file.read(8))
        stop = end if size == 0 else start + size
        if size and size < head:
            return
        yield kind, start + head, min(stop, end)
        start = stop


_SEGMENT, _TRACKS, _TRACK, _VIDEO, _CLUSTER = 0x18538067, 0x1654AE6B, 0xAE, 0xE0, 0x1F43B675
_CROPS = 0x54CC, 0x54BB, 0x54DD, 0x54AA  # PixelCropLeft, ...Top, ...Right, ...Bottom


def _of_matroska(file: BinaryIO, index: int, width: int, height: int) -> Crop:
    """By RFC 9559, 5.1.4.1.28."""
    whole = file.seek(0, 2)
    for segment, start, end in _elements(file, 0, whole):
        if segment != _SEGMENT:
            continue
        for kind, first, last in _elements(file, start, end):
            if kind == _CLUSTER:
                return NOTHING
            if kind == _TRACKS:
                tracks = [span for name, *span in _elements(file, first, last) if name == _TRACK]
                videos = [span for name, *span in _elements(file, *tracks[index]) if name == _VIDEO]
                values = {name: _number(file, *span) for name, *span in _elements(file, *videos[0])}
                if (values.get(0xB0), values.get(0xBA)) != (width, height):
                    return NOTHING
                return Crop(*(values.get(name, 0) for name in _CROPS))
    return NOTHING


def _elements(file: BinaryIO, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Name, start and end of the content of elements in a row; one of unknown size ends with its parent."""
    for _ in range(_MOST):
        if start >= end:
            return
        file.seek(start)
        name, size = _variable(file, keep_length=True), _variable(file, keep_length=False)
        content = file.tell()
        stop = end if size is None else min(content + size, end)
        yield name or 0, content, stop
        start = stop


def _variable(file: BinaryIO, keep_length: bool) -> int | None:
    """A number of variable length (RFC 8794, 4); None if all its bits are set, for unknown."""
    (first,) = struct.unpack("B", file.read(1))
    length = 9 - first.bit_length()
    if length > 8:
        raise struct.error("no number begins with this byte")
    value = int.from_bytes(bytes([first]) + file.read(length - 1), "big")
    if keep_length:
        return value
    value &= (1 << 7 * length) - 1
    return None if value == (1 << 7 * length) - 1 else value


def _number(file: BinaryIO, start: int, end: int) -> int:
    file.seek(start)
    return int.from_bytes(file.read(min(end - start, 8)), "big")
