"""Which kind of video or audio some bytes are, by their content."""

from typing import Final, Literal

Kind = Literal["clip", "audio"]

HEAD_BYTES: Final = 64  # how much of a file tells what it is

_MAGIC: Final = {
    b"\x1a\x45\xdf\xa3": "video/webm",
    b"OggS": "audio/ogg",
    b"fLaC": "audio/flac",
    b"ID3": "audio/mpeg",
}
_AUDIO_BRANDS: Final = {b"M4A ", b"M4B ", b"F4A "}
_IMAGE_BRANDS: Final = {b"avif", b"avis", b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}


def media_type(head: bytes, kind: Kind) -> str | None:
    """Return the MIME type of a clip or an audio file that begins with these bytes; None for anything else."""
    found = _container(head)
    wanted = "video/" if kind == "clip" else "audio/"
    if kind == "audio" and found == "video/mp4":
        return "audio/mp4"  # a soundtrack may lie in a container without a brand of its own
    return found if found and found.startswith(wanted) else None


def is_playable(head: bytes) -> bool:
    """Tell whether a file that begins with these bytes is video, audio or captions (WebVTT)."""
    return _container(head) is not None or head.removeprefix(b"\xef\xbb\xbf").startswith(b"WEBVTT")


def _container(head: bytes) -> str | None:
    if head[4:8] == b"ftyp":
        if head[8:12] in _IMAGE_BRANDS:
            return None
        return "audio/mp4" if head[8:12] in _AUDIO_BRANDS else "video/mp4"
    if head.startswith(b"RIFF"):
        return "audio/wav" if head[8:12] == b"WAVE" else None
    # An MPEG audio frame begins with eleven bits set, and names a layer.
    if len(head) > 1 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0 and head[1] & 0x06 != 0:
        return "audio/mpeg"
    return next((kind for magic, kind in _MAGIC.items() if head.startswith(magic)), None)
