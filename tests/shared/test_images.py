"""What becomes of pictures: size, orientation, colour, metadata, and which file is kept."""

from io import BytesIO
from itertools import product

import pytest
from PIL import Image, ImageCms, ImageFilter, ImageOps

from shared.errors import AppError
from shared.images import Encoded, decoders, optimise, webp
from tests.shared.image_files import (
    FORMATS,
    GPS_LATITUDE,
    chunk,
    corners,
    decoded,
    difference,
    display_p3,
    encoded,
    exif,
    gradient,
    icc_profile,
    noise,
    png_16_bit,
    png_with,
    segment,
)


def shown(data: bytes) -> Image.Image:
    return decoded(optimise(data).image.data)


def size_of(file: Encoded) -> tuple[int, int]:
    assert decoded(file.data).size == (file.width, file.height)
    return file.width, file.height


@pytest.mark.parametrize("file_format", FORMATS)
def test_every_type_becomes_webp_with_the_same_picture(file_format: str) -> None:
    stored = optimise(encoded(gradient(300, 200), file_format, **({"quality": 100} if file_format == "JPEG" else {})))
    for file in (stored.image, stored.thumbnail):
        assert (file.mime_type, decoded(file.data).format) == ("image/webp", "WEBP")
        assert (file.width, file.height) == (300, 200)
        assert difference(decoded(file.data), gradient(300, 200)) < (8 if file_format == "GIF" else 3)


@pytest.mark.parametrize("file_format", FORMATS)
@pytest.mark.parametrize(
    ("size", "stored_size", "thumbnail_size"),
    [
        ((1920, 1080), (1920, 1080), (320, 180)),
        ((1921, 1081), (1920, 1080), (320, 180)),
        ((2000, 4001), (960, 1920), (160, 320)),
        ((3841, 400), (1920, 200), (320, 33)),
        ((321, 20), (321, 20), (320, 20)),
        ((1, 1), (1, 1), (1, 1)),
        ((9000, 2), (1920, 1), (320, 1)),
    ],
)
def test_scales_down_to_fit_but_never_up(
    file_format: str, size: tuple[int, int], stored_size: tuple[int, int], thumbnail_size: tuple[int, int]
) -> None:
    stored = optimise(encoded(gradient(*size), file_format))
    assert size_of(stored.image) == stored_size
    assert size_of(stored.thumbnail) == thumbnail_size


@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "WEBP", "AVIF"])
def test_scaled_picture_looks_like_the_original(file_format: str) -> None:
    original = corners(3000, 2000)
    assert difference(shown(encoded(original, file_format)), original.resize((1920, 1280))) < 2


@pytest.mark.parametrize(("file_format", "orientation"), [*product(["PNG", "JPEG", "WEBP", "AVIF"], range(1, 9))])
def test_picture_stands_upright(file_format: str, orientation: int) -> None:
    file = encoded(corners(), file_format, exif=exif(orientation))
    upright = ImageOps.exif_transpose(decoded(file))
    assert upright is not None
    assert difference(shown(file), upright) < 6
    turned = [n for n in range(1, 9) if n != orientation]
    for other in turned:
        view = ImageOps.exif_transpose(decoded(encoded(corners(), file_format, exif=exif(other))))
        assert view is not None
        assert view.size != upright.size or difference(view, upright) > 20


def test_large_picture_stands_upright_too() -> None:
    stored = optimise(encoded(corners(3000, 2000), "JPEG", exif=exif(6)))
    assert size_of(stored.image) == (1280, 1920)
    assert size_of(stored.thumbnail) == (213, 320)
    assert difference(decoded(stored.image.data), corners(1920, 1280).transpose(Image.Transpose.ROTATE_270)) < 3


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_senseless_orientation_is_none(orientation: int) -> None:
    assert difference(shown(encoded(corners(), "JPEG", exif=exif(orientation))), corners()) < 6


