"""watch: the page behind a share link, and what it shows in each of its states."""

import re
from urllib.parse import parse_qs, urlsplit

import pytest

from shared.settings import settings
from tests.client import JsonObject
from tests.sharing import Page, Studio, Viewer, heading, plays, policy
from tests.storyboards import frame, image_url, with_frames

pytestmark = pytest.mark.usefixtures("cheap_passwords")

HOSTILE = "</title></video><script>alert(1)</script>\"'><img src=x onerror=alert(1)> $title ${source} {{7*7}} \u202e"


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
