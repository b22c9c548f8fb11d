"""The log of what was decided, and undoing it, from whichever page it was."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.requests import Request
from starlette.routing import Route

from facereel import api
from facereel.query.web.answers import HTMLResponse, JSONResponse
from facereel.query.web.fields import read_fields
from facereel.query.web.site import site_of

DECISIONS_SHOWN = 200


def _undo(request: Request) -> JSONResponse:
    """Undo the decisions with the numbers given, all or none."""
    numbers = read_fields(request).integers("decisions")
    if not numbers:
        raise api.OptionError("which decisions to undo is not said; reload the page")
    undone = site_of(request).library.people.undo(*numbers)
    count = len(undone)
    return JSONResponse({
        "decisions": [decision.number for decision in undone],
        "message": "undone" if count == 1 else f"{count} decisions undone",
    })  # fmt: skip


def _log(request: Request) -> HTMLResponse:
    """The decisions, the newest first."""
    site = site_of(request)
    people = site.library.people
    decisions = people.log(last=DECISIONS_SHOWN)[::-1]
    names = {person.id: person.title for person in people.all(hidden=True)}
    entries = [(decision, _sentence(decision, names)) for decision in decisions]
    return site.render(request, "log.html", entries=entries, most=DECISIONS_SHOWN)


def _sentence(decision: api.Decision, names: Mapping[int, str]) -> str:
    """What a decision says, in words."""
    who, other = (
        "nobody" if one is None else names.get(one, f"person {one}")
        for one in (decision.person, decision.other)
    )
    count = decision.face_tracks
    faces = "1 face track is" if count == 1 else f"{count} face tracks are"
    return {
        "name": f"person {decision.person} is called {decision.name}",
        "merge": f"person {decision.other} is {who}",
        "split": f"{faces} split off {who} as {other}",
        "accept": f"{faces} {who}",
        "reject": f"{faces} not {who}",
        "hide": f"{who} is hidden",
        "show": f"{who} is listed again",
        "undo": f"decision {decision.undoes} is undone",
        "forget": f"person {decision.person} is forgotten",
    }[decision.kind]


routes = [
    Route("/log", _log, methods=["GET"]),
    Route("/api/undo", _undo, methods=["POST"]),
]