@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "WEBP", "AVIF"])
@pytest.mark.parametrize("quality", [10, 95])
def test_metadata_is_gone(file_format: str, quality: int) -> None:
    options: dict[str, object] = {} if file_format == "PNG" else {"quality": quality, "xmp": b"<x:xmpmeta>secret"}
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    file = encoded(noise(200, 150), file_format, exif=exif(), icc_profile=srgb, **options)
    assert GPS_LATITUDE in file
    stored = optimise(file)
    for part in (stored.image.data, stored.thumbnail.data):
        assert not {"exif", "xmp", "icc_profile", "comment"} & decoded(part).info.keys()
        assert not any(word in part for word in (GPS_LATITUDE, b"Exif", b"secret", b"acsp", b"ICCP", b"EXIF"))


def test_cmyk_becomes_rgb() -> None:
    colours = corners()
    file = encoded(colours.convert("CMYK"), "JPEG")
    assert decoded(file).mode == "CMYK"
    assert b"Adobe" in file
    assert difference(shown(file), colours) < 6


def test_16_bits_keep_their_brightness() -> None:
    grey = Image.frombytes("I;16", (2, 1), b"\x00\x80\xff\xff").resize((64, 32), Image.Resampling.NEAREST)
    picture = shown(encoded(grey, "PNG")).convert("L")
    assert picture.getpixel((8, 16)) == pytest.approx(128, abs=3)
    assert picture.getpixel((56, 16)) == pytest.approx(255, abs=3)
    assert shown(png_16_bit(64, 64, (0xC000, 0x8000, 0x2000))).getpixel((32, 32)) == pytest.approx(
        (192, 128, 32), abs=4
    )


def test_16_bits_with_a_colour_key_do_not_fail() -> None:
    file = png_with(png_16_bit(8, 8, (1, 2, 3)), chunk(b"tRNS", b"\0\1\0\2\0\3"))
    assert optimise(file).image.width == 8


@pytest.mark.parametrize("mode", ["1", "L", "P"])
def test_few_colours_become_many(mode: str) -> None:
    original = gradient(64, 64).convert(mode)
    shade = ImageFilter.GaussianBlur(4)
    picture = shown(encoded(original, "PNG"))
    assert difference(picture.filter(shade), original.convert("RGB").filter(shade)) < 4


@pytest.mark.parametrize("mode", ["LA", "RGBA", "PA", "L", "RGB"])
def test_transparency_stays(mode: str) -> None:
    image = corners().convert(mode if mode != "PA" else "P")
    if mode in {"LA", "RGBA"}:
        image.putalpha(Image.linear_gradient("L").resize(image.size))
        file = encoded(image, "PNG")
    else:
        file = encoded(image, "PNG", transparency=image.getpixel((0, 0)))
    alpha = shown(file).getchannel("A")
    assert difference(alpha, decoded(file).convert("RGBA").getchannel("A")) < 3
    assert alpha.getextrema() == decoded(file).convert("RGBA").getchannel("A").getextrema()


def test_transparency_survives_scaling_without_a_dark_rim() -> None:
    image = Image.new("RGBA", (4000, 1000), (0, 0, 0, 0))
    image.paste((250, 250, 250, 255), (0, 0, 1999, 1000))
    stored = shown(encoded(image, "PNG"))
    rim = [stored.getpixel((x, 200)) for x in range(950, 968)]
    assert all(pixel[0] > 200 for pixel in rim if isinstance(pixel, tuple) and pixel[3] > 60)


@pytest.mark.parametrize("file_format", ["PNG", "WEBP"])
def test_alpha_that_hides_nothing_goes(file_format: str) -> None:
    image = corners().convert("RGBA")
    assert shown(encoded(image, file_format)).mode == "RGB"


@pytest.mark.parametrize("file_format", ["PNG", "GIF", "WEBP", "AVIF"])
def test_first_frame_of_an_animation(file_format: str) -> None:
    frames = [Image.new("RGB", (80, 60), (0, 0, level)) for level in range(40, 240, 20)]
    file = encoded(corners(80, 60), file_format, save_all=True, append_images=frames, duration=50)
    stored = optimise(file)
    assert difference(decoded(stored.image.data), corners(80, 60)) < 6
    assert getattr(decoded(stored.image.data), "n_frames", 1) == 1


