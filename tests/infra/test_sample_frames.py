"""The storyboard that the demo uploads."""

from io import BytesIO

from PIL import Image, ImageStat

from infra.local.demo.sample_frames import ORIGINAL_PROMPT, STORY_OVERVIEW, STORY_TITLE, draw_frames


def test_six_different_frames_worth_looking_at() -> None:
    frames = draw_frames()
    assert [frame.frame_id for frame in frames] == [1, 2, 3, 4, 5, 6]
    assert len({frame.png for frame in frames}) == len({frame.name for frame in frames}) == 6
    assert all(frame.description and frame.prompt for frame in frames)
    assert STORY_TITLE and STORY_OVERVIEW and ORIGINAL_PROMPT
    for frame in frames:
        picture = Image.open(BytesIO(frame.png))
        assert (picture.format, picture.size, picture.mode) == ("PNG", (1344, 768), "RGB")
        assert min(ImageStat.Stat(picture).stddev) > 10


def test_frames_are_the_same_each_time() -> None:
    assert draw_frames() == draw_frames()
