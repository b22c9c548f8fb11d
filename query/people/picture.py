"""The pixels of a photo, whatever kind of file it is: upright, in the colours that a viewer shows, as BGR.

Knows files and colours, nothing of faces. Pillow reads them; pi-heif adds HEIC, which phones write, and OpenCV
TIFFs of floats in colour.
"""

from __future__ import annotations

import io
import logging
import shlex
import struct
import warnings
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageCms, ImageOps, TiffImagePlugin, UnidentifiedImageError

from facereel.query.people.heic import decode_heic
from facereel.store.files.kinds import Kind, kind_of
from facereel.store.files.names import printable
from facereel.store.model.errors import PhotoError
from facereel.store.model.records import Image

# A photo of this size takes up to 0.8 GB of memory. JPEGs are scaled down while they are read, unless they are
# progressive.
_MAX_PIXELS = 80_000_000
_JPEG_SIDE = 3200  # pixels; twice the size at which a photo is searched
# Pillow reads many more formats. Some of them run other programs, and few are used for photos.
_FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "JPEG2000", "TIFF", "GIF", "BMP", "PPM")
_ORIENTATION = 0x0112  # the tag of EXIF and TIFF
_DEEP_MODES = frozenset({"I", "F", "I;16", "I;16B", "I;16L", "I;16N"})  # one channel of more than 8 bits

logging.getLogger("PIL").addHandler(logging.NullHandler())  # what is wrong with a photo is said in its error


