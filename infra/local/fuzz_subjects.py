"""What is fed to what: damaged images to the image pipeline, damaged media to all that reads clips and sound."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from importlib import import_module
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Final

from shared.errors import AppError
from shared.images import optimise
from shared.video.joining import join
from shared.video.look import Look
from shared.video.outside import conform, last_frame, probe
from shared.video.posters import poster, preview
from shared.video.soundtrack import fit_soundtrack, probe_audio

_LOOKS: Final = (Look(64, 48, 30), Look(48, 64, 24, "contain"))


@dataclass(frozen=True, slots=True)
class Subject:
    """Code that reads files of strangers. `judged` says what became of one, and raises `AppError` for a refusal."""

    name: str
    mutations: str  # a module, which makes its seeds when it is imported; workers do without
    judged: Callable[[bytes], str]

    def damaged(self, random: Random) -> bytes:
        """Return a damaged file."""
        data: bytes = import_module(self.mutations).mutated(random)
        return data


def image(data: bytes) -> str:
    """Feed a file to the image pipeline."""
    optimise(data)
    return "image"


def media(data: bytes) -> str:
    """Feed a file to each reader of clips and sound, as one that is refused by one may crash another."""
    made, refusal = [], AppError("not_media")
    with TemporaryDirectory() as name:
        file, out = Path(name) / "file", Path(name) / "out"
        file.write_bytes(data)
        for kind, read in {"clip": _clip, "sound": _sound, "pictures": _pictures}.items():
            try:
                read(file, out)
                made.append(kind)
            except AppError as error:
                if error.status >= 500:
                    raise
                refusal = error
        with suppress(AppError):  # our own fault, as it says, where it is none of ours
            join([file], out, fps=30)
    if not made:
        raise refusal
    return " and ".join(made)


def _clip(file: Path, out: Path) -> None:
    probe(file)
    for look in _LOOKS:
        conform(file, out, look, 6)
    last_frame(file, _LOOKS[0], 9)


def _sound(file: Path, out: Path) -> None:
    probe_audio(file)
    fit_soundtrack(file, out, Fraction(1, 2))


def _pictures(file: Path, _: Path) -> None:
    poster(file)
    preview(file)


SUBJECTS: Final = (
    Subject("images", "tests.shared.image_mutations", image),
    Subject("media", "tests.shared.video.media_mutations", media),
)
