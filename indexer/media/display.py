"""How a decoded picture is to be shown: what the container and the stream say of its orientation."""

from __future__ import annotations

import math
import struct
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
