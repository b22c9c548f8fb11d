"""Films that nobody should have: harmed, spliced, out of time, of changing size, huge, endless, lists of others."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from threading import Event, Thread

import av
import numpy as np
from av.video.stream import VideoStream

from tests.benchmarks.fuzz_harm import Rng
from tests.video_factory import Recipe, write_video

FRAMES = 25
SECONDS = 1.0
OPEN_ENDED = ("h264.ts", "pieces.mp4", "bare.h264")  # no length in the header: they may end anywhere
RED = (40, 40, 230)
MS = Fraction(1, 1000)
_ENOUGH = 1 << 30  # bytes that a growing file stops at: reading it takes longer than a case may
LARGE = 12_000  # pixels, sides of a picture that no film has
_SMALL = Recipe(frames=FRAMES, size=(128, 128), gop=8, colours=RED)
FILMS = {
    "plain.mp4": replace(_SMALL, audio="aac"),
    "fast.mp4": replace(_SMALL, options=(("movflags", "faststart"),)),
    "pieces.mp4": replace(_SMALL, options=(("movflags", "frag_keyframe+empty_moov"),)),
    "h264.mkv": replace(_SMALL, time_base=MS, audio="libopus"),
    "vp9.webm": replace(_SMALL, codec="libvpx-vp9", time_base=MS),
    "h264.ts": replace(_SMALL, audio="aac"),
    "mpeg4.avi": replace(_SMALL, codec="mpeg4"),
    "h264.avi": _SMALL,
    "hevc.mp4": replace(_SMALL, codec="libx265"),
    "bare.h264": _SMALL,
}


def make_films(folder: Path) -> dict[str, bytes]:
    """The sound films that harm is done to."""
    return {name: write_video(folder / name, recipe).read_bytes() for name, recipe in FILMS.items()}


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


def huge_pictures(path: Path, rng: Rng) -> Path:
    """A film of kilobytes whose pictures unpack to hundreds of megabytes each, from its first frame on or later."""
    large, small = (_png(side) for side in (LARGE, 64))
    first = int(rng.choice([0, 3]))
    pictures = [small] * first + [large] * (12 - first)
    return write_pngs(path.with_suffix(".mov"), pictures, LARGE if first == 0 else 64)


def write_pngs(path: Path, pictures: Sequence[bytes], side: int) -> Path:
    """A film of such pictures, whose header says that they are squares of `side` pixels."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("png", rate=25)
        assert isinstance(stream, VideoStream)
        stream.width = stream.height = side
        stream.pix_fmt = "rgb24"
        for number, picture in enumerate(pictures):
            packet = av.Packet(picture)
            packet.stream, packet.pts, packet.dts, packet.duration = stream, number, number, 1
            packet.time_base = Fraction(1, 25)
            container.mux(packet)
    return path


def _png(side: int) -> bytes:
    pack = zlib.compressobj(1)
    rows = b"".join([*(pack.compress(bytes(3 * side + 1)) for _ in range(side)), pack.flush()])
    return png_file(struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0), rows)


def png_file(head: bytes, body: bytes) -> bytes:
    """A PNG of a header and compressed rows."""
    chunks = ((b"IHDR", head), (b"IDAT", body), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )


def billion_frames(path: Path, films: dict[str, bytes], rng: Rng) -> Path:
    """A film whose tables promise a billion frames; all samples of one size, so that no table need be that long."""
    data = bytearray(films["plain.mp4"])
    billion = struct.pack(">I", 1_000_000_000)
    sizes, times, pieces = (data.index(name) for name in (b"stsz", b"stts", b"stsc"))
    data[sizes + 8 : sizes + 16] = struct.pack(">I", int(rng.choice([1, 100]))) + billion
    if rng.random() < 0.7:
        data[times + 12 : times + 16] = billion
    if rng.random() < 0.7:
        data[pieces + 16 : pieces + 20] = billion
    path.write_bytes(data)
    return path


def endless(path: Path, rng: Rng) -> Path:
    """What never ends when it is read, or never begins."""
    kind = str(rng.choice(["pipe", "/dev/zero", "/dev/random", "loop", "folder"]))
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to(path.name if kind == "loop" else kind)
    return path


@contextmanager
def growing(path: Path, data: bytes, rng: Rng) -> Iterator[None]:
    """A file that is still being written, a piece every few milliseconds, for as long as the block runs."""
    done = Event()
    pause = float(rng.choice([0.001, 0.01, 0.05]))

    def write() -> None:
        with path.open("ab", buffering=0) as file:
            while not done.wait(pause) and file.tell() < _ENOUGH:
                file.write(data)

    path.write_bytes(data)
    writer = Thread(target=write)
    writer.start()
    try:
        yield
    finally:
        done.set()
        writer.join()
