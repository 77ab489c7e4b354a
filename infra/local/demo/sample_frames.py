"""A storyboard to try things on: six painted frames of one short story, the same at every call."""

import io
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from random import Random
from typing import Final

from PIL import Image

from infra.local.demo.scenes.aurora import aurora
from infra.local.demo.scenes.city import city
from infra.local.demo.scenes.dawn import dawn
from infra.local.demo.scenes.forest import forest
from infra.local.demo.scenes.lighthouse import lighthouse
from infra.local.demo.scenes.stars import stars

STORY_TITLE: Final = "The Paper Boat"
STORY_OVERVIEW: Final = (
    "A paper boat is set on a mountain lake at dawn. It drifts through a forest and a city in the rain, passes the "
    "last lighthouse, carries a light across the open sea, and comes to rest under the northern lights."
)
ORIGINAL_PROMPT: Final = "The voyage of a paper boat, from a mountain lake to the northern lights, in six shots"
STYLE: Final = "painted"
MOOD: Final = "calm"
VIDEO_DURATION: Final = 30


@dataclass(frozen=True, slots=True)
class SampleFrame:
    """One frame: its number from 1, a name for files, a PNG of 1344 x 768, and the words that go with it."""

    frame_id: int
    name: str
    png: bytes
    description: str
    prompt: str


_Scene = tuple[str, Callable[[Random], Image.Image], str, str]

_SCENES: Final[tuple[_Scene, ...]] = (
    (
        "mountain-lake",
        dawn,
        "The sun clears the ridge. On the still lake, a paper boat begins to move.",
        "Layered misty mountains at dawn above a mirror-still lake, a small white paper boat, spruces on the shore, "
        "warm haze, wide shot, film grain",
    ),
    (
        "forest-stream",
        forest,
        "The current carries it between old trunks, through falling light.",
        "A quiet stream through a tall forest, shafts of golden light through the leaves, floating dust, a paper "
        "boat in the middle, dark banks in the foreground",
    ),
    (
        "city-rain",
        city,
        "Night, rain, neon. Nobody looks down at the canal.",
        "A canal between towers on a rainy night, lit windows and neon signs mirrored in the water, street lamps, "
        "a glowing paper boat, shallow depth of field",
    ),
    (
        "lighthouse",
        lighthouse,
        "The last lighthouse. Beyond it there is only sea.",
        "A lighthouse on a cliff at dusk, its beam over a calm sea, the sun going down in purple and orange clouds, "
        "a paper boat heading out",
    ),
    (
        "open-sea",
        stars,
        "Under the Milky Way it is its own small star.",
        "The open sea at night under the Milky Way, stars mirrored in the water, a paper boat with a warm light "
        "inside, far islands on the horizon",
    ),
    (
        "northern-lights",
        aurora,
        "Where the map ends, the sky begins to dance.",
        "Green and violet northern lights over snowy mountains and a still dark bay, stars, a paper boat at rest",
    ),
)


def draw_frames() -> list[SampleFrame]:
    """Return the six frames in the order of the story."""
    with ThreadPoolExecutor() as pool:
        return list(pool.map(_draw, range(1, len(_SCENES) + 1), _SCENES))


def _draw(frame_id: int, scene: _Scene) -> SampleFrame:
    name, paint, description, prompt = scene
    out = io.BytesIO()
    paint(Random(paint.__name__)).save(out, "PNG", compress_level=1)
    return SampleFrame(frame_id, name, out.getvalue(), description, prompt)
