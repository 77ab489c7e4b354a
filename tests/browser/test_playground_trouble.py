"""What goes wrong in the playground is said in words that somebody can act on, and nothing is lost by it."""

import json
import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, Route, expect

from tests.browser.playground import Playground, photos

pytestmark = [pytest.mark.timeout(300), pytest.mark.usefixtures("built_playground")]

Open = Callable[..., Playground]

UPLOADS = "**/api/upload_image"
SAVES = "**/api/save_frames"


def refuse(
    shown: Playground, path: str, status: int, code: str, *, retry_after: int | None = None, times: int = 99
) -> None:
    """Answer the next requests with a problem, as the functions word it."""
    problem = {"success": False, "type": f"urn:videomaker:problem:{code}", "title": code, "status": status}
    body = json.dumps({**problem, "detail": "Wait, or send less.", "code": code, "requestId": "r-1"})
    headers = {"content-type": "application/problem+json"}
    if retry_after is not None:
        headers["retry-after"] = str(retry_after)
    shown.page.route(path, lambda route: route.fulfill(status=status, headers=headers, body=body), times=times)


def hang(shown: Playground, path: str) -> list[Route]:
    """Let requests wait for an answer that does not come; return them, as they come."""
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    shown.page.route(path, hold)
    return held


def heal(shown: Playground) -> None:
    shown.page.unroute_all(behavior="ignoreErrors")


def alert(shown: Playground, words: str) -> Locator:
    found = shown.page.get_by_role("alert").filter(has_text=words)
    expect(found).to_be_visible()
    return found


def test_an_image_that_is_too_large_is_scaled_down(open_playground: Open) -> None:
    shown = open_playground()
    refuse(shown, UPLOADS, 413, "image_too_large")
    refuse(shown, "**/api/create_upload", 413, "image_too_large")
    shown.drop(photos(1))
    alert(shown, "The image is too large")
    shown.expect_accessible()
    heal(shown)
    shown.button("Scale down and send: frame 1").click()
    shown.expect_uploaded(1)
    shown.save(1)


def test_a_file_that_is_no_image_is_replaced_by_one(open_playground: Open) -> None:
    shown = open_playground()
    shown.drop([("broken.png", b"no image at all"), *photos(1)])
    alert(shown, "This image cannot be read")
    shown.expect_accessible()
    shown.button("Save").click()
    alert(shown, "One image is not uploaded. Try again or remove it, then save.")
    name, data = photos(1, first=5)[0]
    shown.page.get_by_label("Another image for frame 1").set_input_files(
        {"name": name, "mimeType": "image/png", "buffer": data}
    )
    shown.expect_uploaded(2)
    shown.save(1)


def test_a_limit_is_waited_for_and_one_that_lasts_is_told(open_playground: Open) -> None:
    shown = open_playground()
    refuse(shown, UPLOADS, 429, "rate_limited", retry_after=3, times=1)
    shown.drop(photos(1))
    expect(shown.page.get_by_text(re.compile(r"Busy, again in \d s"))).to_be_visible()
    shown.expect_uploaded(1)
    refuse(shown, SAVES, 429, "rate_limited", retry_after=600)
    shown.button("Save").click()
    told = alert(shown, "The service asks for a pause of 10 minutes")
    shown.expect_accessible()
    heal(shown)
    told.get_by_role("button", name="Try again").click()
    expect(shown.page.get_by_text("Saved, version 1", exact=True)).to_be_visible()


def test_a_service_that_is_away_loses_nothing(open_playground: Open) -> None:
    shown = open_playground()
    refuse(shown, UPLOADS, 503, "storage_unavailable", retry_after=0)
    shown.drop(photos(2))
    expect(shown.page.get_by_text("It goes along when you save.")).to_have_count(2)
    shown.expect_accessible()
    refuse(shown, SAVES, 503, "database_unavailable", retry_after=0)
    shown.button("Save").click()
    told = alert(shown, "The service is away for a moment")
    shown.page.reload()
    expect(shown.cards()).to_have_count(2)
    expect(shown.page.get_by_text("It goes along when you save.")).to_have_count(2)
    expect(told).to_have_count(0)
    heal(shown)
    shown.save(1)  # which heals what it carries
    shown.expect_uploaded(2)
    shown.page.reload()
    expect(shown.page.locator(".card img").first).to_have_attribute("src", re.compile("^http.*/thumbnails/"))


def test_a_wrong_field_is_named(open_playground: Open) -> None:
    shown = open_playground()
    shown.drop(photos(1))
    shown.expect_uploaded(1)
    shown.page.get_by_text("Travel postcard").click()
    shown.page.get_by_label("Days").fill("600")
    shown.button("Save").click()
    alert(shown, "Mend this and try again. days:")
    shown.page.get_by_label("Days").fill("6")
    shown.save(1)
    expect(shown.page.get_by_role("alert")).to_have_count(0)


def test_a_connection_that_is_cut_in_an_upload_comes_back(open_playground: Open) -> None:
    shown = open_playground()
    held = hang(shown, UPLOADS)
    shown.drop(photos(2))
    expect(shown.page.locator(".meter progress")).to_have_count(2)
    shown.page.context.set_offline(True)
    for route in held:
        route.abort("internetdisconnected")
    heal(shown)
    expect(shown.page.get_by_text("No connection, again in").first).to_be_visible()
    expect(shown.page.get_by_text("It goes along when you save.")).to_have_count(2)
    shown.expect_accessible()
    shown.page.context.set_offline(False)  # and by itself it goes on
    shown.expect_uploaded(2)
    shown.save(1)


