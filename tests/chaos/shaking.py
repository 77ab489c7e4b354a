"""A stack that can be shaken, people who work on it meanwhile, and what must hold afterwards."""

import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import psycopg

from functions.maintenance.handler import handler as maintenance
from infra.local.stack import Stack
from infra.local.traffic.checking import lost, stored_hashes
from infra.local.traffic.ledger import Json, Ledger
from infra.local.traffic.visits import Person
from shared.errors import AppError
from tests.client import run_handler
from tests.faults import Fault, FaultyUpstream
from tests.running_redis import Redis

Failing = Callable[[], AbstractContextManager[None]]
UNDERSTOOD = {"200", "202", "409", "502", "503"}  # 502 is what Lambda answers for an environment that has died


class ShakenStack(Stack):
    """A stack whose functions reach Supabase through a proxy that fails on demand."""

    upstream: FaultyUpstream | None = None
    more: Mapping[str, str] = {}
    """What the functions find in their environment besides."""

    def function_environment(self) -> dict[str, str]:
        found = super().function_environment()
        if self.upstream is None:
            self.upstream = FaultyUpstream(found["SUPABASE_URL"])
        issuer = f"{found['SUPABASE_URL']}/auth/v1"
        return found | {"SUPABASE_URL": self.upstream.url, "SUPABASE_JWT_ISSUER": issuer, **self.more}

    def faults(self, redis: Redis, chance: random.Random) -> dict[str, Failing]:
        """Return what can fail, by its name: contexts that it fails within."""
        upstream = self.upstream
        assert upstream

        def failing(prefix: str, fault: Fault, every: int) -> AbstractContextManager[None]:
            return _while_failing(upstream, prefix, fault, every)

        return {
            "PostgreSQL stopped": lambda: _stopped(self, "postgres"),
            "PostgREST killed": lambda: _stopped(self, "postgrest"),
            "storage answers 500": lambda: failing("/storage/", "error_500", 1),
            "storage cut off in the body": lambda: failing("/storage/", "cut_in_body", 2),
            "storage slow": lambda: _frozen(self, "supabase"),
            "answers of storage lost": lambda: failing("/storage/", "refuse_after", 2),
            "answers of the database lost": lambda: failing("/rest/", "refuse_after", 2),
            "database answers 500": lambda: failing("/rest/", "error_500", 2),
            "Redis gone": lambda: _without(redis),
            "queues gone": lambda: _stopped(self, "aws"),
            "workers killed": lambda: _workers_killed(self, chance),
        }


@contextmanager
def _stopped(stack: Stack, child: str) -> Iterator[None]:
    stack.stop_child(child)
    try:
        yield
    finally:
        stack.start_child(child)


@contextmanager
def _frozen(stack: Stack, child: str) -> Iterator[None]:
    stack.pause_child(child)
    try:
        yield
    finally:
        stack.resume_child(child)


@contextmanager
def _while_failing(upstream: FaultyUpstream, prefix: str, fault: Fault, every: int) -> Iterator[None]:
    with upstream.failing(prefix, fault, every=every):
        yield


@contextmanager
def _without(redis: Redis) -> Iterator[None]:
    redis.stop()
    try:
        yield
    finally:
        redis.start()


@contextmanager
def _workers_killed(stack: Stack, chance: random.Random) -> Iterator[None]:
    """Kill some of the environments that functions run in, in the middle of whatever they do."""
    gateway = psutil.Process(stack.pid_of("gateway"))
    for _ in range(4):
        # The gateway's one child with children forks them.
        environments = [one for child in gateway.children() for one in child.children()]
        if environments:
            with suppress(ProcessLookupError):
                os.kill(chance.choice(environments).pid, signal.SIGKILL)
        time.sleep(0.3)
    yield


class Traffic:
    """People at work, each in a thread, until they are told to stop."""

    def __init__(self, stack: Stack, people: int, seed: int) -> None:
        self.ledger = Ledger()
        self.tokens = [stack.access_token() for _ in range(people)]
        self._stack = stack
        self._url = stack.info["apiUrl"]
        self._ended = threading.Event()
        self._expected = stored_hashes(stack)
        self._threads = [
            threading.Thread(target=self._work, args=(token, random.Random(seed + number)))
            for number, token in enumerate(self.tokens)
        ]
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        """Let everybody finish what is under way."""
        self._ended.set()
        for thread in self._threads:
            thread.join(60)

    def lost(self) -> list[str]:
        """Return what was acknowledged and is not there."""
        return lost(self._stack, self.tokens, self.ledger, self._expected)

    def _work(self, token: str, chance: random.Random) -> None:
        person = Person(self._url, token, self.ledger, chance)
        while not self._ended.is_set():
            try:
                person.act()
            except Exception as error:  # a thread's own would be lost
                self.ledger.wrong.append(repr(error))
                raise


