"""Review by the page: an answer is about the people who were asked about, and about nobody they became meanwhile."""

from __future__ import annotations

from pathlib import Path

import pytest

from facereel import Library
from facereel.store.library.people import LibraryPeople
from facereel.store.model.errors import OptionError
from tests.in_process import InProcess

ANSWERS = ["same", "different", "ignore", "skip"]


@pytest.fixture
def library(store: Path) -> Library:
    """A small library that the test may change."""
    return Library(store, engine="fake")


@pytest.fixture
def page(library: Library, tmp_path: Path) -> InProcess:
    """Its page."""
    return InProcess(library, tmp_path)


def state(library: Library) -> object:
    """Everything that an answer may change."""
    return library.people.all(hidden=True), library.people.log(), library.people.questions().skipped


@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize(("person", "other"), [(1, 2), (2, 1)])
def test_an_answer_about_people_who_were_merged_meanwhile_decides_nothing(
    page: InProcess, library: Library, answer: str, person: int, other: int
) -> None:
    library.people.merge("1", ["2"])
    before = state(library)
    refused = page.post("/api/review/answer", {"person": person, "other": other, "answer": answer})
    assert refused.status_code == 400
    assert "one person already" in refused.json()["error"]["message"]
    assert state(library) == before


@pytest.mark.parametrize("answer", ANSWERS)
def test_an_answer_about_a_part_of_somebody_or_a_forgotten_person_decides_nothing(
    page: InProcess, library: Library, answer: str
) -> None:
    (face,) = (one for one in library.people.details("2").appearances if one.folder is not None)
    assert face.folder is not None
    third = library.people.split("2", [f"{face.folder.name}#{face.clusters[0]}"]).split_off
    assert third is not None
    library.people.merge("1", [str(third.id)])
    before = state(library)
    for person, other in ((third.id, 2), (2, third.id), (1, 99)):
        refused = page.post("/api/review/answer", {"person": person, "other": other, "answer": answer})
        assert refused.status_code == 400
    assert state(library) == before
    library.people.erase(2)
    before = state(library)
    assert page.post("/api/review/answer", {"person": 1, "other": 2, "answer": answer}).status_code == 400
    assert state(library) == before


def test_each_answer_does_what_it_says(library: Library) -> None:
    people = library.people
    assert people.answer(1, 2, "skip").decisions == ()
    people.undo(*people.answer(1, 2, "ignore").decisions)
    different = people.answer(1, 2, "different")
    assert [face.person.id for face in different.faces if face.person] == [2]
    people.undo(*different.decisions)
    assert people.answer(1, 2, "same").person.id == people.find("2").id == 1
    assert [one.kind for one in people.log() if one.kind != "undo"] == ["hide", "reject", "merge"]


@pytest.mark.parametrize("words", [{}, {"person": True, "other": 2}, {"person": "1", "other": "2"}])
def test_what_is_no_answer_is_refused(page: InProcess, library: Library, words: dict[str, object]) -> None:
    before = state(library)
    assert page.post("/api/review/answer", words | {"answer": "same"}).status_code == 400
    with pytest.raises(OptionError, match="is no answer"):
        library.people.answer(1, 2, "perhaps")  # type: ignore[arg-type]  # what a page may send
    assert state(library) == before


def test_questions_are_read_without_writing(
    page: InProcess, library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = library.people.questions()
    monkeypatch.delattr(LibraryPeople, "writing")
    assert library.people.questions() == before
    assert page.get("/api/review/questions").status_code == 200
