"""watch counts its viewers: each once an hour, and no more of them than a link allows."""

import json

import pytest

from functions.maintenance.handler import handler as maintenance
from shared.settings import settings
from tests.client import in_parallel, run_handler
from tests.sharing import Database, Page, Studio, Viewer, heading, plays

pytestmark = pytest.mark.usefixtures("cheap_passwords")


def test_a_reload_within_an_hour_counts_once(studio: Studio, viewer: Viewer, database: Database) -> None:
    share = studio.shared_video()
    for _ in range(3):
        assert plays(viewer.open(share))
    assert studio.views(share) == 1
    database.execute("update private.share_views set counted_at = counted_at - interval '59 minutes'")
    viewer.open(share)
    assert studio.views(share) == 1
    database.execute("update private.share_views set counted_at = counted_at - interval '1 minute'")
    viewer.open(share)
    assert studio.views(share) == 2
    viewer.open(share)
    assert studio.views(share) == 2
    listed = studio.user.get("share", sessionId=share["sessionId"]).json["shares"][0]
    assert listed["views"] == 2
    assert listed["lastViewedAt"]


def test_viewers_are_told_apart_by_address_and_browser_and_link(studio: Studio, database: Database) -> None:
    share, other = studio.shared_video(), studio.shared_video()
    for one in (Viewer("192.0.2.1"), Viewer("192.0.2.2"), Viewer("192.0.2.2", "Another/1.0")):
        one.open(share)
    Viewer("192.0.2.1").open(other)
    assert (studio.views(share), studio.views(other)) == (3, 1)
    kept = json.dumps(database.execute("select to_jsonb(v) from private.share_views v").fetchall())
    assert "192.0.2" not in kept
    assert "Firefox" not in kept


def test_viewers_behind_a_proxy_are_told_apart_where_it_is_trusted(
    studio: Studio, function_environment: pytest.MonkeyPatch
) -> None:
    share = studio.shared_video()
    for origin in ("203.0.113.1", "203.0.113.2"):
        Viewer("192.0.2.1", headers={"x-forwarded-for": origin}).open(share)
    assert studio.views(share) == 1
    function_environment.setenv("TRUSTED_PROXIES", "1")
    settings.cache_clear()
    for origin in ("203.0.113.1", "203.0.113.2", "203.0.113.1"):
        Viewer("192.0.2.1", headers={"x-forwarded-for": origin}).open(share)
    assert studio.views(share) == 3


@pytest.mark.parametrize(
    "agent",
    ["Slackbot-LinkExpanding 1.0", "facebookexternalhit/1.1", "Twitterbot/1.0", "WhatsApp/2.23", "Discordbot/2.0"],
)
def test_a_link_preview_counts_no_view(studio: Studio, agent: str) -> None:
    share, limited = studio.shared_video(), studio.shared_video(maxViews=1)
    page = Page(Viewer(agent=agent).open(share))
    assert page.meta("og:video") == page.one("video")["src"]
    # Whoever calls itself a preview gets no video past the limit.
    answer = Viewer(agent=agent).open(limited)
    assert Page(answer).meta("og:title")
    assert Page(answer).meta("og:image")
    assert ".mp4" not in answer.text
    assert (studio.views(share), studio.views(limited)) == (0, 0)
    assert plays(Viewer().open(limited))
    assert Viewer(agent=agent).open(limited).status == 410


def test_a_preview_of_a_limited_storyboard_shows_one_frame(studio: Studio) -> None:
    share = studio.share(studio.session(5), maxViews=1)
    page = Page(Viewer(agent="Twitterbot/1.0").open(share))
    assert len(page.all("img")) == 1
    assert len(Page(Viewer().open(share)).all("img")) == 5


def test_head_answers_as_get_and_counts_nothing(studio: Studio, viewer: Viewer) -> None:
    share = studio.shared_video()
    for path in ("", "/embed", "/oembed"):
        head, get = viewer.open(share, path, "HEAD"), viewer.open(share, path)
        assert (head.status, head.headers["content-type"]) == (200, get.headers["content-type"])
        assert head.headers["content-security-policy"] == get.headers["content-security-policy"]
    assert studio.views(share) == 1
    assert viewer.open("x" * 22, "", "HEAD").status == 404


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH"])
def test_other_methods_are_refused(studio: Studio, viewer: Viewer, method: str) -> None:
    answer = viewer.open(studio.shared_video(), "", method)
    assert (answer.status, answer.code) == (405, "method_not_allowed")


def test_exactly_as_many_viewers_as_allowed_pass_together(studio: Studio) -> None:
    share = studio.shared_video(maxViews=7)
    viewers = [Viewer(f"198.51.100.{number}") for number in range(50)]
    answers = in_parallel(lambda number: viewers[number].open(share), 50)
    passed = [number for number, answer in enumerate(answers) if plays(answer)]
    assert len(passed) == 7
    assert {answer.status for answer in answers} == {200, 410}
    assert studio.views(share) == 7
    # Who was counted may look again, for an hour; nobody else.
    assert plays(viewers[passed[0]].open(share))
    refused = Viewer("198.51.100.200").open(share)
    assert (refused.status, heading(refused)) == (410, "This link is used up")
    assert studio.user.get("share", sessionId=share["sessionId"]).json["shares"][0]["state"] == "used_up"


def test_one_viewer_many_times_at_once_counts_once(studio: Studio) -> None:
    share = studio.shared_video(maxViews=1)
    answers = in_parallel(lambda _: Viewer().open(share), 20)
    assert all(plays(answer) for answer in answers)
    assert studio.views(share) == 1


def test_maintenance_forgets_who_watched(studio: Studio, viewer: Viewer, database: Database) -> None:
    share, protected = studio.shared_video(), studio.shared_video(password="secret")
    viewer.open(share)
    viewer.enter(protected, "wrong")
    database.execute("update private.share_views set counted_at = now() - interval '1 hour'")
    database.execute("update private.share_tries set tried_at = now() - interval '1 minute'")
    assert run_handler(maintenance, {"dryRun": True})["forgottenVisits"] == 0
    assert run_handler(maintenance, {})["forgottenVisits"] >= 2
    assert database.execute("select count(*) from private.share_views").fetchone() == (0,)
    assert database.execute("select count(*) from private.share_tries").fetchone() == (0,)
    assert studio.views(share) == 1
