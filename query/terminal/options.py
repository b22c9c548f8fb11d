"""The options and arguments of the command line, one type each, with its help: no logic, nothing heavy to import."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer


def _remember(ctx: typer.Context, param: Any, value: bool) -> bool:
    """Note a flag where errors are told, which may stand before or behind the command."""
    ctx.meta[str(param.name)] = value or ctx.meta.get(str(param.name), False)
    return value


def _flag(name: str, text: str) -> Any:
    return typer.Option(name, help=text)


# Of every command.
Store = Annotated[Path, typer.Option("--store", envvar="FACEREEL_STORE", help="Folder of the indexes.")]
Json = Annotated[bool, typer.Option("--json", callback=_remember, help="Print one JSON object for scripts.")]
Debug = Annotated[bool, typer.Option("--debug", callback=_remember, help="Show the traceback of an error.")]

# Of the engine.
Engine = Annotated[
    str, typer.Option("--engine", help="Engine: opencv-zoo, an InsightFace pack by name or folder.")
]
Device = Annotated[str, typer.Option("--device", help="What it computes on: auto, cpu, cuda, coreml.")]
Threads = Annotated[int, typer.Option("--threads", min=0, help="Threads at most; 0: all cores there are.")]
CalibrationFile = Annotated[
    Path | None, typer.Option("--calibration", help="Bar by this file, see engines --calibrate.")
]

# Of videos that are indexed already.
Video = Annotated[str, typer.Argument(metavar="VIDEO", help="Name or path of an indexed video.")]
VideoOrAll = Annotated[str, typer.Argument(metavar="VIDEO", help="Name or path of an indexed video, or all.")]
MaybeVideo = Annotated[str | None, typer.Argument(metavar="[VIDEO]", help="This one only.")]

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
        help="Width of the smallest face that must be found, pixels; below 20 it looks closer, up to six times "
        "as long, and finds faces of which few can be recognised.",
    ),
]
Scan = Annotated[
    str, typer.Option(help="default searches where something changes; every searches every frame.")
]
ShotsBy = Annotated[
    str, typer.Option("--shots", help="How scene changes are found: adaptive, content, transnetv2.")
]
ShotsModel = Annotated[
    Path | None, typer.Option("--shots-model", help="TransNetV2 as ONNX, for --shots transnetv2.")
]
Force = Annotated[bool, _flag("--force", "Index again what is indexed already.")]
Jobs = Annotated[int, typer.Option(min=1, help="Videos at once; each may take 1 GiB of memory.")]
ReportFile = Annotated[
    Path | None, typer.Option("--report", help="Also write what came of each video to this JSON file.")
]

# query and forget
Refs = Annotated[
    list[Path],
    typer.Argument(
        metavar="REF...",
        help="Photos of one person, a folder of them, or a folder with such a folder for each person.",
    ),
]
SearchIn = Annotated[
    list[str] | None,
    typer.Option("--video", help="Search this video only; may be repeated; a new file is indexed first."),
]
ForgetIn = Annotated[list[str] | None, typer.Option("--video", help="In this video only; may be repeated.")]
Out = Annotated[Path, typer.Option("--out", help="Where the result's folder goes.")]
Name = Annotated[str | None, typer.Option("--name", help="The result folder's name.")]
Threshold = Annotated[float | None, typer.Option(help="Similarity that counts as the same person, 0 to 1.")]
MinDuration = Annotated[float, typer.Option(help="Drop clips shorter than this, seconds.")]
Crop = Annotated[str, typer.Option(help="follow (the face), tube (one fixed box), none.")]
Size = Annotated[int | None, typer.Option(help="Side of the clip's picture, pixels, even.")]
Face = Annotated[int | None, typer.Option(help="Which face of the photo; 1 is the largest.")]
DryRun = Annotated[bool, _flag("--dry-run", "List the clips, cut nothing.")]
ForgetDryRun = Annotated[bool, _flag("--dry-run", "Say what would go, delete nothing.")]
Explain = Annotated[bool, _flag("--explain", "Also list what just missed, and why.")]
Absolute = Annotated[bool, _flag("--absolute", "Let the metadata say where photos and videos lie.")]
Overwrite = Annotated[bool, _flag("--overwrite", "Replace an earlier result.")]

# verify
Content = Annotated[bool, _flag("--content", "Also read each video as a whole to see that it is the same.")]

# faces
SheetOut = Annotated[Path | None, typer.Option("--out", help="Picture to write, a PNG.")]
Most = Annotated[int, typer.Option(min=1, help="Show at most so many people.")]

# engines
Get = Annotated[str | None, typer.Option("--get", metavar="NAME", help="Download this pack.")]
Yes = Annotated[bool, _flag("--yes", "Agree to the licence that --get shows.")]
Speed = Annotated[bool, _flag("--speed", "Measure how fast each engine is here.")]
Calibrate = Annotated[
    Path | None,
    typer.Option("--calibrate", metavar="FOLDER", help="Measure bars on photos, a folder a person."),
]
CalibrationOut = Annotated[Path, typer.Option("--out", help="Where the calibration goes.")]
