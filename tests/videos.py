"""Storyboards to make videos of, the workers' queues in a test's own hands, and a look at every frame of an MP4."""

import io
import json
import os
import random
import struct
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import boto3
import httpx
import psycopg
import pytest
from PIL import Image, ImageDraw

from functions.merge_clips.handler import handler as merge_clips
from functions.render_clip.handler import handler as render_clip
from infra.local.bench.quality import ssim
from infra.local.stack import Stack
from tests.client import Answer, Context, JsonObject, run_handler
from tests.people import User
from tests.shared.image_files import encoded
from tests.storyboards import frame, with_frames

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

Database = psycopg.Connection[Any]

SMALL: JsonObject = {"aspect": "1:1", "resolution": 480, "fps": 24, "motion": "still", "transition": "cut"}


def picture(number: int, size: tuple[int, int] = (640, 640)) -> Image.Image:
    """Return a picture that no other number has: shapes in places and colours of its own."""
    dice = random.Random(number)
    image = Image.new("RGB", size, tuple(dice.randrange(30, 226) for _ in range(3)))
    draw = ImageDraw.Draw(image)
    for _ in range(150):
        x, y, side = dice.randrange(size[0]), dice.randrange(size[1]), dice.randrange(6, 90)
        draw.ellipse((x - side, y - side, x + side, y + side), fill=tuple(dice.randrange(256) for _ in range(3)))
    return image


@dataclass
class Queues:
    """Two queues that nobody polls: the test delivers what the functions send, in any order, as often as it likes."""

    sqs: "SQSClient"
    urls: dict[str, str]
    seen: list[tuple[str, JsonObject]] = field(default_factory=list)
    context: Context | None = None

    @classmethod
    def made(cls) -> "Queues":
        sqs = boto3.client("sqs", endpoint_url=os.environ["AWS_ENDPOINT_URL"])
        names = {name: f"{name}-{uuid.uuid4().hex[:8]}" for name in ("render", "merge")}
        return cls(sqs, {name: sqs.create_queue(QueueName=queue)["QueueUrl"] for name, queue in names.items()})

    def take(self, name: str) -> list[JsonObject]:
        """Return the records of all messages that wait, as Lambda would hand them over, and empty the queue."""
        records: list[JsonObject] = []
        while True:
            answer = self.sqs.receive_message(
                QueueUrl=self.urls[name],
                MaxNumberOfMessages=10,
                MessageAttributeNames=["All"],
                MessageSystemAttributeNames=["AWSTraceHeader"],
                WaitTimeSeconds=0,
            )
            found = answer.get("Messages", [])
            if not found:
                return records
            for message in found:
                self.sqs.delete_message(QueueUrl=self.urls[name], ReceiptHandle=message["ReceiptHandle"])
                body = json.loads(message["Body"])
                found_record = record(body, name, message["MessageId"], request_id_of(message))
                found_record["attributes"] |= message.get("Attributes", {})
                records.append(found_record)

    def deliver(self, name: str, record: JsonObject) -> bool:
        """Hand one message to its worker; False where it is to come again."""
        handler = {"render": render_clip, "merge": merge_clips}[name]
        context = self.context or Context(seconds=600, memory_limit_in_mb=3008)
        answer = run_handler(handler, {"Records": [record]}, context)
        self.seen.append((name, record))
        return bool(answer == {"batchItemFailures": []})

    def work(self, *, tries: int = 3) -> None:
        """Deliver everything until nothing is left, in the order sent; what failed too often goes as a dead letter."""
        while waiting := [(name, one) for name in ("render", "merge") for one in self.take(name)]:
            for name, one in waiting:
                if not any(self.deliver(name, one) for _ in range(tries)):
                    self.deliver(name, dead(one))


def request_id_of(message: Any) -> str:
    return str(message["MessageAttributes"]["requestId"]["StringValue"])


def record(
    body: JsonObject, name: str, message_id: str | None = None, request_id: str = "request-of-test"
) -> JsonObject:
    """Return a message as Lambda hands it over."""
    return {
        "messageId": message_id or str(uuid.uuid4()),
        "body": json.dumps(body),
        "attributes": {"ApproximateReceiveCount": "1"},
        "messageAttributes": {"requestId": {"stringValue": request_id, "dataType": "String"}},
        "eventSource": "aws:sqs",
        "eventSourceARN": f"arn:aws:sqs:us-east-1:123456789012:videomaker-{name}",
    }


def dead(message: JsonObject) -> JsonObject:
    """Return a message as it comes from the queue of dead letters."""
    return {**message, "eventSourceARN": f"{message['eventSourceARN']}-dead"}


def stored_storyboard(user: User, count: int, seconds: int, **more: object) -> JsonObject:
    """Upload that many pictures, save them as a session of this length, and return the answer."""
    frames = []
    for number in range(1, count + 1):
        uploaded = user.upload(encoded(picture(number), "WEBP"), number)
        frames.append(frame(number, uploaded.json["imageUrl"], timestamp=f"{seconds * (number - 1) / count}s"))
    return dict(user.save(with_frames(frames, videoDuration=seconds, **more)).json)


