"""watch asks for the password of a link, by a form that works without scripts, and lets nobody guess it."""

import pytest

from tests.client import in_parallel
from tests.sharing import Database, Page, Studio, Viewer, heading, plays

pytestmark = pytest.mark.usefixtures("cheap_passwords")


def test_a_password_is_asked_for_and_opens_the_page_for_this_browser(studio: Studio, viewer: Viewer) -> None:
    share = studio.shared_video(password="öffne dich")
    asked = viewer.open(share)
    assert (asked.status, heading(asked)) == (200, "This video needs a password")
    form = Page(asked)
    assert form.one("form")["method"] == "post"
    assert "action" not in form.one("form")
    assert form.one("input")["type"] == "password"
    for hint in (b"lighthouse", b".mp4", b".jpg", b"og:"):
        assert hint not in asked.body
    assert studio.views(share) == 0
    opened = viewer.enter(share, "öffne dich")
    assert (opened.status, opened.headers["location"], opened.body) == (303, share["token"], b"")
    assert studio.views(share) == 0, "the page that follows is the view"
    assert plays(viewer.open(share))
    assert plays(viewer.open(share))
    assert studio.views(share) == 1
    assert heading(Viewer("192.0.2.9").open(share)) == "This video needs a password"


def test_the_cookie_is_kept_from_scripts_and_other_sites(studio: Studio, viewer: Viewer) -> None:
    share = studio.shared_video(password="secret")
    (cookie,) = viewer.enter(share, "secret").cookies
    attributes = [part.strip().lower() for part in cookie.split(";")[1:]]
    assert sorted(attributes) == ["httponly", "max-age=3600", "samesite=lax"]
    assert share["token"] not in cookie
    secure = Viewer(scheme="https").enter(share, "secret")
    assert "secure" in secure.cookies[0].lower()


def test_composed_and_decomposed_letters_are_one_password(studio: Studio, viewer: Viewer) -> None:
    share = studio.shared_video(password="caf\u00e9")
    assert viewer.enter(share, "cafe\u0301").status == 303


@pytest.mark.parametrize("password", ["wrong", "SECRET", "secret ", "", "x" * 5000, "\0", "%", "é"])
def test_a_wrong_password_is_told_by_the_form(studio: Studio, viewer: Viewer, password: str) -> None:
    share = studio.shared_video(password="secret")
    answer = viewer.enter(share, password)
    assert answer.status == (403 if password else 200)
    assert heading(answer) == "This video needs a password"
    assert ("That is not the password." in answer.text) == bool(password)
    assert answer.cookies == ()
    assert not plays(viewer.open(share))


@pytest.mark.parametrize(
    "body", ["password", "other=1", "%zz=%", "&" * 5000, "password=a&password=b", '{"password":"secret"}']
)
def test_any_form_is_answered(studio: Studio, viewer: Viewer, body: str) -> None:
    answer = viewer.post(studio.shared_video(password="secret"), body)
    assert answer.status in (200, 403)


def test_the_password_of_one_link_opens_no_other(studio: Studio, viewer: Viewer) -> None:
    first, second = studio.shared_video(password="secret"), studio.shared_video(password="secret")
    viewer.enter(first, "secret")
    (key,) = viewer.cookies.values()
    owner = Viewer()
    owner.enter(second, "secret")
    viewer.cookies |= dict.fromkeys(owner.cookies, key)
    assert viewer.open(second).status == 403


def test_ten_wrong_passwords_a_minute_are_looked_at(studio: Studio, viewer: Viewer, database: Database) -> None:
    share = studio.shared_video(password="secret")
    statuses = [answer.status for answer in in_parallel(lambda n: viewer.enter(share, f"wrong {n}"), 14, at_once=7)]
    assert sorted(statuses) == [403] * 10 + [429] * 4
    limited = viewer.enter(share, "secret")
    assert (limited.status, heading(limited)) == (429, "Too many tries")
    assert 1 <= int(limited.headers["retry-after"]) <= 60
    assert limited.cookies == ()
    assert Viewer("192.0.2.2").enter(share, "secret").status == 303, "another address"
    assert viewer.enter(studio.shared_video(password="secret"), "secret").status == 303, "another link"
    database.execute("update private.share_tries set tried_at = tried_at - interval '1 minute'")
    assert viewer.enter(share, "secret").status == 303


def test_a_forged_cookie_is_a_try_as_well(studio: Studio, viewer: Viewer) -> None:
    share = studio.shared_video(password="secret")
    owner = Viewer("192.0.2.50")
    owner.enter(share, "secret")
    name = next(iter(owner.cookies))
    for number in range(10):
        viewer.cookies = {name: f"{number:064x}"}
        assert viewer.open(share).status == 403
    assert viewer.open(share).status == 429
    viewer.cookies = {name: "no key"}
    assert viewer.open(share).status == 200, "not even a try"


def test_reloads_with_the_right_key_are_no_tries(studio: Studio, viewer: Viewer) -> None:
    share = studio.shared_video(password="secret")
    viewer.enter(share, "secret")
    assert all(plays(viewer.open(share)) for _ in range(12))


def test_addresses_of_one_ipv6_customer_count_together(studio: Studio) -> None:
    share = studio.shared_video(password="secret")
    for number in range(10):
        assert Viewer(f"2001:db8:0:1::{number}").enter(share, "wrong").status == 403
    assert Viewer("2001:db8:0:1:ffff::1").enter(share, "secret").status == 429
    assert Viewer("2001:db8:0:2::1").enter(share, "secret").status == 303


def test_a_made_up_origin_gives_no_more_tries(studio: Studio) -> None:
    share = studio.shared_video(password="secret")
    for number in range(10):
        Viewer(headers={"x-forwarded-for": f"203.0.113.{number}"}).enter(share, "wrong")
    assert Viewer(headers={"x-forwarded-for": "203.0.113.99"}).enter(share, "secret").status == 429


def test_a_password_is_asked_for_on_a_page_of_its_own_only(studio: Studio, viewer: Viewer) -> None:
    share = studio.shared_video(password="secret")
    answer = viewer.open(share, "/embed")
    page = Page(answer)
    assert page.all("form") == []
    assert page.one("a")["href"] == share["url"]
    viewer.enter(share, "secret")
    assert plays(viewer.open(share, "/embed"))
