"""Review, as somebody uses it: answer by keys, undo, skip; and nothing is asked twice."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from facereel.api import Library
from tests.browser.conftest import Visit
from tests.served import Site, serve_here
from tests.test_joining import Face, index, look, people_of


@pytest.fixture
def doubtful(tmp_path: Path, expected_faults: list[str]) -> Iterator[Site]:
    """A library in which Ann may be one of two others, whose videos are not there."""
    store = tmp_path / "faceindex"
    index(store, "a", Face(look(0), 1))
    index(store, "b", Face(look(58), 1))
    index(store, "c", Face(look(-58), 1))
    Library(store).people.name(str(people_of(store, "a")[0]), "Ann")
    expected_faults.append("status of 4")  # no picture of a video that is gone
    with serve_here(store, tmp_path) as site:
        yield site


def people(site: Site) -> dict[int, tuple[str | None, bool, int]]:
    """Name, hidden, number of clusters of everybody, by id."""
    everybody = Library(site.store).people.all(hidden=True)
    return {one.id: (one.name, one.hidden, one.clusters) for one in everybody}


def candidate(page: Page) -> str:
    """Who is asked about, once the answer before is settled."""
    page.locator("body:not([aria-busy])").wait_for()
    return page.locator("#right h3").inner_text()


def said(page: Page, text: str) -> None:
    expect(page.locator("#said")).to_contain_text(text)


def test_answers_are_decisions_and_nothing_is_asked_twice(visit: Visit, doubtful: Site) -> None:
    before = people(doubtful)
    page = visit(doubtful, "/review")
    expect(page.get_by_role("heading", name="Is this Ann?")).to_be_visible()
    expect(page.locator("#gain")).to_contain_text("Ann gains")
    first = candidate(page)
    page.keyboard.press("n")
    said(page, f"{first} is not Ann")
    assert candidate(page) != first
    page.keyboard.press("y")
    said(page, "Ann gained")
    assert people(doubtful)[people_of(doubtful.store, "a")[0]][2] == 2
    expect(page.get_by_role("heading", name="Nothing left to ask")).to_be_visible()
    page.reload()
    expect(page.get_by_role("heading", name="Nothing left to ask")).to_be_visible()
    assert len(people(doubtful)) == len(before) - 1


def test_each_answer_is_undone_by_a_key(visit: Visit, doubtful: Site) -> None:
    before = people(doubtful)
    page = visit(doubtful, "/review")
    first = candidate(page)
    for key in "ynis":
        page.keyboard.press(key)
        said(page, "1 answer in this visit")
        page.keyboard.press("u")
        said(page, "Undone")
        assert candidate(page) == first
        assert people(doubtful) == before
    page.keyboard.press("u")
    said(page, "no answer of this visit to undo")


def test_a_skipped_question_waits_until_it_is_asked_for(visit: Visit, doubtful: Site) -> None:
    page = visit(doubtful, "/review", width=360, dark=True)
    first = candidate(page)
    page.keyboard.press("s")
    said(page, "Skipped")
    page.reload()
    assert candidate(page) != first
    page.keyboard.press("i")
    said(page, "is hidden")
    expect(page.get_by_role("heading", name="Nothing left to ask")).to_be_visible()
    page.get_by_role("button", name="Ask 1 skipped question again").click()
    expect(page.get_by_role("heading", name="Is this Ann?")).to_be_visible()
    assert candidate(page) == first


def test_two_tabs_do_not_decide_twice(visit: Visit, doubtful: Site) -> None:
    page = visit(doubtful, "/review")
    other = page.context.new_page()
    other.goto("/review")
    candidate(page)
    candidate(other)
    page.keyboard.press("y")
    said(page, "Ann gained")
    decisions = len(Library(doubtful.store).people.log())
    other.keyboard.press("y")
    expect(other.locator("#toasts")).to_contain_text("one person already")
    assert len(Library(doubtful.store).people.log()) == decisions
    assert candidate(other) == candidate(page)
