"""watch: the page behind a share link, in each of its states, and the counting of its views."""

import json
import re
from collections.abc import Callable, Iterator
from hashlib import sha256
from html.parser import HTMLParser
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from functions.maintenance.handler import handler as maintenance
from infra.local.keys import Keys
from infra.local.stack import Stack
from shared import shares
from shared.settings import settings
from tests.client import Answer, JsonObject, in_parallel, run_handler
from tests.faults import Fault, FaultyUpstream
from tests.infra.access import ROWS
from tests.sharing import FIREFOX, Database, Studio, Viewer
from tests.storyboards import frame, image_url, png, with_frames

Claims = Callable[..., dict[str, object]]

BUILT_IN = {"video_templates", "video_template_versions"}  # everybody reads those that belong to nobody
HOSTILE = "</title></video><script>alert(1)</script>\"'><img src=x onerror=alert(1)> $title ${source} {{7*7}} \u202e"


class Page(HTMLParser):
    """What stands in a page: tags with their attributes, and the text."""

    def __init__(self, answer: Answer) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        self.feed(answer.text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]

    def one(self, tag: str) -> dict[str, str | None]:
        (found,) = self.all(tag)
        return found

    def meta(self, name: str) -> str | None:
        (found,) = [one["content"] for one in self.all("meta") if name in (one.get("name"), one.get("property"))]
        return found


def heading(answer: Answer) -> str:
    found = re.search(r"<h1[^>]*>(.*?)</h1>", answer.text, re.DOTALL)
    assert found
    return found[1]


def policy(answer: Answer) -> dict[str, str]:
    """Return the Content-Security-Policy by directive."""
    parts = (part.partition(" ") for part in answer.headers["content-security-policy"].split("; "))
    return {name: value for name, _, value in parts}


def plays(answer: Answer) -> bool:
    return answer.status == 200 and "<video" in answer.text


