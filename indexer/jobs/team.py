"""The idle workers of a run as a team that reads parts of one long video, as the worker that indexes it uses them."""

from __future__ import annotations

import pickle
from array import array
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from facereel.indexer.jobs.events import Job, Note, PartJob, PartRead, Progress, ScratchJob
from facereel.indexer.jobs.scratch import scratch_folder
from facereel.store.files.names import printable

if TYPE_CHECKING:
    from facereel.indexer.media.video import Probe
    from facereel.indexer.parts import PartEnd
    from facereel.store.model.records import Part


class Line(Protocol):
    """To the process that hands out work."""

    def idle(self) -> int:
        """How many workers have nothing to do; they are kept free until `offer`."""
        ...

    def offer(self, jobs: Sequence[PartJob]) -> None:
        """Have parts read, perhaps none."""
        ...

    def next_part(self) -> PartRead:
        """Wait for the next part that was read, or could not be."""
        ...


@dataclass(frozen=True, slots=True)
class PartProgress:
    """How far a part is."""

    start: int  # as in Part
    done: int  # frames


class PartPool(Protocol):
    """Reads parts on other machines."""

    def idle(self) -> int:
        """How many parts could be read at once now."""
        ...

    def submit(self, job: PartJob) -> None:
        """Have a part read; its files are written here."""
        ...

    def events(self) -> Sequence[PartRead | PartProgress]:
        """What happened since the last call; does not wait."""
        ...

    def close(self) -> None:
        """Stop what is under way."""
        ...


class Nobody:
    """A PartPool that reads none."""

    def idle(self) -> int:
        """As PartPool."""
        return 0

    def submit(self, job: PartJob) -> None:
        """As PartPool; nobody is asked."""

    def events(self) -> Sequence[PartRead | PartProgress]:
        """As PartPool."""
        return ()

    def close(self) -> None:
        """As PartPool."""


class IdleWorkers:
    """The Team of a job on this machine."""

    def __init__(
        self,
        job: Job | ScratchJob,
        video: Probe,
        line: Line | None,
        report: Callable[[Progress | Note], None],
    ) -> None:
        """Without a `line` nobody is in it."""
        self._job, self._video, self._line, self._report = job, video, line, report
        self._stack = ExitStack()
        self._folder: Path | None = None
        self._ticks: array[int] | None = None
        self._alone = False  # its packets do not tell its frames, or a part has failed as the next one would
        self._files: dict[int, Path] = {}  # of the parts, by their starts
        self._read: dict[int, PartRead] = {}

    def close(self) -> None:
        """Delete what the parts have left."""
        self._stack.close()

    def split(self, first: int) -> Sequence[Part]:
        """As Team.split."""
        left = float((self._video.frame_estimate - first) / self._video.frame_rate)
        # Only the default shot detector knows at which cuts parts may meet.
        divisible = self._job.config.shots == "adaptive" and not self._alone
        if self._line is None or left <= self._job.split_longer_than or not divisible:
            return ()
        if not (count := self._line.idle()):
            return ()
        try:
            parts = self._plan(first, count)
            video, config = self._video, self._job.config
            jobs = [PartJob(video.path, video.size, part, self._file(part), config) for part in parts]
        except OSError as error:
            self._report(Note(self._video.path, f"no parts can be read at once: {error}"))
            parts, jobs, self._alone = [], [], True
        self._line.offer(jobs)
        return parts

    def result(self, part: Part) -> tuple[PartEnd, Path] | None:
        """As Team.result."""
        assert self._line is not None
        while part.start not in self._read:
            read = self._line.next_part()
            self._read[read.start] = read
        file = self._files[part.start]
        if failure := self._read[part.start].failure:
            text = f"a part of {printable(self._video.path.name)} could not be read by itself ({failure})"
            self._report(Note(self._video.path, f"{text}; it is read with the rest"))
            self._alone = True
            return None
        return pickle.loads(end_file(file).read_bytes()), file

    def _plan(self, first: int, count: int) -> list[Part]:
        from facereel.indexer.media.video import frame_ticks
        from facereel.indexer.parts import plan_parts

        if self._ticks is None:
            video = self._video
            ticks = frame_ticks(
                video, lambda done: self._report(Progress(video.path, "reading", done, video.size))
            )
            self._ticks = array("q") if ticks is None else ticks
            self._alone = ticks is None
        return plan_parts(self._video, self._ticks, first, count)

    def _file(self, part: Part) -> Path:
        if self._folder is None:
            self._folder = self._stack.enter_context(scratch_folder())
        self._files[part.start] = file = self._folder / str(part.start)
        return file


def end_file(file: Path) -> Path:
    """Where the PartEnd of a part lies whose segments are in `file`."""
    return file.with_suffix(".end")
