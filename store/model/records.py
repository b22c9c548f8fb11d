"""The words of the project as frozen records.

Boxes are x, y, w, h in pixels of the picture as a viewer sees it (rotation and pixel aspect applied),
origin top left. Frames are counted in display order from 0; ranges are half-open. Times in ticks of the
stream's time base are the truth, seconds are for display.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from facereel.store.model.urls import Url, is_url

Floats: TypeAlias = NDArray[np.float32]
Ints: TypeAlias = NDArray[np.int64]
Bools: TypeAlias = NDArray[np.bool_]
Image: TypeAlias = NDArray[np.uint8]  # (H, W, 3) BGR unless said otherwise
Grey: TypeAlias = NDArray[np.uint8]  # (H, W)
Box: TypeAlias = tuple[float, float, float, float]  # x y w h in pixels

Reason: TypeAlias = Literal[
    "scene_cut", "occlusion", "left_frame", "entered_frame", "identity_change", "video_start", "video_end"
]

CLOTHES_BINS = 392  # colours of a histogram of clothes

# How a sighting came about; Sightings.sources holds positions in this tuple.
SOURCES = ("detected", "tracked", "interpolated")
DETECTED, TRACKED, INTERPOLATED = range(3)


@dataclass(frozen=True, slots=True)
class Video:
    """What is known of a video file."""

    path: str  # absolute, where the file lay when it was indexed
    sha256: str  # of the whole file, hex
    size: int  # bytes
    mtime_ns: int  # with size: the cheap sign that the file is still the same
    width: int  # pixels as displayed
    height: int
    rotation: int  # degrees clockwise that a player turns the coded picture: 0, 90, 180, 270
    sample_aspect_ratio: Fraction  # of the coded pixels; 1 for square ones
    time_base: Fraction  # seconds a tick
    frame_rate: Fraction  # average, for display only
    origin_pts: int  # ticks at which a player shows 0:00
    codec: str
    has_audio: bool
    frame_count: int  # frames decoded
    warnings: tuple[str, ...] = ()  # what was lost while decoding, one sentence each
    mirrored: bool = False  # a player swaps left and right after the rotation
    restarts: int = 0  # how often the file's clock starts again; a seek by time then finds another frame

    @property
    def name(self) -> str:
        """The file's name without its folder."""
        if is_url(self.path):
            return Url(self.path).name
        return self.path.replace("\\", "/").rsplit("/", 1)[-1]

    def seconds(self, pts: int) -> float:
        """Time of a tick as a player shows it, seconds."""
        return float((pts - self.origin_pts) * self.time_base)

    def length(self, times: FrameTimes) -> float:
        """When the last frame ends, seconds as a player shows it: the first may begin later than at 0."""
        return self.seconds(times.end_pts(self.frame_count))

    def duration(self, times: FrameTimes, start: int, end: int) -> float:
        """How long the frames [start, end) are shown, seconds."""
        return float((times.end_pts(end) - int(times.pts[start])) * self.time_base)


@dataclass(frozen=True, slots=True, eq=False)
class FrameTimes:
    """When each decoded frame is shown, in ticks."""

    pts: Ints  # (F,) strictly increasing
    durations: Ints  # (F,) positive

    def end_pts(self, end_frame: int) -> int:
        """Tick at which a half-open range that ends before `end_frame` is over."""
        return int(self.pts[end_frame - 1] + self.durations[end_frame - 1])

    def span(self, start: int, end: int, time_base: Fraction) -> tuple[float, float]:
        """From when to when the frames [start, end) are shown, seconds since tick 0."""
        return float(int(self.pts[start]) * time_base), float(self.end_pts(end) * time_base)


@dataclass(frozen=True, slots=True)
class Shot:
    """A run of frames between two scene changes, [start, end)."""

    number: int
    start: int
    end: int