@pytest.fixture(autouse=True)
def cheap_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spare these tests the third of a second that each password is meant to take."""
    monkeypatch.setitem(shares._SCRYPT, "n", 2)


# What it shows


def test_a_link_shows_player_poster_captions_and_words(studio: Studio, viewer: Viewer) -> None:
    session_id = studio.session(originalPrompt="A lighthouse keeper befriends a whale")
    video_id = studio.video(session_id)
    answer = viewer.open(studio.share(session_id))
    assert answer.status == 200
    page, path = Page(answer), f"{studio.user.subject}/videos/{video_id}"
    video = page.one("video")
    assert video["src"] == f"{settings().supabase_url}/storage/v1/object/public/videomaker/{path}.mp4"
    assert str(video["poster"]).endswith(f"{path}.jpg")
    assert (video["preload"], video["width"], video["height"]) == ("metadata", "1280", "720")
    assert {"controls", "playsinline"} <= video.keys()
    assert video["crossorigin"] == "anonymous"  # for the captions
    assert str(page.one("track")["src"]).endswith(f"{path}.vtt")
    assert page.one("track")["kind"] == "captions"
    assert heading(answer) == "A lighthouse keeper befriends a whale"
    assert "0:30" in page.text
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", str(page.one("time")["datetime"]))
    assert page.all("script") == []


def test_the_storys_title_and_overview_come_before_the_prompt(studio: Studio, viewer: Viewer) -> None:
    frames = [
        frame(1, image_url(studio.user.subject)),
        frame(2, image_url(studio.user.subject, 2), storyTitle="The Keeper", storyOverview="About a friendship."),
    ]
    saved = studio.user.save(with_frames(frames)).json
    studio.video(saved["sessionId"])
    answer = viewer.open(studio.share(saved["sessionId"]))
    assert heading(answer) == "The Keeper"
    assert '<p class="overview" dir="auto">About a friendship.</p>' in answer.text


def test_a_long_prompt_is_cut_between_words(studio: Studio, viewer: Viewer) -> None:
    session_id = studio.session(originalPrompt="word " * 1000)
    studio.video(session_id)
    title = heading(viewer.open(studio.share(session_id)))
    assert len(title) <= 90
    assert title.endswith("word…")


@pytest.mark.parametrize("prompt", ["x" * 5000, "\u202e", "   ", "\n\t"])
def test_any_prompt_makes_a_page_with_a_title(studio: Studio, viewer: Viewer, prompt: str) -> None:
    session_id = studio.session(originalPrompt=prompt)
    studio.video(session_id)
    answer = viewer.open(studio.share(session_id))
    assert plays(answer)
    assert 1 <= len(heading(answer)) <= 90


def test_text_is_only_text(studio: Studio, viewer: Viewer) -> None:
    frames = [frame(1, image_url(studio.user.subject), storyTitle=HOSTILE, storyOverview=HOSTILE, description=HOSTILE)]
    saved = studio.user.save(with_frames(frames, originalPrompt=HOSTILE)).json
    share = studio.share(saved["sessionId"])
    for make_video in (False, True):  # the storyboard, then the player
        if make_video:
            studio.video(saved["sessionId"])
        for path in ("", "/embed"):
            answer = viewer.open(share, path)
            page = Page(answer)
            assert answer.status == 200
            assert page.all("script") == []
            assert not [tag for tag, attributes in page.tags if "onerror" in attributes]
            assert "49" not in page.text
            assert page.meta("og:title") == HOSTILE.strip()
            assert [tag for tag, _ in page.tags if tag in ("html", "head", "title", "body", "main", "h1")].count(
                "title"
            ) == 1
    html = viewer.open(share, "/oembed").json["html"]
    assert "<script" not in html
    assert html.count("<") == 2


def test_link_previews_find_their_tags(studio: Studio, viewer: Viewer) -> None:
    share = studio.shared_video()
    page = Page(viewer.open(share))
    assert page.meta("og:type") == "video.other"
    assert page.meta("og:url") == share["url"]
    assert page.meta("og:title") == page.meta("twitter:title") == "A lighthouse keeper befriends a whale"
    assert page.meta("og:image") == page.meta("twitter:image") == page.one("video")["poster"]
    assert page.meta("og:video") == page.one("video")["src"]
    assert (page.meta("og:video:type"), page.meta("og:video:width")) == ("video/mp4", "1280")
    assert page.meta("twitter:card") == "player"
    assert page.meta("twitter:player") == f"{share['url']}/embed"
    assert page.meta("robots") == "noindex, nofollow"
    links = {link["rel"]: link for link in page.all("link")}
    assert links["canonical"]["href"] == share["url"]
    assert links["alternate"]["type"] == "application/json+oembed"
    discovered = urlsplit(str(links["alternate"]["href"]))
    assert parse_qs(discovered.query) == {"url": [share["url"]], "format": ["json"]}
    assert discovered.path.endswith(f"/{share['token']}/oembed")


def test_oembed_describes_the_player(studio: Studio, viewer: Viewer) -> None:
    share = studio.shared_video()
    answer = viewer.open(share, "/oembed", url=share["url"], format="json")
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    found = answer.json
    assert (found["version"], found["type"], found["width"], found["height"]) == ("1.0", "video", 1280, 720)
    assert f'src="{share["url"]}/embed"' in found["html"]
    assert found["thumbnail_width"] == 1280
    assert found["thumbnail_url"].endswith(".jpg")
    small = viewer.open(share, "/oembed", maxwidth=640, maxheight=1000).json
    assert (small["width"], small["height"]) == (640, 360)
    assert "thumbnail_url" not in small  # which must keep to the bounds as well
    assert studio.views(share) == 0


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ({"format": "xml"}, 501, "unsupported_format"),
        ({"maxwidth": "0"}, 422, "validation_failed"),
        ({"maxwidth": "wide"}, 422, "validation_failed"),
    ],
)
def test_oembed_refuses_what_it_cannot_do(
    studio: Studio, viewer: Viewer, query: JsonObject, status: int, code: str
) -> None:
    answer = viewer.open(studio.shared_video(), "/oembed", **query)
    assert (answer.status, answer.code) == (status, code)


def test_oembed_refuses_by_state(studio: Studio, viewer: Viewer) -> None:
    expired, revoked = studio.shared_video(), studio.shared_video()
    studio.expire(expired)
    studio.user.delete("share", shareId=revoked["shareId"])
    session_id = studio.session()
    unready = studio.share(session_id, videoId=studio.video(session_id, "rendering"))
    protected = studio.shared_video(password="secret")
    cases = (
        ("x" * 22, 404, "share_not_found"),
        (revoked, 404, "share_not_found"),
        (expired, 410, "share_ended"),
        (protected, 401, "share_password_required"),
        (unready, 404, "share_without_video"),
    )
    for share, status, code in cases:
        answer = viewer.open(share, "/oembed")
        assert (answer.status, answer.code) == (status, code)


def test_the_player_alone_may_stand_in_another_page_and_the_page_may_not(studio: Studio, viewer: Viewer) -> None:
    share = studio.shared_video()
    page, embedded = viewer.open(share), viewer.open(share, "/embed")
    assert policy(page)["frame-ancestors"] == "'none'"
    assert policy(embedded)["frame-ancestors"] == "*"
    assert Page(embedded).one("video")["src"] == Page(page).one("video")["src"]
    assert "<h1" not in embedded.text
    assert studio.views(share) == 1, "the same viewer"


def test_every_page_is_guarded_by_its_headers(studio: Studio, viewer: Viewer) -> None:
    share = studio.shared_video(password="secret")
    shown = studio.shared_video()
    answers = [viewer.open(shown), viewer.open(share), viewer.open("x" * 22), viewer.open(shown, "/oembed"),
               viewer.enter(share, "wrong"), viewer.enter(share, "secret")]  # fmt: skip
    assert [answer.status for answer in answers] == [200, 200, 404, 200, 403, 303]
    for answer in answers:
        assert policy(answer)["default-src"] == "'none'"
        assert policy(answer)["base-uri"] == "'none'"
        assert "unsafe" not in answer.headers["content-security-policy"]
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-robots-tag"] == "noindex, nofollow"
        assert answer.headers["cache-control"] == "private, no-store"
        assert "x-request-id" in answer.headers
        assert "server-timing" in answer.headers
    assert policy(answers[0])["media-src"] == settings().supabase_url
    assert policy(answers[1])["media-src"] == "'none'"


def test_the_newest_finished_video_is_shown_unless_the_link_names_one(studio: Studio, viewer: Viewer) -> None:
    session_id = studio.session()
    first = studio.video(session_id)
    newest, pinned = studio.share(session_id), studio.share(session_id, videoId=first)
    second = studio.video(session_id)
    studio.video(session_id, "rendering")
    studio.video(session_id, "failed")
    assert second in str(Page(viewer.open(newest)).one("video")["src"])
    assert first in str(Page(viewer.open(pinned)).one("video")["src"])


def test_a_session_without_a_video_shows_its_storyboard(studio: Studio, viewer: Viewer) -> None:
    session_id = studio.session(3)
    share = studio.share(session_id)
    answer = viewer.open(share)
    page = Page(answer)
    assert answer.status == 200
    assert [image["src"] for image in page.all("img")] == [image_url(studio.user.subject, n) for n in (1, 2, 3)]
    assert [image["alt"] for image in page.all("img")] == ["Frame 1", "Frame 2", "Frame 3"]
    assert "Frame 2" in page.text
    assert "3 frames" in page.text
    assert "being made" not in page.text
    assert (page.meta("og:type"), page.meta("twitter:card")) == ("website", "summary_large_image")
    assert viewer.open(share, "/oembed").json["type"] == "link"
    assert studio.views(share) == 1
    studio.video(session_id, "queued")
    assert "The video is being made" in Page(viewer.open(share)).text
    studio.video(session_id)
    assert plays(viewer.open(share))


def test_a_video_without_poster_and_captions_plays(studio: Studio, viewer: Viewer) -> None:
    session_id = studio.session()
    studio.video(session_id, poster_url=None, captions_url=None, width=None, height=None, duration_seconds=None)
    answer = viewer.open(studio.share(session_id))
    page = Page(answer)
    assert plays(answer)
    assert page.all("track") == []
    assert not {"poster", "crossorigin"} & page.one("video").keys()


# Pages without a video


@pytest.mark.parametrize(
    ("status", "title"),
    [
        ("queued", "The video is not ready yet"),
        ("rendering", "The video is not ready yet"),
        ("merging", "The video is not ready yet"),
        ("failed", "There is no video"),
        ("canceled", "There is no video"),
    ],
)
def test_a_named_video_that_is_not_there_says_why(studio: Studio, viewer: Viewer, status: str, title: str) -> None:
    session_id = studio.session()
    share = studio.share(session_id, videoId=studio.video(session_id, status))
    answer = viewer.open(share)
    assert (answer.status, heading(answer)) == (200, title)
    assert studio.views(share) == 0


def test_an_expired_link_says_so(studio: Studio, viewer: Viewer) -> None:
    share = studio.shared_video(password="secret")
    studio.expire(share)
    for answer in (viewer.open(share), viewer.open(share, "/embed")):
        assert (answer.status, heading(answer)) == (410, "This link has expired")
        assert answer.body.count(b"<video") == 0


def test_a_revoked_link_is_closed_at_once_and_looks_like_one_that_never_was(studio: Studio, viewer: Viewer) -> None:
    shares = [studio.shared_video(), studio.shared_video(password="secret"), studio.shared_video(maxViews=1)]
    assert plays(viewer.open(shares[0]))
    for share in shares:
        studio.user.delete("share", shareId=share["shareId"])
    missing = viewer.open("x" * 22)
    assert (missing.status, heading(missing)) == (404, "This link leads nowhere")
    own = ("x-request-id", "server-timing")
    for path in ("", "/embed"):
        other = viewer.open("x" * 22, path)
        for share in shares:
            answer = viewer.open(share, path)
            assert (answer.status, answer.body) == (404, other.body)
            assert [one for one in answer.headers.items() if one[0] not in own] == [
                one for one in other.headers.items() if one[0] not in own
            ]
    assert viewer.enter(shares[1], "secret").body == missing.body


@pytest.mark.parametrize(
    "token", ["", "x", "x" * 21, "x" * 23, "x" * 2000, "%00", "..%2f..", "é" * 22, "a/b/c", "x" * 21 + "="]
)
def test_what_is_no_token_leads_nowhere(viewer: Viewer, token: str) -> None:
    answer = viewer.open(token)
    assert (answer.status, heading(answer)) == (404, "This link leads nowhere")


def test_a_token_is_its_exact_text(studio: Studio, viewer: Viewer) -> None:
    token = studio.shared_video()["token"]
    for other in (token.swapcase(), token[:-1] + ("A" if token[-1] != "A" else "B"), token[::-1]):
        assert viewer.open(other).status == 404
    assert plays(viewer.open(token))


# Counting


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


def test_a_viewer_behind_a_proxy_is_told_apart_from_others_there(studio: Studio) -> None:
    share = studio.shared_video()
    for origin in ("203.0.113.1", "203.0.113.2", "203.0.113.1"):
        Viewer("192.0.2.1", headers={"x-forwarded-for": f"{origin}, 192.0.2.7"}).open(share)
    assert studio.views(share) == 2


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


# Passwords


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


# Rights: what the token that `watch` signs for itself is good for


@pytest.fixture
def private_bucket(database: Database, function_environment: pytest.MonkeyPatch) -> Iterator[None]:
    function_environment.setenv("BUCKET_ACCESS", "private")
    settings.cache_clear()
    database.execute("update storage.buckets set public = false where id = 'videomaker'")
    yield
    database.execute("update storage.buckets set public = true where id = 'videomaker'")


class Visitor:
    """Who holds the token of one link, and tries all that the project's API offers."""

    def __init__(self, stack: Stack, keys: Keys, claims: Claims, share: JsonObject) -> None:
        found = claims(app_metadata={"provider": "share", "share": sha256(share["token"].encode()).hexdigest()})
        del found["sub"]
        self._headers = {"apikey": stack.info["anonKey"], "Authorization": f"Bearer {keys.sign(found)}"}
        self._url = stack.info["supabaseUrl"]

    def ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        return httpx.request(method, f"{self._url}{path}", headers=self._headers, **more)

    def readable(self, *paths: str) -> list[str]:
        """Return those of the files that it can read, in whichever way."""
        signed = self.ask("POST", "/storage/v1/object/sign/videomaker", json={"expiresIn": 60, "paths": list(paths)})
        found = [one["path"] for one in signed.json() if one["signedURL"]]
        assert [p for p in paths if self.ask("GET", f"/storage/v1/object/videomaker/{p}").status_code == 200] == found
        return found


