"""Joins the clips of a video, makes its poster, preview and captions, and finishes it."""

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from fractions import Fraction
from pathlib import Path
from typing import Any, overload

from shared.deliveries import announce_pending
from shared.errors import AppError
from shared.jobs import Message, TryAgainError, consume
from shared.leases import LEASE_SECONDS, Lease, LeaseLostError, cause, held, is_final
from shared.media_urls import stored_url
from shared.observability import log, measure, observed, severity, work_for
from shared.pricing import worker_dollars
from shared.renderings import release_next
from shared.supabase_access import Access, as_service
from shared.video.captions import Cue, webvtt
from shared.video.joining import join
from shared.video.posters import POSTER_TYPE, PREVIEW_TYPE, poster, preview
from shared.video.soundtrack import fit_soundtrack
from shared.workspace import workspace

AHEAD = 4  # clips that are fetched before their turn
JOINED = 0.6  # how far it is then
MOST_BYTES = 524_288_000  # of one file in the media bucket

Row = Mapping[str, Any]


@observed("merge_clips")
def handler(event: Mapping[str, Any], context: Any) -> dict[str, Any]:
    """Merge the video of each message; one that comes again, in whatever order, changes nothing."""
    return consume(event, lambda message: _on_message(message, int(context.memory_limit_in_mb)))


def _on_message(message: Message, memory_mb: int) -> None:
    service = as_service()
    claim = {"p_video_id": message.body["videoId"], "p_worker": message.id, "p_lease_seconds": LEASE_SECONDS}
    claim["p_is_dead"] = message.is_dead
    row = service.rpc("claim_merge", claim)
    if row is None:
        log("unknown_video_ignored")
    elif row["claimed"]:
        work_for(row.get("request_id"))
        _process(service, row, memory_mb)
    elif row["busy"]:
        raise TryAgainError


def _process(service: Access, row: Row, memory_mb: int) -> None:
    started = time.perf_counter()
    claim = {"p_video_id": row["id"], "p_attempt": row["attempts"]}
    failure = None
    outcome: dict[str, Any]
    try:
        if row["given_up"]:
            raise AppError("merging_failed")
        outcome = _merged(service, row, claim)
        status = "completed"
    except LeaseLostError:
        log("merge_left_to_another")
        return
    except Exception as error:
        failure = error
        status = "failed" if row["given_up"] or is_final(error) else "merging"
        outcome = {"error": (row["given_up"] and row["error"]) or cause(error, "merging_failed")} | _bad_clip(
            row, error
        )
    seconds = time.perf_counter() - started
    measure("MergeTime", seconds)
    cost = worker_dollars(seconds, memory_mb)
    settled = service.rpc("settle_merge", claim | {"p_status": status, "p_result": outcome | {"cost": cost}})
    log("merge_settled", level=severity(failure), error=failure, status=status, settled=settled)
    if status != "merging":
        announce_pending(service)
        release_next(service, row["id"])
    if status == "merging" and failure:
        raise failure


def _bad_clip(row: Row, error: Exception) -> dict[str, Any]:
    """Return which clip must be rendered anew, and the frame that it was made from, where one is to blame."""
    number = error.extra.get("clipNumber") if isinstance(error, AppError) else None
    if not isinstance(number, int) or not isinstance(error, AppError):
        return {}
    frame = row["clips"][number - 1]["frame_number"]
    return {"bad_clip_number": number, "error": cause(error, error.code) | {"frameNumber": frame}}


def _merged(service: Access, row: Row, claim: Mapping[str, object]) -> dict[str, Any]:
    """Return where the finished files lie."""
    frames = round(row["duration_seconds"] * row["fps"])
    with workspace() as folder, held(service, "renew_merge", claim) as lease:
        sound = _soundtrack(service, row, folder, Fraction(frames, row["fps"]))
        out = folder / "out.mp4"
        with ThreadPoolExecutor(AHEAD) as fetching:
            clips = _ClipFiles(service, row["clips"], folder, fetching, lease)
            joined = join(clips, out, fps=row["fps"], soundtrack=sound)
        if joined.frames != frames:
            raise AppError("merging_failed")
        if joined.bytes > MOST_BYTES:
            raise AppError("video_too_large")
        files = _stored(service, row, out)
        lease.report(1)
    return {**files, "duration_seconds": round(joined.duration_seconds, 3), "bytes": joined.bytes}


class _ClipFiles(Sequence[Path]):
    """A video's clips as local files: each is there when its turn comes, the next are on their way, the others gone."""

    def __init__(
        self, service: Access, clips: Sequence[Row], folder: Path, fetching: ThreadPoolExecutor, lease: Lease
    ) -> None:
        self._service, self._clips, self._folder = service, clips, folder
        self._fetching, self._lease = fetching, lease
        self._files: dict[int, Future[Path]] = {}

    def __len__(self) -> int:
        return len(self._clips)

    @overload
    def __getitem__(self, place: int) -> Path: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Path]: ...
    def __getitem__(self, place: int | slice) -> Path | Sequence[Path]:
        if isinstance(place, slice):
            raise TypeError("one at a time")
        if not 0 <= place < len(self):
            raise IndexError(place)
        for behind in [one for one in self._files if one < place]:
            self._files.pop(behind).result().unlink()
        for ahead in range(place, min(place + AHEAD, len(self))):
            if ahead not in self._files:
                self._files[ahead] = self._fetching.submit(copy_context().run, self._fetch, ahead)
        self._lease.report(JOINED * place / len(self))
        return self._files[place].result()

    def _fetch(self, place: int) -> Path:
        clip, file = self._clips[place], self._folder / f"{place}.mp4"
        if not self._service.fetch(clip["video_path"], None, file):
            raise AppError("clip_missing", extra={"clipNumber": clip["clip_number"]})
        return file


def _soundtrack(service: Access, row: Row, folder: Path, seconds: Fraction) -> Path | None:
    if not row["audio_path"]:
        return None
    source, sound = folder / "sound", folder / "sound.m4a"
    if not service.fetch(row["audio_path"], None, source):
        raise AppError("upload_missing", "The soundtrack is not stored any more. Upload it again.")
    try:
        fit_soundtrack(source, sound, seconds)
    except AppError as error:
        raise AppError(error.code, "The soundtrack cannot be played. Upload it in another format.") from error
    source.unlink()
    return sound


def _stored(service: Access, row: Row, out: Path) -> dict[str, str]:
    """Store the video and what goes with it, and return their addresses. Each attempt has a folder of its own."""
    folder = f"{row['owner']}/videos/{row['video_id']}/{row['attempts']}"
    service.store_file(f"{folder}/video.mp4", out, "video/mp4")
    service.store(f"{folder}/poster.jpg", poster(out), POSTER_TYPE)
    service.store(f"{folder}/preview.webp", preview(out), PREVIEW_TYPE)
    names = {"video_url": "video.mp4", "poster_url": "poster.jpg", "preview_url": "preview.webp"}
    captions = _captions(row)
    if captions:
        service.store(f"{folder}/captions.vtt", captions.encode(), "text/vtt")
        names["captions_url"] = "captions.vtt"
    return {column: stored_url(f"{folder}/{name}") for column, name in names.items()}


def _captions(row: Row) -> str | None:
    """Return WebVTT of the captions that are not in the picture; None where none are wanted."""
    if row["options"]["captions"] == "none":
        return None
    cues = [
        Cue(clip["start_seconds"], clip["start_seconds"] + clip["duration_seconds"], clip["caption"])
        for clip in row["clips"]
        if not clip["burned"]
    ]
    return webvtt(cues) if cues else None
