"""Requests that are not as our own pages send them: other programs' cookies, names that hide files, odd JSON."""

from __future__ import annotations

from pathlib import Path

import pytest

from facereel import Library
from facereel.api import OptionError
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
        body = {"who": name, "whole": whole, "person": 1, "version": library.version(index.name)}
        answer = page.post(f"/api/videos/{index.name}/faces/{face}/identify", body)
        assert answer.status_code == 400
        assert "looks like" in answer.json()["error"]["message"]
    assert not library.people.log()


def test_fields_of_another_type_are_refused(page: InProcess, library: Library) -> None:
    wrong: list[tuple[str, object]] = [
        ("ask/answers", {"person": "1", "not": 5}), ("ask/answers", {"person": "1", "not": [{}]}),
        ("ask/answers", {"person": "1", "not": [[]]}), ("ask/answers", {"person": True}),
        ("ask/answers", {"person": {"a": 1}}), ("ask/answers", {"face": 5}), ("ask/answers", {"faces": 5}),
        ("ask/answers", {"faces": ["x"]}), ("ask/answers", {"person": "1", "with": 5}),
        ("ask/answers", {"person": "1", "with": [True]}), ("ask/answers", {"person": "9" * 5000}),
        ("ask/answers", {"person": "1", "min_duration": 10**400}),
        ("ask/answers", {"person": "1", "min_duration": True}), ("ask/answers", {"person": "1", "min_duration": -1}),
        ("people/merge", {"people": [True, 2]}), ("people/merge", {"people": [1, 10**30]}),
        ("people/hide", {"people": [True]}), ("people/hide", {"people": "12"}),
        ("people/hide", {"people": [1], "back": "yes"}), ("people/1/name", {"name": ["Anna"]}),
        ("people/1/accept", {"faces": [1]}), ("people/1/reject", {"faces": {"folder": "x"}}),
        ("people/1/cut", {"with": {"a": 1}}), ("people/1/cut", {"crop": []}), ("people/1/forget", {"also_weaker": 1}),
        ("review/again", {"person": "1", "other": "2"}), ("review/again", {"person": 1}),
        ("review/answer", {"person": 1, "other": 2, "answer": ["same"]}),
        ("undo", {"decisions": [10**30]}), ("library/index", {"paths": [5.0]}), ("library/index", {"paths": "x"}),
        ("library/index", {"folder": []}), ("library/remove", {"folder": {}}),
    ]  # fmt: skip
    for path, body in wrong:
        answer = page.post(f"/api/{path}", body)
        assert answer.status_code in (400, 404), (path, body, answer.text)
    assert not library.people.log()


def test_fields_of_a_choice_are_checked(page: InProcess) -> None:
    question = page.post("/api/ask/answers", {"person": "1"}).json()["id"]
    for body in ({"chosen": [0, 1]}, {"chosen": [True]}, {"chosen": [99]}, {"chosen": [0], "size": 10**400}):
        answer = page.post(f"/api/ask/answers/{question}/crops", body)
        assert answer.status_code == 400, body
    assert page.post(f"/api/ask/answers/{question}/crops", {"chosen": [0]}).status_code == 200


@pytest.mark.parametrize("digits", [25, 3_900, 5_000])
def test_numbers_of_thousands_of_digits_are_nobodys(page: InProcess, digits: int) -> None:
    number = "9" * digits
    for path in (f"/people/{number}", f"/pictures/person/{number}", f"/api/people/{number}/videos"):
        assert page.get(path).status_code in (400, 404, 414), path
    assert page.get(f"/people?page={number}").status_code == 200
    assert page.get(f"/ask?person={number}").status_code == 400


def test_half_a_character_is_no_text_and_no_damage(page: InProcess) -> None:
    body = rb'{"person": "1", "with": ["\udcff"], "name": "\udcff", "paths": ["\udcff"], "folder": "\udcff"}'
    for path in ("ask/answers", "people/1/name", "library/index", "library/remove"):
        answer = page.post(f"/api/{path}", content=body, headers={"Content-Type": "application/json"})
        assert (answer.status_code, answer.json()["error"]["kind"]) == (400, "OptionError")


def test_half_a_character_is_nobodys_name(library: Library) -> None:
    with pytest.raises(OptionError, match="nobody in the library is called"):
        library.people.find("\udcff")
    with pytest.raises(OptionError):
        library.people.name("1", "\udcff")