def broken_promises(stack: Stack, traffic: Traffic) -> dict[str, list[Any]]:
    """Let all that was begun end, and return what does not hold after all, by its kind: nothing, it is hoped."""
    settle(stack)
    ledger = traffic.ledger
    statuses = {one.rpartition(" ")[2] for one in ledger.answers}
    found = {
        "read otherwise than saved": ledger.wrong,
        "lost": traffic.lost(),
        "stuck": stuck(stack),
        "orphans": orphans_left(stack),
        "damaged": damaged(stack),
        "not in the log": unlogged(stack, ledger),
        "not understood": sorted(statuses - UNDERSTOOD),
    }
    return {kind: these for kind, these in found.items() if these}


def told(seed: int, ledger: Ledger, faults: Counter[str]) -> str:
    """Return in words what went on."""
    answers = ", ".join(f"{what}: {count}" for what, count in sorted(ledger.answers.items()))
    return (
        f"SEED={seed}: {len(ledger.uploads)} uploads, {len(ledger.storyboards)} storyboards and {len(ledger.videos)}"
        f" videos acknowledged during {faults.total()} faults.\n{answers}"
    )


def settle(stack: Stack, seconds: float = 90) -> None:
    """Run the upkeep, as its schedule does, until every video has ended."""
    deadline = time.monotonic() + seconds
    _maintain(deadline)
    while stuck(stack) and time.monotonic() < deadline:
        with psycopg.connect(stack.superuser_url, autocommit=True) as connection:
            connection.execute("set session_replication_role = replica")
            for table in ("final_videos", "video_clips"):
                connection.execute(  # the upkeep leaves alone what has moved lately
                    f"update public.{table} set updated_at = now() - interval '1 hour',"
                    " leased_until = least(leased_until, now() + interval '5 seconds')"
                    " where status in ('queued', 'rendering', 'merging')"
                )
        _maintain(deadline)
        time.sleep(3)


def _maintain(deadline: float) -> None:
    """Run the upkeep; again where that fails, as its schedule does: PostgREST may have come back only now."""
    while True:
        try:
            run_handler(maintenance, {})
        except AppError:
            if time.monotonic() > deadline:
                raise
            time.sleep(1)
        else:
            return


def stuck(stack: Stack) -> list[Any]:
    """Return the videos that have not ended."""
    with psycopg.connect(stack.superuser_url, autocommit=True) as connection:
        return connection.execute(
            "select id, status, progress, updated_at from public.final_videos"
            " where status not in ('completed', 'failed', 'canceled')"
        ).fetchall()


def orphans_left(stack: Stack) -> list[Any]:
    """Return files that no row names, after an upkeep that takes every file for old."""
    with psycopg.connect(stack.superuser_url, autocommit=True) as connection:
        connection.execute("update storage.objects set created_at = now() - interval '3 days'")
        run_handler(maintenance, {})
        return connection.execute("select name from public.orphaned_files('0 seconds', '', 1000)").fetchall()


def damaged(stack: Stack) -> list[Any]:
    """Return objects of Storage whose file is not there as it was received, and files that were received in part."""
    objects = Path(stack.folder) / "objects"
    with psycopg.connect(stack.superuser_url) as connection:
        rows = connection.execute(
            "select bucket_id || '/' || name || '/' || version, (metadata ->> 'size')::integer from storage.objects"
        ).fetchall()
    stored = {path: (objects / path).stat().st_size if (objects / path).exists() else None for path, _ in rows}
    return [*dict(rows).items() - stored.items(), *(objects / ".incoming").iterdir()]


def unlogged(stack: Stack, ledger: Ledger) -> list[Json]:
    """Return answers of 500 and above whose `requestId` is not in the log, or that have none."""
    logged = (Path(stack.folder) / "logs" / "functions.jsonl").read_text(errors="replace")
    return [one for one in ledger.failures if not one.get("requestId") or one["requestId"] not in logged]
