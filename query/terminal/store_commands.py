"""The commands that tell of indexes or remove them: what a store holds, who is in a video, whether all is sound."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import typer

from facereel.query.terminal import console, report
from facereel.query.terminal import options as opt

STORE = Path("faceindex")


def list_videos(store: opt.Store = STORE, as_json: opt.Json = False, debug: opt.Debug = False) -> None:
    """List the indexed videos."""
    from facereel.store.library import catalogue

    rows, failures = catalogue.listing(catalogue.Catalogue(store))
    if as_json:
        unreadable = [{"folder": str(folder), "error": str(error)} for folder, error in failures]
        console.say_json({"store": str(store), "videos": rows, "unreadable": unreadable})
        return
    for _, error in failures:
        console.warn(str(error))
    if rows:
        report.listing(rows)
    elif not failures:
        console.say(f"{store} holds no index; run: python cli.py index VIDEO")


def info(
    video: opt.Video, store: opt.Store = STORE, as_json: opt.Json = False, debug: opt.Debug = False
) -> None:
    """Tell everything that is known of a video."""
    from facereel.store.index import summary
    from facereel.store.library.catalogue import Catalogue

    with Catalogue(store).find(video) as index:
        known = summary.details(index)
    if as_json:
        console.say_json(known)
    else:
        report.details(known)


def faces(
    video: opt.Video,
    store: opt.Store = STORE,
    out: opt.SheetOut = None,
    most: opt.Most = 40,
    as_json: opt.Json = False,
    debug: opt.Debug = False,
) -> None:
    """Draw who is in a video: a row a person, their best looks with their times."""
    from facereel.query.export import contact_sheet
    from facereel.store.library.catalogue import Catalogue

    with Catalogue(store).find(video) as index:
        target = out or Path("outputs") / f"{Path(index.video.name).stem}_faces.png"
        rows, left_out = contact_sheet.write_sheet(index, target, most)
    if as_json:
        console.say_json(report.sheet_json(target, rows, left_out))
    else:
        report.sheet(target, rows, left_out)


def remove(
    video: opt.Video, store: opt.Store = STORE, as_json: opt.Json = False, debug: opt.Debug = False
) -> None:
    """Delete a video's index; the video itself stays."""
    from facereel.store.library.catalogue import Catalogue

    folder = Catalogue(store).remove(video)
    if as_json:
        console.say_json({"removed": str(folder)})
    else:
        console.say(f"removed {folder}; the video stays")


def verify(
    video: opt.MaybeVideo = None,
    store: opt.Store = STORE,
    content: opt.Content = False,
    as_json: opt.Json = False,
    debug: opt.Debug = False,
) -> None:
    """Check that indexes are sound and that their videos are still there."""
    from facereel.query import videos
    from facereel.store.files.folders import index_folders
    from facereel.store.library.catalogue import Catalogue

    library = Catalogue(store)
    folders = [library.locate(video)] if video is not None else index_folders(store)
    found = []
    for folder in folders:
        found.append(videos.verify(folder, content))
        if not as_json:
            report.health(found[-1])
    if as_json:
        console.say_json({"store": str(store), "indexes": [asdict(health) for health in found]})
    elif not found:
        console.say(f"{store} holds no index; there is nothing to check")
    if any(health.problems for health in found):
        raise typer.Exit(1)
