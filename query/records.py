"""The records of pass two: who is searched for, what matches, what is cut.

Boxes are x, y, w, h in pixels of the picture as displayed. Ranges of frames are half-open.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from facereel.store.model.records import Bools, Floats, Ints, Reason, Sightings, Tracklet, Video

# A tracklet matches by its own similarity to the photos, because its cluster matches, or because the user said so.
MatchedBy: TypeAlias = Literal["photo", "cluster", "decision"]
Certainty: TypeAlias = Literal["sure", "possible"]
# A clip also begins and ends where somebody of --with or --without comes or goes.
ClipReason: TypeAlias = Reason | Literal["other_person"]
CropMode: TypeAlias = Literal["follow", "tube", "none"]
Aspect: TypeAlias = Literal["9:16", "4:5", "1:1", "16:9"]  # width to height
FileFormat: TypeAlias = Literal["mp4", "mov"]
Codec: TypeAlias = Literal[
    "h264", "prores", "copy"
]  # of the picture; copy: as the source has it, not encoded


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """A picture of a person, with the face in it that is used: a photo, or a frame of an indexed video."""

    path: str
    sha256: str  # of the file, hex
    box: Floats  # (4,) x y w h in the upright photo or the frame
    embedding: Floats  # (D,) unit length
    quality: float  # 0..1, the engine's face confidence
    warnings: tuple[str, ...] = ()
    frame: int | None = None  # of the video; None for a photo


@dataclass(frozen=True, slots=True)
class OtherPeople:
    """Who else has to be in the picture, or may not be, by name."""

    present: tuple[str, ...] = ()  # --with
    absent: tuple[str, ...] = ()  # --without


@dataclass(frozen=True, slots=True, eq=False)
class PersonQuery:
    """A person to search for."""

    name: str
    references: tuple[Reference, ...]  # at least one, but for a person who is only forgotten
    warnings: tuple[str, ...]  # about photos that cannot be used or seem to show somebody else
    person: int | None = (
        None  # the id of the person in the library whose decisions count; None where none is known
    )
    unlike: tuple[
        Reference, ...
    ] = ()  # of people who look like the person: what is more like them does not match
    others: OtherPeople = OtherPeople()
    only_library: bool = (
        False  # only the clusters that are the person's in the library; nobody else is compared
    )

    @property
    def from_library(self) -> bool:
        """Whether the references are faces of the library, not photos."""
        return all(reference.frame is not None for reference in self.references)


@dataclass(frozen=True, slots=True)
class MatchingTracklet:
    """A tracklet that answers a query."""

    video: Video
    tracklet: Tracklet
    similarity: float  # cosine of its pooled embedding and the references
    threshold: float  # similarity that its cluster had to reach to be sure
    matched: MatchedBy
    explanation: str  # one sentence for the user
    folder: Path = Path()  # of the index: copies of a store may hold one content twice, with other tracklets
    version: str = ""  # of the index, by which its tracklets have their numbers
    certainty: Certainty = "sure"
    expected_strangers: float = 0.0  # as similar as its cluster, or more, in the whole answer
    stranger_share: float | None = None  # of the possible matches down to this one, 0..1; None if it is sure
    evidence: float = 1.0  # how much speaks for the person, as for NearTracklet


@dataclass(frozen=True, slots=True)
class NearTracklet:
    """A tracklet that almost matches a query."""

    video: Video
    tracklet: Tracklet
    start: float  # seconds as a player shows them
    end: float
    similarity: float  # cosine of its pooled embedding and the references
    threshold: float  # similarity that it, or its cluster, had to reach
    explanation: str  # why it does not match, for the user
    folder: Path = Path()  # of the index
    # How much speaks for the person all the same: 1 in a matching cluster, else its similarity to photos or matches; -1
    # where it is ruled out.
    evidence: float = -1.0
    ruled_out: bool = False  # of a matching cluster, but in one frame with a surer match of another


@dataclass(frozen=True, slots=True, eq=False)
class Footage:
    """Frames of a video that are written into a file: N of them, each with its crop."""

    video: Video
    file: str  # its name
    start: int  # frames [start, end)
    end: int
    ticks: Ints  # (N + 1,) when each frame is shown, and when the last one ends
    crops: Floats  # (N, 4) x y w h
    width: int  # of the file's picture, pixels, even
    height: int


@dataclass(frozen=True, slots=True, eq=False)
class FrameFacts:
    """What is known of the face in each of N sightings, besides its box."""

    picture_shares: Floats  # (N,) area of the face that lies in the picture, of the picture's, 0..1
    edge_distances: Floats  # (N,) from the box to the nearest edge of the picture, pixels; negative beyond it
    other_faces: (
        Ints | None
    )  # (N,) whose boxes lie in the crop at least in part; None where the index is gone
    other_face_sizes: (
        Floats | None
    )  # (N,) longer side of the largest of them, of the face's own; 0 without any
    # What the pixels say, None until the frames are decoded; landmarks and yaws also where no frame shows a clear face.
    sharpness: Floats | None = None  # (N,) 0..1, 1 is in focus, as Exemplar.sharpness
    landmarks: Floats | None = None  # (N, 5, 2) eyes, nose, mouth corners as seen left to right, pixels
    detected: Bools | None = (
        None  # (N,) whether the landmarks are those of the frame; else they are interpolated
    )
    yaws: Floats | None = (
        None  # (N,) degrees, estimated from the landmarks: positive to the right of the picture
    )
    speaking: Floats | None = (
        None  # (N,) how well mouth and sound agree, above 0 if they do; None unless it was asked for
    )


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """What is written of clips for other programs."""

    formats: tuple[str, ...] = ()  # of editors.FORMATS
    absolute: bool = False  # write absolute paths


@dataclass(frozen=True, slots=True, eq=False)
class ClipPlan:
    """What is cut: the frames of a match, and those around it that were asked for, each with its crop."""

    match: MatchingTracklet
    file: str  # name of the clip's file in the folder of the result
    start: int  # frames [start, end) of the file, N of them
    end: int
    person_start: int  # those of them for which the promise holds: no cut, no occlusion, nobody else
    person_end: int
    start_reason: ClipReason  # why the person's frames begin
    end_reason: ClipReason
    ticks: Ints  # (N + 1,) when each frame is shown, and when the last one ends
    sightings: Sightings  # M, of the person in these frames; in a whole shot also those of further matches
    crops: Floats  # (N, 4) x y w h
    mode: CropMode
    width: int  # of the file's picture, pixels, even
    height: int
    aspect: Aspect | None = None  # that the crop was given; None: a square, or the whole picture
    codec: Codec = "h264"
    facts: FrameFacts | None = None  # of the M sightings, where they were looked up

    @property
    def file_format(self) -> FileFormat:
        """Of the file."""
        return "mov" if self.file.endswith(".mov") else "mp4"

    @property
    def exact(self) -> bool:
        """Whether the file holds the frames for which the promise holds, and what is heard with them, and no more."""
        return self.codec != "copy" and (self.start, self.end) == (self.person_start, self.person_end)

    @property
    def person_ticks(self) -> tuple[int, int]:
        """When the person's first frame is shown, and when the last one ends."""
        return int(self.ticks[self.person_start - self.start]), int(self.ticks[self.person_end - self.start])

    @property
    def footage(self) -> Footage:
        """What its file shows."""
        return Footage(
            self.match.video, self.file, self.start, self.end, self.ticks, self.crops, self.width, self.height
        )

    @property
    def start_time(self) -> float:
        """Seconds from the start of the video, as a player shows them."""
        return self.match.video.seconds(int(self.ticks[0]))

    @property
    def end_time(self) -> float:
        """Seconds from the start of the video at which the last frame ends."""
        return self.match.video.seconds(int(self.ticks[-1]))

    @property
    def duration(self) -> float:
        """Seconds from the start of the first frame to the end of the last."""
        return float(int(self.ticks[-1] - self.ticks[0]) * self.match.video.time_base)
