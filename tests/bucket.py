"""Uses the media bucket as an app does, past the functions."""

from typing import Any
from urllib.parse import quote

import httpx
import psycopg

from infra.local.stack import Stack
from tests.client import JsonObject
from tests.people import User


class Bucket:
    """The media bucket as one user sees it, and the rows behind it."""

    def __init__(self, stack: Stack, user: User, database: psycopg.Connection[Any]) -> None:
        self._url = f"{stack.info['supabaseUrl']}/storage/v1"
        self._headers = {"authorization": f"Bearer {user.token}", "apikey": stack.info["anonKey"]}
        self._database = database
        self.subject = user.subject

    def put(self, path: str, data: bytes, mime_type: str = "image/png") -> str:
        """Upload below the user's folder, replacing what is there, and return the object's name."""
        name = f"{self.subject}/{path}"
        headers = {**self._headers, "content-type": mime_type, "x-upsert": "true"}
        answer = httpx.post(f"{self._url}/object/videomaker/{quote(name)}", content=data, headers=headers)
        assert answer.status_code == 200, answer.text
        return name

    def move(self, name: str, to: str) -> None:
        body = {"bucketId": "videomaker", "sourceKey": name, "destinationKey": to}
        assert httpx.post(f"{self._url}/object/move", json=body, headers=self._headers).status_code == 200

    def url(self, name: str) -> str:
        return f"{self._url}/object/public/videomaker/{quote(name)}"

    def get(self, name: str) -> httpx.Response:
        return httpx.get(self.url(name))

    def row(self, name: str) -> JsonObject | None:
        query = "select to_jsonb(o) from storage.objects o where bucket_id = 'videomaker' and name = %s"
        found = self._database.execute(query, (name,)).fetchone()
        return found[0] if found else None

    def uploads(self) -> list[tuple[Any, ...]]:
        query = "select status, code, result from public.uploads where user_id = %s order by created_at"
        return self._database.execute(query, (self.subject,)).fetchall()
