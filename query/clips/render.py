"""Answers become results: clips are planned, cut and described in a folder for each person.

The folder holds the clips, metadata.json, clips.csv and frames.csv, and files for other programs. It is written under a
temporary name, so that it is there complete or not at all.
"""

from __future__ import annotations

import filecmp
import json
from collections.abc import Callable, Iterator, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from facereel.indexer.media.source import check_source
from facereel.query.clips.facts import with_facts
from facereel.query.clips.plan import ClipOptions, plan_clips, without_transitions
from facereel.query.export.metadata import (
    CLIPS_FILE,
    FRAMES_FILE,
    JSON_FILE,
    SCHEMAS,
    ResultHeader,
    describe,
    write_metadata,
)
from facereel.query.people.photos import PersonPhotos
from facereel.query.records import ClipPlan, ExportOptions, MatchingTracklet, PersonQuery
from facereel.query.search.scope import SkippedVideo
from facereel.query.search.search import PersonMatches
from facereel.store.files import folders
from facereel.store.files.disk import make_folder, sync
from facereel.store.files.names import printable, result_name
from facereel.store.index.database import read_version
from facereel.store.index.reader import VideoIndex
from facereel.store.model.errors import (
    ChangedIndexError,
    CutError,
    FaceReelError,
    NotIndexedError,
    OptionError,
    ResultExistsError,
    UnwritableError,
)
from facereel.store.model.records import Shot, Sightings, Tracklet, Video

if TYPE_CHECKING:  # the formats of exports, which a query seldom needs, take a tenth of its start
    from facereel.query.export.annotation import AnnotatedVideo
    from facereel.query.export.editors import Exported
    from facereel.query.export.timeline import Timeline


class _CallbackError(Exception):
    """The caller's own function failed; its cause is the exception, which goes to the caller as it is."""


# What file managers put into folders by themselves; it does not make a result the user's.
_FILE_MANAGERS = (".DS_Store", "Thumbs.db", "desktop.ini")


@dataclass(frozen=True, slots=True, eq=False)
class WrittenResult:
    """One person's clips, written or only planned."""

    clips: tuple[ClipPlan, ...]  # by video, then by time
    too_short: int  # matches that are shorter than the minimum duration
    folder: Path | None  # None when nothing was written
    document: dict[str, Any]  # what metadata.json holds; the `file` of a clip that was not cut is None
    not_cut: tuple[SkippedVideo, ...] = ()  # videos with matches that are gone or changed
    notes: tuple[str, ...] = ()  # what has to be known of files for other programs, one sentence each


def result_folders(people: Sequence[PersonPhotos | PersonQuery], out: Path, name: str | None) -> list[Path]:
    """The folder of each person's result; raises OptionError for a name that cannot be a folder's."""
    if name is None:
        return [out / photos.name for photos in people]
    if len(people) > 1:
        raise OptionError(
            f"--name {printable(name)} is for one person, but {len(people)} were given; use --out"
        )
    if name != result_name(name, "person"):
        raise OptionError(
            f"--name '{printable(name)}' cannot be a folder's name; try {result_name(name, 'person')!r}"
        )
    return [out / name]


def check_target(folder: Path, person: PersonQuery, overwrite: bool) -> None:
    """Raise ResultExistsError where the result of a query for `person` may not be written.

    It replaces an earlier result of the same question, and with `overwrite` any result, but never a folder with a file
    that no result holds. Before that, what a dead process left beside the folder is removed or put back.
    """
    folders.clean_leftovers(folder.parent)
    _check_replaceable(folder, person, overwrite)


