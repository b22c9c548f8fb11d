"""Hostile and broken input, made from a seed: videos, photos, indexes and names that nobody should have."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from typing import TypeAlias

import av
import numpy as np
from av.video.stream import VideoStream
from PIL import Image

from tests.fake_engine import write_photo
from tests.video_factory import Recipe, write_video

Rng: TypeAlias = np.random.Generator
Mutation: TypeAlias = Callable[[bytes, Rng], bytes]

FRAMES = 25
SECONDS = 1.0
OPEN_ENDED = ("h264.ts", "pieces.mp4")
HEADERS = ("flipped", "huge numbers", "doubled")  # harm that changes what a film says of itself
RED = (40, 40, 230)
MS = Fraction(1, 1000)
_SMALL = {"frames": FRAMES, "size": (128, 128), "gop": 8, "colours": RED}
FILMS = {
    "plain.mp4": Recipe(**_SMALL, audio="aac"),  # type: ignore[arg-type]
    "fast.mp4": Recipe(**_SMALL, options=(("movflags", "faststart"),)),  # type: ignore[arg-type]
    "pieces.mp4": Recipe(**_SMALL, options=(("movflags", "frag_keyframe+empty_moov"),)),  # type: ignore[arg-type]
    "h264.mkv": Recipe(**_SMALL, time_base=MS, audio="libopus"),  # type: ignore[arg-type]
    "vp9.webm": Recipe(**_SMALL, codec="libvpx-vp9", time_base=MS),  # type: ignore[arg-type]
    "h264.ts": Recipe(**_SMALL, audio="aac"),  # type: ignore[arg-type]
    "mpeg4.avi": Recipe(**_SMALL, codec="mpeg4"),  # type: ignore[arg-type]
    "h264.avi": Recipe(**_SMALL),  # type: ignore[arg-type]
}
_EXTREMES = (
    b"\xff\xff\xff\xff",
    b"\x7f\xff\xff\xff",
    b"\xff\xff\xff\x7f",
    b"\0\0\0\0",
    b"\x80\0\0\0",
    b"\x3b\x9a\xca\x00",
)


def make_films(folder: Path) -> dict[str, bytes]:
    """The sound films that harm is done to."""
    return {name: write_video(folder / name, recipe).read_bytes() for name, recipe in FILMS.items()}


def truncated(data: bytes, rng: Rng) -> bytes:
    return data[: int(rng.integers(0, len(data)))]


def flipped(data: bytes, rng: Rng) -> bytes:
    out = bytearray(data)
    reach = len(out) if rng.random() < 0.6 else min(len(out), 2048)  # often where headers are
    for place in rng.integers(0, reach, int(rng.choice([1, 3, 12, 60]))):
        out[int(place)] ^= 1 << int(rng.integers(8))
    return bytes(out)


def overwritten(data: bytes, rng: Rng) -> bytes:
    start, count = int(rng.integers(0, len(data))), int(rng.choice([16, 200, 2000]))
    patch = bytes(count) if rng.random() < 0.5 else rng.bytes(count)
    return (data[:start] + patch + data[start + count :])[: len(data)]


def cut_out(data: bytes, rng: Rng) -> bytes:
    start, count = int(rng.integers(0, len(data))), int(rng.integers(1, max(2, len(data) // 3)))
    return data[:start] + data[start + count :]


def doubled(data: bytes, rng: Rng) -> bytes:
    start, end = sorted(int(place) for place in rng.integers(0, len(data), 2))
    return data[:end] + data[start:]


def huge_numbers(data: bytes, rng: Rng) -> bytes:
    """Sizes, counts and lengths that are out of this world, where a header keeps them."""
    out = bytearray(data)
    marks = [place for mark in _COUNTED for place in _all(data, mark)]
    for _ in range(int(rng.choice([1, 2, 5]))):
        if marks and rng.random() < 0.7:
            place = int(rng.choice(marks)) + int(rng.integers(0, 24))
        else:
            place = int(rng.integers(0, min(len(out), 1500)))
        value = _EXTREMES[int(rng.integers(len(_EXTREMES)))]
        out[place : place + 4] = value
    return bytes(out[: len(data)])


# Where MP4 and AVI keep counts and sizes; Matroska is hit by chance.
_COUNTED = [
    name.encode()
    for name in [
        "stsz",
        "stts",
        "stsc",
        "stco",
        "ctts",
        "mvhd",
        "mdhd",
        "tkhd",
        "avc1",
        "trun",
        "avih",
        "strh",
        "idx1",
        "strf",
    ]
]


def _all(data: bytes, mark: bytes) -> list[int]:
    found, place = [], data.find(mark)
    while place >= 0:
        found.append(place)
        place = data.find(mark, place + 1)
    return found


MUTATIONS: dict[str, Mutation] = {
    "truncated": truncated, "flipped": flipped, "overwritten": overwritten,
    "cut out": cut_out, "doubled": doubled, "huge numbers": huge_numbers,
}  # fmt: skip


def spliced(films: dict[str, bytes], rng: Rng) -> tuple[str, bytes]:
    """The head of one film and the tail of another."""
    head, tail = (list(films)[int(number)] for number in rng.integers(0, len(films), 2))
    return head, films[head][: int(rng.integers(1, len(films[head])))] + films[tail][
        int(rng.integers(len(films[tail]))) :
    ]


def odd_times(path: Path, rng: Rng) -> Path:
    """A film whose packets' times are missing, go back, or jump; written as far as the muxer lets it."""
    source = write_video(
        path.with_name("straight.mkv"), Recipe(**{**FILMS["h264.mkv"].__dict__, "audio": None, "b_frames": 0})
    )
    kind = rng.choice(["jump", "back", "same", "negative", "far"])
    with av.open(str(source)) as old, av.open(str(path), "w") as new:
        (stream,) = old.streams.video
        copy = new.add_stream_from_template(stream)
        for number, packet in enumerate(old.demux(stream)):
            if packet.dts is None or packet.pts is None:
                continue
            pts = packet.pts
            if kind == "jump" and number > 10:
                pts += int(rng.integers(0, 2)) * 5_000
            elif kind == "back" and number > 10:
                pts -= 300
            elif kind == "same" and number > 10:
                pts = 400
            elif kind == "negative":
                pts -= 500
            elif kind == "far":
                pts *= 40_000
            packet.pts, packet.dts, packet.stream = pts, packet.dts if kind != "far" else pts, copy
            try:
                new.mux_one(packet)
            except (av.error.FFmpegError, ValueError):
                continue
    return path


