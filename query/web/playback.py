"""Videos and results for the browser's player: whole files or the ranges that it asks for."""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath

from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from facereel.api import NotIndexedError
from facereel.query.web.site import folder_of, site_of

_TYPES = {
    ".mp4": "video/mp4", ".m4v": "video/mp4", ".mov": "video/mp4", ".webm": "video/webm", ".mkv": "video/x-matroska",
    ".csv": "text/csv", ".json": "application/json",
}  # fmt: skip
# How the files end that are written for other programs; those of MOT Challenge lie in a folder of their own.
_EXPORTS = (
    ".edl", ".otio", ".fcpxml", ".xml", ".srt", ".vtt", "_markers.csv", "_coco.json", "_mot/seqinfo.ini",
    "_mot/tracks.csv", "_mot/gt/gt.txt", "_mot/gt/labels.txt",
)  # fmt: skip
_TABLES = ("metadata.json", "clips.csv", "frames.csv")  # of a result, beside its clips


def _video(request: Request) -> Response:
    return _file(site_of(request).library.source(folder_of(request)), None)


def _result(request: Request) -> Response:
    """A file of a result: a clip that its metadata names, or a table."""
    name, file = request.path_params["name"], request.path_params["file"]
    folder = Path(site_of(request).out) / name
    plain = name not in ("", ".", "..") and Path(name).name == name
    if not plain or file not in _files(folder) or folder.is_symlink() or not _is_below(folder, file):
        raise NotIndexedError("there is no such file in the results; cut the clips again")
    return _file(folder / file, Path(file).name if "download" in request.query_params else None)


def _files(folder: Path) -> set[str]:
    """The files of a result; none of a folder that holds none."""
    try:
        document = json.loads((folder / "metadata.json").read_text(encoding="utf-8"))
        made = {*(str(clip["file"]) for clip in document["clips"]), *map(str, document.get("exports", ()))}
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return set()
    return {*made, *_TABLES} if str(document.get("schema", "")).startswith("facereel.clips/") else set()


def _export(request: Request) -> Response:
    """A file for other programs that lies beside the results."""
    out, name = site_of(request).out, request.path_params["file"]
    plain = name.endswith(_EXPORTS) and ("/" not in name or "_mot/" in name)
    if not plain or not _is_below(out, name) or not (out / name).is_file():
        raise NotIndexedError("there is no such file beside the results; export it again")
    return _file(out / name, Path(name).name)


def _is_below(folder: Path, name: str) -> bool:
    """Whether a name with slashes leads to something in a folder, hidden nowhere and over no link."""
    parts = PurePosixPath(name).parts
    steps = [folder.joinpath(*parts[: number + 1]) for number in range(len(parts))]
    plain = [not part.startswith((".", "/")) and Path(part).name == part for part in parts]
    return all(plain) and not any(step.is_symlink() for step in steps)


def _file(path: Path, download: str | None) -> FileResponse:
    kind = _TYPES.get(path.suffix.lower(), "application/octet-stream")
    return FileResponse(path, media_type=kind, filename=download, headers={"Cache-Control": "no-store"})


routes = [
    Route("/media/video/{folder}", _video),
    Route("/media/result/{name}/{file:path}", _result),
    Route("/media/export/{file:path}", _export),
]
