"""A day's requests: storyboards, readers, videos and viewers, and one in 33 that fails, in eight ways."""

import base64
import io
import random
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import cycle
from threading import Lock
from typing import Any

import httpx
from PIL import Image

from infra.local.stack import Stack

FAILING_OF_A_THOUSAND = 31
LOOK = {"aspect": "1:1", "resolution": 480, "fps": 24, "motion": "zoom_in", "transition": "crossfade"}
SECONDS = 4


@dataclass(frozen=True)
class Asked:
    """One request as the client saw it; `code` is that of a problem."""

    request_id: str
    function: str
    user: str | None
    status: int
    code: str | None


@dataclass
class Person:
    """Somebody with a token, a storyboard, and what became of it."""

    subject: str
    token: str
    session_id: str = ""
    frames: list[dict[str, Any]] = field(default_factory=list)
    share_url: str = ""
    videos: list[str] = field(default_factory=list)


Act = Callable[[Person], object]


class Traffic:
    """Sends requests to the functions and keeps a ledger of them."""

    def __init__(self, stack: Stack, people: int, seed: int = 7) -> None:
        self.ledger: list[Asked] = []
        self._stack = stack
        self._lock = Lock()
        self._dice = random.Random(seed)
        self._api = httpx.Client(base_url=stack.info["apiUrl"], timeout=120)
        self.people = [
            Person(subject, self._stack.access_token(subject)) for subject in (str(uuid.uuid4()) for _ in range(people))
        ]
        self._failures = cycle(self._ways_to_fail())
        self._successes: Sequence[tuple[int, Act]] = (
            (52, self._read),
            (16, self._upload),
            (9, self._save),
            (8, self._list),
            (7, self._styles),
            (5, self._look_at_video),
            (2, self._watch),
            (1, self._usage),
        )

    def begin(self, person: Person) -> None:
        """Give somebody a storyboard of two frames, and a link to it."""
        for number in (1, 2):
            image = self._upload(person, number)["imageUrl"]
            person.frames.append({"frameId": number, "imageUrl": image, "description": f"A frame, number {number}"})
        saved = self.ask("save_frames", "POST", person, json=self._storyboard(person))
        person.session_id = saved["sessionId"]
        made = self.ask("share", "POST", person, json={"sessionId": person.session_id})
        person.share_url = made["url"]

    def render(self, person: Person) -> None:
        """Start a video that no clip of before can serve for."""
        self.redraw(person)
        person.videos.append(self.start_video(person))

    def redraw(self, person: Person) -> None:
        """Put new images in the place of somebody's frames."""
        for one in person.frames:
            one["imageUrl"] = self._upload(person, one["frameId"])["imageUrl"]

    def start_video(self, person: Person) -> str:
        """Save somebody's frames as they are, start a video of them, and return its id."""
        self._save(person)
        started = self.ask("generate_video", "POST", person, json={"sessionId": person.session_id, **LOOK})
        return str(started["videoId"])

    def one(self, number: int) -> None:
        """Send the request of this number."""
        with self._lock:
            person = self._dice.choice(self.people)
            weights = [weight for weight, _ in self._successes]
            act = self._dice.choices([act for _, act in self._successes], weights)[0]
            if number * FAILING_OF_A_THOUSAND % 1000 < FAILING_OF_A_THOUSAND:
                act = next(self._failures)
        act(person)

    def ask(self, function: str, method: str, person: Person | None, **sent: Any) -> dict[str, Any]:
        """Send one request (`json`, `params`, `headers`, as httpx takes them), note it, and return its JSON."""
        request_id = f"day-{uuid.uuid4()}"
        own = {"Authorization": f"Bearer {person.token}"} if person else {}
        headers = {"X-Request-Id": request_id, **own, **sent.pop("headers", {})}
        answer = self._api.request(method, f"/api/{function}", headers=headers, **sent)
        is_json = "json" in answer.headers.get("content-type", "")
        found: dict[str, Any] = answer.json() if is_json else {}
        name = function.partition("/")[0]
        with self._lock:
            # Where there is no such route, nobody has looked at who asks.
            subject = person.subject if person and answer.status_code != httpx.codes.METHOD_NOT_ALLOWED else None
            self.ledger.append(Asked(request_id, name, subject, answer.status_code, found.get("code")))
        return found

    def image(self) -> bytes:
        """Return a PNG that no other one is like."""
        with self._lock:
            colours = [self._dice.randrange(256) for _ in range(27)]
        out = io.BytesIO()
        Image.frombytes("RGB", (3, 3), bytes(colours)).resize((480, 480), Image.Resampling.BICUBIC).save(out, "PNG")
        return out.getvalue()

    def _upload(self, person: Person, frame_id: int = 1) -> dict[str, Any]:
        data = base64.b64encode(self.image()).decode()
        return self.ask("upload_image", "POST", person, json={"imageData": data, "frameId": frame_id})

    def _storyboard(self, person: Person) -> dict[str, Any]:
        about = {"originalPrompt": f"A day of {uuid.uuid4()}", "videoDuration": SECONDS, "style": "ink", "mood": "calm"}
        known = {"sessionId": person.session_id} if person.session_id else {}
        return {**about, **known, "frameCount": len(person.frames), "frames": person.frames}

    def _read(self, person: Person) -> None:
        self.ask("get_frames", "GET", person, params={"sessionId": person.session_id})

    def _save(self, person: Person) -> None:
        self.ask("save_frames", "POST", person, json=self._storyboard(person))

    def _list(self, person: Person) -> None:
        self.ask("history", "GET", person)

    def _styles(self, person: Person) -> None:
        self.ask("templates", "GET", person)

    def _usage(self, person: Person) -> None:
        self.ask("analytics", "GET", person)

    def _look_at_video(self, person: Person) -> None:
        if person.videos:
            self.ask("get_video", "GET", person, params={"videoId": person.videos[-1]})
        else:
            self._read(person)

    def _watch(self, person: Person) -> None:
        token = person.share_url.rpartition("/")[2]
        self.ask(f"watch/{token}", "GET", None, headers={"User-Agent": f"Day/{uuid.uuid4()}"})

    def _ways_to_fail(self) -> list[Act]:
        ask = self.ask
        large = base64.b64encode(bytes(4 * 1024 * 1024 + 3)).decode()
        junk = base64.b64encode(b"This is no image at all, whatever its name may say.").decode()

        def foreign(person: Person) -> None:
            url = f"{self._stack.info['supabaseUrl']}/storage/v1/object/public/videomaker/{uuid.uuid4()}/frames/a.webp"
            body = self._storyboard(person) | {"frameCount": 1, "frames": [{**person.frames[0], "imageUrl": url}]}
            ask("save_frames", "POST", person, json=body)

        def stale(person: Person) -> None:
            ask("save_frames", "POST", person, json=self._storyboard(person), headers={"If-Match": '"999999"'})

        return [
            lambda _: ask(
                "get_frames", "GET", None, params={"sessionId": "a"}, headers={"Authorization": "Bearer a.b.c"}
            ),
            lambda one: ask("save_frames", "POST", one, json={"frames": []}),
            lambda one: ask("get_frames", "GET", one, params={"sessionId": str(uuid.uuid4())}),
            lambda one: ask("upload_image", "POST", one, json={"imageData": junk, "frameId": 1}),
            lambda one: ask("upload_image", "POST", one, json={"imageData": large, "frameId": 1}),
            foreign,
            stale,
            lambda one: ask("history", "PUT", one, json={}),
        ]
