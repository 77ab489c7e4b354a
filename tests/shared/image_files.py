"""Builders of image files for tests: pictures, profiles, and headers that no encoder would write."""

import struct
import zlib
from collections.abc import Sequence
from io import BytesIO

from PIL import Image, ImageChops, ImageStat

GPS_LATITUDE = b"51deg-28min-38sec"
SAVE_OPTIONS: dict[str, dict[str, object]] = {
    "PNG": {},
    "JPEG": {"quality": 95, "subsampling": 0},
    "WEBP": {"quality": 95},
    "GIF": {},
    "AVIF": {"quality": 90, "speed": 9},
}
FORMATS = tuple(SAVE_OPTIONS)


def encoded(image: Image.Image, file_format: str, **options: object) -> bytes:
    """Return the image as a file of Pillow's `file_format`."""
    out = BytesIO()
    image.save(out, file_format, **{**SAVE_OPTIONS[file_format], **options})
    return out.getvalue()


def decoded(data: bytes) -> Image.Image:
    """Return the file's first picture, loaded."""
    image = Image.open(BytesIO(data))
    image.load()
    return image


def difference(one: Image.Image, other: Image.Image) -> float:
    """Return the mean difference of two images in levels of 255; their sizes must be equal."""
    assert one.size == other.size
    return max(ImageStat.Stat(ImageChops.difference(one.convert("RGBA"), other.convert("RGBA"))).mean)


def corners(width: int = 96, height: int = 64) -> Image.Image:
    """Return a picture that tells each of its eight orientations: four corners of four colours, one larger."""
    image = Image.new("RGB", (width, height), (200, 40, 40))
    image.paste((40, 180, 60), (width // 2, 0, width, height // 2))
    image.paste((40, 60, 200), (0, height // 2, width // 2, height))
    image.paste((240, 220, 60), (width // 4, height // 2, width, height))
    return image


def gradient(width: int, height: int) -> Image.Image:
    """Return a smooth picture, quick to make at any size."""
    across = Image.linear_gradient("L").rotate(90).resize((width, height))
    down = Image.linear_gradient("L").resize((width, height))
    return Image.merge("RGB", (across, down, ImageChops.invert(across)))


def noise(width: int, height: int) -> Image.Image:
    """Return a picture that no codec makes small, the same at each call."""
    seed, levels = 1, bytearray()
    for _ in range(width * height):
        seed = seed * 1103515245 + 12345 & 0x7FFFFFFF
        levels.append(seed >> 16 & 0xFF)
    return Image.frombytes("L", (width, height), bytes(levels)).convert("RGB")


def exif(orientation: int = 1) -> bytes:
    """Return EXIF with an orientation and a GPS latitude that can be found in the bytes."""
    tags = Image.Exif()
    tags[0x0112] = orientation
    tags[0x010E] = GPS_LATITUDE.decode()
    tags.get_ifd(0x8825).update({1: "N", 2: (51.0, 28.0, 38.0)})
    return tags.tobytes()


def chunk(kind: bytes, payload: bytes) -> bytes:
    """Return a PNG chunk."""
    return struct.pack(">I4s", len(payload), kind) + payload + struct.pack(">I", zlib.crc32(kind + payload))


def png_with(data: bytes, *chunks: bytes) -> bytes:
    """Return the PNG with more chunks behind its header."""
    return data[:33] + b"".join(chunks) + data[33:]


def png_16_bit(width: int, height: int, levels: Sequence[int]) -> bytes:
    """Return an RGB PNG of 16 bits a channel, all pixels alike."""
    row = b"\0" + struct.pack(">3H", *levels) * width
    header = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(row * height))
        + chunk(b"IEND", b"")
    )


def header_only(file_format: str, width: int, height: int) -> bytes:
    """Return a file that announces a size and has nothing to show for it."""
    if file_format == "PNG":
        header = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
        return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    if file_format == "JPEG":
        frame = struct.pack(">BHHB", 8, height, width, 3) + b"\1\x11\0\2\x11\0\3\x11\0"
        return b"\xff\xd8" + segment(0xC0, frame) + segment(0xDA, b"\3\1\0\2\0\3\0\0\x3f\0") + b"\xff\xd9"
    if file_format == "GIF":
        return (
            b"GIF89a" + struct.pack("<HHBBB", 1, 1, 0, 0, 0) + b"," + struct.pack("<HHHHBB", 0, 0, width, height, 0, 8)
        )
    canvas = b"\x10\0\0\0" + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return riff(b"VP8X" + struct.pack("<I", 10) + canvas)


def av1_boxes_say(data: bytes, width: int, height: int) -> bytes:
    """Return the AVIF whose boxes give another size than its stream."""
    place = data.index(b"ispe") + 8
    return data[:place] + struct.pack(">II", width, height) + data[place + 8 :]


def segment(marker: int, payload: bytes) -> bytes:
    """Return a JPEG segment."""
    return struct.pack(">BBH", 0xFF, marker, len(payload) + 2) + payload


def riff(body: bytes) -> bytes:
    """Return a WebP file of these chunks."""
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body


def icc_profile(space: bytes, gamma: float, primaries: Sequence[Sequence[float]] = ()) -> bytes:
    """Return an ICC profile of a display: `RGB ` with D50 XYZ primaries, or `GRAY`."""
    curve = b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256)) + bytes(2)
    tags = {
        b"wtpt": _xyz((0.9642, 1.0, 0.8249)),
        b"desc": b"desc" + bytes(4) + struct.pack(">I", 2) + b"x\0" + bytes(78),
    }
    if space == b"GRAY":
        tags[b"kTRC"] = curve
    for colour, primary in zip((b"r", b"g", b"b"), primaries, strict=False):
        tags[colour + b"XYZ"] = _xyz(primary)
        tags[colour + b"TRC"] = curve
    table, body = struct.pack(">I", len(tags)), b""
    start = 128 + 4 + 12 * len(tags)
    for name, value in tags.items():
        table += name + struct.pack(">II", start + len(body), len(value))
        body += value + bytes(-len(value) % 4)
    head = struct.pack(">I4sI4s4s4s", start + len(body), bytes(4), 0x02400000, b"mntr", space, b"XYZ ")
    head += struct.pack(">6H4s", 2025, 1, 1, 0, 0, 0, b"acsp") + bytes(28) + struct.pack(">iii", 63190, 65536, 54061)
    return head + bytes(128 - len(head)) + table + body


def display_p3() -> bytes:
    """Return a profile with the primaries of Display P3, and a plain gamma of 2.2."""
    return icc_profile(b"RGB ", 2.2, ((0.5151, 0.2412, -0.0011), (0.2920, 0.6922, 0.0419), (0.1571, 0.0666, 0.7841)))


def _xyz(values: Sequence[float]) -> bytes:
    return b"XYZ " + bytes(4) + struct.pack(">iii", *(round(value * 65536) for value in values))
