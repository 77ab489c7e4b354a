"""Media files that are cut, lie, or mean harm: refused with a clear code, in bounded time and memory."""

import resource
import struct
import subprocess
import sys
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from random import Random

import av
import pytest
from av.packet import Packet
from PIL import Image

from infra.local.fuzz_subjects import media
from shared.errors import AppError
from shared.video.look import Look
from shared.video.mp4_claims import claims_more
from shared.video.outside import conform, last_frame, probe
from shared.video.soundtrack import fit_soundtrack
from tests.shared.image_files import header_only
from tests.shared.video.media import LOOK, Source, assert_sound_mp4, audio_file, clip, music
from tests.shared.video.media_mutations import fragmented, mutated

MEMORY = 400 * 1024 * 1024

MEASURE = """
import sys
from pathlib import Path
from infra.local.fuzz import peak_bytes
from shared.errors import AppError
from shared.video.look import Look
from shared.video.outside import conform, probe
try:
    probe(Path(sys.argv[1]))
    conform(Path(sys.argv[1]), Path(sys.argv[2]), Look(320, 180, 30), 30)
    print("clip", peak_bytes())
except AppError as error:
    print(error.code, peak_bytes())
"""


def code_of(path: Path) -> str:
    """Return the code that every reader of clips refuses the file with."""
    codes = set()
    for read in (
        lambda: probe(path),
        lambda: conform(path, path.with_name("out.mp4"), LOOK, 30),
        lambda: last_frame(path, LOOK, 30),
    ):
        with pytest.raises(AppError) as refused:
            read()
        codes.add(refused.value.code)
    assert not path.with_name("out.mp4").exists()
    assert len(codes) == 1
    return codes.pop()


def outcome(path: Path) -> str:
    """Return what becomes of the file in a process of its own, which stays small."""
    command = [sys.executable, "-c", MEASURE, str(path), str(path.with_name("out.mp4"))]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=100)
    found, peak = done.stdout.split()
    assert int(peak) < MEMORY
    return found


def written(folder: Path, data: bytes, name: str = "clip.mp4") -> Path:
    (folder / name).write_bytes(data)
    return folder / name


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0" * 5000,
        b"once upon a time " * 1000,
        b"#EXTM3U\n#EXTINF:1,\nfile:///etc/hostname\n#EXT-X-ENDLIST\n",
        b"ffconcat version 1.0\nfile /etc/hostname\n",
        b'<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><Period/></MPD>',
        b'<svg xmlns="http://www.w3.org/2000/svg"/>',
        b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom",
        b"\0\0\0\x08moov" * 3000,
    ],
    ids=["empty", "zeros", "text", "playlist", "list", "DASH", "SVG", "head alone", "hollow boxes"],
)
def test_what_is_no_video_is_refused(tmp_path: Path, data: bytes) -> None:
    assert code_of(written(tmp_path, data)) == "not_media"


def test_sound_alone_is_no_video_even_with_a_cover(tmp_path: Path) -> None:
    assert code_of(audio_file(tmp_path / "a.m4a", music(1), "aac")) == "not_media"
    cover, covered = BytesIO(), tmp_path / "covered.mp4"
    Image.new("RGB", (300, 300), "red").save(cover, "JPEG")
    with av.open(str(tmp_path / "a.m4a")) as sound, av.open(str(covered), "w", format="mp4") as out:
        tracks = (
            out.add_stream_from_template(sound.streams.audio[0]),
            out.add_mux_stream("mjpeg", width=300, height=300),
        )
        tracks[1].disposition = av.stream.Disposition.attached_pic
        for packet in sound.demux(audio=0):
            if packet.dts is not None:
                packet.stream = tracks[0]
                out.mux(packet)
        picture = Packet(cover.getvalue())
        picture.stream, picture.pts, picture.dts = tracks[1], 0, 0
        out.mux(picture)
    assert code_of(covered) == "not_media"


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_a_clip_that_ends_too_early_is_damaged(tmp_path: Path, share: float) -> None:
    whole = clip(tmp_path / "whole.mp4", 30).read_bytes()
    path = written(tmp_path, whole[: int(len(whole) * share)])
    for read in (lambda: conform(path, tmp_path / "out.mp4", LOOK, 30), lambda: last_frame(path, LOOK, 30)):
        with pytest.raises(AppError) as refused:
            read()
        assert refused.value.code == "clip_damaged"
    assert not (tmp_path / "out.mp4").exists()


