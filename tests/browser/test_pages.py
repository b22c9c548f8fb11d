"""What holds for every page: axe finds nothing grave, nobody scrolls sideways, no mouse is needed."""

from __future__ import annotations

import queue
import webbrowser
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page

from facereel.query.web.opening import opened
from tests.browser import access
from tests.browser.conftest import Visit
from tests.served import Site

PAGES = {
    "Library": "/",
    "People": "/people",
    "Log": "/log",
    "Person": "/people/{person}",
    "Review": "/review",
    "Video": "/videos/{folder}",
    "Ask": "/ask",
}
EVERY_PAGE = pytest.mark.parametrize("path", PAGES.values(), ids=PAGES)

SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")

# What has the focus: a short name, and whether it can be seen.
_FOCUS = """() => {
    const element = document.activeElement;
    if (!element || element === document.body) return null;
    const box = element.getBoundingClientRect();
    const style = getComputedStyle(element);
    return {
        name: `${element.tagName.toLowerCase()} ${element.getAttribute("aria-label") ?? element.textContent}`.trim()
            .replace(/\\s+/g, " ").slice(0, 60),
        inMain: Boolean(element.closest("main")),
        shown: box.width > 0 && box.height > 0 && box.bottom > 0 && box.right > 0
            && box.top < innerHeight && box.left < innerWidth,
        marked: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2,
    };
}"""


def here(site: Site, path: str) -> str:
    """An address of this library: `{folder}` is the index of the sample film, `{person}` one of its people."""
    (folder,) = site.store.glob("sample.mp4-*")
    return path.format(folder=folder.name, person=1)


def settled(page: Page) -> Page:
    """A page that has asked for all it wants."""
    page.wait_for_load_state("networkidle")
    return page


@EVERY_PAGE
def test_axe_finds_nothing_grave_and_nobody_scrolls_sideways(
    visit: Visit, common_site: Site, path: str
) -> None:
    page = settled(visit(common_site, here(common_site, path)))
    for width in (1280, 360):
        page.set_viewport_size({"width": width, "height": 740})
        assert access.overflow(page) == []
        for scheme in SCHEMES:
            page.emulate_media(color_scheme=scheme)
            assert access.faults(page) == [], (width, scheme)


@EVERY_PAGE
def test_everything_is_reached_by_tab_and_seen_when_it_is(visit: Visit, common_site: Site, path: str) -> None:
    page = settled(visit(common_site, here(common_site, path)))
    page.keyboard.press("Tab")
    assert page.evaluate(_FOCUS)["name"] == "a Skip to content"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    # A picture that leads where the link beside it leads is left out.
    reachable = page.locator(
        "main :is(a[href]:not([tabindex='-1']), button:enabled, input:enabled, select:enabled, summary):visible"
    ).count()
    stops = []
    for _ in range(reachable + 30):
        page.keyboard.press("Tab")
        if (focus := page.evaluate(_FOCUS)) is None or not focus["inMain"]:
            break
        stops.append(focus)
    assert [stop["name"] for stop in stops if not stop["shown"]] == []
    assert [stop["name"] for stop in stops if not stop["marked"]] == []
    # One of a group of radio buttons has the focus for all of them; arrows choose among them.
    radios = page.locator("main input[type=radio]:visible").count()
    assert len(stops) >= reachable - radios


@EVERY_PAGE
def test_no_place_of_the_machine_is_in_a_page(visit: Visit, common_site: Site, path: str) -> None:
    page = settled(visit(common_site, here(common_site, path)))
    assert str(common_site.root) not in page.content()
    assert page.locator("h1").count() == 1
    assert page.title() != " · FaceReel"


def test_the_file_that_is_opened_instead_of_the_address_leads_to_the_page(
    browser: Browser, common_site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    words: queue.Queue[str] = queue.Queue()
    monkeypatch.setattr(webbrowser, "open", words.put)
    with browser.new_context() as context, opened(common_site.address):
        page = context.new_page()
        page.goto(words.get(timeout=60), wait_until="commit")
        page.wait_for_url(f"{common_site.origin}/")
        assert page.get_by_role("heading", level=1).inner_text() == "Library"
