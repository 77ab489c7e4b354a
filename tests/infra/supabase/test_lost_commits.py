"""Storage when the database does what it is told, and its answer never comes."""

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
from psycopg.conninfo import make_conninfo

from infra.local.stack import Stack
from infra.local.supabase.database import Database
from infra.local.supabase.files import FileStore
from infra.local.supabase.pool import Pool
from infra.local.supabase.requests import Services
from infra.local.supabase.storage import storage_api
from infra.local.supabase.tokens import Tokens
from tests.infra.supabase.storage_calls import PNG


@asynccontextmanager
async def losing_commits(port: int) -> AsyncIterator[int]:
    """A port that leads to this one, until an object is written: then it breaks off after the commit."""

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answers, asked = await asyncio.open_connection("127.0.0.1", port)
        answering = asyncio.create_task(copy(answers, writer))
        wrote = False
        while data := await reader.read(65_536):
            wrote = (wrote or b"insert into storage.objects" in data) and b"ROLLBACK" not in data
            lost = wrote and b"COMMIT" in data
            if lost:
                answering.cancel()
                await asyncio.wait([answering])
            asked.write(data)
            if lost:
                await answers.read(1)
                break
        for one in (asked, writer):
            one.close()

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            writer.write(data)

    async with await asyncio.start_server(forward, "127.0.0.1") as server:
        yield server.sockets[0].getsockname()[1]


def storage(stack: Stack, folder: Path, port: int) -> httpx.AsyncClient:
    """A client of a Storage whose files lie in this folder, and whose database it reaches at this port."""
    pool = Pool(make_conninfo(stack._cluster.url("supabase_storage_admin"), port=port), "storage")
    api = storage_api(Services(Database(pool), FileStore(folder), Tokens(stack.keys)))
    headers = {**PNG, "authorization": f"Bearer {stack.keys.service_key}"}
    return httpx.AsyncClient(transport=httpx.ASGITransport(api), base_url="http://storage", headers=headers)


def test_an_upload_that_was_committed_unheard_has_its_file(stack: Stack, bucket: str, tmp_path: Path) -> None:
    async def run() -> list[httpx.Response]:
        FileStore(tmp_path).prepare()
        database = stack._ports["postgres"]
        path = f"/object/{bucket}/a.png"
        async with losing_commits(database) as port, storage(stack, tmp_path, port) as client:
            first = await client.post(path, content=b"content")
        async with storage(stack, tmp_path, database) as client:
            return [first, await client.post(path, content=b"content"), await client.get(path)]

    with ThreadPoolExecutor(1) as elsewhere:  # it would take this thread's event loop away
        first, second, found = elsewhere.submit(asyncio.run, run()).result()
    assert first.json()["code"] == "DatabaseTimeout"
    assert second.json()["code"] == "KeyAlreadyExists"
    assert (found.status_code, found.content) == (200, b"content")
