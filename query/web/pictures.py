"""Faces, posters and frames as JPEGs: faces are the stored crops, frames are decoded once while they are wanted."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from facereel.api import OptionError
from facereel.query.web.answers import JSONResponse
from facereel.query.web.site import folder_of, site_of

_WIDTHS = (160, 320, 480, 640, 960, 1280)  # of frames: a few, so that one is not decoded anew for each screen


def _person(request: Request) -> Response:
    library = site_of(request).library
    moments = library.people.moments(str(request.path_params["person"]), 1)
    if not moments:
        raise OptionError(f"person {request.path_params['person']} has no crop in the library")
    (best,) = moments
    return jpeg(library.crop(f"{best.folder.name}#t{best.tracklet}"))


def _face(request: Request) -> Response:
    return jpeg(site_of(request).library.crop(face_word(request)))


def _poster(request: Request) -> Response:
    site, folder = site_of(request), folder_of(request)
    frame = site.library.poster_frame(folder)
    return jpeg(site.frames.get(site.library, folder, frame, _width(request)))


def _frame(request: Request) -> Response:
    site, folder, frame = site_of(request), folder_of(request), request.path_params["frame"]
    return jpeg(site.frames.get(site.library, folder, frame, _width(request)))


def _track(request: Request) -> Response:
    """Where a face is in each frame, which a player draws."""
    track = site_of(request).library.track(face_word(request))
    return JSONResponse(
        {
            "width": track.width, "height": track.height, "frame": track.start_frame,
            "times": [round(time, 4) for time in track.times.tolist()],
            "boxes": [[round(value, 1) for value in box] for box in track.boxes.tolist()],
        },
        headers={"Cache-Control": "no-store"},
    )  # fmt: skip


def face_word(request: Request) -> str:
    """The face of a path, `FOLDER/c3` or `FOLDER/t12`, as the API calls it; raises OptionError for another form."""
    folder, face = folder_of(request), request.path_params["face"]
    kind, number = face[:1], face[1:]
    if kind not in ("c", "t") or not number.isdecimal():
        raise OptionError(f"{face} is no face; write c3 for cluster 3, t12 for tracklet 12")
    return f"{folder}#{'t' if kind == 't' else ''}{number}"


def jpeg(picture: bytes) -> Response:
    """A picture, which the browser does not write to its disk: `forget` and `remove` do not reach it there."""
    return Response(picture, media_type="image/jpeg", headers={"Cache-Control": "no-store"})


def _width(request: Request) -> int:
    """The width that is asked for, or the next larger one that is made."""
    text = request.query_params.get("width", "320")
    width = int(text) if text.isdecimal() and len(text) < 6 else 320
    return next((one for one in _WIDTHS if one >= width), _WIDTHS[-1])


routes = [
    Route("/pictures/person/{person:int}", _person),
    Route("/pictures/face/{folder}/{face}", _face),
    Route("/api/track/{folder}/{face}", _track),
    Route("/pictures/poster/{folder}", _poster),
    Route("/pictures/frame/{folder}/{frame:int}", _frame),
]
