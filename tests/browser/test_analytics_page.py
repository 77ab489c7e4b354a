"""The usage page in Chromium: signed in to by its form, accessible, on a phone, in the dark, and on paper."""

import io
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from PIL import Image

from infra.local.stack import Stack
from tests.browser.tab import Tab
from tests.functions.test_analytics import busy, put
from tests.people import User

pytestmark = pytest.mark.timeout(300)

NewTab = Callable[..., Tab]
Database = psycopg.Connection[Any]
PHONE = {"viewport": {"width": 360, "height": 740}, "device_scale_factor": 2, "is_mobile": True, "has_touch": True}


@pytest.fixture
def month(alice: User, database: Database) -> User:
    for day in (0, 1):
        put(database, alice, day, kind="frames", session_id=f"session-{day}", amount=6 + day)
        put(database, alice, day, status=429, code="rate_limited", total_ms=4)
    busy(database, alice)
    return alice


def opened(stack: Stack, user: User, tab: Tab) -> Tab:
    tab.page.goto(f"{stack.info['apiUrl']}/api/analytics")
    tab.page.fill("#key", user.token or "")
    tab.page.click("button")
    tab.page.wait_for_url("**/analytics?format=html")
    return tab


def corner(tab: Tab) -> float:
    """Return how bright the page's corner is, 0 to 255."""
    shot = Image.open(io.BytesIO(tab.page.screenshot())).convert("L")
    found = shot.getpixel((2, 2))
    assert isinstance(found, int)
    return found


@pytest.mark.parametrize("options", [{}, {"color_scheme": "dark"}, PHONE], ids=["light", "dark", "phone"])
def test_it_is_accessible_and_breaks_no_rule_of_its_own(
    stack: Stack, month: User, new_tab: NewTab, options: dict[str, Any]
) -> None:
    tab = opened(stack, month, new_tab(**options))
    for table in tab.page.locator("summary").all()[:2]:
        table.click()
    assert tab.page.locator("svg[role=img]").count() >= 10
    assert tab.serious_findings() == []
    assert tab.violations() == []
    assert tab.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert (corner(tab) < 60) == (options.get("color_scheme") == "dark")


def test_an_empty_account_and_the_form_are_accessible(stack: Stack, alice: User, new_tab: NewTab) -> None:
    tab = new_tab()
    tab.page.goto(f"{stack.info['apiUrl']}/api/analytics")
    tab.page.fill("#key", "nonsense")
    tab.page.click("button")
    assert "not valid" in tab.page.inner_text("[role=alert]")
    assert tab.serious_findings() == []
    tab = opened(stack, alice, tab)
    assert tab.serious_findings() == []
    assert tab.violations() == []


def test_on_paper_it_is_light_and_shows_no_buttons(stack: Stack, month: User, new_tab: NewTab) -> None:
    tab = opened(stack, month, new_tab(color_scheme="dark"))
    tab.page.emulate_media(media="print")
    assert corner(tab) > 200
    assert not tab.page.locator("nav").is_visible()
    assert tab.page.locator("svg").first.is_visible()
