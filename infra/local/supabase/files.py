"""Object bytes on disk: one file per version, below `<bucket>/<object>/`."""

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader, BufferedWriter
from pathlib import Path
from types import TracebackType
from typing import Self
from uuid import uuid4

from infra.local.supabase.errors import StorageError, entity_too_large, invalid_key


class IncomingFile:
    """A file that is being received; it vanishes unless it is kept."""

    def __init__(self, path: Path, size_limit: int | None) -> None:
        self.size = 0
        self._path = path
        self._size_limit = size_limit
        self._digest = hashlib.md5(usedforsecurity=False)
        self._file: BufferedWriter

    def __enter__(self) -> Self:
        self._file = self._path.open("xb")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._file.close()  # writes what is still held back, which a full disk refuses
        finally:
            self._path.unlink(missing_ok=True)

    def write(self, chunk: bytes) -> None:
        """Appends; raises as soon as the size limit is passed."""
        self.size += len(chunk)
        if self._size_limit is not None and self.size > self._size_limit:
            raise entity_too_large()
        self._digest.update(chunk)
        self._file.write(chunk)

    @property
    def etag(self) -> str:
        return f'"{self._digest.hexdigest()}"'

    def keep(self, target: Path) -> None:
        """Moves the file to its place in one step."""
        self._file.close()
        _make_parent(target)
        self._path.replace(target)


class FileStore:
    """The folder that holds the files of all buckets."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._incoming = root / ".incoming"

    def prepare(self) -> None:
        """Makes the folder, and forgets uploads that a crash cut off."""
        shutil.rmtree(self._incoming, ignore_errors=True)
        self._incoming.mkdir(parents=True)

    def receive(self, size_limit: int | None) -> IncomingFile:
        return IncomingFile(self._incoming / uuid4().hex, size_limit)

    def path(self, bucket: str, name: str, version: str) -> Path:
        """Where a version lies; refuses names that would lead out of the bucket's folder."""
        segments = [bucket, *name.split("/"), version]
        if not {".", "..", ".incoming"}.isdisjoint(segments) or max(len(s.encode()) for s in segments) > 255:
            raise invalid_key(name)
        return self._root.joinpath(*filter(None, segments))

    def open(self, bucket: str, name: str, version: str) -> BufferedReader:
        return self.path(bucket, name, version).open("rb")

    def copy(self, source: Path, target: Path) -> None:
        """A second name for the same bytes, which never change once they are written; else a copy."""
        _make_parent(target)
        try:
            os.link(source, target)
        except FileNotFoundError:
            raise
        except OSError:  # a file system without hard links
            shutil.copyfile(source, target)

    @contextmanager
    def removed_on_failure(self, bucket: str, name: str, version: str) -> Iterator[None]:
        """Removes a version again where its row cannot be written; a row that may be there keeps its file."""
        try:
            yield
        except BaseException as error:
            if not (isinstance(error, StorageError) and error.is_undecided):
                self.remove(bucket, name, version)
            raise

    def remove(self, bucket: str, name: str, version: str | None) -> None:
        """Removes a version; one that is gone already, or never had a file, is fine."""
        if version is not None:
            self.path(bucket, name, version).unlink(missing_ok=True)

    def remove_bucket(self, bucket: str) -> None:
        shutil.rmtree(self.path(bucket, "", ""), ignore_errors=True)


def _make_parent(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
