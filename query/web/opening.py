"""Opens the browser at the page, and names the token to nobody else on the machine.

Every user may read the arguments of a program, and the address has the token in it. So the browser opens a file
that only this user may read, and that leads on to the address.
"""

from __future__ import annotations

import html
import os
import tempfile
import threading
import time
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_NAME = "facereel-open-"
_SECONDS = 300.0  # for the browser to start and read the file


@contextmanager
def opened(address: str) -> Iterator[None]:
    """Open the browser; the file goes after some minutes, at the latest with the block.

    Where no file can be written nothing is opened: the address is printed all the same.
    """
    file: Path | None = None
    with suppress(OSError):
        _remove_abandoned()
        file = _write(address)
    if file is None:
        yield
        return
    threading.Thread(target=webbrowser.open, args=(file.as_uri(),), daemon=True).start()
    timer = threading.Timer(_SECONDS, _remove, (file,))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        _remove(file)


def _write(address: str) -> Path:
    place = html.escape(address)
    number, name = tempfile.mkstemp(prefix=_NAME, suffix=".html")  # for its owner alone
    with os.fdopen(number, "w", encoding="utf-8") as file:
        file.write(
            '<!doctype html><meta charset="utf-8"><title>FaceReel</title>'
            f'<meta http-equiv="refresh" content="0; url={place}"><p><a href="{place}">To the page</a>'
        )
    return Path(name)


def _remove(file: Path) -> None:
    with suppress(OSError):
        file.unlink()


def _remove_abandoned() -> None:
    """Those of servers that were killed; their tokens open nothing any more."""
    for file in Path(tempfile.gettempdir()).glob(f"{_NAME}*.html"):
        with suppress(OSError):
            if time.time() - file.stat().st_mtime > _SECONDS:
                file.unlink()
