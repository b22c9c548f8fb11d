"""Writes clips as files of editing programs and annotation tools: a file for each format, or more where one file cannot
say it all."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

from facereel.query.export import mot
from facereel.query.export.annotation import AnnotatedVideo
from facereel.query.export.coco import coco
from facereel.query.export.csv_markers import csv_markers
from facereel.query.export.cvat import cvat
from facereel.query.export.edl import edl
from facereel.query.export.fcpxml import fcpxml
from facereel.query.export.subtitles import srt, vtt
from facereel.query.export.timeline import Timeline, media_of, timelines
from facereel.query.export.xmeml import xmeml
from facereel.query.records import ClipPlan, ExportOptions
from facereel.store.files.disk import atomic_file, make_folder
from facereel.store.files.names import printable, result_name
from facereel.store.model.errors import OptionError
from facereel.store.model.records import FrameTimes

_STATED = Fraction(1, 1000)  # seconds: a smaller distance is the rounding of a container's ticks


def _otio(timeline: Timeline) -> str:
    from facereel.query.export.otio import otio  # imports OpenTimelineIO, which no other format needs

    return otio(timeline)


@dataclass(frozen=True, slots=True)
class TimelineFormat:
    """How a timeline is written."""

    ending: str  # of the file's name
    write: Callable[[Timeline], str]
    per_video: bool = False  # a file holds one video only


TIMELINES: dict[str, TimelineFormat] = {
    "edl": TimelineFormat(".edl", edl),
    "otio": TimelineFormat(".otio", _otio),
    "fcpxml": TimelineFormat(".fcpxml", fcpxml),
    "xmeml": TimelineFormat(".xml", xmeml),
    "srt": TimelineFormat(".srt", srt, per_video=True),
    "vtt": TimelineFormat(".vtt", vtt, per_video=True),
    "csv-markers": TimelineFormat("_markers.csv", csv_markers, per_video=True),
}
# What is written of the boxes of a video, by the ending of the file's name, which may name folders. A film has more
# boxes than fit into memory as text: each gives it part by part.
ANNOTATIONS: dict[str, dict[str, Callable[[AnnotatedVideo], Iterator[str]]]] = {
    "cvat": {"_cvat.xml": cvat},
    "mot": {
        f"{mot.FOLDER}/seqinfo.ini": mot.seqinfo,
        f"{mot.FOLDER}/tracks.csv": mot.tracks,
        f"{mot.FOLDER}/gt/gt.txt": mot.ground_truth,
        f"{mot.FOLDER}/gt/labels.txt": mot.labels,
    },
    "coco": {"_coco.json": coco},
}
FORMATS = (*TIMELINES, *ANNOTATIONS)


@dataclass(frozen=True, slots=True)
class Exported:
    """Files for other programs, and what has to be known of them."""

    files: tuple[Path, ...]
    notes: tuple[str, ...] = ()  # one sentence each


def check_formats(formats: Sequence[str]) -> None:
    """Raise OptionError for a format that does not exist."""
    for name in formats:
        if name not in FORMATS:
            raise OptionError(f"{printable(name)} is no format of an export; use {', '.join(FORMATS)}")


def check_annotations(formats: Sequence[str]) -> None:
    """Raise OptionError for a format that does not exist or has no place for faces that are nobody's."""
    check_formats(formats)
    for name in formats:
        if name not in ANNOTATIONS:
            raise OptionError(
                f"{name} has people, not all faces; use {', '.join(ANNOTATIONS)}, or --everybody instead of --faces"
            )


def timelines_of(
    name: str,
    people: Sequence[tuple[str, Sequence[ClipPlan]]],
    times: Mapping[str, FrameTimes],
    folder: Path,
    options: ExportOptions,
) -> tuple[Timeline, ...]:
    """Clips of people as timelines that are written into `folder`; `times` go by the video's sha256.

    Reads the tags of the videos; raises VideoError.
    """
    from facereel.indexer.media.tags import source_tags  # imports the decoder, which a dry run does not need

    media = {}
    for match in (clip.match for _, clips in people for clip in clips):
        content = match.video.sha256
        if content not in media:
            tags = source_tags(Path(match.video.path))
            media[content] = media_of(match.video, times[content], tags, folder, options.absolute)
    return timelines(name, people, media, times)


