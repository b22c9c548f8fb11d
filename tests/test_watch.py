"""Videos that come into a folder: each once, when it is whole; what is called when a video is done."""

from __future__ import annotations

import configparser
import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import numpy as np
import pytest
import watchfiles

from facereel import Indexed, Started, api
from facereel.indexer.engines.registry import LOADERS, load_engine
from facereel.indexer.jobs import watch
from facereel.indexer.jobs.events import Job
from facereel.indexer.jobs.local import LocalRunner
from facereel.indexer.jobs.watch import StillFiles, arrivals, is_open_for_writing
from facereel.query.terminal import hooks, indexing
from facereel.query.terminal.hooks import Hooks
from facereel.store.library.catalogue import Catalogue
from facereel.store.model.config import Config
from facereel.store.model.errors import OptionError
from tests.fake_engine import write_film
from tests.marked_engine import marked_engine
from tests.program import ROOT, Run
from tests.test_json import check


def test_a_file_is_given_once_it_has_stayed_the_same(tmp_path: Path) -> None:
    film, files = tmp_path / "film.mp4", StillFiles(5.0)
    film.write_bytes(b"half")
    files.look([film], 0.0)
    assert files.take(4.9) == []
    film.write_bytes(b"whole now")
    assert files.take(6.0) == [], "it has grown"
    assert files.take(11.0) == [film]
    files.look([film], 12.0)
    assert files.take(60.0) == [], "it was given"
    film.write_bytes(b"another film")
    files.look([film], 61.0)
    assert files.take(66.0) == [film]


def test_what_is_gone_empty_or_renamed_is_not_given(tmp_path: Path) -> None:
    part, film, empty = tmp_path / "film.part", tmp_path / "film.mp4", tmp_path / "empty.mp4"
    files = StillFiles(1.0)
    part.write_bytes(b"whole")
    empty.touch()
    files.look([part, empty, tmp_path / "never.mp4"], 0.0)
    part.rename(film)
    files.look([film], 2.0)
    assert files.take(2.0) == []
    assert files.take(3.0) == [film]
    empty.write_bytes(b"filled")
    assert files.take(4.0) == []
    assert files.take(5.0) == [empty]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says who has a file open")
def test_a_file_that_is_open_for_writing_is_waited_for_but_not_for_ever(tmp_path: Path) -> None:
    film, files = tmp_path / "film.mp4", StillFiles(1.0)
    with open(film, "wb") as writer:
        writer.write(b"frames")
        writer.flush()
        assert is_open_for_writing(film)
        files.look([film], 0.0)
        assert files.take(9.0) == []
        assert files.take(10.0) == [film]
    assert not is_open_for_writing(film)
    with open(film, "rb"):
        assert not is_open_for_writing(film)
    assert not is_open_for_writing(tmp_path / "gone.mp4")


@pytest.fixture
def batches(tmp_path: Path) -> Iterator[Callable[[], list[str]]]:
    """The names in the next batch that is not empty, of a folder `in` where files may come."""
    (tmp_path / "in").mkdir()
    stop = threading.Event()
    found = arrivals([tmp_path / "in"], 0.2, stop=stop)

    def names() -> list[str]:
        return [path.name for path in next(batch for batch in found if batch)]

    yield names
    stop.set()
    assert list(found) == [], "it ends"


def test_what_comes_into_folders_is_found(tmp_path: Path, batches: Callable[[], list[str]]) -> None:
    folder = tmp_path / "in"
    (folder / "first.mp4").write_bytes(b"1")
    (folder / "notes.txt").write_bytes(b"1")
    (folder / ".hidden.mp4").write_bytes(b"1")
    assert batches() == ["first.mp4"]
    (tmp_path / "second.mp4").write_bytes(b"2")
    (tmp_path / "second.mp4").rename(folder / "second.mp4")
    assert batches() == ["second.mp4"]
    (tmp_path / "day").mkdir()
    (tmp_path / "day" / "third.mp4").write_bytes(b"3")
    (tmp_path / "day").rename(folder / "day")
    assert batches() == ["third.mp4"]


def test_without_notifications_the_folders_are_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*paths: Path, **options: object) -> Iterator[object]:
        raise OSError("OS file watch limit reached")

    monkeypatch.setattr(watchfiles, "watch", fail)
    monkeypatch.setattr(watch, "_LISTING_SECONDS", 0.05)
    notes: list[str] = []
    found = arrivals([tmp_path], 0.1, note=notes.append)
    assert next(found) == []
    (tmp_path / "film.mp4").write_bytes(b"1")
    assert next(batch for batch in found if batch) == [tmp_path / "film.mp4"]
    (note,) = notes
    assert "OS file watch limit reached" in note


