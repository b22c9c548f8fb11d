"""Videos that are no files of this machine: `s3://bucket/film.mp4`, and whatever else has such an address."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from urllib.parse import unquote, urlsplit

# At least two letters: one is a drive of Windows.
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://\S")


class Url(str):
    """The address of a video, with the name of its file as a Path has it."""

    __slots__ = ()

    @property
    def name(self) -> str:
        """The last part of the path, without the query that follows it."""
        return PurePosixPath(unquote(urlsplit(self).path)).name or self


def is_url(text: str) -> bool:
    """Whether a text is an address, and not the path of a file."""
    return _URL.match(text) is not None