@pytest.mark.usefixtures("private_bucket")
def test_a_private_bucket_is_watched_by_signed_urls(studio: Studio, viewer: Viewer) -> None:
    session_id = studio.session()
    video_id = studio.video(session_id)
    studio.put_files(video_id)
    page = Page(viewer.open(studio.share(session_id)))
    urls = [str(page.one("video")["src"]), str(page.one("video")["poster"]), str(page.one("track")["src"])]
    assert all("/object/sign/" in url for url in urls)
    assert httpx.get(urls[0]).content == f"video of {video_id}".encode()
    assert [httpx.get(url).status_code for url in urls] == [200, 200, 200]
    assert httpx.get(urls[0].partition("?")[0]).status_code == 400


@pytest.mark.usefixtures("private_bucket")
def test_a_private_storyboard_is_shown_by_signed_urls(studio: Studio, viewer: Viewer) -> None:
    uploaded = studio.user.upload(png()).json["imageUrl"]
    session_id = studio.user.save(with_frames([frame(1, uploaded)])).json["sessionId"]
    page = Page(viewer.open(studio.share(session_id)))
    assert httpx.get(str(page.one("img")["src"])).status_code == 200


@pytest.mark.usefixtures("private_bucket")
def test_a_file_that_is_gone_makes_no_broken_player(studio: Studio, viewer: Viewer) -> None:
    assert heading(viewer.open(studio.shared_video())) == "The video is not ready yet"


