"""Upload bodies, raw or multipart, as a stream behind what the client declared about it."""

import base64
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import Request

from infra.local.supabase.errors import StorageError, entity_too_large

_MAX_FIELD_BYTES = 1024 * 1024


@dataclass(frozen=True)
class UploadBody:
    """The file of an upload: declared type and caching, metadata of the user's own, and the bytes, once."""

    mime_type: str
    cache_control: str
    user_metadata: dict[str, Any]
    chunks: AsyncIterator[bytes]
    declared_size: int | None = None


async def open_body(request: Request) -> UploadBody:
    """Reads as far as the file's first byte."""
    content_type = request.headers.get("content-type", "")
    if content_type.startswith("multipart/form-data"):
        return await _open_multipart(request, content_type)
    declared = request.headers.get("content-length")
    return UploadBody(
        mime_type=content_type or "application/octet-stream",
        cache_control=request.headers.get("cache-control", "no-cache"),
        user_metadata=_json_object(_decode_base64(request.headers.get("x-metadata", ""))),
        chunks=request.stream(),
        declared_size=None if declared is None else int(declared),
    )


async def _open_multipart(request: Request, content_type: str) -> UploadBody:
    form = _Form(content_type)
    stream = request.stream()
    async for chunk in stream:
        form.feed(chunk)
        if form.file_started:
            break
    if not form.file_started:
        raise _no_content()
    cache_time = form.fields.get("cacheControl", "")
    metadata = form.fields.get("metadata", form.fields.get("userMetadata", ""))
    return UploadBody(
        mime_type=form.fields.get("contentType") or form.mime_type,
        cache_control=f"max-age={cache_time}" if cache_time else "no-cache",
        user_metadata=_json_object(metadata),
        chunks=_file_chunks(form, stream),
    )


async def _file_chunks(form: "_Form", stream: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    for part in form.take():
        yield part
    async for chunk in stream:
        form.feed(chunk)
        for part in form.take():
            yield part
    if not form.file_ended:
        raise _no_content()


class _Form:
    """Collects the fields before the first file, then that file's bytes; ignores what follows."""

    def __init__(self, content_type: str) -> None:
        boundary = parse_options_header(content_type)[1].get(b"boundary")
        if not boundary:
            raise _no_content()
        self.fields: dict[str, str] = {}
        self.mime_type = "application/octet-stream"
        self.file_started = False
        self.file_ended = False
        self._header_name = self._header_value = b""
        self._headers: dict[bytes, bytes] = {}
        self._disposition: dict[bytes, bytes] = {}
        self._field = bytearray()
        self._file: list[bytes] = []
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._on_part_begin,
                "on_header_field": self._on_header_field,
                "on_header_value": self._on_header_value,
                "on_header_end": self._on_header_end,
                "on_headers_finished": self._on_headers_finished,
                "on_part_data": self._on_part_data,
                "on_part_end": self._on_part_end,
            },
        )

    def feed(self, chunk: bytes) -> None:
        try:
            self._parser.write(chunk)
        except MultipartParseError as error:
            raise _no_content() from error

    def take(self) -> list[bytes]:
        """The file's bytes since the last call."""
        parts, self._file = self._file, []
        return parts

    def _on_part_begin(self) -> None:
        self._headers = {}
        self._field = bytearray()

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def _on_header_end(self) -> None:
        self._headers[self._header_name.lower()] = self._header_value
        self._header_name = self._header_value = b""

    def _on_headers_finished(self) -> None:
        self._disposition = parse_options_header(self._headers.get(b"content-disposition"))[1]
        if b"filename" in self._disposition and not self.file_started:
            self.file_started = True
            if b"content-type" in self._headers:
                self.mime_type = parse_options_header(self._headers[b"content-type"])[0].decode("latin-1")

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        if self.file_ended:
            return
        if self.file_started:
            self._file.append(data[start:end])
            return
        self._field += data[start:end]
        if len(self._field) > _MAX_FIELD_BYTES:
            raise entity_too_large()

    def _on_part_end(self) -> None:
        if self.file_started:
            self.file_ended = True
        else:
            name = self._disposition.get(b"name", b"").decode(errors="replace")
            self.fields[name] = self._field.decode(errors="replace")


def _decode_base64(text: str) -> str:
    try:
        return base64.b64decode(text).decode()
    except ValueError:
        return ""


def _json_object(text: str) -> dict[str, Any]:
    """The object that the text holds; the real server passes over anything else in silence."""
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _no_content() -> StorageError:
    return StorageError(400, "InvalidRequest", "No content provided")
