"""How far indexing is: bars on a terminal, a plain line now and then elsewhere; both on stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from facereel.api import Event, Note, Outcome, Progress, Started
from facereel.query.terminal import console
from facereel.store.files.names import printable

LINE_EVERY = 30.0  # seconds from one plain line to the next
_COUNTED = ("indexing", "searching", "writing")  # stages that count frames


@contextmanager
def progress() -> Iterator[Callable[[Event], None]]:
    """Gives a function that shows an event; results, errors and warnings of a video are not its business."""
    if sys.stderr.isatty():
        with _bars() as show:
            yield show
    else:
        yield _Lines().show


class _Lines:
    """Plain lines: one for each video of several, and one from time to time for a long one."""

    def __init__(self) -> None:
        self._titles: dict[Path, str] = {}
        self._last = time.monotonic()

    def show(self, event: Event) -> None:
        if isinstance(event, Started):
            self._titles[event.video] = _title(event)
            if event.total > 1:
                self._print(f"indexing {_title(event)}")
        elif isinstance(event, Note):
            console.note(event.text)
        elif isinstance(event, Progress) and time.monotonic() - self._last >= LINE_EVERY:
            title = self._titles.get(event.video, printable(event.video.name))
            work = event.stage if event.stage in _COUNTED else "indexing"
            self._print(f"{work} {title}: {_amount(event)}")

    def _print(self, text: str) -> None:
        console.note(text)
        self._last = time.monotonic()


@contextmanager
def _bars() -> Iterator[Callable[[Event], None]]:
    """A bar for each video in work, with frames a second and the time left."""
    from rich.progress import BarColumn, TaskID, TaskProgressColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars
    from rich.text import Text

    class Speed(TextColumn):
        def render(self, task: Any) -> Text:
            return Text(f"{task.speed or 0:.0f} frames/s" if task.fields["stage"] in _COUNTED else "")

    columns = (
        TextColumn("{task.description}", markup=False), BarColumn(), TaskProgressColumn(), Speed(""),
        TimeRemainingColumn(),
    )  # fmt: skip
    tasks: dict[Path, TaskID] = {}
    stages: dict[Path, str] = {}
    with Bars(*columns, console=console.rich_console(stderr=True), transient=True) as bars:

        def show(event: Event) -> None:
            if isinstance(event, Started):
                stages[event.video] = "indexing"
                tasks[event.video] = bars.add_task(_title(event), total=None, stage="indexing")
            elif isinstance(event, Progress) and event.video in tasks:
                task = tasks[event.video]
                if event.stage != stages[event.video]:
                    stages[event.video] = event.stage
                    bars.reset(task, total=None, stage=event.stage)
                bars.update(task, completed=event.done, total=event.total or None)
            elif isinstance(event, Note):
                console.note(event.text)
            elif isinstance(event, Outcome) and event.video in tasks:
                bars.remove_task(tasks.pop(event.video))

        yield show


def _title(event: Started) -> str:
    name = printable(event.video.name)
    return f"{event.number:,} of {event.total:,}: {name}" if event.total > 1 else name


def _amount(event: Progress) -> str:
    share = f" ({100 * event.done // event.total} %)" if event.total else ""
    if event.stage in _COUNTED:
        return f"frame {event.done:,}" + (f" of {event.total:,}{share}" if event.total else "")
    return f"reading the file{share}" if event.stage == "reading" else "waiting for another process"
