"""Videos and results for the browser's player: whole files or the ranges that it asks for."""

from __future__ import annotations

import json
from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from facereel.api import NotIndexedError
from facereel.query.web.site import folder_of, site_of

_TYPES = {
    ".mp4": "video/mp4", ".m4v": "video/mp4", ".mov": "video/mp4", ".webm": "video/webm", ".mkv": "video/x-matroska",
    ".csv": "text/csv", ".json": "application/json",
}  # fmt: skip
_TIMELINES = (".edl", ".otio", ".fcpxml", ".xml", ".srt", ".vtt", "_markers.csv")
_TABLES = ("metadata.json", "clips.csv", "frames.csv")  # of a result, beside its clips


def _video(request: Request) -> Response:
    return _file(site_of(request).library.source(folder_of(request)), None)


def _result(request: Request) -> Response:
    """A file of a result: a clip that its metadata names, or a table."""
    name, file = request.path_params["name"], request.path_params["file"]
    folder = Path(site_of(request).out) / name
    plain = Path(file).name == file and name not in ("", ".", "..") and Path(name).name == name
    if not plain or file not in _files(folder) or folder.is_symlink() or (folder / file).is_symlink():
        raise NotIndexedError("there is no such file in the results; cut the clips again")
    return _file(folder / file, file if "download" in request.query_params else None)


def _files(folder: Path) -> set[str]:
    """The files of a result; none of a folder that holds none."""
    try:
        document = json.loads((folder / "metadata.json").read_text(encoding="utf-8"))
        made = {*(str(clip["file"]) for clip in document["clips"]), *map(str, document.get("exports", ()))}
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return set()
    return {*made, *_TABLES} if str(document.get("schema", "")).startswith("facereel.clips/") else set()


def _timeline(request: Request) -> Response:
    """A file for editing programs that lies beside the results."""
    out, name = site_of(request).out, request.path_params["file"]
    file = out / name
    plain = Path(name).name == name and not name.startswith(".") and name.endswith(_TIMELINES)
    if not plain or file.is_symlink() or not file.is_file():
        raise NotIndexedError("there is no such file beside the results; export it again")
    return _file(file, name)


def _file(path: Path, download: str | None) -> FileResponse:
    kind = _TYPES.get(path.suffix.lower(), "application/octet-stream")
    return FileResponse(path, media_type=kind, filename=download, headers={"Cache-Control": "no-store"})


routes = [
    Route("/media/video/{folder}", _video),
    Route("/media/result/{name}/{file}", _result),
    Route("/media/timeline/{file}", _timeline),
]
