"""How a decoded picture is to be shown: what the container and the stream say of its orientation and of its view."""

from __future__ import annotations

import math
import struct
import sys
from fractions import Fraction
from typing import cast

import av
from av.sidedata.sidedata import SideDataContainer, Type


def orientation(picture: av.VideoFrame) -> tuple[int, bool]:
    """(degrees clockwise, mirrored): players turn the picture, then swap left and right if it is mirrored.

    The display matrix of MP4 (ISO/IEC 14496-12, 6.2.2) maps x, y of the coded picture to a*x + c*y, b*x + d*y of the
    picture as displayed; FFmpeg gives the projection of Matroska and the display orientation of H.264 and HEVC in the
    same form. Its angle is rounded to a quarter turn; how far it scales or moves the picture is ignored, as by players.
    """
    try:
        matrix = cast(SideDataContainer, picture.side_data)[Type.DISPLAYMATRIX]
    except KeyError:
        return 0, False
    except (
        ValueError
    ):  # beside a kind of side data that PyAV does not know it gives none, but it knows the angle
        return round(-picture.rotation / 90) * 90 % 360, False
    a, b, _, c, d = struct.unpack_from("=5i", bytes(matrix))
    mirrored = a * d - b * c < 0
    return round(math.degrees(math.atan2(b, -a if mirrored else a)) / 90) * 90 % 360, mirrored


def displayed_size(width: int, height: int, aspect: Fraction, rotation: int) -> tuple[int, int]:
    """Width and height of the upright picture with square pixels; `aspect` is that of a coded pixel."""
    width = max(1, round(width * aspect))
    return (height, width) if rotation in (90, 270) else (width, height)


# By FFmpeg's AVStereo3DType; of the others a decoder gives one eye, or both are one picture.
_BOTH_EYES = {1: "side by side", 2: "one above the other", 5: "side by side"}
# By FFmpeg's AVSphericalProjection; 4 is a plain picture.
_SPHERES = {
    0: "all round",
    1: "all round, as a cube",
    2: "all round",
    3: "half round",
    5: "through a fisheye",
}


def unusual_view(picture: av.VideoFrame) -> tuple[str, ...]:
    """Warnings about a picture that a plain player shows otherwise than a viewer for it does."""
    try:
        sides = cast(SideDataContainer, picture.side_data)
        kinds = {data.type: int.from_bytes(bytes(data)[:4], sys.byteorder) for data in sides}
    except ValueError:  # as above
        return ()
    eyes, sphere = _BOTH_EYES.get(kinds.get(Type.STEREO3D, 0)), _SPHERES.get(kinds.get(Type.SPHERICAL, 4))
    warnings = []
    if eyes is not None:
        warnings.append(f"stereo 3D with both eyes in a picture, {eyes}: everybody is found twice")
    if sphere is not None:
        warnings.append(
            f"a spherical video ({sphere}), searched as it is stored: faces near its edges are warped"
        )
    return tuple(warnings)
