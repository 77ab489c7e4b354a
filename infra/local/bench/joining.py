"""What joining clips costs, beside ffmpeg's own concatenation without encoding."""

import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from av.video.frame import VideoFrame

from infra.local.bench.figures import Figure, compared, cpu_of, table
from infra.local.bench.wheels import installed
from shared.video.encoding import Encoder
from shared.video.joining import join
from shared.video.look import Look

_CLIPS, _SECONDS, _ROUNDS = 60, 5, 5
_LOOKS = (Look(1280, 720, 30), Look(1920, 1080, 30))
_PEER = "ffmpeg -f concat -c copy -movflags +faststart"


def measure() -> list[Figure]:
    """Return the CPU time of joining 60 clips of five seconds; what ffmpeg takes to start does not count."""
    [ffmpeg] = (installed("imageio-ffmpeg==0.6.0") / "imageio_ffmpeg" / "binaries").glob("ffmpeg-*")
    return [_compared(str(ffmpeg), look) for look in _LOOKS]


def _compared(ffmpeg: str, look: Look) -> Figure:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clips = _clips(folder, look)
        (folder / "list").write_text("".join(f"file '{clip.name}'\n" for clip in clips))
        concat: list[str | Path] = [ffmpeg, "-v", "error", "-y", "-f", "concat", "-i", folder / "list", "-c", "copy"]
        contenders: dict[str, Callable[[], object]] = {
            "ours": lambda: join(clips, folder / "ours.mp4", fps=look.fps),
            "start": lambda: subprocess.run([ffmpeg, "-version"], check=True, stdout=subprocess.DEVNULL),
            "theirs": lambda: subprocess.run([*concat, "-movflags", "+faststart", folder / "theirs.mp4"], check=True),
        }
        rounds = [{name: cpu_of(run) for name, run in contenders.items()} for _ in range(_ROUNDS + 1)][1:]
    pairs = [(one["ours"], one["theirs"] - one["start"]) for one in rounds]
    return compared(f"join of {_CLIPS} clips, {look.width} x {look.height}, CPU", "ms", _PEER, pairs, 1.5)


def _clips(folder: Path, look: Look) -> list[Path]:
    """Write clips with noise in motion, the same file again and again: what is in them changes nothing."""
    original = folder / "original.mp4"
    noise = VideoFrame(look.width, look.height, "yuv420p")
    with Encoder(original, look) as encoder:
        for index in range(_SECONDS * look.fps):
            for plane in noise.planes:
                row = bytes((index * 3 + x // 8 * 37) % 220 + 16 for x in range(plane.line_size))
                plane.update(row * plane.height)
            encoder.add(noise)
    return [Path(shutil.copy(original, folder / f"{number:02}.mp4")) for number in range(_CLIPS)]


if __name__ == "__main__":
    print(table(measure()))
