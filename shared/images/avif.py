"""How large the frames of an AVIF file are, by the AV1 streams themselves: the boxes around them may say less.

Formats: ISO 14496-12 (boxes), 23008-12 (items), and the AV1 bitstream specification, sections 5.3 to 5.5 and 6.4.2.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

_SEQUENCE_HEADER: Final = 1
_OPERATING_POINT_BITS: Final = 12
_HIGH_LEVEL: Final = 7
_PROFESSIONAL: Final = 2
_SRGB: Final = (1, 13, 0)  # primaries, transfer and matrix of pictures that are stored as RGB


class FrameSize(NamedTuple):
    """The size that a stream announces, the largest that its frames could choose instead, and its samples."""

    width: int
    height: int
    largest: tuple[int, int]
    sample_bytes: int
    samples_per_pixel: float
    """1 without colour, as a picture's transparency is stored; 1.5, 2 or 3 with it."""

    @property
    def plane_bytes(self) -> int:
        """What the decoded planes take."""
        return round(self.width * self.height * self.samples_per_pixel) * self.sample_bytes


def frame_sizes(data: bytes) -> Iterator[FrameSize]:
    """Yield what each picture of the file announces, every tile and alpha plane included.

    Raises `ValueError` or `LookupError` where the file cannot be read that far.
    """
    meta = dict[bytes, bytes]()
    for kind, content in _boxes(_first_box(data, b"meta")[4:]):
        if kind in meta and kind in {b"iloc", b"iinf"}:
            raise ValueError("two tables of items")
        meta[kind] = content
    places = _item_places(meta[b"iloc"], data, meta.get(b"idat", b""))
    pictures = _av1_items(meta[b"iinf"])
    if not pictures:
        raise ValueError("no AV1 picture")
    for item in pictures:
        headers = list(_sequence_headers(places[item]))
        if not headers:
            raise ValueError("a picture without a sequence header")
        yield from map(_frame_size, headers)


def _first_box(data: bytes, wanted: bytes) -> bytes:
    for kind, content in _boxes(data):
        if kind == wanted:
            return content
    raise LookupError("no such box")


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield type and content of each box."""
    reader = _Bytes(data)
    while reader.at < len(data):
        start = reader.at
        size, kind = reader.number(4), reader.take(4)
        if size == 1:
            size = reader.number(8)
        end = start + size if size else len(data)
        if end < reader.at:
            raise ValueError("a box smaller than its head")
        yield kind, reader.take(end - reader.at)


def _av1_items(iinf: bytes) -> set[int]:
    """Return the numbers of the items that are AV1 pictures."""
    entries = _Bytes(iinf)
    version = entries.number(4) >> 24
    entries.number(4 if version else 2)
    found = set()
    for _, entry in _boxes(iinf[entries.at :]):
        fields = _Bytes(entry)
        version = fields.number(4) >> 24
        item = fields.number(4 if version == 3 else 2)
        fields.number(2)
        if fields.take(4) == b"av01":
            found.add(item)
    return found


def _item_places(iloc: bytes, data: bytes, idat: bytes) -> dict[int, bytes]:
    """Return each item's bytes, its extents joined."""
    fields = _Bytes(iloc)
    version, sizes = fields.number(4) >> 24, fields.number(2)
    offset_size, length_size, base_size, index_size = (sizes >> shift & 15 for shift in (12, 8, 4, 0))
    wide = 4 if version == 2 else 2
    items: dict[int, bytes] = {}
    for _ in range(fields.number(wide)):
        item = fields.number(wide)
        source = idat if version and fields.number(2) & 15 == 1 else data
        fields.number(2)
        base = fields.number(base_size)
        for _ in range(fields.number(2)):
            fields.number(index_size if version else 0)
            start, length = base + fields.number(offset_size), fields.number(length_size)
            items[item] = items.get(item, b"") + source[start : start + length if length else None]
            if len(items[item]) > len(data):
                raise ValueError("extents that overlap")
    return items


