"""Library: the videos that are indexed, and indexing more of them."""

from __future__ import annotations

import errno
import os
from contextlib import closing
from pathlib import Path
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.routing import Route

from facereel import api
from facereel.query.web.answers import HTMLResponse, JSONResponse
from facereel.query.web.fields import read_fields
from facereel.query.web.jobs import Job, Progress, Result
from facereel.query.web.paging import Paging, page_number
from facereel.query.web.site import Site, Upload, site_of
from facereel.query.web.uploads import part_of_upload, put_in_place

VIDEOS_A_PAGE = 48
PEOPLE_FOUND = 12  # whom a search lists beside the videos
_LARGEST = 1 << 40  # bytes of a video that is dropped
_REMEDIES = {
    errno.ENOSPC: "make room and try again", errno.EDQUOT: "make room and try again",
    errno.ENAMETOOLONG: "give it a shorter name",
}  # fmt: skip


def _page(request: Request) -> HTMLResponse:
    """All videos, or those and the people whose names contain a text."""
    site, search = site_of(request), request.query_params.get("q", "").strip()
    offset = (page_number(request) - 1) * VIDEOS_A_PAGE
    found = site.library.page_of_videos(search, offset=offset, most=VIDEOS_A_PAGE)
    people = site.library.people.page(search=search, named=True, most=PEOPLE_FOUND) if search else None
    return site.render(
        request, "library.html", videos=found, people=people, search=search, root=site.root.resolve().name,
        paging=Paging(request, found.offset, VIDEOS_A_PAGE, found.total), problem=site.scrub,
    )  # fmt: skip


def _folder(request: Request) -> JSONResponse:
    """What lies in a folder below the root, and which of its videos are indexed."""
    site = site_of(request)
    found = api.browse(site.root, request.query_params.get("folder", ""))
    paths = [api.file_below(site.root, f"{found.path}/{name}".lstrip("/")) for name, _ in found.videos]
    missing = set(site.library.not_indexed(paths))
    videos = [
        {"name": name, "bytes": size, "indexed": path not in missing}
        for (name, size), path in zip(found.videos, paths, strict=True)
    ]
    return JSONResponse(
        {"path": found.path, "parent": found.parent, "folders": list(found.folders), "videos": videos}
    )


def _index(request: Request) -> JSONResponse:
    """Index files or folders below the root, as a job."""
    site, words = site_of(request), read_fields(request)
    if "folder" in words:  # a video of the library, wherever it lies, anew
        path = Path(site.library.info(site.index(words.text("folder"))).summary.path)
        return JSONResponse(_indexing(site, [path], force=True).data())
    names = words.paths("paths")
    if not names:
        raise api.OptionError("no file was chosen; choose a video or a folder")
    paths = [api.file_below(site.root, name) for name in names]
    if gone := next((name for name, path in zip(names, paths, strict=True) if not path.exists()), None):
        raise api.OptionError(f"{gone} is not there; check the name")
    return JSONResponse(_indexing(site, paths, force=False).data())


def _indexing(site: Site, paths: list[Path], force: bool) -> Job:
    title = f"Indexing {paths[0].name}" if len(paths) == 1 else f"Indexing {len(paths)} files and folders"
    return site.jobs.start("index", title, lambda progress: _index_videos(site, paths, force, progress))


def _index_videos(site: Site, paths: list[Path], force: bool, progress: Progress) -> Result:
    failed: list[dict[str, str]] = []
    indexed: list[dict[str, Any]] = []
    total = 0
    # What is in the library lies where it did; what is new lies below the root, and is no link that leads out of it.
    videos = paths if force else api.videos_below(site.root, paths)
    if not videos:
        raise api.OptionError(f"no video there lies below {site.root.resolve().name}; choose another folder")
    # Closing the events stops the work: what is complete stays, and the next run goes on with the rest.
    with closing(site.library.index_events(videos, force=force)) as events:
        for event in events:
            share, text = 0.0, event.video.name
            if isinstance(event, api.Started):
                total = event.total
            elif isinstance(event, api.Failed):
                failed.append({"video": event.video.name, "message": site.scrub(str(event.error))})
            elif isinstance(event, api.Indexed):
                indexed.append({
                    "video": event.video.name, "folder": event.folder.name, "people": event.people,
                    "skipped": bool(event.skipped),
                })  # fmt: skip
            elif isinstance(event, api.Progress):
                share = event.done / event.total if event.stage == "indexing" and event.total else 0.0
                text = f"{event.video.name}, {event.stage}"
            progress.report(len(indexed) + len(failed) + share, max(total, 1), text)
    return {"indexed": indexed, "failed": failed}


def _remove(request: Request) -> JSONResponse:
    """Delete the index of a video."""
    site = site_of(request)
    name = site.index(read_fields(request).text("folder"))
    site.library.remove(name)
    site.clear_memory()
    return JSONResponse({"message": f"The index of {name} is deleted. The video itself stays."})


async def _add(request: Request) -> JSONResponse:
    """Write a video that was dropped into a folder below the root; the page has asked before."""
    site, name = site_of(request), request.query_params.get("name", "")
    folder = api.file_below(site.root, request.query_params.get("folder", ""))
    _check_upload(site, folder, name)
    target = folder / name
    try:
        if target.exists():
            raise FileExistsError
        with part_of_upload(site.root, folder) as part:
            with part.open("wb") as file:
                async for block in request.stream():
                    await run_in_threadpool(file.write, block)
            put_in_place(part, target)
    except FileExistsError as error:
        raise api.ResultExistsError(f"{name} is there already; choose it in the list instead") from error
    except ClientDisconnect as error:
        raise api.OptionError(f"{name} did not arrive whole; drop it again") from error
    except OSError as error:
        remedy = _REMEDIES.get(error.errno or 0, "choose another folder")
        raise api.UnwritableError(f"{name} cannot be written: {error.strerror}; {remedy}") from error
    return JSONResponse({"path": target.relative_to(site.root.resolve()).as_posix()})


def _check_upload(site: Site, folder: Path, name: str) -> None:
    """Raise OptionError unless a video of that name may be written into that folder."""
    # On Windows a colon would name a stream of a file.
    plain = name == Path(name).name and name.isprintable() and not (os.name == "nt" and ":" in name)
    if not plain or name.startswith(".") or not api.is_video_name(name):
        raise api.OptionError(f"{name or 'a file without a name'} is not the name of a video; rename it")
    if not folder.is_dir():
        raise api.OptionError("that folder is not there any more; choose another")
    if _is_kept_from_uploads(site, folder):
        raise api.OptionError(
            "videos are not added to hidden folders, the library or the results; choose another"
        )


def _is_kept_from_uploads(site: Site, folder: Path) -> bool:
    """Whether a folder is hidden, or one whose files the program wrote itself and takes for its own."""
    hidden = any(part.startswith(".") for part in folder.relative_to(site.root.resolve()).parts)
    own = [place for place in (site.library.store, site.out) if place.exists()]
    # By the files themselves: a name may be written in another case where the system does not tell them apart.
    return hidden or any(place.samefile(above) for place in own for above in (folder, *folder.parents))


routes = [
    Route("/", _page, methods=["GET"]),
    Route("/api/library/folder", _folder, methods=["GET"]),
    Route("/api/library/index", _index, methods=["POST"]),
    Route("/api/library/remove", _remove, methods=["POST"]),
    Route("/api/library/add", _add, methods=["POST"]),
]
uploads = {"/api/library/add": Upload(("video/*", "application/octet-stream"), _LARGEST, stream=True)}
