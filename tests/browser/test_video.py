"""Video, by what a user does: look at frames, step, say who a face is."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from fractions import Fraction
from itertools import accumulate

import pytest
from playwright.sync_api import Page, expect

from facereel import Library
from facereel.store.index.reader import VideoIndex
from facereel.store.index.rewrite import drop_tracklets
from tests.browser.boxes import CountedVideo, counted_videos, look, outlines_only
from tests.browser.conftest import Visit
from tests.browser.counted_film import counted
from tests.served import Site

FRAMES = 90


_DURATIONS = (17, 33, 42, 100, 250)  # ms, of frames that do not last equally long
FILMS = {
    "constant.mp4": counted(FRAMES),
    "variable.mp4": counted(
        FRAMES,
        time_base=Fraction(1, 1000),
        pts=tuple(accumulate((_DURATIONS[number % 5] for number in range(FRAMES - 1)), initial=0)),
    ),
    "silent_and_late.mp4": counted(FRAMES, late=15),
    "late_after_its_sound.mp4": counted(FRAMES, late=15, audio="aac"),
    "turned.mp4": counted(FRAMES, rotation=90),
    "wide_pixels.mp4": counted(FRAMES, sample_aspect_ratio=Fraction(4, 3)),
}


# Chromium misses the report of a frame in one of some ten visits; so it misses all but the first.
_ONE_REPORT = """(() => {
    const request = HTMLVideoElement.prototype.requestVideoFrameCallback;
    let reports = 0;
    HTMLVideoElement.prototype.requestVideoFrameCallback = function (callback) {
        return reports++ === 0 ? request.call(this, callback) : 0;
    };
})()"""


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, CountedVideo]]:
    """Films that show the number of each frame, served."""
    with counted_videos(tmp_path_factory.mktemp("counted"), FILMS) as videos:
        yield videos


def path(site: Site) -> str:
    """The page of the sample film."""
    (folder,) = site.store.glob("sample.mp4-*")
    return f"/videos/{folder.name}"


def at_frame(page: Page, frame: int) -> None:
    """Wait until a frame is on the screen with its boxes."""
    expect(page.locator("#overlay")).to_have_attribute("data-frame", str(frame))


@pytest.mark.parametrize("name", FILMS)
def test_the_box_on_a_frame_is_that_of_the_frame_that_pixels_show(
    films: dict[str, CountedVideo], visit: Visit, name: str
) -> None:
    film = films[name]
    page = visit(film.site, f"{film.path}?frame=3")
    # The page may be left and entered anew, or seek and step: the picture and its box stay those of one frame.
    for frame in (FRAMES - 2, *random.Random(15).sample(sorted(film.lefts), 2)):
        page.goto(f"{film.path}?frame={frame}")
        at_frame(page, frame)
        outlines_only(page)
        page.keyboard.press(".")
        following = min(frame + 1, FRAMES - 1)
        at_frame(page, following)
        shown = look(page)
        assert shown.frame == following
        # Strokes are drawn on whole pixels of the screen, and compressed edges are soft.
        assert shown.left == pytest.approx(film.lefts[following], abs=1)


def test_a_frame_that_the_browser_does_not_report_has_its_box(
    films: dict[str, CountedVideo], visit: Visit
) -> None:
    film = films["constant.mp4"]
    page = visit(film.site)
    page.add_init_script(_ONE_REPORT)
    page.goto(f"{film.path}?frame=50")
    at_frame(page, 50)
    # It is drawn again with the player, at the same frame.
    page.set_viewport_size({"width": 1000, "height": 700})
    outlines_only(page)
    at_frame(page, 50)
    shown = look(page)
    assert shown.frame == 50
    assert shown.left == pytest.approx(film.lefts[50], abs=1)


def test_keys_step_through_frames_and_appearances(common_site: Site, visit: Visit) -> None:
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


def test_it_is_said_how_long_a_copy_still_takes(common_site: Site, visit: Visit) -> None:
    page = visit(common_site, "/people")
    texts = page.evaluate(
        """async () => {
          const { progress } = await import("/static/lib/playback.js");
          let now = 100;
          const text = progress(() => now);
          const at = (seconds, state, done) => ((now = 100 + seconds), text({ state, done, total: 1000 }));
          return [
            at(0, "queued", 0), at(30, "running", 100), at(31, "running", 150), at(40, "running", 300),
            at(3030, "running", 400), at(3330, "running", 1000),
          ];
        }"""
    )
    assert texts == [
        "waiting for other work", "10 %", "15 %", "30 %, about 35 s left", "40 %, about 100 min left",
        "100 %",
    ]  # fmt: skip


def test_l_plays_and_k_pauses(common_site: Site, visit: Visit) -> None:
    page = visit(common_site, f"{path(common_site)}?frame=10")
    at_frame(page, 10)
    page.keyboard.press("l")
    expect(page.locator("#overlay")).not_to_have_attribute("data-frame", re.compile(r"^1?\d$"))
    page.keyboard.press("k")
    expect(page.locator("#play")).to_have_text("Play")


def test_a_face_is_named_by_keyboard_and_that_is_undone(site: Site, visit: Visit) -> None:
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


def test_a_face_that_is_not_the_person_leaves_the_row(site: Site, visit: Visit) -> None:
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


def test_a_face_of_a_video_that_was_indexed_again_gets_no_name(
    site: Site, visit: Visit, expected_faults: list[str]
) -> None:
    expected_faults.append("status of 409")
    library = Library(site.store)
    (folder,) = site.store.glob("sample.mp4-*")
    first, *_, last = library.timeline(folder.name).stretches
    page = visit(site, f"{path(site)}?frame={first.start_frame}")
    at_frame(page, first.start_frame)
    page.locator(f"#here [data-face='{first.tracklet}']").click()
    with VideoIndex(folder) as index:
        version = index.version
    drop_tracklets(folder, [last.tracklet], version)
    page.keyboard.type("Zoe")
    page.keyboard.press("Enter")
    expect(page.locator("#toasts")).to_contain_text("was indexed again")
    assert not library.people.log()
    # What the page shows is new by then: the same again is a name.
    page.locator(f"#here [data-face='{first.tracklet}']").click()
    page.keyboard.type("Zoe")
    page.keyboard.press("Enter")
    expect(page.locator(f"#here [data-face='{first.tracklet}']")).to_contain_text("Zoe")
    assert library.people.has_name("Zoe")
