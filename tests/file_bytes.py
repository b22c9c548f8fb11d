"""Files as devices and editors write them, made from others by editing bytes: clocks, edit lists, packed frames."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.stream import Disposition
from av.video.stream import VideoStream

from tests.video_factory import Recipe, draw

_TS_PACKET = 188
_PTS_BITS = (1 << 33) - 1


def move_clock(path: Path, move: Callable[[int], int], pid: int | None = None) -> Path:
    """Change the time stamps (90 kHz) in a transport stream, of all streams or of one; PyAV's picture is pid 256."""
    content = bytearray(path.read_bytes())
    for start in range(0, len(content), _TS_PACKET):
        packet = content[start : start + _TS_PACKET]
        starts_unit, number = packet[1] & 0x40, (packet[1] & 0x1F) << 8 | packet[2]
        at = start + 4 + (1 + packet[4] if packet[3] & 0x20 else 0)
        if not starts_unit or content[at : at + 3] != b"\0\0\1" or pid not in (None, number):
            continue
        for flag, place in ((0x80, at + 9), (0x40, at + 14)):
            if content[at + 7] & flag:
                _write_stamp(content, place, move(_read_stamp(content, place)) & _PTS_BITS)
    path.write_bytes(content)
    return path


def _read_stamp(content: bytearray, at: int) -> int:
    high, middle, low = struct.unpack_from(">BHH", content, at)
    return int((high >> 1 & 7) << 30 | (middle >> 1) << 15 | low >> 1)


def _write_stamp(content: bytearray, at: int, stamp: int) -> None:
    content[at] = content[at] & 0xF0 | (stamp >> 30 & 7) << 1 | 1
    struct.pack_into(">H", content, at + 1, (stamp >> 15 & 0x7FFF) << 1 | 1)
    struct.pack_into(">H", content, at + 3, (stamp & 0x7FFF) << 1 | 1)


def repeat_fields(path: Path) -> Path:
    """Set repeat_first_field in every second picture of a bare MPEG-2 stream (ISO/IEC 13818-2, 6.2.3.1)."""
    content = bytearray(path.read_bytes())
    sequence = content.find(b"\0\0\1\xb5")
    while sequence >= 0:
        if content[sequence + 4] >> 4 == 1:
            content[sequence + 5] &= ~0x08  # progressive_sequence
        sequence = content.find(b"\0\0\1\xb5", sequence + 4)
    at, number = content.find(b"\0\0\1\xb5"), 0
    while at >= 0:
        if content[at + 4] >> 4 == 8:
            content[at + 7] |= 0x02 * (number % 2 == 0)
            content[at + 8] |= 0x80  # progressive_frame
            number += 1
        at = content.find(b"\0\0\1\xb5", at + 4)
    path.write_bytes(content)
    return path


def set_edits(path: Path, edits: Sequence[tuple[int, int]], track: int = 0, rate: float = 1.0) -> Path:
    """Give a track of an MP4 whose index is at the end these edits: (milliseconds shown, start in its own ticks).

    A start of -1 shows nothing for that time.
    """
    content = path.read_bytes()
    moov = content.rindex(b"moov") - 4
    trak = _children(content, moov, b"trak")[track]
    entries = b"".join(struct.pack(">Iii", shown, start, round(rate * 65536)) for shown, start in edits)
    elst = _box(b"elst", struct.pack(">II", 0, len(edits)) + entries)
    old = _children(content, trak, b"edts")
    body = content[trak + 8 : trak + _size(content, trak)]
    for edts in old:
        body = body.replace(content[edts : edts + _size(content, edts)], b"")
    tkhd = body[: _size(body, 0)]
    changed = _box(b"trak", tkhd + _box(b"edts", elst) + body[len(tkhd) :])
    inside = (
        content[moov + 8 : trak]
        + changed
        + content[trak + _size(content, trak) : moov + _size(content, moov)]
    )
    path.write_bytes(content[:moov] + _box(b"moov", inside) + content[moov + _size(content, moov) :])
    return path


