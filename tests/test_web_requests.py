"""Requests that are not as our own pages send them: other programs' cookies, names that hide files, odd JSON."""

from __future__ import annotations

from pathlib import Path

import pytest

from facereel import Library
from facereel.store.files.folders import index_folders
from tests.in_process import InProcess


@pytest.fixture
def library(store: Path) -> Library:
    """A small library that the test may change."""
    return Library(store, engine="fake")


@pytest.fixture
def page(library: Library, tmp_path: Path) -> InProcess:
    """Its page."""
    return InProcess(library, tmp_path)


@pytest.mark.parametrize("other", ['x={"a": 1}', "bad", "a b=1", "_x=a@b,c", 'y="', "=", ""])
def test_cookies_of_other_programs_lock_nobody_out(page: InProcess, other: str) -> None:
    own = "facereel_8000=secret"
    for cookie in (own, f"{other}; {own}", f"{own}; {other}", f"{other};{own};{other}"):
        assert page.get("/api/jobs", headers={"Cookie": cookie}).status_code == 200, cookie
    for cookie in (other, f"{other}; facereel_8000=wrong", f"{other}; facereel_8001=secret"):
        assert page.get("/api/jobs", headers={"Cookie": cookie}).status_code == 403, cookie


@pytest.mark.parametrize("name", ["anna.jpg", "two.mp4#3"])
def test_a_face_gets_no_name_that_hides_a_file(page: InProcess, library: Library, name: str) -> None:
    (index,) = index_folders(library.store)
    face = library.people.moments("1")[0].tracklet
    for whole in (False, True):
        answer = page.post(f"/api/videos/{index.name}/faces/{face}/identify", {"who": name, "whole": whole})
        assert answer.status_code == 400
        assert "looks like" in answer.json()["error"]["message"]
    assert not library.people.log()