def test_wide_gamut_is_converted_to_srgb() -> None:
    file = encoded(Image.new("RGB", (64, 64), (200, 100, 100)), "PNG", icc_profile=display_p3())
    red, green, blue = shown(file).getpixel((32, 32))  # type: ignore[misc]
    assert (red, green, blue) == pytest.approx((216, 93, 97), abs=4)


def test_wide_gamut_keeps_its_transparency() -> None:
    file = encoded(Image.new("RGBA", (64, 64), (200, 100, 100, 128)), "PNG", icc_profile=display_p3())
    assert shown(file).getpixel((32, 32)) == pytest.approx((216, 93, 97, 128), abs=4)


@pytest.mark.parametrize("mode", ["L", "LA"])
def test_grey_profile_is_converted(mode: str) -> None:
    file = encoded(
        Image.new(mode, (64, 64), 128 if mode == "L" else (128, 90)), "PNG", icc_profile=icc_profile(b"GRAY", 1.0)
    )
    pixel = shown(file).getpixel((32, 32))
    assert isinstance(pixel, tuple)
    assert pixel[:3] == pytest.approx((188, 188, 188), abs=3)


@pytest.mark.parametrize(
    "profile", [b"no profile", display_p3()[:200], icc_profile(b"GRAY", 1.8), icc_profile(b"CMYK", 1.8)]
)
def test_profile_that_does_not_fit_is_ignored(profile: bytes) -> None:
    original = Image.new("RGB", (64, 64), (200, 100, 100))
    if profile[16:20] == b"GRAY":
        original = original.convert("CMYK")
        file = encoded(original, "JPEG", icc_profile=profile)
    else:
        file = encoded(original, "PNG", icc_profile=profile)
    assert difference(shown(file), original.convert("RGB")) < 3


def test_small_clean_jpeg_is_kept_to_the_pixel() -> None:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    file = encoded(noise(200, 150), "JPEG", quality=5, exif=exif(), comment=b"<script>", icc_profile=srgb)
    kept = optimise(file).image
    assert (kept.mime_type, kept.width, kept.height) == ("image/jpeg", 200, 150)
    assert len(kept.data) < len(file) - 500
    assert decoded(kept.data).tobytes() == decoded(file).tobytes()


@pytest.mark.parametrize("options", [{"progressive": True}, {"restart_marker_rows": 1}, {"subsampling": 2}])
def test_jpeg_of_any_common_make_is_kept(options: dict[str, object]) -> None:
    file = encoded(noise(200, 150), "JPEG", quality=5, **options)
    kept = optimise(file).image
    assert kept.mime_type == "image/jpeg"
    assert decoded(kept.data).tobytes() == decoded(file).tobytes()


def test_jpeg_in_rgb_keeps_its_colours() -> None:
    file = encoded(noise(200, 150), "JPEG", quality=3, keep_rgb=True)
    kept = optimise(file).image
    assert difference(decoded(kept.data), decoded(file)) < 1


@pytest.mark.parametrize("options", [{"quality": 1}, {"lossless": True}, {"quality": 1, "alpha": True}])
def test_small_clean_webp_is_kept_to_the_pixel(options: dict[str, object]) -> None:
    image = Image.effect_mandelbrot((300, 200), (-2, -1, 1, 1), 20).point(lambda v: 255 * (v > 9)).convert("RGB")
    if options.pop("alpha", False):
        image = noise(300, 200)
        image.putalpha(Image.linear_gradient("L").resize(image.size).point(lambda v: 255 * (v > 99)))
    file = encoded(image, "WEBP", exif=exif(), xmp=b"secret", **options)
    kept = optimise(file).image
    assert (kept.mime_type, kept.width, kept.height) == ("image/webp", 300, 200)
    assert len(kept.data) <= len(file) - len(exif())
    assert decoded(kept.data).tobytes() == decoded(file).tobytes()


