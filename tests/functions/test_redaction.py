"""No secret that anybody sends, or that a function makes, is written anywhere, whatever goes well or wrong."""

import base64
import importlib
import json
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import httpx
import psycopg
import pytest

from infra.local.gateway.configuration import Service
from infra.local.state import TOP
from shared import supabase_access, upstream
from shared.settings import settings
from tests.client import Answer, Context, JsonObject, event, run_handler
from tests.functions.test_create_upload import ask, file
from tests.functions.test_on_upload import Ingest, eventbridge_event, ingest, s3_event, sqs_event
from tests.people import User
from tests.programs import issue
from tests.receivers import receiving
from tests.secrets_planted import Garden, filled, garden
from tests.shared.image_files import encoded, gradient
from tests.sharing import Studio, Viewer
from tests.storyboards import frame, png, with_frames
from tests.videos import Queues, stored_storyboard
from tests.webhooks import Queue, deliver, finished_video, outbox

__all__ = ["garden", "ingest"]  # fixtures

Database = psycopg.Connection[Any]
Handler = Callable[[Any, Any], Any]

FUNCTIONS = Service(TOP / "serverless.yml").functions
WITH_URL = sorted(name for name, one in FUNCTIONS.items() if one.has_url)
OF_EVENTS = sorted(FUNCTIONS.keys() - set(WITH_URL))
TEXT = "application/json"


def module_of(function: str) -> Any:
    return importlib.import_module(f"functions.{function}.handler")


def handled(garden: Garden, function: str, given: JsonObject, context: Context | None = None) -> Answer | None:
    """Call a handler with whatever comes of it."""
    try:
        result = run_handler(module_of(function).handler, given, context or Context(seconds=60, function_name=function))
    except Exception as error:
        garden.raised(error)
        return None
    if not isinstance(result, dict) or "statusCode" not in result:
        return None
    body = result.get("body") or ""
    raw = base64.b64decode(body) if result.get("isBase64Encoded") else body.encode()
    return Answer(result["statusCode"], result["headers"], raw, tuple(result.get("cookies") or ()))


def headers_of(garden: Garden, **real: str) -> dict[str, str]:
    """Return a secret in each header that is read, but for those that are real."""
    planted = {
        "Authorization": f"Bearer {garden.plant('the header Authorization')}",
        "X-Api-Key": f"vm_abc_{garden.plant('the header X-Api-Key')}",
        "Cookie": f"share={garden.plant('a cookie')}; other={garden.plant('another cookie')}",
        "X-Webhook-Secret": garden.plant("the header X-Webhook-Secret"),
        "X-Webhook-Timestamp": garden.plant("the header X-Webhook-Timestamp"),
        "Idempotency-Key": garden.plant("the header Idempotency-Key"),
        "If-Match": garden.plant("the header If-Match"),
        "If-None-Match": garden.plant("the header If-None-Match"),
        "X-Request-Id": f"{garden.plant('a header that is no id')} !",
        "X-Amzn-Trace-Id": garden.plant("a header that is no trace"),
        "Traceparent": garden.plant("a header that is none"),
        "User-Agent": garden.plant("the header User-Agent"),
        "Referer": f"https://example.com/?{garden.plant('the header Referer')}",
    }
    for name in real:
        planted.pop(name.replace("_", "-"), None)
    return planted | {name.replace("_", "-"): value for name, value in real.items()}


def requests_of(garden: Garden, function: str, headers: Mapping[str, str], *, fitting: bool) -> Iterator[JsonObject]:
    """Yield a request for each operation of a function, with secrets in path, query and body."""
    document = module_of(function).app.openapi()
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            query, named = {garden.plant("a name in the query"): garden.plant("the query")}, path
            for parameter in operation.get("parameters", []):
                value = filled(parameter["schema"], document, garden, fitting=fitting, name=parameter["name"])
                if parameter["in"] == "query":
                    query[parameter["name"]] = value
                elif parameter["in"] == "path":
                    named = named.replace(f"{{{parameter['name']}}}", garden.plant("the path"))
            content = operation.get("requestBody", {}).get("content", {})
            body = filled(content[TEXT]["schema"], document, garden, fitting=fitting) if TEXT in content else None
            text = None if body is None else json.dumps(body)
            yield event(method.upper(), f"/api/{function}{named}", query=query, headers=headers, body=text)


def everything_asked(garden: Garden, function: str, alice: User) -> int:
    """Ask all that can be asked, with bad credentials, with none and with good ones; return how often."""
    garden.note(alice.token, "an access token")
    bearer = f"Bearer {alice.token}"
    count = 0
    for headers in (headers_of(garden), {"Cookie": garden.plant("a cookie")}, {"Authorization": bearer}):
        for fitting in (False, True):
            for given in requests_of(garden, function, headers, fitting=fitting):
                handled(garden, function, given)
                count += 1
    secret = garden.plant("a body that is no JSON")
    for body in (f'{{"a": "{secret}', f"{secret}\0", f'["{secret}"]', secret.encode() + b"\xff"):
        handled(garden, function, event("POST", "/", headers={"Authorization": bearer}, body=body))
        count += 1
    return count


