"""Answers become results: planned, described and, unless only listed, cut into a folder for each person."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from facereel.indexer.media.source import check_source
from facereel.query.clips.plan import plan_clips
from facereel.query.export.metadata import JSON_FILE, describe
from facereel.query.people.photos import PersonPhotos, folder_name
from facereel.query.records import Clip, CropMode
from facereel.query.search.search import Answer, SkippedVideo
from facereel.store.files.folders import clean_leftovers, printable
from facereel.store.model.errors import FaceReelError, OptionError
from facereel.store.model.records import EngineInfo


@dataclass(frozen=True, slots=True)
class ClipOptions:
    """How the clips are to be."""

    crop: CropMode = "follow"
    size: int | None = None  # side of the file's picture, pixels
    min_duration: float = 0.0  # seconds
    dry_run: bool = False
    overwrite: bool = False
    absolute: bool = False  # metadata says where photos and videos lie


@dataclass(frozen=True, slots=True, eq=False)
class PersonResult:
    """One person's result."""

    clips: tuple[Clip, ...]
    dropped: int  # matches that were too short
    folder: Path | None  # None when nothing was written
    document: dict[str, Any]  # as metadata.json holds it; a clip's file is null when it was not cut
    not_cut: tuple[SkippedVideo, ...] = ()  # videos with matches that are gone or changed


def result_folders(people: Sequence[PersonPhotos], out: Path, name: str | None) -> list[Path]:
    """Where each person's result goes; raises OptionError for a name that cannot be a folder's."""
    if name is None:
        return [out / photos.name for photos in people]
    if len(people) > 1:
        raise OptionError(
            f"--name {printable(name)} is for one person, but {len(people)} were given; use --out"
        )
    if name != folder_name(name):
        raise OptionError(f"--name {printable(name)!r} cannot be a folder's name; try {folder_name(name)!r}")
    return [out / name]


def check_targets(folders: Sequence[Path], overwrite: bool) -> None:
    """Finish what dead processes left where results go, and raise ResultExistsError before any work is done."""
    for place in {folder.parent for folder in folders}:
        clean_leftovers(place)
    there = [folder for folder in folders if folder.exists()]
    if there:
        from facereel.query.clips.result import (
            check_vacant,  # brings the decoder, which most questions do not need
        )

        for folder in there:
            check_vacant(folder, overwrite)


def render(
    answer: Answer, folder: Path, wishes: ClipOptions, engine: EngineInfo, threshold: float,
    on_clip_done: Callable[[Clip, str], None],
) -> PersonResult:  # fmt: skip
    """Cut one person's clips into `folder`, or only say what they would be.

    Nothing is written when nothing is found. Raises OptionError and the errors of write_result.
    """
    not_cut = {} if wishes.dry_run else _lost_videos(answer)
    matches = [pair for pair in answer.matches if pair[0].video.sha256 not in not_cut]
    clips, dropped = plan_clips(matches, answer.times, wishes.crop, wishes.size, wishes.min_duration)
    references, lost = answer.person.references, tuple(not_cut.values())
    search = answer.statistics(wishes.min_duration, dropped, lost)
    if wishes.dry_run or not clips:
        files = [""] * len(clips)
        document = describe(
            clips, files, answer.times, references, engine, threshold, None, search, wishes.absolute
        )
        for clip in document["clips"]:
            clip["file"] = None
        return PersonResult(tuple(clips), dropped, None, document, lost)
    from facereel.query.clips.result import write_result

    write_result(
        folder, clips, answer.times, references, engine, threshold, wishes.overwrite, on_clip_done,
        search, wishes.absolute,
    )  # fmt: skip
    document = json.loads((folder / JSON_FILE).read_text(encoding="utf-8"))
    return PersonResult(tuple(clips), dropped, folder, document, lost)


def _lost_videos(answer: Answer) -> dict[str, SkippedVideo]:
    """Videos with matches from which nothing can be cut, by sha256; the others are not to suffer for them."""
    lost = {}
    for video in {match.video.sha256: match.video for match, _ in answer.matches}.values():
        try:
            check_source(video)
        except FaceReelError as error:
            lost[video.sha256] = SkippedVideo(
                printable(video.name), str(error), "changed" if Path(video.path).is_file() else "gone"
            )
    return lost
