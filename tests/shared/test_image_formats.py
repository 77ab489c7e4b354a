"""What is told from the first bytes, and what base64 text is taken."""

import base64
import struct

import pytest

from shared.errors import AppError
from shared.images import decode_base64, optimise
from tests.shared.image_files import corners, encoded


def ftyp(major: bytes, *compatible: bytes) -> bytes:
    return struct.pack(">I", 16 + 4 * len(compatible)) + b"ftyp" + major + bytes(4) + b"".join(compatible) + bytes(99)


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
        (b"\xef\xbb\xbf<?xml version='1.0'?>\n<!-- drawn --><svg/>", "SVG"),
        (b"  <!DOCTYPE svg PUBLIC '-//W3C//DTD SVG 1.1//EN'><svg>", "SVG"),
        (b"%PDF-1.7\n", "PDF"),
        (b"BM\x46\0\0\0\0\0\0\0\x36\0\0\0", "BMP"),
        (b"II*\0\x08\0\0\0", "TIFF"),
        (b"MM\0*\0\0\0\x08", "TIFF"),
        (b"\0\0\1\0\1\0\x10\x10", "ICO"),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000"),
        (b"\xff\x0a\xfa\x7f", "JPEG XL"),
        (b"8BPS\0\1", "Photoshop"),
        (ftyp(b"heic", b"mif1", b"heic"), "HEIC"),
        (ftyp(b"mif1", b"heic"), "HEIC"),
        (ftyp(b"isom", b"mp42"), "video"),
        (ftyp(b"qt  "), "video"),
        (b"\x1a\x45\xdf\xa3\x93\x42", "video"),
        (b"RIFF\x24\0\0\0AVI LIST", "video"),
        (b"RIFF\x24\0\0\0WAVEfmt ", "audio"),
        (b"ID3\4\0\0", "audio"),
    ],
)
def test_other_media_are_named_in_the_refusal(data: bytes, name: str) -> None:
    with pytest.raises(AppError) as error:
        optimise(data)
    assert (error.value.code, error.value.status) == ("unsupported_image_type", 415)
    assert f"This is {name}." in error.value.detail
    assert "PNG, JPEG, WebP, GIF or AVIF" in error.value.detail


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0",
        b"hello",
        b"BMW is a car, no bitmap",
        b"<!doctype html><html><body><svg></svg></body></html>",
        b"<?xml version='1.0'?><rss/>",
        b'{"image": 1}',
        b"PK\3\4",
        b"\x89PNG",
        b"RIFF\0\0\0\0WEBX",
        bytes(1000),
    ],
)
def test_what_is_no_medium_is_no_image(data: bytes) -> None:
    with pytest.raises(AppError) as error:
        optimise(data)
    assert error.value.code == "not_an_image"


def test_avif_is_known_by_any_of_its_brands() -> None:
    file = encoded(corners(), "AVIF")
    assert file[4:12] == b"ftypavif"
    assert optimise(file[:8] + b"mif1" + file[12:]).image.width == 96


BYTES = bytes(range(256))
PLAIN = base64.b64encode(BYTES).decode()


@pytest.mark.parametrize(
    "text",
    [
        PLAIN,
        PLAIN.rstrip("="),
        base64.urlsafe_b64encode(BYTES).decode(),
        base64.urlsafe_b64encode(BYTES).decode().rstrip("="),
        base64.encodebytes(BYTES).decode(),
        f"\r\n {PLAIN}\t",
        f"data:image/png;base64,{PLAIN}",
        f"data:image/png;base64, {PLAIN}\n",
        f"DATA:IMAGE/PNG;BASE64,{PLAIN}",
        f"data:;base64,{PLAIN}",
        f"data:application/octet-stream;charset=utf-8;name=a.png;base64,{PLAIN}",
    ],
)
def test_base64_comes_in_many_shapes(text: str) -> None:
    assert decode_base64(text, 256) == BYTES


@pytest.mark.parametrize("length", [3 * 400, 3 * 400 + 1, 3 * 400 + 2])
@pytest.mark.parametrize("shape", ["{}", "data:image/png;base64,{}", "\n{}\n\n"])
def test_limit_is_exact(length: int, shape: str) -> None:
    text = shape.format(base64.b64encode(bytes(length)).decode())
    assert len(decode_base64(text, length)) == length
    with pytest.raises(AppError) as error:
        decode_base64(text, length - 1)
    assert (error.value.code, error.value.status) == ("image_too_large", 413)


def test_limit_is_judged_before_decoding() -> None:
    with pytest.raises(AppError) as error:
        decode_base64("?" * 1000, 100)
    assert error.value.code == "image_too_large"


@pytest.mark.parametrize(
    "text",
    [
        "a",
        "abcde",
        "ab=cd",
        "no base64!",
        "ünïcode",
        "https://example.org/a.png",
        "data:image/png;base64",
        "data:image/svg+xml,%3Csvg/%3E",
        "data:image/png;base64,?",
        "blob:http://localhost/1",
    ],
)
def test_what_is_no_base64_is_refused_with_the_way_to_do_it(text: str) -> None:
    with pytest.raises(AppError) as error:
        decode_base64(text, 1000)
    assert error.value.code == "not_an_image"
    assert "base64" in error.value.detail


SCRIPT = b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>"


@pytest.mark.parametrize("declared", ["image/png", "image/svg+xml", "text/html", "image/webp"])
def test_content_decides_whatever_type_is_declared(declared: str) -> None:
    def sent(data: bytes) -> bytes:
        return decode_base64(f"data:{declared};base64,{base64.b64encode(data).decode()}", 10_000)

    assert optimise(sent(encoded(corners(), "PNG"))).image.mime_type == "image/webp"
    with pytest.raises(AppError) as error:
        optimise(sent(SCRIPT))
    assert error.value.code == "unsupported_image_type"
    with pytest.raises(AppError) as error:
        optimise(sent(b"<!doctype html><script>alert(1)</script>"))
    assert error.value.code == "not_an_image"


@pytest.mark.parametrize("head", [b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"RIFF\x40\0\0\0WEBP"])
def test_script_behind_the_first_bytes_of_an_image_is_none(head: bytes) -> None:
    with pytest.raises(AppError) as error:
        optimise(head + SCRIPT)
    assert error.value.code in {"image_truncated", "not_an_image", "too_many_pixels"}
