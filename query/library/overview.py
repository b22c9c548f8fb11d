"""The videos of a library page by page; nothing is opened but library.db, whatever the library's size."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from facereel.store.files.locks import locked_videos
from facereel.store.library.catalogue import Catalogue, Entry
from facereel.store.library.people import LibraryPeople
from facereel.store.model.records import Video

# damaged: its index cannot be read; missing, changed: its video is not where it was, or is another file now; indexing:
# a process indexes it anew, and until then the old index answers
VideoState: TypeAlias = Literal["indexed", "indexing", "changed", "missing", "damaged"]


@dataclass(frozen=True, slots=True)
class VideoEntry:
    """An indexed video as a list shows it."""

    folder: Path  # of the index
    video: str  # the file's name; of a damaged index the name of its folder
    path: str  # where the file lay; empty if the index is damaged
    duration: float  # seconds, by the average frame rate
    width: int  # pixels as displayed
    height: int
    people: int  # of the library, who are in it
    state: VideoState
    problem: str  # of a damaged index: why it cannot be read, and the remedy


@dataclass(frozen=True, slots=True)
class VideoPage:
    """Some of the indexed videos."""

    videos: tuple[VideoEntry, ...]
    offset: int  # of the first among all that were asked for
    total: int


def page_of_videos(
    catalogue: Catalogue, people: LibraryPeople, search: str, offset: int, most: int
) -> VideoPage:
    """Those whose names contain a text, by name; damaged ones first. Raises StoreError for an unreadable store."""
    catalogue.refresh()  # so that the people of new videos are known
    listing, wanted = catalogue.listing(), search.casefold()
    damaged = [
        VideoEntry(folder, folder.name, "", 0.0, 0, 0, 0, "damaged", str(error))
        for folder, error in listing.failures
        if wanted in folder.name.casefold()
    ]
    entries = sorted(
        (entry for entry in listing.entries if wanted in entry.video.name.casefold()),
        key=lambda entry: (entry.video.name.casefold(), entry.folder.name),
    )
    rest = max(0, offset - len(damaged))
    shown = damaged[offset : offset + most]
    numbers = people.numbers_of_people([entry.video.sha256 for entry in entries[rest : rest + most]])
    running = tuple(locked_videos(catalogue.store))
    shown += [
        _entry(entry, numbers.get(entry.video.sha256, 0), running)
        for entry in entries[rest : rest + most - len(shown)]
    ]
    return VideoPage(tuple(shown), offset, len(damaged) + len(entries))


def _entry(entry: Entry, people: int, running: tuple[str, ...]) -> VideoEntry:
    video = entry.video
    duration = float(video.frame_count / video.frame_rate) if video.frame_rate else 0.0
    state: VideoState = "indexing" if video.sha256.startswith(running) else _state(video)
    return VideoEntry(
        entry.folder, video.name, video.path, duration, video.width, video.height, people, state, ""
    )


def _state(video: Video) -> VideoState:
    try:
        size = Path(video.path).stat().st_size
    except (OSError, ValueError):
        return "missing"
    # A copy has another time and the same content; only reading the file whole would tell.
    return "indexed" if size == video.size else "changed"
