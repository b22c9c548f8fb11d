"""A question as the command that asks it: for whoever asked it in another way and wants to repeat or script it."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from facereel.query.records import Aspect, Codec, CropMode, FileFormat
from facereel.store.files.names import DEFAULT_STORE, printable


@dataclass(frozen=True, slots=True)
class QueryCommand:
    """`facereel query` with the options of a question; those that are as they are without saying so are left out."""

    photos: tuple[str, ...] = ()
    face: int | None = None  # of the only photo; 1 is the largest
    person: str | None = None  # instead of photos
    present: tuple[str, ...] = ()  # --with
    absent: tuple[str, ...] = ()  # --without
    unlike: tuple[str, ...] = ()  # --not
    store: Path = Path(DEFAULT_STORE)
    videos: tuple[str, ...] = ()
    out: Path | None = None  # None: the current folder's `outputs`
    name: str | None = None
    include_possible: bool = False
    only: tuple[str, ...] = ()
    min_duration: float = 0.0  # seconds
    crop: CropMode | None = None
    size: int | None = None  # pixels
    aspect: Aspect | None = None
    handles: int = 0  # frames
    whole_shots: bool = False
    format: FileFormat | None = None
    codec: Codec = "h264"
    export: tuple[str, ...] = ()
    overwrite: bool = False

    def words(self) -> list[str]:
        """The words of the command, the program first."""
        return ["facereel", "query", *self._words()]

    def __str__(self) -> str:
        """The command as a shell of Unix takes it."""
        return " ".join(shlex.quote(printable(word)) for word in self.words())

    def _words(self) -> Iterator[str]:
        own_store = None if self.store == Path(DEFAULT_STORE) else str(self.store)
        own_out = None if self.out is None or self.out == Path("outputs") else str(self.out)
        options: tuple[tuple[str, Sequence[str | None]], ...] = (
            ("--person", [self.person]),
            ("--face", [None if self.face is None else str(self.face)]),
            ("--with", self.present),
            ("--without", self.absent),
            ("--not", self.unlike),
            ("--video", self.videos),
            ("--only", self.only),
            ("--include", ["possible" if self.include_possible else None]),
            ("--min-duration", [f"{self.min_duration:g}" if self.min_duration else None]),
            ("--crop", [None if self.crop == "follow" else self.crop]),
            ("--size", [None if self.size is None else str(self.size)]),
            ("--aspect", [self.aspect]),
            ("--handles", [str(self.handles) if self.handles else None]),
            ("--format", [self.format]),
            ("--codec", [None if self.codec == "h264" else self.codec]),
            ("--export", self.export),
            ("--store", [own_store]),
            ("--out", [own_out]),
            ("--name", [self.name]),
        )
        for option, values in options:
            for value in values:
                if value is not None:
                    yield from (option, value)
        if self.whole_shots:
            yield "--whole-shots"
        if self.overwrite:
            yield "--overwrite"
        if any(photo.startswith("-") for photo in self.photos):
            yield "--"
        yield from self.photos
