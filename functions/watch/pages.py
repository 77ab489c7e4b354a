"""What a link shows -> the page, its headers, and what link previews and embedding pages read of it."""

import base64
import hashlib
import html
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from string import Template
from typing import Any, Final, NamedTuple
from urllib.parse import urlencode

SERVICE: Final = "Videomaker"
DEFAULT_SIZE: Final = (1280, 720)


class Html(str):
    """Text that is markup already; what is not is escaped where it is filled in."""

    __slots__ = ()


class Notice(NamedTuple):
    """A page that shows no video, and says why."""

    status: int
    title: str
    text: str
    action: Html = Html()


@dataclass(frozen=True, slots=True)
class View:
    """What a link shows to one visitor: the state it is in, what is known of its video, and URLs by path."""

    state: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    urls: Mapping[str, str] = field(default_factory=dict)

    @property
    def video(self) -> Mapping[str, Any]:
        """The video, nothing of which is known where only frames are shown."""
        return self.facts.get("video") or {}

    @property
    def title(self) -> str:
        """The story's title, else the beginning of the prompt."""
        told = _line(self.facts["title"] or "")
        return told or excerpt(_line(self.facts["prompt"]), 90) or "A video without a title"

    @property
    def overview(self) -> str:
        """What the story is about, where the title does not say all of it."""
        text: str = self.facts["overview"] or self.facts["prompt"]
        return "" if _line(text) == self.title else excerpt(text, 2000)

    @property
    def picture(self) -> str | None:
        """The URL of the poster, else of the first frame."""
        frames = self.facts["frames"]
        return self.urls.get(self.video.get("poster") or (frames[0]["path"] if frames else ""))

    @property
    def source(self) -> str | None:
        """The URL of the video's file."""
        return self.urls.get(self.video.get("path") or "")

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the video."""
        known = self.video.get("width"), self.video.get("height")
        return known if all(known) else DEFAULT_SIZE  # type: ignore[return-value]


_FOLDER: Final = Path(__file__).parent
_TEMPLATES: Final = {path.stem: Template(path.read_text(encoding="utf-8").strip()) for path in _FOLDER.glob("*.html")}
_STYLE: Final = Html((_FOLDER / "style.css").read_text(encoding="utf-8"))
_STYLE_HASH: Final = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_NOTHING: Final = Html()
_RELOAD: Final = Html('<a class="button" href="">Look again</a>')
_NOTICES: Final = {
    "missing": Notice(
        404,
        "This link leads nowhere",
        "It may be mistyped, or whoever shared it has withdrawn it. Ask for a new one.",
    ),
    "expired": Notice(410, "This link has expired", "It was made to last for a time. Ask for a new one."),
    "used_up": Notice(410, "This link is used up", "It was made for a number of views. Ask for a new one."),
    "not_ready": Notice(200, "The video is not ready yet", "It is still being made. Come back in a moment.", _RELOAD),
    "failed": Notice(200, "There is no video", "It could not be made. Ask whoever shared it with you."),
    "too_many_tries": Notice(429, "Too many tries", "Wait a minute, then try again.", _RELOAD),
    "unavailable": Notice(503, "That did not work", "Something broke on our side. Try again in a moment.", _RELOAD),
}


def headers(media: str = "", *, embedded: bool = False) -> dict[str, str]:
    """Return the headers of every answer; `media` is the origin that pictures and videos come from."""
    policy = [
        "default-src 'none'",
        f"style-src 'sha256-{_STYLE_HASH}'",
        f"img-src data: {media}".strip(),
        "media-src " + (media or "'none'"),
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors " + ("*" if embedded else "'none'"),
    ]
    return {
        "Cache-Control": "private, no-store",
        "Content-Security-Policy": "; ".join(policy),
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "X-Robots-Tag": "noindex, nofollow",
    }


def video_page(view: View, address: str, *, embedded: bool) -> str:
    """Return the player, or the frames of a session that has no video yet."""
    words = {"title": view.title, "overview": view.overview, "facts": _facts(view)}
    if not view.video:
        frames = Html("\n".join(_frame(view, one) for one in view.facts["frames"]))
        return _document(view.title, _fill("storyboard", frames=frames, **words), head=_tags(view, address))
    captions = view.urls.get(view.video.get("captions") or "")
    width, height = view.size
    attributes = {"width": width, "height": height, "poster": view.picture}
    if captions:
        attributes["crossorigin"] = "anonymous"  # captions from another origin come in no other way
    track = (
        _fill_text('<track kind="captions" label="Captions" src="$source">', source=captions) if captions else _NOTHING
    )
    body = _fill(
        "embed" if embedded else "player",
        source=view.source or "",
        attributes=_attributes(attributes),
        track=track,
        **words,
    )
    return _document(view.title, body, head=_tags(view, address), look="embed" if embedded else "")


def notice_page(state: str) -> tuple[int, str]:
    """Return the status and the page for a state in which there is no video to show."""
    notice = _NOTICES[state]
    return notice.status, _document(notice.title, _notice(notice))


def password_page(address: str, *, wrong: bool, embedded: bool) -> tuple[int, str]:
    """Return the status and the page that asks for the password; no other site's frame is a place to enter one."""
    if embedded:
        action = _fill_text('<a class="button" href="$address" target="_blank">Open it</a>', address=address)
        notice = Notice(200, "This video needs a password", "It is asked for on a page of its own.", action)
        return notice.status, _document(notice.title, _notice(notice))
    alert = Html('<p class="alert" id="alert" role="alert">That is not the password.</p>') if wrong else _NOTHING
    invalid = Html(' aria-invalid="true" aria-describedby="alert"') if wrong else _NOTHING
    return 403 if wrong else 200, _document("A video with a password", _fill("password", alert=alert, invalid=invalid))


