"""Clips as work of the server: one answer is cut into one folder of results."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from facereel import api
from facereel.query.web.jobs import Progress, Work
from facereel.query.web.site import Site


def cutting(
    site: Site, answer: api.Answer, folder: Path, crop: api.CropMode, size: int | None, overwrite: bool
) -> Work:
    """Work that cuts the matches of an answer, and whose result names the clips."""

    def work(progress: Progress) -> dict[str, Any]:
        total, done = len(answer.matches), 0

        def clip_is_done(clip: api.Clip) -> None:
            nonlocal done
            done += 1
            progress.report(done, total, "" if clip.file is None else clip.file.name)

        progress.report(0, total)
        result = answer.cut(folder, crop=crop, size=size, overwrite=overwrite, on_clip=clip_is_done)
        return _described(site, result)

    return work


def _described(site: Site, result: api.Result) -> dict[str, Any]:
    clips = [
        {
            "file": clip.file.name, "video": clip.match.video.name, "start": clip.start,
            "duration": clip.duration, "width": clip.width, "height": clip.height,
            "picture": f"/pictures/face/{clip.match.folder.name}/t{clip.match.tracklet}",
        }
        for clip in result.clips if clip.file is not None
    ]  # fmt: skip
    not_cut = [{"video": item.name, "reason": site.scrub(item.reason)} for item in result.not_cut]
    return {
        "folder": None if result.folder is None else result.folder.name,
        "clips": clips,
        "not_cut": not_cut,
    }
