"""Faces, posters and frames as JPEGs: faces are the stored crops, frames are decoded once while they are wanted.

Nothing is written to the disk. Decoded frames stay in memory, within a limit, under the version of the index that they
were decoded for: those of an index that was removed or rewritten, as `forget` does, are dropped as soon as any frame is
asked for.
"""

from __future__ import annotations

import threading
from collections import OrderedDict

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from facereel.api import Library, NotIndexedError, OptionError

_MOST_BYTES = 64 << 20  # of decoded frames; a frame 320 pixels wide has about 12 KB
_WIDTHS = (160, 320, 480, 640, 960, 1280)  # of frames: a few, so that one is not decoded anew for each screen


class FrameCache:
    """Decoded frames of a library, the newest ones."""

    def __init__(self, most_bytes: int = _MOST_BYTES) -> None:
        self._most_bytes, self._bytes = most_bytes, 0
        self._listed = 0  # when the listing of the store changed last
        self._frames: OrderedDict[tuple[str, str, int, int], bytes] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, library: Library, folder: str, frame: int, width: int) -> bytes:
        """A frame as JPEG; raises as `Library.frame`."""
        version = _version(library, folder)
        self._drop_stale(library)
        key = (folder, version, frame, width)
        with self._lock:
            if key in self._frames:
                self._frames.move_to_end(key)
                return self._frames[key]
        picture = library.frame(folder, frame, width=width)
        with self._lock:
            self._bytes += len(picture) - len(self._frames.pop(key, b""))
            self._frames[key] = picture
            while self._bytes > self._most_bytes:
                self._bytes -= len(self._frames.popitem(last=False)[1])
        return picture

    def _drop_stale(self, library: Library) -> None:
        """Drop what is of indexes that were removed or rewritten: then the listing of the store has changed."""
        changed = library.store.stat().st_mtime_ns if library.store.is_dir() else 0
        with self._lock:
            if changed == self._listed:
                return
            self._listed = changed
            known = {one[0] for one in self._frames}
        versions = {folder: _version(library, folder) for folder in known}
        with self._lock:
            for old in [one for one in self._frames if versions.get(one[0], one[1]) != one[1]]:
                self._bytes -= len(self._frames.pop(old))


def _version(library: Library, folder: str) -> str:
    """The version of an index; empty where it is gone."""
    try:
        return library.version(folder)
    except (NotIndexedError, OptionError):
        return ""


_frames = FrameCache()


def _person(request: Request) -> Response:
    library = request.app.state.site.library
    moments = library.people.moments(str(request.path_params["person"]), 1)
    if not moments:
        raise OptionError(f"person {request.path_params['person']} has no crop in the library")
    (best,) = moments
    return jpeg(library.crop(f"{best.folder.name}#t{best.tracklet}"))


def _face(request: Request) -> Response:
    return jpeg(request.app.state.site.library.crop(face_word(request)))


def _poster(request: Request) -> Response:
    library, folder = request.app.state.site.library, request.path_params["folder"]
    return jpeg(_frames.get(library, folder, library.poster_frame(folder), _width(request)))


def _frame(request: Request) -> Response:
    library, folder = request.app.state.site.library, request.path_params["folder"]
    return jpeg(_frames.get(library, folder, request.path_params["frame"], _width(request)))


def _track(request: Request) -> Response:
    """Where a face is in each frame, which a player draws."""
    track = request.app.state.site.library.track(face_word(request))
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
    folder, face = request.path_params["folder"], request.path_params["face"]
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