def size_change(path: Path, rng: Rng) -> Path:
    """Two transport streams of other sizes, one after the other."""
    pieces = []
    for number, size in enumerate(((128, 128), (int(rng.integers(8, 60)) * 4, int(rng.integers(8, 60)) * 4))):
        recipe = Recipe(frames=12, size=size, gop=4, colours=RED)
        pieces.append(write_video(path.with_name(f"piece{number}.ts"), recipe).read_bytes())
    path.write_bytes(b"".join(pieces))
    return path


def many_streams(path: Path, rng: Rng) -> Path:
    """A film among hundreds of sound tracks (FFmpeg itself stops at a thousand streams), and attachments."""
    count = int(rng.choice([50, 300, 990]))
    with av.open(str(path), "w") as container:
        sound = [container.add_stream("pcm_s16le", rate=8000) for _ in range(count)]
        stream = container.add_stream("libx264", rate=25)
        assert isinstance(stream, VideoStream)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        if path.suffix == ".mkv":
            container.add_attachment("../../evil.ttf", "font/ttf", rng.bytes(100_000))
        del sound
        for number in range(5):
            picture = av.VideoFrame.from_ndarray(np.full((64, 64, 3), 30 * number, np.uint8), "bgr24")
            picture.pts = number
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    return path


def playlist(path: Path, rng: Rng) -> Path:
    """What looks like a film and tells FFmpeg to fetch something else."""
    target = str(rng.choice(["http://127.0.0.1:9/x.ts", "/etc/passwd", "file:///etc/hostname", "concat:a|b"]))
    texts = (
        f"#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\n{target}\n#EXT-X-ENDLIST\n",
        f"ffconcat version 1.0\nfile '{target}'\n",
        f"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\na={target}\n",
    )
    path.write_text(str(rng.choice(texts)))
    return path


_PNG = b"\x89PNG\r\n\x1a\n"


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def bomb(rng: Rng) -> tuple[str, bytes]:
    """A photo of a few kilobytes that unpacks to gigabytes, or claims to."""
    side = int(rng.choice([12_000, 30_000, 65_500, 2_000_000]))
    kind = str(rng.choice(["png", "jpg", "bmp", "gif", "real"]))
    if kind == "real":
        pack = zlib.compressobj()
        rows = b"".join([*(pack.compress(bytes(1000 * 3751)) for _ in range(30)), pack.flush()])
        head = _chunk(b"IHDR", struct.pack(">IIBBBBB", 30_000, 30_000, 1, 0, 0, 0, 0))
        return "real.png", _PNG + head + _chunk(b"IDAT", rows) + _chunk(b"IEND", b"")
    if kind == "png":
        head = _chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
        body = zlib.compress(bytes(1_000_000))
        return "bomb.png", _PNG + head + _chunk(b"IDAT", body) + _chunk(b"IEND", b"")
    small = BytesIO()
    Image.new("RGB", (32, 32), RED).save(small, {"jpg": "JPEG"}.get(kind, kind.upper()))
    data = bytearray(small.getvalue())
    short = min(side, 65_500)
    if kind == "jpg":
        place = data.index(b"\xff\xc0") + 5
        data[place : place + 4] = struct.pack(">HH", short, short)
    elif kind == "bmp":
        data[18:26] = struct.pack("<II", side, side)
    else:
        data[6:10] = struct.pack("<HH", short, short)
    return f"bomb.{kind}", bytes(data)


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


NAMES = (
    "a\nb.mp4", "..mp4", "...", "-rf.mp4", "--force", "x" * 251 + ".mp4", "\x1b[31m.mp4", "\u202egnp.mp4", " .mp4",
    "a%00s.mp4", "con.mp4", "映" * 83 + ".mp4", "caf\udce9.mp4", "file:a.mp4", "pipe:1.mp4", "a'b\"c;$(id).mp4",
    "[x]*?.mp4", "~.mp4",
)  # fmt: skip
