"""Who is let in, and how a browser gets there without a word that other users of the machine could read."""

from __future__ import annotations

import asyncio
import os
import queue
import re
import socket
import stat
import tempfile
import webbrowser
from contextlib import closing
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from starlette.types import Message

from facereel import Library
from facereel.query.web.guard import Guard
from facereel.query.web.opening import opened
from facereel.query.web.server import _listen
from tests.in_process import InProcess

ADDRESS = "http://127.0.0.1:8765/?token=secret"


def test_a_server_at_port_80_is_called_without_its_port(store: Path, tmp_path: Path) -> None:
    page = InProcess(Library(store, engine="fake"), tmp_path, port=80)
    assert page.get("/people").status_code == 200
    assert page.post("/api/people/1/name", {"name": "Anna"}).status_code == 200
    assert page.get("/people", headers={"Host": "127.0.0.1:80"}).status_code == 200


@pytest.mark.parametrize(
    ("host", "port", "ours"),
    [
        ("127.0.0.1", 80, True), ("[::1]", 80, True), ("localhost:80", 80, True), ("::1", 80, False),
        ("127.0.0.1:81", 80, False), ("evil.example", 80, False), ("", 80, False), (":80", 80, False),
        ("127.0.0.1", 8765, False), ("[::1]", 8765, False), ("[::1]:8765", 8765, True),
    ],
)  # fmt: skip
def test_a_host_without_a_port_is_that_of_port_80(host: str, port: int, ours: bool) -> None:
    async def app(*_: object) -> None:
        raise AssertionError("nobody asks")

    assert Guard(app, "secret", port, "::1")._is_our_name([host]) is ours


def test_a_link_from_elsewhere_leads_on_by_a_page_of_ours(store: Path, tmp_path: Path) -> None:
    page = InProcess(Library(store, engine="fake"), tmp_path)
    assert page.get("/ask?token=secret&x=%22%3E").headers["location"] == "/ask?x=%22%3E"
    from_a_file = page.get("/ask?token=secret&x=%22%3E", headers={"Sec-Fetch-Site": "cross-site"})
    assert (from_a_file.status_code, "set-cookie" in from_a_file.headers) == (200, True)
    assert 'content="0; url=/ask?x=%22%3E"' in from_a_file.text
    wrong = page.get("/ask?token=wrong", headers={"Sec-Fetch-Site": "cross-site"})
    assert (wrong.status_code, "set-cookie" in wrong.headers) == (403, False)


def test_the_browser_is_opened_without_the_token_among_its_words(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    abandoned, of_another = tmp_path / "facereel-open-1.html", tmp_path / "facereel-open-2.html"
    for file in (abandoned, of_another):
        file.write_text("an older token")
    os.utime(abandoned, (1, 1))
    words: queue.Queue[str] = queue.Queue()
    monkeypatch.setattr(webbrowser, "open", words.put)
    with opened(ADDRESS):
        word = words.get(timeout=60)
        file = Path(unquote(urlsplit(word).path))
        assert word.startswith("file:///")
        assert "secret" not in word
        assert re.findall(r"http://[^\s\"]+", file.read_text()) == [ADDRESS, ADDRESS]
        if os.name == "posix":
            assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [of_another]


def test_where_no_file_can_be_written_the_browser_is_not_opened(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    monkeypatch.setattr(webbrowser, "open", lambda word: pytest.fail(word))
    with opened(ADDRESS):
        assert list(tmp_path.iterdir()) == []


def test_on_windows_the_port_is_ours_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "SO_EXCLUSIVEADDRUSE", socket.SO_KEEPALIVE, raising=False)
    with closing(_listen("127.0.0.1", 0)) as listener:
        options = [
            listener.getsockopt(socket.SOL_SOCKET, one) for one in (socket.SO_KEEPALIVE, socket.SO_REUSEADDR)
        ]
    assert list(map(bool, options)) == [True, False]


def test_an_answer_that_the_end_of_the_server_cancels_is_no_fault(store: Path, tmp_path: Path) -> None:
    """uvicorn prints a traceback for whatever leaves the application."""

    async def cancelled(*_: object) -> None:
        raise asyncio.CancelledError

    async def receive() -> Message:
        raise AssertionError("nobody asks")

    async def send(message: Message) -> None:
        raise AssertionError("nothing is answered")

    scope = {
        "type": "http", "method": "GET", "path": "/", "query_string": b"",
        "headers": [(b"host", b"127.0.0.1:8765"), (b"cookie", b"facereel_8765=secret")],
    }  # fmt: skip
    asyncio.run(Guard(cancelled, "secret", 8765, "127.0.0.1")(scope, receive, send))
