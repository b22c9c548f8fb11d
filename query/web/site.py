"""What all handlers share: the library, its folders, long work, templates; and how an answer is written."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
from starlette.requests import Request

from facereel import api
from facereel.query.web.answers import HTMLResponse, JSONResponse
from facereel.query.web.frame_cache import FrameCache
from facereel.query.web.jobs import Jobs
from facereel.query.web.question import Question
from facereel.query.web.remedies import page_remedy
from facereel.query.web.shelf import Shelf

MOST_NAMES = 500  # that a page carries in a list for its fields

_HERE = Path(__file__).parent
# The folders of an absolute path, on any system: not what has a slash in its midst, as an address.
_FOLDERS = re.compile(
    r"""(?<![\w.:/~])/(?:[^/\s"';,](?:[^/\n"';,]*[^/\s"';,])?/)+ | (?<!\w)(?:[A-Za-z]:|\\)\\(?:[^\\\n"';,]+\\)+""",
    re.VERBOSE,
)

# Whose values in JSON name places: sentences of the library, and paths.
_SCRUBBED = frozenset({"folder", "note", "path", "reason", "warnings", "why"})


@dataclass(frozen=True, slots=True)
class Upload:
    """What an address accepts besides JSON. A view names its own in `uploads`, by address."""

    types: tuple[str, ...]  # content types; `image/*` is any picture
    limit: int  # bytes
    stream: bool = False  # the handler is async and reads the body itself: too large to hold in memory


@dataclass(frozen=True, slots=True, eq=False)
class Site:
    """One library as it is served. Handlers take it from `request.app.state.site`."""

    library: api.Library
    root: Path  # below which files may be listed and indexed
    out: Path  # where results are written
    jobs: Jobs
    frames: FrameCache = field(default_factory=FrameCache)
    # Of Ask: what was handed in, and what was answered.
    photos: Shelf[api.Photo] = field(
        default_factory=lambda: Shelf(24, "that photo is no longer in memory; drop it again")
    )
    questions: Shelf[Question] = field(
        default_factory=lambda: Shelf(16, "that answer is no longer in memory; ask again")
    )

    def clear_memory(self) -> None:
        """Drop what is in memory of people and videos, when one of them is to be nowhere any more."""
        self.frames.clear()
        self.photos.clear()
        self.questions.clear()

    def render(self, request: Request, template: str, status: int = 200, **context: Any) -> HTMLResponse:
        """A page from a template, which also knows `site`, `path` (the page's address) and `pages` (all addresses)."""
        pages = {route.path for route in request.app.routes}
        own = {"site": self, "path": request.url.path, "pages": pages}
        return HTMLResponse(_templates().get_template(template).render(**own, **context), status)

    @property
    def names(self) -> tuple[str, ...]:
        """The names that fields for a name offer."""
        return self.library.people.names(MOST_NAMES)

    def person(self, word: str) -> str:
        """A person whom a page names by an id, a name or a face, as the API takes it; the API would take a photo too.

        Raises OptionError for any other word, NotIndexedError for a face of an index that is not there.
        """
        text = word.strip()
        if text.isdecimal() or self.library.people.has_name(text):
            return text
        folder, _, face = text.rpartition("#")
        if folder and face.removeprefix("t").isdecimal():
            return f"{self.index(folder)}#{face}"
        raise api.OptionError(f'nobody in the library is called "{text[:200]}"; write a name or an id')

    def index(self, word: str) -> str:
        """The name of an index that a page names; the API would take the path of a video too.

        Raises NotIndexedError for any other word.
        """
        if Path(word).name != word or word in ("", "..") or not os.path.isdir(self.library.store / word):
            raise api.NotIndexedError(f"the library has no index {word[:200]}; reload the page")
        return word

    def scrub(self, text: str) -> str:
        """A message in the words of the page, without the places on this machine: of a path its last name is left."""
        text = page_remedy(text)
        if "/" not in text and "\\" not in text:  # no path; an answer has thousands of such sentences
            return text
        # These may hold characters that end a path anywhere else.
        for place in (self.library.store, self.out, self.root):
            for spelling in {str(place.resolve()), str(place.absolute())} - {"/"}:
                text = text.replace(f"{spelling}{os.sep}", "").replace(spelling, place.name or "here")
        return _FOLDERS.sub("", text)

    def scrubbed(self, data: Any) -> Any:
        """Data of JSON, of which sentences and paths are scrubbed; names and other words stay as they are."""
        if isinstance(data, dict):
            return {
                key: self._scrubbed_value(value) if key in _SCRUBBED else self.scrubbed(value)
                for key, value in data.items()
            }
        return [self.scrubbed(one) for one in data] if isinstance(data, list | tuple) else data

    def _scrubbed_value(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.scrub(value)
        return (
            [self._scrubbed_value(one) for one in value]
            if isinstance(value, list | tuple)
            else self.scrubbed(value)
        )


def site_of(request: Request) -> Site:
    """The site that a request came to."""
    site: Site = request.app.state.site
    return site


def folder_of(request: Request) -> str:
    """The index that an address names, by its folder; raises NotIndexedError."""
    return site_of(request).index(request.path_params["folder"])


def error_answer(error: Exception, message: str, status: int) -> JSONResponse:
    """The one form of an error: its kind is the name of the exception; `person` is whom to look at instead, or null."""
    about = {"kind": type(error).__name__, "message": message, "person": getattr(error, "person", None)}
    return JSONResponse({"error": about}, status)


def length_of_time(seconds: float) -> str:
    """`48 s`, `34 min`, `1 h 05 min`: how long something is, as people say it."""
    minutes = round(seconds / 60)
    if seconds < 59.5:
        return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"


@cache
def _templates() -> jinja2.Environment:
    """Templates escape whatever they are given; a name that is missing in one is a fault of ours."""
    templates = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE / "templates"), autoescape=True, undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    templates.filters["length_of_time"] = length_of_time
    return templates