@pytest.mark.parametrize(
    "file",
    [
        encoded(noise(200, 150), "JPEG", quality=5, exif=exif(3)),
        encoded(noise(200, 150), "JPEG", quality=5, icc_profile=display_p3()),
        encoded(noise(200, 150).convert("CMYK"), "JPEG", quality=5),
        encoded(gradient(2400, 1600), "JPEG", quality=1),
        encoded(gradient(3840, 2160), "JPEG", quality=1),
        encoded(noise(200, 150), "WEBP", quality=1, save_all=True, append_images=[corners(200, 150)]),
        encoded(noise(200, 150), "PNG", bits=8),
    ],
    ids=["turned", "wide gamut", "cmyk", "too large", "just twice too large", "animated", "png"],
)
def test_what_browsers_would_show_otherwise_is_not_kept(file: bytes) -> None:
    stored = optimise(file).image
    assert stored.mime_type == "image/webp"
    assert stored.data not in file


def test_larger_webp_than_its_re_encoding_is_not_kept() -> None:
    file = encoded(gradient(600, 400), "WEBP", quality=100)
    assert len(optimise(file).image.data) < len(file) // 2


@pytest.mark.parametrize("file_format", FORMATS)
def test_same_input_gives_the_same_bytes(file_format: str) -> None:
    file = encoded(corners(2500, 900), file_format)
    assert optimise(file) == optimise(file)


def test_jpeg_thumbnail_segment_does_not_survive() -> None:
    file = encoded(noise(64, 64), "JPEG", quality=5)
    extended = (
        file[:2] + segment(0xE0, b"JFIF\0\1\1\0\0\1\0\1\4\4" + b"<b>" * 16) + segment(0xE0, b"JFXX\0\x10<b>") + file[2:]
    )
    assert b"<b>" not in optimise(extended).image.data


@pytest.mark.parametrize("file_format", ["BMP", "TIFF", "PPM", "TGA", "PCX", "ICO", "SGI", "DDS", "JPEG2000", "PDF"])
def test_no_decoder_but_the_five_is_ever_asked(file_format: str, monkeypatch: pytest.MonkeyPatch) -> None:
    out = BytesIO()
    corners().save(out, file_format)

    def refuse(*_: object) -> None:
        raise AssertionError("every decoder of Pillow would be tried")

    monkeypatch.setattr(Image, "open", refuse)
    monkeypatch.setattr(Image, "init", refuse)
    with pytest.raises(AppError) as error:
        optimise(out.getvalue())
    assert error.value.code in {"unsupported_image_type", "not_an_image"}


@pytest.mark.parametrize("size", [(300, 200), (2500, 1000)])
@pytest.mark.parametrize("options", [{}, {"lossless": True}])
def test_webp_is_read_without_a_libwebp_of_pillow_too(
    size: tuple[int, int], options: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    image = gradient(*size)
    image.putalpha(Image.linear_gradient("L").resize(size))
    file = encoded(image, "WEBP", **options)
    with_libwebp = shown(file)
    monkeypatch.setattr(webp, "available", lambda: False)
    assert difference(shown(file), with_libwebp) < 2


@pytest.mark.parametrize("background", ["white", "black"])
@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_large_transparent_png_looks_as_a_small_one_does(
    mode: str, background: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = corners(2500, 1000).convert(mode)
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    file = encoded(image, "PNG")

    def seen() -> Image.Image:
        picture = shown(file)
        return Image.alpha_composite(Image.new("RGBA", picture.size, background), picture)

    held = seen()
    monkeypatch.setattr(decoders, "_MAX_HELD_PIXELS", 0)
    assert difference(seen(), held) < 1


def test_pillows_wheel_brings_a_libwebp_that_can_scale() -> None:
    assert webp.available()
