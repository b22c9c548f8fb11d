"""What happens meanwhile: another tab decides, a video is indexed again or removed, a browser dies."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from tests.browser.chromium import chromium
from tests.browser.conftest import Visit
from tests.fake_engine import film_of_two
from tests.program import ROOT
from tests.served import START_SECONDS, Site, copy_store, serve

_FAKE = ("-m", "tests.fake_cli")
_POST = """async ([address, body]) => {
    const { post } = await import("/static/lib/api.js");
    try { return await post(address, body); } catch (error) { return { error: error.message, status: error.status }; }
}"""
_FOLLOW = """async (job) => {
    const { follow } = await import("/static/lib/jobs.js");
    return new Promise((resolve) => follow(job, resolve));
}"""


@pytest.fixture
def small_site(film_store: Path, film: Path, tmp_path: Path) -> Iterator[Site]:
    """A server over the index of a film of two people, which is made anew in a second."""
    video = Path(shutil.copy(film, tmp_path))
    with serve(
        copy_store(film_store, tmp_path / "faceindex", video), tmp_path, "--engine", "fake", program=_FAKE
    ) as site:
        yield site


def folder_of(site: Site) -> str:
    """The name of the only index."""
    (folder,) = site.store.glob("*.mp4-*")
    return folder.name


def command(site: Site, *words: str) -> None:
    """Another program changes the library meanwhile."""
    line = [sys.executable, *_FAKE, *words, "--store", str(site.store)]
    subprocess.run(line, cwd=ROOT, check=True, capture_output=True, timeout=100)


def post(page: Page, address: str, body: object) -> dict[str, Any]:
    """What the page's own JavaScript gets for an answer."""
    answer: dict[str, Any] = page.evaluate(_POST, [address, body])
    return answer


@contextmanager
def killable(browser: Browser, profile: Path) -> Iterator[tuple[Page, Callable[[], None]]]:
    """A page in a browser of its own, and what kills that at once, with all its processes."""
    words = ["--headless=new", "--no-sandbox", "--remote-debugging-port=0", f"--user-data-dir={profile}"]
    process = subprocess.Popen(
        [str(chromium()), *words, "about:blank"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )

    def kill() -> None:
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        process.kill()
        process.wait()

    try:
        # The browser writes down where it listens.
        place, until = profile / "DevToolsActivePort", time.monotonic() + START_SECONDS
        while not (place.exists() and len(place.read_text().splitlines()) == 2):
            assert time.monotonic() < until
            time.sleep(0.05)
        port, path = place.read_text().splitlines()
        remote = browser.browser_type.connect_over_cdp(f"ws://127.0.0.1:{port}{path}")
        yield remote.contexts[0].new_page(), kill
    finally:
        if process.poll() is None:
            kill()


def test_a_video_is_indexed_again_and_removed_while_its_page_is_open(
    small_site: Site, visit: Visit, expected_faults: list[str]
) -> None:
    folder = folder_of(small_site)
    page = visit(small_site, f"/videos/{folder}")
    page.locator("svg[data-overlay]").wait_for()
    command(small_site, "index", str(small_site.root / "two.mp4"), "--force", "--engine", "fake")
    answer = page.reload()
    assert answer is not None
    assert answer.status == 200
    page.locator("svg[data-overlay]").wait_for()
    expected_faults.append("status of 404")
    command(small_site, "remove", "two.mp4")
    answer = page.reload()
    assert answer is not None
    assert answer.status == 404
    page.get_by_role("link", name="To the library").click()
    assert page.locator("h1").inner_text() == "Library"


def test_two_tabs_undo_the_same_decision(small_site: Site, visit: Visit, expected_faults: list[str]) -> None:
    page = visit(small_site, "/people/1")
    other = page.context.new_page()
    other.goto("/people/1")
    named = post(page, "/api/people/1/name", {"name": "Anna"})
    assert len(named["decisions"]) == 1
    assert "decisions" in post(other, "/api/undo", {"decisions": named["decisions"]})
    expected_faults.append("status of 400")
    again = post(page, "/api/undo", {"decisions": named["decisions"]})
    assert again["status"] == 400
    assert "undone" in again["error"]


def test_a_browser_that_dies_in_the_middle_of_a_film_harms_nobody(small_site: Site, visit: Visit) -> None:
    page = visit(small_site)
    (cookie,) = page.context.cookies()
    folder = folder_of(small_site)
    request = (
        f"GET /media/video/{folder} HTTP/1.1\r\nHost: 127.0.0.1:{small_site.port}\r\n"
        f"Cookie: {cookie['name']}={cookie['value']}\r\n\r\n"
    )
    for _ in range(30):
        with socket.create_connection(("127.0.0.1", small_site.port), timeout=20) as connection:
            connection.sendall(request.encode())
            assert connection.recv(15) == b"HTTP/1.1 200 OK"
    answer = page.goto(f"/videos/{folder}")
    assert answer is not None
    assert answer.status == 200


def test_a_browser_that_is_killed_while_a_video_is_indexed_breaks_nothing(
    small_site: Site, browser: Browser, tmp_path: Path
) -> None:
    film_of_two(small_site.root / "other.mp4", seconds=2)
    with killable(browser, tmp_path / "profile") as (page, kill):
        page.goto(small_site.address)
        page.get_by_role("button", name="Add videos").click()
        page.get_by_role("checkbox", name="other.mp4").check()
        page.get_by_role("button", name="Index 1 video").click()
        page.locator(".job").wait_for()
        kill()
    with small_site.client() as client:
        until = time.monotonic() + 100
        while (job := client.get("/api/jobs").json()["jobs"][0])["state"] == "running":
            assert time.monotonic() < until
            time.sleep(0.05)
        assert (job["state"], job["result"]["failed"]) == ("done", [])
        (folder,) = small_site.store.glob("other.mp4-*")
        assert client.get(f"/videos/{folder.name}").status_code == 200
    command(small_site, "verify")


def test_who_follows_work_of_a_server_that_was_started_again_hears_of_its_end(
    small_site: Site, visit: Visit, expected_faults: list[str]
) -> None:
    page = visit(small_site)
    lost = page.evaluate(_FOLLOW, "0123456789abcdef")
    assert (lost["state"], "started again" in lost["error"]["message"]) == ("failed", True)
    page.get_by_text("the server was started again").wait_for()
    # That server has another token, too.
    expected_faults.append("status of 403")
    page.context.clear_cookies()
    refused = page.evaluate(_FOLLOW, "0123456789abcdef")
    assert (refused["state"], "open the address" in refused["error"]["message"]) == ("failed", True)
