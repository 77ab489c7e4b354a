"""The playground in a tab, as somebody uses it."""

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass

from playwright.sync_api import Locator, Page, expect

from tests.browser.tab import Tab
from tests.shared.image_files import encoded
from tests.videos import picture

expect.set_options(timeout=90_000)

_DROP = """([files, target]) => {
  const carried = new DataTransfer();
  for (const [name, base64] of files) {
    const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
    carried.items.add(new File([bytes], name, { type: "image/png" }));
  }
  for (const kind of ["dragenter", "dragover", "drop"]) {
    const event = new DragEvent(kind, { bubbles: true, cancelable: true, dataTransfer: carried });
    document.querySelector(target).dispatchEvent(event);
  }
}"""
_FOCUSED = """() => {
  const one = document.activeElement;
  return one.getAttribute("aria-label") || one.labels?.[0]?.textContent || one.textContent || "";
}"""

Files = Sequence[tuple[str, bytes]]


def photos(count: int, size: tuple[int, int] = (640, 360), first: int = 1) -> Files:
    return [(f"photo-{number}.png", encoded(picture(number, size), "PNG")) for number in range(first, first + count)]


@dataclass
class Playground:
    """A tab that shows the playground, and what one does there."""

    tab: Tab
    url: str

    @property
    def page(self) -> Page:
        return self.tab.page

    def open(self, path: str = "/") -> None:
        self.page.goto(self.url + path)
        expect(self.page.locator(".account .name")).not_to_have_text("…")

    def drop(self, files: Files) -> None:
        """Drop files as from a folder of the desktop."""
        carried = [[name, base64.b64encode(data).decode()] for name, data in files]
        self.page.evaluate(_DROP, [carried, ".drop, .board"])

    def cards(self) -> Locator:
        return self.page.locator(".card")

    def button(self, name: str | re.Pattern[str]) -> Locator:
        return self.page.get_by_role("button", name=name, exact=isinstance(name, str))

    def captions(self) -> list[str]:
        return [field.input_value() for field in self.page.get_by_label(re.compile("^Caption of frame")).all()]

    def expect_uploaded(self, count: int) -> None:
        expect(self.cards()).to_have_count(count)
        expect(self.page.locator(".meter")).to_have_count(0)
        expect(self.page.locator(".card .trouble")).to_have_count(0)

    def save(self, version: int) -> None:
        self.button("Save").click()
        expect(self.page.get_by_text(f"Saved, version {version}", exact=True)).to_be_visible()

    def make_video(self) -> None:
        self.button("Make the video").click()
        expect(self.page.get_by_text("Ready in about", exact=True)).to_be_visible()
        self.button("Render it").click()
        self.expect_video()

    def expect_video(self) -> None:
        video = self.page.locator("video")
        expect(video).to_be_visible()
        video.evaluate("video => { video.muted = true; return video.play(); }")
        self.tab.wait_until("document.querySelector('video').currentTime > 0.3")

    def sign_up(self, email: str) -> None:
        self.page.locator(".account").click()
        dialog = self.page.get_by_role("dialog")
        dialog.get_by_label("E-mail").fill(email)
        dialog.get_by_label("Password").fill("correct horse")
        self.button("Create an account").click()
        expect(dialog).to_have_count(0)
        expect(self.page.locator(".account .name")).to_have_text(email)

    def tab_to(self, name: str) -> None:
        """Press Tab until what is focused has this name."""
        for _ in range(90):
            self.page.keyboard.press("Tab")
            if str(self.page.evaluate(_FOCUSED)).strip().startswith(name):
                return
        raise AssertionError(f"no Tab leads to {name}")

    def expect_clean(self) -> None:
        """Hold that nothing was complained about, blocked, too wide or out of reach."""
        assert self.tab.complaints == []
        assert self.tab.violations() == []
        self.expect_accessible()

    def expect_accessible(self) -> None:
        assert self.tab.serious_findings() == []
        assert not self.page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"), (
            "it is too wide"
        )
