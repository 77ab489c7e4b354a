"""A session as a ZIP file: its data, its images and its newest video."""

import json
import secrets
import tempfile
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import IO, Any, Final

from fastapi import Response
from fastapi.responses import RedirectResponse

from shared.errors import AppError
from shared.identity import Caller
from shared.media_urls import media_path
from shared.models import MAX_FRAMES, Frame
from shared.storyboards import session_of
from shared.supabase_access import Access

# A function URL answers 6 MB at most, and Base64 takes a third more. What is larger is fetched from the media bucket.
LARGEST_BODY: Final = 4_000_000
LARGEST_EXPORT: Final = 400_000_000  # of the 512 MB that a function has for temporary files
CHUNK: Final = 1024 * 1024
ZIP: Final = "application/zip"


def exported(access: Access, caller: Caller, session_id: str) -> Response:
    """Return the ZIP file of a session, or where it can be fetched for a while; raises `session_not_found`."""
    found = access.session_with_frames(session_id, after=0, limit=MAX_FRAMES)
    if found is None:
        raise AppError("session_not_found")
    disposition = {"Content-Disposition": f'attachment; filename="storyboard-{found["id"]}.zip"'}
    with tempfile.TemporaryFile() as file:
        _write(file, found, access, caller)
        size = file.tell()
        file.seek(0)
        if size <= LARGEST_BODY:
            return Response(file.read(), media_type=ZIP, headers=disposition)
        # Nobody can guess the name, and as a file that belongs to nothing it goes after a day.
        path = f"{caller.subject}/exports/{secrets.token_hex(16)}.zip"
        access.store_stream(path, _chunks(file), ZIP, size)
    return RedirectResponse(access.urls([path]).by_path[path], 303)


def _write(file: IO[bytes], found: dict[str, Any], access: Access, caller: Caller) -> None:
    video = access.newest_video(found["session_id"])
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        names = {}
        for row in found["frames"]:
            path = row["image_path"]
            name = f"frames/{row['frame_number']:04}.{path.rpartition('.')[2]}" if path else None
            if name and _add(archive, file, access, name, path):
                names[row["frame_number"]] = name
        video_path = media_path(video["video_url"]) if video else None
        has_video = bool(video_path) and _add(archive, file, access, "video.mp4", str(video_path))
        archive.writestr("storyboard.json", _document(found, caller, names, "video.mp4" if has_video else None))


def _add(archive: zipfile.ZipFile, file: IO[bytes], access: Access, name: str, path: str) -> bool:
    """Copy a file of the bucket piece by piece; False where it is gone."""
    chunks = access.chunks(path, None)
    first = next(chunks, None)
    if first is None:
        return False
    with archive.open(name, "w", force_zip64=True) as entry:
        entry.write(first)
        for chunk in chunks:
            entry.write(chunk)
            if file.tell() > LARGEST_EXPORT:
                raise AppError("export_too_large")
    return True


def _document(found: dict[str, Any], caller: Caller, names: dict[int, str], video: str | None) -> str:
    frames = [
        Frame.model_validate(row).model_dump(by_alias=True, exclude={"image_url", "thumbnail_url"})
        | {"file": names.get(row["frame_number"])}
        for row in found["frames"]
    ]
    document = {
        "exportedAt": datetime.now(UTC).isoformat(timespec="seconds"),
        "session": session_of(found, caller).model_dump(by_alias=True),
        "frames": frames,
        "video": video,
    }
    return json.dumps(document, ensure_ascii=False, indent=2)


def _chunks(file: IO[bytes]) -> Iterator[bytes]:
    while chunk := file.read(CHUNK):
        yield chunk
