"""One job: is the content of a video indexed already, is another process at it, and if neither, index it."""

from __future__ import annotations

import pickle
import shlex
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from facereel.indexer.engines.protocol import FaceEngine
from facereel.indexer.jobs.events import Indexed, Job, Note, PartJob, Progress, ScratchJob, Source
from facereel.indexer.jobs.team import IdleWorkers, Line, end_file
from facereel.store.files.digest import hash_file
from facereel.store.files.kinds import VIDEO_SUFFIXES
from facereel.store.files.locks import video_lock
from facereel.store.files.names import printable, store_option
from facereel.store.index.reader import VideoIndex
from facereel.store.index.rewrite import record_place
from facereel.store.library.catalogue import Catalogue
from facereel.store.model.errors import DamagedIndexError, EngineMismatchError, StoreError, VideoError
from facereel.store.model.records import EngineInfo
from facereel.store.model.urls import Url
from facereel.store.model.version import RESULTS_VERSION

if TYPE_CHECKING:
    from facereel.indexer.media.video import Probe

Report: TypeAlias = Callable[[Progress | Note], None]


class VideoInUse(Exception):
    """Another process indexes the content of a video, and the job is not to wait."""


def run_job(
    job: Job, engine: FaceEngine, report: Report = lambda event: None, line: Line | None = None
) -> Indexed:
    """Index a video unless its content is indexed; raises the errors of index_video, EngineMismatchError.

    Parts of a long one are read by the idle workers to which there is a `line`.

    While another process indexes the same content this one waits, and takes that index; without `job.wait` it raises
    VideoInUse. A video that is in the library unchanged at the same path is not read.
    """
    # Imported here because it takes long, and a video that is indexed already does not need it.
    from facereel.indexer.media.video import probe

    path = job.video
    if isinstance(path, Url):
        raise VideoError(
            f"{printable(path)} is no file of this machine; index it with --cluster, or download it first"
        )
    if path.is_dir():
        raise VideoError(
            f"{printable(path)} holds no video; known suffixes: {' '.join(sorted(VIDEO_SUFFIXES))}"
        )
    catalogue = Catalogue(job.store)
    if index := index_of_path(job, catalogue):
        return existing(job, engine.info, index, catalogue)
    video = probe(path)  # refuses what is no video before the whole file is read
    sha256 = hash_file(path, video.size, lambda done: report(Progress(path, "reading", done, video.size)))
    if index := index_of_content(job, catalogue, sha256):
        return existing(job, engine.info, index, catalogue)
    waited = False

    def wait() -> None:
        nonlocal waited
        if not job.wait:
            raise VideoInUse
        if not waited:
            report(Note(path, f"another process is indexing {printable(path.name)}; waiting for it"))
        waited = True
        report(Progress(path, "waiting", 0, 0))

    with video_lock(job.store, sha256, wait):
        # Another process may have indexed it since, also without a wait for its lock.
        if index := index_of_content(job, catalogue, sha256):
            return existing(job, engine.info, index, catalogue)
        folder = _index(job, video, sha256, engine, report, line)
    catalogue.refresh([folder])
    return indexed(folder, path)


def run_part(job: PartJob, engine: FaceEngine, report: Report = lambda event: None) -> None:
    """Read a part of a video; raises the errors of index_part."""
    from facereel.indexer.media.video import probe
    from facereel.indexer.pipeline import index_part

    video = probe(job.video)
    if video.size != job.size:
        raise VideoError(f"{printable(job.video)} is another file here")

    end = index_part(video, job.part, engine, job.config, job.file, _progress(video, report))
    end_file(job.file).write_bytes(pickle.dumps(end))


def run_scratch_job(
    job: ScratchJob, engine: FaceEngine, report: Report = lambda event: None, line: Line | None = None
) -> Indexed:
    """Index a file whose content is known to be new, as run_job does; raises the errors of index_video."""
    from facereel.indexer.media.video import probe

    folder = _index(job, probe(job.video), job.sha256, engine, report, line)
    return indexed(folder, job.video)


