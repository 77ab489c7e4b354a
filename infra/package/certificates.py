"""The certificate authorities of certifi as OpenSSL finds them one by one: a file each, named by its subject."""

import re
from pathlib import Path
from typing import Final

from OpenSSL import crypto

FOLDER: Final = "certificates"  # where `shared.upstream` looks for it

_CERTIFICATE: Final = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----\n", re.DOTALL)


def write(bundle: str, folder: Path) -> list[str]:
    """Write each certificate of a PEM bundle into the folder, and return the names of the files."""
    folder.mkdir()
    names: list[str] = []
    for text in _CERTIFICATE.findall(bundle):
        subject = f"{crypto.load_certificate(crypto.FILETYPE_PEM, text.encode()).subject_name_hash():08x}"
        same = sum(name.startswith(f"{subject}.") for name in names)
        names.append(f"{subject}.{same}")
        (folder / names[-1]).write_text(text)
    return names
