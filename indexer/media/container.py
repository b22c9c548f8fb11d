"""The one place that opens a video file: as a local file, as itself only, and within size limits.

A container may name other files and servers, and a picture may claim any size. What is opened here reads one local
file, is no playlist, and decodes no picture above MAX_PIXELS.
"""

from __future__ import annotations

import shlex
from contextlib import suppress
from pathlib import Path

import av
import av.error
from av.audio.stream import AudioStream
from av.codec.hwaccel import HWAccel
from av.container import InputContainer
from av.stream import Disposition, Stream
from av.video.stream import VideoStream

from facereel.store.files.kinds import Kind, kind_of
from facereel.store.files.names import printable
from facereel.store.model.errors import VideoError

# 8192x8192, twice 8K television. About a hundred decoded pictures are in memory at once, so larger ones are refused.
MAX_PIXELS = 1 << 26
# FFmpeg demuxers that follow a file to other files and servers.
_PLAYLISTS = frozenset({"hls", "dash", "concat", "sdp", "rtsp", "imf", "tty"})
# And its demuxers of pictures, besides all that are called `..._pipe`. It opens HEIC and AVIF as MP4.
_PICTURES = frozenset({"image2", "gif", "apng", "ico"})
# One JPEG after the other: as a film it is known by its name alone.
_MOTION_JPEG = frozenset({".mjpeg", ".mjpg"})
# Streams that are not the film: covers, and pictures beside it.
_STILL = int(Disposition.attached_pic | Disposition.still_image | Disposition.timed_thumbnails)
# Sound that is not the film's alone.
_EXTRA_SOUND = int(
    Disposition.comment | Disposition.visual_impaired | Disposition.hearing_impaired
    | Disposition.descriptions | Disposition.clean_effects | Disposition.karaoke | Disposition.dependent
)  # fmt: skip
_COUNTED_PACKETS = 2000
_ANGLE = 0.5  # of the pictures that the longest stream has; previews have a frame a second or less
_PROTOCOLS = {"protocol_whitelist": "file"}


def open_video(path: Path, accelerator: HWAccel | None = None) -> InputContainer:
    """Open a video file; use the result in a `with`. Raises VideoError for what is no video, or a playlist.

    Where the accelerator cannot be had (no card, or its memory is full) decoding is left to software.
    """
    kind = kind_of(path)
    try:
        # FFmpeg cannot take an absolute path for a URL or an option.
        container = av.open(
            str(path.resolve()),
            "r",
            metadata_errors="replace",
            container_options=_PROTOCOLS,
            hwaccel=accelerator,
        )
    except (av.error.FFmpegError, OSError, ValueError) as error:
        if accelerator is not None:
            return open_video(path)
        if kind is not None and kind.sort != "video":
            raise _not_a_video(path, kind) from error
        raise VideoError(
            f"{printable(path)} cannot be read as a video ({error_text(error)}); check the file"
        ) from error
    demuxer = container.format.name
    film = path.suffix.lower() in _MOTION_JPEG
    picture = demuxer in _PICTURES or (demuxer.endswith("_pipe") and not film)
    if kind is not None and kind.sort != "video" and (picture or kind.name in ("HEIC", "AVIF")):
        container.close()
        raise _not_a_video(path, kind)
    if picture or _PLAYLISTS.intersection(demuxer.split(",")):
        container.close()
        what = "picture" if picture else "playlist"
        remedy = "give a file with moving pictures" if picture else "give the files that it lists"
        raise VideoError(f"{printable(path)} is a {what} ({demuxer}), not a video; {remedy}")
    return container


def _not_a_video(path: Path, kind: Kind) -> VideoError:
    remedy = "give a video file"
    if kind.sort == "photo":
        remedy = f"to search for the person in it run: facereel query {shlex.quote(printable(path))}"
    return VideoError(f"{printable(path)} is {kind}, not a video; {remedy}")


def picture_stream(container: InputContainer, path: Path) -> VideoStream:
    """The stream that is the film, set to decode no picture above MAX_PIXELS.

    As players choose it: no cover, still or preview; of the others the one flagged as default, then the one with most
    pictures, then the largest, then the first. Raises VideoError without such a stream or a decoder for it, or when its
    header states larger pictures.
    """
    streams = _moving(container)
    if not streams:
        raise VideoError(f"{printable(path)} has no video stream; give a file with moving pictures")
    stream = streams[0] if len(streams) == 1 else _film(streams, path)
    if stream.codec_context is None:
        raise VideoError(f"{printable(path)} has a codec without a decoder here; convert it to H.264")
    if (stream.width or 0) * (stream.height or 0) > MAX_PIXELS:
        raise VideoError(
            f"{printable(path)} is {stream.width}x{stream.height}; scale it below {MAX_PIXELS:,} pixels"
        )
    stream.codec_context.options = {"max_pixels": str(MAX_PIXELS)}
    return stream


def sound_stream(container: InputContainer) -> AudioStream | None:
    """The stream that is the film's sound, of those that can be decoded; None without one."""
    return next(iter(sound_streams(container)), None)


def sound_streams(container: InputContainer) -> list[AudioStream]:
    """All sound that can be decoded, the film's own first.

    That is chosen as players do: no comment on the film and no description for those who cannot see or hear it, if
    there is another; then the one flagged as default, then the first.
    """
    streams = [stream for stream in container.streams.audio if stream.codec_context is not None]
    return sorted(streams, key=lambda stream: (_is_extra(stream), not _is_default(stream)))


def other_films(container: InputContainer, path: Path) -> int:
    """How many streams besides the film are no still and no preview, as other angles are."""
    streams = _moving(container)
    return sum(share >= _ANGLE for share in _shares(streams, path)) - 1 if len(streams) > 1 else 0


def _moving(container: InputContainer) -> list[VideoStream]:
    return [stream for stream in container.streams.video if not int(stream.disposition) & _STILL]


def _film(streams: list[VideoStream], path: Path) -> VideoStream:
    shares = _shares(streams, path)

    def order(place: int) -> tuple[bool, bool, bool, float, int]:
        stream = streams[place]
        size = (stream.width or 0) * (stream.height or 0)
        playable = stream.codec_context is not None
        return not playable, not shares[place], not _is_default(stream), -shares[place], -size

    return streams[min(range(len(streams)), key=order)]


def _shares(streams: list[VideoStream], path: Path) -> list[float]:
    """Pictures of each stream as a share of those of the longest, in tenths; 0 for a still."""
    pictures = [stream.frames for stream in streams]
    if not all(pictures):
        pictures = _count_pictures(path, [stream.index for stream in streams])
    most = max(1, *pictures)
    return [max(0.1, round(number / most, 1)) if number > 1 else 0.0 for number in pictures]


def _count_pictures(path: Path, streams: list[int]) -> list[int]:
    """Pictures of each stream in the beginning of a file whose header does not count them."""
    counts = dict.fromkeys(streams, 0)
    with open_video(path) as container, suppress(av.error.FFmpegError, OSError):
        for packet in container.demux(streams):
            counts[packet.stream.index] += packet.size > 0
            if sum(counts.values()) >= _COUNTED_PACKETS:
                break
    return list(counts.values())


def _is_default(stream: Stream) -> bool:
    return bool(int(stream.disposition) & int(Disposition.default))


def _is_extra(stream: AudioStream) -> bool:
    return bool(int(stream.disposition) & _EXTRA_SOUND)


def error_text(error: BaseException) -> str:
    """The first line of what FFmpeg or the system says of an error."""
    return str(getattr(error, "strerror", None) or error).splitlines()[0]
