"""What `index` shows and sends while videos are indexed, and until when it waits for more of them."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Literal, Protocol

from facereel import api
from facereel.query.terminal import console, documents, report
from facereel.query.terminal.hooks import Hooks
from facereel.query.terminal.progress import progress
from facereel.store.files.names import printable

# What comes while videos are indexed joins them, for so long; then what was left to another process is tried again.
BATCH_SECONDS = 3600.0
THREAD = "arrivals"


class Index(Protocol):
    """Indexes videos, and those that arrive meanwhile."""

    def __call__(
        self, videos: list[api.Source], *, arriving: Callable[[], list[Path]]
    ) -> api.IndexReport: ...


Form = Literal[
    "text", "object", "lines"
]  # what stdout gets: sentences, one object at the end, an object an event


@contextmanager
def events(
    hooks: Hooks, store: Path, *, form: Form, debug: bool, watch: bool
) -> Iterator[Callable[[api.Event], None]]:
    """Gives a function that shows an event, and sends one that ends a video."""

    def failed(event: api.Failed) -> None:
        if watch and isinstance(event.video, Path) and not event.video.exists():
            console.note(f"{printable(event.video.name)} is gone; nothing was indexed of it")
            return
        if debug:
            console.note(event.trace)
        console.fail(str(event.error))
        hooks.send(documents.index_event(event, store))

    def indexed(event: api.Indexed) -> None:
        if form == "text" and not (watch and event.skipped):
            report.indexed(event)
        if not event.skipped:
            hooks.send(documents.index_event(event, store))

    with progress() as show_progress:

        def show(event: api.Event) -> None:
            show_progress(event)
            if form == "lines":
                console.say_json(documents.index_line(event), one_line=True)
            if isinstance(event, api.Failed):
                failed(event)
            elif isinstance(event, api.Indexed):
                indexed(event)

        yield show


def watch(folders: Sequence[str], still: float, part: str | None, index: Index) -> None:
    """Index the videos of folders and those that come, until Ctrl-C or SIGTERM."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    left: list[api.Source] = []  # to another process, which may not finish
    console.note(f"watching {printable(', '.join(folders))}; press Ctrl-C to end")
    with closing(_Arrivals(folders, still, part)) as arrivals:
        try:
            while True:
                batch = arrivals.wait()
                if left or batch:
                    until = time.monotonic() + BATCH_SECONDS
                    report = index([*left, *batch], arriving=partial(arrivals.take, until))
                    left = [event.video for event in report.being_indexed]
        except KeyboardInterrupt:
            console.note("stopped; what was in work goes on where it was with the next run")


class _Arrivals:
    """Looks for videos that come, in a thread of its own, so that indexing one keeps none from being noticed."""

    def __init__(self, folders: Sequence[str], still: float, part: str | None) -> None:
        self._stop = threading.Event()
        self._batches: SimpleQueue[list[Path] | Exception] = SimpleQueue()
        batches = api.arrivals([*folders], still=still, part=part, stop=self._stop, on_note=console.note)

        def collect() -> None:
            try:
                for batch in batches:
                    self._batches.put(batch)
            except Exception as error:  # raised where it is waited for
                self._batches.put(error)

        self._thread = threading.Thread(target=collect, name=THREAD, daemon=True)
        self._thread.start()

    def wait(self) -> list[Path]:
        """The next batch, perhaps an empty one; raises the errors of arrivals."""
        while True:
            with suppress(Empty):
                return self._checked(self._batches.get(timeout=0.5))  # without an end Windows sees no Ctrl-C

    def take(self, until: float) -> list[Path]:
        """What has come since, up to that moment of the monotonic clock; raises the errors of arrivals."""
        found: list[Path] = []
        with suppress(Empty):
            while time.monotonic() < until:
                found += self._checked(self._batches.get_nowait())
        return found

    def close(self) -> None:
        """End the thread."""
        self._stop.set()
        self._thread.join()

    def _checked(self, batch: list[Path] | Exception) -> list[Path]:
        if isinstance(batch, Exception):
            raise batch
        return batch