def _size(content: bytes, at: int) -> int:
    return int(struct.unpack_from(">I", content, at)[0])


def _box(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(body), kind) + body


def _children(content: bytes, parent: int, kind: bytes) -> list[int]:
    """Where the boxes of a kind begin inside another box."""
    found, at, end = [], parent + 8, parent + _size(content, parent)
    while at < end:
        if content[at + 4 : at + 8] == kind:
            found.append(at)
        at += _size(content, at)
    return found


def write_packed(path: Path, recipe: Recipe) -> Path:
    """MPEG-4 in AVI with packed B-frames, as DivX and Xvid wrote it: P and B in one chunk, then one without picture."""
    packets = _encode(recipe)
    vop = packets[0].index(b"\0\0\1\xb6")
    packets[0] = packets[0][:vop] + b"\0\0\1\xb2DivX503b1393p" + packets[0][vop:]
    chunks, at = packets[:1], 1
    while at < len(packets):
        pair = packets[at : at + 2]
        chunks.append(b"".join(pair))
        chunks += [b"\x7f"] * (len(pair) - 1)
        at += 2
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=recipe.fps)
        stream.width, stream.height, stream.pix_fmt = *recipe.size, "yuv420p"
        for number, chunk in enumerate(chunks):
            packet = av.Packet(chunk)
            packet.stream, packet.time_base = stream, 1 / recipe.fps
            packet.pts = packet.dts = number
            container.mux(packet)
    return path


def _encode(recipe: Recipe) -> list[bytes]:
    context = av.CodecContext.create("mpeg4", "w")
    context.width, context.height, context.pix_fmt = *recipe.size, "yuv420p"
    context.time_base, context.framerate = 1 / recipe.fps, recipe.fps
    context.max_b_frames, context.gop_size = 1, 1000
    context.options = {"qscale": "3", "b_strategy": "0"}
    packets = []
    for number in range(recipe.frames):
        picture = av.VideoFrame.from_ndarray(draw(recipe, number), "bgr24").reformat(format="yuv420p")
        picture.pts, picture.time_base = number, 1 / recipe.fps
        packets += context.encode(picture)
    return [bytes(packet) for packet in packets + context.encode(None)]


def write_streams(
    path: Path, videos: Sequence[tuple[Recipe, str, int]], sounds: Sequence[tuple[int, int]] = ()
) -> Path:
    """Several streams in a file: pictures by recipe, codec and disposition; tones of so many Hz with a disposition."""
    with av.open(str(path), "w") as container:
        streams = []
        for recipe, codec, disposition in videos:
            stream = container.add_stream(codec, rate=recipe.fps)
            assert isinstance(stream, VideoStream)
            stream.width, stream.height = recipe.size
            stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
            stream.disposition = Disposition(disposition)
            streams.append((stream, recipe))
        tones = []
        for pitch, disposition in sounds:
            sound = container.add_stream("aac", rate=48_000)
            sound.layout = "stereo"
            sound.disposition = Disposition(disposition)
            tones.append((sound, pitch))
        for stream, recipe in streams:
            for number in range(recipe.frames):
                picture = av.VideoFrame.from_ndarray(draw(recipe, number), "bgr24")
                picture = picture.reformat(format=stream.pix_fmt)
                picture.pts, picture.time_base = number, 1 / Fraction(recipe.fps)
                container.mux(stream.encode(picture))
            container.mux(stream.encode(None))
        for sound, pitch in tones:
            wave = np.sin(2 * np.pi * pitch * np.arange(2 * 48_000) / 48_000).astype(np.float32) / 2
            for at in range(0, len(wave), 1024):
                block = np.ascontiguousarray(np.tile(wave[at : at + 1024], (2, 1)))
                frame = av.AudioFrame.from_ndarray(block, "fltp", "stereo")
                frame.sample_rate, frame.pts, frame.time_base = 48_000, at, Fraction(1, 48_000)
                container.mux(sound.encode(frame))
            container.mux(sound.encode(None))
    return path
