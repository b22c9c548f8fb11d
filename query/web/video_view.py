"""Video: the film with boxes on its faces, who is where over its length, and what can be said about a face."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from facereel import api
from facereel.query.web.answers import JSONResponse
from facereel.query.web.changes import described
from facereel.query.web.fields import Fields, read_fields
from facereel.query.web.guard import Refused
from facereel.query.web.site import folder_of, site_of

_WINDOW = 250  # frames of which the page asks for the boxes at once


def _page(request: Request) -> Response:
    site, folder = site_of(request), folder_of(request)
    details = site.library.info(folder)
    return site.render(
        request,
        "video.html",
        folder=folder,
        video=details.summary,
        details=details,
        names=site.names,
    )


def _timeline(request: Request) -> Response:
    found = site_of(request).library.timeline(folder_of(request), window=_WINDOW)
    return JSONResponse(
        {
            "folder": found.folder.name, "video": found.video, "version": found.version, "width": found.width,
            "height": found.height, "frame_rate": found.frame_rate, "frames": found.frames,
            "duration": round(found.duration, 6), "shots": [round(time, 4) for time in found.shots],
            "people": [{"id": one.id, "name": one.name} for one in found.people],
            # Rows without keys: a film has thousands.
            "stretches": [
                [one.tracklet, one.cluster, one.person, one.start_frame, one.end_frame, round(one.start, 4),
                 round(one.end, 4)]
                for one in found.stretches
            ],
            "window": found.window, "window_starts": [round(time, 6) for time in found.window_starts],
        }
    )  # fmt: skip


def _frames(request: Request) -> Response:
    start = request.path_params["start"]
    found = site_of(request).library.frames(folder_of(request), start, start + _WINDOW)
    return JSONResponse(
        {
            "version": found.version, "start": found.start, "end": found.end,
            "times": [round(time, 6) for time in found.times],
            "faces": [
                {"tracklet": face.tracklet, "start": face.start,
                 "boxes": [[round(value, 1) for value in box] for box in face.boxes.tolist()]}
                for face in found.faces
            ],
        }
    )  # fmt: skip


def _identify(request: Request) -> Response:
    words, people = read_fields(request), site_of(request).library.people
    face, versions, _ = _shown(request, words)
    who = words.text("who")
    if not who:
        raise api.OptionError("there is no name; write one, or choose somebody")
    change = people.identify(face, who, whole=words.flag("whole"), versions=versions)
    return JSONResponse(described(change, f"This is {change.person.title}"))


def _reject(request: Request) -> Response:
    people = site_of(request).library.people
    face, versions, person = _owned(request)
    change = people.reject(str(person.id), [face], versions=versions)
    return JSONResponse(described(change, f"Not {person.title}"))


def _split(request: Request) -> Response:
    people = site_of(request).library.people
    face, versions, person = _owned(request)
    change = people.split(str(person.id), [face], versions=versions)
    new = change.split_off or change.person
    return JSONResponse(described(change, f"Split off {person.title} as {new.title}") | {"split_off": new.id})


def _shown(request: Request, words: Fields) -> tuple[str, dict[str, str], api.LibraryPerson | None]:
    """The face of an address as the API names it, the version of its index that the page shows, and whose it is.

    Refused where it is not that of the `person` whom the page shows: in another tab it was given to somebody else.
    """
    folder = folder_of(request)
    face, versions = f"{folder}#t{request.path_params['tracklet']}", {folder: words.text("version")}
    now = site_of(request).library.people.face(face, versions=versions).person
    shown = words.integer("person") if "person" in words else None
    if shown != (None if now is None else now.id):
        raise Refused(409, f"this face is {'nobody' if now is None else now.title} by now; look at it again")
    return face, versions, now


def _owned(request: Request) -> tuple[str, dict[str, str], api.LibraryPerson]:
    """As `_shown`, for a face that is somebody's."""
    face, versions, person = _shown(request, read_fields(request))
    if person is None:
        raise api.OptionError("this face is nobody's; say who it is instead")
    return face, versions, person


routes = [
    Route("/videos/{folder}", _page),
    Route("/api/videos/{folder}/timeline", _timeline),
    Route("/api/videos/{folder}/frames/{start:int}", _frames),
    Route("/api/videos/{folder}/faces/{tracklet:int}/identify", _identify, methods=["POST"]),
    Route("/api/videos/{folder}/faces/{tracklet:int}/reject", _reject, methods=["POST"]),
    Route("/api/videos/{folder}/faces/{tracklet:int}/split", _split, methods=["POST"]),
]
