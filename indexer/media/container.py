"""The one place that opens a video file: as a local file, as itself only, and within size limits.

A container may name other files and servers, and a picture may claim any size. What is opened here reads one local
file, is no playlist, and decodes no picture above MAX_PIXELS.
"""

from __future__ import annotations

from pathlib import Path

import av
import av.error
from av.container import InputContainer
from av.video.stream import VideoStream

from facereel.store.files.names import printable
from facereel.store.model.errors import VideoError

# 8192x8192, twice 8K television. About a hundred decoded pictures are in memory at once, so larger ones are refused.
MAX_PIXELS = 1 << 26
# FFmpeg demuxers that follow a file to other files and servers.
_PLAYLISTS = frozenset({"hls", "dash", "concat", "sdp", "rtsp", "image2", "imf", "tty"})
_PROTOCOLS = {"protocol_whitelist": "file"}


def open_video(path: Path) -> InputContainer:
    """Open a video file; use the result in a `with`. Raises VideoError for what is no video, or a playlist."""
    try:
        # FFmpeg cannot take an absolute path for a URL or an option.
        container = av.open(str(path.resolve()), "r", metadata_errors="replace", container_options=_PROTOCOLS)
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise VideoError(
            f"{printable(path)} cannot be read as a video ({error_text(error)}); check the file"
        ) from error
    kind = container.format.name
    if _PLAYLISTS.intersection(kind.split(",")):
        container.close()
        raise VideoError(
            f"{printable(path)} is a playlist ({kind}), not a video; give the files that it lists"
        )
    return container


def picture_stream(container: InputContainer, path: Path) -> VideoStream:
    """The first stream of moving pictures, set to decode no picture above MAX_PIXELS.

    Raises VideoError without such a stream or a decoder for it, or when its header states larger pictures.
    """
    for stream in container.streams.video:
        if int(stream.disposition) & int(av.stream.Disposition.attached_pic):
            continue  # a cover
        if stream.codec_context is None:
            raise VideoError(f"{printable(path)} has a codec without a decoder here; convert it to H.264")
        if (stream.width or 0) * (stream.height or 0) > MAX_PIXELS:
            raise VideoError(
                f"{printable(path)} is {stream.width}x{stream.height}; scale it below {MAX_PIXELS:,} pixels"
            )
        stream.codec_context.options = {"max_pixels": str(MAX_PIXELS)}
        return stream
    raise VideoError(f"{printable(path)} has no video stream; give a file with moving pictures")


def error_text(error: BaseException) -> str:
    """The first line of what FFmpeg or the system says of an error."""
    return str(getattr(error, "strerror", None) or error).splitlines()[0]
