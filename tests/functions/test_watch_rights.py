"""watch acts with a token that is good for one link; what that opens, what fails, and what is written down."""

from collections.abc import Callable
from hashlib import sha256
from typing import Any

import httpx
import pytest

from infra.local.keys import Keys
from infra.local.stack import Stack
from shared.settings import settings
from tests.client import JsonObject
from tests.faults import Fault, FaultyUpstream
from tests.infra.access import ROWS
from tests.sharing import FIREFOX, Page, Studio, Viewer, heading
from tests.storyboards import frame, png, with_frames

Claims = Callable[..., dict[str, object]]

pytestmark = pytest.mark.usefixtures("cheap_passwords")


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
    built_in = "video_templates"  # some of which are everybody's
    for table in {row.table for row in ROWS.values()} - {built_in}:
        column = "day" if table == "usage_daily" else "created_at"
        assert visitor.ask("GET", f"/rest/v1/{table}", params={"select": column}).json() == []
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
