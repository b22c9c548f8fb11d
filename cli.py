"""The command line: reads options, calls the API, prints. Whatever the commands do is done elsewhere.

Modules that take long to import are imported inside the API's calls, so that help and usage errors come at once.
"""

from __future__ import annotations

import gc
import re
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import closing
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

if __name__ == "__main__":  # python cli.py: the package of that name has to be this folder
    _package = find_spec("facereel")
    if _package is None or Path(str(_package.origin)).resolve().parent != Path(__file__).resolve().parent:
        _elsewhere = f" (it has the one in {Path(str(_package.origin)).parent})" if _package else ""
        sys.exit(
            f"error: this Python does not know the FaceReel in {Path(__file__).resolve().parent}{_elsewhere}; "
            "run in that folder: pip install -r requirements.txt"
        )

import typer
from typer._click.exceptions import (
    NoSuchOption,
    UsageError,
)  # Typer's copy of Click, which it does not export
from typer.core import TyperGroup

from facereel import api
from facereel.query.terminal import console, documents, indexing, library, people, report
from facereel.query.terminal import options as opt
from facereel.query.terminal.hooks import Hooks
from facereel.query.terminal.progress import progress

STORE = api.DEFAULT_STORE
ENGINE = api.DEFAULT_ENGINE
OUTPUTS = Path("outputs")
HERE = Path()

# What Ctrl-C leaves behind, by command.
STOPPED = {
    "index": "stopped; run it again to resume",
    "blur": "stopped; nothing was written",
    "query": "stopped; results that are complete stay, the one in work was discarded",
    "dataset": "stopped; run it again to go on",
    "forget": "stopped; run it again to finish",
    "reembed": "stopped; run it again to finish",
    "serve": "the page is closed",
    "library": "stopped; run it again to finish",
}


class Commands(TyperGroup):
    """The one place where an error becomes a line and an exit code: 1 ours, 2 a usage error, 130 Ctrl-C."""

    def make_context(self, info_name: str | None, args: list[str], *more: Any, **options: Any) -> Any:
        """Read the options before the command; a usage error is an object too if --json is given."""
        try:
            return super().make_context(info_name, list(args), *more, **options)
        except UsageError as error:
            _usage_error(error, args)
            raise

    def invoke(self, ctx: Any) -> Any:
        """Run a command."""
        args = [*ctx._protected_args, *ctx.args]  # the command and what follows it, not read yet
        if args[:1] != ["query"]:  # which imports as it goes, and collects garbage once it has its answers
            _collect_garbage()
        try:
            return super().invoke(ctx)
        except UsageError as error:
            if isinstance(error, NoSuchOption) and (message := _instead(args)):
                error = UsageError(message)
                console.fail(message)
                _usage_error(error, args)
                raise typer.Exit(error.exit_code) from error
            _usage_error(error, args)
            raise
        except api.FaceReelError as error:
            if ctx.meta.get("debug"):
                traceback.print_exc()
            lines = ctx.meta.get("json_lines")
            if lines or ctx.meta.get("as_json"):
                content = documents.error(type(error).__name__, str(error))
                console.say_json(content, one_line=lines)
            console.fail(str(error))
            raise typer.Exit(2 if isinstance(error, api.ContradictionError) else 1) from error
        except KeyboardInterrupt as error:
            console.note(STOPPED.get(str(ctx.invoked_subcommand), "stopped"))
            raise typer.Exit(130) from error
        finally:
            console.set_store(STORE)


def _instead(args: Sequence[str]) -> str | None:
    """A plainer message for an option that is none: a number such as -1, or one that only other commands need."""
    if args[0] == "forget" and "--person" in args:
        return "forget takes people without --person; run: facereel forget PERSON"
    number = next((one for one in args if re.fullmatch(r"-\d+", one)), None)
    if number is None or args[0] not in ("people", "forget"):
        return None
    if args[:2] == ["people", "name"] and args.index(number) > 2:
        return f"the name {number} looks like an option; begin it with a letter"
    what = "decision" if args[:2] == ["people", "undo"] else "person"
    return f"there is no {what} {number}; the first is 1"


