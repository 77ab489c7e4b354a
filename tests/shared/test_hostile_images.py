"""Files that are cut, lie, or hide something: they end in an `AppError` with the right code, or in a clean picture."""

import io
import struct
import zipfile
import zlib
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from shared.errors import AppError
from shared.images import decode_base64, decoders, optimise
from tests.shared.image_files import (
    FORMATS,
    chunk,
    corners,
    decoded,
    difference,
    encoded,
    header_only,
    noise,
    png_with,
    riff,
    segment,
)
from tests.shared.image_mutations import mutated


def code_of(data: bytes) -> str:
    with pytest.raises(AppError) as error:
        optimise(data)
    return error.value.code


@pytest.fixture
def no_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make decoding end the test: what is refused here must be refused before."""

    def fail(*_: object) -> None:
        pytest.fail("a decoder saw the file")

    monkeypatch.setattr(decoders, "_DECODERS", dict.fromkeys(FORMATS, fail))


@pytest.mark.usefixtures("no_pixels")
@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "GIF"])
@pytest.mark.parametrize("size", [(60_000, 60_000), (40_000, 1_001), (8_000, 5_001)])
def test_more_than_40_megapixels_are_refused_by_the_header(file_format: str, size: tuple[int, int]) -> None:
    assert code_of(header_only(file_format, *size)) == "too_many_pixels"


@pytest.mark.usefixtures("no_pixels")
@pytest.mark.parametrize("size", [(16_000, 16_000), (8_000, 5_001)])
def test_more_than_40_megapixels_of_webp_canvas_are_refused(size: tuple[int, int]) -> None:
    assert code_of(header_only("WEBP", *size)) == "too_many_pixels"


@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "GIF", "WEBP"])
def test_exactly_40_megapixels_get_as_far_as_the_pixels(file_format: str) -> None:
    assert code_of(header_only(file_format, 8_000, 5_000)) == "image_truncated"


def test_exactly_40_megapixels_are_scaled() -> None:
    stored = optimise(encoded(Image.new("L", (8_000, 5_000), 90), "PNG"))
    assert (stored.image.width, stored.image.height) == (1920, 1200)


def test_avif_beyond_40_megapixels_is_refused() -> None:
    file = bytearray(encoded(Image.new("L", (64, 64)), "AVIF"))
    place = file.index(b"ispe") + 8
    file[place : place + 8] = struct.pack(">II", 8_000, 5_001)
    assert code_of(bytes(file)) == "too_many_pixels"


@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "GIF"])
@pytest.mark.parametrize("size", [(0, 0), (0, 100), (100, 0)])
def test_image_without_pixels_is_none(file_format: str, size: tuple[int, int]) -> None:
    if file_format == "GIF":
        file = header_only("GIF", *size).replace(struct.pack("<HH", 1, 1), struct.pack("<HH", *size), 1)
    else:
        file = header_only(file_format, *size)
    assert code_of(file) == "not_an_image"


def test_second_header_does_not_get_round_the_limit() -> None:
    png = png_with(encoded(corners(), "PNG"), header_only("PNG", 60_000, 60_000)[8:33])
    assert code_of(png) == "too_many_pixels"
    frame = struct.pack(">BHHB", 8, 60_000, 60_000, 3) + b"\1\x11\0\2\x11\0\3\x11\0"
    jpeg = encoded(corners(), "JPEG")
    assert code_of(jpeg[:2] + segment(0xC0, frame) + jpeg[2:]) == "too_many_pixels"


def test_gif_whose_blocks_hide_a_larger_picture_is_bounded() -> None:
    large = header_only("GIF", 65_000, 65_000)[13:]
    disguise = b"!\xff\x0bNETSCAPE2.0\0" + b"!\xfe" + bytes([len(large)]) + large + b"\0"
    gif = encoded(corners(), "GIF")
    start = 13 + (3 << (gif[10] & 7) + 1)
    assert difference(decoded(optimise(gif[:start] + disguise + gif[start:]).image.data), corners()) < 6


@pytest.mark.parametrize("file_format", FORMATS)
@pytest.mark.parametrize("share", [0.02, 0.2, 0.5, 0.9, 0.99])
def test_cut_file_is_refused(file_format: str, share: float) -> None:
    file = encoded(noise(120, 90), file_format)
    assert code_of(file[: max(32, int(len(file) * share))]) == "image_truncated"


@pytest.mark.parametrize("options", [{"progressive": True}, {"optimize": True}, {"restart_marker_rows": 1}])
def test_jpeg_cut_in_a_scan_is_refused(options: dict[str, object]) -> None:
    file = encoded(noise(120, 90), "JPEG", **options)
    scan = file.index(b"\xff\xda")
    for end in range(scan + 30, len(file) - 60, len(file) // 9):
        assert code_of(file[:end]) == "image_truncated"


@pytest.mark.parametrize("missing", range(1, 16))
def test_png_without_its_last_bytes_is_refused(missing: int) -> None:
    assert code_of(encoded(corners(), "PNG")[:-missing]) == "image_truncated"


@pytest.mark.parametrize("with_libvips", [True, False])
def test_png_with_a_wrong_checksum_is_refused(monkeypatch: pytest.MonkeyPatch, with_libvips: bool) -> None:
    if not with_libvips:
        monkeypatch.setattr(decoders, "_vips", lambda: None)
    file = bytearray(encoded(noise(50, 50), "PNG"))
    file[-14] ^= 1
    assert code_of(bytes(file)) == "image_truncated"


def zipped() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("evil.html", "<script>alert(1)</script>")
    return out.getvalue()


@pytest.mark.parametrize("tail", [b"<html><script>alert(1)</script>", zipped(), b"\xff\xd9", header_only("JPEG", 9, 9)])
@pytest.mark.parametrize("file_format", FORMATS)
@pytest.mark.parametrize("quality", [5, 95])
def test_tail_does_not_survive(file_format: str, tail: bytes, quality: int) -> None:
    options = {"quality": quality} if file_format in {"JPEG", "WEBP"} else {}
    file = encoded(noise(96, 64), file_format, **options)
    stored = optimise(file + tail)
    assert stored == optimise(file)
    assert not any(word in stored.image.data for word in (b"<script>", b"PK\3\4", b"evil"))


@pytest.mark.parametrize("marker", [0xFE, 0xE0, 0xE1, 0xE2, 0xED, 0xEE, 0xEF])
def test_script_in_a_jpeg_segment_does_not_survive(marker: int) -> None:
    file = encoded(noise(96, 64), "JPEG", quality=5)
    prefix = b"Adobe\0\x64\0\0\0\0\1" if marker == 0xEE else b""
    stored = optimise(file[:2] + segment(marker, prefix + b"*/=1;<script>alert(1)</script>/*") + file[2:])
    assert stored.image.mime_type == "image/jpeg"
    assert b"script" not in stored.image.data


def test_short_adobe_segment_does_not_break_a_kept_jpeg() -> None:
    file = encoded(noise(96, 64), "JPEG", quality=5)
    kept = optimise(file[:2] + segment(0xEE, b"Adobe\0\x64") + file[2:]).image
    assert kept.mime_type == "image/jpeg"
    assert decoded(kept.data).tobytes() == decoded(file).tobytes()


def test_script_between_the_scans_of_a_jpeg_does_not_survive() -> None:
    file = encoded(noise(96, 64), "JPEG", quality=5, progressive=True)
    second = file.index(b"\xff\xda", file.index(b"\xff\xda") + 2)
    stored = optimise(file[:second] + segment(0xFE, b"<script>") + file[second:])
    assert b"script" not in stored.image.data


@pytest.mark.parametrize("kind", [b"EXIF", b"XMP ", b"ICCP", b"EVIL"])
def test_script_in_a_webp_chunk_does_not_survive(kind: bytes) -> None:
    file = encoded(noise(96, 64), "WEBP", quality=1)
    extended = b"VP8X" + struct.pack("<I", 10) + b"\x2c\0\0\0" + bytes([95, 0, 0, 63, 0, 0])
    stored = optimise(riff(extended + file[12:] + kind + struct.pack("<I", 8) + b"<script>"))
    assert stored.image.data == file


def test_jpeg_with_hundreds_of_scans_is_refused() -> None:
    file = encoded(noise(32, 32), "JPEG", progressive=True)
    last = file.rindex(b"\xff\xda")
    assert code_of(file[:last] + file[last:-2] * 200 + file[-2:]) == "unsupported_image_type"


@pytest.mark.parametrize("kind", [b"zTXt", b"iTXt", b"iCCP"])
def test_bomb_in_a_png_chunk_is_never_inflated(kind: bytes) -> None:
    bomb = zlib.compress(bytes(200_000_000), 9)
    payload = b"key\0\1\0\0\0" + bomb if kind == b"iTXt" else b"key\0\0" + bomb
    file = encoded(corners(), "PNG")
    assert optimise(png_with(file, chunk(kind, payload))) == optimise(file)


@pytest.mark.parametrize("interlaced", [0, 1])
def test_picture_data_longer_than_its_header_says_is_never_inflated_whole(interlaced: int) -> None:
    header = struct.pack(">IIBBBBB", 16, 16, 8, 2, 0, 0, interlaced)
    bomb = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(200_000_000), 9)) + chunk(b"IEND", b"")
    assert optimise(b"\x89PNG\r\n\x1a\n" + bomb).image.width == 16


def test_interlaced_png_that_would_not_fit_into_memory_is_refused() -> None:
    header = struct.pack(">IIBBBBB", 8_000, 5_000, 16, 6, 0, 0, 1)
    assert code_of(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IEND", b"")) == "too_many_pixels"


@pytest.mark.parametrize("box", [b"meta", b"iloc", b"iinf", b"av01"])
def test_avif_that_lacks_a_box_is_refused(box: bytes) -> None:
    assert code_of(encoded(corners(), "AVIF").replace(box, b"xxxx", 1)) == "image_truncated"


@pytest.mark.parametrize("box", [b"iloc", b"iinf"])
def test_avif_with_two_tables_of_items_is_refused(box: bytes) -> None:
    file = encoded(corners(), "AVIF")
    start = file.index(box) - 4
    table = file[start : start + int.from_bytes(file[start : start + 4], "big")]
    meta = file.index(b"meta") - 4
    size = int.from_bytes(file[meta : meta + 4], "big")
    longer = struct.pack(">I", size + len(table)) + file[meta + 4 : meta + size] + table
    assert code_of(file[:meta] + longer + file[meta + size :]) == "image_truncated"


def test_long_text_in_a_png_does_no_harm() -> None:
    file = encoded(corners(), "PNG")
    assert optimise(png_with(file, chunk(b"tEXt", b"workflow\0" + b"x" * 3_000_000))) == optimise(file)


def test_damaged_later_frame_does_no_harm() -> None:
    file = encoded(corners(), "GIF", save_all=True, append_images=[noise(96, 64)] * 3)
    assert optimise(file[: len(file) // 2]).image.width == 96


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.integers(0, 2**64 - 1))
def test_damaged_files_raise_nothing_but_app_errors(seed: int) -> None:
    try:
        stored = optimise(mutated(Random(seed)))
    except AppError as error:
        assert error.status < 500
    else:
        assert decoded(stored.image.data).size == (stored.image.width, stored.image.height)


@given(st.binary(max_size=400))
def test_any_bytes_raise_nothing_but_app_errors(data: bytes) -> None:
    with pytest.raises(AppError):
        optimise(data)


@given(st.text(max_size=100), st.integers(0, 100))
def test_any_text_decodes_or_raises_an_app_error(text: str, limit: int) -> None:
    try:
        assert len(decode_base64(text, limit)) <= limit
    except AppError as error:
        assert error.code in {"not_an_image", "image_too_large"}
