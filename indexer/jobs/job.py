"""Many videos, one after the other: which are meant, which are known already, what became of each."""

from __future__ import annotations

import glob
import os
import shlex
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from facereel.indexer.engines.engine import FaceEngine
from facereel.indexer.jobs.events import Indexed
from facereel.store.files.digest import hash_file
from facereel.store.files.folders import printable, unwritable
from facereel.store.files.locks import video_lock
from facereel.store.index.moved import record_place
from facereel.store.index.reader import VideoIndex
from facereel.store.library.catalogue import Catalogue
from facereel.store.model.config import Config
from facereel.store.model.errors import DamagedIndexError, EngineMismatchError, NotIndexedError, VideoError

Progress = Callable[[int, int], None]  # frames done, frames in all as far as known

# By these a video is known in a folder; a file that is named itself may be called anything.
SUFFIXES = frozenset((
    ".3gp", ".asf", ".avi", ".divx", ".f4v", ".flv", ".m2ts", ".m2v", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg",
    ".mpg", ".mts", ".mxf", ".ogv", ".ts", ".vob", ".webm", ".wmv",
))  # fmt: skip


def find_videos(names: Sequence[str | Path]) -> list[Path]:
    """The files that names stand for: files, folders with all folders in them, patterns the shell left alone.

    A name that leads to no video comes back as it is, so that indexing it says why.
    """
    found: dict[Path, Path] = {}
    for name in names:
        for path in _expanded(Path(name)) or [Path(name)]:
            found.setdefault(path.absolute(), path)
    return list(found.values())


def check_store(store: Path) -> None:
    """Raise UnwritableError where an index could not be written; worth asking before hours of work."""
    place = store.absolute()
    while not place.exists() and place != place.parent:
        place = place.parent
    if not place.is_dir():
        raise unwritable(store, NotADirectoryError(0, f"{printable(place)} is not a folder"))
    if not os.access(place, os.W_OK | os.X_OK):
        raise unwritable(store, PermissionError(0, f"no permission to write in {printable(place)}"))


def index_one(
    path: Path, store: Path, engine: FaceEngine, config: Config, progress: Progress, force: bool = False,
    note: Callable[[str], None] = lambda text: None,
) -> Indexed:  # fmt: skip
    """Index a video unless its content is known; raises the errors of index_video, EngineMismatchError.

    While another process indexes the same content this one waits, says so by `note`, and takes what came of it.
    """
    # Not imported by who only hands out the work: it takes a second.
    from facereel.indexer.media.video import probe
    from facereel.indexer.pipeline import index_video

    if path.is_dir():
        raise VideoError(f"{printable(path)} holds no video; known suffixes: {' '.join(sorted(SUFFIXES))}")
    known = None if force else _known(path, store, engine, config)
    if known is not None:
        return known
    video = probe(path)  # refuses what is no video before the whole file is read
    sha256, waited = hash_file(path, video.size), False

    def wait() -> None:
        nonlocal waited
        if not waited:
            note(f"another process is indexing {printable(path.name)}; waiting for it")
        waited = True
        progress(0, 0)

    def watched(done: int, total: int) -> None:
        video.check_unchanged()
        progress(done, total)

    with video_lock(store, sha256, wait):
        known = _known(path, store, engine, config) if waited and not force else None
        if known is not None:
            return known
        folder = index_video(video, sha256, store, engine, config, watched, note)
        with VideoIndex(folder) as index:
            return _figures(index, path)


def _expanded(path: Path) -> list[Path]:
    if path.is_dir():
        return sorted(
            Path(root) / file
            for root, folders, files in os.walk(path)
            for file in files
            if Path(file).suffix.lower() in SUFFIXES and not file.startswith(".")
        )
    if path.exists() or not glob.has_magic(str(path)):
        return [path]
    files = [Path(hit) for hit in sorted(glob.glob(str(path), recursive=True)) if Path(hit).is_file()]
    return [file for file in files if file.suffix.lower() in SUFFIXES] or files


def _known(path: Path, store: Path, engine: FaceEngine, config: Config) -> Indexed | None:
    """What an index tells that this run would find again; None when there is none or it cannot be read."""
    if not path.is_file():
        return None
    try:
        index = Catalogue(store).find(path)
    except (NotIndexedError, DamagedIndexError):
        return None
    with index:
        command = f"python cli.py index --force {shlex.quote(printable(path))}"
        if not index.engine.compares_with(engine.info):
            made_by = "other weights" if index.engine.name == engine.info.name else index.engine.name
            raise EngineMismatchError(
                f"{printable(path)} is indexed already, by {made_by} and not {engine.info.name}; "
                f"to index it again run: {command} --engine {engine.info.name}"
            )
        other = {key for key, value in asdict(config).items() if index.config.get(key) != value}
        said = f"indexed already; --force does it again{' with the other settings' if other else ''}"
        known, before = _figures(index, path, said), Path(index.video.path)
    if before != path.resolve() and not before.is_file():
        record_place(known.folder, path)
        known = replace(
            known, skipped=f"indexed already, as {printable(before)}; that it lies here now is noted"
        )
    return known


def _figures(index: VideoIndex, path: Path, skipped: str = "") -> Indexed:
    return Indexed(
        video=path, folder=index.folder, frames=index.video.frame_count,
        duration=index.video.duration(index.times()),
        seconds=index.stats.seconds, shots=len(index.shots()), faces=index.stats.faces,
        tracklets=len(index.tracklets()), clusters=len(index.clusters()), warnings=index.video.warnings,
        frames_skipped=index.stats.skipped, frames_damaged=index.stats.damaged,
        frames_concealed=index.stats.concealed, frames_missing=index.stats.missing, skipped=skipped,
    )  # fmt: skip