def test_what_lies_beyond_the_cut_may_be_missing(tmp_path: Path) -> None:
    whole = Source(frames=60).write(tmp_path).read_bytes()
    start = whole.index(b"mdat")
    moved = tmp_path / "moved.mp4"
    with (
        av.open(str(tmp_path / "source.mp4")) as source,
        av.open(str(moved), "w", options={"movflags": "faststart"}) as to,
    ):
        stream = to.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                to.mux(packet)
    assert start
    data = moved.read_bytes()
    path = written(tmp_path, data[: int(len(data) * 0.9)])
    conform(path, tmp_path / "out.mp4", LOOK, 15)
    assert_sound_mp4(tmp_path / "out.mp4", 15, LOOK)


def muxed(path: Path, codec: str, *sizes: tuple[int, int]) -> Path:
    """Write a video of plain pictures, which are encoded by Pillow."""
    with av.open(str(path), "w") as container:
        stream = container.add_mux_stream(codec, rate=30, width=sizes[0][0], height=sizes[0][1])
        for number, size in enumerate(sizes):
            file = BytesIO()
            Image.new("L", size).save(file, {"png": "PNG", "mjpeg": "JPEG"}[codec])
            packet = Packet(file.getvalue())
            packet.stream, packet.pts, packet.dts, packet.is_keyframe = stream, 33 * number, 33 * number, True
            container.mux(packet)
    return path


@pytest.mark.parametrize("size", [(4112, 2400), (7_600, 4_300), (16_000, 1_000)])
def test_huge_pictures_are_refused_by_their_head(tmp_path: Path, size: tuple[int, int]) -> None:
    path = muxed(tmp_path / "huge.mov", "png", size)
    assert code_of(path) == "media_too_large"
    assert outcome(path) == "media_too_large"


def test_a_picture_beyond_all_measure_is_not_decoded(tmp_path: Path) -> None:
    path = tmp_path / "huge.mov"
    with av.open(str(path), "w") as container:
        packet = Packet(header_only("PNG", 25_000, 25_000))
        packet.stream = container.add_mux_stream("png", rate=30, width=25_000, height=25_000)
        packet.pts = packet.dts = 0
        container.mux(packet)
    assert outcome(path) in {"clip_damaged", "media_too_large"}


def test_pictures_that_grow_are_refused_when_they_do(tmp_path: Path) -> None:
    path = muxed(tmp_path / "grown.mkv", "mjpeg", (64, 64), (64, 64), (6000, 6000), *((64, 64),) * 40)
    assert probe(path).width == 64
    assert outcome(path) in {"clip", "clip_damaged", "media_too_large"}  # within the memory of small ones


def test_a_file_without_frames_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "none.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        container.start_encoding()
    assert code_of(path) in {"clip_damaged", "not_media"}


def test_more_frames_than_anybody_sees_are_not_decoded(tmp_path: Path) -> None:
    path = Source("fast.mp4", "mpeg4", width=64, height=48, rate=1000, frames=1000).write(tmp_path)
    with pytest.raises(AppError) as refused:
        conform(path, tmp_path / "out.mp4", LOOK, 30)
    assert refused.value.code == "media_too_large"
    assert not (tmp_path / "out.mp4").exists()


def claiming(data: bytes, box: bytes, count: int) -> bytes:
    """Return an MP4 whose samples are all of one byte, as many as are claimed."""
    at = data.index(box)
    if box == b"trun":
        return data[: at + 4] + struct.pack(">II", 1, count) + data[at + 12 :]
    chunks = data.index(b"stsc")
    data = data[: at + 8] + struct.pack(">II", 1, count) + data[at + 16 :]
    return data[: chunks + 16] + struct.pack(">I", count) + data[chunks + 20 :]


