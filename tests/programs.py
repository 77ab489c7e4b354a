"""Programs: clients that act for a user by an API key."""

from typing import Any

from shared.identity import api_keys
from tests.client import Answer, Client
from tests.people import User

SCOPES = ("read", "write", "render")


class Program(Client):
    """A client that has an API key and nothing else."""

    def __init__(self, key: str) -> None:
        super().__init__()
        self.key = key

    def _headers(self, more: Any) -> dict[str, str]:
        return {"X-Api-Key": self.key} | super()._headers(more)


def issue(user: Client, *scopes: str, **more: object) -> Answer:
    headers = more.pop("headers", {})
    body = {"name": "A program", "scopes": list(scopes or SCOPES), **more}
    return user.post("api_keys", body, **headers)  # type: ignore[arg-type]


def program(user: User, *scopes: str, **more: object) -> Program:
    answer = issue(user, *scopes, **more)
    assert answer.status == 200, answer.body
    return Program(answer.json["key"])


def revoke(user: Client, prefix: str) -> Answer:
    return user.delete("api_keys", prefix=prefix)


def prefix_of(key: str) -> str:
    return key.split("_")[1]


def program_of_nobody() -> Program:
    return Program(api_keys.new_key().text)
