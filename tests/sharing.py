"""Shared videos for tests: the rows and files of one, and people who open its link."""

import re
import uuid
from collections.abc import Mapping
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urlencode

import httpx
import psycopg
import pytest

from infra.local.stack import Stack
from shared import shares
from shared.media_urls import stored_url
from tests.client import Answer, JsonObject, event, invoke
from tests.people import User
from tests.storyboards import storyboard

Database = psycopg.Connection[Any]

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


class Studio:
    """A signed-in user who has storyboards and videos, and shares them."""

    def __init__(self, user: User, database: Database, stack: Stack) -> None:
        self.user = user
        self.database = database
        self._stack = stack

    def session(self, frames: int = 2, **more: object) -> str:
        """Save a storyboard and return its id."""
        given = storyboard(self.user.subject, frames, **more)
        answer = self.user.save(given)
        assert answer.status == 200, answer.text
        return str(given["sessionId"])

    def video(self, session_id: str, status: str = "completed", **columns: object) -> str:
        """Add a rendering to a session, as the workers do, and return its `videoId`."""
        video_id = str(uuid.uuid4())
        path = f"{self.user.subject}/videos/{video_id}"
        row: dict[str, object] = {"video_id": video_id, "session_id": session_id, "status": status}
        if status == "completed":
            row |= {"video_url": stored_url(f"{path}.mp4"), "poster_url": stored_url(f"{path}.jpg")}
            row |= {"captions_url": stored_url(f"{path}.vtt")}
            row |= {"duration_seconds": 30, "width": 1280, "height": 720}
        row |= columns
        names, places = ", ".join(row), ", ".join(["%s"] * len(row))
        self.database.execute(
            f"insert into public.final_videos ({names}) values ({places})".encode(), list(row.values())
        )
        return video_id

    def put(self, path: str, data: bytes, mime_type: str) -> None:
        """Store a file as the workers do."""
        headers = {"Authorization": f"Bearer {self._stack.info['serviceKey']}", "content-type": mime_type}
        url = f"{self._stack.info['supabaseUrl']}/storage/v1/object/videomaker/{path}"
        answer = httpx.post(url, content=data, headers=headers)
        assert answer.status_code == 200, answer.text

    def put_files(self, video_id: str) -> None:
        """Store files where the row of a completed video says that they are."""
        path = f"{self.user.subject}/videos/{video_id}"
        self.put(f"{path}.mp4", b"video of " + video_id.encode(), "video/mp4")
        self.put(f"{path}.jpg", b"poster of " + video_id.encode(), "image/jpeg")
        self.put(f"{path}.vtt", b"WEBVTT\n", "text/vtt")

    def share(self, session_id: str, **options: object) -> JsonObject:
        """Make a link and return the answer."""
        answer = self.user.post("share", {"sessionId": session_id, **options})
        assert answer.status == 200, answer.text
        found: JsonObject = answer.json
        return found

    def shared_video(self, **options: object) -> JsonObject:
        """Make a session with a finished video, and a link to it."""
        session_id = self.session()
        self.video(session_id)
        return self.share(session_id, **options)

    def expire(self, share: JsonObject) -> None:
        """Let a link's time run out."""
        self.database.execute(
            "update public.share_links set expires_at = now() - interval '1 second' where share_id = %s",
            (share["shareId"],),
        )

    def views(self, share: JsonObject) -> int:
        """Return how many views were counted."""
        row = self.database.execute(
            "select views from public.share_links where share_id = %s", (share["shareId"],)
        ).fetchone()
        assert row
        return int(row[0])

    def tries(self, share: JsonObject) -> int:
        """Return how many wrong passwords are remembered."""
        row = self.database.execute(
            "select count(*) from private.share_tries t join public.share_links l on l.id = t.share_id"
            " where l.share_id = %s",
            (share["shareId"],),
        ).fetchone()
        assert row
        return int(row[0])


@pytest.fixture
def studio(alice: User, database: Database, stack: Stack) -> Studio:
    return Studio(alice, database, stack)


@pytest.fixture
def other_studio(bob: User, database: Database, stack: Stack) -> Studio:
    return Studio(bob, database, stack)


class Viewer:
    """Somebody with a browser, which keeps cookies, and without an account."""

    def __init__(
        self,
        address: str = "192.0.2.1",
        agent: str = FIREFOX,
        headers: Mapping[str, str] | None = None,
        scheme: str = "http",
    ) -> None:
        self._sent_by = {"source_ip": address, "scheme": scheme}
        self._headers = {"user-agent": agent, **(headers or {})}
        self.cookies: dict[str, str] = {}

    def open(self, share: JsonObject | str, path: str = "", method: str = "GET", **query: object) -> Answer:
        return self._ask(method, share, path, query, None)

    def enter(self, share: JsonObject, password: str) -> Answer:
        """Send the form."""
        return self.post(share, urlencode({"password": password}))

    def post(self, share: JsonObject, form: str) -> Answer:
        return self._ask("POST", share, "", {}, form)

    def _ask(
        self, method: str, share: JsonObject | str, path: str, query: dict[str, object], body: str | None
    ) -> Answer:
        token = share if isinstance(share, str) else share["token"]
        headers = {**self._headers, "content-type": "application/x-www-form-urlencoded"}
        if self.cookies:
            headers["cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        given = event(method, f"/api/watch/{token}{path}", query=query, headers=headers, body=body, **self._sent_by)
        answer = invoke("watch", given)
        for cookie in answer.cookies:
            name, value = re.match(r"([^=]+)=([^;]*)", cookie).groups()  # type: ignore[union-attr]
            self.cookies[name] = value
        return answer


@pytest.fixture
def viewer(function_environment: pytest.MonkeyPatch) -> Viewer:
    return Viewer()


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


@pytest.fixture
def cheap_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spare a test the third of a second that each password is meant to take."""
    monkeypatch.setitem(shares._SCRYPT, "n", 2)
