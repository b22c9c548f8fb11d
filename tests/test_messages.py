"""The wording of all that the program prints, in one file: tests/data/messages.txt.

Other tests check the class of an error, the value that it names and that a remedy is there, not the words. To take
over new wording, look at the difference and run: UPDATE_MESSAGES=1 python -m pytest tests/test_messages.py
"""

from __future__ import annotations

import difflib
import os
import re
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from facereel.query.terminal import console
from facereel.store.files.locks import video_lock
from tests.fake_engine import film_of_two
from tests.program import ROOT, Run

SNAPSHOT = ROOT / "tests" / "data" / "messages.txt"
FAKE = ("--engine", "fake")


def masked(text: str, tmp_path: Path) -> str:
    """Without what differs from run to run and machine to machine."""
    for place in (tmp_path, tmp_path.resolve()):
        text = text.replace(str(place), "TMP")
    text = re.sub(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\dZ)?", "DATE", text)
    text = re.sub(
        r"indexed in [\d.]+ s \(\d+ frames/s, [\d.]+ times real time\)", "indexed in N s (SPEED)", text
    )
    text = re.sub(r"[0-9a-f]{64}", "SHA256", text)
    text = re.sub(r"(mp4)-[0-9a-f]{12}", r"\1-HASH", text)
    text = re.sub(r"(bytes|seconds to index|mtime ns): [\d.]+", r"\1: N", text)
    text = re.sub(r"there are \d+ cores; using \d+", "there are N cores; using N", text)
    return "\n".join(line.rstrip() for line in text.splitlines())


def helps(run: Run) -> Iterator[tuple[str, str]]:
    for command in ((), *((name,) for name in console.COMMANDS)):
        yield " ".join((*command, "--help")), run(*command, "--help").stdout


Show = Callable[..., tuple[str, str]]


@pytest.fixture
def show(run: Run) -> Show:
    """Run a command; its words, and what it prints."""

    def invoke(*args: str | Path) -> tuple[str, str]:
        result = run(*args)
        words = " ".join(str(word) for word in args)
        return words, f"{result.stdout}{result.stderr}[exit {result.exit_code}]"

    return invoke


def about_indexing(show: Show, place: Path) -> Iterator[tuple[str, str]]:
    """An empty library; what index says; what is in the library."""
    (place / "broken.mp4").write_bytes(b"no video")
    (place / "empty").mkdir()
    movie, at = place / "movie.mp4", ("--store", place / "s")
    for args in (
        ("list",), ("verify",), ("query", place / "photos" / "red.png", *FAKE),
        ("index", movie, place / "broken.mp4", *FAKE, "--jobs", 1), ("index", movie, *FAKE),
        ("index", movie, *FAKE, "--min-face", "40", "--threads", "999"),
        ("index", place / "gone.mp4", *FAKE), ("index", place / "empty", *FAKE),
        ("index", movie, "--engine", "fake-other"), ("index", movie, "--engine", "magic"),
        ("index", movie, *FAKE, "--scan", "never"), ("index", movie, *FAKE, "--shots", "guess"),
        ("index", movie, *FAKE, "--report", place / "no" / "report.json"),
        ("list",), ("info", "movie.mp4"), ("info", "sitcom"),
        ("faces", "movie.mp4", "--out", place / "sheet.png", "--most", "1"),
    ):  # fmt: skip
        yield show(*args, *at)