def embedding(view: View, address: str, most_wide: int, most_high: int) -> dict[str, object]:
    """Return the oEmbed object of a video, or of a link to a storyboard, within these bounds."""
    found: dict[str, object] = {"version": "1.0", "type": "link", "title": view.title, "provider_name": SERVICE}
    if not view.video:
        return found
    width, height = view.size
    scale = min(1.0, most_wide / width, most_high / height)
    fitting = {"width": max(1, int(width * scale)), "height": max(1, int(height * scale))}
    frame = {"src": f"{address}/embed", **fitting, "title": view.title, "allow": "picture-in-picture"}
    found |= {
        "type": "video",
        **fitting,
        "html": f'<iframe{_attributes(frame)} frameborder="0" allowfullscreen></iframe>',
    }
    if view.picture and scale == 1.0:
        found |= {"thumbnail_url": view.picture, "thumbnail_width": width, "thumbnail_height": height}
    return found


def excerpt(text: str, most: int) -> str:
    """Return the beginning of a text, cut between words where there are any."""
    text = text.strip()
    if len(text) <= most:
        return text
    cut = text[: most - 1]
    words, space, _ = cut.rpartition(" ")
    return (words if space and len(words) > most // 2 else cut).rstrip(" ,;:") + "…"


def _line(text: str) -> str:
    return " ".join(text.split())


def _tags(view: View, address: str) -> Html:
    """Return the tags that link previews read: Open Graph, Twitter, oEmbed."""
    width, height = view.size
    about = excerpt(_line(view.overview or view.title), 200)
    properties = {
        "og:site_name": SERVICE,
        "og:type": "video.other" if view.video else "website",
        "og:title": view.title,
        "og:description": about,
        "og:url": address,
        "og:image": view.picture,
        "og:video": view.source,
    }
    if view.source:
        properties |= {"og:video:type": "video/mp4", "og:video:width": str(width), "og:video:height": str(height)}
    names = {
        "description": about,
        "twitter:card": "player" if view.video else "summary_large_image",
        "twitter:title": view.title,
        "twitter:description": about,
        "twitter:image": view.picture,
    }
    if view.video:
        names |= {
            "twitter:player": f"{address}/embed",
            "twitter:player:width": str(width),
            "twitter:player:height": str(height),
        }
    oembed = f"{address}/oembed?{urlencode({'url': address, 'format': 'json'})}"
    kind = "application/json+oembed"
    return Html(
        "\n".join(
            [
                f"<link{_attributes({'rel': 'canonical', 'href': address})}>",
                f"<link{_attributes({'rel': 'alternate', 'type': kind, 'href': oembed, 'title': view.title})}>",
                *(
                    f"<meta{_attributes({'property': name, 'content': one})}>"
                    for name, one in properties.items()
                    if one
                ),
                *(f"<meta{_attributes({'name': name, 'content': one})}>" for name, one in names.items() if one),
            ]
        )
    )


def _facts(view: View) -> Html:
    made = datetime.fromisoformat(view.facts["created_at"])
    frames = len(view.facts["frames"])
    length = _length(view.video.get("seconds")) if view.video else f"{frames} frame{'s' if frames > 1 else ''}"
    date = _fill_text('<time datetime="$iso">$date</time>', iso=f"{made:%Y-%m-%d}", date=f"{made.day} {made:%B %Y}")
    parts = [html.escape(length), date, "The video is being made" if view.facts["is_rendering"] else ""]
    return Html(" · ".join(part for part in parts if part))


def _length(seconds: float | None) -> str:
    if seconds is None:
        return ""
    minutes, rest = divmod(max(1, round(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _frame(view: View, frame: Mapping[str, Any]) -> Html:
    size = _attributes({"width": frame["width"], "height": frame["height"]})
    source = view.urls.get(frame["path"], "")
    return _fill("frame", source=source, size=size, number=frame["number"], description=frame["description"])


def _notice(notice: Notice) -> Html:
    return _fill("notice", title=notice.title, text=notice.text, action=notice.action)


def _document(title: str, body: Html, head: Html = _NOTHING, look: str = "") -> str:
    return _fill("page", title=title, body=body, head=head, look=look, style=_STYLE)


def _attributes(values: Mapping[str, object]) -> Html:
    return Html("".join(f' {name}="{html.escape(str(value))}"' for name, value in values.items() if value is not None))


def _fill(template: str, **values: object) -> Html:
    return _filled(_TEMPLATES[template], values)


def _fill_text(text: str, **values: object) -> Html:
    return _filled(Template(text), values)


def _filled(template: Template, values: Mapping[str, object]) -> Html:
    """Put the values into the template, escaped but for what is markup already."""
    safe = {name: value if isinstance(value, Html) else html.escape(str(value)) for name, value in values.items()}
    return Html(template.substitute(safe))
