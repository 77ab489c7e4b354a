"""Soundtracks: of exactly the video's length, faded out, and as loud as one another."""

import math
import struct
from array import array
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import pytest

from shared.errors import AppError
from shared.video import loops
from shared.video.loops import repeated
from shared.video.loudness import SAMPLE_BYTES
from shared.video.soundtrack import fit_soundtrack, probe_audio
from tests.shared.video.media import AAC_FRAME, RATE, Source, audio_file, clip, heard, loudness, music, seconds_of

SECONDS = Fraction(100, 30)
FORMATS = [
    ("a.mp3", "libmp3lame", 44_100),
    ("a.m4a", "aac", 44_100),
    ("a.aac", "aac", 48_000),
    ("a.wav", "pcm_s16le", 22_050),
    ("float.wav", "pcm_f32le", 96_000),
    ("a.ogg", "libopus", 48_000),
    ("a.flac", "flac", 44_100),
    ("a.webm", "libopus", 48_000),
]


def rms(samples: list[int]) -> float:
    return math.sqrt(sum(value * value for value in samples) / len(samples))


def tone(seconds: float, hertz: float = 441, amplitude: int = 8000) -> bytes:
    samples = array("h")
    for index in range(round(seconds * RATE)):
        value = round(amplitude * math.sin(math.tau * hertz * index / RATE))
        samples.extend((value, value))
    return samples.tobytes()


@pytest.mark.parametrize(
    ("name", "codec", "rate", "layout"),
    [
        *((*one, "stereo") for one in FORMATS),
        ("mono.wav", "pcm_s16le", 8_000, "mono"),
        ("5.1.flac", "flac", RATE, "5.1"),
    ],
)
def test_every_format_becomes_aac_of_exactly_the_length_at_the_target(
    tmp_path: Path, name: str, codec: str, rate: int, layout: str
) -> None:
    source = audio_file(tmp_path / name, music(1.3), codec, rate=rate, layout=layout)
    out = tmp_path / "out.m4a"
    made = fit_soundtrack(source, out, SECONDS)
    assert made.samples == SECONDS * RATE
    assert seconds_of(out, "audio") == SECONDS
    assert 0 <= len(heard(out)) - SECONDS * RATE < AAC_FRAME  # decoders give whole frames
    assert loudness(out)[0] == pytest.approx(-16, abs=0.5)
    assert made.loudness == pytest.approx(-16, abs=0.5)
    with av.open(str(out)) as container:
        stream = container.streams.audio[0]
        assert (stream.codec_context.name, stream.sample_rate, stream.layout.name) == ("aac", RATE, "stereo")


@pytest.mark.parametrize("loud", [0.02, 0.1, 0.9, 8.0])
def test_quiet_and_loud_sources_end_at_the_same_loudness_without_clipping(tmp_path: Path, loud: float) -> None:
    source = audio_file(tmp_path / "a.wav", music(4, loud=loud), "pcm_s16le")
    fit_soundtrack(source, tmp_path / "out.m4a", SECONDS)
    integrated, peak = loudness(tmp_path / "out.m4a")
    assert integrated == pytest.approx(-16, abs=1)
    assert peak < 0


def test_peaks_are_limited_rather_than_kept_quiet(tmp_path: Path) -> None:
    samples = array("h", tone(6, amplitude=700))
    for start in range(0, len(samples), RATE):
        samples[start : start + 240] = array("h", tone(240 / 2 / RATE, 900, 30_000))
    fit_soundtrack(audio_file(tmp_path / "a.wav", samples.tobytes(), "pcm_s16le"), tmp_path / "out.m4a", SECONDS)
    integrated, peak = loudness(tmp_path / "out.m4a")
    assert integrated == pytest.approx(-16, abs=1)
    assert peak < 0


def test_silence_stays_silent(tmp_path: Path) -> None:
    made = fit_soundtrack(audio_file(tmp_path / "a.wav", bytes(4 * RATE), "pcm_s16le"), tmp_path / "out.m4a", SECONDS)
    assert made.gain == 0
    assert set(heard(tmp_path / "out.m4a")) <= {-1, 0, 1}
    assert seconds_of(tmp_path / "out.m4a", "audio") == SECONDS


def test_hiss_is_not_raised_without_limit(tmp_path: Path) -> None:
    made = fit_soundtrack(
        audio_file(tmp_path / "a.wav", tone(2, amplitude=12), "pcm_s16le"), tmp_path / "o.m4a", SECONDS
    )
    assert made.gain == 30
    assert made.loudness < -30


@pytest.mark.parametrize("samples", [40, 480, 4_801, 12_345])
def test_very_short_sounds_are_repeated(tmp_path: Path, samples: int) -> None:
    source = audio_file(tmp_path / "a.wav", tone(samples / RATE), "pcm_s16le")
    made = fit_soundtrack(source, tmp_path / "out.m4a", SECONDS)
    assert made.samples == SECONDS * RATE
    assert loudness(tmp_path / "out.m4a")[0] == pytest.approx(-16, abs=1)


