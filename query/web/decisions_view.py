"""Undoing what was decided, from whichever page it was."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from facereel import api
from facereel.query.web.site import read_json, site_of


def undo(request: Request) -> JSONResponse:
    """Undo the decisions with the numbers given, all or none."""
    numbers = read_json(request).get("decisions")
    if not isinstance(numbers, list) or not numbers or any(type(number) is not int for number in numbers):
        raise api.OptionError("which decisions to undo is not said; reload the page")
    undone = site_of(request).library.people.undo(*numbers)
    count = len(undone)
    return JSONResponse({
        "decisions": [decision.number for decision in undone],
        "message": "undone" if count == 1 else f"{count} decisions undone",
    })  # fmt: skip


routes = [Route("/api/undo", undo, methods=["POST"])]
