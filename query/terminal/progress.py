"""How far indexing is: bars on a terminal, a plain line now and then elsewhere; both on stderr."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from facereel.api import BeingIndexed, Event, Failed, Indexed, Note, Outcome, Progress, Source, Started
from facereel.query.terminal import console
from facereel.query.text import clock
from facereel.store.files.names import printable

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

LINE_EVERY = 30.0  # seconds from one plain line to the next
_COUNTED = ("indexing", "searching", "writing")  # stages that count frames
MOST_BARS = 8  # of videos that are being indexed; a cluster indexes more than a terminal has lines
RATE_SECONDS = 60.0  # of the past, over which frames a second are counted


@contextmanager
def progress() -> Iterator[Callable[[Event], None]]:
    """Gives a function that shows an event; results, errors and warnings of a video are not its business."""
    if sys.stderr.isatty():
        with _bars() as show:
            yield show
    else:
        yield _Lines().show


class _Overview:
    """All videos of a run together, on whatever machines they are."""

    def __init__(self) -> None:
        self.total = 0
        self._ended_before = 0  # in earlier runs
        self._outcomes: dict[Source, type[Outcome]] = {}
        self._indexed = 0  # in this run
        self._running: dict[Source, int] = {}  # frames done of each
        self._frames = 0
        self._samples: deque[tuple[float, int]] = deque([(time.monotonic(), 0)])  # when, frames done by then
        self._start = time.monotonic()

    @property
    def ended(self) -> int:
        """Videos that are done, or failed."""
        return len(self._outcomes)

    def add(self, event: Event) -> None:
        """Count an event."""
        if isinstance(event, Started):
            self._outcomes.pop(event.video, None)  # one that another process had is tried once more
            if event.number == 1 and self._outcomes:
                # Another run: of a watch, or what another process had.
                self._ended_before = sum(kind is not BeingIndexed for kind in self._outcomes.values())
                self._start, self._indexed = time.monotonic(), 0
            self.total = self._ended_before + event.total
            self._running[event.video] = 0
        elif isinstance(event, Progress) and event.stage == "indexing" and event.video in self._running:
            self._frames += max(0, event.done - self._running[event.video])
            self._running[event.video] = event.done
            self._sample()
        elif isinstance(event, Outcome):
            self._running.pop(event.video, None)
            self._outcomes[event.video] = type(event)
            self._indexed += isinstance(event, Indexed) and not event.skipped

    def text(self) -> str:
        """`12 of 100 videos done, 16 running, 1 failed, 5,312 frames/s, about 1:10:00 left`."""
        parts = [f"{self.ended:,} of {self.total:,} videos done", f"{len(self._running):,} running"]
        if failed := sum(kind is Failed for kind in self._outcomes.values()):
            parts.append(f"{failed:,} failed")
        (before, frames), (now, frames_now) = self._samples[0], self._samples[-1]
        if now > before:
            parts.append(f"{(frames_now - frames) / (now - before):,.0f} frames/s")
        if self._indexed:  # those that were indexed before the run, or failed, tell nothing of the time
            each = (time.monotonic() - self._start) / self._indexed
            parts.append(f"about {clock(round(each * (self.total - self.ended)))} left")
        return ", ".join(parts)

    def _sample(self) -> None:
        now = time.monotonic()
        if now - self._samples[-1][0] >= 1.0:
            self._samples.append((now, self._frames))
        while len(self._samples) > 2 and now - self._samples[1][0] > RATE_SECONDS:
            self._samples.popleft()


class _Lines:
    """Plain lines: one for each video of several, and one from time to time for a long one, or for all of them."""

    def __init__(self) -> None:
        self._titles: dict[Source, str] = {}
        self._last = time.monotonic()
        self._overview = _Overview()

    def show(self, event: Event) -> None:
        self._overview.add(event)
        if isinstance(event, Started):
            self._titles[event.video] = _title(event)
            if event.total > 1:
                self._print(f"indexing {_title(event)}", restart=not event.node)
        elif isinstance(event, Note):
            console.note(event.text)
        elif isinstance(event, Progress) and time.monotonic() - self._last >= LINE_EVERY:
            title = self._titles.get(event.video, printable(event.video.name))
            work = event.stage if event.stage in _COUNTED else "indexing"
            self._print(f"{work} {title}: {_amount(event)}")
            if self._overview.total > 1:
                self._print(self._overview.text())

    def _print(self, text: str, restart: bool = True) -> None:
        """Print a line; with `restart` the next line of progress waits its time from now on."""
        console.note(text)
        if restart:
            self._last = time.monotonic()


class _VideoBars:
    """A bar for each video in work, as far as they have room, and one for all of several videos."""

    def __init__(self, bars: Bars) -> None:
        self._bars, self._overview = bars, _Overview()
        self._tasks: dict[Source, TaskID] = {}
        self._stages: dict[Source, str] = {}
        self._all = bars.add_task("", total=None, stage="all", visible=False)

    def show(self, event: Event) -> None:
        self._overview.add(event)
        if isinstance(event, Started):
            self._stages[event.video] = "indexing"
            visible = len(self._tasks) < MOST_BARS
            self._tasks[event.video] = self._bars.add_task(
                _title(event), total=None, stage="indexing", visible=visible
            )
        elif isinstance(event, Note):
            console.note(event.text)
        elif event.video in self._tasks:
            if isinstance(event, Progress):
                self._advance(event)
            else:
                self._end(event)
        self._bars.update(
            self._all, completed=self._overview.ended, total=self._overview.total,
            description=self._overview.text(), visible=self._overview.total > 1,
        )  # fmt: skip

    def _advance(self, event: Progress) -> None:
        task = self._tasks[event.video]
        if event.stage != self._stages[event.video]:
            self._stages[event.video] = event.stage
            self._bars.reset(task, total=None, stage=event.stage)
        self._bars.update(task, completed=event.done, total=event.total or None)

    def _end(self, event: Outcome) -> None:
        self._bars.remove_task(self._tasks.pop(event.video))
        for task in list(self._tasks.values())[:MOST_BARS]:
            self._bars.update(task, visible=True)


@contextmanager
def _bars() -> Iterator[Callable[[Event], None]]:
    """Bars with frames a second and the time left."""
    from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars
    from rich.text import Text

    class Speed(TextColumn):
        def render(self, task: Any) -> Text:
            return Text(f"{task.speed or 0:.0f} frames/s" if task.fields["stage"] in _COUNTED else "")

    class Left(TimeRemainingColumn):
        def render(self, task: Any) -> Text:
            return Text("") if task.fields["stage"] == "all" else super().render(task)

    columns = (
        TextColumn("{task.description}", markup=False), BarColumn(), TaskProgressColumn(), Speed(""), Left(),
    )  # fmt: skip
    with Bars(*columns, console=console.rich_console(stderr=True), transient=True) as bars:
        yield _VideoBars(bars).show


def _title(event: Started) -> str:
    name = printable(event.video.name)
    name = f"{name} on {printable(event.node)}" if event.node else name
    return f"{event.number:,} of {event.total:,}: {name}" if event.total > 1 else name


def _amount(event: Progress) -> str:
    share = f" ({100 * event.done // event.total} %)" if event.total else ""
    if event.stage in _COUNTED:
        return f"frame {event.done:,}" + (f" of {event.total:,}{share}" if event.total else "")
    if event.stage == "copying":
        return f"copying the file{share}"
    return f"reading the file{share}" if event.stage == "reading" else "waiting for another process"
