"""The commands `library ...`, about whole stores. Reads options, calls the API, prints."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from facereel import api
from facereel.query.terminal import console, documents, report
from facereel.query.terminal import options as opt
from facereel.query.terminal.progress import LINE_EVERY
from facereel.query.text import count

Other = Annotated[
    Path, typer.Argument(metavar="OTHER", help="Folder of the other store, which stays as it is.")
]

app = typer.Typer(
    name="library", no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False
)  # fmt: skip


@app.callback()  # without it Typer makes the one command that there is the whole group
def library() -> None:
    """Join whole libraries."""


@app.command()
def merge(
    other: Other, store: opt.Store = api.DEFAULT_STORE, as_json: opt.Json = False, debug: opt.Debug = False
) -> None:
    """Add the indexes, people and decisions of another store; what contradicts itself is listed."""
    merged = api.Library(store, on_note=console.note).merge(other, on_index=_lines())
    console.say_json(documents.merged(other, merged)) if as_json else report.merged(other, merged)
    for _, error in merged.failed:
        console.fail(str(error))
    if merged.failed:
        raise typer.Exit(1)


def _lines() -> Callable[[int, int], None]:
    """Gives a function that says now and then how many indexes are done."""
    last = time.monotonic()

    def show(done: int, total: int) -> None:
        nonlocal last
        if time.monotonic() - last >= LINE_EVERY:
            last = time.monotonic()
            console.note(f"{done:,} of {count(total, 'index', 'indexes')} merged")

    return show
