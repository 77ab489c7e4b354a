"""Shared libraries: what they are linked to, and their bytes without what only debuggers read."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from elftools.elf.dynamic import DynamicSegment
from elftools.elf.elffile import ELFFile

MAGIC: Final = b"\x7fELF"
_MACHINES: Final = {"EM_X86_64": "x86_64", "EM_AARCH64": "arm64"}
_SECTION_TABLE: Final = ("e_shoff", "e_shnum", "e_shstrndx")


def is_library(path: Path) -> bool:
    """Tell whether a file is an ELF object, as shared libraries of Linux are."""
    with path.open("rb") as file:
        return file.read(4) == MAGIC


def machine(path: Path) -> str | None:
    """Return Lambda's name of the machine that a library is for."""
    with path.open("rb") as file:
        return _MACHINES.get(ELFFile(file)["e_machine"])


def needed(path: Path) -> list[str]:
    """Return the names of the libraries that the loader opens before this one."""
    with path.open("rb") as file:
        segments = [segment for segment in ELFFile(file).iter_segments() if isinstance(segment, DynamicSegment)]
        return [str(tag.needed) for segment in segments for tag in segment.iter_tags("DT_NEEDED")]  # type: ignore[attr-defined]


def strip(path: Path) -> None:
    """Clear what no segment maps: symbols and debug information, a tenth to a half of a library.

    `strip` of another machine's binutils is not at hand everywhere, and breaks what patchelf has moved.
    """
    data = bytearray(path.read_bytes())
    with path.open("rb") as file:
        elf = ELFFile(file)
        kept = sorted(_kept(elf))
        fields = elf.structs.Elf_Ehdr
        header = fields.parse(bytes(data[: fields.sizeof()]))
    for (_, end), (start, _) in zip(kept, [*kept[1:], (len(data), 0)], strict=True):
        if start > end:
            data[end:start] = bytes(start - end)
    for name in _SECTION_TABLE:
        header[name] = 0
    head = fields.build(header)
    data[: len(head)] = head
    del data[kept[-1][1] :]
    path.write_bytes(data)


def _kept(elf: ELFFile) -> Iterator[tuple[int, int]]:
    """Yield the parts of the file that a process has to do with, none of them inside another."""
    found = [(0, elf["e_ehsize"]), (elf["e_phoff"], elf["e_phoff"] + elf["e_phnum"] * elf["e_phentsize"])]
    found += [(one["p_offset"], one["p_offset"] + one["p_filesz"]) for one in elf.iter_segments() if one["p_filesz"]]
    reached = 0
    for start, end in sorted(found):
        if end > reached:
            yield max(start, reached), end
            reached = end