@pytest.mark.usefixtures("private_bucket")
def test_a_links_token_reads_the_files_of_its_video_and_no_other(
    studio: Studio, other_studio: Studio, stack: Stack, keys: Keys, claims: Claims
) -> None:
    session_id = studio.session()
    first, second = studio.video(session_id), studio.video(session_id)
    foreign = other_studio.video(other_studio.session())
    for owner, video_id in ((studio, first), (studio, second), (other_studio, foreign)):
        owner.put_files(video_id)
    picture = f"{studio.user.subject}/frames/frame_1_0123456789abcdef.webp"
    studio.put(picture, png(), "image/webp")
    own = [f"{studio.user.subject}/videos/{first}{kind}" for kind in (".mp4", ".jpg", ".vtt")]
    others = [
        f"{studio.user.subject}/videos/{second}.mp4",
        f"{other_studio.user.subject}/videos/{foreign}.mp4",
        picture,
    ]
    share = studio.share(session_id, videoId=first)
    visitor = Visitor(stack, keys, claims, share)
    assert visitor.readable(*own, *others) == own
    studio.expire(share)
    assert visitor.readable(*own) == []
    closed = studio.share(session_id, videoId=first)
    visitor = Visitor(stack, keys, claims, closed)
    assert visitor.readable(*own) == own
    studio.user.delete("share", shareId=closed["shareId"])
    assert visitor.readable(*own) == []


