"""The playground's usage page in Chromium, on what the service itself tells."""

import re
import uuid
from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests.browser.playground import Playground, photos

pytestmark = [pytest.mark.timeout(300), pytest.mark.usefixtures("built_playground")]

Open = Callable[..., Playground]
PHONE = {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 2, "is_mobile": True, "has_touch": True}


def expect_tile(shown: Playground, name: str, said: str | re.Pattern[str]) -> None:
    tile = shown.page.locator(".tiles div", has=shown.page.get_by_text(name, exact=True))
    expect(tile.locator("dd")).to_have_text(said, use_inner_text=True)


def look(shown: Playground) -> None:
    shown.page.get_by_role("link", name="Usage").click()
    expect(shown.page.get_by_text("The last 30 days.")).to_be_visible()


def test_what_was_done_is_shown_as_the_service_counts_it(open_playground: Open) -> None:
    shown = open_playground()
    shown.sign_up(f"{uuid.uuid4()}@example.com")
    look(shown)
    expect_tile(shown, "Uploads", "0 0 B came in")
    expect_tile(shown, "Cost", "$0.00 of $100.00 budget")
    expect(shown.page.locator("tbody tr")).to_have_count(0)
    shown.page.get_by_role("link", name="Storyboard").click()
    shown.drop(photos(2))
    shown.expect_uploaded(2)
    shown.page.get_by_label("Length in seconds").fill("1")
    shown.make_video()
    look(shown)
    expect_tile(shown, "Uploads", re.compile(r"^2\s[\d.]+ kB came in$"))
    expect_tile(shown, "Frames", "2 saved")
    expect_tile(shown, "Videos", "1 0 failed")
    expect_tile(shown, "Cost", re.compile(r"^(\$0\.0\d+|< \$0\.0001)\sof \$100\.00 budget$"))
    expect_tile(shown, "Storage held", re.compile(r"^[\d.]+ [kM]B\sat present$"))
    expect_tile(shown, "Requests", re.compile(r"^\d+\s0 failed$"))
    day = shown.page.locator("tbody tr")
    expect(day).to_have_count(1)
    assert day.locator("td").all_inner_texts()[:2] == ["2", "1"]
    shown.expect_clean()


@pytest.mark.parametrize("options", [{}, PHONE], ids=["desktop", "phone"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_plots_are_those_of_who_is_signed_in(
    open_playground: Open, options: dict[str, object], scheme: str
) -> None:
    shown = open_playground(color_scheme=scheme, **options)
    shown.sign_up(f"{uuid.uuid4()}@example.com")
    shown.drop(photos(2))
    shown.expect_uploaded(2)
    shown.save(1)
    look(shown)
    shown.expect_clean()
    with shown.page.context.expect_page() as opened:
        shown.button("All plots").click()
    plots = opened.value
    expect(plots.get_by_text("2 images and files", exact=True)).to_be_visible()
    assert plots.url == f"{shown.url}/api/analytics?format=html"
    assert "eyJ" not in plots.evaluate("location.href + document.documentElement.outerHTML + document.cookie")
    assert plots.evaluate("window.opener") is None
    shown.expect_clean()
