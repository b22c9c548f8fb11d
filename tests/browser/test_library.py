"""Library, as somebody uses it: looking for videos, adding them by browsing, typing and dropping, removing them."""

from __future__ import annotations

import base64
import shutil
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Visit
from tests.fake_engine import film_of_two
from tests.served import Site

INDEXING = 60_000  # ms


@pytest.fixture
def films(site: Site) -> Path:
    """A folder below the root with a short film of two people who are no people."""
    folder = site.root / "films"
    folder.mkdir()
    film_of_two(folder / "two.mp4", seconds=0.4)
    return folder


def videos(page: Page) -> list[str]:
    return page.locator(".video h2").all_inner_texts()


def test_a_film_is_chosen_by_browsing_and_indexed(site: Site, visit: Visit, films: Path) -> None:
    page = visit(site)
    assert videos(page) == ["sample.mp4"]
    page.get_by_role("button", name="Add videos").press("Enter")
    page.get_by_role("button", name="films/").press("Enter")
    page.get_by_role("checkbox", name="two.mp4").press("Space")
    page.get_by_role("button", name="Index 1 video").press("Enter")
    expect(page.locator(".video h2")).to_have_text(["sample.mp4", "two.mp4"], timeout=INDEXING)
    expect(page.get_by_role("status")).to_contain_text("1 video indexed")
    page.get_by_role("button", name="Add videos").click()
    page.get_by_role("button", name="films/").click()
    expect(page.get_by_role("checkbox", name="two.mp4")).to_be_disabled(timeout=INDEXING)


def test_a_path_is_typed_and_one_outside_is_refused(
    site: Site, visit: Visit, films: Path, expected_faults: list[str]
) -> None:
    expected_faults.append("status of 400")
    page = visit(site)
    page.get_by_role("button", name="Add videos").click()
    field = page.get_by_label("A file or folder below")
    field.fill("../")
    field.press("Enter")
    expect(page.get_by_role("status")).to_contain_text("--root")
    field.fill("films/two.mp4")
    field.press("Enter")
    expect(page.locator(".video h2")).to_have_text(["sample.mp4", "two.mp4"], timeout=INDEXING)


def drop(page: Page, film: Path) -> None:
    """What a browser does when a file is dropped on the page."""
    content = base64.b64encode(film.read_bytes()).decode()
    transfer = page.evaluate_handle(
        """([name, content]) => {
            const bytes = Uint8Array.from(atob(content), (one) => one.charCodeAt(0));
            const transfer = new DataTransfer();
            transfer.items.add(new File([bytes], name, { type: "video/mp4" }));
            return transfer;
        }""",
        [film.name, content],
    )
    for event in ("dragenter", "dragover", "drop"):
        page.dispatch_event("body", event, {"dataTransfer": transfer})


def test_a_dropped_film_is_copied_only_after_asking(
    site: Site, visit: Visit, films: Path, expected_faults: list[str]
) -> None:
    expected_faults.append("status of 409")
    film = Path(shutil.move(films / "two.mp4", films.parent.parent / f"a-{films.parent.name}.mp4"))
    page = visit(site)
    drop(page, film)
    page.get_by_role("button", name="Cancel").click()
    assert not (site.root / film.name).exists()
    drop(page, film)
    page.get_by_role("button", name="Copy and index").click()
    expect(page.locator(".video h2")).to_have_text([film.name, "sample.mp4"], timeout=INDEXING)
    assert (site.root / film.name).read_bytes() == film.read_bytes()
    drop(page, film)
    page.get_by_role("button", name="Copy and index").click()
    expect(page.get_by_role("status")).to_contain_text("is there already")
    assert [path.name for path in site.root.glob(".*part")] == []


def test_a_video_is_removed_only_after_asking(site: Site, visit: Visit) -> None:
    page = visit(site)
    page.get_by_role("button", name="Remove sample.mp4").click()
    page.get_by_role("button", name="Cancel").click()
    assert videos(page) == ["sample.mp4"]
    page.get_by_role("button", name="Remove sample.mp4").click()
    page.get_by_role("button", name="Remove", exact=True).click()
    expect(page.get_by_role("heading", name="No video yet")).to_be_visible()
    assert (site.root / "sample.mp4").exists()
    assert not list(site.store.glob("sample.mp4-*"))


def test_a_search_finds_videos_and_names(site: Site, visit: Visit) -> None:
    page = visit(site, "/people")
    page.get_by_role("button", name="Name person").first.click()
    page.get_by_label("Name", exact=True).fill("Samantha")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("status")).to_contain_text("is Samantha")
    page.goto("/")
    page.get_by_role("searchbox").fill("sam")
    page.get_by_role("searchbox").press("Enter")
    expect(page.locator(".person-found")).to_have_text(["Samantha"])
    assert videos(page) == ["sample.mp4"]
    page.get_by_role("searchbox").fill("zzz")
    page.get_by_role("searchbox").press("Enter")
    expect(page.locator("main")).to_contain_text("No video's name contains")


def test_a_video_that_is_gone_says_so(site: Site, visit: Visit) -> None:
    (site.root / "sample.mp4").unlink()
    page = visit(site)
    expect(page.locator(".video")).to_contain_text("missing")


def test_work_that_fails_at_once_is_complained_of(site: Site, visit: Visit, films: Path) -> None:
    """The page may hear of a job for the first time when it has failed; then no bar was ever shown."""
    page = visit(site)
    error = {"kind": "EngineError", "message": "the engine cannot be loaded"}
    job = {"id": "1", "kind": "index", "title": "Indexing two.mp4", "state": "failed", "error": error}
    page.route("**/api/library/index", lambda route: route.fulfill(json=job))
    page.route("**/api/jobs", lambda route: route.fulfill(json={"jobs": [job]}))
    page.get_by_role("button", name="Add videos").click()
    page.get_by_label("A file or folder below").fill("films/two.mp4")
    page.get_by_label("A file or folder below").press("Enter")
    expect(page.locator("#toasts")).to_contain_text("Indexing two.mp4: the engine cannot be loaded")
