"""What is left of somebody after `forget` and `remove` by the page: neither in the server nor on the browser's disk."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from facereel import Library, api
from facereel.store.files.folders import index_folders
from tests.in_process import InProcess


@pytest.fixture
def library(store: Path) -> Library:
    """A small library that the test may change; person 1 is Anna."""
    library = Library(store, engine="fake")
    library.people.name("1", "Anna")
    return library


@pytest.fixture
def page(library: Library, tmp_path: Path) -> InProcess:
    """Its page."""
    return InProcess(library, tmp_path)


def forget(page: InProcess) -> dict[str, object]:
    plan = page.get("/api/people/1/forget-plan").json()["plan"]
    job = page.post("/api/people/1/forget", {"plan": plan}).json()["job"]["id"]
    until = time.monotonic() + 60
    while time.monotonic() < until:
        found: dict[str, object] = page.get(f"/api/jobs/{job}").json()
        if found["state"] in ("done", "failed"):
            return found
        time.sleep(0.02)
    raise TimeoutError(job)


def test_forgetting_leaves_no_name_in_jobs_and_no_answer(page: InProcess) -> None:
    cut = page.site.jobs.start("cut", "Cutting Anna", lambda progress: {"folder": "Anna"})
    while cut.state != "done":
        time.sleep(0.01)
    answer = page.post("/api/ask/answers", {"person": "1"}).json()["id"]
    assert forget(page)["state"] == "done"
    assert "Anna" not in page.get("/api/jobs").text
    assert page.post(f"/api/ask/answers/{answer}/command", {"chosen": []}).status_code == 404


def test_forgetting_that_fails_drops_answers_too(page: InProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = page.post("/api/ask/answers", {"person": "1"}).json()["id"]

    def full(plan: api.ForgetPlan, also_weaker: bool = False) -> api.ForgetReport:
        raise api.UnwritableError("no space is left")

    monkeypatch.setattr(api.ForgetPlan, "apply", full)
    assert forget(page)["state"] == "failed"
    assert page.post(f"/api/ask/answers/{answer}/command", {"chosen": []}).status_code == 404


def test_what_was_indexed_meanwhile_is_said(page: InProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    apply = api.ForgetPlan.apply

    def later(plan: api.ForgetPlan, also_weaker: bool = False) -> api.ForgetReport:
        (folder,) = index_folders(page.site.library.store)
        folder.rename(folder.with_name(f"other.mp4-{folder.name[-12:]}"))
        return apply(plan, also_weaker=also_weaker)

    monkeypatch.setattr(api.ForgetPlan, "apply", later)
    result = forget(page)["result"]
    assert isinstance(result, dict)
    (since,) = result["indexed_since"]
    assert since.startswith("other.mp4-")
    assert result["being_indexed"] == 0


def test_removing_drops_answers_and_frames(page: InProcess) -> None:
    (folder,) = index_folders(page.site.library.store)
    assert page.get(f"/pictures/frame/{folder.name}/0").status_code == 200
    assert page.site.frames._frames
    answer = page.post("/api/ask/answers", {"person": "1"}).json()["id"]
    assert page.post("/api/library/remove", {"folder": folder.name}).status_code == 200
    assert page.post(f"/api/ask/answers/{answer}/command", {"chosen": []}).status_code == 404
    assert not page.site.frames._frames


def test_what_two_pages_hold_is_apart(page: InProcess, library: Library, tmp_path: Path) -> None:
    answer = page.post("/api/ask/answers", {"person": "1"}).json()["id"]
    other = InProcess(library, tmp_path)
    assert other.post(f"/api/ask/answers/{answer}/command", {"chosen": []}).status_code == 404


def test_no_picture_is_written_to_the_disk_of_the_browser(page: InProcess) -> None:
    (folder,) = index_folders(page.site.library.store)
    for address in (
        "/pictures/person/1", f"/pictures/face/{folder.name}/c1", f"/pictures/poster/{folder.name}",
        f"/pictures/frame/{folder.name}/0", f"/api/track/{folder.name}/c1", f"/media/video/{folder.name}",
    ):  # fmt: skip
        answer = page.get(address)
        assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store"), address
