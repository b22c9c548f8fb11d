"""Undo by the page: what was decided is undone once, all of it or nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from facereel import Library
from facereel.api import OptionError
from tests.in_process import InProcess


@pytest.fixture
def library(store: Path) -> Library:
    """A small library that the test may change."""
    return Library(store, engine="fake")


@pytest.fixture
def page(library: Library, tmp_path: Path) -> InProcess:
    """Its page."""
    return InProcess(library, tmp_path)


def test_undo_takes_back_what_was_decided(page: InProcess, library: Library) -> None:
    first = library.people.name("1", "Anna")
    second = library.people.hide("2")
    answer = page.post("/api/undo", {"decisions": [*first.decisions, *second.decisions]})
    assert answer.status_code == 200
    assert answer.json()["message"] == "2 decisions undone"
    assert {person.name for person in library.people.all()} == {None}


def test_several_people_are_hidden_all_or_none_and_that_is_undone_at_once(
    page: InProcess, library: Library
) -> None:
    everybody = {one.id for one in library.people.all()}
    for missing in ([*everybody, 999], [999, *everybody]):
        assert page.post("/api/people/hide", {"people": missing}).status_code == 400
    assert {one.id for one in library.people.all()} == everybody
    assert not library.people.log()
    answer = page.post("/api/people/hide", {"people": [*everybody, *everybody]}).json()
    assert (library.people.all(), len(answer["decisions"])) == ((), len(everybody))
    assert page.post("/api/people/hide", {"people": [*everybody]}).status_code == 400
    assert page.post("/api/undo", {"decisions": answer["decisions"]}).status_code == 200
    assert {one.id for one in library.people.all()} == everybody
    first, second = map(str, sorted(everybody))
    library.people.hide(second)
    before = library.people.log()
    with pytest.raises(OptionError, match=f"person {second} is hidden already"):
        library.people.hide(first, second)
    with pytest.raises(OptionError, match=f"person {first} is not hidden"):
        library.people.unhide(second, first)
    assert library.people.log() == before


@pytest.mark.parametrize("numbers", [None, [], [True], ["1"], [1.5], 1])
def test_undo_of_nothing_in_particular_undoes_nothing(
    page: InProcess, library: Library, numbers: object
) -> None:
    library.people.name("1", "Anna")
    assert page.post("/api/undo", {"decisions": numbers}).status_code == 400
    assert library.people.find("Anna").id == 1


def test_undo_is_all_or_nothing(page: InProcess, library: Library) -> None:
    number = library.people.name("1", "Anna").decisions[0]
    answer = page.post("/api/undo", {"decisions": [number, 999]})
    assert answer.status_code == 400
    assert answer.json()["error"]["kind"] == "OptionError"
    assert library.people.find("Anna").id == 1


def test_the_log_says_what_was_decided_about_how_many_face_tracks(page: InProcess, library: Library) -> None:
    library.people.name("1", "Anna")
    library.people.reject("1", ["two.mp4#t2"])
    assert "1 face track is not Anna" in page.get("/log").text