def start(user: User, session_id: str, **options: object) -> Answer:
    """Ask for a small video of a session."""
    return user.post("generate_video", {**SMALL, "sessionId": session_id, **options})


def video_of(user: User, video_id: str) -> JsonObject:
    """Return what `get_video` answers."""
    return dict(user.get("get_video", videoId=video_id).json)


@dataclass(frozen=True)
class Watched:
    """An MP4, decoded whole."""

    frames: Sequence[Image.Image]
    size: tuple[int, int]

    def shows(self, place: int, expected: Image.Image) -> float:
        """Return how alike (SSIM) the frame at this place and a picture are."""
        shown = self.frames[place]
        return ssim(shown, expected.resize(shown.size, Image.Resampling.BICUBIC))


def watch(data: bytes, *, frames: int, fps: int, size: tuple[int, int]) -> Watched:
    """Decode every frame of an MP4 and hold it to the contract."""
    found = watch_clip(data, frames=frames, fps=fps, size=size)
    with av.open(io.BytesIO(data), "r") as container:
        stream = container.streams.video[0]
        assert stream.duration is not None and stream.time_base is not None
        assert stream.duration * stream.time_base == Fraction(frames, fps)
    return found


def watch_clip(data: bytes, *, frames: int, fps: int, size: tuple[int, int]) -> Watched:
    """Decode every frame of a clip."""
    order = [name for name, _ in boxes(data)]
    assert order.index(b"moov") < order.index(b"mdat"), "it cannot be played before it is loaded"
    with av.open(io.BytesIO(data), "r") as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == "h264"
        assert stream.codec_context.pix_fmt == "yuv420p"
        assert stream.average_rate == stream.guessed_rate == fps
        assert (stream.width, stream.height) == size
        packets = [packet for packet in container.demux(stream) if packet.size]
        clock = stream.time_base  # gone with the container
    assert clock is not None
    decoding = [packet.dts for packet in packets]
    assert all(a is not None and b is not None and a < b for a, b in pairwise(decoding))
    with av.open(io.BytesIO(data), "r") as container:
        shown = list(container.decode(video=0))
        times = [one.pts * clock for one in shown if one.pts is not None]
        assert times == [Fraction(number, fps) for number in range(frames)]
        pictures = [one.to_image() for one in shown]  # type: ignore[no-untyped-call]
        return Watched(pictures, size)


def boxes(data: bytes) -> Iterator[tuple[bytes, int]]:
    """Yield name and size of each top-level box of an MP4."""
    at = 0
    while at < len(data):
        size, name = struct.unpack(">I4s", data[at : at + 8])
        if size == 1:
            (size,) = struct.unpack(">Q", data[at + 8 : at + 16])
        yield name, size
        at += size or len(data)


def fetched(url: str) -> bytes:
    """Return what lies at an address."""
    return httpx.get(url).raise_for_status().content


class Job:
    """A video that was started, its rows, and the messages for its clips."""

    def __init__(self, user: User, queues: Queues, database: Database, session_id: str, **options: object) -> None:
        self.user, self.database = user, database
        answer = start(user, session_id, **options)
        assert answer.status == 202, answer.body
        self.video_id = str(answer.json["videoId"])
        messages = queues.take("render")
        self.messages = sorted(messages, key=lambda one: int(json.loads(one["body"])["clipId"]))

    @property
    def shown(self) -> JsonObject:
        return video_of(self.user, self.video_id)

    def row(self, number: int) -> JsonObject:
        query = (
            "select to_jsonb(c) from public.video_clips c join public.final_videos v on v.id = c.final_video_id"
            " where v.video_id = %s and c.clip_number = %s"
        )
        found = self.database.execute(query, (self.video_id, number)).fetchone()
        assert found
        return dict(found[0])

    def change(self, number: int, assignments: str) -> None:
        self.database.execute(
            f"update public.video_clips set {assignments} where id = %s".encode(), (self.row(number)["id"],)
        )


def remove(database: Database, url: str) -> None:
    with database.transaction():
        database.execute("set local storage.allow_delete_query = 'true'")
        database.execute("delete from storage.objects where name = %s", (url.rpartition("/videomaker/")[2],))


def status_of(database: Database, session_id: str) -> str:
    found = database.execute("select status from public.video_sessions where session_id = %s", (session_id,)).fetchone()
    assert found
    return str(found[0])


def fill_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let whatever is made be written to a device on which no space is left."""
    make = tempfile.TemporaryDirectory

    def made(**options: Any) -> Any:
        folder = make(**options)
        (Path(folder.name) / "out.mp4").symlink_to("/dev/full")
        return folder

    monkeypatch.setattr(tempfile, "TemporaryDirectory", made)


def spoil(stack: Stack, name: str) -> None:
    """Overwrite the beginning of an object of the media bucket, past Storage."""
    [stored] = (stack.folder / "objects" / "videomaker" / name).iterdir()
    stored.write_bytes(bytes(1000) + stored.read_bytes()[1000:])


def clip_files(database: Database, user: User) -> set[str]:
    """Return the names of a user's stored clips."""
    query = "select name from storage.objects where name like %s"
    return {name for (name,) in database.execute(query, (f"{user.subject}/clips/%",)).fetchall()}
