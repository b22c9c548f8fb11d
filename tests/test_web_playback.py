"""What a player gets of the server: a source that plays, or a copy made by a job, whole or in ranges."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from facereel.api import Library
from facereel.query.web.jobs import Jobs, Progress
from facereel.store.files.digest import hash_file
from facereel.store.files.folders import index_folders
from tests.in_process import InProcess
from tests.program import Run
from tests.video_factory import Recipe, write_video


def page_of(store: Path) -> InProcess:
    return InProcess(Library(store, engine="fake"), store.parent)


def ended(client: InProcess, job: str) -> dict[str, object]:
    while True:
        data: dict[str, object] = client.get(f"/api/jobs/{job}").json()
        if data["state"] in ("done", "failed", "cancelled"):
            return data
        time.sleep(0.01)


def test_a_source_that_browsers_play_needs_no_copy(store: Path) -> None:
    (folder,) = index_folders(store)
    client = page_of(store)
    assert client.get(f"/api/playback/{folder.name}").json() == {"address": f"/media/video/{folder.name}"}
    assert client.get(f"/media/proxy/{folder.name}").status_code == 404


def test_a_source_that_they_do_not_play_is_copied_once(run: Run, tmp_path: Path) -> None:
    store = tmp_path / "faceindex"
    video = write_video(tmp_path / "old film.avi", Recipe(codec="mpeg4"))
    assert run("index", video, "--store", store, "--engine", "fake").exit_code == 0
    (folder,) = index_folders(store)
    name = folder.name.replace(" ", "%20")
    client = page_of(store)
    assert client.get(f"/api/playback/{name}").json() == {"address": None}
    job = ended(client, client.post(f"/api/playback/{name}/proxy", {}).json()["job"])
    assert job["title"] == "Preparing old film.avi for playing"
    assert (job["done"], job["total"]) == (49, 50)
    assert job["result"] == client.get(f"/api/playback/{name}").json() == {"address": f"/media/proxy/{name}"}
    whole = client.get(f"/media/proxy/{name}")
    assert whole.content == (folder / "proxy.mp4").read_bytes()
    part = client.get(f"/media/proxy/{name}", headers={"Range": "bytes=4-7"})
    assert (part.status_code, part.content) == (206, b"ftyp")
    library = Library(store, engine="fake")
    library.remove(folder)
    assert client.get(f"/media/proxy/{name}").status_code == 404


def test_a_copy_that_fails_names_no_folder_of_the_machine(run: Run, tmp_path: Path) -> None:
    store, films = tmp_path / "faceindex", tmp_path / "films"
    films.mkdir()
    video = write_video(films / "old.avi", Recipe(codec="mpeg4", frames=3))
    assert run("index", video, "--store", store, "--engine", "fake").exit_code == 0
    video.unlink()
    (folder,) = index_folders(store)
    client = page_of(store)
    job = ended(client, client.post(f"/api/playback/{folder.name}/proxy", {}).json()["job"])
    error = job["error"]
    assert isinstance(error, dict)
    assert error["message"].startswith("films/old.avi is no longer there; put it back")
    assert str(tmp_path) not in str(client.get("/api/jobs").json())


def test_work_with_a_key_is_done_once_at_a_time() -> None:
    jobs, goes_on = Jobs(), threading.Event()

    def wait(progress: Progress) -> dict[str, object]:
        while not goes_on.is_set():
            progress.report(0, 1)
            time.sleep(0.005)
        return {}

    first = jobs.start("proxy", "one", wait, key="a")
    assert jobs.start("proxy", "the same", wait, key="a") is first
    other = jobs.start("proxy", "another", wait, key="b")
    assert other is not first
    jobs.cancel(first.id)
    while first.state != "cancelled":
        time.sleep(0.005)
    again = jobs.start("proxy", "one", wait, key="a")
    assert again is not first
    goes_on.set()
    while {other.state, again.state} != {"done"}:
        time.sleep(0.005)
    jobs.close()
    assert [job.state for job in jobs.all()] == ["cancelled", "done", "done"]


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("/mnt/films/a.mp4 is gone", "a.mp4 is gone"),
        ("/mnt/an na/my films/a b.mp4 is gone", "a b.mp4 is gone"),
        ("/films/a.mp4 and /films/b.mp4 differ", "a.mp4 and b.mp4 differ"),
        ("run: facereel index '/mnt/films/x y.mp4' --store /mnt/index", "run: facereel index 'x y.mp4' --store index"),
        (r"D:\films\anna\a.mp4 is gone", "a.mp4 is gone"),
        (r"\\server\share\a.mp4 is gone", "a.mp4 is gone"),
        ("https://example.org/a/b, 24/7, outputs/joey", "https://example.org/a/b, 24/7, outputs/joey"),
        ("the frames n/a of /a", "the frames n/a of /a"),
    ],
)  # fmt: skip
def test_messages_keep_the_names_of_files_and_lose_their_folders(
    tmp_path: Path, message: str, shown: str
) -> None:
    assert page_of(tmp_path / "faceindex").site.scrub(message) == shown


def test_folders_of_the_site_are_known_whatever_their_names(tmp_path: Path) -> None:
    place = tmp_path / "it's, a place"
    (place / "faceindex").mkdir(parents=True)
    site = page_of(place / "faceindex").site
    assert site.scrub(f"{place / 'faceindex'} cannot be written") == "faceindex cannot be written"
    assert site.scrub(f"{place / 'outputs' / 'joey'} is there") == "joey is there"


def test_a_source_whose_time_has_changed_is_hashed_once(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder,) = index_folders(store)
    client = page_of(store)
    os.utime(client.site.library.source(folder), ns=(1, 1))
    hashed = []

    def counted(path: Path) -> str:
        hashed.append(path)
        return hash_file(path)

    monkeypatch.setattr("facereel.indexer.media.source.hash_file", counted)
    for first in range(5):
        ranges = {"Range": f"bytes={first}-{first + 9}"}
        assert client.get(f"/media/video/{folder.name}", headers=ranges).status_code == 206
    assert len(hashed) == 1