def _sequence_headers(stream: bytes) -> Iterator[bytes]:
    reader = _Bytes(stream)
    while reader.at < len(stream):
        header = reader.number(1)
        reader.number(header >> 2 & 1)
        size = reader.leb128() if header & 2 else len(stream) - reader.at
        unit = reader.take(size)
        if header >> 3 & 15 == _SEQUENCE_HEADER:
            yield unit


def _frame_size(sequence_header: bytes) -> FrameSize:
    bits = _Bits(sequence_header)
    profile = bits.read(3)
    bits.read(1)
    reduced = bits.read(1)
    if reduced:
        bits.read(5)
    else:
        _skip_operating_points(bits)
    width_bits, height_bits = bits.read(4) + 1, bits.read(4) + 1
    width, height = bits.read(width_bits) + 1, bits.read(height_bits) + 1
    largest = (width, height) if reduced else (1 << width_bits, 1 << height_bits)
    _skip_tools(bits, reduced=bool(reduced))
    return FrameSize(width, height, largest, *_samples(bits, profile))


def _skip_tools(bits: "_Bits", *, reduced: bool) -> None:
    """Skip what stands between the size and the colours: which coding tools the stream uses."""
    if not reduced and bits.read(1):
        bits.read(7)
    bits.read(3)
    if not reduced:
        bits.read(4)
        ordered = bits.read(1)
        bits.read(2 * ordered)
        chosen_by_frame = bits.read(1)
        if (chosen_by_frame or bits.read(1)) and not bits.read(1):
            bits.read(1)
        bits.read(3 * ordered)
    bits.read(3)


def _samples(bits: "_Bits", profile: int) -> tuple[int, float]:
    """Return the bytes of a sample and the samples of a pixel, from a colour configuration."""
    high = bits.read(1)
    twelve = profile == _PROFESSIONAL and high and bits.read(1)
    grey = profile != 1 and bits.read(1)
    described = bits.read(1)
    colours = tuple(bits.read(8) for _ in range(3)) if described else ()
    if grey:
        per_pixel = 1.0
    elif colours == _SRGB or profile == 1:
        per_pixel = 3.0
    elif profile == 0:
        per_pixel = 1.5
    elif not twelve:
        per_pixel = 2.0
    else:
        bits.read(1)
        per_pixel = (1.5 if bits.read(1) else 2.0) if bits.read(1) else 3.0
    return 1 + high, per_pixel


def _skip_operating_points(bits: "_Bits") -> None:
    delay_bits = 0
    if bits.read(1):
        bits.read(64)
        if bits.read(1):
            bits.skip_uvlc()
        if bits.read(1):
            delay_bits = bits.read(5) + 1
            bits.read(42)
    display_delay = bits.read(1)
    for _ in range(bits.read(5) + 1):
        bits.read(_OPERATING_POINT_BITS)
        if bits.read(5) > _HIGH_LEVEL:
            bits.read(1)
        if delay_bits and bits.read(1):
            bits.read(2 * delay_bits + 1)
        if display_delay and bits.read(1):
            bits.read(4)


class _Bytes:
    """Reads big-endian numbers; raises `IndexError` behind the end."""

    def __init__(self, data: bytes) -> None:
        self._data, self.at = data, 0

    def take(self, count: int) -> bytes:
        if count > len(self._data) - self.at:
            raise IndexError("the file ends early")
        self.at += count
        return self._data[self.at - count : self.at]

    def number(self, count: int) -> int:
        return int.from_bytes(self.take(count), "big")

    def leb128(self) -> int:
        value = 0
        for place in range(8):
            byte = self.number(1)
            value |= (byte & 0x7F) << 7 * place
            if byte < 0x80:
                return value
        raise ValueError("a number of too many bytes")


class _Bits:
    """Reads numbers of any width; raises `IndexError` behind the end."""

    def __init__(self, data: bytes) -> None:
        self._number, self._left = int.from_bytes(data, "big"), 8 * len(data)

    def read(self, count: int) -> int:
        self._left -= count
        if self._left < 0:
            raise IndexError("the header ends early")
        return self._number >> self._left & ((1 << count) - 1)

    def skip_uvlc(self) -> None:
        zeros = 0
        while not self.read(1):
            zeros += 1
        self.read(zeros)
