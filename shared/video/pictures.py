"""A still's bytes to the scene that the camera moves over, as a frame in RGBA."""

from io import BytesIO
from typing import Final

from av.video.frame import VideoFrame
from PIL import Image, ImageFilter, ImageOps

from shared.errors import AppError
from shared.video.look import Look
from shared.video.motion import Camera

_FORMATS: Final = ("WEBP", "JPEG", "PNG", "GIF", "AVIF")
_MAX_PIXELS: Final = 40_000_000
_FINENESS: Final = 1.25  # how many pixels of a still are kept for one of a frame
_MIN_SIDE: Final = 256  # below, whole pixels are too coarse to cut by
_FACES: Final = 0.4  # where in a tall picture what matters is
_COARSE: Final = 8  # the background is blurred at this part of its size
_BLUR: Final = 0.05  # of the look's height


def open_still(data: bytes, frame_number: int) -> Image.Image:
    """Return the still, upright, in RGB. Raises `frame_unreadable`, which names the frame."""
    try:
        with Image.open(BytesIO(data), formats=_FORMATS) as file:
            if file.width * file.height > _MAX_PIXELS:
                raise ValueError("too many pixels")
            return _opaque(ImageOps.exif_transpose(file)).convert("RGB")
    except Exception as error:  # the decoders share no base class for what damaged files make them raise
        detail = f"The stored image of frame {frame_number} is damaged. Upload it again and save the session."
        raise AppError("frame_unreadable", detail, extra={"frameNumber": frame_number}) from error


def scene(picture: Image.Image, look: Look, camera: Camera) -> VideoFrame:
    """Return the picture in the shape that the camera needs, with about as many pixels as the look can show."""
    across, down = camera.stretch
    size = look.width * across, look.height * down
    shaped = _covering(picture, size) if look.fit == "cover" else _contained(picture, size, look, camera.core)
    return pixels(shaped)


def pixels(picture: Image.Image) -> VideoFrame:
    """Return the picture as a frame in RGBA."""
    return VideoFrame.from_bytes(picture.convert("RGBA").tobytes(), picture.width, picture.height, "rgba")


def _opaque(picture: Image.Image) -> Image.Image:
    if not picture.has_transparency_data:
        return picture
    with_alpha = picture.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", with_alpha.size, "black"), with_alpha)


def _covering(picture: Image.Image, size: tuple[float, float]) -> Image.Image:
    """Return as much of the picture as has the shape of the size."""
    part = min(picture.width / size[0], picture.height / size[1])
    width, height = size[0] * part, size[1] * part
    left, top = (picture.width - width) / 2, (picture.height - height) * _FACES
    box = (left, top, left + width, top + height)
    if min(width, height) < _MIN_SIDE:
        return picture.resize((round(size[0]), round(size[1])), Image.Resampling.BICUBIC, box)
    whole = picture.crop((round(box[0]), round(box[1]), round(box[2]), round(box[3])))
    return whole.reduce(int(part / _FINENESS)) if part >= 2 * _FINENESS else whole


def _contained(picture: Image.Image, size: tuple[float, float], look: Look, core: tuple[float, float]) -> Image.Image:
    """Return the whole picture within the core of a size, before itself, blurred."""
    scaled = min(size[0] * core[0] / picture.width, size[1] * core[1] / picture.height)
    fineness = min(max(1 / scaled, 1), _FINENESS)
    canvas = round(size[0] * fineness), round(size[1] * fineness)
    inner = picture.resize(
        (max(1, round(picture.width * scaled * fineness)), max(1, round(picture.height * scaled * fineness))),
        Image.Resampling.BICUBIC,
        reducing_gap=2,
    )
    coarse = _covering(picture, size).resize((canvas[0] // _COARSE, canvas[1] // _COARSE), reducing_gap=2)
    blurred = coarse.filter(ImageFilter.GaussianBlur(look.height * fineness * _BLUR / _COARSE))
    whole = blurred.resize(canvas, Image.Resampling.BICUBIC)
    whole.paste(inner, ((canvas[0] - inner.width) // 2, (canvas[1] - inner.height) // 2))
    return whole
