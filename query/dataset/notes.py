"""What is noted of each video of a data set that is being made, so that a run that was stopped is gone on with.

A note says what the pieces of a video follow from, and their rows of the manifest: first those that are planned, in the
end that they are complete.
"""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from facereel.query.dataset.manifest import DATASET_FILE, SCHEMA, read_json, read_manifest, write_json
from facereel.query.dataset.pieces import Filtered
from facereel.store.files.disk import make_folder
from facereel.store.files.locks import OwnerLock
from facereel.store.files.names import hash_suffix, printable
from facereel.store.model.errors import ResultExistsError

_FOLDER = ".videos"
# What a row needs so that a run can go on from it.
_NEEDED = frozenset({"id", "file", "tracklet", "start_frame", "end_frame", "box", "duration"})


@dataclass(frozen=True, slots=True)
class Note:
    """What of a video is in the data set."""

    fingerprint: str  # of all that it follows from
    complete: bool
    rows: tuple[Mapping[str, Any], ...]
    filtered: Mapping[str, Filtered]


@contextmanager
def writing(out: Path) -> Iterator[None]:
    """Make the folder of a data set and keep other runs out of it.

    Raises OSError, and ResultExistsError where another run works on it.
    """
    make_folder(out / _FOLDER)
    lock = OwnerLock(out / _FOLDER / ".lock")
    if not lock.try_acquire():
        raise ResultExistsError(
            f"another run works on the data set in {printable(out)}; wait for it, or choose another --out"
        )
    try:
        yield
    finally:
        lock.release()


def read_note(out: Path, video: str) -> Note | None:
    """The note of a video, by the name of its index's folder; None where there is none."""
    document = read_json(out / _FOLDER / f"{video}.json")
    if document is None:
        return None
    try:
        filtered = {reason: Filtered(**own) for reason, own in document["filtered"].items()}
        note = Note(document["fingerprint"], document["complete"], tuple(document["rows"]), filtered)
    except (LookupError, TypeError, AttributeError):  # nobody can go on from it: the video is made anew
        return None
    return note if all(isinstance(row, dict) and row.keys() >= _NEEDED for row in note.rows) else None


def write_note(out: Path, video: str, note: Note) -> None:
    """Replace the note of a video; raises OSError."""
    filtered = {reason: asdict(own) for reason, own in note.filtered.items()}
    document = {"fingerprint": note.fingerprint, "complete": note.complete, "filtered": filtered}
    write_json(out / _FOLDER / f"{video}.json", {**document, "rows": list(note.rows)})


def is_written(out: Path, file: str) -> bool:
    """Whether all files of a piece are there: its CSV comes last."""
    return (out / file).with_suffix(".csv").is_file()


def written_pieces(out: Path, video: str) -> list[str]:
    """The pieces that are there of a video, by their names in the manifest, also where there is no note of it."""
    files = (path for folder in _folders_of(out, video) for path in folder.glob("*.mp4"))
    return sorted(path.relative_to(out).as_posix() for path in files)


def remove_video(out: Path, video: str) -> None:
    """Delete the pieces of a video and its note; raises OSError."""
    (out / _FOLDER / f"{video}.json").unlink(missing_ok=True)
    for folder in _folders_of(out, video):
        shutil.rmtree(folder)
        _remove_empty(folder)


def keep_pieces(out: Path, video: str, files: Collection[str]) -> None:
    """Delete what is there of a video but pieces with these names in the manifest; raises OSError."""
    for folder in _folders_of(out, video):
        for path in folder.iterdir():
            if path.relative_to(out).with_suffix(".mp4").as_posix() not in files:
                path.unlink()
        _remove_empty(folder)


def known_rows(out: Path) -> Iterator[Mapping[str, Any]]:
    """The rows of all pieces of a data set, also of one that is not complete; none where there is no data set.

    Each has the `id` of a person, which is the name of a folder, and the `video_sha256` of its source.
    """
    document = read_json(out / DATASET_FILE)
    if document is None or document.get("schema") != SCHEMA:
        return
    notes = (read_note(out, file.stem) for file in sorted((out / _FOLDER).glob("*.json")))
    for row in chain(read_manifest(out), *(note.rows for note in notes if note is not None)):
        identity, content = row.get("id"), row.get("video_sha256")
        if not isinstance(identity, str) or not isinstance(content, str):
            continue
        if Path(identity).name == identity and identity not in ("", ".."):
            yield row


def videos_with_notes(out: Path) -> set[str]:
    """The videos of which a run wrote something, by their names in the data set, also where the note is damaged."""
    return {note.stem for note in (out / _FOLDER).glob("*.json") if hash_suffix(note.stem)}


def remove_others(out: Path, videos: Collection[str]) -> None:
    """Delete the pieces and notes of all videos but these; raises OSError."""
    for video in sorted(videos_with_notes(out).difference(videos)):
        remove_video(out, video)


def _folders_of(out: Path, video: str) -> list[Path]:
    """The folders with pieces of a video; what a link leads to is not of the data set."""
    identities = [folder for folder in out.iterdir() if not folder.is_symlink()]
    own = [identity / video for identity in identities]
    return [folder for folder in own if folder.is_dir() and not folder.is_symlink()]


def _remove_empty(folder: Path) -> None:
    """Delete a person's folder of a video, and the person's, where nothing is in them."""
    for one in (folder, folder.parent):
        if one.is_dir() and not any(one.iterdir()):
            one.rmdir()
