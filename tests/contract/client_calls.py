"""Calls of the `supabase` package that the recording shows together with what they returned or raised."""

import dataclasses
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from postgrest import APIError
from pydantic import BaseModel
from storage3.exceptions import StorageApiError
from supabase import Client, ClientOptions, create_client

from tests.contract.recording import GREEN_PNG, RED_PNG, Entry, described_bytes
from tests.contract.tokens import ALICE, BOB

Call = Callable[["Clients"], Any]

RECORDED_URL = "http://127.0.0.1:56321"
PNG: Any = {"content-type": "image/png"}
UPSERT: Any = {"content-type": "image/png", "x-upsert": "true"}


class Clients:
    """A client for each caller of the recording."""

    def __init__(self, url: str, tokens: Mapping[str, str]) -> None:
        self.service = create_client(url, tokens["<SERVICE_KEY>"])
        self.anon = create_client(url, tokens["<ANON_KEY>"])
        self.alice = _client_of_user(url, tokens["<ANON_KEY>"], tokens["<ALICE_JWT>"])
        self.bob = _client_of_user(url, tokens["<ANON_KEY>"], tokens["<BOB_JWT>"])


def outcome(call: Call, clients: Clients) -> dict[str, Any]:
    """What a call returned or raised, in the form of the recording."""
    try:
        return {"returns": _plain(call(clients))}
    except StorageApiError as error:
        return {"raises": type(error).__name__, "to_dict": error.to_dict()}
    except APIError as error:
        return {"raises": type(error).__name__, "json": error.json()}


def recorded_outcome(entry: Entry, url: str) -> dict[str, Any]:
    """What the recording says the call returned or raised, at this base URL."""
    return {name: _at_url(value, url) for name, value in entry["client"].items()}


def _client_of_user(url: str, key: str, token: str) -> Client:
    return create_client(url, key, ClientOptions(headers={"Authorization": f"Bearer {token}"}))


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return described_bytes(value)
    if isinstance(value, BaseModel):
        value = value.model_dump()
    elif dataclasses.is_dataclass(value):
        value = {name: item for name, item in vars(value).items() if not name.startswith("_")}
    match value:
        case list():
            return [_plain(item) for item in value]
        case dict():
            return {name: _plain(item) for name, item in value.items()}
    return str(value) if isinstance(value, datetime) else value


def _at_url(value: Any, url: str) -> Any:
    match value:
        case str():
            return value.replace(RECORDED_URL, url)
        case list():
            return [_at_url(item, url) for item in value]
        case dict():
            return {name: _at_url(item, url) for name, item in value.items()}
    return value


# Only calls that can be made again right after the recorded request, and leave what comes next as it is.
CALLS: Mapping[int, Call] = {
    17: lambda c: c.service.storage.get_bucket("pub"),
    18: lambda c: c.service.storage.get_bucket("nope"),
    19: lambda c: c.anon.storage.get_bucket("pub"),
    21: lambda c: c.anon.storage.list_buckets(),
    26: lambda c: c.service.storage.from_("pub").upload("a/one.png", RED_PNG, PNG),
    29: lambda c: c.service.storage.from_("pub").update("a/two.png", RED_PNG, PNG),
    41: lambda c: c.service.storage.from_("pub").upload("a/default.png", RED_PNG),
    45: lambda c: c.service.storage.from_("pub").upload("a/big.png", b"x" * 100_001, PNG),
    51: lambda c: c.service.storage.from_("nope").upload("x.png", RED_PNG, PNG),
    87: lambda c: c.service.storage.from_("pub").download("a/one.png"),
    89: lambda c: c.service.storage.from_("nope").download("nope.png"),
    90: lambda c: c.anon.storage.from_("priv").download("raw/noct"),
    98: lambda c: c.service.storage.from_("pub").info("a/meta.png"),
    99: lambda c: c.service.storage.from_("pub").info("a/none.png"),
    105: lambda c: c.service.storage.from_("priv").create_signed_url("raw/noct", 60),
    119: lambda c: c.service.storage.from_("priv").create_signed_url("missing.png", 60),
    121: lambda c: c.service.storage.from_("priv").create_signed_urls(["raw/noct", "missing.png"], 60),
    126: lambda c: c.service.storage.from_("pub").create_signed_upload_url("su/one.png"),
    150: lambda c: c.service.storage.from_("pub").list(),
    151: lambda c: c.service.storage.from_("pub").list("l"),
    161: lambda c: c.anon.storage.from_("pub").list(),
    179: lambda c: c.service.storage.from_("pub").remove(["l/none.png"]),
    190: lambda c: c.alice.storage.from_("rls").upload(f"{BOB}/a.png", RED_PNG, PNG),
    194: lambda c: c.bob.storage.from_("rls").upload(f"{ALICE}/a.png", RED_PNG, PNG),
    211: lambda c: c.alice.storage.from_("rls").upload(f"{ALICE}/a.png", GREEN_PNG, UPSERT),
    217: lambda c: c.bob.storage.from_("rls").create_signed_url(f"{ALICE}/a.png", 60),
    219: lambda c: c.bob.storage.from_("rls").list(ALICE),
    222: lambda c: c.bob.storage.from_("rls").remove([f"{ALICE}/a.png"]),
    267: lambda c: c.alice.table("notes").insert({"body": "hi", "path": "p1"}).execute().data,
    269: lambda c: c.alice.table("notes").insert({"body": "x", "owner": BOB}).execute().data,
    271: lambda c: c.bob.table("notes").select("*").execute().data,
    273: lambda c: c.bob.table("nonesuch").select("*").execute().data,
}
