"""Decoding on an NVIDIA card: only where its pictures are, to the pixel, those of a software decoder.

FFmpeg's hwaccel "cuda" decodes, PyAV copies each picture into memory. Where the card does not know a profile FFmpeg
itself goes on in software. `--device auto` never comes here: small pictures cost the processor less than the copy, and
several videos at once would share one decoder.
"""

from __future__ import annotations

from functools import cache

import av
import av.error
from av.codec import Codec
from av.codec.hwaccel import HWAccel

# Their standards leave no pixel to the decoder; those of MPEG-2 and MPEG-4 leave the rounding of the transform.
_EXACT_CODECS = frozenset({"h264", "hevc", "vp8", "vp9"})
# As a software decoder gives 4:2:0 of 8 and 10 bits.
_EXACT_FORMATS = frozenset({"yuv420p", "yuvj420p", "yuv420p10le"})
# As the card gives them, with U and V in one plane, and the same samples as a software decoder lays them out.
_PLANAR = {"nv12": "yuv420p", "p010le": "yuv420p10le"}


class HardwareError(Exception):
    """Something was lost on the card: the file is damaged, or the card failed."""


@cache
def missing_device() -> str:
    """Why no card can decode here, in FFmpeg's words; empty where one can."""
    try:
        HWAccel("cuda").create(Codec("h264", "r"))
    except (av.error.FFmpegError, NotImplementedError) as error:  # no card or driver; an FFmpeg without CUDA
        return str(getattr(error, "strerror", None) or error)
    return ""


def is_exact(codec: str, pixel_format: str) -> bool:
    """Whether the standard fixes every pixel of such a stream, and the card gives them all."""
    return codec in _EXACT_CODECS and pixel_format in _EXACT_FORMATS


def accelerator() -> HWAccel:
    """What av.open takes for decoding on the card."""
    return HWAccel("cuda", allow_software_fallback=True)


def planar(picture: av.VideoFrame) -> av.VideoFrame:
    """A picture as a software decoder lays it out: the same samples, colours in planes of their own."""
    layout = _PLANAR.get(picture.format.name)
    if layout is None:
        return picture
    # The range is named on both sides, so that no level is changed; times and side data go along.
    levels = picture.color_range
    return picture.reformat(format=layout, src_color_range=levels, dst_color_range=levels, threads=1)
