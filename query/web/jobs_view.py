"""Long work as JSON, for the tray that every page has."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.routing import Route

from facereel.query.web.answers import JSONResponse
from facereel.query.web.jobs import Job
from facereel.query.web.site import Site, site_of


def _jobs(request: Request) -> JSONResponse:
    """All of it, oldest first."""
    site = site_of(request)
    return JSONResponse({"jobs": [_data(site, job) for job in site.jobs.all()]})


def _job(request: Request) -> JSONResponse:
    """One job."""
    site = site_of(request)
    return JSONResponse(_data(site, site.jobs.find(request.path_params["job"])))


def _cancel(request: Request) -> JSONResponse:
    """Let one end."""
    site = site_of(request)
    return JSONResponse(_data(site, site.jobs.cancel(request.path_params["job"])))


def _data(site: Site, job: Job) -> dict[str, Any]:
    data = job.data()
    if job.error is not None:
        data["error"] = {**job.error, "message": site.scrub(job.error["message"])}
    return data


routes = [
    Route("/api/jobs", _jobs, methods=["GET"]),
    Route("/api/jobs/{job}", _job, methods=["GET"]),
    Route("/api/jobs/{job}/cancel", _cancel, methods=["POST"]),
]
