"""How often a caller may ask. Counted in Postgres, or in Redis where there is one: by one algorithm, with one answer.

It is GCRA, a token bucket of which only the time is kept at which it will be full again. The same in SQL, and the
limits themselves, are in infra/schema/74_rate_limits.sql.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from typing import Any, Final, Literal

from shared import cache
from shared.errors import AppError
from shared.observability import add_headers, before_answering
from shared.settings import settings
from shared.supabase_access import Access

Work = Literal["read", "write", "upload", "render"]

_SECOND: Final = 1_000_000  # times are microseconds
_LIMITS_SECONDS: Final = 60.0
# The braces let a cluster keep all of them in one place, as a script demands.
_KEY: Final = "{videomaker}:rate:"
_TAKE: Final = cache.Script("""
local present = tonumber(ARGV[1])
if present == 0 then
  local clock = redis.call('TIME')
  present = clock[1] * 1000000 + clock[2]
end
local waits, steps, allowed = {}, {}, 1
for i, key in ipairs(KEYS) do
  local amount, seconds = tonumber(ARGV[2 * i]), tonumber(ARGV[2 * i + 1])
  steps[i] = math.floor(seconds * 1000000 / amount)
  waits[i] = math.max(tonumber(redis.call('GET', key) or '0') - present, 0)
  if waits[i] + steps[i] > steps[i] * amount then allowed = 0 end
end
if allowed == 1 then
  for i, key in ipairs(KEYS) do
    waits[i] = waits[i] + steps[i]
    redis.call('SET', key, string.format('%.0f', present + waits[i]), 'PX', math.ceil(waits[i] / 1000))
  end
end
return {allowed, waits}
""")

_aside = ThreadPoolExecutor(max_workers=4, thread_name_prefix="rate-limits")


@dataclass(frozen=True, slots=True)
class Bucket:
    """One policy's limit, `amount` requests in so many `seconds`, and in how many microseconds it is full again."""

    policy: str
    amount: int
    seconds: int
    full_in: int

    @property
    def step(self) -> int:
        """After how many microseconds one more request may come."""
        return self.seconds * _SECOND // self.amount

    @property
    def remaining(self) -> int:
        """How many requests may come at once."""
        return (self.step * self.amount - self.full_in) // self.step

    @property
    def wait(self) -> int:
        """In how many microseconds the next request may come."""
        return max(0, self.full_in + self.step - self.step * self.amount)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a request is let through, and how full its caller's buckets are now."""

    allowed: bool
    buckets: Sequence[Bucket]

    def settle(self) -> None:
        """Say so in the headers of the answer; raises `rate_limited`."""
        if self.buckets:
            add_headers(self.headers())
        if not self.allowed:
            raise AppError("rate_limited", retry_after=_seconds(max(bucket.wait for bucket in self.buckets)))

    def headers(self) -> dict[str, str]:
        """Return what draft-ietf-httpapi-ratelimit-headers-10 makes of it."""
        return {
            "RateLimit-Policy": ", ".join(f'"{one.policy}";q={one.amount};w={one.seconds}' for one in self.buckets),
            "RateLimit": ", ".join(
                f'"{one.policy}";r={one.remaining};t={_seconds(one.full_in)}' for one in self.buckets
            ),
        }


class Count:
    """A request to read that is still to be counted: with what it reads, in one round trip, or before its answer."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._is_due = True

    def with_reading(self, function: str, parameters: Mapping[str, object]) -> Any:
        """Return what a database function reads that counts as well; raises as `admit` does."""
        self._is_due = False  # also where it fails: that is the answer
        found = self._access.rpc(function, parameters)
        _verdict(found["verdict"]).settle()
        return found["read"]

    def settle(self) -> None:
        """Count it by itself where nothing was read."""
        if self._is_due:
            counted_in_postgres(self._access, "read").settle()


def admit(access: Access, counted_as: Mapping[str, str], work: Work, *, with_reading: bool = False) -> Count | None:
    """Count a request; raises `rate_limited` for one too many, `invalid_api_key` for a revoked key, `quota_exceeded`
    before an upload.

    `counted_as` is what the caller's token tells the database too: the names under which each policy counts it.
    Where it reads `with_reading`, and Postgres counts, that is left to the count that is returned.
    """
    if settings().rate_limits:
        verdict = _counted_in_redis(access, counted_as, work)
        if verdict is None and with_reading:
            count = Count(access)
            before_answering(count.settle)
            return count
        if verdict is None:
            _beside_reading(work, lambda: counted_in_postgres(access, work).settle())
            return None
        verdict.settle()
    if work == "upload" or "key" in counted_as:
        _beside_reading(work, lambda: _check_caller(access, work))
    return None


def counted_in_postgres(access: Access, work: Work) -> Verdict:
    """Count a request of the caller's; raises `invalid_api_key` for a revoked one, `quota_exceeded` for an upload."""
    return _verdict(access.rpc("admit", {"p_work": work}, part="auth"))


def _verdict(found: Mapping[str, Any]) -> Verdict:
    return Verdict(found["allowed"], [Bucket(**one) for one in found["buckets"]])


def take_in_redis(wanted: Sequence[tuple[str, int, int]], now: int = 0) -> tuple[bool, list[int]] | None:
    """Take one from each of these buckets (name, amount, seconds), or from none where one has too little.

    Returns whether, and in how many microseconds each will be full; None without Redis. `now` is for tests.
    """
    keys = [_KEY + name for name, _, _ in wanted]
    answer = _TAKE.run(keys, [now, *(number for _, amount, seconds in wanted for number in (amount, seconds))])
    return None if answer is None else (answer[0] == 1, list(answer[1]))


def _counted_in_redis(access: Access, counted_as: Mapping[str, str], work: Work) -> Verdict | None:
    if not cache.is_there():
        return None
    limits = _limits.get(access)
    policies = [policy for policy in sorted(counted_as) if (policy, work) in limits]
    taken = take_in_redis([(f"{policy}:{counted_as[policy]}:{work}", *limits[policy, work]) for policy in policies])
    if taken is None:
        return None
    allowed, waits = taken
    return Verdict(
        allowed,
        [
            Bucket(f"{policy}-{work}", *limits[policy, work], full_in=wait)
            for policy, wait in zip(policies, waits, strict=True)
        ],
    )


def _check_caller(access: Access, work: Work) -> None:
    access.rpc("check_caller", {"p_work": work}, part="auth")


def _beside_reading(work: Work, ask: Callable[[], None]) -> None:
    """Ask the database. Reading does not wait for its word, which is heard before the answer goes out."""
    if work == "read":
        before_answering(_aside.submit(copy_context().run, ask).result)
    else:
        ask()


def _seconds(microseconds: int) -> int:
    return -(-microseconds // _SECOND)


class _Limits:
    """The table of limits, read again every minute."""

    def __init__(self) -> None:
        self._by_policy: dict[tuple[str, str], tuple[int, int]] = {}
        self._read = float("-inf")

    def get(self, access: Access) -> dict[tuple[str, str], tuple[int, int]]:
        if time.monotonic() - self._read > _LIMITS_SECONDS:
            rows: list[dict[str, Any]] = access.rpc("list_rate_limits", {}, part="auth")
            self._by_policy = {(row["policy"], row["work"]): (row["amount"], row["seconds"]) for row in rows}
            self._read = time.monotonic()
        return self._by_policy


_limits = _Limits()
