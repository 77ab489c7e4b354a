"""What the README tells receivers of webhooks to do works on what is sent."""

import base64
import json
import re
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from functions.deliver_webhook.handler import signatures

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
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