def render(
    answer: PersonMatches,
    options: ClipOptions,
    folder: Path | None = None,
    on_clip_done: Callable[[ClipPlan], None] = lambda clip: None,
) -> WrittenResult:
    """Cut one person's clips into `folder`, or without one only plan them. Without clips nothing is written.

    `on_clip_done` gets the clips in their order, each once its file is complete, one at a time but in threads of this
    function; the files stay in a temporary folder until all are. What it raises stops the work and is raised here as it
    is. A video that is gone, has changed or cannot be copied does not raise: the others are cut. Raises OptionError,
    ResultExistsError, UnwritableError, VideoError or CutError, and ChangedIndexError where a face of the clips is not
    in its index any more, as after `forget`. After any error nothing is left behind.
    """
    options.check()
    if folder is not None:
        check_target(folder, answer.person, options.overwrite)
    reads_videos = folder is not None or options.codec == "copy"
    missing = _missing_videos(answer) if reads_videos else {}
    matches = [pair for pair in answer.matches if pair[0].video.sha256 not in missing]
    planned, too_short = plan_clips(matches, answer.times, options, _shots(matches, options))
    clips = with_facts(planned, answer.speaking)
    if options.codec == "copy":
        clips, uncopied = _with_key_frames(clips, answer)
        missing |= uncopied
        planned = [clip for clip in planned if clip.match.video.sha256 not in uncopied]
        matches = [pair for pair in matches if pair[0].video.sha256 not in uncopied]
    not_cut = tuple(missing.values())
    header = ResultHeader(
        answer.person, answer.scope.engine, answer.threshold,
        answer.statistics(options.min_duration, too_short, not_cut), options.absolute,
    )  # fmt: skip
    if folder is None or not clips:
        return WrittenResult(tuple(clips), too_short, None, describe(header, clips, cut=False), not_cut)
    from facereel.query.clips.losses import losses_of  # imports the decoder, which a dry run does not need

    header = replace(header, lost=losses_of(clips))
    notes = header.lost
    try:
        with _result_folder(folder, answer.person, options.overwrite) as temporary:
            clips = _cut(clips, answer, temporary, on_clip_done)
            if options.export.formats:
                from facereel.query.export import editors

                people = [(answer.person.name, planned)]
                found = editors.timelines_of(folder.name, people, answer.times, folder, options.export)
                notes = (*notes, *editors.notes(found))
                if options.whole_shots:  # boxes are those of each match
                    own, _ = plan_clips(matches, answer.times, replace(options, whole_shots=False))
                    people = [(answer.person.name, own)]
                exports = _write_exports(found, people, options.export, temporary, folder.name)
                header = replace(header, exports=exports)
            document = write_metadata(temporary, header, clips)
            _check_still_indexed(answer, matches)
    except _CallbackError as error:
        raise error.args[0] from None
    return WrittenResult(tuple(clips), too_short, folder, document, not_cut, notes)


def export(
    name: str,
    answers: Sequence[PersonMatches],
    options: ClipOptions,
    folder: Path,
    base: str,
) -> Exported:
    """Write the clips of people, one person after the other, for other programs; cuts nothing.

    The timeline is called `name`, and the names of the files in `folder` begin with `base`. Without clips nothing is
    written. Raises OptionError, StoreError, UnwritableError, VideoError where a video is gone or has changed, and
    ResultExistsError, unless the options say `overwrite`, where a file of such a name is there and says something else:
    it may have been edited.
    """
    from facereel.query.export import editors

    options.check()
    people, times = [], {}
    for answer in answers:
        clips, _ = plan_clips(answer.matches, answer.times, options, _shots(answer.matches, options))
        if clips:
            people.append((answer.person.name, clips))
            times.update(answer.times)
    stores = {clip.match.video: clip.match.folder.parent for _, clips in people for clip in clips}
    for video, store in stores.items():
        check_source(video, store=store)
    found = editors.timelines_of(name, people, times, folder, options.export)
    if not people:
        return editors.Exported(())
    with _export_folder(folder, options.overwrite) as temporary:
        files = _write_exports(found, people, options.export, temporary, base)
    return editors.Exported(tuple(folder / file for file in files), editors.notes(found))


def export_faces(
    annotated: AnnotatedVideo, formats: Sequence[str], folder: Path, base: str, overwrite: bool
) -> Exported:
    """Write the faces of a video into a folder for annotation tools, as `export`; without faces nothing is written."""
    from facereel.query.export import editors

    editors.check_annotations(formats)
    if not annotated.tracklets:
        return editors.Exported(())
    with _export_folder(folder, overwrite) as temporary:
        files = editors.write_annotations([annotated], formats, temporary, base)
    return editors.Exported(tuple(folder / file for file in files))


def _write_exports(
    found: Sequence[Timeline],
    people: Sequence[tuple[str, Sequence[ClipPlan]]],
    options: ExportOptions,
    folder: Path,
    base: str,
) -> tuple[str, ...]:
    """Write timelines and boxes; gives the names of the files. Raises OSError."""
    from facereel.query.export import annotation, editors

    return (
        *editors.write_timelines(found, options.formats, folder, base),
        *editors.write_annotations(annotation.of_clips(base, people), options.formats, folder, base),
    )


