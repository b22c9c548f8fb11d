"""A query's result as one folder: clips, metadata.json, clips.csv, frames.csv; there whole, or not there."""

from __future__ import annotations

import json
import os
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from facereel.query.clips.cutter import cut_clips
from facereel.query.export.metadata import JSON_FILE, SCHEMA, describe, write_metadata
from facereel.query.records import Clip, Reference
from facereel.store.files import folders
from facereel.store.files.folders import printable
from facereel.store.model.errors import ResultExistsError, UnwritableError
from facereel.store.model.records import EngineInfo, FrameTimes

LONGEST_STEM = 120  # bytes of UTF-8: file systems allow 255 for the whole name


def write_result(
    folder: Path, clips: Sequence[Clip], times: Mapping[str, FrameTimes], references: Sequence[Reference],
    engine: EngineInfo, threshold: float, overwrite: bool = False,
    on_clip_done: Callable[[Clip, str], None] = lambda clip, file: None,
    search: Mapping[str, Any] | None = None, absolute: bool = False,
) -> list[Path]:  # fmt: skip
    """Cut the clips and describe them in `folder`; the paths of the clips, in their order.

    `times` go by the video's sha256. `on_clip_done` gets each clip and its file name once it is on disk (in a
    temporary folder until all are). Raises ResultExistsError, UnwritableError, VideoError or CutError, and
    then leaves nothing.
    """
    check_vacant(folder, overwrite)
    videos = {clip.match.video.sha256: clip.match.video for clip in clips}
    files = [
        clip_file_name(clip, number, times[clip.match.video.sha256]) for number, clip in enumerate(clips, 1)
    ]
    with _whole_folder(folder, overwrite) as temporary:
        for sha256, video in videos.items():
            own = [place for place, clip in enumerate(clips) if clip.match.video.sha256 == sha256]

            def done(number: int, own: Sequence[int] = own) -> None:
                on_clip_done(clips[own[number]], files[own[number]])

            targets = [temporary / files[place] for place in own]
            cut_clips(video, [clips[place] for place in own], times[sha256], targets, done)
        document = describe(clips, files, times, references, engine, threshold, None, search, absolute)
        write_metadata(temporary, document, [clip.match.explanation for clip in clips])
    return [folder / file for file in files]


def check_vacant(folder: Path, overwrite: bool) -> None:
    """Raise ResultExistsError where a result may not be written; worth calling before any work is done.

    `overwrite` replaces an earlier result, never a folder that holds anything else.
    """
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    if not _is_result(folder):
        raise ResultExistsError(f"{folder} is no result of a query and stays; choose another --out or --name")
    if not overwrite:
        raise ResultExistsError(
            f"{folder} is there already; add --overwrite, or choose another --out or --name"
        )


def clip_file_name(clip: Clip, number: int, times: FrameTimes) -> str:
    """`movie_0001_00-00-03.337.mp4`: unique by its number in the result, allowed on every file system."""
    video = clip.match.video
    milliseconds = max(0, round(video.seconds(int(times.pts[clip.start])) * 1000))
    seconds, milliseconds = divmod(milliseconds, 1000)
    moment = f"{seconds // 3600:02}-{seconds // 60 % 60:02}-{seconds % 60:02}.{milliseconds:03}"
    return f"{_safe_stem(video.name)}_{number:04}_{moment}.mp4"


def _safe_stem(name: str) -> str:
    stem = unicodedata.normalize("NFC", Path(name).stem)
    # What Windows forbids; control, format and surrogate characters hide or cannot be written.
    stem = "".join("_" if unicodedata.category(sign) in ("Cc", "Cf", "Cs") else sign for sign in stem)
    stem = re.sub(r'[<>:"/\\|?*]', "_", stem).strip(" .")
    # A leading dash reads as an option to programs that are handed the file.
    stem = re.sub("^-", "_", stem)
    return stem.encode()[:LONGEST_STEM].decode(errors="ignore").rstrip(" .") or "video"


def _is_result(folder: Path) -> bool:
    try:
        document = json.loads((folder / JSON_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(document, dict) and document.get("schema") == SCHEMA


@contextmanager
def _whole_folder(folder: Path, overwrite: bool) -> Iterator[Path]:
    """A folder beside `folder` that takes its place at the end, on the disk, or vanishes when anything fails."""
    place = folder.parent
    try:
        folders.make_folder(place)
        with folders.temporary_folder(place) as temporary:
            yield temporary
            for file in temporary.iterdir():
                folders.sync(file)
            temporary.chmod(0o777 & ~_umask())  # made private; now as its user makes folders
            folders.sync(temporary)
            folders.replace_folders(temporary, folder, lambda: _predecessor(folder, overwrite))
    except OSError as error:
        raise UnwritableError(
            f"{printable(folder)} cannot be written ({error.strerror}); free some space, or choose another --out"
        ) from error


def _umask() -> int:
    mask = os.umask(0o077)  # can only be read by setting it
    os.umask(mask)
    return mask


def _predecessor(folder: Path, overwrite: bool) -> list[Path]:
    """What has to make way; asked again at the end, as another query may have been faster."""
    check_vacant(folder, overwrite)
    return [folder] if folder.exists() else []