def write_timelines(
    found: Sequence[Timeline], formats: Sequence[str], folder: Path, base: str
) -> tuple[str, ...]:
    """Write timelines into a folder; gives the names of the files, which begin with `base`. Raises OSError."""
    names: list[str] = []
    for each in dict.fromkeys(formats):
        if each in TIMELINES:
            form = TIMELINES[each]
            for label, timeline in _parts(found, form.per_video):
                names.append(f"{_free_stem(f'{base}{label}', form.ending, names)}{form.ending}")
                _write(folder / names[-1], [form.write(timeline)])
    return tuple(names)


def write_annotations(
    videos: Sequence[AnnotatedVideo], formats: Sequence[str], folder: Path, base: str
) -> tuple[str, ...]:
    """Write the boxes of videos into a folder; gives the names of the files, as `write_timelines`.

    A file in a folder of its own is named with that, `joey_mot/gt/gt.txt`.
    """
    names: list[str] = []
    for each in dict.fromkeys(formats):
        if each in ANNOTATIONS:
            for video in videos:
                label = f"_{Path(video.video.name).stem}" if len(videos) > 1 else ""
                stem = _free_stem(f"{base}{label}", next(iter(ANNOTATIONS[each])), names)
                for ending, text in ANNOTATIONS[each].items():
                    names.append(f"{stem}{ending}")
                    make_folder((folder / names[-1]).parent)
                    _write(folder / names[-1], text(replace(video, name=stem)))
    return tuple(names)


def exports_in(folder: Path, videos: Collection[str]) -> tuple[Path, ...]:
    """Files and folders at any depth of a folder that by their names are exports of videos, named without endings."""
    endings = {form.ending for form in TIMELINES.values()}
    endings |= {ending.partition("/")[0] for own in ANNOTATIONS.values() for ending in own}
    # As the names of files begin: what of a long name is cut off is not known.
    stems = tuple(result_name(f"{video}_x", "timeline").removesuffix("x") for video in videos)
    found = (path for path in folder.rglob("*") if stems and path.name.startswith(stems))
    return tuple(sorted(path for path in found if path.name.endswith(tuple(endings))))


def _write(target: Path, parts: Iterable[str]) -> None:
    with (
        atomic_file(target) as unfinished,
        unfinished.open("w", encoding="utf-8", newline="") as file,
    ):
        file.writelines(parts)


def _parts(found: Sequence[Timeline], per_video: bool) -> list[tuple[str, Timeline]]:
    """What becomes a file, with the part of the file's name that says which of several it is."""
    if per_video:
        parts = [(f"_{Path(media.name).stem}", each.of(media)) for each in found for media in each.media]
    else:
        parts = [(f"_{each.label}", each) for each in found]
    return parts if len(parts) > 1 else [("", part) for _, part in parts]


def _free_stem(stem: str, ending: str, taken: Sequence[str]) -> str:
    """A name without its ending that no other file has, also where upper and lower case are one."""
    stem, used = result_name(stem, "timeline"), {name.lower() for name in taken}
    stems = (stem, *(f"{stem}_{copy}" for copy in range(2, len(taken) + 3)))
    return next(name for name in stems if f"{name}{ending}".lower() not in used)


def notes(found: Sequence[Timeline]) -> tuple[str, ...]:
    """How far cuts are from the source's where its rate varies, one sentence a video."""
    farthest: dict[str, Fraction] = {}
    for event in (event for each in found for event in each.events):
        farthest[event.media.name] = max(farthest.get(event.media.name, Fraction(0)), event.distance)
    return tuple(
        f"the frame rate of {printable(name)} varies: cuts lie up to {float(distance):.3f} s from its own frames"
        for name, distance in farthest.items()
        if distance >= _STATED
    )
