"""Where libvips is not installed Pillow decodes: the same pictures come out, and the same files are refused."""

from io import BytesIO

import pytest
from PIL import Image, ImageChops, ImageStat

from shared.errors import AppError
from shared.images import decoders, optimise
from tests.shared.image_files import encoded, gradient


@pytest.fixture
def without_libvips(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setattr(decoders, "_vips", lambda: None)
    return monkeypatch


def opened(data: bytes) -> Image.Image:
    with Image.open(BytesIO(data)) as file:
        return file.convert("RGBA")


def files() -> dict[str, bytes]:
    picture = gradient(2400, 1500)
    transparent = picture.convert("RGBA")
    transparent.putalpha(gradient(2400, 1500).convert("L"))
    return {
        "PNG": encoded(picture, "PNG"),
        "PNG, transparent": encoded(transparent, "PNG"),
        "PNG, palette": encoded(picture.quantize(64), "PNG"),
        "PNG, grey, 16 bits": encoded(Image.new("I;16", (2400, 1500), 40_000), "PNG"),
        "JPEG": encoded(picture, "JPEG", quality=90),
        "JPEG, progressive": encoded(picture, "JPEG", quality=90, progressive=True),
        "WebP": encoded(picture, "WEBP"),
    }


@pytest.mark.parametrize("kind", files())
def test_the_same_picture_comes_out(without_libvips: pytest.MonkeyPatch, kind: str) -> None:
    data = files()[kind]
    plain = optimise(data)
    without_libvips.undo()
    by_libvips = optimise(data)
    assert (plain.image.width, plain.image.height) == (by_libvips.image.width, by_libvips.image.height) == (1920, 1200)
    difference = ImageChops.difference(opened(plain.image.data), opened(by_libvips.image.data))
    assert max(ImageStat.Stat(difference).mean) <= 1


@pytest.mark.parametrize("kind", files())
def test_a_file_that_ends_early_is_refused(without_libvips: pytest.MonkeyPatch, kind: str) -> None:
    data = files()[kind]
    with pytest.raises(AppError) as refused:
        optimise(data[: len(data) * 2 // 3])
    assert refused.value.code == "image_truncated"
