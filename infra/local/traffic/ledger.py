"""What a client was told is safe, to be compared afterwards with what there is."""

import hashlib
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]


@dataclass
class Storyboard:
    """One session: what it may hold now, oldest first. The first was acknowledged; of the others nobody knows."""

    may_hold: list[str]
    version: int = 0


@dataclass
class Ledger:
    """Acknowledged uploads and saves, answers by status, and what was found wrong under way."""

    uploads: dict[str, str] = field(default_factory=dict)
    """The image's URL, and the name of the picture that was uploaded."""
    storyboards: dict[str, Storyboard] = field(default_factory=dict)
    videos: list[str] = field(default_factory=list)
    answers: Counter[str] = field(default_factory=Counter)
    failures: list[Json] = field(default_factory=list)
    """Bodies of all answers of 500 and above."""
    wrong: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, function: str, status: int | str, body: Json | None = None, seconds: float = 0.0) -> None:
        """Count an answer, which took so long; the status of one that never came is the name of the error."""
        with self._lock:
            self.answers[f"{function} {status}"] += 1
            if isinstance(status, int) and status >= 500:
                self.failures.append({"function": function, "status": status, **(body or {})})

    def uploaded(self, url: str, picture: str) -> None:
        """Note an acknowledged upload."""
        with self._lock:
            self.uploads[url] = picture

    def saving(self, session_id: str, content: str) -> None:
        """Note a save whose answer is still to come."""
        with self._lock:
            self.storyboards.setdefault(session_id, Storyboard([])).may_hold.append(content)

    def saved(self, session_id: str, content: str, version: int) -> None:
        """Note an acknowledged save: whatever was there before may be there no longer."""
        with self._lock:
            held = self.storyboards[session_id]
            held.may_hold, held.version = [content], version

    def refused(self, session_id: str, content: str) -> None:
        """Note a save that was refused for good, so that it must not be there."""
        with self._lock:
            self.storyboards[session_id].may_hold.remove(content)


def content_of(frames: Iterable[Json]) -> str:
    """Return a hash of what a save and a read have in common."""
    said = [(frame["description"], frame["imageUrl"].rpartition("/")[2]) for frame in frames]
    return hashlib.sha256(repr(said).encode()).hexdigest()


def compared(
    ledger: Ledger, read: Callable[[str], Json | None], image_hash: Callable[[str], str], expected: Mapping[str, str]
) -> list[str]:
    """Return what was acknowledged and is not there: `read` gives a session, `image_hash` what an address serves.

    `expected` has the hash of each picture as it is stored.
    """
    lost = [f"upload {url}" for url, picture in ledger.uploads.items() if image_hash(url) != expected[picture]]
    for session_id, held in ledger.storyboards.items():
        found = read(session_id)
        if found is None:
            if held.version:
                lost.append(f"session {session_id} of version {held.version}")
        elif held.may_hold and content_of(found["frames"]) not in held.may_hold:
            lost.append(f"save of {session_id}, version {held.version} or later, found {found['session']['version']}")
    return lost
