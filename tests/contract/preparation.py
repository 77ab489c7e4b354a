"""What the exchanges that are missing from the recording left behind, made before the ones that rely on it."""

import base64
import json
from collections.abc import Callable, Mapping

from tests.contract.recording import RED_PNG, Entry
from tests.contract.replay import Replay
from tests.contract.tokens import ALICE

Step = Callable[[Replay], object]

SERVICE = "<SERVICE_KEY>"


def prepare(replay: Replay, entry: Entry) -> None:
    """Makes what this entry expects to find."""
    name: int | str = entry["n"] if "n" in entry else entry["case"]
    for step in _STEPS.get(name, ()):
        step(replay)


def _bucket(name: str) -> Step:
    body = json.dumps({"name": name}).encode()
    json_type = "application/json"
    return lambda replay: replay.send("POST", "/storage/v1/bucket", SERVICE, body, content_type=json_type)


def _object(path: str, **headers: str) -> Step:
    """Uploads the red image, declared as supabase-py would unless headers say otherwise."""
    sent = headers or {"content_type": "image/png", "cache_control": "max-age=3600"}
    return lambda replay: replay.send("POST", f"/storage/v1/object/{path}", SERVICE, RED_PNG, **sent)


def _signed_object(path: str, key: str) -> Step:
    def upload(replay: Replay) -> object:
        signed = replay.send("POST", f"/storage/v1/object/upload/sign/{path}", key).json()
        url = f"/storage/v1{signed['url']}"
        return replay.send("PUT", url, "<ANON_KEY>", RED_PNG, content_type="image/png")

    return upload


def _remove(path: str) -> Step:
    return lambda replay: replay.send("DELETE", f"/storage/v1/object/{path}", SERVICE)


def _move(bucket: str, source: str, target: str) -> Step:
    body = json.dumps({"bucketId": bucket, "sourceKey": source, "destinationKey": target}).encode()
    json_type = "application/json"
    return lambda replay: replay.send("POST", "/storage/v1/object/move", SERVICE, body, content_type=json_type)


def _metadata(value: Mapping[str, object]) -> str:
    return base64.b64encode(json.dumps(value).encode()).decode()


_META_PNG = {
    "content_type": "image/png",
    "cache_control": "max-age=3600",
    "x_metadata": _metadata({"k": "v", "n": 1}),
}
_LISTED = ("l/1.png", "l/10.png", "l/2.png", "l/sub/3.png", "top.png")

_STEPS: Mapping[int | str, tuple[Step, ...]] = {
    22: (_bucket("onemb"),),
    29: (_object("pub/a/two.png"),),
    33: (_object("pub/raw/one.png", content_type="image/png"),),
    85: (_object("priv/raw/noct", content_type="application/octet-stream"),),
    98: (_object("pub/a/meta.png", **_META_PNG),),
    150: tuple(_object(f"pub/{name}") for name in _LISTED),
    "trigger rows after move": (
        _object("pub/c/1.png"),
        Replay.clear_trigger_log,
        _move("pub", "c/1.png", "m/1.png"),
    ),
    185: (_remove("pub/l/10.png"),),
    "row owner after uploads": (_signed_object(f"rls/{ALICE}/s.png", "<ALICE_JWT>"),),
    266: (Replay.wait_for_schema,),
    "user_metadata of raw x-metadata upload": (
        _object("pub/raw/md.png", content_type="image/png", x_metadata=_metadata({"a": "b"})),
    ),
}
