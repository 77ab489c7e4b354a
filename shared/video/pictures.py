"""A still's bytes to a picture that the camera moves over."""

from io import BytesIO

from PIL import Image, ImageFilter

from shared.errors import AppError
from shared.video.look import Look


def open_still(data: bytes, look: Look, frame_number: int) -> Image.Image:
    """Return the still at the shape of the look. Raises `frame_unreadable`."""
    try:
        with Image.open(BytesIO(data), formats=("WEBP", "JPEG", "PNG", "GIF", "AVIF")) as file:
            picture = file.convert("RGB")
    except Exception as error:
        raise AppError("frame_unreadable", extra={"frameNumber": frame_number}) from error
    return _covering(picture, look) if look.fit == "cover" else _contained(picture, look)


def _covering(picture: Image.Image, look: Look) -> Image.Image:
    scale = max(look.width / picture.width, look.height / picture.height)
    width, height = look.width / scale, look.height / scale
    left, top = (picture.width - width) / 2, (picture.height - height) / 2
    return picture.resize((look.width, look.height), Image.Resampling.BICUBIC, (left, top, left + width, top + height))


def _contained(picture: Image.Image, look: Look) -> Image.Image:
    whole = _covering(picture, look).filter(ImageFilter.GaussianBlur(look.height / 20))
    scale = min(look.width / picture.width, look.height / picture.height)
    small = picture.resize((round(picture.width * scale), round(picture.height * scale)), Image.Resampling.BICUBIC)
    whole.paste(small, ((look.width - small.width) // 2, (look.height - small.height) // 2))
    return whole
