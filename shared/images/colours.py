"""Colours as browsers take them where a file says nothing: sRGB."""

from io import BytesIO
from typing import Final

from PIL import Image, ImageChops, ImageCms

_SRGB: Final = ImageCms.createProfile("sRGB")
_DEVICE_MODES: Final = {"RGB ": "RGB", "GRAY": "L", "CMYK": "CMYK"}
_LEVELS: Final = range(0, 256, 51)


def to_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    """Return the image in sRGB, the same object where it is already; a broken profile counts as none."""
    if profile:
        try:
            return _through_profile(image, profile)
        except (ImageCms.PyCMSError, OSError, ValueError, TypeError, KeyError):
            pass
    return image.convert("RGB") if image.mode == "CMYK" else image


def _through_profile(image: Image.Image, profile: bytes) -> Image.Image:
    device = ImageCms.ImageCmsProfile(BytesIO(profile))
    mode = _DEVICE_MODES[device.profile.xcolor_space]
    if (mode == "CMYK") != (image.mode == "CMYK"):
        raise ValueError("the profile is of another kind of device")
    transform = ImageCms.buildTransform(device, _SRGB, mode, "RGB")
    if mode != "CMYK" and _changes_nothing(transform, mode):
        return image
    colours = image if image.mode == mode else image.convert(mode)
    converted = transform.apply(colours)
    if image.mode == "RGBA":
        converted.putalpha(image.getchannel("A"))
    return converted


def _changes_nothing(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    """Tell whether the profile is sRGB under some name: it moves no colour of a coarse cube by over 2."""
    cube = bytes(level for r in _LEVELS for g in _LEVELS for b in _LEVELS for level in (r, g, b))
    probe = Image.frombytes("RGB", (len(cube) // 3, 1), cube).convert(mode)
    return max(ImageChops.difference(probe.convert("RGB"), transform.apply(probe)).tobytes()) <= 2
