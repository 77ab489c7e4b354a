"""What a month's work costs, line by line, beside what others ask for it: `make costs`, and the README's tables."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from infra.local.bench.figures import columns
from shared.pricing import PRICES, merging, rendering

STORYBOARDS: Final = 1000
FRAMES: Final = 6
SECONDS: Final = 30
SIZE: Final = (1280, 720)
FPS: Final = 30
VIEWS: Final = 3  # of each video

_IMAGE_GB: Final = 0.000110  # stored, with its thumbnail, of about 1.3 MB that came
_VIDEO_GB: Final = 0.009  # of 30 s; its clips take as much
_UPLOAD_SECONDS, _UPLOAD_GB = 0.35, 1769 / 1024
_CALL_SECONDS, _CALLS = 0.05, 16  # of each storyboard: saved, read, asked for, and how far it is


class Line(NamedTuple):
    """One line of the bill."""

    what: str
    amount: str
    dollars: float


@dataclass(frozen=True, slots=True)
class Offer:
    """What somebody else asks for the same, and what of that could be read where."""

    name: str
    dollars: str
    reckoned: str
    source: str
    read: str
    verified: str


OFFERS: Final = (
    Offer("Shotstack", "$125", "500 minutes are 500 credits; the Scale plan has 1,000 for $125",
          "https://help.shotstack.io/en/articles/14050672-billing-faqs, https://apimap.dev/apis/shotstack",
          "2026-11-28", "a credit a minute: yes; the plan's price: from a directory of APIs, as of March 2026"),
    Offer("JSON2Video", "30,000 credits", "30,000 seconds in Full HD are 30,000 credits",
          "https://json2video.com/docs/v2/reference/credits/credit-consumption",
          "2026-11-28", "a credit a second: yes; what a credit costs could not be read"),
    Offer("Cloudinary", "$99", "about 110 of the 225 credits of Plus (images, 2 a second of video, storage, traffic)",
          "https://cloudinary.com/documentation/billing_and_plans.md, https://cloudinary.com/pricing",
          "2026-11-28", "what a credit is: yes; the plan's price: from a transcript of May 2026; two a second: not"),
    Offer("Mux", "$20 at most", "plays, renders nothing: basic input is free, Launch has $100 of usage for $20",
          "https://mux.com/docs/pricing/controlling-video-costs, https://www.mux.com/pricing/video",
          "2026-11-28", "free input: yes; the plan: from a transcript of May 2026; rates a minute: not"),
)  # fmt: skip


def bill() -> list[Line]:
    """Return the lines of a month: 1,000 storyboards of 6 frames and 30 seconds, each watched three times."""
    images, videos, clips = STORYBOARDS * FRAMES, STORYBOARDS, STORYBOARDS * FRAMES
    frames = SECONDS * FPS
    compute, request = PRICES["lambda_gb_second"].dollars, PRICES["lambda_request"].dollars
    upload = images * (_UPLOAD_SECONDS * _UPLOAD_GB * compute + request)
    calls = STORYBOARDS * _CALLS
    clip, merge = rendering(frames // FRAMES, *SIZE), merging(frames, *SIZE)
    stored = images * _IMAGE_GB + videos * 2 * _VIDEO_GB
    sent = videos * VIEWS * _VIDEO_GB
    return [
        Line("`upload_image`", f"{images:,} × {_UPLOAD_SECONDS} s at 1,769 MB", upload),
        Line("Saving, reading, asking", f"{calls:,} × {_CALL_SECONDS} s at 1,024 MB",
             calls * (_CALL_SECONDS * compute + request)),
        Line("`render_clip`, with its messages", f"{clips:,} × {clip.seconds:.1f} s at 3,008 MB", clips * clip.dollars),
        Line("`merge_clips`, with its messages", f"{videos:,} × {merge.seconds:.1f} s at 1,769 MB",
             videos * merge.dollars),
        Line("Storage", f"{stored:.1f} GB for a month", stored * PRICES["storage_gb_month"].dollars),
        Line("Egress", f"{videos:,} videos × {VIEWS} views, {sent:.0f} GB", sent * PRICES["egress_gb"].dollars),
        Line("Supabase Pro, which has the smallest compute in it", "1 month", PRICES["plan_month"].dollars),
    ]  # fmt: skip


def document() -> str:
    """Return the tables as Markdown: the bill, the others, and the prices."""
    lines = bill()
    rows = [("line", "amount", "US dollars"), *((one.what, one.amount, f"{one.dollars:.2f}") for one in lines)]
    rows.append(("**Together**", "", f"**{sum(one.dollars for one in lines):.2f}**"))
    return "\n\n".join([columns(rows), columns(_offers()), columns(_prices())])


def _offers() -> Sequence[tuple[str, ...]]:
    head = ("elsewhere", "a month", "reckoned as", "source", "read", "verified")
    return [head, *((one.name, one.dollars, one.reckoned, one.source, one.read, one.verified) for one in OFFERS)]


def _prices() -> Sequence[tuple[str, ...]]:
    return [
        ("price", "US dollars", "for a", "source", "read"),
        *(
            (name, f"{one.dollars:.10f}".rstrip("0").rstrip("."), one.unit, one.source, one.read)
            for name, one in PRICES.items()
        ),
    ]


def main() -> int:
    """Print the tables."""
    print(document())
    return 0
