"""Storage clients, and a new bucket for each test."""

from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from infra.local.stack import Stack
from tests.infra.supabase.storage_calls import LIMIT


@pytest.fixture(scope="module")
def service(stack: Stack) -> Iterator[httpx.Client]:
    """Calls Storage with the service key."""
    headers = {"authorization": f"Bearer {stack.keys.service_key}", "apikey": stack.keys.service_key}
    url = f"{stack.info['supabaseUrl']}/storage/v1"
    with httpx.Client(base_url=url, headers=headers, timeout=30) as client:
        yield client


@pytest.fixture(scope="module")
def anyone(stack: Stack) -> Iterator[httpx.Client]:
    """Calls Storage without credentials."""
    with httpx.Client(base_url=f"{stack.info['supabaseUrl']}/storage/v1", timeout=30) as client:
        yield client


@pytest.fixture
def bucket(service: httpx.Client) -> str:
    """A new public bucket with a size limit."""
    name = f"bucket-{uuid4()}"
    made = service.post("/bucket", json={"name": name, "public": True, "file_size_limit": LIMIT})
    assert made.json() == {"name": name}
    return name


@pytest.fixture
def stored(stack: Stack, bucket: str) -> Callable[[], list[Path]]:
    """Lists the files that lie in the bucket's folder, or are being received."""
    objects = stack._state.objects
    folders = (objects / bucket, objects / ".incoming")
    return lambda: [path for folder in folders for path in folder.rglob("*") if path.is_file()]
