"""The multipart form of a browser's upload, read as it comes in: its fields, then the file, however large."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import IO, Final
from uuid import uuid4

from werkzeug.exceptions import ClientDisconnected, RequestEntityTooLarge
from werkzeug.sansio import multipart

from infra.local.aws.errors import S3Error, invalid_argument, malformed_form, missing_field

CHUNK_BYTES: Final = 64 * 1024
FIELDS_LIMIT: Final = 20 * 1024  # bytes in front of the file
BUFFER_LIMIT: Final = 256 * 1024  # bytes of what has come in and cannot be told apart yet
# Bytes beyond the allowed size that are read and thrown away, so that the error can tell the file's real size.
DISCARD_LIMIT: Final = 64 * 1024 * 1024

_FOLDERS: Final = re.compile(r".*[/\\]", re.DOTALL)


class UploadForm:
    """The form of one request, from its body and the boundary in its content type.

    `fields` holds what stands in front of the file, by lower-case name, `${filename}` in the key replaced. Every method
    raises S3Error for a form that cannot be read.
    """

    def __init__(self, body: IO[bytes], boundary: str) -> None:
        self._parts = _parts(body, boundary.encode())
        self.fields, filename = self._read_fields()
        if "key" not in self.fields:
            raise missing_field("key")
        if filename is not None:
            self.fields["key"] = self.fields["key"].replace("${filename}", _FOLDERS.sub("", filename))
        if not self.fields["key"]:
            raise invalid_argument("User key must have a length greater than 0.", "key")

    def copy_file(self, target: IO[bytes], limit: int) -> int:
        """The size of the file, whose first `limit` bytes are written to `target`.

        Of one that is much larger, it is the size that was seen before the rest was left unread. What follows the file
        in the form is ignored, as S3 does.
        """
        size = 0
        for data in self._data():
            target.write(data[: max(0, limit - size)])
            size += len(data)
            if size > limit + DISCARD_LIMIT:
                return size
        for event in self._parts:
            if _is_file(event):
                raise _file_count(2)
        return size

    def _read_fields(self) -> tuple[dict[str, str], str | None]:
        """The fields, and the file's name if it has one; the file's content comes next."""
        fields: dict[str, str] = {}
        length = 0
        for event in self._parts:
            if _is_file(event):
                return fields, event.filename if isinstance(event, multipart.File) else None
            if isinstance(event, multipart.Field | multipart.File):
                if not event.name:
                    raise malformed_form()
                value = bytearray()
                for data in self._data():
                    length += len(data)
                    if length > FIELDS_LIMIT:
                        raise _fields_too_long()
                    value += data
                fields.setdefault(event.name.lower(), _text(value))
        raise _file_count(0)

    def _data(self) -> Iterator[bytes]:
        for event in self._parts:
            assert isinstance(event, multipart.Data)
            yield event.data
            if not event.more_data:
                return


def write_form(target: IO[bytes], fields: Mapping[str, str], copy_file: Callable[[IO[bytes]], None]) -> str:
    """Writes a form of these fields and one file; the answer is its content type."""
    boundary = uuid4().hex
    for name, value in fields.items():
        target.write(f'--{boundary}\r\nContent-Disposition: form-data; name="{_quoted(name)}"\r\n\r\n'.encode())
        target.write(value.encode() + b"\r\n")
    # A name that S3's variable stands for itself in, where the key has still got one.
    disposition = 'Content-Disposition: form-data; name="file"; filename="${filename}"'
    target.write(f"--{boundary}\r\n{disposition}\r\n\r\n".encode())
    copy_file(target)
    target.write(f"\r\n--{boundary}--\r\n".encode())
    return f"multipart/form-data; boundary={boundary}"


def _parts(body: IO[bytes], boundary: bytes) -> Iterator[multipart.Event]:
    decoder = multipart.MultipartDecoder(boundary, BUFFER_LIMIT)
    try:
        while not isinstance(event := decoder.next_event(), multipart.Epilogue):
            if isinstance(event, multipart.NeedData):
                decoder.receive_data(body.read(CHUNK_BYTES) or None)
            else:
                yield event
    except RequestEntityTooLarge:
        raise _fields_too_long() from None
    except (ValueError, ClientDisconnected):
        raise malformed_form() from None


def _is_file(event: multipart.Event) -> bool:
    return isinstance(event, multipart.Field | multipart.File) and (event.name or "").lower() == "file"


def _text(value: bytes | bytearray) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise malformed_form() from None


def _quoted(name: str) -> str:
    return name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")


def _fields_too_long() -> S3Error:
    message = "Your POST request fields preceeding the upload file was too large."  # spelt so by S3
    return S3Error(400, "MaxPostPreDataLengthExceeded", message, MaxPostPreDataLengthBytes=FIELDS_LIMIT)


def _file_count(count: int) -> S3Error:
    return invalid_argument("POST requires exactly one file upload per request.", "file", str(count))
