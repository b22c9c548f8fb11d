"""What kind of file something is, by its first bytes: for messages about photos and videos that were confused."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

_HEAD = 1024  # bytes that are looked at

# Of every format that read_photo reads, and those of phones that it does not, so that such a photo gets a warning.
PHOTO_SUFFIXES = frozenset(
    {
        ".avif", ".bmp", ".gif", ".heic", ".heif", ".j2k", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg", ".pbm", ".pgm",
        ".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp",
    }
)  # fmt: skip
# Files with these suffixes are taken from a folder; a file that is named itself may be called anything.
VIDEO_SUFFIXES = frozenset((
    ".3gp", ".asf", ".avi", ".divx", ".f4v", ".flv", ".m2ts", ".m2v", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg",
    ".mpg", ".mts", ".mxf", ".ogv", ".ts", ".vob", ".webm", ".wmv",
))  # fmt: skip


@dataclass(frozen=True, slots=True)
class Kind:
    """What a file is."""

    name: str  # of its format, `HEIC`; of other files what they are, `a PDF document`
    sort: Literal["photo", "raw", "other", "video"]  # raw: from a camera, undeveloped

    def __str__(self) -> str:
        """What it is, as a message says it: `a photo (HEIC)`."""
        phrases = {"photo": "a photo", "raw": "a raw picture of a camera", "video": "a video"}
        return f"{phrases[self.sort]} ({self.name})" if self.sort in phrases else self.name


_STARTS: tuple[tuple[bytes, Kind], ...] = (
    (b"\xff\xd8\xff", Kind("JPEG", "photo")),
    (b"\x89PNG\r\n", Kind("PNG", "photo")),
    (b"GIF8", Kind("GIF", "photo")),
    (b"BM", Kind("BMP", "photo")),
    (b"\0\0\0\x0cjP  ", Kind("JPEG 2000", "photo")),
    (b"\xff\x4f\xff\x51", Kind("JPEG 2000", "photo")),
    (b"P5", Kind("PGM", "photo")),
    (b"P6", Kind("PPM", "photo")),
    (b"FUJIFILMCCD-RAW", Kind("RAF", "raw")),
    (b"IIRO", Kind("ORF", "raw")),
    (b"IIRS", Kind("ORF", "raw")),
    (b"MMOR", Kind("ORF", "raw")),
    (b"IIU\0", Kind("RW2", "raw")),
    (b"FOVb", Kind("X3F", "raw")),
    (b"\0MRM", Kind("MRW", "raw")),
    (b"II*\0", Kind("TIFF", "photo")),
    (b"MM\0*", Kind("TIFF", "photo")),
    (b"II+\0", Kind("TIFF", "photo")),
    (b"MM\0+", Kind("TIFF", "photo")),
    (b"8BPS", Kind("a Photoshop picture (PSD)", "other")),
    (b"%PDF", Kind("a PDF document", "other")),
    (b"%!PS", Kind("a PostScript document", "other")),
    (b"\xff\x0a", Kind("a JPEG XL picture", "other")),
    (b"\0\0\0\x0cJXL ", Kind("a JPEG XL picture", "other")),
    (b"v/1\x01", Kind("an OpenEXR picture", "other")),
    (b"#?RADIANCE", Kind("a Radiance HDR picture", "other")),
    (b"gimp xcf", Kind("a GIMP picture (XCF)", "other")),
    (b"\0\0\x01\0", Kind("an icon", "other")),
    (b"PK\x03\x04", Kind("a ZIP archive", "other")),
    (b"\x1aE\xdf\xa3", Kind("Matroska or WebM", "video")),
    (b"FLV\x01", Kind("FLV", "video")),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", Kind("WMV", "video")),
    (b"\0\0\x01\xba", Kind("MPEG", "video")),
    (b"\0\0\x01\xb3", Kind("MPEG", "video")),
    (b"\x06\x0e\x2b\x34", Kind("MXF", "video")),
    (b"OggS", Kind("Ogg", "video")),
)
# Files of boxes (ISO/IEC 14496-12) by their major brand; every other brand is a video's.
_BRANDS = {
    **dict.fromkeys(
        (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1", b"mif2"), "HEIC"
    ),
    **dict.fromkeys((b"avif", b"avis"), "AVIF"),
}
# Most cameras' own formats are TIFF with a small preview in front.
_RAW_SUFFIXES = frozenset(
    {
        ".3fr", ".arw", ".cr2", ".dcr", ".dng", ".erf", ".iiq", ".kdc", ".mef", ".nef", ".nrw", ".pef", ".sr2", ".srw",
    }
)  # fmt: skip
_DNG_VERSION = b"\xc6\x12", b"\x12\xc6"  # the tag 50706 in both byte orders


def kind_of(path: Path) -> Kind | None:
    """What kind of file lies there; None for one that is not known or cannot be read."""
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except OSError:
        return None
    if head[4:8] == b"ftyp":
        return _box_kind(head)
    if head[4:8] in (b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot"):
        return Kind("QuickTime", "video")
    if head[:4] == b"RIFF":
        return {b"WEBP": Kind("WebP", "photo"), b"AVI ": Kind("AVI", "video")}.get(head[8:12])
    # GIF begins with the same byte.
    if head[:564:188] == b"GGG" and not head.startswith(b"GIF8"):
        return Kind("MPEG transport stream", "video")
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith((b"<svg", b"<?xml")) and b"<svg" in text:
        return Kind("a drawing (SVG)", "other")
    if text.startswith((b"<!doctype html", b"<html")):
        return Kind("a web page", "other")
    kind = next((kind for start, kind in _STARTS if head.startswith(start)), None)
    if kind is not None and kind.name == "TIFF":
        return _tiff_kind(path, head, kind)
    return kind


def _box_kind(head: bytes) -> Kind:
    size = min(int.from_bytes(head[:4], "big"), len(head))
    brands = [head[8:12], *(head[place : place + 4] for place in range(16, size - 3, 4))]
    if brands[0] == b"crx ":
        return Kind("CR3", "raw")
    # The sequences of phones have the brands of a photo and of a video; what comes first counts.
    photo = _BRANDS.get(brands[0])
    if photo == "HEIC" and b"avif" in brands:
        photo = "AVIF"
    return Kind(photo, "photo") if photo else Kind("MP4 or QuickTime", "video")


def _tiff_kind(path: Path, head: bytes, tiff: Kind) -> Kind:
    suffix = path.suffix.lower()
    if suffix in _RAW_SUFFIXES:
        return Kind(suffix[1:].upper(), "raw")
    if head[8:10] == b"CR":
        return Kind("CR2", "raw")
    directory = int.from_bytes(head[4:8], "little" if head[:2] == b"II" else "big")
    tags = [head[place : place + 2] for place in range(directory + 2, len(head) - 11, 12)]
    return Kind("DNG", "raw") if any(tag in _DNG_VERSION for tag in tags[:64]) else tiff
