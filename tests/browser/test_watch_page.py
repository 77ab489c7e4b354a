"""The watch page in Chromium: it plays, it is accessible, it looks right on a phone and in the dark."""

import io
from collections.abc import Callable
from functools import partial

import httpx
import pytest
from PIL import Image
from playwright.sync_api import Route

from tests.browser.conftest import CAPTIONS, POSTER_COLOUR
from tests.browser.tab import Tab
from tests.client import JsonObject
from tests.sharing import Studio
from tests.storyboards import frame, png, with_frames

pytestmark = pytest.mark.timeout(300)  # a busy machine starts Chromium slowly

NewTab = Callable[..., Tab]
PHONE = {"viewport": {"width": 360, "height": 740}, "device_scale_factor": 2, "is_mobile": True, "has_touch": True}
TITLE = "The Keeper and the Whale of the Outermost Lighthouse at the End of the World"
OVERVIEW = "A keeper who has not spoken for years finds that somebody answers his light.\n\nA story in six pictures."


def poster() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (640, 360), POSTER_COLOUR).save(out, "JPEG", quality=95)
    return out.getvalue()


@pytest.fixture
def watchable(studio: Studio, movie: bytes) -> Callable[..., JsonObject]:
    """Share a video that plays, with poster and captions."""
    return partial(share_video, studio, movie)


def share_video(studio: Studio, movie: bytes, **options: object) -> JsonObject:
    image = studio.user.upload(png(640, 360)).json["imageUrl"]
    told = [frame(1, image, storyTitle=TITLE, storyOverview=OVERVIEW)]
    session_id = studio.user.save(with_frames(told)).json["sessionId"]
    video_id = studio.video(session_id, duration_seconds=4, width=640, height=360)
    path = f"{studio.user.subject}/videos/{video_id}"
    studio.put(f"{path}.mp4", movie, "video/mp4")
    studio.put(f"{path}.jpg", poster(), "image/jpeg")
    studio.put(f"{path}.vtt", CAPTIONS.encode(), "text/vtt")
    return studio.share(session_id, **options)


def assert_plays(tab: Tab) -> None:
    video = tab.page.locator("video")
    video.evaluate("video => { video.muted = true; return video.play(); }")
    tab.wait_until("document.querySelector('video').currentTime > 0.5")
    assert video.evaluate("video => video.error") is None
    assert video.evaluate("video => [video.videoWidth, video.videoHeight]") == [640, 360]