@pytest.mark.usefixtures("private_bucket")
def test_a_links_token_reads_frames_only_while_they_are_what_is_shown(
    studio: Studio, stack: Stack, keys: Keys, claims: Claims
) -> None:
    session_id = studio.session(1)
    picture = f"{studio.user.subject}/frames/frame_1_0123456789abcdef.webp"
    studio.put(picture, png(), "image/webp")
    pinned = studio.share(session_id, videoId=studio.video(session_id, "rendering"))
    assert Visitor(stack, keys, claims, pinned).readable(picture) == []
    visitor = Visitor(stack, keys, claims, studio.share(session_id))
    assert visitor.readable(picture) == [picture]
    studio.video(session_id)
    assert visitor.readable(picture) == []


@pytest.mark.usefixtures("private_bucket")
def test_a_links_token_does_nothing_else(studio: Studio, stack: Stack, keys: Keys, claims: Claims) -> None:
    share = studio.shared_video()
    visitor = Visitor(stack, keys, claims, share)
    for table in {row.table for row in ROWS.values()} - BUILT_IN:
        assert visitor.ask("GET", f"/rest/v1/{table}", params={"select": "created_at"}).json() == []
    row = {"session_id": share["sessionId"], "token_hash": "0" * 64, "created_by": studio.user.subject}
    assert visitor.ask("POST", "/rest/v1/share_links", json=row).status_code == 403
    session = {"p_session": {"session_id": "x"}, "p_frames": []}
    for name, given in (
        ("save_storyboard", session),
        ("create_share", {"p_share": {"session_id": share["sessionId"]}, "p_nonce": "x"}),
        ("list_shares", {"p_session_id": share["sessionId"], "p_before": None, "p_limit": 9}),
        ("revoke_share", {"p_share_id": share["shareId"]}),
        ("forget_share_visits", {}),
    ):
        assert visitor.ask("POST", f"/rest/v1/rpc/{name}", json=given).status_code >= 400, name
    name = f"{studio.user.subject}/videos/new.mp4"
    headers = {**visitor._headers, "content-type": "video/mp4"}
    url = f"{stack.info['supabaseUrl']}/storage/v1/object/videomaker/{name}"
    assert httpx.post(url, content=b"x", headers=headers).status_code == 400
    assert visitor.ask("DELETE", f"/storage/v1/object/videomaker/{name}").status_code == 400


