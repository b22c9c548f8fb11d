"""The application: addresses of all views, errors as pages or as JSON, and the guard around them."""

from __future__ import annotations

from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from facereel import api
from facereel.query.web import (
    ask_view,
    decisions_view,
    jobs_view,
    library_view,
    people_view,
    person_view,
    pictures,
    playback,
    proxies,
    review_view,
    video_view,
)
from facereel.query.web.guard import Guard, Refused
from facereel.query.web.site import Site, Upload, error_answer, site_of

VIEWS = (
    library_view,
    people_view,
    person_view,
    review_view,
    ask_view,
    decisions_view,
    jobs_view,
    pictures,
    playback,
    proxies,
    video_view,
)

_STATIC = Path(__file__).parent / "static"
# The first that an error is one of; others are faults of ours.
_STATUS: tuple[tuple[type[api.FaceReelError], int], ...] = (
    (api.NotIndexedError, 404),
    (api.ResultExistsError, 409),
    (api.InputError, 400),
    (api.StoreError, 409),
    (api.EngineError, 409),
    (api.FaceReelError, 500),
)


def make_app(site: Site) -> Starlette:
    """The application without its guard."""
    routes: list[BaseRoute] = [route for view in VIEWS for route in view.routes]
    app = Starlette(
        routes=[*routes, Mount("/static", StaticFiles(directory=_STATIC))],
        exception_handlers={
            api.FaceReelError: _our_error,
            HTTPException: _no_such_page,
            Refused: _refused,
            Exception: _fault,
        },
    )
    # An address with a slash too many is none; answering with another one would only invite mistakes.
    app.router.redirect_slashes = False
    app.state.site = site
    return app


def guarded(site: Site, token: str, port: int, host: str) -> ASGIApp:
    """The application as it is served."""
    return Guard(make_app(site), token, port, host, uploads())


def uploads() -> dict[str, Upload]:
    """What is accepted besides JSON, by address."""
    return {address: upload for view in VIEWS for address, upload in getattr(view, "uploads", {}).items()}


def routes(site: Site) -> list[Route]:
    """Every address that has a handler."""
    return [route for route in make_app(site).routes if isinstance(route, Route)]


def _our_error(request: Request, error: Exception) -> Response:
    status = next((status for kind, status in _STATUS if isinstance(error, kind)), 500)
    return _error(request, error, site_of(request).scrub(str(error)), status)


def _no_such_page(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    messages = {404: "there is no such page", 405: "that address is not asked in this way"}
    return _error(request, error, messages.get(error.status_code, error.detail), error.status_code)


def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)
    return _error(request, error, str(error), error.status)


def _fault(request: Request, error: Exception) -> Response:
    message = f"a fault of FaceReel ({type(error).__name__}); what led to it is printed where the server runs"
    return _error(request, error, message, 500)


def _error(request: Request, error: Exception, message: str, status: int) -> Response:
    """JSON for what JavaScript asks, a page for people."""
    if request.url.path.startswith(("/api/", "/pictures/", "/media/", "/static/")):
        return error_answer(error, message, status)
    return site_of(request).render(request, "error.html", status, message=message)
