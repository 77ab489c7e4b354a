"""Whether a stack has what it has promised to people."""

import hashlib
import random
from collections.abc import Callable, Mapping, Sequence

import httpx

from infra.local.stack import Stack
from infra.local.traffic.ledger import Json, Ledger, compared
from infra.local.traffic.visits import Person, pictures


def lost(stack: Stack, tokens: Sequence[str], ledger: Ledger, expected: Mapping[str, str]) -> list[str]:
    """Return what was acknowledged to these people and is not there; `expected` are the hashes of stored pictures."""
    return compared(ledger, _reader(stack, tokens), _image_hash, expected)


def _reader(stack: Stack, tokens: Sequence[str]) -> Callable[[str], Json | None]:
    headers = [{"Authorization": f"Bearer {one}"} for one in tokens]
    clients = [httpx.Client(base_url=stack.info["apiUrl"], headers=one, timeout=30) for one in headers]

    def read(session_id: str) -> Json | None:
        for client in clients:
            answer = client.get("/api/get_frames", params={"sessionId": session_id})
            if answer.status_code == 200:
                found: Json = answer.json()
                return found
            if answer.status_code != httpx.codes.NOT_FOUND:
                raise RuntimeError(answer.text)
        return None

    return read


def stored_hashes(stack: Stack) -> dict[str, str]:
    """Return the hash of what each picture is stored as, uploaded while all is well."""
    ledger = Ledger()
    person = Person(stack.info["apiUrl"], stack.access_token(), ledger, random.Random(0))
    while set(ledger.uploads.values()) < set(pictures()):
        person.upload()
    return {name: _image_hash(url) for url, name in ledger.uploads.items()}


def _image_hash(url: str) -> str:
    """Return the SHA-256 of what an address serves, or what it answers instead."""
    try:
        answer = httpx.get(url, timeout=30)
    except httpx.HTTPError as error:  # it ends too early, for instance
        return repr(error)
    return hashlib.sha256(answer.content).hexdigest() if answer.status_code == httpx.codes.OK else str(answer)
