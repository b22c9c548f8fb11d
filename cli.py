"""FaceReel's command line: commands, progress, printing, exit codes. What they do is done elsewhere.

Whatever takes long to import waits inside the commands, so that help and mistakes are answered at once.
"""

from __future__ import annotations

import sys
import traceback
from contextlib import closing
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

if __name__ == "__main__":  # python cli.py: the package of that name has to be this folder
    _package = find_spec("facereel")
    if _package is None or Path(str(_package.origin)).resolve().parent != Path(__file__).resolve().parent:
        _elsewhere = f" (it has the one in {Path(str(_package.origin)).parent})" if _package else ""
        sys.exit(
            f"error: this Python does not know the FaceReel in {Path(__file__).resolve().parent}{_elsewhere}; "
            "run in that folder: pip install -r requirements.txt"
        )

import typer
from typer.core import TyperGroup

from facereel.query.terminal import console, index_report, report, report_engines, store_commands
from facereel.query.terminal import options as opt
from facereel.query.terminal.store_commands import STORE
from facereel.store.model.errors import FaceReelError, MissingPackError, OptionError

if TYPE_CHECKING:
    from facereel.indexer.engines.choice import EngineChoice
    from facereel.indexer.engines.protocol import FaceEngine
    from facereel.indexer.jobs.events import Job


