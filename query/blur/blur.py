"""From a video to its copy with covered faces, and the report of what to look at: the story of this room."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import av.error

from facereel.indexer.engines.protocol import FaceEngine
from facereel.indexer.jobs.events import Event, Progress, Started
from facereel.indexer.media.container import error_text
from facereel.indexer.media.decode_log import DecodeLog
from facereel.indexer.media.video import Probe, probe
from facereel.query.blur.copy import Original, write_copy
from facereel.query.blur.covers import Covers, Doubt, choose
from facereel.query.blur.identity import IndexedFaces, looks_of
from facereel.query.blur.paint import Style
from facereel.query.blur.search import MIN_FACE, FoundFaces, find_faces
from facereel.query.blur.selection import People, selection_of
from facereel.store.files.disk import atomic_file, make_folder
from facereel.store.files.kinds import VIDEO_SUFFIXES
from facereel.store.files.names import printable, result_name, with_escapes
from facereel.store.index.reader import VideoIndex
from facereel.store.model.errors import CutError, OptionError, ResultExistsError, UnwritableError
from facereel.store.model.version import FACEREEL_VERSION

SCHEMA = "facereel.blur/2"
_EVENT_SECONDS = 0.1  # from one event to the next


@dataclass(frozen=True, slots=True)
class BlurOptions:
    """How a copy is made."""

    style: Style = "blur"
    overwrite: bool = False  # replace a file that is there
    keep_metadata: bool = False  # also copy the tags of the source


@dataclass(frozen=True, slots=True, eq=False)
class Blurred:
    """What was written."""

    file: Path
    report: Path  # the document as JSON
    frames: int
    covered_frames: int  # frames with something covered
    face_tracks: int  # that are covered: a face, followed through frames; a person has many
    doubts: tuple[Doubt, ...]  # frames at which somebody should look, by time
    # What the copy does not have of its source, what could not be decoded, and who of the people was not found.
    notes: tuple[str, ...]
    document: dict[str, Any]  # what the report holds


def blur(
    path: Path, out: Path, engine: FaceEngine, options: BlurOptions, index: VideoIndex | None, people: People | None,
    on_event: Callable[[Event], None],
) -> Blurred:  # fmt: skip
    """Write the copy, `NAME_blurred.mp4`, and its report, `NAME_blurred.json`, into the folder `out`.

    The `index` says who the `people` are; without people there is none. What `on_event` raises stops the work, and
    nothing is left behind. Raises OptionError where nobody would be covered, VideoError, ResultExistsError,
    UnwritableError, CutError.
    """
    video = probe(path)
    try:
        target = _target(path, out, options)
    except OSError as error:
        raise UnwritableError(
            f"{printable(out)} cannot be written ({error.strerror}); choose another --out"
        ) from error
    selection = selection_of(index, people)
    if selection.mode == "only" and not selection.sure:
        raise OptionError(
            f"nobody in {printable(path.name)} surely is one of those to cover; see who is there: "
            f"facereel faces {printable(path.name)}"
        )
    on_event(Started(path, 1, 1))
    shown = _Throttled(path, on_event)
    log = DecodeLog()
    known = None
    if index is not None and people is not None:
        keeps = people.mode == "keep"
        looks = looks_of(index, selection.sure, people.threshold, engine) if keeps else None
        known = IndexedFaces(index, log, looks).detections
    found = find_faces(
        video, log, engine, lambda done: shown.show("searching", done, video.frame_estimate), known
    )
    video.check_unchanged()
    covers = choose(found, selection, float(video.frame_rate))
    written = _write(target, Original(video, found.times, log.restarts), covers, options, shown)
    notes = (*_about(path, people), *found.warnings, *written)
    report = target.with_suffix(".json")
    document = _document(video, target, options, people, index, found, covers, notes)
    _write_report(report, document)
    return Blurred(
        target, report, len(found.times.pts), len(covers.by_frame), covers.face_tracks, covers.doubts, notes,
        document,
    )  # fmt: skip


class _Throttled:
    """Passes on how far the work is, a few times a second."""

    def __init__(self, video: Path, on_event: Callable[[Event], None]) -> None:
        self._video, self._on_event, self._last = video, on_event, 0.0

    def show(self, stage: Literal["searching", "writing"], done: int, total: int) -> None:
        """So many frames are done."""
        now = time.monotonic()
        if now - self._last >= _EVENT_SECONDS:
            self._last = now
            self._on_event(Progress(self._video, stage, done, max(total, done) if total else 0))


def _target(path: Path, out: Path, options: BlurOptions) -> Path:
    """The file to write, checked before hours of work.

    Raises OptionError for no folder, ResultExistsError for a file that is not to be replaced, OSError, and
    UnwritableError for a folder in which nothing can be written.
    """
    if out.suffix.lower() in VIDEO_SUFFIXES and not out.is_dir():
        raise OptionError(
            f"--out {printable(out)} is the name of a video; give the folder for the copy and its report"
        )
    folder = out.absolute()
    there = next(one for one in (folder, *folder.parents) if one.exists())
    if not there.is_dir() or not os.access(there, os.W_OK):
        raise UnwritableError(f"{printable(there)} is no folder to write in; choose another --out")
    name = {"blur": "blurred", "pixelate": "pixelated", "cover": "covered"}[options.style]
    target = out / f"{result_name(path.stem, 'video')}_{name}.mp4"
    for file in (target, target.with_suffix(".json")):
        if file.exists() and (not options.overwrite or file.is_dir()):
            raise ResultExistsError(
                f"{printable(file)} is already there; add --overwrite, or choose another --out"
            )
        if file.exists() and file.samefile(path):
            raise ResultExistsError(
                f"{printable(file)} is the video itself and is not replaced; choose another --out"
            )
    return target


def _write(
    target: Path, original: Original, covers: Covers, options: BlurOptions, shown: _Throttled
) -> tuple[str, ...]:
    total = len(original.times.pts)
    try:
        make_folder(target.parent)
        with atomic_file(target) as unfinished:
            return write_copy(
                original, covers.of, options.style, unfinished, options.keep_metadata,
                lambda done: shown.show("writing", done, total),
            )  # fmt: skip
    except av.error.FFmpegError as error:
        raise CutError(
            f"{printable(target)} cannot be written ({error_text(error)}); check the free disk space and the video"
        ) from error
    except OSError as error:
        raise UnwritableError(
            f"{printable(target)} cannot be written ({error.strerror}); free some space, or choose another --out"
        ) from error


def _about(path: Path, people: People | None) -> Iterator[str]:
    """What is to be said of the people: of their photos, and who of them no face of the video surely shows."""
    for one in people.found if people else ():
        for photo in one.person.references:
            yield from (f"{printable(Path(photo.path).name)}: {text}" for text in photo.warnings)
        yield from map(printable, one.person.warnings)
        if people and not one.matches:
            so = {"keep": "is covered like everybody", "only": "is covered where a face may be theirs"}[
                people.mode
            ]
            yield (
                f"nobody in {printable(path.name)} surely is {printable(one.person.name)}, who {so} if there"
            )


def _document(
    video: Probe, target: Path, options: BlurOptions, people: People | None, index: VideoIndex | None,
    found: FoundFaces, covers: Covers, notes: Sequence[str],
) -> dict[str, Any]:  # fmt: skip
    """The report; it names files, no folders."""
    times = found.times
    ends = times.pts + times.durations

    def seconds(tick: int) -> float:
        return round(float((tick - video.origin_pts) * video.time_base), 6)

    return {
        "schema": SCHEMA,
        "facereel_version": FACEREEL_VERSION,
        "video": video.path.name,
        "file": target.name,
        "style": options.style,
        "covered": "everybody" if people is None else people.mode,
        "people": [] if people is None else [one.person.name for one in people.found],
        "min_face": MIN_FACE,
        "width": video.width,
        "height": video.height,
        "frames": len(times.pts),
        "duration": round(float((int(ends[-1]) - int(times.pts[0])) * video.time_base), 6),
        "covered_frames": len(covers.by_frame),
        "face_tracks": covers.face_tracks,
        "notes": list(notes),
        "unsure": [
            {
                "start_frame": doubt.start,
                "end_frame": doubt.end,
                "start": seconds(int(times.pts[doubt.start])),
                "end": seconds(int(ends[doubt.end - 1])),
                "why": doubt.why,
                "faces": doubt.faces,
                "box": list(doubt.box),
                "face": None
                if index is None or not doubt.tracklet
                else f"{video.path.name}#t{doubt.tracklet}",
            }
            for doubt in covers.doubts
        ],
    }


def _write_report(report: Path, document: dict[str, Any]) -> None:
    try:
        with atomic_file(report) as unfinished:
            unfinished.write_text(json.dumps(with_escapes(document), indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise UnwritableError(
            f"{printable(report)} cannot be written ({error.strerror}); free some space, or choose another --out"
        ) from error
