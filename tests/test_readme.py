"""What the README tells receivers of webhooks works on what is sent, its costs are reckoned, what it names is there."""

import base64
import json
import re
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from functions.deliver_webhook.handler import signatures
from infra.local.costs import OFFERS, document
from shared.pricing import PRICES

TOP = Path(__file__).parents[1]
README = (TOP / "README.md").read_text(encoding="utf-8")
MADE = {"infra/local/web/dist"}  # by make
SECRETS = [f"whsec_{base64.b64encode(bytes([number]) * 32).decode()}" for number in range(3)]
BODY = '{"type":"video.completed","data":{"title":"Æther"}}'


def code(language: str) -> str:
    found = [block for block in re.findall(rf"```{language}\n(.*?)```", README, re.S) if "verify(" in block]
    assert len(found) == 1
    return str(found[0])


def by_python(secret: str, headers: dict[str, str], body: str) -> bool:
    names: dict[str, Any] = {}
    exec(code("python"), names)
    return bool(names["verify"](secret, headers, body.encode()))


def by_node(secret: str, headers: dict[str, str], body: str) -> bool:
    untyped = re.sub(r": (string|Headers|boolean)\b", "", code("ts"))
    given = ", ".join([json.dumps(secret), f"new Headers({json.dumps(headers)})", json.dumps(body)])
    command = ["node", "--input-type=module", "--eval", f"{untyped}\nconsole.log(verify({given}));"]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout) is True


@pytest.mark.parametrize("verify", [by_python, by_node])
def test_its_lines_verify_a_delivery_and_refuse_what_is_none(verify: Any) -> None:
    now = int(time.time())

    def sent(age: int = 0, secrets: list[str] = SECRETS[:2]) -> dict[str, str]:
        signature = signatures(secrets, "evt_1", now - age, BODY.encode())
        return {"webhook-id": "evt_1", "webhook-timestamp": str(now - age), "webhook-signature": signature}

    assert verify(SECRETS[0], sent(), BODY)
    assert verify(SECRETS[1], sent(), BODY)
    assert not verify(SECRETS[2], sent(), BODY)
    assert not verify(SECRETS[0], sent(age=400), BODY)
    assert not verify(SECRETS[0], sent(), BODY + " ")
    assert not verify(SECRETS[0], sent() | {"webhook-id": "evt_2"}, BODY)
    assert not verify(SECRETS[0], sent() | {"webhook-timestamp": str(now - 1)}, BODY)


def test_its_costs_are_those_that_are_reckoned() -> None:
    shown = re.search(r"<!-- costs -->\n(.*?)\n<!-- /costs -->", README, re.S)
    assert shown and shown[1] == document(), "put in what `make costs` prints"


def test_every_price_says_where_and_when_it_was_read() -> None:
    read = [(one.source, one.read) for one in PRICES.values()] + [(one.source, one.read) for one in OFFERS]
    for source, date in read:
        assert source.startswith("https://")
        assert re.fullmatch(r"20\d\d-\d\d(-\d\d)?", date)


@pytest.mark.parametrize("document", ["README.md", "infra/DECISIONS.md", "infra/SECURITY.md", "infra/deploy/GUIDE.md"])
def test_files_that_a_document_names_are_there(document: str) -> None:
    text = (TOP / document).read_text(encoding="utf-8")
    named = re.findall(r"`((?:functions|shared|infra|tests)/[^`\s*<>…]+)`", text)
    linked = [str((TOP / document).parent / one) for one in re.findall(r"\]\(([^):#]+)\)", text)]
    assert [one for one in [*named, *linked] if one not in MADE and not (TOP / one).exists()] == []
