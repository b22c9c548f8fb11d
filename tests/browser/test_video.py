"""Video, by what a user does: look at frames, step, say who a face is."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from facereel import Library
from tests.browser.boxes import CountedVideo, counted_video, look, outlines_only
from tests.browser.conftest import Visit
from tests.served import Site

FRAMES = 240


@pytest.fixture(scope="module")
def counted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CountedVideo]:
    """A film that shows the number of each frame, served."""
    with counted_video(tmp_path_factory.mktemp("counted"), FRAMES) as film:
        yield film


def path(site: Site) -> str:
    """The page of the sample film."""
    (folder,) = site.store.glob("sample.mp4-*")
    return f"/videos/{folder.name}"


def at_frame(page: Page, frame: int) -> None:
    """Wait until a frame is on the screen with its boxes."""
    expect(page.locator("#overlay")).to_have_attribute("data-frame", str(frame))


def test_the_box_on_a_frame_is_that_of_the_frame_that_pixels_show(
    visit: Visit, counted: CountedVideo
) -> None:
    page = visit(counted.site, f"{counted.path}?frame=3")
    outlines_only(page)
    # The page may be left and entered anew, or seek and step: the picture and its box stay those of one frame.
    for frame in random.Random(15).sample(sorted(counted.lefts), 6):
        page.goto(f"{counted.path}?frame={frame}")
        at_frame(page, frame)
        outlines_only(page)
        page.keyboard.press(".")
        following = min(frame + 1, FRAMES - 1)
        at_frame(page, following)
        assert look(page).frame == following
        left = page.locator("#overlay rect").get_attribute("x")
        assert left is not None
        assert float(left) == pytest.approx(counted.lefts[following], abs=0.06)


def test_keys_step_through_frames_and_appearances(visit: Visit, common_site: Site) -> None:
    page = visit(common_site, f"{path(common_site)}?frame=100")
    at_frame(page, 100)
    for key, frame in ((".", 101), (",", 100), ("Home", 0)):
        page.keyboard.press(key)
        at_frame(page, frame)
    (folder,) = common_site.store.glob("sample.mp4-*")
    starts = sorted({one.start_frame for one in Library(common_site.store).timeline(folder.name).stretches})
    for frame in [start for start in starts if start > 0][:2]:
        page.keyboard.press("]")
        at_frame(page, frame)
    page.keyboard.press("[")
    at_frame(page, next(start for start in starts if start > 0))
    expect(page).to_have_url(re.compile(r"frame=\d+$"))


def test_l_plays_and_k_pauses(visit: Visit, common_site: Site) -> None:
    page = visit(common_site, f"{path(common_site)}?frame=10")
    at_frame(page, 10)
    page.keyboard.press("l")
    expect(page.locator("#overlay")).not_to_have_attribute("data-frame", re.compile(r"^1?\d$"))
    page.keyboard.press("k")
    expect(page.locator("#play")).to_have_text("Play")


def test_a_face_is_named_by_keyboard_and_that_is_undone(visit: Visit, site: Site) -> None:
    library = Library(site.store)
    (folder,) = site.store.glob("sample.mp4-*")
    stretch = next(one for one in library.timeline(folder.name).stretches if one.person is not None)
    page = visit(site, f"{path(site)}?frame={stretch.start_frame}", width=360, dark=True)
    at_frame(page, stretch.start_frame)
    page.locator(f"#here [data-face='{stretch.tracklet}']").focus()
    page.keyboard.press("Enter")
    page.keyboard.type("Zoe")
    page.keyboard.press("Enter")
    expect(page.locator(f"#here [data-face='{stretch.tracklet}']")).to_contain_text("Zoe")
    assert library.people.find("Zoe").id == stretch.person
    page.get_by_role("button", name="Undo").click()
    expect(page.locator(f"#here [data-face='{stretch.tracklet}']")).not_to_contain_text("Zoe")
    assert not library.people.has_name("Zoe")


def test_a_face_that_is_not_the_person_leaves_the_row(visit: Visit, site: Site) -> None:
    library = Library(site.store)
    (folder,) = site.store.glob("sample.mp4-*")
    stretch = next(one for one in library.timeline(folder.name).stretches if one.person is not None)
    page = visit(site, f"{path(site)}?frame={stretch.start_frame}")
    at_frame(page, stretch.start_frame)
    page.locator(f"#overlay rect[data-tracklet='{stretch.tracklet}']").click()
    page.get_by_role("button", name=re.compile("^Not ")).click()
    expect(page.get_by_role("status").get_by_text("Not person")).to_be_visible()
    owners = {one.tracklet: one.person for one in library.timeline(folder.name).stretches}
    assert owners[stretch.tracklet] != stretch.person
