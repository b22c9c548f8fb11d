"""What the player of a video gets: the source where browsers play it, else a copy that is made when it is wanted."""

from __future__ import annotations

from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import FileResponse
from starlette.routing import Route

from facereel import api
from facereel.query.web.answers import JSONResponse
from facereel.query.web.fields import read_fields
from facereel.query.web.jobs import Progress, Result
from facereel.query.web.site import folder_of, site_of


def _playback(request: Request) -> JSONResponse:
    """Where the video is played from; null where a copy has to be made first."""
    library, folder = site_of(request).library, folder_of(request)
    address = None
    if library.proxy(folder) is not None:
        address = _address("proxy", folder)
    elif library.plays_in_browsers(folder):
        address = _address("video", folder)
    return JSONResponse({"address": address})


def _prepare(request: Request) -> JSONResponse:
    """Make a copy, also of a video that the server takes for playable: the browser has said that it is not."""
    site, folder = site_of(request), folder_of(request)
    read_fields(request)
    name = site.library.info(folder).summary.video

    def work(progress: Progress) -> Result:
        site.library.make_proxy(folder, on_frame=progress.report)
        return {"address": _address("proxy", folder)}

    job = site.jobs.start("proxy", f"Preparing {name} for playing", work, key=f"proxy {folder}")
    return JSONResponse({"job": job.id})


def _proxy(request: Request) -> FileResponse:
    """The copy, or the ranges of it that the player asks for."""
    file = site_of(request).library.proxy(folder_of(request))
    if file is None:
        raise api.NotIndexedError("this video is not prepared for playing any more; reload the page")
    return FileResponse(file, media_type="video/mp4", headers={"Cache-Control": "no-store"})


def _address(kind: str, folder: str) -> str:
    return f"/media/{kind}/{quote(folder, safe='')}"


routes = [
    Route("/api/playback/{folder}", _playback, methods=["GET"]),
    Route("/api/playback/{folder}/proxy", _prepare, methods=["POST"]),
    Route("/media/proxy/{folder}", _proxy, methods=["GET"]),
]