def colour_in_the_middle(tab: Tab) -> tuple[int, ...]:
    """Return the colour that is seen a third down the player, above its controls."""
    shot = Image.open(io.BytesIO(tab.page.locator("video").screenshot())).convert("RGB")
    pixel = shot.getpixel((shot.width // 3, shot.height // 3))
    assert isinstance(pixel, tuple)
    return pixel


def is_poster_seen(tab: Tab) -> bool:
    return all(abs(a - b) < 12 for a, b in zip(colour_in_the_middle(tab), POSTER_COLOUR, strict=True))


def assert_poster_is_seen(tab: Tab) -> None:
    tab.page.wait_for_load_state("networkidle")
    assert is_poster_seen(tab)


def background(tab: Tab) -> int:
    """Return how light the page is, from 0 to 255, at its lower edge."""
    shot = Image.open(io.BytesIO(tab.page.screenshot())).convert("L")
    pixel = shot.getpixel((2, shot.height - 2))
    assert isinstance(pixel, int)
    return pixel


def is_too_wide(tab: Tab) -> bool:
    return bool(tab.page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"))


def test_the_video_plays_with_poster_and_captions_and_nothing_is_blocked(
    watchable: Callable[..., JsonObject], new_tab: NewTab
) -> None:
    tab = new_tab()
    tab.page.goto(watchable()["url"])
    assert tab.page.title() == TITLE
    assert_poster_is_seen(tab)
    assert_plays(tab)
    shown = "video => { video.textTracks[0].mode = 'showing'; }"
    tab.page.locator("video").evaluate(shown)
    tab.wait_until("document.querySelector('video').textTracks[0].activeCues?.length > 0")
    cue = tab.page.locator("video").evaluate("video => video.textTracks[0].activeCues[0].text")
    assert cue == "A keeper lights the lamp"
    assert tab.violations() == []
    assert tab.complaints == []
    assert set(tab.statuses.values()) <= {200, 206}


def test_the_video_plays_by_keyboard_alone(watchable: Callable[..., JsonObject], new_tab: NewTab) -> None:
    tab = new_tab()
    tab.page.goto(watchable()["url"])
    tab.page.locator("video").focus()
    tab.page.keyboard.press("Space")
    tab.wait_until("document.querySelector('video').currentTime > 0.2")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("device", [{}, PHONE], ids=["desktop", "phone"])
def test_it_fits_and_is_accessible(
    watchable: Callable[..., JsonObject], new_tab: NewTab, device: JsonObject, scheme: str
) -> None:
    share, protected = watchable(), watchable(password="secret")
    tab = new_tab(color_scheme=scheme, **device)
    for url in (share["url"], protected["url"], share["url"][:-1], f"{share['url']}/embed"):
        tab.page.goto(url)
        is_embedded = url.endswith("/embed")
        assert not is_too_wide(tab), url
        assert is_embedded or (background(tab) < 60) == (scheme == "dark"), url
        assert tab.serious_findings() == [], url
        assert tab.violations() == []
    width = tab.page.locator("video").bounding_box()
    assert width
    assert width["width"] == tab.page.viewport_size["width"]  # type: ignore[index]


def test_a_wrong_password_is_told_and_the_right_one_opens_the_page(
    watchable: Callable[..., JsonObject], new_tab: NewTab
) -> None:
    share, tab = watchable(password="secret"), new_tab()
    tab.page.goto(share["url"])
    tab.page.get_by_label("Password").fill("guess")
    tab.page.get_by_role("button", name="Watch").click()
    tab.page.get_by_role("alert").wait_for()
    assert tab.page.get_by_role("alert").text_content() == "That is not the password."
    assert tab.serious_findings() == []
    assert tab.violations() == []
    tab.page.get_by_label("Password").fill("secret")
    tab.page.keyboard.press("Enter")
    tab.page.locator("video").wait_for()
    assert tab.page.url == share["url"]
    assert_plays(tab)
    tab.page.reload()
    assert tab.page.locator("video").count() == 1


def test_it_works_without_scripts(watchable: Callable[..., JsonObject], new_tab: NewTab) -> None:
    share, tab = watchable(password="secret"), new_tab(java_script_enabled=False)
    tab.page.goto(share["url"])
    tab.page.get_by_label("Password").fill("secret")
    tab.page.get_by_role("button", name="Watch").click()
    tab.page.locator("video").wait_for()
    assert tab.page.get_by_role("heading", name=TITLE).is_visible()
    assert_poster_is_seen(tab)
    tab.page.locator("video").press("Space")
    for _ in range(600):
        if not is_poster_seen(tab):
            return
        tab.page.wait_for_timeout(100)
    pytest.fail("the video did not begin")


def test_it_plays_from_a_private_bucket(private_studio: Studio, movie: bytes, new_tab: NewTab) -> None:
    tab = new_tab()
    tab.page.goto(share_video(private_studio, movie)["url"])
    assert "/object/sign/" in str(tab.page.locator("video").get_attribute("src"))
    assert_poster_is_seen(tab)
    assert_plays(tab)
    assert tab.complaints == []


def test_a_reload_counts_once_and_a_revoked_link_is_closed(
    watchable: Callable[..., JsonObject], new_tab: NewTab, studio: Studio
) -> None:
    share, tab = watchable(), new_tab()
    tab.page.goto(share["url"])
    tab.page.reload()
    assert studio.views(share) == 1
    assert studio.user.delete("share", shareId=share["shareId"]).status == 200
    answer = tab.page.reload()
    assert answer
    assert answer.status == 404
    assert tab.page.get_by_role("heading").text_content() == "This link leads nowhere"


def test_the_storyboard_of_a_session_without_a_video_is_shown(studio: Studio, new_tab: NewTab) -> None:
    frames = [
        frame(
            number, studio.user.upload(png(320 + number, 180), number).json["imageUrl"], description=f"Scene {number}"
        )
        for number in range(1, 5)
    ]
    share = studio.share(studio.user.save(with_frames(frames)).json["sessionId"])
    for device in ({}, PHONE):
        tab = new_tab(**device)
        tab.page.goto(share["url"])
        for picture in tab.page.get_by_role("img").all():
            picture.scroll_into_view_if_needed()
        tab.wait_until("[...document.images].every((image) => image.naturalWidth > 0)")
        assert tab.page.get_by_role("listitem").count() == 4
        assert not is_too_wide(tab)
        assert tab.serious_findings() == []
        assert tab.complaints == []


def serve(page: str, route: Route) -> None:
    route.fulfill(content_type="text/html", body=page)


def test_the_player_can_stand_in_another_page_and_the_page_cannot(
    watchable: Callable[..., JsonObject], new_tab: NewTab
) -> None:
    share, tab = watchable(), new_tab()
    frames = {
        "player": httpx.get(f"{share['url']}/oembed").json()["html"],
        "page": f"<iframe src='{share['url']}'></iframe>",
    }
    for name, html in frames.items():
        tab.page.route(f"http://blog.example/{name}", partial(serve, f"<!doctype html><title>A blog</title>{html}"))
    tab.page.goto("http://blog.example/player")
    player = tab.page.frame_locator("iframe").locator("video")
    player.evaluate("video => { video.muted = true; return video.play(); }")
    assert tab.complaints == []
    tab.page.goto("http://blog.example/page")
    tab.page.wait_for_load_state("networkidle")
    assert any("frame-ancestors" in complaint for complaint in tab.complaints)
