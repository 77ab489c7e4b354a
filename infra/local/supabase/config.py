"""The environment that the stand-in is started with."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self


@dataclass(frozen=True)
class Config:
    """Where the stand-in listens, and what it stands on."""

    port: int
    database_url: str
    auth_database_url: str
    postgrest_url: str
    keys_file: Path
    objects_dir: Path
    public_url: str

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """Raises `KeyError` for a variable that is missing."""
        return cls(
            port=int(environment["LISTEN_PORT"]),
            database_url=environment["DATABASE_URL"],
            auth_database_url=environment["AUTH_DATABASE_URL"],
            postgrest_url=environment["POSTGREST_URL"],
            keys_file=Path(environment["KEYS_FILE"]),
            objects_dir=Path(environment["OBJECTS_DIR"]),
            public_url=environment["PUBLIC_URL"].rstrip("/"),
        )
