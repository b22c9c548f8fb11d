"""What `index` shows and sends while videos are indexed, and until when it waits for more of them."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Literal

from facereel import api
from facereel.query.terminal import console, documents, report
from facereel.query.terminal.hooks import Hooks
from facereel.query.terminal.progress import progress
from facereel.store.files.names import printable

Index = Callable[[list[api.Source]], api.IndexReport]
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
                console.say_json(documents.index_line(event), indent=None)
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
    try:
        with closing(api.arrivals([*folders], still=still, part=part, on_note=console.note)) as batches:
            for batch in batches:
                if left or batch:
                    left = [event.video for event in index([*left, *batch]).being_indexed]
    except KeyboardInterrupt:
        console.note("stopped; what was in work goes on where it was with the next run")
