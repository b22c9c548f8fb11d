"""The server as a process: what it says, and how it ends."""

from __future__ import annotations

import signal
import socket
import time
from contextlib import closing
from pathlib import Path

import pytest

from facereel.store.files.folders import index_folders
from tests.program import Run
from tests.served import serve
from tests.video_factory import Recipe, write_video

FAKE = ("--engine", "fake")
PROGRAM = ("-m", "tests.fake_cli")


@pytest.fixture(scope="module")
def long_store(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with the index of a film that no browser plays, and whose proxy takes seconds to make."""
    place = tmp_path_factory.mktemp("long")
    video = write_video(place / "long.avi", Recipe(frames=300, size=(960, 540), codec="mpeg4"))
    assert run("index", video, "--store", place / "faceindex", *FAKE).exit_code == 0
    return place / "faceindex"


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="Windows ends a process without asking it")
@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_its_end_is_the_end_of_its_work(long_store: Path, tmp_path: Path, end: signal.Signals) -> None:
    (folder,) = index_folders(long_store)
    before = sorted(path.name for path in folder.iterdir())
    with serve(long_store, tmp_path, *FAKE, program=PROGRAM, end=end) as site, site.client() as client:
        prepare = f"/api/playback/{folder.name}/proxy"
        client.post(prepare, json={}, headers={"Origin": site.origin}).raise_for_status()
        while not (folder / ".proxy.mp4.part").exists():
            time.sleep(0.01)
    assert sorted(path.name for path in folder.iterdir()) == before


def test_who_is_still_connected_does_not_keep_it(store: Path, tmp_path: Path) -> None:
    with closing(socket.socket()) as half, serve(store, tmp_path, *FAKE, program=PROGRAM) as site:
        half.connect(("127.0.0.1", site.port))
        half.sendall(b"GET / HTTP/1.1\r\nHost: ")  # and no more
        with site.client() as client:
            assert client.get("/").status_code == 200


@pytest.mark.parametrize(("host", "warned"), [("127.0.0.1", False), ("0.0.0.0", True)])
def test_a_taken_port_is_named_with_the_remedy_and_other_hosts_with_a_warning(
    run: Run, store: Path, host: str, warned: bool
) -> None:
    with closing(socket.socket()) as other:
        other.bind((host, 0))
        other.listen()
        port = other.getsockname()[1]
        result = run("serve", "--store", store, "--host", host, "--port", str(port), "--no-browser", *FAKE)
    assert result.exit_code == 1
    assert f"nothing can be served at {host}, port {port}" in result.stderr
    assert "--port 0 for any that is free" in result.stderr
    assert ("nothing is encrypted, and faces are biometric data" in result.stderr) is warned
