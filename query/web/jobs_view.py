"""Long work as JSON, for the tray that every page has."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from facereel.query.web.site import site_of


def jobs(request: Request) -> JSONResponse:
    """All of it, oldest first."""
    return JSONResponse({"jobs": [job.data() for job in site_of(request).jobs.all()]})


def job(request: Request) -> JSONResponse:
    """One job."""
    return JSONResponse(site_of(request).jobs.find(request.path_params["job"]).data())


def cancel(request: Request) -> JSONResponse:
    """Let one end."""
    return JSONResponse(site_of(request).jobs.cancel(request.path_params["job"]).data())


routes = [
    Route("/api/jobs", jobs, methods=["GET"]),
    Route("/api/jobs/{job}", job, methods=["GET"]),
    Route("/api/jobs/{job}/cancel", cancel, methods=["POST"]),
]
