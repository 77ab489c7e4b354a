"""Fills the database of a stack with the storyboards of many people, by SQL: what scale is measured with."""

import hashlib
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

import psycopg

from infra.local.stack import Stack

FRAMES: Final = 20  # of each session

_SCRIPT: Final = Path(__file__).with_suffix(".sql")
_CONNECTIONS: Final = 2
_CHUNKS: Final = 8
_FILLED: Final = (
    "public.video_sessions",
    "public.video_frames",
    "public.session_members",
    "public.final_videos",
    "public.video_clips",
    "public.video_templates",
    "public.video_template_versions",
    "private.session_documents",
    "private.render_usage",
    "storage.objects",
)


@dataclass(frozen=True, slots=True)
class Population:
    """So many sessions of so many users, of which person 0 has ten, person 1 about `heavy`, and the others the rest.

    `sessions` is a multiple of 20.
    """

    sessions: int
    users: int
    heavy: int


MANY: Final = Population(sessions=50_000, users=5_000, heavy=2_170)
FEW: Final = Population(sessions=100, users=5, heavy=50)


def subject_of(person: int) -> str:
    """Return the UUID that a person's access token is about."""
    return str(uuid.UUID(hashlib.md5(f"person {person}".encode(), usedforsecurity=False).hexdigest()))


def populate(stack: Stack, population: Population) -> None:
    """Write it all, with statistics, as if it had been there for long; the tables must hold no such sessions yet."""
    bounds = [population.sessions * part // _CHUNKS for part in range(_CHUNKS + 1)]
    ranges = [(low + 1, high) for low, high in pairwise(bounds)]
    with psycopg.connect(stack.superuser_url, autocommit=True) as connection:
        # It would take turns with the filling, and hold on to what VACUUM could mark as visible.
        connection.execute("alter system set autovacuum = off")
        connection.execute("select pg_reload_conf()")
        with ThreadPoolExecutor(_CONNECTIONS) as pool:
            list(pool.map(lambda one: _fill(stack, population, *one), ranges))
        # What autovacuum would have come to meanwhile: visibility, pending entries of GIN indexes, statistics.
        for table in _FILLED:
            connection.execute(f"vacuum analyze {table}")
        connection.execute("alter system reset autovacuum")
        connection.execute("select pg_reload_conf()")
        connection.execute("checkpoint")


def _fill(stack: Stack, population: Population, first: int, last: int) -> None:
    media = f"{stack.info['supabaseUrl']}/storage/v1/object/public/videomaker/"
    named = {"first": first, "last": last, "media": media}
    counts = {"sessions": population.sessions, "users": population.users, "heavy": population.heavy}
    with psycopg.connect(stack.superuser_url, cursor_factory=psycopg.ClientCursor) as connection:
        connection.execute("set session_replication_role = replica; set synchronous_commit = off")
        connection.execute(_SCRIPT.read_text(), {**named, **counts})
