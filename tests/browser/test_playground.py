"""The playground in Chromium: from dropped photos to a shared video, by mouse and by keyboard."""

import re
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from playwright.sync_api import Request, expect

from infra.local.stack import Stack
from tests.browser.playground import Playground, photos
from tests.browser.tab import Tab

pytestmark = [pytest.mark.timeout(300), pytest.mark.usefixtures("built_playground")]

NewTab = Callable[..., Tab]
PHONE = {"viewport": {"width": 360, "height": 740}, "device_scale_factor": 2, "is_mobile": True, "has_touch": True}


def test_photos_become_a_video_that_another_browser_plays(
    open_playground: Callable[..., Playground], new_tab: NewTab
) -> None:
    shown = open_playground()
    page = shown.page
    shown.drop(photos(3))
    shown.expect_uploaded(3)
    for number, words in enumerate(["a harbour", "the open sea", "an island"], 1):
        page.get_by_label(f"Caption of frame {number}").fill(words)
    handle, target = shown.button("Move frame 3"), shown.cards().first.locator("img")
    handle.hover()
    page.mouse.down()
    target.hover()
    page.mouse.up()
    assert shown.captions() == ["an island", "a harbour", "the open sea"]
    page.get_by_label("Prompt").fill("A voyage of 1902")
    page.get_by_label("Length in seconds").fill("3")
    page.get_by_label("Motion").select_option("Still")
    shown.make_video()
    assert page.locator("video").evaluate("video => [video.videoWidth, video.videoHeight]") == [854, 480]

    shown.button("Share").click()
    shown.button("Make a link").click()
    link = page.get_by_role("dialog").get_by_label("Link", exact=True)
    expect(link).to_have_value(re.compile("/api/watch/"))
    other = new_tab()
    other.page.goto(link.input_value())
    player = other.page.locator("video")
    player.evaluate("video => { video.muted = true; return video.play(); }")
    other.wait_until("document.querySelector('video').currentTime > 0.3")
    shown.expect_clean()
    page.keyboard.press("Escape")

    page.reload()
    expect(shown.cards()).to_have_count(3)
    shown.expect_video()
    shown.button("New").click()
    page.get_by_role("link", name="History").click()
    page.get_by_role("searchbox").fill("1902")
    page.keyboard.press("Enter")
    expect(page.locator(".session mark")).to_have_text("1902")
    shown.expect_clean()
    page.get_by_role("button", name="Open", exact=True).click()
    expect(shown.cards()).to_have_count(3)
    assert shown.captions() == ["an island", "a harbour", "the open sea"]
    shown.expect_video()
    assert shown.tab.complaints == []


def test_all_of_it_can_be_done_by_keyboard(open_playground: Callable[..., Playground]) -> None:
    shown = open_playground()
    press = shown.page.keyboard.press
    shown.tab_to("Draw six samples")
    press("Enter")
    shown.expect_uploaded(6)
    before = shown.captions()
    shown.tab_to("Move frame 1")
    press("ArrowRight")
    press("ArrowRight")
    expect(shown.page.locator("[aria-live]")).to_have_text("Frame moved to place 3 of 6.")
    press("End")
    press("ArrowLeft")
    assert shown.captions() == [*before[1:5], before[0], before[5]]
    shown.tab_to("Caption of frame 5")
    press("Control+A")
    shown.page.keyboard.type("Dawn, once more")
    shown.tab_to("Prompt")
    shown.tab_to("Length in seconds")
    press("Control+A")
    shown.page.keyboard.type("3")
    shown.tab_to("Motion")
    shown.page.keyboard.type("Still")
    shown.tab_to("Make the video")
    press("Enter")
    expect(shown.button("Render it")).to_be_focused()
    press("Enter")
    expect(shown.page.locator("video")).to_be_visible()
    shown.page.locator("video").focus()
    press("Space")
    shown.tab.wait_until("document.querySelector('video').currentTime > 0.2")
    shown.tab_to("Share")
    press("Enter")
    expect(shown.page.get_by_role("dialog")).to_be_visible()
    shown.tab_to("Make a link")
    press("Enter")
    expect(shown.page.get_by_role("dialog").get_by_label("Link", exact=True)).to_be_focused()
    press("Escape")
    expect(shown.button("Share")).to_be_focused()
    shown.expect_clean()


def test_thirty_photos_go_four_at_a_time_and_keep_their_order(open_playground: Callable[..., Playground]) -> None:
    shown = open_playground()
    under_way: set[Request] = set()
    most = 0

    def begin(request: Request) -> None:
        nonlocal most
        if request.url.endswith("/upload_image") and request.method == "POST":
            under_way.add(request)
            most = max(most, len(under_way))

    def end(request: Request) -> None:
        under_way.discard(request)

    shown.page.on("request", begin)
    shown.page.on("requestfinished", end)
    shown.drop(photos(30, (160, 90)))
    shown.expect_uploaded(30)
    assert 2 <= most <= 4
    shown.save(1)
    shown.page.reload()
    expect(shown.cards()).to_have_count(30)
    sources = [image.get_attribute("src") or "" for image in shown.page.locator(".card img").all()]
    numbers = [re.findall(r"/frame_(\d+)_", source) for source in sources]
    assert numbers == [[str(number)] for number in range(1, 31)]
    assert shown.tab.complaints == []