@contextmanager
def _export_folder(folder: Path, overwrite: bool) -> Iterator[Path]:
    """A temporary folder whose files go into `folder` at the end, if none of them may not be replaced."""
    try:
        make_folder(folder)
        with folders.temporary_folder(folder) as temporary:
            yield temporary
            files = [path.relative_to(temporary) for path in temporary.rglob("*") if path.is_file()]
            for file in sorted(files):
                target = folder / file
                if (
                    target.exists()
                    and not overwrite
                    and not filecmp.cmp(temporary / file, target, shallow=False)
                ):
                    raise ResultExistsError(
                        f"{printable(target)} is there and differs, as after an edit; add --overwrite, or choose "
                        "another --out"
                    )
            for file in files:
                make_folder((folder / file).parent)
                (temporary / file).replace(folder / file)
    except OSError as error:
        raise UnwritableError(
            f"{printable(folder)} cannot be written ({error.strerror}); choose another --out"
        ) from error


def _cut(
    clips: Sequence[ClipPlan], answer: PersonMatches, folder: Path, on_clip_done: Callable[[ClipPlan], None]
) -> list[ClipPlan]:
    """Cut all clips, video by video; `on_clip_done` gets them in their order. Gives them with all their facts."""
    # They import the decoder, which a dry run does not need.
    from facereel.query.clips.cutter import cut_clips
    from facereel.query.clips.stream_copy import copy_clip

    complete: dict[str, ClipPlan] = {}
    reported = 0

    def done(clip: ClipPlan) -> None:
        nonlocal reported
        complete[clip.file] = clip
        while reported < len(clips) and clips[reported].file in complete:
            try:
                on_clip_done(complete[clips[reported].file])
            except Exception as error:
                raise _CallbackError(error) from error
            reported += 1

    by_video: dict[Video, list[ClipPlan]] = {}  # two with one content where a store was copied into this one
    for clip in clips:
        by_video.setdefault(clip.match.video, []).append(clip)
    for video, own in by_video.items():
        times = answer.times[video.sha256]
        if own[0].codec != "copy":
            cut_clips(video, own, times, folder, done)
            continue
        for clip in own:
            copy_clip(clip, times, folder)
            done(clip)
    return [complete[clip.file] for clip in clips]


def _with_key_frames(
    clips: Sequence[ClipPlan], answer: PersonMatches
) -> tuple[list[ClipPlan], dict[str, SkippedVideo]]:
    """The clips with the frames that their copies hold, and by sha256 the videos whose pictures cannot be copied."""
    from facereel.query.clips.stream_copy import with_key_frames  # imports the decoder

    copied: list[ClipPlan] = []
    failed: dict[str, SkippedVideo] = {}
    for clip in clips:
        video = clip.match.video
        if video.sha256 in failed:
            continue
        try:
            copied.append(with_key_frames(clip, answer.times[video.sha256]))
        except CutError as error:
            failed[video.sha256] = SkippedVideo(printable(video.name), str(error), "not_copied")
    return [clip for clip in copied if clip.match.video.sha256 not in failed], failed


def _shots(
    matches: Sequence[tuple[MatchingTracklet, Sightings]], options: ClipOptions
) -> dict[Path, tuple[Shot, ...]]:
    """The shots of the videos by the folder of the index, where the options need them.

    Raises StoreError, ChangedIndexError of it where an index is not the one that was searched any more.
    """
    shots = {}
    versions = {match.folder: match.version for match, _ in matches} if options.beyond_matches else {}
    for folder, version in versions.items():
        with VideoIndex(folder) as index:
            if version not in ("", index.version.to_text()):
                raise ChangedIndexError(
                    f"{printable(index.video.name)} was indexed again since the search, its shots may be others; "
                    "run it again"
                )
            shots[folder] = without_transitions(index.shots(), index.tracklets())
    return shots


def _check_still_indexed(
    answer: PersonMatches, matches: Sequence[tuple[MatchingTracklet, Sightings]]
) -> None:
    """Raise ChangedIndexError where an index has lost a face since the search: somebody may have been forgotten.

    An index that was made anew meanwhile and has the same face in the same frames is no other one.
    """
    by_folder: dict[Path, list[MatchingTracklet]] = {}
    for match, _ in matches:
        by_folder.setdefault(match.folder, []).append(match)
    for folder, own in by_folder.items():
        if own[0].version in ("", read_version(folder).to_text()):
            continue
        faces = _faces(answer, own[0])
        if any(_face(match.tracklet) not in faces for match in own):
            raise ChangedIndexError(
                f"{printable(own[0].video.name)} was indexed again or removed while clips were cut, or somebody in it "
                "was forgotten; nothing was written; run it again"
            )


def _faces(answer: PersonMatches, match: MatchingTracklet) -> Set[tuple[int, int, float, float]]:
    """All faces of the index of a match as it is now; none where it was removed."""
    read = answer.scope.catalogue.read_current
    try:
        with read(VideoIndex, match.folder, match.video.path) as index:
            return set(map(_face, index.tracklets()))
    except NotIndexedError:
        return frozenset()


