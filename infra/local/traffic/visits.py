"""What people do with the functions, as a front end does it for them: in a mix, over HTTP."""

import base64
import io
import random
import time
import uuid
from collections.abc import Callable
from typing import Any

import httpx
from PIL import Image, ImageDraw

from infra.local.traffic.ledger import Json, Ledger, content_of

PICTURES = 4
# How often each thing is done, of a hundred.
MIX = {"read": 40, "browse": 15, "upload": 22, "save": 18, "list_templates": 4, "render": 1}
SMALL_VIDEO = {"aspect": "1:1", "resolution": 480, "fps": 24, "motion": "still", "transition": "cut"}


def pictures() -> dict[str, bytes]:
    """Return a few JPEGs by their names."""
    return {f"picture {number}": _picture(number) for number in range(PICTURES)}


def made_unique(jpeg: bytes) -> bytes:
    """Return the same picture as a file that was never uploaded, by a comment in it."""
    comment = uuid.uuid4().bytes
    return jpeg[:2] + b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment + jpeg[2:]


def _picture(number: int) -> bytes:
    dice = random.Random(number)
    image = Image.new("RGB", (640, 360), tuple(dice.randrange(256) for _ in range(3)))
    draw = ImageDraw.Draw(image)
    for _ in range(40):
        x, y, side = dice.randrange(640), dice.randrange(360), dice.randrange(10, 120)
        draw.ellipse((x, y, x + side, y + side), fill=tuple(dice.randrange(256) for _ in range(3)))
    file = io.BytesIO()
    image.save(file, "JPEG", quality=88)
    return file.getvalue()


class Person:
    """One signed-in user, who does one thing after the other and remembers what was promised."""

    def __init__(self, api_url: str, token: str, ledger: Ledger, chance: random.Random) -> None:
        self._http = httpx.Client(base_url=api_url, headers={"Authorization": f"Bearer {token}"}, timeout=35)
        self.ledger = ledger
        self._chance = chance
        self._pictures = pictures()
        self._uploads: list[str] = []
        self._sessions: list[Json] = []
        self._unsure: tuple[str, Json] | None = None
        self._turn = 0

    def act(self, mix: dict[str, int] = MIX) -> str:
        """Do something, and return what."""
        what = self._chance.choices(list(mix), list(mix.values()))[0]
        if what == "save" and not self._uploads:
            what = "upload"
        if what in ("read", "render") and not self._sessions:
            what = "save" if self._uploads else "upload"
        action: Callable[[], None] = getattr(self, what)
        action()
        return what

    def upload(self) -> None:
        """Upload a new file, or once more the last one where nothing good was heard of it."""
        name, body = self._unsure or self._new_upload()
        self._unsure = name, body
        answer = self._ask("POST", "upload_image", body)
        if answer and answer["success"]:
            self.ledger.uploaded(answer["imageUrl"], name)
            self._uploads.append(answer["imageUrl"])
            self._unsure = None

    def _new_upload(self) -> tuple[str, Json]:
        name = self._chance.choice(list(self._pictures))
        data = base64.b64encode(made_unique(self._pictures[name])).decode()
        return name, {"imageData": data, "frameId": self._chance.randrange(1, 7)}

    def save(self) -> None:
        """Make a new storyboard, or save one of the last ones again."""
        again = self._sessions and self._chance.random() < 0.6
        session_id = self._chance.choice(self._sessions[-5:])["sessionId"] if again else str(uuid.uuid4())
        self._turn += 1
        count = self._chance.randrange(1, 7)
        frames = [
            {
                "frameId": number,
                "imageUrl": self._chance.choice(self._uploads),
                "description": f"Frame {number} of turn {self._turn}",
                "prompt": "A paper boat on a rainy street, at dusk, 35 mm",
            }
            for number in range(1, count + 1)
        ]
        content = content_of(frames)
        self.ledger.saving(session_id, content)
        answer = self._ask(
            "POST",
            "save_frames",
            {
                "sessionId": session_id,
                "frames": frames,
                "originalPrompt": f"The voyage of a paper boat, part {self._turn}",
                "videoDuration": count,
                "frameCount": count,
                "style": "painted",
                "mood": "calm",
            },
        )
        if answer is None:
            return
        if answer["success"]:
            self.ledger.saved(session_id, content, answer["version"])
            if not again:
                self._sessions.append({"sessionId": session_id})
        elif answer["status"] < 500:
            self.ledger.refused(session_id, content)

    def read(self) -> None:
        """Read a storyboard, which must be what was saved last, or a save whose answer got lost."""
        session_id = self._chance.choice(self._sessions)["sessionId"]
        held = self.ledger.storyboards[session_id]
        allowed = list(held.may_hold)
        answer = self._ask("GET", "get_frames", sessionId=session_id)
        if answer is None or not answer["success"]:
            if answer and answer["status"] < 500 and answer["status"] != 429:
                self.ledger.wrong.append(f"{session_id}: {answer['code']}")
        elif content_of(answer["frames"]) not in allowed:
            self.ledger.wrong.append(f"{session_id} is not what its owner saved")

    def browse(self) -> None:
        self._ask("GET", "history", limit=20)

    def list_templates(self) -> None:
        self._ask("GET", "templates")

    def render(self) -> None:
        wanted = {"sessionId": self._chance.choice(self._sessions)["sessionId"], **SMALL_VIDEO}
        answer = self._ask("POST", "generate_video", wanted)
        if answer and answer["success"]:
            self.ledger.videos.append(answer["videoId"])

    def _ask(self, method: str, function: str, body: Json | None = None, **query: Any) -> Json | None:
        """Return the answer's JSON, or None where none came."""
        started = time.perf_counter()
        try:
            response = self._http.request(method, f"/api/{function}", json=body, params=query)
        except httpx.HTTPError as error:
            self.ledger.note(function, type(error).__name__, seconds=time.perf_counter() - started)
            return None
        try:
            answer: Json = response.json()
        except ValueError:  # Lambda itself has answered, in plain text
            answer = {"requestId": response.headers.get("x-amzn-requestid")}
        self.ledger.note(function, response.status_code, answer, time.perf_counter() - started)
        return {"status": response.status_code, "success": False, **answer}
