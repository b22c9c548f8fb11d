"""Answers in UTF-8, whatever is in them: other bytes of the names of files are shown as commands show them, `\\xe9`."""

from __future__ import annotations

from typing import Any

from starlette import responses

from facereel import api


class JSONResponse(responses.JSONResponse):
    """Data as JSON."""

    def render(self, content: Any) -> bytes:
        """The body."""
        try:
            return super().render(content)
        except UnicodeEncodeError:  # rare, and looking for it takes long in a large answer
            return super().render(api.with_escapes(content))


class HTMLResponse(responses.HTMLResponse):
    """A page."""

    def render(self, content: Any) -> bytes | memoryview:
        """The body."""
        try:
            return super().render(content)
        except UnicodeEncodeError:
            return super().render(api.with_escapes(content))
