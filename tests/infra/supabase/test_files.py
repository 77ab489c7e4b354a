"""The files of the Storage stand-in, without the rows that name them."""

from pathlib import Path

import pytest

from infra.local.supabase.files import FileStore
from tests.limited_disk import limited_disk


@pytest.mark.parametrize("chunks", [[bytes(100)], [bytes(100)] * 100, [bytes(5000), bytes(60_000)]])
def test_what_does_not_fit_on_the_disk_leaves_nothing_there(tmp_path: Path, chunks: list[bytes]) -> None:
    with limited_disk(tmp_path, megabytes=1) as disk:
        files = FileStore(disk.folder / "objects")
        files.prepare()
        target = files.path("bucket", "name", "version")
        with disk.full(), pytest.raises(OSError, match="No space left"), files.receive(None) as incoming:
            for chunk in chunks:
                incoming.write(chunk)
            incoming.keep(target)
        assert [path for path in disk.folder.rglob("*") if path.is_file()] == []