def _face(tracklet: Tracklet) -> tuple[int, int, float, float]:
    """What tells a face of a video from all others, whatever its number: its frames, its width and its score."""
    return tracklet.start, tracklet.end, tracklet.face_width, tracklet.score


def _missing_videos(answer: PersonMatches) -> dict[str, SkippedVideo]:
    """Videos with matches that are gone or changed, by sha256."""
    missing = {}
    stores = {match.video.sha256: match.folder.parent for match, _ in answer.matches}
    for video in {match.video.sha256: match.video for match, _ in answer.matches}.values():
        try:
            check_source(video, store=stores[video.sha256])
        except FaceReelError as error:
            missing[video.sha256] = SkippedVideo(
                printable(video.name), str(error), "changed" if Path(video.path).is_file() else "gone"
            )
    return missing


def _check_replaceable(folder: Path, person: PersonQuery, overwrite: bool) -> None:
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    document = _read_result(folder)
    if document is None:
        raise ResultExistsError(
            f"{printable(folder)} is not the result of a query and is not replaced; choose another --out or --name"
        )
    if (other := _other_file(folder, document)) is not None:
        raise ResultExistsError(
            f"{printable(folder)} also holds {printable(other)}, which is not part of the result, and is not replaced; "
            "move that file, or choose another --out or --name"
        )
    if not overwrite and not _answers(document, person):
        raise ResultExistsError(
            f"{printable(folder)} holds the result of another query; add --overwrite, or choose another --out or --name"
        )


def _read_result(folder: Path) -> dict[str, Any] | None:
    """The metadata of the result in a folder; None if it holds no result."""
    try:
        document = json.loads((folder / JSON_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return document if isinstance(document, dict) and document.get("schema") in SCHEMAS else None


def _other_file(folder: Path, document: dict[str, Any]) -> str | None:
    """The name of a file or folder that is not part of the result in a folder; None if there is none."""
    clips, exports = document.get("clips"), document.get("exports")  # exports only since they existed
    files = [clip.get("file") for clip in clips if isinstance(clip, dict)] if isinstance(clips, list) else []
    files += exports if isinstance(exports, list) else []
    own = {JSON_FILE, CLIPS_FILE, FRAMES_FILE, *(file for file in files if isinstance(file, str))}
    own |= {parent.as_posix() for file in own for parent in PurePosixPath(file).parents}
    paths = (path.relative_to(folder) for path in sorted(folder.rglob("*")))
    others = (path for path in paths if path.as_posix() not in own and path.name not in _FILE_MANAGERS)
    return next((path.as_posix() for path in others), None)


def _answers(document: dict[str, Any], person: PersonQuery) -> bool:
    """Whether a result answers the question for `person`, whatever the options.

    It has the same name, and the same photos or the same person of the library, whose references change as videos come.

    Results with the schema /1 do not hold the name, so they answer no question.
    """
    try:
        pictures = [(reference["sha256"], reference.get("frame")) for reference in document["references"]]
        own = [(reference.sha256, reference.frame) for reference in person.references]
        of_library = person.person is not None and all(frame is not None for _, frame in own)
        same = set(pictures) == set(own) or (of_library and document.get("person") == person.person)
        return same and document["name"] == person.name
    except (LookupError, TypeError):
        return False


@contextmanager
def _result_folder(folder: Path, person: PersonQuery, overwrite: bool) -> Iterator[Path]:
    """A temporary folder beside `folder` that is renamed to it at the end, or removed if anything fails."""

    def predecessors() -> list[Path]:
        # Another query may have written its result meanwhile.
        _check_replaceable(folder, person, overwrite)
        return [folder] if folder.exists() else []

    try:
        make_folder(folder.parent)
        with folders.temporary_folder(folder.parent) as temporary:
            yield temporary
            for file in temporary.rglob("*"):
                sync(file)
            temporary.chmod(_usual_mode(temporary))
            sync(temporary)
            folders.replace_folders(temporary, folder, predecessors)
    except OSError as error:
        raise UnwritableError(
            f"{printable(folder)} cannot be written ({error.strerror}); free some space, or choose another --out"
        ) from error


def _usual_mode(folder: Path) -> int:
    """The permissions that the umask gives to a new folder; reading the umask itself would change it for a moment."""
    probe = folder / ".mode"
    probe.mkdir()
    mode = probe.stat().st_mode & 0o777
    probe.rmdir()
    return mode
