"""Person, by what a user does: name, filter, split, cut, forget."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from facereel import Library
from tests.browser.conftest import Visit
from tests.served import Site


def longest(site: Site) -> int:
    """The id of who is shown longest."""
    return Library(site.store).people.all()[0].id


def test_every_appearance_leads_to_its_moment(common_site: Site, visit: Visit) -> None:
    person = longest(common_site)
    video = Library(common_site.store).people.videos(str(person)).videos[0]
    page = visit(common_site, f"/people/{person}")
    page.locator("#videos summary").click()
    expect(page.locator("#videos .pieces li")).to_have_count(len(video.pieces))
    page.locator("#videos .pieces a").nth(1).click()
    expect(page.locator("#overlay")).to_have_attribute("data-frame", str(video.pieces[1].start_frame))


def test_a_person_is_named_by_keyboard_and_filtered(site: Site, visit: Visit) -> None:
    library = Library(site.store)
    person, other = library.people.all()[:2]
    page = visit(site, f"/people/{person.id}", width=360, dark=True)
    expect(page.locator("#videos > li")).to_have_count(1)
    page.keyboard.press("n")
    page.keyboard.type("Zoe")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Zoe")
    assert library.people.find("Zoe").id == person.id
    page.locator("#other").fill(str(other.id))
    page.keyboard.press("Enter")
    expect(page.locator("#chips li")).to_contain_text(f"with {other.id}")
    together = library.people.videos("Zoe", present=[str(other.id)]).videos
    expect(page.locator("#videos > li")).to_have_count(len(together))
    page.wait_for_load_state("networkidle")  # possible matches are still searched for


def test_a_chosen_face_is_split_off_and_comes_back(site: Site, visit: Visit) -> None:
    library, person = Library(site.store), longest(site)
    before = len(library.people.all())
    page = visit(site, f"/people/{person}")
    page.locator("#faces input").first.check()
    page.get_by_role("button", name="Split off as somebody else").click()
    expect(page.get_by_text("1 face track split off")).to_be_visible()
    assert len(library.people.all()) == before + 1
    page.get_by_role("button", name="Undo").click()
    expect(page.locator("#toasts")).to_contain_text(re.compile("undone", re.IGNORECASE))
    assert len(library.people.all()) == before
    page.wait_for_load_state("networkidle")


def test_everything_is_cut(site: Site, visit: Visit) -> None:
    page = visit(site, f"/people/{longest(site)}")
    page.get_by_role("button", name="Cut everything").click()
    page.locator("#crop").select_option("tube")
    page.locator("#size").select_option("256")
    page.get_by_label("Handles, frames").press("Enter")  # as the button Cut
    expect(page.locator("#result h2")).to_contain_text("clips in", timeout=60_000)
    clips = page.locator("#result video")
    expect(clips.first).to_have_js_property("videoWidth", 256)
    folder, file = clips.first.evaluate("video => decodeURIComponent(video.src)").split("/")[-2:]
    assert (site.out / folder / file).is_file()


def test_timelines_alone_are_exported_and_an_edited_one_is_replaced_only_if_agreed(
    site: Site, visit: Visit
) -> None:
    page = visit(site, f"/people/{longest(site)}")

    def export() -> None:
        page.get_by_role("button", name="Cut everything").click()
        page.get_by_label("EDL").check()
        page.get_by_role("button", name="Only files for other programs").click()

    export()
    link = page.locator("#result").get_by_role("link", name=".edl")
    link.wait_for()
    file = site.out / link.inner_text()
    file.write_text("edited")
    export()
    page.get_by_role("dialog", name="Replace the old result?").get_by_role("button", name="Cancel").click()
    assert file.read_text() == "edited"
    export()
    page.get_by_role("dialog", name="Replace the old result?").get_by_role("button", name="Replace").click()
    expect(page.locator("#result")).to_be_focused()
    assert file.read_text().startswith("TITLE:")
    page.wait_for_load_state("networkidle")


def test_what_is_forgotten_is_shown_first_and_then_is_gone(site: Site, visit: Visit) -> None:
    library, person = Library(site.store), longest(site)
    page = visit(site, f"/people/{person}")
    page.get_by_role("button", name="Forget", exact=True).click()
    expect(page.locator("#forget-plan")).to_contain_text("sample.mp4")
    page.get_by_role("button", name="Cancel").click()
    assert person in {one.id for one in library.people.all()}
    page.get_by_role("button", name="Forget", exact=True).click()
    page.get_by_role("button", name="Forget for good").click()
    page.wait_for_url("**/people", timeout=60_000)
    assert person not in {one.id for one in library.people.all()}
