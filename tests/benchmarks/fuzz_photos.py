"""Photos that nobody should have: bombs, torn files, nonsense where EXIF should be."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO
from pathlib import Path

from PIL import Image

from tests.benchmarks.fuzz_harm import MUTATIONS, Rng
from tests.benchmarks.fuzz_videos import RED, png_file
from tests.fake_engine import write_photo


def bomb(rng: Rng) -> tuple[str, bytes]:
    """A photo of a few kilobytes that unpacks to gigabytes, or claims to."""
    side = int(rng.choice([12_000, 30_000, 65_500, 2_000_000]))
    kind = str(rng.choice(["png", "jpg", "bmp", "gif", "real", "progressive", "text"]))
    if kind == "real":
        pack = zlib.compressobj()
        rows = b"".join([*(pack.compress(bytes(1000 * 3751)) for _ in range(30)), pack.flush()])
        return "real.png", png_file(struct.pack(">IIBBBBB", 30_000, 30_000, 1, 0, 0, 0, 0), rows)
    if kind == "png":
        head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
        return "bomb.png", png_file(head, zlib.compress(bytes(1_000_000)))
    if kind == "text":
        head = struct.pack(">IIBBBBB", 8, 8, 8, 2, 0, 0, 0)
        text = b"a\0\0" + zlib.compress(bytes(200_000_000))
        chunk = struct.pack(">I", len(text)) + b"zTXt" + text + struct.pack(">I", zlib.crc32(b"zTXt" + text))
        whole = png_file(head, zlib.compress(bytes(8 * 25)))
        return "text.png", whole[:33] + chunk + whole[33:]
    return _claiming(kind, side)


def _claiming(kind: str, side: int) -> tuple[str, bytes]:
    """A small picture whose header says that it is large."""
    small, saved = BytesIO(), {"jpg": "JPEG", "progressive": "JPEG"}.get(kind, kind.upper())
    Image.new("RGB", (32, 32), RED).save(small, saved, progressive=kind == "progressive")
    data = bytearray(small.getvalue())
    short = struct.pack(">HH", *[min(side, 65_500)] * 2)
    if kind == "jpg":
        place = data.index(b"\xff\xc0") + 5
        data[place : place + 4] = short
    elif kind == "progressive":  # a decoder keeps all of its coefficients
        place = data.index(b"\xff\xc2") + 5
        data[place : place + 4] = short
    elif kind == "bmp":
        data[18:26] = struct.pack("<II", side, side)
    else:
        data[6:10] = short
    return f"bomb.{'jpg' if kind == 'progressive' else kind}", bytes(data)


def odd_photo(folder: Path, rng: Rng) -> tuple[str, bytes]:
    """A photo whose bytes or EXIF were tampered with."""
    suffix = str(rng.choice([".jpg", ".png", ".webp", ".bmp", ".tiff", ".gif"]))
    plain = Image.open(write_photo(folder / "red.png", "red"))
    exif = Image.Exif()
    exif[0x0112] = int(rng.choice([0, 3, 6, 9, 255, 65_535]))
    exif[0x010E] = "x" * int(rng.choice([0, 10, 40_000]))
    out = BytesIO()
    extra = {"exif": exif} if suffix in (".jpg", ".png", ".webp", ".tiff") else {}
    plain.save(out, {".jpg": "JPEG", ".tiff": "TIFF"}.get(suffix, suffix[1:].upper()), **extra)
    data = out.getvalue()
    if rng.random() < 0.8:
        data = list(MUTATIONS.values())[int(rng.integers(len(MUTATIONS)))](data, rng)
    return f"odd{suffix}", data


def odd_exif(folder: Path, rng: Rng) -> tuple[str, bytes]:
    """A sound picture with harm done to its EXIF alone."""
    suffix = str(rng.choice([".jpg", ".png", ".webp"]))
    exif = Image.Exif()
    exif[0x0112] = int(rng.choice([1, 3, 6, 8, 0, 9, 65_535]))
    exif[0x010F], exif[0x8769] = "maker" * 20, {0x9003: "2026:11:22 21:00:00", 0xA005: 26}
    block = bytearray(exif.tobytes())
    for _ in range(int(rng.choice([1, 4, 20]))):
        place = int(rng.integers(6, len(block)))
        if rng.random() < 0.5:
            block[place] = int(rng.integers(256))
        else:
            block[place : place + 4] = rng.choice([b"\xff\xff\xff\xff", bytes(4), b"\0\0\0\x08"])
    out = BytesIO()
    plain = Image.open(write_photo(folder / "red.png", "red"))
    plain.save(out, {".jpg": "JPEG"}.get(suffix, suffix[1:].upper()), exif=bytes(block))
    return f"exif{suffix}", out.getvalue()


def disguised(rng: Rng) -> tuple[str, bytes]:
    """A program in PostScript under the name of a photo: pictures of that kind are drawn by running them."""
    text = "%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 64\n%%EndComments\n{ } loop\n%%EOF\n"
    return str(rng.choice(["photo.jpg", "photo.png", "photo.eps"])), text.encode()