def _index(
    job: Job | ScratchJob, video: Probe, sha256: str, engine: FaceEngine, report: Report, line: Line | None
) -> Path:
    """Write the index of a video, with those to whom there is a `line`; returns its folder."""
    from facereel.indexer.pipeline import index_video

    with closing(IdleWorkers(job, video, line, report)) as team:
        return index_video(
            video,
            sha256,
            job.store,
            engine,
            job.config,
            _progress(video, report),
            lambda text: report(Note(video.path, text)),
            team,
        )


def _progress(video: Probe, report: Report) -> Callable[[int, int], None]:
    """Reports frames that are read, while the file stays as it is."""

    def progress(done: int, total: int) -> None:
        video.check_unchanged()
        report(Progress(video.path, "indexing", done, total))

    return progress


def index_of_path(job: Job, catalogue: Catalogue) -> VideoIndex | None:
    """The index of the file as it is, found without reading it; None when there is none, or to make it again."""
    if job.force or isinstance(job.video, Url) or not job.video.is_file():
        return None
    return catalogue.by_path(job.video)


def index_of_content(job: Job, catalogue: Catalogue, sha256: str) -> VideoIndex | None:
    """The index of the same content that makes the job needless; None when it is to be made again."""
    if job.force:
        return None
    try:
        return catalogue.by_hash(sha256)
    except DamagedIndexError:
        return None


def existing(job: Job, engine: EngineInfo, index: VideoIndex, catalogue: Catalogue) -> Indexed:
    """What a job returns for a video that is indexed already; notes its new path if it was moved.

    Raises EngineMismatchError when another engine indexed it.
    """
    with index:
        command = f"facereel index --force {shlex.quote(printable(job.video))}{store_option(job.store)}"
        if not index.engine.compares_with(engine):
            made_by = "other weights" if index.engine.name == engine.name else index.engine.name
            raise EngineMismatchError(
                f"{printable(job.video)} is indexed already, by {made_by} and not {engine.name}; "
                f"to index it again run: {command} --engine {engine.name}"
            )
        event = _indexed(index, job.video, f"indexed already{_difference(job, index)}")
        previous, sha256 = index.video.path, index.video.sha256
    if isinstance(job.video, Path) and Path(previous) != job.video.resolve() and not Path(previous).is_file():
        try:
            record_place(event.folder, job.video)
        except StoreError:
            # Perhaps another job has noted where another copy of the file lies; then there is nothing to note.
            again = catalogue.by_hash(sha256)
            if again is None:
                raise
            with again:
                if again.video.path == previous:
                    raise
                return _indexed(again, job.video, event.skipped)
        catalogue.refresh([event.folder])
        event = replace(event, skipped=f"indexed already, as {printable(previous)}; its new path is noted")
    return event


def _difference(job: Job, index: VideoIndex) -> str:
    """What indexing again would change, for a message, with the option that does it."""
    if index.results_version != RESULTS_VERSION:
        return f" by FaceReel {index.facereel_version}, whose results differ; --force indexes it again"
    if any(index.config.get(key) != value for key, value in asdict(job.config).items()):
        return "; --force does it again with the other settings"
    return "; --force does it again"


def indexed(folder: Path, source: Source) -> Indexed:
    """What became of a video whose index has just been made."""
    with VideoIndex(folder) as index:
        return _indexed(index, source)


def _indexed(index: VideoIndex, path: Source, skipped: str = "") -> Indexed:
    return Indexed(
        video=path, folder=index.folder, frames=index.video.frame_count,
        duration=index.video.length(index.times()),
        seconds=index.stats.seconds, shots=len(index.shots()), faces=index.stats.faces,
        tracklets=len(index.tracklets()), clusters=len(index.clusters()),
        people=index.people_count(), warnings=index.video.warnings,
        frames_skipped=index.stats.skipped, frames_damaged=index.stats.damaged,
        frames_concealed=index.stats.concealed, frames_missing=index.stats.missing,
        brief_faces=index.stats.brief_faces, brief_seconds=index.stats.brief_seconds, skipped=skipped,
    )  # fmt: skip
