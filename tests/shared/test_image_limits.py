"""Memory and time of the largest files that are taken, each in a process of its own."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import pyvips
from PIL import Image

from infra.local.fuzz import PEAK_BYTES
from tests.shared.image_files import av1_boxes_say, encoded, gradient

SIZE = (8_000, 5_000)
PEAK = 512 * 1024 * 1024

MEASURE = """
import sys
if sys.argv[2:] == ["without libvips"]:
    sys.modules["pyvips"] = None
from pathlib import Path
from infra.local.fuzz import peak_bytes
from shared.errors import AppError
from shared.images import optimise
try:
    image = optimise(Path(sys.argv[1]).read_bytes()).image
    print(f"{image.width} x {image.height}", peak_bytes(), sep=";")
except AppError as error:
    print(error.code, peak_bytes(), sep=";")
"""


def textured(mode: str = "RGB") -> Image.Image:
    """Return 40 megapixels with enough in them that a file is several megabytes."""
    image = Image.effect_noise(SIZE, 2)
    return image if mode == "L" else Image.merge(mode, [image] * len(mode))


def run(data: bytes, folder: Path, *how: str) -> tuple[str, int]:
    """Return what became of the file, and the peak of memory of the whole process."""
    (folder / "file").write_bytes(data)
    command = [sys.executable, "-c", MEASURE, str(folder / "file"), *how]
    outcome, _, peak = subprocess.run(command, check=True, capture_output=True, text=True).stdout.partition(";")
    return outcome, int(peak)


LARGEST: dict[str, Callable[[], bytes]] = {
    "PNG": lambda: encoded(textured(), "PNG", compress_level=1),
    "PNG, transparent": lambda: encoded(textured("RGBA"), "PNG", compress_level=1),
    "PNG, palette": lambda: encoded(textured("L").convert("P"), "PNG", compress_level=1, transparency=0),
    "PNG, 16 bits": lambda: encoded(
        Image.frombytes("I;16", SIZE, textured("L").tobytes() * 2), "PNG", compress_level=1
    ),
    "JPEG": lambda: encoded(textured(), "JPEG"),
    "JPEG, progressive": lambda: encoded(textured(), "JPEG", progressive=True),
    "JPEG, CMYK": lambda: encoded(textured("CMYK"), "JPEG", progressive=True, quality=80),
    "WebP": lambda: encoded(textured(), "WEBP", method=0),
    "WebP, transparent": lambda: encoded(textured("RGBA"), "WEBP", method=0),
    "WebP, lossless": lambda: encoded(textured("RGBA"), "WEBP", method=0, quality=0, lossless=True),
    "GIF": lambda: encoded(textured("L").convert("P"), "GIF", transparency=0),
    "AVIF": lambda: encoded(textured(), "AVIF", speed=10, quality=50),
}


@pytest.mark.parametrize("kind", LARGEST)
def test_40_megapixels_take_less_than_512_mb(kind: str, tmp_path: Path) -> None:
    outcome, peak = run(LARGEST[kind](), tmp_path)
    assert outcome == "1920 x 1200"
    assert peak < PEAK


@pytest.mark.parametrize("kind", [kind for kind in LARGEST if kind.startswith(("PNG", "JPEG"))])
def test_40_megapixels_take_less_than_512_mb_where_libvips_is_not_installed(kind: str, tmp_path: Path) -> None:
    outcome, peak = run(LARGEST[kind](), tmp_path, "without libvips")
    assert outcome == "1920 x 1200"
    assert peak < PEAK


def avif(size: tuple[int, int], bands: int, bits: int, *, subsampled: bool) -> bytes:
    """Return an AVIF as Pillow writes none: of 8, 10 or 12 bits, with or without every sample of its colours."""
    noise = pyvips.Image.gaussnoise(*size, sigma=20 << bits - 8, mean=128 << 16 - 8 if bits > 8 else 128)
    samples = noise.cast("ushort" if bits > 8 else "uchar")
    picture = samples.bandjoin([samples] * (bands - 1)).copy(interpretation="rgb16" if bits > 8 else "srgb")
    mode = "on" if subsampled else "off"
    written: bytes = picture.heifsave_buffer(compression="av1", bitdepth=bits, Q=30, effort=0, subsample_mode=mode)
    return written


@pytest.mark.parametrize(
    ("size", "bands", "bits", "subsampled"),
    [
        ((8_000, 5_000), 3, 8, False),
        ((7_500, 5_000), 4, 8, True),
        ((8_000, 5_000), 3, 10, True),
        ((6_600, 5_000), 4, 8, False),
        ((6_050, 5_000), 3, 12, False),
    ],
)
def test_avif_of_any_depth_takes_less_than_512_mb(
    size: tuple[int, int], bands: int, bits: int, subsampled: bool, tmp_path: Path
) -> None:
    outcome, peak = run(avif(size, bands, bits, subsampled=subsampled), tmp_path)
    assert outcome.startswith("1920 x ")
    assert peak < PEAK


@pytest.mark.parametrize(("bands", "bits"), [(4, 8), (3, 10), (3, 12), (4, 12)])
def test_avif_whose_depth_would_take_more_is_refused_undecoded(bands: int, bits: int, tmp_path: Path) -> None:
    outcome, peak = run(avif((8_000, 5_000), bands, bits, subsampled=False), tmp_path)
    assert outcome == "too_many_pixels"
    assert peak < 128 * 1024 * 1024


def test_avif_that_understates_its_size_stays_within_the_bounds(tmp_path: Path) -> None:
    file = av1_boxes_say(encoded(Image.new("RGB", (9_000, 5_000)), "AVIF", speed=10, quality=20), 64, 64)
    outcome, peak = run(file, tmp_path)
    assert outcome == "too_many_pixels"
    assert peak < 128 * 1024 * 1024


def test_avif_with_its_largest_frame_behind_a_small_one_is_refused(tmp_path: Path) -> None:
    large = encoded(gradient(9_000, 5_000), "AVIF", speed=10, quality=5)
    file = encoded(gradient(64, 64), "AVIF", save_all=True, append_images=[gradient(64, 64)])
    stream = large[large.rindex(b"mdat") + 4 :]
    place = file.rindex(b"mdat") + 4
    outcome, peak = run(file[:place] + stream + file[place + len(stream) :], tmp_path)
    assert outcome in {"too_many_pixels", "image_truncated"}
    assert peak < PEAK_BYTES