def test_a_reload_in_the_middle_of_an_upload_goes_on_with_it(open_playground: Open) -> None:
    shown = open_playground()
    hang(shown, UPLOADS)
    shown.drop(photos(3))
    shown.page.get_by_label("Caption of frame 2").fill("kept")
    expect(shown.page.locator(".meter progress")).to_have_count(3)
    shown.page.wait_for_timeout(500)  # of which the draft is written in the first half
    heal(shown)
    shown.page.reload()
    shown.expect_uploaded(3)
    assert shown.captions() == ["", "kept", ""]
    kept = shown.page.evaluate("Object.keys(localStorage).filter((name) => !name.includes('auth'))")
    assert kept == []
    shown.save(1)
    assert shown.page.evaluate("Object.keys(localStorage).filter((name) => !name.includes('auth'))") == [
        "videomaker.sessionId"
    ]


def test_a_video_that_fails_says_so_and_is_tried_again(open_playground: Open) -> None:
    shown = open_playground()
    shown.drop(photos(1))
    shown.expect_uploaded(1)
    error = {"code": "frame_unreadable", "detail": "The stored image of a frame is damaged.", "frameNumber": 1}
    failed = {"video": {"status": "failed", "progress": 0.2, "error": error}, "clips": [], "success": True}
    shown.page.route("**/api/get_video?**", lambda route: route.fulfill(json=failed))
    shown.page.get_by_label("Length in seconds").fill("1")
    shown.button("Make the video").click()
    shown.button("Render it").click()
    alert(shown, "Video failed: frame 1")
    shown.expect_accessible()
    heal(shown)
    shown.button("Try again").click()  # the service knows better
    alert(shown, "Only a video that has failed or was canceled can be tried again.")


def test_two_who_edit_at_once_see_it_and_decide(open_playground: Open) -> None:
    ann, bob = open_playground(), open_playground(color_scheme="dark")
    ann.sign_up("ann@example.com")
    bob.sign_up("bob@example.com")
    ann.drop(photos(2))
    ann.expect_uploaded(2)
    ann.page.get_by_label("Prompt").fill("One storyboard for two")
    ann.page.get_by_label("Length in seconds").fill("2")
    ann.save(1)
    ann.make_video()
    ann.button("Share").click()
    ann.page.get_by_label("Invite by e-mail").fill("bob@example.com")
    ann.button("Invite").click()
    expect(ann.page.get_by_text("editor, invited")).to_be_visible()
    ann.expect_clean()
    ann.page.keyboard.press("Escape")

    bob.page.get_by_role("link", name="History").click()
    bob.button("Accept").click()
    expect(bob.cards()).to_have_count(2)
    bob.page.get_by_label("Caption of frame 1").fill("as Bob sees it")
    bob.save(2)
    bob.expect_clean()

    ann.page.get_by_label("Caption of frame 1").fill("as Ann sees it")
    ann.button("Save").click()
    dialog = ann.page.get_by_role("dialog")
    expect(dialog).to_contain_text("You began with version 1. Now there is version 2")
    expect(dialog).to_contain_text("Frame 1 reads “as Bob sees it”")
    ann.expect_accessible()
    ann.button("Keep mine on top").click()
    expect(ann.page.get_by_text("Saved, version 3", exact=True)).to_be_visible()

    bob.page.get_by_label("Caption of frame 2").fill("and one more")
    bob.button("Save").click()
    expect(bob.page.get_by_role("dialog")).to_contain_text("Frame 1 reads “as Ann sees it”")
    bob.expect_accessible()
    bob.button("Take theirs").click()
    expect(bob.page.get_by_text("Saved, version 3", exact=True)).to_be_visible()
    assert bob.captions() == ["as Ann sees it", ""]


def test_a_guest_can_do_all_but_share_and_takes_the_storyboard_along(open_playground: Open) -> None:
    shown = open_playground()
    signing_up = "**/auth/v1/signup**"
    shown.page.route(signing_up, lambda route: route.fulfill(status=422, json={"msg": "not here"}))
    shown.drop(photos(2))
    shown.expect_uploaded(2)
    shown.page.get_by_label("Length in seconds").fill("1")
    shown.save(1)
    assert str(shown.page.evaluate("localStorage['videomaker.userId']")).startswith("guest_")
    shown.make_video()
    heal(shown)
    shown.page.reload()
    shown.expect_video()
    shown.button("Share").click()
    alert(shown, "A link needs an account")
    shown.expect_accessible()
    shown.button("Sign in anonymously").click()
    shown.expect_uploaded(2)
    shown.make_video()
    shown.button("Share").click()
    shown.button("Make a link").click()
    expect(shown.page.get_by_role("dialog").get_by_label("Link", exact=True)).to_have_value(re.compile("/api/watch/"))
    shown.page.keyboard.press("Escape")
    shown.sign_up("named@example.com")  # who keeps everything
    shown.page.get_by_role("link", name="History").click()
    expect(shown.page.locator(".session")).to_have_count(1)
