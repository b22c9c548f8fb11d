"""Library: the videos that are indexed."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import Route

from facereel.query.web.site import site_of


def page(request: Request) -> HTMLResponse:
    """All videos."""
    site = site_of(request)
    return site.render(request, "library.html", videos=site.library.videos().videos)


routes = [Route("/", page, methods=["GET"])]