class Commands(TyperGroup):
    """The one place where an error becomes a line and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        """Run a command; 1 for an error of ours, 130 for Ctrl-C."""
        try:
            return super().invoke(ctx)
        except FaceReelError as error:
            if ctx.meta.get("debug"):
                traceback.print_exc()
            if ctx.meta.get("as_json"):
                console.say_json({"error": {"kind": type(error).__name__, "message": str(error)}})
            console.fail(str(error))
            raise typer.Exit(1) from error
        except KeyboardInterrupt as error:
            console.note(
                "stopped; nothing unfinished was kept; index goes on where it stopped when run again"
            )
            raise typer.Exit(130) from error


app = typer.Typer(
    cls=Commands,
    help="Index a video once; then any photo finds that person in it, as exact clips.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,  # plain help costs a third of the time
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

ENGINE = "opencv-zoo"


@app.callback()
def main(debug: opt.Debug = False) -> None:
    """Index a video once; then any photo finds that person in it, as exact clips."""


@app.command()
def index(
    videos: opt.Videos,
    store: opt.Store = STORE,
    engine: opt.Engine = ENGINE,
    min_face: opt.MinFace = 20,
    scan: opt.Scan = "default",
    shots: opt.ShotsBy = "adaptive",
    shots_model: opt.ShotsModel = None,
    device: opt.Device = "auto",
    threads: opt.Threads = 0,
    calibration: opt.CalibrationFile = None,
    force: opt.Force = False,
    jobs: opt.Jobs = 1,
    report_file: opt.ReportFile = None,
    as_json: opt.Json = False,
    debug: opt.Debug = False,
) -> None:
    """Look at every face of a video once and keep what was seen."""
    from facereel.indexer.jobs.events import Job
    from facereel.indexer.jobs.paths import check_store, find_videos
    from facereel.indexer.shots.detector import check_shots
    from facereel.store.model.config import Config, search_interval

    check_store(store)
    paths = find_videos(videos)
    config = Config(
        min_face=min_face,
        search_interval=search_interval(scan),
        shots=shots,
        shots_model=str(shots_model or ""),
    )
    check_shots(config)
    chosen = _chosen(engine, device, threads, calibration, store)
    if report_file is not None:
        index_report.check_report(report_file)
    results = _index([Job(path, store, config, force) for path in paths], chosen, jobs, as_json, debug)
    failed = [result for result in results if result["state"] == "failed"]
    told = {"store": str(store), "videos": results, "failed": len(failed)}
    if report_file is not None:
        index_report.write_report(report_file, told)
    if as_json:
        console.say_json(told)
    elif len(failed) < len(results):
        index_report.what_next(store, STORE)
    if failed and len(results) > 1:
        console.fail(
            f"{len(failed)} of {len(results)} videos failed: {', '.join(r['video'] for r in failed)}"
        )
    if failed:
        raise typer.Exit(1)


def _index(
    jobs: list[Job], engine: EngineChoice, at_once: int, quiet: bool, debug: bool
) -> list[dict[str, Any]]:
    """Index videos, telling of each; one that fails does not stop the rest. Results in the order of the paths."""
    from facereel.indexer.jobs.events import Failed, Indexed, Note, Progress
    from facereel.indexer.jobs.local import LocalRunner, max_jobs

    if (workers := max_jobs(at_once)) < at_once:
        console.note(f"--jobs {at_once} is more than this machine can do; {workers} at once")
    workers = min(workers, len(jobs))
    results: dict[Path, dict[str, Any]] = {}
    with console.progress_bars() as bars, closing(
        LocalRunner(engine.shared(workers).load, workers).run(jobs)
    ) as events:  # fmt: skip
        for event in events:
            path = event.video
            if isinstance(event, Progress):
                bars(str(path), *((event.done, event.total) if event.stage == "indexing" else (0, 0)))
            elif isinstance(event, Note):
                console.note(event.text)
            elif isinstance(event, Failed):
                bars(str(path), -1, 0)
                if debug:
                    console.note(event.trace)
                console.fail(str(event.error))
                results[path] = {"video": str(path), "state": "failed", "error": str(event.error)}
            elif isinstance(event, Indexed):
                bars(str(path), -1, 0)
                results[path] = index_report.indexed_json(path, asdict(event))
                if not quiet:
                    index_report.indexed(path, asdict(event))
    return [results[job.video] for job in jobs]


def _chosen(name: str, device: str, threads: int, calibration: Path | None, store: Path) -> EngineChoice:
    """The engine that was asked for, not loaded yet; a pack that is not here is offered where somebody can answer."""
    from facereel.indexer.engines import packs
    from facereel.indexer.engines.choice import EngineChoice
    from facereel.indexer.engines.devices import Compute

    compute = Compute(device, threads)
    if threads > compute.allowed:
        console.note(f"--threads {threads}: there are {compute.allowed} cores, {compute.allowed} are used")
    if packs.is_pack(name):
        try:
            packs.find_pack(name)
        except MissingPackError:
            if not _somebody_there():
                raise
            _get_pack(name, agreed=False)
        name = str(packs.find_pack(name))  # workers may know another home
    return EngineChoice(name, compute, calibration, store)


def _somebody_there() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty()


def _get_pack(name: str, agreed: bool) -> Path:
    """Fetch a pack once the licence of its weights was shown and agreed to."""
    from facereel.indexer.engines import packs

    packs.check_name(name)
    console.note(packs.LICENCE)
    if not agreed and not _somebody_there():
        raise OptionError(f"nobody is there to agree to that; run: python cli.py engines --get {name} --yes")
    if not agreed and not typer.confirm(f"Download {name} for such use?", err=True):
        raise OptionError(f"{name} was not downloaded; use another --engine")
    return packs.fetch(name)


@app.command()
def query(
    refs: opt.Refs,
    store: opt.Store = STORE,
    video: opt.SearchIn = None,
    out: opt.Out = Path("outputs"),
    name: opt.Name = None,
    threshold: opt.Threshold = None,
    min_duration: opt.MinDuration = 0.0,
    crop: opt.Crop = "follow",
    size: opt.Size = None,
    face: opt.Face = None,
    dry_run: opt.DryRun = False,
    explain: opt.Explain = False,
    overwrite: opt.Overwrite = False,
    absolute: opt.Absolute = False,
    engine: opt.Engine = ENGINE,
    device: opt.Device = "auto",
    threads: opt.Threads = 0,
    calibration: opt.CalibrationFile = None,
    as_json: opt.Json = False,
    debug: opt.Debug = False,
) -> None:
    """Find a person by photo; every stretch in which they are seen becomes a clip."""
    chosen = _chosen(engine, device, threads, calibration, store)
    # Weights are read in the background from here on, while the rest is imported and the photos are read.
    machine = chosen.load(console.note)
    from facereel.query.clips import render
    from facereel.query.clips.plan import ClipOptions
    from facereel.query.people import photos as asked
    from facereel.query.search import search
    from facereel.store.library.catalogue import Catalogue

    options = ClipOptions(crop, size, min_duration, overwrite, absolute)  # type: ignore[arg-type]  # checked next
    options.check()
    photos = asked.group_photos(refs)
    folders = render.result_folders(photos, out, name)
    base = machine.threshold.value if threshold is None else threshold
    people = asked.read_people(photos, machine, face)
    report.people_read(people)
    for person, folder in zip(people, [] if dry_run else folders, strict=not dry_run):
        render.check_target(folder, person, overwrite)
    library = Catalogue(store)
    for path in search.not_indexed(library, video or []):
        _index_first(path, store, chosen)
    with library.read_lock():
        where = search.scope(library, video or [], machine.info)
        answers = search.search(people, where, base, machine.threshold.scale)
    report.left_out(where)
    results, whole = [], True
    for answer, folder in zip(answers, folders, strict=True):
        on_clip_done = (lambda clip: None) if as_json else report.clip_done
        result = render.render(answer, options, None if dry_run else folder, on_clip_done)
        results.append(report.answer_json(answer, result, explain))
        report.not_cut(result)
        whole = whole and not result.not_cut
        if not as_json:
            report.answer(answer, result, where, dry_run, explain)
    if as_json:
        console.say_json(report.query_json(results, where))
    elif whole or any(found["clips"] for found in results):
        report.searched(results[-1]["search"])
    if not whole:
        raise typer.Exit(1)


def _index_first(path: Path, store: Path, chosen: EngineChoice) -> None:
    from facereel.indexer.jobs.events import Failed, Indexed, Job, Note, Progress
    from facereel.indexer.jobs.local import LocalRunner
    from facereel.indexer.jobs.paths import check_store
    from facereel.store.model.config import Config

    check_store(store)
    console.note(f"{path.name} is not indexed yet; indexing it first")
    with console.progress_bars() as bars:
        for event in LocalRunner(chosen.load).run([Job(path, store, Config())]):
            if isinstance(event, Progress):
                bars(str(path), *((event.done, event.total) if event.stage == "indexing" else (0, 0)))
            elif isinstance(event, Note):
                console.note(event.text)
            elif isinstance(event, Failed):
                raise event.error
            elif isinstance(event, Indexed):
                index_report.lost(path, event.warnings)


app.command("list")(store_commands.list_videos)
for about_store in (store_commands.info, store_commands.faces, store_commands.remove):
    app.command()(about_store)


@app.command()
def forget(
    refs: opt.Refs,
    store: opt.Store = STORE,
    video: opt.ForgetIn = None,
    threshold: opt.Threshold = None,
    face: opt.Face = None,
    dry_run: opt.ForgetDryRun = False,
    engine: opt.Engine = ENGINE,
    as_json: opt.Json = False,
    debug: opt.Debug = False,
) -> None:
    """Delete a person's looks and vectors from every index; videos and clips stay."""
    from facereel.query.people import photos as asked
    from facereel.query.search import forget, search
    from facereel.store.library.catalogue import Catalogue

    machine = _chosen(engine, "auto", 0, None, store).load(console.note)
    base = machine.threshold.value if threshold is None else threshold
    people = asked.read_people(asked.group_photos(refs), machine, face)
    report.people_read(people)
    library = Catalogue(store)

    def found() -> tuple[search.Scope, list[forget.Forgotten]]:
        with library.read_lock():
            where = search.scope(library, video or [], machine.info)
            return where, forget.what_to_forget(
                search.search(people, where, base, machine.threshold.scale), where
            )

    where, holdings = found()
    report.left_out(where)
    alike: list[forget.Forgotten] = []
    if not dry_run and holdings:
        forget.forget(holdings)
        _, alike = found()
    if as_json:
        console.say_json(report.forgotten_json(people, holdings, alike, where, dry_run))
    else:
        report.forgotten(people, holdings, alike, where, dry_run)
    if where.skipped:
        names = ", ".join(item.name for item in where.skipped)
        console.fail(f"could not be searched and may still hold them: {names}")
        raise typer.Exit(1)


