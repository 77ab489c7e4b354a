"""Video and audio files to test with, and what must hold for each MP4 that is made of them."""

import hashlib
import math
from array import array
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from random import Random

import av
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.filter import Graph
from av.video.frame import VideoFrame
from av.video.reformatter import Colorspace
from av.video.stream import VideoStream
from PIL import Image, ImageChops, ImageDraw, ImageStat

from shared.video.encoding import Encoder
from shared.video.look import Look
from shared.video.stills import picture_of

LOOK = Look(320, 180, 30)
RATE = 48_000
AAC_FRAME = 1024

Draw = Callable[[int], Image.Image]


def scene(look: Look, seed: int = 0) -> Draw:
    """Return a moving picture: each of its frames differs from all others, and from those of other seeds."""
    random = Random(seed)
    width, height = look.width, look.height
    ground = Image.new("RGB", (width, height), random.choice(("navy", "teal", "maroon", "olive", "indigo")))
    pen = ImageDraw.Draw(ground)
    for _ in range(30):
        x, y = random.randrange(width), random.randrange(height)
        pen.ellipse((x, y, x + width // 8, y + width // 8), fill=tuple(random.randrange(256) for _ in range(3)))

    def draw(index: int) -> Image.Image:
        picture = ground.transform(ground.size, Image.Transform.AFFINE, (1, 0, index * 0.7, 0, 1, index * 0.4))
        ImageDraw.Draw(picture).text((width // 20, height // 20), f"{seed} {index}", "white", font_size=height / 6)
        return picture

    return draw


def planar(picture: Image.Image) -> VideoFrame:
    """Return the picture as our encoder takes it."""
    return from_image(picture).reformat(format="yuv420p", dst_colorspace="itu709", dst_color_range="MPEG")


def from_image(picture: Image.Image) -> VideoFrame:
    """Return the picture as a frame in RGB."""
    frame = VideoFrame(picture.width, picture.height, "rgb24")
    stride = frame.planes[0].line_size
    data = picture.convert("RGB").tobytes()
    rows = (data[start : start + 3 * picture.width] for start in range(0, len(data), 3 * picture.width))
    frame.planes[0].update(b"".join(row.ljust(stride, b"\0") for row in rows))
    return frame


def clip(path: Path, length: int, look: Look = LOOK, seed: int = 0, draw: Draw | None = None) -> Path:
    """Write a clip by our own encoder."""
    draw = draw or scene(look, seed)
    with Encoder(path, look) as encoder:
        for index in range(length):
            encoder.add(planar(draw(index)))
    return path


@dataclass(frozen=True)
class Source:
    """A video file as others make them. `times` are the frames' times in milliseconds, where the rate varies."""

    name: str = "source.mp4"
    codec: str = "libx264"
    width: int = 320
    height: int = 180
    rate: int = 30
    frames: int = 30
    pixels: str = "yuv420p"
    rotation: int = 0
    pixel_aspect: Fraction | None = None
    times: tuple[int, ...] = ()
    sound: bool = False
    matrix: str = "itu601"
    tagged: bool = False

    def write(self, folder: Path, draw: Draw | None = None) -> Path:
        """Write the file and return its path."""
        path = folder / self.name
        draw = draw or scene(Look(self.width, self.height, self.rate))
        clock = Fraction(1, 1000) if self.times else Fraction(1, self.rate)
        with av.open(str(path), "w") as container:
            stream = container.add_stream(self.codec, rate=self.rate)
            assert isinstance(stream, VideoStream)
            stream.width, stream.height, stream.pix_fmt = self.width, self.height, self.pixels
            stream.codec_context.time_base = clock
            if self.tagged:
                stream.codec_context.colorspace = Colorspace[self.matrix.upper()]
            if self.pixel_aspect:
                stream.codec_context.sample_aspect_ratio = self.pixel_aspect
            if self.rotation:
                stream.set_display_rotation(self.rotation)
            audio = container.add_stream("aac", rate=RATE, layout="stereo") if self.sound else None
            for index in range(self.frames):
                frame = from_image(draw(index)).reformat(format=self.pixels, dst_colorspace=self.matrix)
                frame.pts, frame.time_base = (self.times[index] if self.times else index), clock
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
            if audio:
                for block in audio_frames(music(self.frames / self.rate), RATE):
                    container.mux(audio.encode(block))
                container.mux(audio.encode(None))
        return path


def digests(path: Path) -> list[str]:
    """Decode the whole file, and return a digest of each frame's planes."""
    with av.open(str(path)) as container:
        return [digest(frame) for frame in container.decode(video=0)]


def digest(frame: VideoFrame) -> str:
    """Return a digest of a frame's pixels; what lies beyond its width in memory does not count."""
    found = hashlib.sha256()
    for plane in frame.planes:
        rows = memoryview(plane)
        for start in range(0, plane.line_size * plane.height, plane.line_size):
            found.update(rows[start : start + plane.width])
    return found.hexdigest()


def pictures(path: Path) -> list[Image.Image]:
    """Decode the whole file to RGB."""
    with av.open(str(path)) as container:
        return [picture_of(frame) for frame in container.decode(video=0)]


def assert_sound_mp4(path: Path, frames: int, look: Look, *, audio: bool = False) -> None:
    """Hold that the file is what every player takes: whole, of constant rate, one keyframe first, index in front."""
    boxes = top_boxes(path)
    assert boxes.index(b"moov") < boxes.index(b"mdat")
    with av.open(str(path)) as container:
        assert len(container.streams) == (2 if audio else 1)
        stream = container.streams.video[0]
        clock = Fraction(stream.time_base or 0)
        step = 1 / (look.fps * clock)
        packets = [packet for packet in container.demux(stream) if packet.pts is not None]
        assert packets[0].is_keyframe
        decoding = [packet.dts or 0 for packet in packets]
        assert all(later - earlier == step for earlier, later in pairwise(decoding))
        assert all((packet.dts or 0) <= (packet.pts or 0) for packet in packets)
        assert sorted(packet.pts or 0 for packet in packets) == [index * step for index in range(frames)]
        assert stream.frames == frames
        assert (stream.duration or 0) * clock == Fraction(frames, look.fps)
        assert stream.average_rate == look.fps
        assert stream.start_time == 0
    with av.open(str(path)) as container:
        decoded = list(container.decode(video=0))
    assert len(decoded) == frames
    assert [frame.pts for frame in decoded] == [index * step for index in range(frames)]
    assert {(frame.width, frame.height, frame.format.name) for frame in decoded} == {
        (look.width, look.height, "yuv420p")
    }
    assert not any(frame.is_corrupt for frame in decoded)


def top_boxes(path: Path) -> list[bytes]:
    """Return the types of the file's outermost boxes, in their order."""
    data, at, found = path.read_bytes(), 0, []
    while at + 8 <= len(data):
        size = int.from_bytes(data[at : at + 4])
        found.append(data[at + 4 : at + 8])
        at += int.from_bytes(data[at + 8 : at + 16]) if size == 1 else size or len(data)
    return found


def distance(one: Image.Image, other: Image.Image) -> float:
    """Return the mean difference of two pictures, 0 to 255; the other is scaled to the size of the one."""
    return sum(ImageStat.Stat(ImageChops.difference(one, other.resize(one.size))).mean) / 3


@lru_cache
def music(seconds: float, *, loud: float = 0.25, rate: int = RATE) -> bytes:
    """Return plucked tones over noise, 16 bits, stereo."""
    random, samples = Random(1), array("h")
    for index in range(round(seconds * rate)):
        time = index / rate
        tone = math.exp(-5 * (time % 0.5)) * math.sin(math.tau * 220 * time) + 0.4 * math.sin(math.tau * 331 * time)
        value = round(max(-1, min(1, loud * (tone + random.uniform(-0.1, 0.1)))) * 32_767)
        samples.extend((value, value))
    return samples.tobytes()


def audio_frames(samples: bytes, rate: int) -> Iterable[AudioFrame]:
    """Yield interleaved stereo samples as frames."""
    for start in range(0, len(samples), 4 * AAC_FRAME):
        block = samples[start : start + 4 * AAC_FRAME]
        frame = AudioFrame("s16", "stereo", len(block) // 4)
        frame.planes[0].update(block)
        frame.sample_rate, frame.pts, frame.time_base = rate, start // 4, Fraction(1, rate)
        yield frame


def audio_file(path: Path, samples: bytes, codec: str, *, rate: int = RATE, layout: str = "stereo") -> Path:
    """Write samples of 48 kHz by any codec, to the container that the name asks for."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, layout=layout)
        assert isinstance(stream, AudioStream)
        for frame in audio_frames(samples, RATE):
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def heard(path: Path) -> list[int]:
    """Decode the file's sound to 16-bit samples of the left channel."""
    resampler, samples = av.AudioResampler("s16", "mono", RATE), array("h")
    with av.open(str(path)) as container:
        for frame in [*container.decode(audio=0), None]:
            for out in resampler.resample(frame):
                samples.frombytes(bytes(out.planes[0])[: 2 * out.samples])
    return samples.tolist()


def loudness(path: Path) -> tuple[float, float]:
    """Return integrated loudness in LUFS and true peak in dBTP, by libavfilter's EBU R128 meter."""
    graph, found, peak = Graph(), -70.0, 0.0
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        meter = graph.add("ebur128", "metadata=1:framelog=quiet:peak=true")
        graph.link_nodes(graph.add_abuffer(template=stream), meter, graph.add("abuffersink")).configure()
        for frame in [*container.decode(stream), None]:
            graph.push(frame)
            while True:
                try:
                    out = graph.pull()
                except (av.BlockingIOError, EOFError):
                    break
                if "lavfi.r128.I" in out.metadata:
                    found = float(out.metadata["lavfi.r128.I"])
                    peak = max(peak, float(out.metadata["lavfi.r128.true_peak"]))
    return found, 20 * math.log10(peak) if peak else -math.inf


def seconds_of(path: Path, kind: str) -> Fraction:
    """Return how long the stream of a kind lasts."""
    with av.open(str(path)) as container:
        stream = next(stream for stream in container.streams if stream.type == kind)
        return (stream.duration or 0) * Fraction(stream.time_base or 0)
