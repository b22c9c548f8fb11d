"""What a terminal shows: tables, progress, colours, the program's name, what Ctrl-C leaves."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from facereel import (
    BeingIndexed,
    Failed,
    Indexed,
    Note,
    OptionError,
    Progress,
    Started,
    __version__,
    api,
    cli,
)
from facereel.query.terminal import console
from facereel.query.terminal import progress as progress_
from tests.program import ROOT, Run

COLUMNS = ("video", "duration", "engine", "path")
ROWS = [("the second episode.mp4", "0:03.600", "opencv-zoo", "/films/a series/the second episode.mp4")]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def open_terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Stdout and stderr as a terminal that has colours; in the test, as pytest replaces both before it."""
    stream = Terminal()
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    return stream


@pytest.mark.parametrize("width", [20, 40, 60, 80, 200])
def test_a_table_breaks_no_word_on_a_narrow_terminal(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    terminal = open_terminal(monkeypatch)
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("NO_COLOR", "1")
    console.table(COLUMNS, ROWS)
    lines = terminal.getvalue().splitlines()
    words = [word for line in lines for word in line.replace(":", " ").split()]
    for text in (*COLUMNS, *ROWS[0]):
        for word in text.replace(":", " ").split():
            assert word in words, lines


@pytest.mark.parametrize("setting", ["colour", "NO_COLOR", "TERM=dumb"])
def test_colours_can_be_turned_off(monkeypatch: pytest.MonkeyPatch, setting: str) -> None:
    terminal = open_terminal(monkeypatch)
    if setting == "NO_COLOR":
        monkeypatch.setenv("NO_COLOR", "1")
    if setting == "TERM=dumb":
        monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setenv("COLUMNS", "100")
    console.fail("wrong")
    console.table(COLUMNS, ROWS)
    assert ("\x1b" in terminal.getvalue()) is (setting == "colour")


def test_without_a_terminal_progress_is_a_line_now_and_then(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress_, "LINE_EVERY", 0.0)
    video = Path("films/a.mp4")
    with progress_.progress() as show:
        show(Started(video, 3, 7))
        show(Progress(video, "reading", 50, 100))
        show(Progress(video, "indexing", 1530, 9984))
        show(Note(video, "a note"))
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "indexing 3 of 7: a.mp4",
        "indexing 3 of 7: a.mp4: reading the file (50 %)",
        "0 of 7 videos done, 1 running",
        "indexing 3 of 7: a.mp4: frame 1,530 of 9,984 (15 %)",
        "0 of 7 videos done, 1 running",
        "a note",
    ]


def ended(video: Path, skipped: str = "") -> Indexed:
    return Indexed(
        video, Path("s"), 100, 4.0, 1.0, 1, 1, 1, 1, 1, (), 0, 0, 0, 0, 0, 0.0, skipped
    )  # fmt: skip


def test_many_videos_have_one_line_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """Videos done, running, failed, frames a second on all machines, the time left."""
    clock = iter(range(0, 10_000, 2))
    monkeypatch.setattr(time, "monotonic", lambda: float(next(clock)))
    overview = progress_._Overview()  # at 0 and 2 s
    videos = [Path(f"{n}.mp4") for n in range(5)]
    for number, video in enumerate(videos, start=1):
        overview.add(Started(video, number, 100, "node"))
    overview.add(Progress(videos[0], "reading", 7, 9))
    overview.add(Progress(videos[0], "indexing", 60, 100))  # at 4 s
    overview.add(Progress(videos[1], "indexing", 20, 100))  # at 6 s
    overview.add(ended(videos[0]))
    overview.add(ended(videos[2], "indexed already"))
    overview.add(Failed(videos[3], OptionError("why")))
    # 80 frames in 6 s; one video was indexed in the 6 s up to now, 97 are left.
    assert overview.text() == ("3 of 100 videos done, 2 running, 1 failed, 13 frames/s, about 9:42.000 left")


def test_a_second_run_of_a_watch_counts_on() -> None:
    """Also what another process had, which is tried once more."""
    overview, videos = progress_._Overview(), [Path(f"{n}.mp4") for n in range(4)]
    for number, video in enumerate(videos[:3], start=1):
        overview.add(Started(video, number, 3))
        overview.add(BeingIndexed(video) if number == 2 else ended(video))
    overview.add(Started(videos[1], 1, 1))
    assert (overview.ended, overview.total) == (2, 3)
    overview.add(ended(videos[1]))
    overview.add(Started(videos[3], 1, 1))
    assert overview.text().startswith("3 of 4 videos done, 1 running")


