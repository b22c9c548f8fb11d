"""How results are shown: lines, tables, one JSON object, a progress threshold. Knows no command and no option.

On a terminal tables have colours and fold; elsewhere they are plain columns, and no value is cut.
"""

from __future__ import annotations

import json
import os
import sys
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from facereel.store.files.folders import printable


def say(text: str) -> None:
    """A line of the result, on stdout, at once; who stops reading does not stop the work."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        # What is left in the buffer would fail again when the program ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def note(text: str) -> None:
    """A line beside the result, on stderr."""
    print(text, file=sys.stderr, flush=True)


def warn(text: str) -> None:
    """A warning, on stderr, one line."""
    note(f"warning: {_one_line(text)}")


def fail(text: str) -> None:
    """An error, on stderr, one line; red on a terminal."""
    line = f"error: {_one_line(text)}"
    note(f"\033[31m{line}\033[0m" if sys.stderr.isatty() and not os.environ.get("NO_COLOR") else line)


def _one_line(text: str) -> str:
    """What a file's name or a library's words may hold, without what a terminal would obey."""
    return "".join(sign if sign.isprintable() else printable(sign) for sign in " ".join(text.split()))


def say_json(value: Any) -> None:
    """The one object that a script reads; plain ASCII, so that no locale can spoil it."""
    print(json.dumps(value, indent=1), flush=True)


def table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print rows under their columns; numbers stand to the right."""
    cells = [[_text(value) for value in row] for row in rows]
    right = [all(isinstance(row[place], int | float) for row in rows) for place in range(len(columns))]
    if sys.stdout.isatty():
        _rich_table(columns, cells, right)
        return
    widths = [
        max(map(_width, [columns[place], *(row[place] for row in cells)])) for place in range(len(columns))
    ]
    for row in [list(columns), *cells]:
        padded = [
            " " * (width - _width(text)) + text if to_right else text + " " * (width - _width(text))
            for text, width, to_right in zip(row, widths, right, strict=True)
        ]
        say("  ".join(padded).rstrip())


@contextmanager
def progress_bars() -> Iterator[Callable[[str, int, int], None]]:
    """Thresholds on stderr, one a title, with frames a second and the time left; silent where stderr is no terminal.

    Gives a function of title, frames done and frames in all; a title is done when it is told so with -1.
    """
    if not sys.stderr.isatty():
        yield lambda title, done, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeRemainingColumn
    from rich.text import Text

    class Speed(TextColumn):
        def render(self, task: Any) -> Text:
            return Text(f"{task.speed or 0:.0f} frames/s")

    name, left = TextColumn("{task.description}", markup=False), TimeRemainingColumn()
    screen = Console(stderr=True)
    tasks: dict[str, TaskID] = {}
    with Progress(
        name, BarColumn(), TaskProgressColumn(), Speed(""), left, console=screen, transient=True
    ) as bars:

        def tell(title: str, done: int, total: int) -> None:
            if done < 0:
                if title in tasks:
                    bars.remove_task(tasks.pop(title))
                return
            if title not in tasks:
                tasks[title] = bars.add_task(printable(title), total=None)
            bars.update(tasks[title], completed=done, total=total or None)

        yield tell


def _text(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.2f}"
    return f"{value:,}" if isinstance(value, int) else printable(str(value))


def _width(text: str) -> int:
    """Columns that a text takes on a terminal: letters of East Asian scripts take two, marks none."""
    wide = sum(unicodedata.east_asian_width(sign) in "WF" for sign in text)
    return len(text) + wide - sum(unicodedata.combining(sign) > 0 for sign in text)


def _rich_table(columns: Sequence[str], cells: Sequence[Sequence[str]], right: Sequence[bool]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=None, header_style="bold", pad_edge=False)
    for name, to_right in zip(columns, right, strict=True):
        drawn.add_column(name, justify="right" if to_right else "left", overflow="fold")
    for row in cells:
        drawn.add_row(*(Text(text) for text in row))
    Console().print(drawn)
