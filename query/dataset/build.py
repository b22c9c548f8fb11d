"""Builds a data set: the matches of people, video by video, several videos at once, then the manifest over all.

What is complete stays (notes.py): a run with the same question and options goes on from there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from threading import Event, Lock
from typing import Any

from facereel.indexer.machine import threads
from facereel.query.dataset import notes
from facereel.query.dataset.manifest import (
    DATASET_FILE,
    SCHEMA,
    identity_of,
    read_json,
    write_json,
    write_manifest,
)
from facereel.query.dataset.options import DatasetOptions
from facereel.query.dataset.pieces import Filtered, total
from facereel.query.dataset.video import OwnedMatch, VideoMatches, write_video
from facereel.query.search.scope import SkippedVideo
from facereel.query.search.search import PersonMatches
from facereel.query.text import count
from facereel.store.files.names import printable, with_escapes
from facereel.store.model.errors import CutError, ResultExistsError, StoreError, UnwritableError, VideoError


@dataclass(frozen=True, slots=True)
class DatasetVideo:
    """What became of one video."""

    video: str
    pieces: int
    written: int  # of them in this run
    seconds: float  # of all its pieces


@dataclass(frozen=True, slots=True)
class Dataset:
    """A data set that was written."""

    folder: Path
    identities: int
    pieces: int
    seconds: float  # of all pieces
    val_pieces: int  # for validation; the others are for training
    filtered: Mapping[str, Filtered]  # what was left out, by reason
    skipped: tuple[SkippedVideo, ...]  # videos with matches, or with earlier pieces, that could not be read
    not_searched: tuple[SkippedVideo, ...] = ()  # indexes that could not be searched


def build(
    answers: Sequence[PersonMatches],
    not_searched: Sequence[SkippedVideo],
    question: Mapping[str, Any],
    options: DatasetOptions,
    out: Path,
    jobs: int = 0,
    on_video: Callable[[DatasetVideo], None] = lambda done: None,
) -> Dataset:
    """Write a data set of the matches of people into a folder, or go on with one of the same question and options.

    `not_searched` are the indexes that the answers say nothing of: what an earlier run wrote of their videos stays.
    `jobs` videos at once, 0: as many as there are cores. `on_video` gets each video once it is complete, one at a time
    but in threads of this function. A video that is gone, changed or cannot be decoded does not stop the others. Raises
    OptionError, ResultExistsError where the folder holds anything else or another run works on it, UnwritableError.
    """
    options.check()
    about = with_escapes({"schema": SCHEMA, "question": dict(question), "options": options.to_document()})
    # Photos that are given twice are one person, of the first one's name.
    distinct = {identity_of(answer.person): answer for answer in reversed(answers)}
    videos, ambiguous = _by_video([*distinct.values()])
    stop, lock = Event(), Lock()

    def work(found: VideoMatches) -> notes.Note | SkippedVideo:
        video = found.matches[0].match.video
        try:
            note, written = write_video(found, options, out, stop)
        except (VideoError, CutError, StoreError) as error:
            kind = "unreadable" if Path(video.path).is_file() else "gone"
            return SkippedVideo(printable(video.name), str(error), kind)
        with lock:
            seconds = sum(row["duration"] for row in note.rows)
            on_video(DatasetVideo(printable(video.name), len(note.rows), written, seconds))
        return note

    try:
        _check_folder(out, about)
        with notes.writing(out):
            write_json(out / DATASET_FILE, {**about, "complete": False})
            with ThreadPoolExecutor(threads(jobs)) as executor:
                futures = [executor.submit(work, found) for found in videos]
                try:
                    wait(futures, return_when=FIRST_EXCEPTION)
                    outcomes = [future.result() for future in futures]
                except BaseException:
                    stop.set()
                    executor.shutdown(wait=False, cancel_futures=True)
                    raise
            unknown = _of_earlier_runs(out, not_searched)
            notes.remove_others(out, {found.name for found in videos} | {one.folder for one in unknown})
            dataset = _finished(out, [*outcomes, *unknown], ambiguous)
            write_json(out / DATASET_FILE, {**about, "complete": not dataset.skipped, **_counts(dataset)})
    except OSError as error:
        raise UnwritableError(
            f"{printable(out)} cannot be written ({error.strerror}); free some space, or choose another --out"
        ) from error
    return replace(dataset, not_searched=tuple(not_searched))


def _of_earlier_runs(out: Path, not_searched: Sequence[SkippedVideo]) -> list[SkippedVideo]:
    """The videos that cannot be searched now, but have pieces in the data set; nobody knows whom these show by now."""
    unknown, earlier = [], notes.videos_with_notes(out)
    for index in not_searched:
        if index.folder in earlier and (pieces := notes.written_pieces(out, index.folder)):
            written = f"what an earlier run wrote of it ({count(len(pieces), 'piece')})"
            reason = f"{index.reason}; {written} stays in the folder, not in the manifest"
            unknown.append(replace(index, reason=reason))
    return unknown


def _finished(
    out: Path, outcomes: Sequence[notes.Note | SkippedVideo], ambiguous: Mapping[str, Filtered]
) -> Dataset:
    """Write the manifest of what is complete."""
    complete = [outcome for outcome in outcomes if isinstance(outcome, notes.Note)]
    rows = sorted((row for note in complete for row in note.rows), key=lambda row: str(row["file"]))
    write_manifest(out, rows)
    return Dataset(
        folder=out, identities=len({row["id"] for row in rows}), pieces=len(rows),
        seconds=round(sum(row["duration"] for row in rows), 6),
        val_pieces=sum(row["split"] == "val" for row in rows),
        filtered=total([ambiguous, *(note.filtered for note in complete)]),
        skipped=tuple(outcome for outcome in outcomes if isinstance(outcome, SkippedVideo)),
    )  # fmt: skip


def _counts(dataset: Dataset) -> dict[str, Any]:
    return {
        "identities": dataset.identities,
        "pieces": dataset.pieces,
        "seconds": dataset.seconds,
        "val_pieces": dataset.val_pieces,
        "filtered": {reason: asdict(own) for reason, own in sorted(dataset.filtered.items())},
        "skipped": [{"video": one.name, "kind": one.kind} for one in dataset.skipped],
    }


def _check_folder(out: Path, about: Mapping[str, Any]) -> None:
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    there = read_json(out / DATASET_FILE)
    if there is None or there.get("schema") != SCHEMA:
        raise ResultExistsError(f"{printable(out)} is not empty and holds no data set; choose another --out")
    if any(there.get(key) != value for key, value in about.items()):
        raise ResultExistsError(
            f"{printable(out)} holds a data set of another question or of other options; choose another --out"
        )


def _by_video(answers: Sequence[PersonMatches]) -> tuple[list[VideoMatches], dict[str, Filtered]]:
    """The matches by video; what matches two people is nobody's, and left out."""
    owners: dict[tuple[Path, int], set[str]] = {}
    for answer in answers:
        for match, _ in answer.matches:
            owners.setdefault((match.folder, match.tracklet.number), set()).add(identity_of(answer.person))
    by_folder: dict[Path, VideoMatches] = {}
    ambiguous = Filtered()
    for answer in answers:
        identity = identity_of(answer.person)
        for match, sightings in answer.matches:
            if len(owners[match.folder, match.tracklet.number]) > 1:
                seconds = match.video.duration(
                    answer.times[match.video.sha256], int(sightings.frames[0]), int(sightings.frames[-1]) + 1
                )
                ambiguous += Filtered(1, seconds)
                continue
            found = by_folder.setdefault(
                match.folder, VideoMatches(match.folder, answer.times[match.video.sha256], [])
            )
            found.matches.append(OwnedMatch(identity, answer.person.name, match, sightings))
    videos = sorted(by_folder.values(), key=lambda found: found.name)
    return videos, {"two_people": ambiguous} if ambiguous.stretches else {}