def test_the_end_fades_out_and_nothing_else_does(tmp_path: Path) -> None:
    fit_soundtrack(audio_file(tmp_path / "a.wav", tone(12), "pcm_s16le"), tmp_path / "out.m4a", Fraction(10))
    sound = heard(tmp_path / "out.m4a")
    levels = [rms(sound[start : start + RATE // 4]) for start in range(0, 10 * RATE, RATE // 4)]
    full = levels[10]
    assert all(level == pytest.approx(full, rel=0.02) for level in levels[1:32])
    assert levels[32:] == sorted(levels[32:], reverse=True)
    assert levels[-1] < full / 20


@pytest.mark.parametrize(("seconds", "kept"), [(0.01, 1.0), (0.4, 1.0), (0.4, 0.1), (1.0, 0.5)])
def test_loops_are_without_a_click_or_a_gap(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float, kept: float
) -> None:
    """A click is a step between neighbours that is higher than any in the source."""
    monkeypatch.setattr(loops, "_KEPT", round(kept * RATE) * SAMPLE_BYTES)
    source = audio_file(tmp_path / "a.wav", tone(seconds, 100, 16_000), "pcm_s16le")
    wanted = round(3.3 * seconds * RATE) + 17
    samples = array("h", b"".join(repeated(source, wanted))).tolist()[::2]
    assert len(samples) == wanted
    once = round(seconds * RATE)
    steepest = max(abs(b - a) for a, b in pairwise(samples[:once]))
    assert max(abs(b - a) for a, b in pairwise(samples)) <= 1.5 * steepest
    if seconds > 0.1:
        assert min(rms(samples[start : start + 960]) for start in range(0, wanted - 960, 960)) > 5_000


def test_a_source_of_the_right_length_is_used_as_it_is(tmp_path: Path) -> None:
    original = tone(2, 333)
    source = audio_file(tmp_path / "a.wav", original, "pcm_s16le")
    assert b"".join(repeated(source, 2 * RATE)) == original
    assert b"".join(repeated(source, RATE)) == original[: 4 * RATE]


def test_a_videos_own_sound_is_taken_and_its_cover_picture_is_not(tmp_path: Path) -> None:
    source = Source(frames=30, sound=True).write(tmp_path)
    assert probe_audio(source).codec == "aac"
    fit_soundtrack(source, tmp_path / "out.m4a", SECONDS)
    assert seconds_of(tmp_path / "out.m4a", "audio") == SECONDS


@pytest.mark.parametrize(("name", "codec", "rate"), FORMATS)
def test_what_an_audio_file_holds_is_told_from_its_head(tmp_path: Path, name: str, codec: str, rate: int) -> None:
    facts = probe_audio(audio_file(tmp_path / name, music(2), codec, rate=rate))
    assert codec.removeprefix("lib").startswith(facts.codec.removesuffix("3"))
    assert (facts.channels, facts.sample_rate) == (2, rate)
    assert facts.seconds is None or facts.seconds == pytest.approx(2, abs=0.2)


def wav(rate: int, samples: bytes, *, bits: int = 16, kind: int = 1) -> bytes:
    size = bits // 8
    form = struct.pack("<HHIIHH", kind, 1, rate, rate * size, size, bits)
    chunks = b"fmt " + struct.pack("<I", len(form)) + form + b"data" + struct.pack("<I", len(samples)) + samples
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"once upon a time " * 1000,
        b"\x89PNG\r\n\x1a\n" + bytes(1000),
        b"ID3\x04" + bytes(5000),
        wav(RATE, b""),
        b"#EXTM3U\n#EXTINF:1,\nfile:///etc/hostname\n#EXT-X-ENDLIST\n",
        b"ffconcat version 1.0\nfile /etc/hostname\n",
    ],
    ids=["empty", "text", "picture", "tags alone", "no samples", "playlist", "list of files"],
)
def test_what_is_no_audio_is_refused(tmp_path: Path, data: bytes) -> None:
    source = tmp_path / "a.mp3"
    source.write_bytes(data)
    with pytest.raises(AppError) as refused:
        fit_soundtrack(source, tmp_path / "out.m4a", SECONDS)
    assert refused.value.code == "not_media"


def test_a_video_without_sound_is_refused(tmp_path: Path) -> None:
    source = clip(tmp_path / "silent.mp4", 5)
    for judge in (probe_audio, lambda path: fit_soundtrack(path, tmp_path / "out.m4a", SECONDS)):
        with pytest.raises(AppError) as refused:
            judge(source)
        assert refused.value.code == "not_media"


@pytest.mark.parametrize("rate", [1, 100, 2_000_000_000])
def test_absurd_sample_rates_are_refused_before_they_are_stretched(tmp_path: Path, rate: int) -> None:
    source = tmp_path / "a.wav"
    source.write_bytes(wav(rate, bytes(range(256)) * 400))
    with pytest.raises(AppError) as refused:
        fit_soundtrack(source, tmp_path / "out.m4a", SECONDS)
    assert refused.value.code == "not_media"


def test_samples_that_are_no_numbers_do_no_harm(tmp_path: Path) -> None:
    values = [math.nan, math.inf, -math.inf, 1e38, 0.25] * 9600
    source = tmp_path / "a.wav"
    source.write_bytes(wav(RATE, struct.pack(f"<{len(values)}f", *values), bits=32, kind=3))
    made = fit_soundtrack(source, tmp_path / "out.m4a", SECONDS)
    assert seconds_of(tmp_path / "out.m4a", "audio") == SECONDS
    assert math.isfinite(made.loudness)
