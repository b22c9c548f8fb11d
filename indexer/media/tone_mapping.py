"""HDR pictures (PQ, HLG) as a screen for SDR shows them: BT.709 colours, with the highlights compressed.

SDR white counts as 203 cd/m2, the reference white of HDR (ITU-R BT.2408). The curve is the EETF of ITU-R BT.2390,
5.4.1, on each of red, green and blue: up to 92 cd/m2 nothing changes, from there to 1000 it compresses. Higher levels
are clipped, whatever a master's metadata say, so that the same level always looks the same.
"""

from __future__ import annotations

from functools import cache

import av
import cv2
import numpy as np
from av.video.reformatter import ColorTrc
from numpy.typing import NDArray

from facereel.store.model.records import Grey, Image

_WHITE, _PEAK = 203.0, 1000.0  # cd/m2, of the output and of the input
_GAMMA = 2.4  # of an SDR screen, BT.1886
# Linear red, green and blue of BT.2020 -> blue, green and red of BT.709 (ITU-R BT.2087).
_BT709_FROM_BT2020: NDArray[np.float32] = np.array(
    [[-0.0182, -0.1006, 1.1187], [-0.1246, 1.1329, -0.0083], [1.6605, -0.5876, -0.0728]], np.float32
)
_BT2020_LUMINANCE = np.array([[0.2627, 0.6780, 0.0593]], np.float32)
HDR = frozenset({int(ColorTrc.SMPTE2084), int(ColorTrc.ARIB_STD_B67)})  # code points of ITU-T H.273
# Levels and light have 16 bits in the tables.
_LARGEST = 2**16 - 1
_STEPS = np.arange(_LARGEST + 1) / _LARGEST


def is_hdr(picture: av.VideoFrame) -> bool:
    """Whether a decoded picture says that it is PQ or HLG."""
    return picture.color_trc in HDR


def tone_mapped(picture: av.VideoFrame, width: int, height: int) -> Image:
    """An HDR picture at a size in SDR, BGR (height, width, 3)."""
    deep = picture.reformat(width, height, "rgb48le", interpolation="AREA", threads=1)
    levels = np.asarray(deep.to_ndarray(), np.uint16)
    light = _from_hlg(levels) if picture.color_trc == ColorTrc.ARIB_STD_B67 else cv2.LUT(levels, _pq_table())
    return np.asarray(cv2.LUT(cv2.transform(light, _BT709_FROM_BT2020), _level_of_light()), np.uint8)


def tone_mapped_grey(picture: av.VideoFrame, width: int, height: int) -> Grey:
    """The same in grey (height, width), far cheaper: exact where there is no colour."""
    deep = picture.reformat(width, height, "gray16le", interpolation="AREA", threads=1)
    return np.asarray(cv2.LUT(deep.to_ndarray(), _grey_of(picture.color_trc)), np.uint8)


def _from_hlg(levels: NDArray[np.uint16]) -> NDArray[np.uint16]:
    """Linear light of SDR by levels of HLG (H, W, 3), on a screen of 1000 cd/m2 with its gamma of 1.2 (BT.2100)."""
    scene = cv2.LUT(levels, _scene_table())
    gain = cv2.LUT(cv2.transform(scene, _BT2020_LUMINANCE), _hlg_gain_table())
    return np.asarray(cv2.LUT((scene * gain[..., None]).astype(np.uint16), _compression_table()), np.uint16)


@cache
def _pq_table() -> NDArray[np.uint16]:
    """(65536,) linear light of SDR by level of PQ."""
    return _sixteen_bits(_shown(_pq_light(_STEPS)))


@cache
def _scene_table() -> NDArray[np.uint16]:
    """(65536,) linear light before the camera by level of HLG (BT.2100, table 5)."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    return _sixteen_bits(np.where(_STEPS <= 0.5, _STEPS**2 / 3, (np.exp((_STEPS - c) / a) + b) / 12))


@cache
def _hlg_gain_table() -> NDArray[np.float32]:
    """(65536,) what a screen for HLG multiplies light with, by its luminance."""
    return (_STEPS**0.2).astype(np.float32)


@cache
def _compression_table() -> NDArray[np.uint16]:
    """(65536,) linear light of SDR by light of HDR, 65535 is 1000 cd/m2."""
    return _sixteen_bits(_shown(_PEAK * _STEPS))


@cache
def _level_of_light() -> Grey:
    """(65536,) level of SDR by linear light."""
    return np.rint(255 * _STEPS ** (1 / _GAMMA)).astype(np.uint8)


@cache
def _grey_of(transfer: int) -> Grey:
    """(65536,) level of SDR by level of HDR, where there is no colour."""
    levels = np.arange(_LARGEST + 1, dtype=np.uint16).reshape(-1, 1)
    if transfer == ColorTrc.ARIB_STD_B67:
        light = _from_hlg(np.repeat(levels[..., None], 3, axis=2))[:, 0, 0]
    else:
        light = _pq_table()
    return _level_of_light()[light]


def _sixteen_bits(values: NDArray[np.float64]) -> NDArray[np.uint16]:
    """0 to 1 as whole numbers."""
    return np.rint(np.clip(values, 0, 1) * _LARGEST).astype(np.uint16)


def _shown(light: NDArray[np.float64]) -> NDArray[np.float64]:
    """Linear light of SDR, 1 is white, of cd/m2."""
    return _pq_light(_compressed(_pq_level(light))) / _WHITE


def _compressed(level: NDArray[np.float64]) -> NDArray[np.float64]:
    """The EETF: levels of PQ up to the peak -> up to white."""
    peak, white = float(_pq_level(np.array(_PEAK))), float(_pq_level(np.array(_WHITE)))
    knee = 1.5 * white / peak - 0.5
    share = np.clip(level / peak, 0, 1)
    t = np.clip((share - knee) / (1 - knee), 0, 1)
    spline = (
        (2 * t**3 - 3 * t**2 + 1) * knee
        + (t**3 - 2 * t**2 + t) * (1 - knee)
        + (-2 * t**3 + 3 * t**2) * white / peak
    )
    return np.where(share < knee, share, spline) * peak


# ITU-R BT.2100, table 4.
_M1, _M2 = 2610 / 16384, 2523 / 4096 * 128
_C1, _C2, _C3 = 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32


def _pq_light(level: NDArray[np.float64]) -> NDArray[np.float64]:
    """cd/m2 of a level of PQ, 0 to 1."""
    power = level ** (1 / _M2)
    return np.asarray(10000 * (np.maximum(power - _C1, 0) / (_C2 - _C3 * power)) ** (1 / _M1))


def _pq_level(light: NDArray[np.float64]) -> NDArray[np.float64]:
    """Level of PQ, 0 to 1, of cd/m2."""
    power = (light / 10000) ** _M1
    return np.asarray(((_C1 + _C2 * power) / (1 + _C3 * power)) ** _M2)