def test_only_folders_are_watched(tmp_path: Path) -> None:
    for name in ("gone", "film.mp4"):
        with pytest.raises(OptionError, match="no folder"):
            next(api.arrivals(tmp_path / name))


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 90
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_what_comes_while_a_video_is_indexed_begins_on_an_idle_worker(
    film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(LOADERS, "marked", partial(marked_engine, tmp_path))
    blue = write_film(tmp_path / "blue.mp4", [np.full((90, 160, 3), (255, 0, 0), np.uint8)] * 5)
    first, second = (Job(path, tmp_path / "s", Config()) for path in (blue, film))

    coming = [second]

    def arriving() -> list[Job]:
        """The second one, once the first is in work, which then waits for the file `go`."""
        return [coming.pop()] if (tmp_path / "waiting").exists() and coming else []

    ended: list[str] = []
    for event in LocalRunner(partial(load_engine, "marked"), workers=2).run([first], arriving):
        if isinstance(event, Started) and event.video == film:
            assert (event.number, event.total) == (2, 2)
        if isinstance(event, Indexed):
            ended.append(event.video.name)
            (tmp_path / "go").touch()
    assert ended == ["two.mp4", "blue.mp4"]


def test_a_watch_notices_what_comes_while_it_indexes(film: Path, tmp_path: Path) -> None:
    folder, batches = tmp_path / "in", list[list[str]]()
    folder.mkdir()
    shutil.copy(film, folder / "one.mp4")

    def index(videos: list[api.Source], *, arriving: Callable[[], list[Path]]) -> api.IndexReport:
        batches.append([video.name for video in videos])
        (folder / "two.mp4").write_bytes(b"2")
        while not (more := arriving()):
            time.sleep(0.05)
        batches.append([video.name for video in more])
        raise KeyboardInterrupt

    before = signal.getsignal(signal.SIGTERM)
    try:
        indexing.watch([str(folder)], 0.2, None, index)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert batches == [["one.mp4"], ["two.mp4"]]
    assert not [thread for thread in threading.enumerate() if thread.name == indexing.THREAD]


@pytest.mark.skipif(sys.platform == "win32", reason="no signal ends a process there that it could answer")
def test_a_folder_is_watched_until_a_signal_ends_it(tmp_path: Path, film: Path) -> None:
    folder, store, log = tmp_path / "in", tmp_path / "s", tmp_path / "log"
    folder.mkdir()
    shutil.copy(film, folder / "one.mp4")
    append = f"import sys; open({str(log)!r}, 'a').write(sys.stdin.read())"
    process = subprocess.Popen(
        [
            sys.executable, "-m", "tests.fake_cli", "index", "--watch", folder, "--store", store, "--engine", "fake",
            "--still", "0.3", "--on-done", f'"{sys.executable}" -c "{append}"',
        ],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip

    def events() -> list[dict[str, object]]:
        return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []

    try:
        wait_until(lambda: len(events()) == 1)
        (folder / "broken.mp4").write_bytes(b"no video")
        wait_until(lambda: len(events()) == 2)
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 0, err
    assert [(event["event"], Path(str(event["video"])).name) for event in events()] == [
        ("indexed", "one.mp4"), ("failed", "broken.mp4"),
    ]  # fmt: skip
    for event in events():
        check(event, "index-event")
        assert not {"faces", "people", "tracklets", "clusters", "sha256"} & event.keys()
    assert [one.video.name for one in Catalogue(store).all()] == ["one.mp4"]
    assert "one.mp4" in out
    assert "broken.mp4" in err
    assert err.splitlines()[-1].startswith("stopped; ")


def test_a_watch_has_no_end_for_json(run: Run, tmp_path: Path) -> None:
    assert run("index", tmp_path, "--watch", "--json").exit_code == 2


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("import sys; sys.exit('no\\n room')", "ended with code 1: no room"),
        ("import time; time.sleep(60)", "took longer than 0 s"),
        ("", ""),
    ],
)
def test_what_is_wrong_with_a_command_is_said_and_stops_nothing(
    command: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hooks, "COMMAND_SECONDS", 0.4 if "sleep" in command else 60.0)
    notes: list[str] = []
    with Hooks(f'"{sys.executable}" -c "{command}"', None, notes.append) as calls:
        calls.send({"event": "indexed"})
        calls.send({"event": "indexed"})
    assert len(notes) == (2 if words else 0)
    assert all(words in note for note in notes)


