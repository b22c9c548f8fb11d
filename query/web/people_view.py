"""People: everybody in the library, named first; naming, merging and hiding them."""

from __future__ import annotations

from starlette.requests import Request
from starlette.routing import Route

from facereel import api
from facereel.query.web.answers import HTMLResponse, JSONResponse
from facereel.query.web.changes import described, same_person
from facereel.query.web.fields import read_fields
from facereel.query.web.paging import Paging, page_number
from facereel.query.web.site import site_of

PEOPLE_A_PAGE = 60


def _page(request: Request) -> HTMLResponse:
    """People with a name, and how many have none."""
    site, search = site_of(request), request.query_params.get("q", "").strip()
    hidden = request.query_params.get("hidden") == "1"
    people = site.library.people
    # Hidden people are few: they are one list, with and without names.
    named = people.page(
        search=search, named=None if hidden else True, hidden=hidden,
        offset=(page_number(request) - 1) * PEOPLE_A_PAGE, most=PEOPLE_A_PAGE,
    )  # fmt: skip
    return site.render(
        request, "people.html", people=named.people, unnamed=0 if hidden else named.unnamed, search=search,
        hidden=hidden, any_hidden=hidden or named.hidden > 0,
        paging=Paging(request, named.offset, PEOPLE_A_PAGE, named.total),
    )  # fmt: skip


def _unnamed(request: Request) -> HTMLResponse:
    """A page of the people without a name, as a part of that page."""
    site, number = site_of(request), page_number(request)
    found = site.library.people.page(
        search=request.query_params.get("q", "").strip(), named=False,
        offset=(number - 1) * PEOPLE_A_PAGE, most=PEOPLE_A_PAGE,
    )  # fmt: skip
    more = number + 1 if found.offset + len(found.people) < found.total else None
    return site.render(request, "_people.html", people=found.people, hidden=False, more=more)


def _name(request: Request) -> JSONResponse:
    """Give somebody a name."""
    people = site_of(request).library.people
    person = same_person(people, request.path_params["person"])
    change = people.name(str(person.id), read_fields(request).text("name"))
    return JSONResponse(described(change, f"Person {change.person.id} is {change.person.name}"))


def _merge(request: Request) -> JSONResponse:
    """Say that people are one person; the first one's id and name stay."""
    ids = read_fields(request).integers("people")
    if len(ids) < 2:
        raise api.OptionError("fewer than two people were chosen; choose all who are one person")
    people = site_of(request).library.people
    first, *others = (str(same_person(people, one).id) for one in ids)
    change = people.merge(first, others)
    gone = f"; no longer called {' and '.join(change.given_up)}" if change.given_up else ""
    return JSONResponse(described(change, f"{len(ids)} people are one now: {change.person.title}{gone}"))


def _hide(request: Request) -> JSONResponse:
    """Leave people out of lists and questions, or take them back."""
    words, people = read_fields(request), site_of(request).library.people
    ids, back = words.integers("people"), words.flag("back")
    if not ids:
        raise api.OptionError("nobody was chosen; choose somebody first")
    found = [same_person(people, one) for one in ids]
    # Another tab may have hidden one of them; where nobody is left to hide, the call says why.
    chosen = [str(one.id) for one in found if one.hidden == back] or [str(found[0].id)]
    change = people.unhide(*chosen) if back else people.hide(*chosen)
    who = f"{change.person.title} is" if len(ids) == 1 else f"{len(ids)} people are"
    return JSONResponse(described(change, f"{who} {'listed again' if back else 'hidden'}"))


routes = [
    Route("/people", _page, methods=["GET"]),
    Route("/people/unnamed", _unnamed, methods=["GET"]),
    Route("/api/people/merge", _merge, methods=["POST"]),
    Route("/api/people/hide", _hide, methods=["POST"]),
    Route("/api/people/{person:int}/name", _name, methods=["POST"]),
]
