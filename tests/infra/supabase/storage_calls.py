"""Calls of the Storage API that several tests make."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx

LIMIT = 100_000
PNG = {"content-type": "image/png"}


def upload(client: httpx.Client, path: str, content: Any = b"content", **headers: str) -> httpx.Response:
    return client.post(f"/object/{path}", content=content, headers={**PNG, **headers})


def in_parallel(count: int, call: Callable[[int], httpx.Response]) -> list[httpx.Response]:
    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(call, range(count)))