def test_a_command_is_no_shell_and_has_to_be_there(tmp_path: Path) -> None:
    notes: list[str] = []
    with Hooks(f"no-such-program > {tmp_path / 'out'}", None, notes.append) as calls:
        calls.send({})
    assert notes == ["--on-done: no-such-program cannot be run: No such file or directory"]
    assert not list(tmp_path.iterdir())
    for command in ("", "  ", "'open"):
        with pytest.raises(OptionError):
            Hooks(command, None, notes.append)
    for url in ("ftp://host/x", "host", "file:///etc/passwd", "https://", "http://[::1", "http://host:port/"):
        with pytest.raises(OptionError, match="is no address"):
            Hooks(None, url, notes.append)
    with pytest.raises(OptionError, match="names a user") as raised:
        Hooks(None, "https://anna:secret@host/x", notes.append)
    assert "secret" not in str(raised.value)


def test_an_address_gets_the_event_and_only_there() -> None:
    received: list[tuple[str, dict[str, object]]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            received.append((self.path, json.loads(self.rfile.read(length))))
            if self.path == "/nonsense":
                self.wfile.write(b"SSH-2.0\r\n")
                return
            self.send_response({"/ok": 204, "/elsewhere": 302}.get(self.path, 500))
            self.send_header("Location", "/ok")
            self.end_headers()

        do_GET = do_POST

        def log_message(self, *args: object) -> None:
            pass

    notes: list[str] = []
    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        base = f"http://127.0.0.1:{server.server_port}"
        for path in ("/ok", "/elsewhere", "/broken", "/nonsense"):
            with Hooks(None, base + path, notes.append) as calls:
                calls.send({"event": "indexed", "video": "/v/a\udce9.mp4"})
        server.shutdown()
    with Hooks(None, base, notes.append) as calls:
        calls.send({})
    assert [path for path, _ in received] == ["/ok", "/elsewhere", "/broken", "/nonsense"]
    assert received[0][1] == {"event": "indexed", "video": "/v/a\\xe9.mp4"}
    assert [note.partition("an event: ")[2][:3] for note in notes[:2]] == ["302", "500"]
    assert "SSH-2.0" in notes[2]
    assert "refused" in notes[3].lower()


def test_a_server_that_answers_byte_by_byte_holds_up_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hooks, "URL_SECONDS", 0.5)
    over = threading.Event()
    notes: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def drip() -> None:
            connection, _ = server.accept()
            with connection, suppress(OSError):
                while not over.wait(0.1):
                    connection.sendall(b"H")

        thread = threading.Thread(target=drip)
        thread.start()
        with Hooks(None, f"http://127.0.0.1:{server.getsockname()[1]}", notes.append) as calls:
            calls.send({})
        over.set()
        thread.join()
    assert "no answer within" in notes[0]


def block(language: str) -> str:
    """A listing of docs/archive.md."""
    text = (ROOT / "docs" / "archive.md").read_text(encoding="utf-8")
    found = re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)
    assert len(found) == 1
    return str(found[0])


def test_the_container_of_the_docs_is_one_that_compose_reads() -> None:
    yaml = pytest.importorskip("yaml", reason="Ray brings it")
    (service,) = yaml.safe_load(block("yaml"))["services"].values()
    assert service["build"] == "."
    assert (ROOT / "Dockerfile").is_file()
    mounts = {volume.split(":")[1] for volume in service["volumes"]}
    for name in (service["command"][2], service["command"][4]):
        assert any(name == mount or name.startswith(f"{mount}/") for mount in mounts), f"{name} is no volume"


def test_the_service_and_the_container_of_the_docs_start_what_there_is(run: Run, tmp_path: Path) -> None:
    service = configparser.ConfigParser(strict=False)
    service.optionxform = str  # type: ignore[assignment, method-assign]  # keys have capitals
    service.read_string(block("ini"))
    (command,) = re.findall(r"command: (\[.*\])", block("yaml"))
    options = run("index", "--help").stdout
    for words in (service["Service"]["ExecStart"].split()[1:], json.loads(command)):
        assert words[0] == "index"
        assert all(word in options for word in words if word.startswith("--"))
    if analyze := shutil.which("systemd-analyze"):
        unit = tmp_path / "facereel.service"
        unit.write_text(block("ini").replace("/opt/facereel/bin/facereel", sys.executable))
        done = subprocess.run([analyze, "verify", unit], capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, "")
