"""People: everybody in the library, named first."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import Route

from facereel.query.web.site import site_of


def page(request: Request) -> HTMLResponse:
    """Everybody."""
    site = site_of(request)
    return site.render(request, "people.html", people=site.library.people.all())


routes = [Route("/people", page, methods=["GET"])]