def test_a_large_photo_goes_by_a_ticket_with_progress_and_can_be_canceled(
    open_playground: Callable[..., Playground],
) -> None:
    shown = open_playground()
    heavy = photos(1, (1500, 1300))[0]
    # What follows the end of a PNG is no part of the picture.
    shown.drop([(heavy[0], heavy[1] + bytes(5 * 1024 * 1024 - len(heavy[1]))), *photos(1, first=2)])
    shown.expect_uploaded(2)
    assert any("/videomaker-ingest" in url for url in shown.tab.statuses)
    shown.page.route("**/api/upload_image", lambda _route: None)  # which never answers
    shown.drop(photos(1, first=3))
    shown.button("Cancel photo-3.png").click()
    expect(shown.cards().nth(2)).to_contain_text("Canceled")
    shown.page.unroute_all(behavior="ignoreErrors")
    shown.button("Send frame 3 after all").click()
    shown.expect_uploaded(3)
    shown.expect_clean()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("device", [{}, PHONE], ids=["desktop", "phone"])
def test_every_page_fits_and_is_accessible(
    open_playground: Callable[..., Playground], device: dict[str, object], scheme: str
) -> None:
    shown = open_playground(color_scheme=scheme, **device)
    shown.expect_clean()
    shown.button("Draw six samples").click()
    shown.expect_uploaded(6)
    shown.page.get_by_text("Travel postcard").click()
    expect(shown.page.get_by_label("Place")).to_be_visible()
    shown.expect_clean()
    shown.page.locator(".account").click()
    shown.expect_clean()
    shown.page.keyboard.press("Escape")
    shown.page.get_by_role("link", name="History").click()
    expect(shown.page.get_by_text("Nothing here yet")).to_be_visible()
    shown.expect_clean()


def test_the_first_view_is_small_and_nothing_moves_by_itself(open_playground: Callable[..., Playground]) -> None:
    shown = open_playground()
    shown.page.wait_for_load_state("networkidle")
    sizes = "[...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')]"
    loaded = shown.page.evaluate(f"{sizes}.reduce((sum, one) => sum + one.encodedBodySize, 0)")
    assert 10_000 < loaded < 150_000
    assert shown.page.evaluate("window.shifted") == 0
    shown.button("Draw six samples").click()
    shown.expect_uploaded(6)
    shown.page.reload()
    expect(shown.cards()).to_have_count(6)
    shown.page.wait_for_load_state("networkidle")
    assert shown.page.evaluate("window.shifted") == 0


def test_a_template_gives_words_and_looks(open_playground: Callable[..., Playground]) -> None:
    shown = open_playground()
    shown.drop(photos(1))
    shown.page.get_by_text("Vertical social").click()
    expect(shown.page.get_by_label("Shape")).to_have_value("9:16")
    shown.page.get_by_text("Travel postcard").click()
    shown.page.get_by_label("Place").fill("Porto")
    shown.save(1)
    shown.page.get_by_role("link", name="History").click()
    expect(shown.page.get_by_role("heading", name=re.compile("5 days in Porto"))).to_be_visible()
    shown.expect_clean()


def test_a_running_video_is_canceled_and_made_after_all(
    open_playground: Callable[..., Playground], database: psycopg.Connection[Any]
) -> None:
    shown = open_playground()
    shown.drop(photos(3))
    shown.expect_uploaded(3)
    shown.page.get_by_label("Length in seconds").fill("30")
    shown.button("Make the video").click()
    shown.button("Render it").click()
    expect(shown.page.locator(".clips .rendering").first).to_be_visible()
    shown.button("Cancel").click()
    expect(shown.page.get_by_role("alert")).to_contain_text("Video canceled")
    newest = "select status from public.final_videos order by id desc limit 1"
    assert database.execute(newest).fetchone() == ("canceled",)
    expect(shown.button("Make the video")).to_be_enabled()
    shown.expect_clean()
    shown.button("Try again").click()
    shown.expect_video()
    assert shown.tab.complaints == []


def test_without_usage_to_tell_nothing_else_is_missing(open_playground: Callable[..., Playground]) -> None:
    shown = open_playground()
    shown.page.get_by_role("link", name="Usage").click()
    expect(shown.page.get_by_text("Sign in to see what you use")).to_be_visible()
    shown.expect_clean()
    shown.page.route("**/api/analytics", lambda route: route.fulfill(status=404, json={"Message": "none"}))
    shown.sign_up("counted@example.com")
    expect(shown.page.get_by_text("Not available here")).to_be_visible()


def test_it_tells_nothing_of_the_stack_but_what_a_browser_may_know(
    stack: Stack, open_playground: Callable[..., Playground]
) -> None:
    shown = open_playground()
    answer = shown.page.request.get(f"{shown.url}/config.json")
    assert answer.json() == {
        "apiUrl": "",
        "supabaseUrl": stack.info["supabaseUrl"],
        "anonKey": stack.info["anonKey"],
        "guests": True,
        "pages": {"All functions": "/functions", "OpenAPI": "/openapi.json"},
    }
    policy = shown.page.request.get(shown.url).headers["content-security-policy"]
    assert "script-src 'self';" in policy
    assert "unsafe" not in policy
    assert shown.page.request.get(f"{shown.url}/assets/..%2Findex.html").status == 404
