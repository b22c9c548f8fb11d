"""Which video files are meant, and whether their indexes could be written: asked before hours of work."""

from __future__ import annotations

import glob
import hashlib
import os
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from facereel.indexer.jobs.events import Source
from facereel.store.files.disk import unwritable
from facereel.store.files.kinds import VIDEO_SUFFIXES
from facereel.store.files.names import printable
from facereel.store.model.errors import OptionError
from facereel.store.model.urls import Url, is_url


@dataclass(frozen=True, slots=True)
class Part:
    """One of several parts of what is to be indexed, each for a process of its own; every video is in exactly one."""

    number: int  # 1..count
    count: int

    def __post_init__(self) -> None:
        if not 1 <= self.number <= self.count:
            raise OptionError(
                f"there is no part {self.number}/{self.count}; the parts of 5 are 1/5, 2/5, 3/5, 4/5 and 5/5"
            )

    @classmethod
    def parse(cls, text: str) -> Part:
        """The part of a text such as 2/5; raises OptionError."""
        if not (found := re.fullmatch(r"(\d{1,9})/(\d{1,9})", text, re.ASCII)):
            raise OptionError(
                f'the part "{printable(text)}" is not written like 2/5, the second of five parts'
            )
        return cls(int(found[1]), int(found[2]))

    def has(self, relative: str) -> bool:
        """Is a video in this part, by its path in the folder that is indexed, with slashes?

        By SHA-256 of that path, so the same wherever the folder is mounted, in every version of Python. macOS may give
        the letters of a name apart from their accents: NFC makes them one.
        """
        digest = hashlib.sha256(
            unicodedata.normalize("NFC", relative).encode(errors="surrogatepass")
        ).digest()
        return int.from_bytes(digest[:8], "big") % self.count == self.number - 1


def find_videos(names: Sequence[str | Path], part: Part | None = None) -> list[Source]:
    """The videos that names stand for: files, folders with all folders in them, patterns that no shell expanded, URLs.

    With `part` only those in it: by the path below the folder that is named, of a single file by its name, of a URL by
    all of it. A name that leads to no video is returned as it is, so that indexing it reports why. Raises OptionError
    for a folder or pattern on a server that cannot be listed.
    """
    videos: dict[Source, Source] = {}
    for text in names:
        if is_url(str(text)):
            from facereel.indexer.jobs.staging import check_url, find_urls

            # What was found is one video, and no pattern though its name has brackets.
            found = [check_url(text)] if isinstance(text, Url) else find_urls(Url(str(text)))
            videos |= {url: url for url in found if part is None or part.has(url)}
            continue
        name = Path(text)
        for path in _expand(name) or [name]:
            relative = path.relative_to(name).as_posix() if name.is_dir() and path != name else path.name
            if part is None or not path.is_file() or part.has(relative):
                videos.setdefault(path.absolute(), path)
    return list(videos.values())


def videos_below(root: Path, names: Sequence[str | Path]) -> list[Path]:
    """As `find_videos`, without what lies elsewhere and is only linked from below the root."""
    top = root.resolve()
    return [
        video for video in find_videos(names)
        if isinstance(video, Path) and video.resolve().is_relative_to(top)
    ]  # fmt: skip


@dataclass(frozen=True, slots=True)
class BrowsedFolder:
    """What lies in a folder, for whoever chooses videos."""

    path: str  # from the root, with slashes; empty for the root itself
    parent: str | None  # of the folder above, None for the root
    folders: tuple[str, ...]  # names
    videos: tuple[tuple[str, int], ...]  # names and bytes


def below(root: Path, name: str) -> Path:
    """The file or folder of a name that is absolute or begins at the root; links are followed first.

    Raises OptionError for one that does not lie below the root.
    """
    top = root.resolve()
    try:
        path = (top / name).resolve()
        inside = path == top or path.is_relative_to(top)
    except (OSError, ValueError, RuntimeError):  # a NUL, links in a circle
        inside = False
    if not inside:
        raise OptionError(
            f"{printable(name)} is not below {printable(root)}; "
            "start with --root FOLDER to index files of another folder"
        )
    return path


def browse(root: Path, name: str = "") -> BrowsedFolder:
    """The folders and videos of a folder below a root; links that lead out of it are left out.

    Raises OptionError for what is no folder below the root.
    """
    top, folder = root.resolve(), below(root, name)
    folders, videos = [], []
    try:
        for entry in sorted(folder.iterdir(), key=lambda one: one.name.casefold()):
            if entry.name.startswith(".") or not entry.resolve().is_relative_to(top):
                continue
            if entry.is_dir():
                folders.append(entry.name)
            elif entry.suffix.lower() in VIDEO_SUFFIXES and entry.is_file():
                videos.append((entry.name, entry.stat().st_size))
    except (OSError, RuntimeError) as error:
        raise OptionError(f"{printable(name) or printable(root)} cannot be listed: {error}") from error
    path = "" if folder == top else folder.relative_to(top).as_posix()
    parent = None if folder == top else path.rpartition("/")[0]
    return BrowsedFolder(path, parent, tuple(folders), tuple(videos))


def check_store(store: Path) -> None:
    """Raise UnwritableError where an index could not be written."""
    place = store.absolute()
    while not place.exists() and place != place.parent:
        place = place.parent
    if not place.is_dir():
        raise unwritable(store, NotADirectoryError(0, f"{printable(place)} is not a folder"))
    if not os.access(place, os.W_OK | os.X_OK):
        raise unwritable(store, PermissionError(0, f"no permission to write in {printable(place)}"))


def _expand(path: Path) -> list[Path]:
    if path.is_dir():
        return sorted(
            Path(root) / file
            for root, _, files in os.walk(path)
            for file in files
            if Path(file).suffix.lower() in VIDEO_SUFFIXES and not file.startswith(".")
        )
    if path.exists() or not glob.has_magic(str(path)):
        return [path]
    files = [Path(name) for name in sorted(glob.glob(str(path), recursive=True)) if Path(name).is_file()]
    return [file for file in files if file.suffix.lower() in VIDEO_SUFFIXES] or files
