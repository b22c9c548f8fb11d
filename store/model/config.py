"""One frozen Config, passed to whoever needs it and never read from a global."""

from __future__ import annotations

from dataclasses import dataclass

from facereel.store.model.errors import OptionError


@dataclass(frozen=True, slots=True)
class Config:
    """Everything that shapes an index; each field with its unit and where its default comes from."""

    # The smallest face that must be found, source pixels. Below 20 the recogniser has too little to go by.
    min_face: int = 20
    # YuNet finds faces from about 10 px of the picture it is given (checked on films at 640x360).
    detector_min_face: float = 10.0
    # Longest side of the picture that is searched: YuNet at 640 finds all hand-checked faces down to 20 px.
    analysis_side_min: int = 640
    analysis_side_max: int = 1280
    # A track starts with a score of `strong_score` and goes on down to `weak_score` (ByteTrack, 2022).
    strong_score: float = 0.6
    weak_score: float = 0.25
    # A tracklet needs one detection as good as this: patterns and hands stay below, faces of 12 px reach it.
    sure_score: float = 0.7
    # How long a face may be missed by the detector and still be the same tracklet, seconds.
    max_gap: float = 1.0
    # How far past its first and last detection a face is tracked by patch matching alone, seconds.
    max_extension: float = 0.16
    # A face that is detected for less time is chance, seconds: three frames of a film reach it, two do not.
    min_seconds: float = 0.09
    # Most exemplars of a tracklet, of as many crops: five reach what fifteen do on hand-held photos. With a third of
    # all crops left out in seven ways, five find people of nine films as well as six do, and clusters have a B-cubed
    # recall of 0.98 with either; of four, two people are in one cluster in one of the seven.
    exemplars: int = 5
    # Time from one searched frame to the next where nothing changes, seconds; 0 searches every frame.
    search_interval: float = 0.8
    # Longest time without a searched frame where anything moves at all, seconds. (Indexes know it by this name.)
    low_res_interval: float = 0.4
    # Time between frames of which crops of the faces are taken, besides all searched frames; twice that where faces
    # hardly move. Seconds. Where heads pass each other, crops this close tell when one took the other's place.
    crop_interval: float = 0.12

    # Do clothes help to tell who is who inside the video? Off: by faces alone.
    clothes: bool = True
    # How scene changes are found: adaptive (ours), content, transnetv2; the last by a model in that file.
    shots: str = "adaptive"
    shots_model: str = ""

    def analysis_side(self, longest: int) -> int:
        """Longest side of the searched picture for a video whose longest side is `longest`, pixels."""
        wanted = round(longest * self.detector_min_face / self.min_face)
        return min(max(wanted, self.analysis_side_min), self.analysis_side_max, max(longest, 320))


def search_interval(scan: str) -> float:
    """The search interval of a way to scan, by name; raises OptionError."""
    intervals = {"default": Config().search_interval, "every": 0.0}
    if scan not in intervals:
        raise OptionError(f"--scan {scan!r} is not known; give one of: {', '.join(intervals)}")
    return intervals[scan]
