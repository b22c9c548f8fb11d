"""A page that was opened before the library changed: what is said there happens to nobody else."""

from __future__ import annotations

from pathlib import Path

import pytest

from facereel import Library
from tests.in_process import InProcess


@pytest.fixture
def library(store: Path) -> Library:
    """A small library that the test may change."""
    return Library(store, engine="fake")


@pytest.fixture
def page(library: Library, tmp_path: Path) -> InProcess:
    """Its page."""
    return InProcess(library, tmp_path)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("people/2/name", {"name": "Ben"}),
        ("people/2/forget", {"plan": ""}),
        ("people/2/accept", {"faces": ["x/t1"]}),
        ("people/2/reject", {"faces": ["x/t1"]}),
        ("people/2/split", {"faces": ["x/t1"]}),
        ("people/2/cut", {}),
        ("people/hide", {"people": [1, 2]}),
        ("people/merge", {"people": [2, 3]}),
    ],
)
def test_what_is_said_about_a_person_who_was_merged_is_refused(
    page: InProcess, library: Library, path: str, body: dict[str, object]
) -> None:
    library.people.name("1", "Anna")
    library.people.merge("1", ["2"])
    before = library.people.log()
    answer = page.post(f"/api/{path}", body)
    assert answer.status_code == 409
    assert answer.json()["error"]["message"] == "person 2 is now part of Anna; reload the page"
    assert library.people.log() == before


def test_a_plan_to_forget_somebody_is_about_them_alone(page: InProcess, library: Library) -> None:
    library.people.name("2", "Ben")
    assert page.get("/api/people/2/forget-plan").json()["person"] == "Ben"
    library.people.merge("1", ["2"])
    assert page.get("/api/people/2/forget-plan").status_code == 409