@pytest.mark.parametrize("function", WITH_URL)
def test_what_is_asked_of_a_function(alice: User, garden: Garden, queues: Queues, function: str) -> None:
    count = everything_asked(garden, function, alice)
    garden.assert_buried(measured=count)


def break_database(monkeypatch: pytest.MonkeyPatch, secret: str) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError(f"insert into passwords values ('{secret}')")

    for name in ("rpc", "session_with_frames", "chunks"):
        monkeypatch.setattr(supabase_access.Access, name, broken)


@pytest.mark.parametrize("function", WITH_URL)
def test_what_a_broken_function_raises(
    alice: User, garden: Garden, queues: Queues, monkeypatch: pytest.MonkeyPatch, function: str
) -> None:
    break_database(monkeypatch, garden.plant("what was raised"))
    everything_asked(garden, function, alice)
    garden.assert_buried()


def answer_badly(monkeypatch: pytest.MonkeyPatch, garden: Garden, kind: str) -> None:
    """Let whatever is called answer with secrets, and no sense."""
    said = {name: garden.plant(f"{name} of an answer") for name in ("message", "details", "hint", "code", "error")}
    answers: dict[str, Callable[[httpx.Request], httpx.Response]] = {
        "json": lambda request: httpx.Response(500, json=said, request=request),
        "denied": lambda request: httpx.Response(400, json={**said, "statusCode": "403"}, request=request),
        "html": lambda request: httpx.Response(502, text=f"<h1>{garden.plant('a page')}</h1>", request=request),
        "nonsense": lambda request: httpx.Response(200, json=[said, said], request=request),
    }

    handle_well = upstream._DeadlineTransport.handle_request

    def handle(transport: Any, request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/jwks.json"):  # or nobody would get any further
            return handle_well(transport, request)
        if kind == "refused":
            raise httpx.ConnectError(f"cannot reach {request.url}: {said['message']}", request=request)
        answer = answers[kind](request)
        answer.stream = httpx.ByteStream(answer.content)
        return answer

    monkeypatch.setattr(upstream._DeadlineTransport, "handle_request", handle)


@pytest.mark.parametrize("kind", ["json", "denied", "html", "nonsense", "refused"])
@pytest.mark.parametrize("function", [*WITH_URL, *OF_EVENTS])
def test_what_is_heard_from_behind(  # noqa: PLR0917
    alice: User, garden: Garden, queues: Queues, monkeypatch: pytest.MonkeyPatch, function: str, kind: str
) -> None:
    garden.note(settings().service_key, "the service key")
    answer_badly(monkeypatch, garden, kind)
    headers = {"Authorization": f"Bearer {garden.note(alice.token, 'an access token')}"}
    headers |= {"X-Webhook-Secret": garden.note(settings().storage_webhook_secret, "the webhook's secret")}
    given = (
        requests_of(garden, function, headers, fitting=True) if function in WITH_URL else events_of(garden, function)
    )
    for one in given:
        handled(garden, function, one)
    garden.assert_buried()


def events_of(garden: Garden, function: str) -> Iterator[JsonObject]:
    """Yield events with secrets in them: in the bodies of messages, where keys should be, and all around."""
    secret = garden.plant("a message")
    known = {"clipId": 1, "videoId": 1, "deliveryId": str(uuid.uuid4()), "attempts": 0}
    bodies: list[Any] = [
        dict.fromkeys(known, secret),
        {**known, "extra": secret},
        f"{{no JSON {secret}",
        s3_event(f"../{secret}", str(uuid.uuid4())),
        {"Records": [{"eventName": secret}]},
    ]
    yield sqs_event(*bodies, queue=f"videomaker-{secret}")
    yield sqs_event(*bodies, queue=f"videomaker-{secret}-dead")
    yield s3_event(secret, f"{secret}?X-Amz-Signature={secret}")
    yield eventbridge_event(secret)
    yield {"only": secret, "dryRun": secret, "Records": secret}
    yield {"Records": [{secret: secret}]}


@pytest.mark.parametrize("broken", [False, True])
@pytest.mark.parametrize("function", OF_EVENTS)
def test_what_events_hold(  # noqa: PLR0917
    function_environment: pytest.MonkeyPatch,
    garden: Garden,
    queues: Queues,
    monkeypatch: pytest.MonkeyPatch,
    function: str,
    broken: bool,
) -> None:
    garden.note(settings().service_key, "the service key")
    if broken:
        break_database(monkeypatch, garden.plant("what was raised"))
    for given in events_of(garden, function):
        handled(garden, function, given)
    garden.assert_buried(measured=6)


@pytest.mark.parametrize("access", ["public", "private"])
def test_what_a_storyboard_holds(
    alice: User, garden: Garden, function_environment: pytest.MonkeyPatch, access: str
) -> None:
    function_environment.setenv("BUCKET_ACCESS", access)
    settings.cache_clear()
    image = png()
    garden.note(base64.b64encode(image).decode()[:200], "an image")
    garden.note(alice.token, "an access token")
    url = alice.upload(image).json["imageUrl"]
    data = f"data:image/png;base64,{base64.b64encode(encoded(gradient(80, 60), 'PNG')).decode()}"
    garden.note(data[:200], "an image as a URL")
    story = garden.plant("the story")
    frames = [frame(1, url, prompt=story, description=story), frame(2, data)]
    session = alice.save(with_frames(frames, originalPrompt=story)).json["sessionId"]
    read = alice.read(session).json
    if access == "private":
        signed = [one["imageUrl"] for one in read["frames"]]
        assert all("token=" in one for one in signed)
        for one in signed:
            garden.note(one.partition("token=")[2], "a signed URL")
    assert alice.get("history", q=story).json["sessions"]
    garden.assert_buried(measured=4)


def test_what_guests_are_known_by(garden: Garden, function_environment: pytest.MonkeyPatch) -> None:
    given = {"imageData": base64.b64encode(png()).decode(), "frameId": 1, "userId": f"guest_{'ab' * 16}"}
    garden.note(str(given["userId"]), "the id of a guest")
    answer = handled(garden, "upload_image", event("POST", "/", body=json.dumps(given)))
    assert answer and answer.status == 200
    new = handled(garden, "upload_image", event("POST", "/", body=json.dumps(given | {"userId": None})))
    assert new and new.status == 200
    handled(garden, "get_frames", event("GET", "/", query={"sessionId": "x", "userId": given["userId"]}))
    garden.assert_buried(measured=3)


def test_what_tickets_are_signed_with(alice: User, garden: Garden, ingest: Ingest) -> None:
    ticket = ask(alice, file(bytes=1_000_000)).json["uploads"][0]
    for name in ("policy", "x-amz-signature"):
        garden.note(ticket["fields"][name], name)
    garden.note(settings().jwt_secret, "the secret that tokens are signed with")
    ingest.put(ticket["uploadId"], png())
    handled(garden, "on_upload", sqs_event(s3_event(ticket["uploadId"])))
    refused = ask(alice, file(bytes=1_000_000)).json["uploads"][0]
    ingest.put(refused["uploadId"], garden.plant("a file that is no image").encode())
    handled(garden, "on_upload", sqs_event(s3_event(refused["uploadId"])))
    garden.assert_buried(measured=4)


def test_what_opens_a_link(studio: Studio, viewer: Viewer, garden: Garden, cheap_passwords: None) -> None:
    password = garden.plant("the password of a link")
    share = studio.shared_video(password=password)
    garden.note(share["token"], "the token of a link")
    viewer.open(share)
    viewer.enter(share, garden.plant("a wrong password"))
    assert not viewer.cookies
    viewer.enter(share, password)
    assert viewer.cookies
    for value in viewer.cookies.values():
        garden.note(value, "the cookie of a link")
    assert viewer.open(share).status == 200
    for path in ("/embed", "/oembed", "/unknown"):
        viewer.open(share, path)
    viewer.open(garden.plant("a token that is none"))
    garden.assert_buried(measured=5)


def test_what_programs_show(alice: User, garden: Garden) -> None:
    answer = issue(alice)
    key = garden.note(answer.json["key"], "an API key")
    garden.note(key.rpartition("_")[2], "the secret of an API key")
    for used in (key, key[:-4] + "aaaa"):
        handled(garden, "history", event("GET", "/", headers={"X-Api-Key": used}))
        garden.note(used, "an API key")
    garden.assert_buried(measured=3)


@pytest.mark.parametrize(("status", "manner"), [(200, "answer"), (500, "answer"), (410, "answer"), (200, "garbage")])
def test_what_a_webhook_holds(  # noqa: PLR0917
    alice: User, queue: Queue, database: Database, garden: Garden, status: int, manner: Any
) -> None:
    with receiving(status=status, manner=manner, answer_body=garden.plant("a receiver's answer").encode()) as receiver:
        url = f"{receiver.url}{garden.plant('the address of a webhook')}"
        made = alice.post("webhooks", {"url": url}).json
        garden.note(made["secret"], "the secret of a webhook")
        finished_video(database, alice)
        for row in outbox(database, alice):
            deliver(row["delivery_id"], row["attempts"])
        assert len(receiver.received) >= 1
        garden.note(receiver.received[0].headers["webhook-signature"], "a signature")
    garden.assert_buried(measured=2)


def test_what_a_video_is_made_of(alice: User, queues: Queues, queue: Queue, garden: Garden) -> None:
    secret = garden.plant("the address to be told at")
    session = stored_storyboard(alice, 1, 1)
    for url in (f"https://receiver.example/{secret}?token={secret}", f"https://{secret}:{secret}@receiver.example/"):
        body = {"sessionId": session["sessionId"], "resolution": 480, "webhookUrl": url}
        alice.post("generate_video", body)
    queues.work()
    garden.assert_buried(measured=4)


def test_a_secret_that_is_written_is_found(garden: Garden, function_environment: pytest.MonkeyPatch) -> None:
    """The search itself works: in lines, on both streams, in what is raised, and in what the tracker was told."""
    handled(garden, "get_frames", event("GET", "/"))
    secret = garden.plant("planted in the open")
    garden.assert_buried()
    print(f"said {secret}")
    with pytest.raises(AssertionError):
        garden.assert_buried()