def about_queries(show: Show, place: Path) -> Iterator[tuple[str, str]]:
    """Answers, and everything that can be wrong with a question."""
    photos, people = place / "photos", place / "people"
    for name, photo in (("nobody", "nobody"), ("Red", "red")):
        (people / name).mkdir(parents=True)
        shutil.copy(photos / f"{photo}.png", people / name)
    (place / "own").mkdir()
    (place / "own" / "mine.txt").write_text("mine")
    red, both, strict = photos / "red.png", photos / "both.png", ("--threshold", "0.9999999")
    for args in (
        (red, "--out", place / "out"), (red, "--dry-run", "--min-duration", "1"),
        (red, "--dry-run", "--min-duration", "2"), (red, "--dry-run", *strict),
        (red, "--dry-run", *strict, "--explain"), (photos / "blue.png", "--explain"), (both, "--dry-run"),
        (both, "--face", "3"), (red, both, "--face", "1"), (photos / "nobody.png",), (people, "--dry-run"),
        (place / "empty",), (place / "gone.png",), (place / "movie.mp4",), (red, "--threshold", "3"),
        (red, "--min-duration", "-1"), (red, "--crop", "square"), (red, "--size", "33"), (red, "--name", "a/b"),
        (red, "--calibration", "gone.json"), (red, "--video", "sitcom"),
        (photos / "green.png", "--out", place / "out", "--name", "red"), (red, "--out", place, "--name", "own"),
        (red, "--dry-run", "--video", place / "other.mp4"),
    ):  # fmt: skip
        yield show("query", *args, "--store", place / "s", *FAKE)
    for words in (("query", "--nonsense"), ("nonsense",), ("query",)):
        yield show(*words)
    yield show("query", red, "--store", place / "s", "--engine", "fake-new")
    for options in (
        ("--everybody", "--format", "edl", "--format", "otio"), ("--everybody", "--format", "aaf"), (),
        ("--everybody", "--handles", "-1"), ("--everybody", "--min-duration", "9"),
    ):  # fmt: skip
        yield show("export", "movie.mp4", *options, "--store", place / "s", "--out", place / "exports", *FAKE)
    for chosen in (
        ("--everybody", "--min-seconds", "0.5"), ("--everybody",), ("--everybody", "--size", "33"), (),
        ("--everybody", "--max-seconds", "4"), ("--everybody", "--max-yaw", "100"),
    ):  # fmt: skip
        yield show("dataset", *chosen, "--jobs", "1", "--store", place / "s", "--out", place / "set", *FAKE)


def about_changes(show: Show, place: Path) -> Iterator[tuple[str, str]]:
    """Other engines, forgetting, moved videos, damage."""
    store, red = place / "s", place / "photos" / "red.png"
    at = ("--store", store)
    forget = ("forget", red, *at, *FAKE)
    yield show("verify", *at)
    yield show("reembed", "movie.mp4", *at, *FAKE)
    yield show("reembed", "other.mp4", *at, "--engine", "fake-other")
    yield show("query", red, *at, *FAKE, "--dry-run")
    yield show(*forget)
    yield show(*forget, "--dry-run", "--video", "movie.mp4")
    yield show(*forget, "--dry-run", "--video", "movie.mp4", "--threshold", "0.9999999")
    with video_lock(store, "b" * 64, lambda: None):
        yield show(*forget, "--yes")
    yield show(*forget, "--yes", "--video", "movie.mp4")
    (place / "movie.mp4").rename(place / "moved.mp4")
    yield show(
        "query", place / "photos" / "green.png", *at, *FAKE, "--out", place / "out", "--video", "movie.mp4"
    )
    yield show("verify", "movie.mp4", *at)
    yield show("index", place / "moved.mp4", *at, *FAKE)
    (other,), (movie,) = store.glob("other*"), store.glob("movie*")
    (other / "index.db").write_bytes(b"torn")
    yield show("info", "other.mp4", *at)
    yield show("remove", "other.mp4", *at)
    connection = sqlite3.connect(movie / "index.db")
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    yield show("info", movie.name, *at)


@pytest.mark.slow
def test_the_wording_is_that_of_the_snapshot(
    run: Run, show: Show, film: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.chdir(tmp_path)
    shutil.copy(film, tmp_path / "movie.mp4")
    film_of_two(tmp_path / "other.mp4", seconds=0.5)
    parts = [*helps(run)]
    for about in (about_indexing, about_queries, about_changes):
        parts += about(show, tmp_path)
    text = "".join(
        f"$ facereel {masked(words, tmp_path)}\n{masked(shown, tmp_path)}\n\n" for words, shown in parts
    )
    if os.environ.get("UPDATE_MESSAGES"):
        SNAPSHOT.write_text(text, encoding="utf-8")
    known = SNAPSHOT.read_text(encoding="utf-8")
    difference = list(
        difflib.unified_diff(known.splitlines(), text.splitlines(), "snapshot", "now", lineterm="")
    )
    assert difference == [], __doc__
