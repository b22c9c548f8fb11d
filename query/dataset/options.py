"""What a data set is made of, as the user wants it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from fractions import Fraction
from math import isfinite
from typing import Any

from facereel.store.model.errors import OptionError

MIN_SIZE, MAX_SIZE = 64, 1024  # pixels; hardware decoders fail below, no film has larger faces by much
MAX_FPS = 120


@dataclass(frozen=True, slots=True)
class DatasetOptions:
    """Sizes and filters; each filter holds in every frame of a piece. None: no such filter."""

    size: int = 256  # side of the picture, pixels
    fps: float = 25  # frames a second
    min_seconds: float = 3.0  # of a piece
    max_seconds: float = 10.0
    max_upscale: float = 2.0  # times that a crop is enlarged
    min_face: int | None = None  # width of the face in the source, pixels
    max_yaw: float | None = None  # degrees to either side
    min_sharpness: float | None = None  # 0..1
    one_face: bool = False  # no other face in the crop that is 0.3 times as large, or larger
    min_similarity: float | None = None  # of the tracklet to the references
    val_share: float = 0.1  # of the identities that are for validation

    @property
    def rate(self) -> Fraction:
        """Frames a second as a fraction that files can hold: 29.97 is 2997/100."""
        return Fraction(self.fps).limit_denominator(1001)

    def check(self) -> None:
        """Raise OptionError for a value out of its range."""
        if self.size % 2 or not MIN_SIZE <= self.size <= MAX_SIZE:
            raise OptionError(f"--size must be even, {MIN_SIZE} to {MAX_SIZE}, not {self.size}")
        if not 1 <= self.fps <= MAX_FPS:
            raise OptionError(f"--fps must be 1 to {MAX_FPS}, not {self.fps:g}")
        if not self.min_seconds > 0:
            raise OptionError(f"--min-seconds must be more than 0, not {self.min_seconds:g}")
        if self.min_seconds * self.fps < 1:
            raise OptionError(
                f"--min-seconds must be a frame of --fps or more, {1 / self.fps:g}, not {self.min_seconds:g}"
            )
        if not isfinite(self.max_seconds):
            raise OptionError(f"--max-seconds must be a number of seconds, not {self.max_seconds:g}")
        if self.max_seconds < 2 * self.min_seconds:  # what is a little too long for one piece must make two
            raise OptionError(
                f"--max-seconds must be twice --min-seconds or more, {2 * self.min_seconds:g}, not {self.max_seconds:g}"
            )
        ranges = {
            "--max-upscale": (self.max_upscale, 0.1, 100),
            "--min-face": (self.min_face, 0, 10_000),
            "--max-yaw": (self.max_yaw, 0, 90),
            "--min-sharpness": (self.min_sharpness, 0, 1),
            "--min-similarity": (self.min_similarity, -1, 1),
            "--val": (self.val_share, 0, 1),
        }
        for name, (value, low, high) in ranges.items():
            if value is not None and not low <= value <= high:
                raise OptionError(f"{name} must be {low:g} to {high:g}, not {value:g}")

    def to_document(self) -> dict[str, Any]:
        """By name, for dataset.json."""
        return asdict(self)