@dataclass(frozen=True, slots=True, eq=False)
class Faces:
    """Faces in one picture, best first."""

    boxes: Floats  # (N, 4) x0 y0 x1 y1, pixels
    scores: Floats  # (N,) 0..1
    landmarks: Floats  # (N, 5, 2) eyes, nose, mouth corners as seen left to right, pixels

    def __len__(self) -> int:
        return len(self.scores)


@dataclass(frozen=True, slots=True, eq=False)
class FaceCrop:
    """A face cut out of a picture with a margin, so that it can be aligned later without the picture."""

    image: Image  # (S, S, 3) BGR, never larger than in the picture; black beyond the picture's edge
    region: Floats  # (3,) x y side of the square that was cut out, pixels of the picture
    box: Floats  # (4,) x y w h of the face, pixels of the picture
    landmarks: Floats  # (5, 2) pixels of the picture; the detector's, or better ones that were found later

    @property
    def scale(self) -> float:
        """Pixels of `image` a pixel of the picture."""
        return len(self.image) / float(self.region[2])

    def to_image(self, points: Floats) -> Floats:
        """Points (..., 2) of the picture in pixels of `image`."""
        return np.asarray((points - self.region[:2]) * self.scale, np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Landmarks:
    """What a landmark model makes of face crops."""

    points: Floats  # (N, 5, 2) eyes, nose, mouth corners as seen left to right, pixels of the crops' pictures
    face_probabilities: Floats  # (N,) 0..1, that the crop shows a face

    def __len__(self) -> int:
        return len(self.face_probabilities)


@dataclass(frozen=True, slots=True, eq=False)
class Embeddings:
    """What a recogniser makes of aligned crops."""

    vectors: Floats  # (N, D) unit length
    face_confidences: (
        Floats  # (N,) 0..1, how much of a recognisable face the recogniser saw; 0 for hands and flowers
    )

    def __len__(self) -> int:
        return len(self.face_confidences)


@dataclass(frozen=True, slots=True, eq=False)
class Sightings:
    """One tracklet's face in every frame of it, in order, without a gap."""

    frames: Ints  # (N,)
    boxes: Floats  # (N, 4) x y w h
    scores: Floats  # (N,) 0..1
    sources: NDArray[np.uint8]  # (N,) positions in SOURCES

    def __len__(self) -> int:
        return len(self.frames)


@dataclass(frozen=True, slots=True, eq=False)
class Exemplar:
    """One of a tracklet's few best face crops, with its embedding."""

    frame: int
    box: Floats  # (4,) x y w h
    landmarks: Floats  # (5, 2) pixels of the displayed picture; the face was aligned by them
    score: float  # the detector's, 0..1
    quality: float  # 0..1, see indexer/identity/quality.py
    sharpness: float  # 0..1, 1 is in focus
    frontality: float  # 0..1, 1 looks into the camera, 0 is a profile
    jpeg: (
        bytes  # the face with a margin, as in FaceCrop.image; of older indexes the aligned face (112, 112, 3)
    )
    embedding: Floats  # (D,) unit length
    region: Floats | None = None  # as in FaceCrop; None: `jpeg` is the aligned face
    face_probability: float | None = None  # the landmark model's, 0..1; None in older indexes


@dataclass(frozen=True, slots=True, eq=False)
class RecognisedFace:
    """What of an exemplar depends on landmarks and recogniser."""

    landmarks: Floats  # (5, 2) pixels of the picture
    frontality: float  # 0..1
    face_probability: float | None  # 0..1
    quality: float  # 0..1
    embedding: Floats  # (D,) unit length


@dataclass(frozen=True, slots=True)
class Tracklet:
    """A finished track inside one shot, frames [start, end); its sightings are stored apart."""

    number: int  # unique in the video, from 1
    shot: int
    start: int
    end: int
    start_reason: Reason
    end_reason: Reason
    cluster: int  # number of the cluster it belongs to
    face_width: float  # median over its sightings, pixels
    score: float  # mean detector score of its detected sightings, 0..1
    # Colours below the face, CLOTHES_BINS bytes (see indexer/scan/clothes.py); None where they are not known.
    clothes: bytes | None = None


@dataclass(frozen=True, slots=True, eq=False)
class ExemplarArrays:
    """The exemplars of many tracklets as arrays, for matching."""

    embeddings: Floats  # (M, D) unit length
    tracklets: Ints  # (M,) tracklet numbers
    frames: Ints  # (M,)
    qualities: Floats  # (M,) 0..1
    widths: Floats  # (M,) face width, pixels
    sharpness: Floats  # (M,) 0..1
    frontality: Floats  # (M,) 0..1

    def __len__(self) -> int:
        return len(self.tracklets)


@dataclass(frozen=True, slots=True)
class Cluster:
    """Tracklets of one video that belong together."""

    number: int
    name: str | None
    tracklets: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """Which engine saw the video, to the byte."""

    name: str
    dim: int
    detector_sha256: str
    recognizer_sha256: str
    landmarks_sha256: str = (
        ""  # of the landmark model that faces are aligned by; empty: by the detector's points
    )

    def compares_with(self, other: EngineInfo) -> bool:
        """Do vectors of both mean the same? The recogniser makes them; who found the faces does not matter."""
        return (self.dim, self.recognizer_sha256) == (other.dim, other.recognizer_sha256)

    def aligns_and_embeds_like(self, other: EngineInfo) -> bool:
        """Do both make the same vectors of the same crops?"""
        return self.compares_with(other) and self.landmarks_sha256 == other.landmarks_sha256


@dataclass(frozen=True, slots=True)
class IndexStats:
    """Figures of indexing one video, as shown to the user."""

    seconds: float  # wall time, of all runs if it was interrupted
    faces: int  # sightings: faces in frames
    searched: int  # frames in which a detector looked
    # What was lost, besides what Video.warnings says in words; None where an older version did not count it.
    skipped: int | None = None  # frames left out for an impossible time stamp; 0 since version 0.3
    damaged: int | None = None  # packets of the picture that gave no frame
    concealed: int | None = None  # frames whose picture the decoder partly made up
    missing: int | None = None  # frames that would fill the gaps of a regular film
    # Faces that were there too briefly for a tracklet, and for how long in all, seconds.
    brief_faces: int | None = None
    brief_seconds: float | None = None


FoundTracklet: TypeAlias = tuple[Tracklet, Sightings, tuple[Exemplar, ...]]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """How far an unfinished index has come, and where reading the video begins again; without values the start."""

    frames: int = 0  # that are final; the next segment begins with this one
    shots: int = 0
    tracklets: int = 0
    searched: int = 0  # frames in which a detector looked
    brief_faces: int = 0  # that were there too briefly for a tracklet
    brief_seconds: float = 0.0  # for which they were, in all
    seconds: float = 0.0  # wall time of all runs so far
    search_frame: int = (
        0  # the one at which reading begins, so that the next segment is that of a run without a stop
    )
    fingerprint: int = 0  # of the picture and faces of that frame: another decoder may show another picture


@dataclass(frozen=True, slots=True, eq=False)
class Segment:
    """A stretch of a video whose results are final: it ends at a hard cut, nothing in it depends on what follows.

    Where a part of the video ends within a shot so does its last segment, which is joined with the one that follows.
    """

    start: int  # its first frame
    shots: tuple[Shot, ...]
    tracklets: tuple[
        FoundTracklet, ...
    ]  # numbered in order of time; cluster 0, as clusters are made at the end
    after: Checkpoint  # how far the index has come with it
    within_shot: bool = False  # it ends within a shot


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a video, to be read in a process of its own."""

    start: int  # frame of its line: it begins at the first hard cut from there on
    end: int | None  # that of the next part; None: it goes on to the end of the video
    ticks: bytes  # of all frames up to the one at which reading begins, 64 bits each