def read_photo(path: Path) -> Image:
    """The upright picture as BGR (H, W, 3); raises PhotoError when it cannot be read.

    A JPEG may come scaled down by a power of two. Of several pictures in a file the first is read. Behind what is
    transparent lies white.
    """
    if not path.is_file():
        why = (
            "is a folder, a pipe or a device; give a file"
            if path.exists()
            else "is not there; check the name"
        )
        raise PhotoError(f"{printable(path)} {why}")
    kind = kind_of(path)
    if kind is not None and kind.sort != "photo":
        remedy = "export it as JPEG"
        if kind.sort == "video":
            index = f"facereel index {shlex.quote(printable(path))}"
            remedy = f"give a photo of the person (to index the video run: {index})"
        raise PhotoError(f"{printable(path)} is {kind}, not a photo that can be read; {remedy}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about large pictures and unusual tags
            return _read(path, kind)
    except PhotoError:
        raise
    except Exception as error:  # of damaged files Pillow and its plugins raise errors of many kinds
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        remedy = "give a JPEG, PNG or WebP"
        if kind is not None:
            remedy = f"it is {kind}: copy it again, or export it as JPEG"
        raise PhotoError(
            f"{printable(path)} cannot be read as a photo ({printable(reason)}); {remedy}"
        ) from error


def _read(path: Path, kind: Kind | None) -> Image:
    is_heic = kind is not None and kind.name == "HEIC"
    try:
        photo = Pillow.open(decode_heic(path, _MAX_PIXELS) if is_heic else path, formats=_FORMATS)
    except UnidentifiedImageError:
        picture = _read_deep_tiff(path) if kind is not None and kind.name == "TIFF" else None
        if picture is None:
            raise
        return picture
    with photo:
        if not photo.info.get("progressive"):
            photo.draft("RGB", (_JPEG_SIDE, _JPEG_SIDE))  # scales a JPEG down
        _check_size(path, photo.width, photo.height)
        photo.load()
        return _bgr(_rgb(_upright(photo), _unsigned(photo)))


def _read_deep_tiff(path: Path) -> Image | None:
    """A TIFF of more than 8 bits that Pillow does not know, as floats in colour; None where OpenCV neither does."""
    with path.open("rb") as file:
        try:
            tags = TiffImagePlugin.ImageFileDirectory_v2(file.read(8))
            file.seek(tags.next)
            tags.load(file)
            width, height, bits = int(tags[256]), int(tags[257]), int(tags[258][0])
        except (struct.error, LookupError, TypeError, ValueError, OSError, SyntaxError):
            return None
    if bits <= 8:
        return None
    _check_size(path, width, height)
    level = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        levels = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        return None
    finally:
        cv2.utils.logging.setLogLevel(level)
    if levels is None or levels.shape[2:] not in ((), (3,), (4,)):
        return None
    grey = levels.ndim == 2
    photo = Pillow.fromarray(_eight_bits(levels if grey else levels[..., 2::-1]))
    photo.getexif()[_ORIENTATION] = tags.get(_ORIENTATION, 1)
    return _bgr(_upright(photo).convert("RGB"))


def _check_size(path: Path, width: int, height: int) -> None:
    if width * height > _MAX_PIXELS:
        raise PhotoError(f"{printable(path)} is {width}x{height}; scale it below {_MAX_PIXELS:,} pixels")


def _bgr(photo: Pillow.Image) -> Image:
    return np.ascontiguousarray(np.asarray(photo, np.uint8)[..., ::-1])


def _upright(photo: Pillow.Image) -> Pillow.Image:
    """The photo turned as its EXIF data says, or as it is where these cannot be read."""
    try:
        return ImageOps.exif_transpose(photo)
    except Exception:  # damaged EXIF data raises errors of many kinds
        return photo


def _rgb(photo: Pillow.Image, unsigned: bool) -> Pillow.Image:
    """A loaded photo in sRGB, 8 bits a channel."""
    if photo.mode in _DEEP_MODES:
        levels = np.asarray(photo)
        return Pillow.fromarray(_eight_bits(levels.view(np.uint32) if unsigned else levels)).convert("RGB")
    profile = photo.info.get("icc_profile")
    if photo.has_transparency_data:
        photo = photo.convert("RGBA")
        white = Pillow.new("RGBA", photo.size, "white")
        photo = Pillow.alpha_composite(white, photo).convert("RGB")
    elif photo.mode in ("P", "1"):
        photo = photo.convert("RGB")
    if photo.mode == "LAB":
        return _converted(photo, ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")))
    if profile:
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            # What says that it is sRGB already stays as it is, to the bit.
            if "sRGB" not in ImageCms.getProfileDescription(source):
                return _converted(photo, source)
        except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
            pass  # a damaged profile, or one of another kind of picture: viewers ignore it
    return photo.convert("RGB")


def _converted(photo: Pillow.Image, profile: ImageCms.ImageCmsProfile) -> Pillow.Image:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
    converted = ImageCms.profileToProfile(photo, profile, srgb, outputMode="RGB")
    assert converted is not None  # it is only when the picture is changed in place
    return converted


def _unsigned(photo: Pillow.Image) -> bool:
    """Whether Pillow's signed numbers of 32 bits stand for unsigned ones, as a TIFF says (tag SampleFormat)."""
    formats = getattr(photo, "tag_v2", {}).get(339, (1,))
    return photo.mode == "I" and formats[0] == 1


def _eight_bits(levels: NDArray[Any]) -> NDArray[np.uint8]:
    """Levels of more than 8 bits as 8.

    Cameras and scanners store 10, 12 or 14 bits in 16, so white is the largest number of as many bits as the largest
    level has. In floats 1 is white, unless most of the picture is above it.
    """
    if levels.dtype.kind == "f":
        numbers = np.nan_to_num(levels.astype(np.float64), nan=0.0, posinf=np.inf, neginf=0.0)
        finite = numbers[np.isfinite(numbers) & (numbers > 0)]
        white = 1.0 if finite.size == 0 or np.median(finite) <= 1 else _largest(float(finite.max()))
    else:
        numbers = levels.astype(np.float64)
        white = _largest(float(numbers.max(initial=0)))
    return np.rint(np.clip(numbers / white, 0, 1) * 255).astype(np.uint8)


def _largest(level: float) -> float:
    """The largest number of as many bits as a level has, of 8 at least."""
    return float(2 ** max(8, int(level).bit_length()) - 1)