def _collect_garbage() -> None:
    """Collect garbage from now on, but not among what is there already."""
    if not gc.isenabled():
        gc.freeze()
        gc.enable()


def _usage_error(error: UsageError, args: Sequence[str]) -> None:
    if "--json" in args:
        console.say_json(documents.error("UsageError", error.format_message()))


app = typer.Typer(
    cls=Commands,
    help="Index a video once; then any photo finds that person in it, as exact clips.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,  # plain help costs a third of the time
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


app.add_typer(people.app)
app.add_typer(library.app)


@app.callback()
def main(debug: opt.Debug = False, version: opt.Version = False) -> None:
    """Index a video once; then any photo finds that person in it, as exact clips."""


@app.command()
def index(
    videos: opt.Videos,
    store: opt.Store = STORE,
    engine: opt.Engine = ENGINE,
    min_face: opt.MinFace = 20,
    scan: opt.Scan = "default",
    clothes: opt.Clothes = True,
    shots: opt.ShotsBy = "adaptive",
    shots_model: opt.ShotsModel = None,
    device: opt.Device = "auto",
    threads: opt.Threads = 0,
    calibration: opt.CalibrationFile = None,
    force: opt.Force = False,
    jobs: opt.Jobs = 0,
    split_longer_than: opt.SplitLongerThan = "20m",
    part: opt.PartOf = None,
    watch: opt.Watch = False,
    still: opt.Still = 10.0,
    on_done: opt.OnDone = None,
    on_done_url: opt.OnDoneUrl = None,
    cluster: opt.Cluster = None,
    report_file: opt.ReportFile = None,
    json_lines: opt.JsonLines = False,
    as_json: opt.Json = False,
    debug: opt.Debug = False,
) -> None:
    """Find all faces in videos and store them, once a video."""
    if watch and (as_json or report_file is not None):
        raise typer.BadParameter(
            "--watch has no end at which --json or --report could be written; use --json-lines"
        )
    library = _library(store, engine, device, threads, calibration)
    if report_file is not None:
        documents.check_report(report_file)
    form: indexing.Form = "lines" if json_lines else "object" if as_json else "text"
    with (
        Hooks(on_done, on_done_url, console.warn) as hooks,
        indexing.events(hooks, store, form=form, debug=debug, watch=watch) as show,
    ):
        start = partial(
            library.index, force=force, jobs=jobs, wait=False, split_longer_than=opt.seconds(split_longer_than),
            min_face=min_face, scan=scan, clothes=clothes, shots=shots, shots_model=shots_model, cluster=cluster,
            on_event=show,
        )  # fmt: skip
        if watch:
            indexing.watch(videos, still, part, start)
            return
        outcome = start([*videos], part=part)
    failed = outcome.failed
    if report_file is not None:
        documents.write_report(report_file, documents.index(outcome))
    if as_json or json_lines:
        console.say_json(documents.index(outcome), one_line=json_lines)
    else:
        report.index_ended(outcome, part)
    if failed and len(outcome.videos) > 1:
        names = ", ".join(str(event.video) for event in failed)
        console.fail(f"{len(failed)} of {len(outcome.videos)} videos failed: {names}")
    if failed:
        raise typer.Exit(1)


@app.command()
def query(
    refs: opt.Refs = None,
    person: opt.PersonOption = None,
    everybody: opt.Everybody = False,
    present: opt.With = None,
    absent: opt.Without = None,
    unlike: opt.Not = None,
    store: opt.Store = STORE,
    video: opt.SearchIn = None,
    out: opt.Out = OUTPUTS,
    name: opt.Name = None,
    threshold: opt.Threshold = None,
    include: opt.Include = None,
    only: opt.Only = None,
    speaking: opt.Speaking = None,
    min_duration: opt.MinDuration = 0.0,
    crop: opt.Crop = None,
    size: opt.Size = None,
    aspect: opt.Aspect = None,
    handles: opt.Handles = 0,
    whole_shots: opt.WholeShots = False,
    file_format: opt.FileFormat = None,
    codec: opt.Codec = "h264",
    face: opt.Face = None,
    dry_run: opt.DryRun = False,
    explain: opt.Explain = False,
    export: opt.Export = None,
    overwrite: opt.Overwrite = False,
    absolute: opt.Absolute = False,
    engine: opt.Engine = ENGINE,
    device: opt.Device = "auto",
    threads: opt.Threads = 0,
    calibration: opt.CalibrationFile = None,
    as_json: opt.Json = False,
    debug: opt.Debug = False,
) -> None:
    """Find people by photos, by name, or all, and cut a clip of each stretch in which they are visible."""
    _check_question(refs or [], person or [], everybody)
    _check_export(export or [], dry_run)
    library = _library(store, engine, device, threads, calibration)
    library.load()
    look = api.check_clip_options(
        min_duration=min_duration, threshold=threshold, export=export or (),
        crop=crop, size=size, aspect=aspect, handles=handles, whole_shots=whole_shots, format=file_format, codec=codec,
    )  # fmt: skip
    speaker = None if speaking is None else api.load_speaking(speaking)
    if everybody:
        _index_first(library, video)
        people = library.everybody(video)
    else:
        people = library.read_photos(refs, face=face) if refs else library.read_persons(person or [])
    people = library.narrowed(people, present=present or (), absent=absent or (), unlike=unlike or ())
    report.warnings(people.warnings)
    folders = api.result_folders(people, out, name)
    if not (dry_run or everybody):  # one of everybody whose result cannot be written does not stop the others
        for one, folder in zip(people.persons, folders, strict=True):
            api.check_target(folder, one, overwrite)
    _index_first(library, video)
    found = library.find_many(
        people,
        videos=video,
        min_duration=min_duration,
        threshold=threshold,
        include_possible=include is not None,
        only=only or (),
    )
    _collect_garbage()
    report.skipped(found.answers[0].skipped)
    results, failures = [], [*found.failed]
    for answer, folder in zip(_speaking(found.answers, speaker), folders, strict=True):
        result = _result(
            answer, None if dry_run else folder, overwrite, show=not as_json, alone=len(found.answers) == 1,
            export=export or (), absolute=absolute, **look,
        )  # fmt: skip
        if isinstance(result, api.FailedPerson):
            failures.append(result)
            continue
        results.append((answer, result))
        report.not_cut(result)
        report.warnings(result.notes)
        if not as_json:
            report.answer(answer, result, dry_run, explain)
    not_cut = any(result.not_cut for _, result in results)
    for failed in failures:
        console.fail(f"{failed.name}: {failed.error}")
    if as_json:
        console.say_json(documents.query(found, results, failures, explain))
    elif results and (not not_cut or any(result.clips for _, result in results)):
        report.searched(results[-1][1].document["search"])
    if failures or not_cut:
        raise typer.Exit(1)


def _result(
    answer: api.Answer,
    folder: Path | None,
    overwrite: bool,
    show: bool,
    alone: bool,
    export: Sequence[str],
    **options: Any,
) -> api.Result | api.FailedPerson:
    """Cut one person's clips, or without a folder plan them; only the error of a person `alone` is raised."""
    try:
        if folder is None:
            return answer.preview(**options)
        on_clip = partial(report.clip, answer) if show else lambda clip: None
        return answer.cut(folder, overwrite=overwrite, export=export, on_clip=on_clip, **options)
    except api.FaceReelError as error:
        if alone:
            raise
        return api.FailedPerson(answer.name, error)


def _check_question(photos: Sequence[Path], persons: Sequence[str], everybody: bool) -> None:
    try:
        api.check_question(photos, persons, everybody)
    except api.OptionError as error:
        raise typer.BadParameter(str(error)) from error


def _check_export(formats: Sequence[str], dry_run: bool) -> None:
    if formats and dry_run:
        raise typer.BadParameter(
            "--export writes files and --dry-run none; facereel export writes them alone"
        )


def _speaking(answers: Sequence[api.Answer], model: api.SpeakerModel | None) -> Iterator[api.Answer]:
    """The answers, each with the matches alone that speak, if that is asked for."""
    for answer in answers:
        if model is not None and answer.matches:
            report.listening(answer)
        yield answer if model is None else answer.speaking(model)


def _index_first(library: api.Library, videos: Sequence[str] | None) -> None:
    """Index those of the named videos that are not indexed yet."""
    for path in library.not_indexed(videos or []):
        console.note(f"{path.name} is not indexed yet; indexing it first")
        with progress() as show, closing(library.index_events(path)) as events:
            for event in events:
                show(event)
                if isinstance(event, api.Failed):
                    raise event.error
                if isinstance(event, api.Indexed):
                    report.video_warnings(path, event.warnings)


@app.command()
def export(
    video: opt.Video,
    refs: opt.ExportRefs = None,
    person: opt.PersonOption = None,
    everybody: opt.ExportEverybody = False,
    faces: opt.ExportFaces = False,
    formats: opt.ExportFormat = ["edl"],  # noqa: B006  Typer reads it, nobody changes it
    handles: opt.Handles = 0,
    include: opt.ExportInclude = None,
    min_duration: opt.MinDuration = 0.0,
    out: opt.ExportOut = OUTPUTS,
    absolute: opt.ExportAbsolute = False,
    overwrite: opt.ExportOverwrite = False,
    store: opt.Store = STORE,
    engine: opt.Engine = ENGINE,
    calibration: opt.CalibrationFile = None,
    as_json: opt.Json = False,
    debug: opt.Debug = False,
) -> None:
    """Write who is where in an indexed video for editing programs and annotation tools; cuts nothing."""
    if [bool(refs), bool(person), everybody, faces].count(True) != 1:
        raise typer.BadParameter("give one of photos, --person PERSON, --everybody, and --faces")
    library = _library(store, engine, "auto", 0, calibration)
    people = library.read_photos(refs) if refs else library.read_persons(person) if person else None
    if people is not None:
        report.warnings(people.warnings)
    exported = library.export(
        video, formats, out, people=people, faces=faces, min_duration=min_duration,
        include_possible=include is not None, handles=handles, absolute=absolute, overwrite=overwrite,
    )  # fmt: skip
    console.say_json(documents.exported(exported)) if as_json else report.exported(exported, video)


@app.command()
def blur(
    video: opt.BlurVideo,
    keep: opt.Keep = None,
    only: opt.BlurOnly = None,
    style: opt.Style = "blur",
    out: opt.BlurOut = OUTPUTS,
    keep_metadata: opt.KeepMetadata = False,
    overwrite: opt.BlurOverwrite = False,
    store: opt.Store = STORE,
    engine: opt.Engine = ENGINE,
    device: opt.Device = "auto",
    threads: opt.Threads = 0,
    calibration: opt.CalibrationFile = None,
    as_json: opt.Json = False,
    debug: opt.Debug = False,
) -> None:
    """Copy a whole video with faces covered in every frame: everybody's, or all but some people's, or theirs alone."""
    if keep and only:
        raise typer.BadParameter("--keep and --only are two questions; give one of them")
    library = _library(store, engine, device, threads, calibration)
    with progress() as show:
        blurred = library.blur(
            video, out, style=style, keep=keep or (), only=only or (), keep_metadata=keep_metadata,
            overwrite=overwrite, on_event=show,
        )  # fmt: skip
    console.say_json(documents.blurred(blurred)) if as_json else report.blurred(blurred)


@app.command()
def dataset(
    person: opt.PersonOption = None,
    everybody: opt.DatasetEverybody = False,
    video: opt.DatasetIn = None,
    out: opt.DatasetOut = OUTPUTS / "dataset",
    size: opt.Side = 256,
    fps: opt.Fps = 25.0,
    min_seconds: opt.MinSeconds = 3.0,
    max_seconds: opt.MaxSeconds = 10.0,
    max_upscale: opt.MaxUpscale = 2.0,
    min_face: opt.DatasetMinFace = None,
    max_yaw: opt.MaxYaw = None,
    min_sharpness: opt.MinSharpness = None,
    one_face: opt.OneFace = False,
    min_similarity: opt.MinSimilarity = None,
    val_share: opt.ValShare = 0.1,
    include: opt.DatasetInclude = None,
    jobs: opt.DatasetJobs = 0,
    store: opt.Store = STORE,
    engine: opt.Engine = ENGINE,
    calibration: opt.CalibrationFile = None,
    as_json: opt.Json = False,
    debug: opt.Debug = False,
) -> None:
    """Write short pieces of faces with sound and landmarks, to train and test models on; or go on with them."""
    if everybody == bool(person):
        raise typer.BadParameter("give either --everybody or --person PERSON")
    library = _library(store, engine, "auto", 0, calibration)
    options = api.DatasetOptions(
        size=size, fps=fps, min_seconds=min_seconds, max_seconds=max_seconds, max_upscale=max_upscale,
        min_face=min_face, max_yaw=max_yaw, min_sharpness=min_sharpness, one_face=one_face,
        min_similarity=min_similarity, val_share=val_share,
    )  # fmt: skip
    people = library.read_persons(person) if person else None
    if people is not None:
        report.warnings(people.warnings)
    done = library.dataset(
        out, people, videos=video, options=options, jobs=jobs,
        include_possible=include is not None, on_video=(lambda done: None) if as_json else report.dataset_video,
    )  # fmt: skip
    console.say_json(documents.dataset(done)) if as_json else report.dataset(done)
    if done.skipped:
        raise typer.Exit(1)


@app.command("list")
def list_videos(store: opt.Store = STORE, as_json: opt.Json = False, debug: opt.Debug = False) -> None:
    """List the indexed videos."""
    videos = api.Library(store).videos()
    if as_json:
        console.say_json(documents.listing(store, videos))
        return
    for _, error in videos.unreadable:
        console.warn(str(error))
    if videos.videos:
        report.listing(videos.videos)
    elif not videos.unreadable:
        console.say(f"{store} holds no index; run: facereel index VIDEO")


@app.command()
def info(
    video: opt.Video, store: opt.Store = STORE, as_json: opt.Json = False, debug: opt.Debug = False
) -> None:
    """Show everything about an indexed video."""
    details = api.Library(store).info(video)
    console.say_json(documents.details(details)) if as_json else report.details(details)


@app.command()
def faces(
    video: opt.Video,
    store: opt.Store = STORE,
    out: opt.SheetOut = None,
    most: opt.Most = 40,
    as_json: opt.Json = False,
    debug: opt.Debug = False,
) -> None:
    """Draw who is in a video: a row for each person, with their best face crops and times."""
    sheet = api.Library(store).faces(video, out, most=most)
    console.say_json(documents.sheet(sheet)) if as_json else report.sheet(sheet)


@app.command()
def remove(
    video: opt.Video, store: opt.Store = STORE, as_json: opt.Json = False, debug: opt.Debug = False
) -> None:
    """Delete the index of a video; the video itself stays."""
    folder = api.Library(store).remove(video)
    if as_json:
        console.say_json(documents.removed(folder))
    else:
        console.say(f"removed {folder}; the video stays")


@app.command()
def forget(
    who: opt.Whom,
    store: opt.Store = STORE,
    video: opt.ForgetIn = None,
    out: opt.ResultsIn = OUTPUTS,
    threshold: opt.Threshold = None,
    face: opt.Face = None,
    also_weaker: opt.AlsoWeaker = False,
    dry_run: opt.ForgetDryRun = False,
    yes: opt.ForgetYes = False,
    engine: opt.Engine = ENGINE,
    calibration: opt.CalibrationFile = None,
    as_json: opt.Json = False,
    debug: opt.Debug = False,
) -> None:
    """Remove a person from the library: crops, embeddings, name and decisions; videos and clips stay."""
    if not (dry_run or yes or _can_ask()):
        raise api.OptionError(
            "forget cannot ask for confirmation here, so nothing was removed; add --yes, or --dry-run to look first"
        )
    library = _library(store, engine, "auto", 0, calibration)
    people = library.read_anybody(who, face=face)
    report.warnings(people.warnings)
    plan = library.plan_forget(people, videos=video, threshold=threshold, out=out)
    report.skipped(plan.skipped)
    removing = bool(plan.matching or (also_weaker and plan.weaker) or plan.unfinished or plan.persons)
    if not as_json:
        report.forget_plan(plan, also_weaker)
    agreed = (
        yes or dry_run or not removing or typer.confirm(report.forget_question(plan, also_weaker), err=True)
    )
    outcome = plan.apply(also_weaker=also_weaker) if removing and agreed and not dry_run else None
    if as_json:
        console.say_json(documents.forgotten(plan, outcome, dry_run))
    elif not removing:
        report.nothing_to_forget(plan)
    elif outcome is None:
        report.would_forget(plan, also_weaker)
    else:
        report.forgotten(plan, outcome)
    if report.not_forgotten(plan, outcome):
        raise typer.Exit(1)


@app.command()
def verify(
    video: opt.MaybeVideo = None,
    store: opt.Store = STORE,
    content: opt.Content = False,
    as_json: opt.Json = False,
    debug: opt.Debug = False,
) -> None:
    """Check that indexes are intact and that their videos are still there."""
    on_result = (lambda health: None) if as_json else report.health
    indexes = api.Library(store).verify(video, content=content, on_result=on_result)
    if as_json:
        console.say_json(documents.health(store, indexes))
    elif not indexes:
        console.say(f"{store} holds no index; there is nothing to check")
    if any(health.problems for health in indexes):
        raise typer.Exit(1)


@app.command()
def engines(
    get: opt.Get = None,
    yes: opt.Yes = False,
    speed: opt.Speed = False,
    calibrate: opt.Calibrate = None,
    out: opt.CalibrationOut = OUTPUTS,
    store: opt.Store = STORE,
    engine: opt.Engine = ENGINE,
    device: opt.Device = "auto",
    threads: opt.Threads = 0,
    as_json: opt.Json = False,
    debug: opt.Debug = False,
) -> None:
    """List the engines with licence, state and threshold; download or unpack one, or calibrate one."""
    if get is not None:
        folder = _download(get, yes)
        console.say_json(documents.downloaded(folder)) if as_json else console.say(f"{get} is in {folder}")
    elif calibrate is not None:
        library = _library(store, engine, device, threads, None)
        measured, files = library.calibrate(calibrate, out, on_warning=console.warn)
        if as_json:
            console.say_json(documents.calibrated(measured.threshold, files))
        else:
            report.calibration(measured, files, store)
    else:
        all_engines = api.engines(speed=speed, device=device, threads=threads)
        console.say_json(documents.engines(all_engines)) if as_json else report.engines(all_engines)


@app.command()
def reembed(
    video: opt.VideoOrAll,
    engine: opt.Engine = ENGINE,
    store: opt.Store = STORE,
    device: opt.Device = "auto",
    threads: opt.Threads = 0,
    calibration: opt.CalibrationFile = None,
    as_json: opt.Json = False,
    debug: opt.Debug = False,
) -> None:
    """Recognise the stored face crops by another engine, without decoding the video."""
    library = _library(store, engine, device, threads, calibration)
    on_result = (lambda result: None) if as_json else report.reembedded
    results = library.reembed(None if video == "all" else video, on_result=on_result)
    if as_json:
        console.say_json(documents.reembedded(store, results))
    elif not results:
        console.say(f"{store} holds no index; run: facereel index VIDEO")


@app.command()
def serve(
    store: opt.Store = STORE,
    port: opt.ServePort = 8765,
    host: opt.ServeHost = "127.0.0.1",
    no_browser: opt.NoBrowser = False,
    root: opt.ServeRoot = HERE,
    out: opt.Out = OUTPUTS,
    engine: opt.Engine = ENGINE,
    device: opt.Device = "auto",
    threads: opt.Threads = 0,
    calibration: opt.CalibrationFile = None,
    debug: opt.Debug = False,
) -> None:
    """Open a page in the browser to look at people, correct, watch and cut; for this machine alone."""
    from facereel.query.web import server  # takes long to import, and no other command needs it

    if not server.is_loopback(host):
        console.warn(
            f"whoever can reach {host} can read what the page sends: nothing is encrypted, and faces are biometric data"
        )

    def ready(address: str) -> None:
        console.say(f"FaceReel is at {address}")
        console.note("it lets in whoever has this address; press Ctrl-C to end it")

    server.serve(
        _library(store, engine, device, threads, calibration), root, out, host=host, port=port,
        browser=not no_browser, ready=ready,
    )  # fmt: skip


def _library(store: Path, engine: str, device: str, threads: int, calibration: Path | None) -> api.Library:
    """The library with the engine; a pack that is not downloaded is offered where somebody can answer."""
    library = api.Library(
        store, engine=engine, device=device, threads=threads, calibration=calibration, on_note=console.note
    )
    try:
        library.check_engine()
    except api.MissingPackError:
        if not _can_ask():
            raise
        _download(engine, agreed=False)
    return library


def _download(name: str, agreed: bool) -> Path:
    """Download a pack, or unpack TransNetV2, once the licence of its weights was shown and agreed to."""
    console.note(api.pack_licence(name))
    agreed = agreed or name == api.TRANSNET  # its licence asks for nothing
    if not agreed and not _can_ask():
        raise api.OptionError(
            f"nobody can agree to that here; to agree run: facereel engines --get {name} --yes"
        )
    if not agreed and not typer.confirm(f"Download {name} for such use?", err=True):
        raise api.OptionError(f"{name} was not downloaded; use another --engine")
    return api.download_pack(name, accept_licence=True)


def _can_ask() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty()


def run() -> None:
    """Start the program; what a terminal or pipe cannot spell is escaped rather than a crash."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # a console's stream has it
    name = "facereel"
    if Path(sys.argv[0]).name == "cli.py":
        name = (
            "python -m facereel.cli"
            if getattr(sys.modules["__main__"], "__spec__", None)
            else "python cli.py"
        )
    console.set_program(name)
    # What is imported stays; to look for garbage among it again and again takes an eighth of a query over one film.
    gc.disable()
    # A worker would import the main module again, and with it the whole command line, which it does not need.
    main = sys.modules["__main__"]
    main.__spec__ = None
    main.__dict__.pop("__file__", None)
    _leave_out_others(sys.argv[1:2])
    app(prog_name=name)


def _leave_out_others(command: Sequence[str]) -> None:
    """Of the commands only that which is called: Typer makes the options of every command, which takes 40 ms."""
    commands: list[Any] = app.registered_commands
    groups: list[Any] = app.registered_groups
    commands = [one for one in commands if [one.name or one.callback.__name__] == command]
    groups = [one for one in groups if [one.typer_instance.info.name] == command]
    if commands or groups:
        app.registered_commands, app.registered_groups = commands, groups


if __name__ == "__main__":
    run()
