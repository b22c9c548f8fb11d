"""How results are shown: lines, tables, one JSON object. Knows no command and no option.

All that the program prints goes through here. On a terminal tables have colours and wrap; elsewhere they are plain
columns, and no value is cut. NO_COLOR (no-color.org) turns colours off.
"""

from __future__ import annotations

import json
import os
import re
import sys
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from facereel.store.files.names import DEFAULT_STORE, printable, store_option, with_escapes

if TYPE_CHECKING:
    from rich.console import Console

COMMANDS = (
    "index", "query", "export", "blur", "dataset", "list", "info", "faces", "remove", "forget", "verify", "engines",
    "reembed", "people", "serve", "library",
)  # fmt: skip
# A command in a message, and what follows it up to the next one. What `engines` does is the same for all stores.
_COMMAND = re.compile(
    rf"(?<![\w./-])facereel (?P<command>(?:people|library) [a-z]+|{'|'.join(COMMANDS)})\b"
    r"(?=(?P<rest>.*?)(?:\bfacereel |\(or |;|$))",
    re.MULTILINE,
)
_GAP = 2  # spaces between columns
_LEVELS = 5  # of JSON, whose items have a line each: a query has results, and these have clips


class _Program:
    """How the program was called; messages say it in the commands that they name."""

    name = "facereel"
    store = DEFAULT_STORE


def set_program(name: str) -> None:
    """Say under which name the program was called, for example `python cli.py`."""
    _Program.name = name


def set_store(store: Path) -> None:
    """Say on which store the command works: copied as printed, a command is to work on no other."""
    _Program.store = store


def as_called(text: str) -> str:
    """A text that names commands as `facereel index ...`, with the program and the store that were called."""
    return _called(text, store_option(_Program.store))


def _called(text: str, option: str) -> str:
    def command(found: re.Match[str]) -> str:
        own = "" if "--store" in found["rest"] or found["command"] == "engines" else option
        return f"{_Program.name} {found['command']}{own}"

    return _COMMAND.sub(command, text)


def say(text: str) -> None:
    """Print a line of the result on stdout at once; a reader who stops reading does not stop the work."""
    _print(as_called(with_escapes(text)))


def _print(text: str) -> None:
    try:
        print(text, flush=True)
    except BrokenPipeError:
        # What is left in the buffer would fail again when the program ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def note(text: str) -> None:
    """Print a line about the work on stderr."""
    print(as_called(with_escapes(text)), file=sys.stderr, flush=True)


def warn(text: str) -> None:
    """Print a warning on stderr, one line."""
    note(f"warning: {_one_line(text)}")


def fail(text: str) -> None:
    """Print an error on stderr, one line; red on a terminal."""
    line = f"error: {_one_line(text)}"
    note(f"\033[31m{line}\033[0m" if coloured(sys.stderr) else line)


def coloured(stream: IO[str]) -> bool:
    """Whether to use colours and bold letters on a stream."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def rich_console(stderr: bool = False) -> Console:
    """Rich's console on stdout or stderr, without any colour where none is wanted."""
    from rich.console import Console

    plain = not coloured(sys.stderr if stderr else sys.stdout)
    return Console(stderr=stderr, no_color=plain, highlight=False)


def say_json(value: Any, one_line: bool = False) -> None:
    """Print an object that a script reads; ASCII only, so that no locale can spoil it."""
    levels = 0 if one_line else _LEVELS
    text = _json(value, levels)
    if "\\ud" in text:  # what may stand for a byte of a name that is not UTF-8
        text = _json(with_escapes(value), levels)
    option = json.dumps(store_option(_Program.store))[1:-1]
    _print(_called(text, option))


def _json(value: Any, levels: int, margin: str = "") -> str:
    """JSON in which the items of so many levels have a line each, and what lies deeper is on the line of its item.

    What json.dumps indents takes five times as long, and a clip has a box for each frame.
    """
    if levels == 0 or not value or not isinstance(value, Mapping | list | tuple):
        return json.dumps(value)
    deeper = f"{margin} "
    if isinstance(value, Mapping):
        items = [f"{json.dumps(key)}: {_json(item, levels - 1, deeper)}" for key, item in value.items()]
        opening, closing = "{}"
    else:
        items = [_json(item, levels - 1, deeper) for item in value]
        opening, closing = "[]"
    lines = f",\n{deeper}".join(items)
    return f"{opening}\n{deeper}{lines}\n{margin}{closing}"


def table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print rows under their columns; numbers are right-aligned.

    Where a terminal is too narrow even with all texts wrapped between words, each row is printed as lines of its own.
    """
    cells = [[_text(value) for value in row] for row in rows]
    right = [all(isinstance(row[place], int | float) for row in rows) for place in range(len(columns))]
    if not sys.stdout.isatty():
        _plain_table(columns, cells, right)
    elif _narrowest(columns, cells) > rich_console().width:
        _records(columns, cells)
    else:
        _rich_table(columns, cells, right)


def _narrowest(columns: Sequence[str], cells: Sequence[Sequence[str]]) -> int:
    """Characters that a table needs at least if no word is broken."""
    words = [
        max((_width(word) for text in texts for word in text.split()), default=0)
        for texts in zip(columns, *cells, strict=True)
    ]
    return sum(words) + _GAP * (len(columns) - 1)


def _records(columns: Sequence[str], cells: Sequence[Sequence[str]]) -> None:
    for number, row in enumerate(cells):
        if number:
            say("")
        for name, text in zip(columns, row, strict=True):
            if text:
                say(f"{name}: {text}")


def _plain_table(columns: Sequence[str], cells: Sequence[Sequence[str]], right: Sequence[bool]) -> None:
    widths = [max(map(_width, texts)) for texts in zip(columns, *cells, strict=True)]
    for row in [columns, *cells]:
        padded = [
            " " * (width - _width(text)) + text if to_right else text + " " * (width - _width(text))
            for text, width, to_right in zip(row, widths, right, strict=True)
        ]
        say((" " * _GAP).join(padded).rstrip())


def _rich_table(columns: Sequence[str], cells: Sequence[Sequence[str]], right: Sequence[bool]) -> None:
    from rich.table import Table
    from rich.text import Text

    drawn = Table(
        box=None, header_style="bold" if coloured(sys.stdout) else "", pad_edge=False, padding=(0, 1)
    )
    for place, (name, to_right) in enumerate(zip(columns, right, strict=True)):
        longest = max(_width(word) for row in [columns, *cells] for word in (row[place].split() or [""]))
        drawn.add_column(name, justify="right" if to_right else "left", overflow="fold", min_width=longest)
    for row in cells:
        drawn.add_row(*(Text(text) for text in row))
    rich_console().print(drawn)


def _one_line(text: str) -> str:
    """A file's name or a library's words without what a terminal would obey."""
    return printable(" ".join(text.split()))


def _text(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.2f}"
    return f"{value:,}" if isinstance(value, int) else printable(str(value))


def _width(text: str) -> int:
    """Columns that a text takes on a terminal: letters of East Asian scripts take two, combining marks none."""
    wide = sum(unicodedata.east_asian_width(sign) in "WF" for sign in text)
    return len(text) + wide - sum(unicodedata.combining(sign) > 0 for sign in text)