app.command()(store_commands.verify)


@app.command()
def engines(
    get: opt.Get = None,
    yes: opt.Yes = False,
    speed: opt.Speed = False,
    calibrate: opt.Calibrate = None,
    out: opt.CalibrationOut = Path("outputs"),
    store: opt.Store = STORE,
    engine: opt.Engine = ENGINE,
    device: opt.Device = "auto",
    threads: opt.Threads = 0,
    as_json: opt.Json = False,
    debug: opt.Debug = False,
) -> None:
    """List the engines: licence, whether they are ready, where strangers stop; get one, or calibrate one."""
    if get is not None:
        folder = _get_pack(get, yes)
        console.say_json({"folder": str(folder)}) if as_json else console.say(f"{get} is in {folder}")
    elif calibrate is not None:
        _calibrate(
            calibrate, _chosen(engine, device, threads, None, store).load_uncalibrated(), out, store, as_json
        )
    else:
        from facereel.indexer.engines.devices import Compute
        from facereel.indexer.engines.status import known_engines

        known = known_engines(Compute(device, threads), speed)
        console.say_json({"engines": known}) if as_json else report_engines.engines(known)


def _calibrate(folder: Path, engine: FaceEngine, out: Path, store: Path, as_json: bool) -> None:
    from facereel.query.people import calibration
    from facereel.query.people import photos as asked
    from facereel.store.files.folders import make_store

    if not folder.is_dir():
        raise OptionError(f"{folder} is not a folder; name one that has a folder of photos for each person")
    people = asked.read_people(asked.group_photos([folder]), engine)
    report_engines.photos_left_out(people)
    measured = calibration.measure(people, engine)
    if out == store:
        make_store(store)
    files = calibration.write(measured, out)
    if as_json:
        console.say(files[0].read_text(encoding="utf-8").rstrip())
    else:
        report_engines.calibration(measured, files, store)


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
    """Recognise the kept looks anew by another engine, without looking at the video again."""
    from facereel.indexer.identity.reembed import reembed_index
    from facereel.store.files.folders import index_folders
    from facereel.store.library.catalogue import Catalogue

    library = Catalogue(store)
    library.clean()
    folders = index_folders(store) if video == "all" else [library.locate(video)]
    machine = _chosen(engine, device, threads, calibration, store).load(console.note)
    done = []
    for folder in folders:
        done.append(reembed_index(folder, machine))
        if not as_json:
            report_engines.reembedded(asdict(done[-1]))
    if as_json:
        console.say_json({"store": str(store), "videos": [asdict(one) for one in done]})
    elif not folders:
        console.say(f"{store} holds no index; run: python cli.py index VIDEO")


def run() -> None:
    """Start the program; what a terminal or pipe cannot spell is escaped rather than a crash."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    app(prog_name="python cli.py")


if __name__ == "__main__":
    run()