@pytest.mark.parametrize("count", [2_000_000, 50_000_000, 0xFFFFFFFF])
@pytest.mark.parametrize("box", [b"stsz", b"trun"])
def test_a_few_bytes_that_claim_millions_of_frames_are_refused(tmp_path: Path, box: bytes, count: int) -> None:
    whole = clip(tmp_path / "whole.mp4", 5)
    plain = whole if box == b"stsz" else fragmented(whole, tmp_path / "fragmented.mp4")
    path = written(tmp_path, claiming(plain.read_bytes(), box, count))
    assert code_of(path) == "media_too_large"
    assert outcome(path) == "media_too_large"


def test_an_index_in_pieces_is_read(tmp_path: Path) -> None:
    path = fragmented(clip(tmp_path / "whole.mp4", 30), tmp_path / "fragmented.mp4")
    conform(path, tmp_path / "out.mp4", LOOK, 30)
    assert_sound_mp4(tmp_path / "out.mp4", 30, LOOK)


def test_samples_are_counted_over_all_tracks_but_those_of_plain_sound(tmp_path: Path) -> None:
    path = Source(frames=30, sound=True).write(tmp_path)
    with av.open(str(path)) as container:
        samples = sum(stream.frames for stream in container.streams)
    assert claims_more(path, samples - 1)
    assert not claims_more(path, samples)
    plain = audio_file(tmp_path / "plain.mov", music(1), "pcm_s16le")
    assert not claims_more(plain, 1000)
    assert not claims_more(audio_file(tmp_path / "a.mp3", music(1), "libmp3lame"), 0)


def test_boxes_within_boxes_do_not_exhaust_the_stack(tmp_path: Path) -> None:
    data = b""
    for _ in range(5000):
        data = struct.pack(">I4s", len(data) + 8, b"moov") + data
    assert code_of(written(tmp_path, data)) == "not_media"
    assert code_of(written(tmp_path, struct.pack(">I4s", 8, b"free") * 100_001)) == "media_too_large"


def test_text_that_is_not_utf_8_in_a_files_tags_does_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "tagged.mkv"
    with av.open(str(path), "w") as container:
        container.metadata["title"] = "XXXXXXXX"
        stream = container.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        container.mux(stream.encode(av.VideoFrame(64, 64, "yuv420p")))
        container.mux(stream.encode(None))
    path.write_bytes(path.read_bytes().replace(b"XXXXXXXX", b"\xff\xfe\xc3\x28\x80\x80\x80\x80"))
    assert probe(path).width == 64


def test_a_long_gap_between_frames_is_no_more_work_than_the_clip_is_long(tmp_path: Path) -> None:
    path = Source("gap.mkv", frames=3, times=(0, 33, 2_000_000_000)).write(tmp_path)
    conform(path, tmp_path / "out.mp4", LOOK, 20)
    assert_sound_mp4(tmp_path / "out.mp4", 20, LOOK)


def test_a_full_disk_is_not_blamed_on_the_file(tmp_path: Path) -> None:
    path = Source(frames=30).write(tmp_path)
    sound = audio_file(tmp_path / "a.wav", music(2), "pcm_s16le")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4_000, hard))
    try:
        with pytest.raises(OSError, match=r"."):
            conform(path, tmp_path / "out.mp4", Look(640, 360, 30), 30)
        with pytest.raises(OSError, match=r"."):
            fit_soundtrack(sound, tmp_path / "out.m4a", Fraction(20))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not (tmp_path / "out.mp4").exists()


@pytest.mark.parametrize("seed", range(120))
def test_damaged_files_raise_nothing_but_refusals(seed: int) -> None:
    try:
        media(mutated(Random(seed)))
    except AppError as error:
        assert error.status < 500
