"""Ask, as somebody uses it: drop a photo, choose who is meant, look, tick, cut, play, download."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path

from playwright.sync_api import Page, expect

from tests.browser.conftest import Visit
from tests.program import SAMPLES
from tests.served import Site

A_NUMBER = re.compile(r"^\d")
CUT_MS = 60_000  # clips of a busy machine
# Plays from a time on until it goes back: the time it went back to, and the last one before.
_PLAYED_TO = """(video, from) => new Promise((resolve) => {
    let before = from;
    const look = () => {
        if (video.currentTime < before - 0.2) return resolve([video.currentTime, before]);
        before = video.currentTime;
        requestAnimationFrame(look);
    };
    video.currentTime = from;
    video.play();
    look();
})"""


def ask(page: Page, photo: Path) -> None:
    """Choose a photo, and wait until its answer is listed."""
    page.set_input_files("#file", photo)
    expect(page.get_by_label("Name of the result")).to_have_value(photo.stem)
    expect(page.locator("[data-match]").first).to_be_visible()


def seconds(text: str) -> float:
    """`1:02.480` in seconds."""
    minutes, rest = text.rsplit(":", 1)
    return 60 * int(minutes) + float(rest)


def obama(site: Site) -> Path:
    return site.root / "people" / "obama" / "obama2.jpg"


def test_chosen_matches_are_cut_play_and_can_be_downloaded(site: Site, visit: Visit) -> None:
    page = visit(site, "/ask")
    before = {path for path in site.root.rglob("*") if site.store not in path.parents}
    ask(page, obama(site))
    assert {path for path in site.root.rglob("*") if site.store not in path.parents} == before
    rows = page.locator("[data-match]")
    number = rows.count()
    assert number > 2
    expect(page.locator("#status")).to_contain_text(f"{number} matches in 1 video")
    rows.first.get_by_role("checkbox").uncheck()
    expect(page.locator("#cut")).to_contain_text(f"Cut {number - 1} clips")
    page.locator("#command-box summary").click()
    expect(page.locator("#command")).to_contain_text("--only 'sample.mp4#t")
    page.locator("#cut").click()
    clips = page.locator("#result video")
    expect(clips).to_have_count(number - 1, timeout=CUT_MS)
    result = site.out / "obama2"
    files = [clip["file"] for clip in json.loads((result / "metadata.json").read_text())["clips"]]
    assert len(files) == number - 1
    clips.first.evaluate("video => { video.muted = true; return video.play(); }")
    played = clips.first.evaluate(
        """video => new Promise((resolve) => video.requestVideoFrameCallback(() => resolve(video.videoWidth)))"""
    )
    assert played > 0
    with page.expect_download() as download:
        page.locator("#result").get_by_role("link", name="Download").first.click()
    assert download.value.suggested_filename == files[0]
    assert Path(download.value.path()).read_bytes() == (result / files[0]).read_bytes()


def test_one_of_two_faces_is_chosen(visit: Visit, common_site: Site) -> None:
    page = visit(common_site, "/ask")
    page.set_input_files("#file", SAMPLES / "two_faces.jpg")
    faces = page.get_by_role("group", name="Faces found in two_faces.jpg").get_by_role("button")
    expect(faces).to_have_count(2)
    expect(faces.nth(0)).to_have_attribute("aria-pressed", "true")
    page.get_by_role("status").filter(has_text="Searched 1 video").or_(
        page.get_by_text("Nobody in")
    ).wait_for()
    with page.expect_response("**/api/ask/answers") as first:
        faces.nth(1).click()
    expect(faces.nth(1)).to_have_attribute("aria-pressed", "true")
    with page.expect_response("**/api/ask/answers") as second:
        faces.nth(0).click()
    answers = [
        {(match["folder"], match["tracklet"]) for match in asked.value.json()["matches"]}
        for asked in (first, second)
    ]
    assert answers[0] != answers[1]


def test_a_dropped_photo_is_asked(visit: Visit, common_site: Site) -> None:
    page = visit(common_site, "/ask")
    content = base64.b64encode((SAMPLES / "people" / "biden" / "biden.jpg").read_bytes()).decode()
    transfer = page.evaluate_handle(
        """(content) => {
            const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
            const transfer = new DataTransfer();
            transfer.items.add(new File([bytes], "biden.jpg", { type: "image/jpeg" }));
            return transfer;
        }""",
        content,
    )
    page.dispatch_event("#drop", "drop", {"dataTransfer": transfer})
    expect(page.locator("[data-match]").first).to_be_visible()
    expect(page.get_by_role("textbox", name="Name of the result")).to_have_value("biden")


def test_a_photo_without_a_face_says_so(visit: Visit, common_site: Site, expected_faults: list[str]) -> None:
    expected_faults.append("status of 400")
    page = visit(common_site, "/ask")
    page.set_input_files("#file", SAMPLES / "no_face.jpg")
    expect(page.locator("#status")).to_contain_text("No face found in no_face.jpg")
    page.set_input_files("#file", SAMPLES / "README.md")
    expect(page.locator("#status")).to_contain_text("README.md")
    expect(page.locator("[data-match]")).to_have_count(0)


def test_somebody_of_the_library_is_asked_for_and_narrowed(
    visit: Visit, common_site: Site, expected_faults: list[str]
) -> None:
    page = visit(common_site, "/ask")
    page.locator(".anybody a").first.click()
    rows = page.locator("[data-match]")
    expect(rows.first).to_be_visible()
    number = rows.count()
    page.locator("#narrow summary").click()
    page.get_by_label("At least, seconds").fill("1000")
    page.get_by_label("At least, seconds").blur()
    expect(rows).to_have_count(0)
    expect(page.locator("#status")).to_contain_text("shorter than asked for")
    page.get_by_label("At least, seconds").fill("")
    page.get_by_label("At least, seconds").blur()
    expect(rows).to_have_count(number)
    expected_faults.append("status of 400")
    page.get_by_role("combobox", name="Without").fill("Nobody Of That Name")
    page.keyboard.press("Enter")
    expect(page.locator("#status")).to_contain_text('Nobody in the library is called "Nobody Of That Name"')
    page.get_by_role("button", name="Remove Nobody Of That Name").click()
    expect(rows).to_have_count(number)


def test_a_match_plays_with_a_box_on_its_face(visit: Visit, common_site: Site) -> None:
    page = visit(common_site, "/ask")
    ask(page, SAMPLES / "people" / "obama" / "obama2.jpg")
    row = page.locator("[data-match]").first
    row.locator(".play").click()
    video = row.locator("video")
    expect(row.locator(".moment-face")).to_have_attribute("width", A_NUMBER)
    expect(row.locator(".moment-crop")).to_have_attribute("width", A_NUMBER)
    page.wait_for_timeout(300)
    start = float(str(row.locator(".cut-time").get_attribute("href")).split("t=")[1])
    assert abs(video.evaluate("video => video.currentTime") - start) < 20
    row.locator(".play").click()
    expect(video).to_have_count(0)


def test_a_match_ends_where_it_ends_in_browsers_that_report_no_frames(
    visit: Visit, common_site: Site
) -> None:
    page = visit(common_site)
    page.add_init_script("delete HTMLVideoElement.prototype.requestVideoFrameCallback")
    page.goto("/ask")
    ask(page, SAMPLES / "people" / "obama" / "obama2.jpg")
    row = page.locator("[data-match]").first
    first, _, last = row.locator(".cut-time").inner_text().split(" ")
    start, end = seconds(first), seconds(last)
    row.locator(".play").click()
    expect(row.locator(".moment-face")).to_have_attribute("width", A_NUMBER)
    video = row.locator("video")
    expect(video).to_have_js_property("readyState", 4)
    times = video.evaluate(_PLAYED_TO, end - 0.4)
    assert start - 0.1 <= times[0] < times[1] <= end + 0.3, (start, end, times)


def test_everything_is_done_with_the_keyboard(site: Site, visit: Visit) -> None:
    page = visit(site, "/ask", width=360)
    ask(page, obama(site))
    boxes = page.locator("[data-match] input")
    page.keyboard.press("x")
    expect(page.locator("#cut")).to_be_disabled()
    boxes.nth(1).focus()
    page.keyboard.press("Space")
    expect(page.locator("#cut")).to_contain_text("Cut 1 clip,")
    page.keyboard.press("c")
    expect(page.locator("#cut")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#result video")).to_have_count(1, timeout=CUT_MS)
    expect(page.locator("#result")).to_be_focused()


def test_a_result_of_something_else_is_replaced_only_when_it_is_said(
    site: Site, visit: Visit, expected_faults: list[str]
) -> None:
    expected_faults.append("status of 409")
    page = visit(site, "/ask")
    for photo in ("obama/obama2.jpg", "biden/biden.jpg"):
        ask(page, site.root / "people" / photo)
        page.keyboard.press("x")
        page.get_by_role("textbox", name="Name of the result").fill("them")
        page.locator("[data-match] input").first.check()
        page.locator("#cut").click()
        if photo.startswith("obama"):
            expect(page.locator("#result video")).to_have_count(1, timeout=CUT_MS)
    replace = page.get_by_role("dialog", name="Replace the old result?")
    expect(replace).to_contain_text("holds the result of another query")
    replace.get_by_role("button", name="Cancel").click()
    assert reference_of(site.out / "them") == "obama2.jpg"
    page.locator("#cut").click()
    replace.get_by_role("button", name="Replace").click()
    expect(page.locator("#result")).to_be_visible(timeout=CUT_MS)
    assert reference_of(site.out / "them") == "biden.jpg"


def test_timelines_and_handles_are_chosen_with_the_clips(site: Site, visit: Visit) -> None:
    page = visit(site, "/ask")
    page.locator(".anybody a").first.click()
    page.locator("[data-match]").first.wait_for()
    page.keyboard.press("x")
    page.locator("[data-match] input").first.check()
    page.locator("#more-options summary").click()
    page.get_by_label("Handles, frames").fill("4")
    page.get_by_label("EDL").check()
    page.locator("#command-box summary").click()
    expect(page.locator("#command")).to_contain_text("--handles 4 --export edl")
    page.get_by_label("Whole shots").check()
    expect(page.get_by_label("Handles, frames")).to_be_disabled()
    page.get_by_label("Whole shots").uncheck()
    page.locator("#cut").click()
    expect(page.locator("#result video")).to_have_count(1, timeout=CUT_MS)
    with page.expect_download() as download:
        page.locator("#result").get_by_role("link", name=".edl").click()
    assert Path(download.value.path()).read_text().startswith("TITLE:")


def test_a_match_is_rejected_where_it_is_listed_and_that_is_undone(site: Site, visit: Visit) -> None:
    page = visit(site, "/ask")
    page.locator(".anybody a").first.click()
    rows = page.locator("[data-match]")
    rows.first.wait_for()
    number = rows.count()
    rows.nth(1).get_by_role("checkbox").uncheck()
    rows.first.get_by_role("button", name="Not person").click()
    expect(rows).not_to_have_count(number)
    expect(rows.first.get_by_role("checkbox")).not_to_be_checked()  # which was the second
    page.get_by_role("button", name="Undo").click()
    expect(rows).to_have_count(number)
    page.wait_for_load_state("networkidle")


def reference_of(result: Path) -> str:
    """The name of the photo that a result was asked with."""
    (reference,) = json.loads((result / "metadata.json").read_text())["references"]
    return str(reference["file"])
