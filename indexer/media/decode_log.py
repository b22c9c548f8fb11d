"""What one pass over a video has met so far: the times of its frames, and what was lost."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np

from facereel.indexer.media.clock import usual_duration
from facereel.indexer.media.losses import missing_frames
from facereel.store.model.records import FrameTimes


@dataclass(slots=True)
class DecodeLog:
    """What one pass over a video has met so far; filled in while its frames are read."""

    pts: list[int] = field(default_factory=list)
    durations: list[int] = field(default_factory=list)  # as the frames themselves say, 0 where they do not
    packets: int = 0  # of the picture, empty ones left out
    damaged: int = 0  # packets that could not be decoded, or that the container knows to be torn
    concealed: int = 0  # frames that the decoder knows to be partly made up
    misplaced: int = 0  # frames left out for a time stamp that does not go on
    truncated: str = ""  # why, when the file ends too early
    begin: int | None = None  # tick of the first frame that is wanted; those before are in `pts` already

    @property
    def sound(self) -> bool:
        """Whether nothing was lost so far."""
        return not (self.damaged or self.concealed or self.misplaced)

    def go_on(self, pts: list[int], frame: int) -> None:
        """Take the ticks of frames that were read before, up to `frame`, with which reading is to go on."""
        self.pts, self.durations = pts[:frame], [0] * frame
        self.begin = pts[frame]

    @property
    def pictureless(self) -> int:
        """Packets that vanished in the decoder; with several threads it does not always say so."""
        return max(0, self.packets - self.damaged - self.misplaced - len(self.pts))

    def times(self, frame_rate: Fraction, time_base: Fraction) -> FrameTimes:
        """Time stamps with durations: a frame lasts until the next one is shown."""
        pts = np.array(self.pts, np.int64)
        last = self.durations[-1] or usual_duration(frame_rate, time_base)
        return FrameTimes(pts, np.append(np.diff(pts), last).astype(np.int64))

    def losses(self) -> dict[str, int]:
        """The same in numbers, by the fields of IndexStats."""
        return {
            "skipped": self.misplaced, "damaged": self.damaged + self.pictureless, "concealed": self.concealed,
            "missing": missing_frames(self.pts)[1],
        }  # fmt: skip

    def warnings(self) -> tuple[str, ...]:
        """What was lost, a sentence each."""
        said = []
        if self.damaged:
            said.append(f"damaged packets that could not be decoded and were left out: {self.damaged}")
        if self.pictureless:
            said.append(f"packets that gave no picture: {self.pictureless}")
        if self.concealed:
            said.append(f"frames whose picture is partly made up by the decoder: {self.concealed}")
        gaps, missing = missing_frames(self.pts)
        if gaps:
            said.append(f"frames that seem to be missing in {gaps} gaps of the time stamps: {missing}")
        if self.misplaced:
            said.append(f"frames with impossible time stamps that were left out: {self.misplaced}")
        if self.truncated:
            said.append(f"the file breaks off after {len(self.pts)} frames ({self.truncated})")
        return tuple(said)
