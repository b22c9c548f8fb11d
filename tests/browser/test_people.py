"""People, as somebody uses the page: naming in place, merging several, hiding, and undoing each."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from facereel.api import Library
from tests.browser.conftest import Visit
from tests.served import Site


def ids(page: Page) -> list[int]:
    page.locator(".person").first.wait_for()
    return [int(one.get_attribute("data-person") or 0) for one in page.locator(".person").all()]


def test_somebody_is_named_in_place_by_keys_and_it_is_undone(site: Site, visit: Visit) -> None:
    page = visit(site, "/people")
    person = ids(page)[0]
    page.get_by_role("button", name=f"Name person {person}").press("Enter")
    page.keyboard.type("Anna <b>")
    page.keyboard.press("Enter")
    expect(page.get_by_role("link", name="Anna <b>", exact=True)).to_be_visible()
    assert Library(site.store).people.find("Anna <b>").id == person
    page.get_by_role("button", name="Undo").press("Enter")
    expect(page.get_by_role("link", name="Anna <b>", exact=True)).to_have_count(0)
    assert Library(site.store).people.page(named=True).total == 0


def test_a_name_that_cannot_be_is_refused_and_can_be_mended(
    site: Site, visit: Visit, expected_faults: list[str]
) -> None:
    expected_faults.append("status of 400")
    page = visit(site, "/people")
    page.get_by_role("button", name="Name person").first.click()
    page.get_by_label("Name", exact=True).fill("12")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_contain_text("looks like the id of a person")
    page.keyboard.press("Escape")
    expect(page.get_by_label("Name", exact=True)).to_have_count(0)


def test_several_are_merged_and_that_is_undone_at_once(site: Site, visit: Visit) -> None:
    page = visit(site, "/people")
    before = ids(page)
    for person in before[:3]:
        page.get_by_label(f"Choose person {person}").press("Space")
    expect(page.get_by_text("3 chosen")).to_be_visible()
    page.get_by_role("button", name="Merge into one person").click()
    page.get_by_role("button", name="Merge", exact=True).click()
    expect(page.get_by_role("status")).to_contain_text(f"3 people are one now: person {before[0]}")
    assert sorted(ids(page)) == sorted([before[0], *before[3:]])
    page.get_by_role("button", name="Undo").click()
    expect(page.locator(".person")).to_have_count(len(before))


def test_hidden_people_are_listed_apart_and_come_back(site: Site, visit: Visit) -> None:
    page = visit(site, "/people")
    person = ids(page)[0]
    page.get_by_label(f"Choose person {person}").check()
    page.get_by_role("button", name="Hide").click()
    expect(page.get_by_role("status")).to_contain_text("is hidden")
    assert person not in ids(page)
    page.get_by_role("link", name="Hidden people").click()
    assert ids(page) == [person]
    page.get_by_label(f"Choose person {person}").check()
    page.get_by_role("button", name="List again").click()
    expect(page.locator("main")).to_contain_text("Nobody is hidden")


def test_the_log_says_what_was_decided_and_undoes_it(site: Site, visit: Visit) -> None:
    person = Library(site.store).people.all()[0]
    Library(site.store).people.name(str(person.id), "Bert")
    page = visit(site, "/log")
    expect(page.locator("tbody tr")).to_have_count(1)
    expect(page.locator("tbody")).to_contain_text(f"person {person.id} is called Bert")
    page.get_by_role("button", name="Undo decision 1").press("Enter")
    expect(page.locator("tbody tr")).to_have_count(2)
    expect(page.locator("tbody")).to_contain_text("undone")
    assert not Library(site.store).people.has_name("Bert")


def test_who_names_one_after_another_goes_on_where_they_were(site: Site, visit: Visit) -> None:
    page = visit(site, "/people")
    first, *others = ids(page)
    for person in (first, others[0]):
        page.get_by_role("button", name=f"Name person {person}").click()
        page.keyboard.type(f"Somebody {person}")
        page.keyboard.press("Enter")
        expect(page.get_by_role("link", name=f"Somebody {person}", exact=True)).to_be_visible()
        page.wait_for_load_state("networkidle")
        # The section is open as before, and nobody is in it twice.
        expect(page.locator("#unnamed .person").first).to_be_visible()
        assert len(ids(page)) == len(set(ids(page))) == len(others) + 1
