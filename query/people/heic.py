"""A HEIC photo, read in a process of its own: a damaged one can crash libheif, and with it the whole program."""

from __future__ import annotations

import subprocess
import sys
from io import BytesIO
from pathlib import Path

_PATIENCE = 120  # seconds; a photo of 80 million pixels takes two


def decode_heic(path: Path, max_pixels: int) -> BytesIO:
    """The photo, turned as its boxes say, as a TIFF with its colour profile.

    Raises ValueError for one that cannot be read or is larger than `max_pixels`.
    """
    command = [sys.executable, "-m", __name__, str(path.resolve()), str(max_pixels)]
    try:
        child = subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, timeout=_PATIENCE)
    except subprocess.TimeoutExpired:
        raise ValueError(f"decoding it takes longer than {_PATIENCE} s") from None
    if child.returncode:
        lines = child.stderr.decode(errors="replace").splitlines()
        raise ValueError(lines[-1] if lines and child.returncode == 1 else "the decoder crashed")
    return BytesIO(child.stdout)


def _main(path: str, max_pixels: int) -> None:
    from pi_heif import register_heif_opener
    from PIL import Image

    register_heif_opener(thumbnails=False, depth_images=False, aux_images=False)
    with Image.open(path, formats=("HEIF",)) as photo:
        if photo.width * photo.height > max_pixels:
            raise ValueError(f"{photo.width}x{photo.height}, more than {max_pixels:,} pixels")
        content = BytesIO()
        photo.save(content, "TIFF")
    sys.stdout.buffer.write(content.getbuffer())


if __name__ == "__main__":
    try:
        _main(sys.argv[1], int(sys.argv[2]))
    except Exception as error:  # libheif's errors come as many kinds
        sys.exit(str(error) or type(error).__name__)
