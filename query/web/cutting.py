"""Clips and files for other programs as work of the server: how a page says what it wants, and what it hears of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from facereel import api
from facereel.query.web.fields import Fields
from facereel.query.web.jobs import Progress, Result, Work
from facereel.query.web.site import Site

_MOST_NUMBER = 100_000.0  # above what the API accepts of pixels and frames, which says so
# Formats of other programs that pages offer, by what these are for, as the API calls them and as people do.
EXPORTS = {
    "For editing programs": (
        ("edl", "EDL"), ("otio", "OpenTimelineIO"), ("fcpxml", "FCPXML"), ("xmeml", "Premiere XML (xmeml)"),
        ("srt", "SRT subtitles"), ("vtt", "WebVTT subtitles"), ("csv-markers", "CSV markers"),
    ),
    "For annotation tools": (("cvat", "CVAT XML"), ("mot", "MOT Challenge"), ("coco", "COCO JSON")),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class CutOptions:
    """How a page wants clips to be cut."""

    clips: dict[str, Any]  # keywords of `Answer.preview`
    export: tuple[str, ...]
    overwrite: bool


def read_cut_options(words: Fields) -> CutOptions:
    """The options of a body; raises OptionError for values that cannot be used."""
    export = words.texts("export")
    clips = api.check_clip_options(
        export=export, crop=words.text("crop") or None, aspect=words.text("aspect") or None,
        size=_whole(words, "size"), handles=_whole(words, "handles") or 0, whole_shots=words.flag("whole_shots"),
        codec=words.text("codec") or "h264", format=words.text("format") or None,
    )  # fmt: skip
    return CutOptions(clips, export, words.flag("overwrite"))


def check_result(folder: Path, person: api.PersonQuery, overwrite: bool) -> None:
    """Raise ResultExistsError where a result may not be replaced, or nobody has agreed to it yet.

    Cutting anew replaces all files of the result of the same question; on a page nobody sees what these are.
    """
    api.check_target(folder, person, overwrite)
    if folder.exists() and not overwrite:
        files = sorted(path.name for path in folder.iterdir())
        own = (".mp4", ".mov", "metadata.json", "clips.csv", "frames.csv")
        exports = [file for file in files if not file.endswith(own)]
        named = f", among them {', '.join(exports[:5])}" if exports else ""
        raise api.ResultExistsError(
            f"the result {folder.name} is there already, with {len(files)} files{named}"
        )


def cutting(site: Site, answer: api.Answer, folder: Path, options: CutOptions) -> Work:
    """Work that cuts the matches of an answer, and whose result names the files."""

    def work(progress: Progress) -> Result:
        total, done = len(answer.matches), 0

        def clip_is_done(clip: api.Clip) -> None:
            nonlocal done
            done += 1
            progress.report(done, total, "" if clip.file is None else clip.file.name)

        progress.report(0, total)
        result = answer.cut(
            folder, **options.clips, export=options.export, overwrite=options.overwrite, on_clip=clip_is_done
        )
        return _described(site, result, plays=options.clips["codec"] != "prores")

    return work


def exporting(site: Site, answer: api.Answer, options: CutOptions) -> Work:
    """Work that writes the matches of an answer into the folder of results, in formats of other programs."""

    def work(progress: Progress) -> Result:
        progress.report(0, 0)
        done = answer.export(
            options.export, site.out, handles=options.clips["handles"], overwrite=options.overwrite
        )
        return {
            "files": [file.relative_to(site.out).as_posix() for file in done.files],
            "notes": [site.scrub(note) for note in done.notes],
        }

    return work


def _described(site: Site, result: api.Result, plays: bool) -> Result:
    clips = [
        {
            "file": clip.file.name, "video": clip.match.video.name, "start": clip.start,
            "duration": clip.duration, "width": clip.width, "height": clip.height,
            "picture": f"/pictures/face/{clip.match.folder.name}/t{clip.match.tracklet}",
        }
        for clip in result.clips if clip.file is not None
    ]  # fmt: skip
    return {
        "folder": None if result.folder is None else result.folder.name,
        "clips": clips,
        "plays": plays,  # in browsers
        "files": list(result.document.get("exports", ())),
        "not_cut": [{"video": item.name, "reason": site.scrub(item.reason)} for item in result.not_cut],
        "notes": [site.scrub(note) for note in result.notes],
    }


def _whole(words: Fields, key: str) -> int | None:
    number = words.number(key, _MOST_NUMBER)
    return None if number is None else int(number)
