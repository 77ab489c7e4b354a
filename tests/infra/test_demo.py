"""The demo: a browser's way through the real stack, over HTTP."""

import base64
import io
from pathlib import Path

import httpx
import pytest
from PIL import Image

from infra.local.demo import run
from infra.local.stack import Stack
from infra.local.state import StackError
from tests.shared.image_files import encoded, gradient
from tests.videos import watch


@pytest.fixture
def on_the_stack(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The demo finds this stack running, and uses it."""
    monkeypatch.setenv("STATE", str(stack.folder))
    monkeypatch.delenv("IMAGES", raising=False)
    monkeypatch.setattr(run, "SECONDS_PER_FRAME", 1)
    monkeypatch.setattr(run, "RESOLUTION", 480)
    return stack.folder


@pytest.mark.timeout(600)
def test_stores_reads_back_and_shows_the_sample_frames(on_the_stack: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run.main([]) == 0
    sheet = Image.open(on_the_stack / "demo" / "contact-sheet.png")
    assert sheet.size[0] == 1920
    assert (on_the_stack / "demo").stat().st_mode & 0o077 == 0
    said = capsys.readouterr().out
    assert "Read back 6 frames" in said
    assert "gets 404" in said
    film = on_the_stack / "demo" / "video.mp4"
    assert str(film) in said
    assert "100%" in said
    watch(film.read_bytes(), frames=180, fps=30, size=(854, 480))
    assert Image.open(on_the_stack / "demo" / "poster.jpg").size == (854, 480)


@pytest.mark.timeout(600)
def test_takes_images_of_ones_own(
    on_the_stack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, file_format in (("one.png", "PNG"), ("two.jpg", "JPEG"), ("three.webp", "WEBP")):
        (tmp_path / name).write_bytes(encoded(gradient(320, 200), file_format))
    (tmp_path / "notes.txt").write_text("not an image")
    monkeypatch.setenv("IMAGES", str(tmp_path))
    assert run.main([]) == 0
    assert "Read back 3 frames" in capsys.readouterr().out


def test_says_which_image_was_refused(on_the_stack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken.png").write_bytes(encoded(gradient(320, 200), "PNG")[:200])
    monkeypatch.setenv("IMAGES", str(tmp_path))
    with pytest.raises(StackError, match="image_truncated"):
        run.main([])


def test_a_folder_without_images_is_named(on_the_stack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGES", str(tmp_path))
    with pytest.raises(StackError, match="No images"):
        run.main([])


def test_served_images_are_the_optimised_ones(stack: Stack) -> None:
    sent = encoded(gradient(2400, 1200), "PNG")
    body = {"imageData": base64.b64encode(sent).decode(), "frameId": 1}
    answer = httpx.post(f"{stack.info['apiUrl']}/api/upload_image", json=body, timeout=30).json()
    served = Image.open(io.BytesIO(httpx.get(answer["imageUrl"]).content))
    assert (served.format, served.size) == ("WEBP", (1920, 960))


def test_a_page_of_another_origin_may_call_and_read_what_the_contract_names(stack: Stack) -> None:
    url = f"{stack.info['apiUrl']}/api/save_frames"
    preflight = httpx.options(
        url,
        headers={
            "Origin": "https://app.example",
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization,content-type,if-match",
        },
    )
    assert preflight.status_code == 200
    allowed = preflight.headers["access-control-allow-headers"].lower()
    assert {"authorization", "content-type", "if-match"} <= {name.strip() for name in allowed.split(",")}
    answer = httpx.post(url, json={}, headers={"Origin": "https://app.example"})
    assert answer.headers["access-control-allow-origin"] in ("*", "https://app.example")
    exposed = {name.strip().lower() for name in answer.headers["access-control-expose-headers"].split(",")}
    assert {"etag", "retry-after", "x-request-id"} <= exposed