def test_nobody_but_watch_opens_a_link_in_the_database(studio: Studio, viewer: Viewer, stack: Stack) -> None:
    """So that nobody counts views or tries passwords past it."""
    share = studio.shared_video(password="secret")
    given = {"p_viewer": "x", "p_address": "x", "p_password_hash": "0" * 64}
    url = f"{stack.info['supabaseUrl']}/rest/v1/rpc/open_share"
    headers = {"apikey": stack.info["anonKey"]}
    assert httpx.post(url, headers=headers, json=given).status_code == 401
    answer = httpx.post(url, headers={**headers, "Authorization": f"Bearer {studio.user.token}"}, json=given)
    assert (answer.status_code, answer.json()) == (200, None)
    assert viewer.enter(share, "secret").status == 303
    assert (studio.views(share), studio.tries(share)) == (0, 0)
    viewer.enter(share, "wrong")
    assert studio.tries(share) == 1


# What it stands on


@pytest.mark.parametrize("fault", ["error_500", "error_502_html", "cut_before"])
def test_a_failing_database_is_told_by_a_page(
    studio: Studio, viewer: Viewer, stack: Stack, function_environment: pytest.MonkeyPatch, fault: Fault
) -> None:
    share = studio.shared_video(password="secret")
    upstream = FaultyUpstream(stack.info["supabaseUrl"])
    function_environment.setenv("SUPABASE_JWT_ISSUER", f"{stack.info['supabaseUrl']}/auth/v1")
    function_environment.setenv("SUPABASE_URL", upstream.url)
    settings.cache_clear()
    try:
        with upstream.failing("/rest/", fault):
            for answer in (viewer.open(share), viewer.open(share, "/embed"), viewer.enter(share, "secret")):
                assert (answer.status, heading(answer)) == (503, "That did not work")
                assert int(answer.headers["retry-after"]) > 0
            answer = viewer.open(share, "/oembed")
            assert (answer.status, answer.code) == (503, "database_unavailable")
        assert viewer.enter(share, "secret").status == 303
    finally:
        upstream.close()


def test_without_a_secret_to_sign_with_the_page_says_that_it_does_not_work(
    studio: Studio, viewer: Viewer, function_environment: pytest.MonkeyPatch
) -> None:
    share = studio.shared_video()
    function_environment.setenv("GUEST_ACCESS", "off")
    function_environment.delenv("SUPABASE_JWT_SECRET")
    settings.cache_clear()
    assert viewer.open(share).status == 503


def test_without_a_public_address_the_functions_own_is_used(
    studio: Studio, viewer: Viewer, function_environment: pytest.MonkeyPatch
) -> None:
    share = studio.shared_video()
    function_environment.delenv("WATCH_URL")
    settings.cache_clear()
    page = Page(Viewer(scheme="https").open(share))
    assert page.meta("og:url") == f"https://test.lambda-url.us-east-1.on.aws/{share['token']}"


def test_logs_hold_no_token_password_address_or_signed_url(
    studio: Studio,
    viewer: Viewer,
    private_bucket: None,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("DEBUG")
    session_id = studio.session()
    studio.put_files(studio.video(session_id))
    share = studio.share(session_id, password="open sesame")
    for answer in (viewer.enter(share, "wrong sesame"), viewer.enter(share, "open sesame"), viewer.open(share)):
        assert answer.status in (403, 303, 200)
    page = Page(viewer.open(share))
    viewer.open(share, "/oembed")
    written = capsys.readouterr().out + caplog.text
    assert "share_opened" in written
    signature = str(page.one("video")["src"]).partition("token=")[2]
    for secret in (share["token"], "sesame", "192.0.2.1", signature, *viewer.cookies.values()):
        assert secret not in written


def test_the_local_gateway_writes_no_token_into_its_log(studio: Studio, stack: Stack) -> None:
    share = studio.shared_video()
    answer = httpx.get(share["url"], headers={"user-agent": FIREFOX})
    assert answer.status_code == 200
    log = (stack.folder / "logs" / "gateway.log").read_text()
    assert "GET /api/watch 200" in log
    assert share["token"] not in log
