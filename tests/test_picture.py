"""Photos of every kind give the pixels that a viewer shows; what is no photo is called what it is."""

from __future__ import annotations

import io
import struct
from itertools import product
from pathlib import Path
from typing import Any, Literal, TypeAlias

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageCms

from facereel.indexer.media.video import probe
from facereel.query.people.picture import read_photo
from facereel.store.model.errors import PhotoError, VideoError
from facereel.store.model.records import Image
from tests.heic import write_heic
from tests.video_factory import Recipe, write_video

Order: TypeAlias = Literal["<", ">"]

# How a picture has to be stored for each orientation of EXIF.
BACK = {
    1: lambda p: p, 2: lambda p: p[:, ::-1], 3: lambda p: p[::-1, ::-1], 4: lambda p: p[::-1],
    5: lambda p: p.transpose(1, 0, 2), 6: lambda p: np.rot90(p),
    7: lambda p: np.rot90(p, 2).transpose(1, 0, 2), 8: lambda p: np.rot90(p, -1),
}  # fmt: skip


def quarters(width: int = 96, height: int = 64) -> Image:
    """A picture whose orientation and colours are plain: each quarter has its own (BGR)."""
    picture = np.empty((height, width, 3), np.uint8)
    top, left = slice(0, height // 2), slice(0, width // 2)
    bottom, right = slice(height // 2, None), slice(width // 2, None)
    picture[top, left], picture[top, right] = (30, 40, 200), (60, 180, 50)
    picture[bottom, left], picture[bottom, right] = (190, 70, 60), (120, 120, 120)
    return picture


def ramp() -> NDArray[np.float64]:
    """Grey from 0 to 1, (64, 96)."""
    return np.tile(np.linspace(0, 1, 96), (64, 1))


def rgb(picture: Image) -> Pillow.Image:
    return Pillow.fromarray(np.ascontiguousarray(picture[..., ::-1]))


def assert_shows(path: Path, picture: Image, tolerance: float = 3) -> None:
    image = read_photo(path)
    assert image.shape == picture.shape
    assert image.dtype == np.uint8
    assert np.abs(image.astype(int) - picture).mean() < tolerance


def as_grey(levels: NDArray[np.float64]) -> Image:
    """What a grey picture of 0 to 1 looks like."""
    return np.repeat(np.rint(levels * 255).astype(np.uint8)[..., None], 3, axis=2)


def write_tiff(path: Path, levels: NDArray[Any], order: Order = "<") -> Path:
    """An uncompressed grey TIFF of one strip, of numbers of any type in either byte order."""
    kind = {"u": 1, "i": 2, "f": 3}[levels.dtype.kind]
    height, width = levels.shape
    data = levels.astype(levels.dtype.newbyteorder(order)).tobytes()
    tags = {
        256: width, 257: height, 258: 8 * levels.dtype.itemsize, 259: 1, 262: 1, 273: 8, 277: 1, 278: height,
        279: len(data), 339: kind,
    }  # fmt: skip
    entries = b"".join(
        struct.pack(f"{order}HHI", tag, 4, 1) + struct.pack(f"{order}I", value) for tag, value in tags.items()
    )
    head = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HI", 42, 8 + len(data))
    path.write_bytes(head + data + struct.pack(f"{order}H", len(tags)) + entries + bytes(4))
    return path


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", ["u2", "i2", "u4", "i4", "f4", "f8"])
@pytest.mark.parametrize("share", [1.0, 1 / 16])  # of the levels; cameras store 12 bits in 16
def test_deep_grey_keeps_its_levels(tmp_path: Path, order: Order, kind: str, share: float) -> None:
    white = 1.0 if kind.startswith("f") else np.iinfo(kind).max * share
    levels = (ramp() * white).astype(kind)
    assert_shows(write_tiff(tmp_path / "scan.tif", levels, order), as_grey(ramp()), tolerance=1)


@pytest.mark.parametrize("suffix", ["png", "jp2", "pgm"])
def test_sixteen_bits_of_other_formats(tmp_path: Path, suffix: str) -> None:
    levels = (ramp() * 65_535).astype(np.uint16)
    path = tmp_path / f"scan.{suffix}"
    if suffix == "pgm":
        path.write_bytes(b"P5 96 64 65535\n" + levels.astype(">u2").tobytes())
    else:
        Pillow.fromarray(levels).save(path)
    assert_shows(path, as_grey(ramp()), tolerance=1)


def test_a_grey_picture_of_few_levels_in_many_bits(tmp_path: Path) -> None:
    """8 bits stored as 16 or 32."""
    levels = np.rint(ramp() * 255)
    for kind in ("u2", "u4"):
        assert_shows(write_tiff(tmp_path / f"{kind}.tif", levels.astype(kind)), as_grey(ramp()), tolerance=1)


def test_floats_that_are_no_numbers_or_out_of_range(tmp_path: Path) -> None:
    levels, expected = ramp().astype(np.float32), as_grey(ramp())
    for row, odd, shown in ((0, np.nan, 0), (1, np.inf, 255), (2, -np.inf, 0), (3, 7.5, 255), (4, -3, 0)):
        levels[row], expected[row] = odd, shown
    assert_shows(write_tiff(tmp_path / "odd.tif", levels), expected, tolerance=0.5)
    assert_shows(
        write_tiff(tmp_path / "nothing.tif", np.full((64, 96), np.nan, np.float32)), as_grey(0 * ramp())
    )
    # Floats that count like whole numbers.
    assert_shows(
        write_tiff(tmp_path / "whole.tif", (ramp() * 255).astype(np.float32)), as_grey(ramp()), tolerance=1
    )


@pytest.mark.parametrize("kind", ["png", "tiff", "float.tiff"])
def test_colours_of_more_than_eight_bits(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"deep.{kind}"
    if kind == "float.tiff":
        assert cv2.imwrite(str(path), (quarters() / 255).astype(np.float32))
    else:
        assert cv2.imwrite(str(path), quarters().astype(np.uint16) * 257)
    assert_shows(path, quarters(), tolerance=1)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif", "avif"])
def test_is_turned_once_as_the_camera_says(tmp_path: Path, suffix: str, orientation: int) -> None:
    exif = Pillow.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"phone.{suffix}"
    rgb(BACK[orientation](quarters())).save(path, exif=exif)
    assert_shows(path, quarters())


@pytest.mark.parametrize("name", ["IMG_0001.HEIC", "IMG_0001.jpg"])
def test_heic_is_read_whatever_its_name(tmp_path: Path, name: str) -> None:
    assert_shows(write_heic(tmp_path / name, quarters()), quarters())


@pytest.mark.parametrize("exif", [None, 6])
@pytest.mark.parametrize(("turns", "mirror"), [*product(range(4), (None, 0, 1))])
def test_heic_is_turned_once(tmp_path: Path, turns: int, mirror: int | None, exif: int | None) -> None:
    """By its boxes; what EXIF says beside them is what they did."""
    coded = quarters()
    if mirror is not None:
        coded = coded[::-1] if mirror == 0 else coded[:, ::-1]
    path = write_heic(tmp_path / "a.heic", np.rot90(coded, -turns), turns, mirror, exif)
    assert_shows(path, quarters())


@pytest.mark.parametrize("mode", ["P", "PA", "RGBA", "LA", "CMYK", "LAB", "YCbCr", "1", "HSV"])
def test_colours_of_every_mode(tmp_path: Path, mode: str) -> None:
    picture = quarters()
    if mode in ("LA", "1"):
        picture = np.repeat(picture[..., 1:2], 3, axis=2)
    photo = rgb(picture)
    if mode == "LAB":
        lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        converted = ImageCms.profileToProfile(photo, srgb, lab, outputMode="LAB")
        assert converted is not None
    elif mode == "1":
        picture = np.where(picture > 100, 255, 0).astype(np.uint8)
        converted = Pillow.fromarray(picture[..., 0]).convert("1")
    elif mode == "HSV":
        converted = photo  # no format stores it
    elif mode == "PA":
        converted = photo.quantize()
        converted.info["transparency"] = bytes([255] * 256)
    else:
        converted = photo.quantize() if mode == "P" else photo.convert(mode)
    path = tmp_path / ("a.tif" if mode in ("CMYK", "LAB", "YCbCr") else "a.png")
    converted.save(path)
    assert_shows(path, picture, tolerance=8)


def test_a_cmyk_jpeg_of_adobe_is_not_inverted(tmp_path: Path) -> None:
    path = tmp_path / "print.jpg"
    rgb(quarters()).convert("CMYK").save(path, quality=95)
    assert b"Adobe" in path.read_bytes()[:200]
    assert_shows(path, quarters(), tolerance=6)


@pytest.mark.parametrize("suffix", ["png", "webp", "gif"])
def test_behind_what_is_transparent_lies_white(tmp_path: Path, suffix: str) -> None:
    picture = rgb(quarters()).convert("RGBA")
    alpha = Pillow.new("L", picture.size, 255)
    alpha.paste(0, (0, 0, 48, 32))
    picture.putalpha(alpha)
    path = tmp_path / f"cut-out.{suffix}"
    picture.save(path, lossless=True)
    image = read_photo(path)
    assert (image[:30, :46] == 255).all()
    assert np.abs(image[34:, 50:].astype(int) - 120).max() < 6


def wide_profile() -> bytes:
    """An RGB profile whose red and green are swapped: what ignores it shows other colours."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    count = int.from_bytes(profile[128:132], "big")
    tags = {bytes(profile[132 + 12 * n : 136 + 12 * n]): 132 + 12 * n for n in range(count)}
    red, green = tags[b"rXYZ"], tags[b"gXYZ"]
    profile[red + 4 : red + 12], profile[green + 4 : green + 12] = (
        profile[green + 4 : green + 12],
        profile[red + 4 : red + 12],
    )
    return bytes(profile).replace(b"s\0R\0G\0B", b"o\0t\0h\0e").replace(b"\0s\0R\0G\0B", b"\0o\0t\0h\0e")


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
def test_an_embedded_profile_is_obeyed(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"wide.{suffix}"
    swapped = quarters()[..., [0, 2, 1]]
    rgb(swapped).save(path, icc_profile=wide_profile(), quality=98, subsampling=0, lossless=True)
    assert_shows(path, quarters())


def test_a_profile_of_srgb_changes_nothing_and_a_damaged_one_is_ignored(tmp_path: Path) -> None:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    grey = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    for number, profile in enumerate((srgb, grey, srgb[:200], b"junk")):
        path = tmp_path / f"{number}.png"
        rgb(quarters()).save(path, icc_profile=profile)
        assert (read_photo(path) == quarters()).all()


@pytest.mark.parametrize("suffix", ["gif", "png", "webp", "tif", "avif"])
def test_of_several_pictures_the_first_is_read(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"several.{suffix}"
    rgb(quarters()).save(path, save_all=True, append_images=[rgb(255 - quarters())])
    assert_shows(path, quarters(), tolerance=6)


RAW = {
    "a.cr2": b"II*\0\x10\0\0\0CR\x02\0", "a.cr3": struct.pack(">I4s4sI", 16, b"ftyp", b"crx ", 1),
    "a.raf": b"FUJIFILMCCD-RAW 0201", "a.orf": b"IIRO\x08\0\0\0", "a.rw2": b"IIU\0\x18\0\0\0",
    "a.NEF": b"MM\0*\0\0\0\x08", "a.arw": b"II*\0\x08\0\0\0",
}  # fmt: skip
OTHER = {
    "a.psd": (b"8BPS\0\x01", "a Photoshop picture"), "a.pdf": (b"%PDF-1.7\n", "a PDF document"),
    "a.svg": (b"<?xml version='1.0'?>\n<svg xmlns='http://www.w3.org/2000/svg'></svg>", "a drawing (SVG)"),
    "a.jxl": (b"\xff\x0a\xfa\x7f", "a JPEG XL picture"), "b.jpg": (b"\0\0\0\x0cJXL \r\n\x87\n", "a JPEG XL picture"),
    "a.exr": (b"v/1\x01\x02\0\0\0", "an OpenEXR picture"), "c.jpg": (b"<!DOCTYPE html><html>", "a web page"),
    "a.eps": (b"%!PS-Adobe-3.0 EPSF-3.0\n", "a PostScript document"),
}  # fmt: skip


@pytest.mark.parametrize("name", RAW)
def test_a_raw_picture_is_called_so(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(RAW[name] + bytes(2000))
    with pytest.raises(PhotoError, match=r"is a raw picture of a camera \([A-Z0-9]+\).*; export it as JPEG"):
        read_photo(path)


def test_a_preview_in_a_dng_is_not_taken_for_the_photo(tmp_path: Path) -> None:
    """A raw picture is a TIFF that begins with a preview of a few pixels."""
    path = tmp_path / "ProRAW.tif"
    rgb(quarters(32, 32)).save(path, tiffinfo={50706: b"\x01\x04\0\0"})
    with pytest.raises(PhotoError, match=r"is a raw picture of a camera \(DNG\)"):
        read_photo(path)


@pytest.mark.parametrize("name", OTHER)
def test_what_is_no_photo_is_called_what_it_is(tmp_path: Path, name: str) -> None:
    content, words = OTHER[name]
    path = tmp_path / name
    path.write_bytes(content + b"\n" * 300)
    for read, error, remedy in (
        (read_photo, PhotoError, "export it as JPEG"),
        (probe, VideoError, "give a video"),
    ):
        with pytest.raises(error) as caught:
            read(path)
        assert f"{path} is {words}" in str(caught.value)
        assert remedy in str(caught.value)


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "avi", "ts", "mov"])
def test_a_video_given_as_a_photo_is_called_so(tmp_path: Path, suffix: str) -> None:
    path = write_video(tmp_path / f"a.{suffix}", Recipe(frames=2))
    with pytest.raises(PhotoError, match=r"is a video .*; give a photo of the person .*facereel index"):
        read_photo(path)


@pytest.mark.parametrize("suffix", ["jpg", "png", "gif", "webp", "tif", "bmp", "jp2", "avif", "heic", "ppm"])
@pytest.mark.parametrize("name", ["photo", "video.mp4"])
def test_a_photo_given_as_a_video_is_called_so(tmp_path: Path, suffix: str, name: str) -> None:
    path = tmp_path / f"photo.{suffix}"
    if suffix == "heic":
        write_heic(path, quarters())
    elif suffix in ("gif", "png", "webp"):  # animated, too
        rgb(quarters()).save(path, save_all=True, append_images=[rgb(255 - quarters())])
    else:
        rgb(quarters()).save(path)
    path = path.rename(tmp_path / name) if name == "video.mp4" else path
    with pytest.raises(VideoError, match=r"is a photo \(.*\), not a video; .* run: facereel query"):
        probe(path)


def test_a_truncated_photo_says_what_it_is(tmp_path: Path) -> None:
    saved = io.BytesIO()
    rng = np.random.default_rng(1)
    rgb(rng.integers(0, 255, (200, 200, 3), dtype=np.uint8)).save(saved, "PNG")
    contents = {
        "a.png": saved.getvalue(),
        "a.heic": write_heic(tmp_path / "whole.heic", quarters()).read_bytes(),
    }
    for name, content in contents.items():
        path = tmp_path / name
        path.write_bytes(content[: len(content) * 2 // 3])
        with pytest.raises(
            PhotoError, match=r"cannot be read as a photo \(.*\); it is a photo .*copy it again"
        ):
            read_photo(path)


def test_an_error_of_any_kind_in_a_damaged_photo_is_said_in_words(tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "a.tif", np.zeros((8, 8), np.uint16))
    # The place of the pixels as a fraction: Pillow raises TypeError.
    content, place = path.read_bytes(), struct.pack("<HH", 273, 4)
    path.write_bytes(content.replace(place, struct.pack("<HH", 273, 10)))
    with pytest.raises(PhotoError, match=r"cannot be read as a photo \(.*\); it is a photo \(TIFF\)"):
        read_photo(path)


def test_a_gif_is_no_video_whatever_its_palette(tmp_path: Path) -> None:
    path = tmp_path / "a.gif"
    picture = np.random.default_rng(1).integers(0, 255, (64, 96, 3), dtype=np.uint8)
    rgb(picture).quantize(256).save(path)
    content = bytearray(path.read_bytes())
    content[188] = content[376] = 0x47
    path.write_bytes(content)
    assert read_photo(path).shape == (64, 96, 3)