def test_a_terminal_shows_some_bars_of_many(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = open_terminal(monkeypatch)
    monkeypatch.setenv("COLUMNS", "150")
    with progress_.progress() as show:
        for number in range(1, 13):
            show(Started(Path(f"{number}.mp4"), number, 12, f"n{number}"))
    text = terminal.getvalue()
    assert "0 of 12 videos done, 12 running" in text
    assert "8 of 12: 8.mp4 on n8" in text
    assert "9 of 12" not in text


def test_plain_progress_is_not_a_line_for_every_event(capsys: pytest.CaptureFixture[str]) -> None:
    video = Path("a.mp4")
    with progress_.progress() as show:
        show(Started(video, 1, 1))
        for frame in range(1000):
            show(Progress(video, "indexing", frame, 1000))
    assert capsys.readouterr().err == ""


def test_on_a_terminal_a_bar_says_which_video_of_how_many(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = open_terminal(monkeypatch)
    video = Path("films/a.mp4")
    with progress_.progress() as show:
        show(Started(video, 3, 7))
        show(Progress(video, "reading", 50, 100))
        show(Progress(video, "indexing", 25, 100))
    assert "3 of 7: a.mp4" in terminal.getvalue()


def test_index_says_which_video_of_how_many(run: Run, film: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    args = (film, tmp_path / "broken.mp4", "--store", tmp_path / "s", "--engine", "fake")
    lines = run("index", *args).stderr.splitlines()
    assert "indexing 1 of 2: two.mp4" in lines
    assert "indexing 2 of 2: broken.mp4" in lines


@pytest.mark.parametrize("name", ["facereel", "python cli.py"])
def test_messages_name_the_program_as_it_was_called(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    monkeypatch.setattr(console._Program, "name", name)
    for options in ((), ("--json",)):
        result = run("info", "gone.mp4", "--store", tmp_path, *options)
        assert f"run: {name} index --store" in result.output
        assert ("facereel index" in result.output) is (name == "facereel")


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_commands_that_are_named_work_on_the_same_store(
    tmp_path: Path, run: Run, options: tuple[str, ...]
) -> None:
    store = tmp_path / 'my "own" store'
    output = run("info", "gone.mp4", "--store", store, *options).output
    quoted = json.dumps(f"'{store}'")[1:-1] if options else f"'{store}'"
    assert f"run: facereel index --store {quoted} gone.mp4" in output


def test_a_store_is_named_once_and_the_default_never(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "run: facereel people undo 3; facereel index --force a --store s (or facereel list)"
    assert console.as_called(text) == text
    monkeypatch.setattr(console._Program, "store", Path("x"))
    named = "run: facereel people undo --store x 3; facereel index --force a --store s (or facereel list --store x)"
    assert console.as_called(text) == named


def test_only_commands_are_renamed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console._Program, "name", "python cli.py")
    assert console.as_called("run: facereel index a") == "run: python cli.py index a"
    for text in (
        "the package facereel is there",
        "/home/facereel index",
        "facereel indexes",
        "x-facereel list",
    ):
        assert console.as_called(text) == text


def test_python_cli_py_names_itself(tmp_path: Path) -> None:
    for words, name in (
        ([sys.executable, "cli.py"], "python cli.py"),
        ([sys.executable, "-m", "facereel.cli"], "python -m facereel.cli"),
    ):
        done = subprocess.run(
            [*words, "info", "gone.mp4", "--store", str(tmp_path)], cwd=ROOT, capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        assert f"run: {name} index --store" in done.stderr
        done = subprocess.run([*words, "list", "x"], cwd=ROOT, capture_output=True, text=True, check=False)
        assert f"Usage: {name} list" in done.stderr


def test_the_version_is_shown(run: Run) -> None:
    result = run("--version")
    assert (result.exit_code, result.stdout) == (0, f"facereel {__version__}\n")


@pytest.mark.parametrize(
    ("command", "call"),
    [
        ("index", ("index", "x.mp4")),
        ("query", ("query", "x.png")),
        ("forget", ("forget", "x.png", "--yes")),
        ("list", ("list",)),
    ],
)
def test_ctrl_c_says_what_it_leaves(
    run: Run, monkeypatch: pytest.MonkeyPatch, command: str, call: tuple[str, ...]
) -> None:
    def interrupt(*args: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(api, "Library", interrupt)
    result = run(*call)
    assert result.exit_code == 130
    assert result.stderr == cli.STOPPED.get(command, "stopped") + "\n"


def test_errors_are_one_line_that_a_terminal_does_not_obey(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fail(*args: object, **options: object) -> None:
        raise OptionError("a\nb\x1b[31mc")

    monkeypatch.setattr(api, "Library", fail)
    assert run("list").stderr == "error: a b\\x1b[31mc\n"
