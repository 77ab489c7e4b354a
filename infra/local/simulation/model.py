"""A deployment under load, simulated: storyboards arrive, and their requests wait for Lambda and for the database.

Service times are exponential around the measured means, arrivals are Poisson, and each pool serves in turn: the
textbook queue, so that what is found can be checked by hand.
"""

import random
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from statistics import mean, quantiles
from typing import Any

import simpy

Process = Generator[simpy.Event, Any, None]

FRAMES = 6
READS = 3
AT_ONCE = 6  # connections that a browser opens to one host


@dataclass(frozen=True)
class Cost:
    """What one invocation takes: seconds in all, and of these in the database."""

    total: float
    database: float = 0.0


@dataclass(frozen=True)
class Platform:
    """What is there at once: environments of Lambda in all and of the workers, connections of PostgREST's pool."""

    environments: int = 1000
    renderers: int = 50
    mergers: int = 10
    connections: int = 15

    def places(self) -> dict[str, int]:
        """Return how many places each pool has."""
        return {
            "Lambda": self.environments,
            "renderers": self.renderers,
            "mergers": self.mergers,
            "database": self.connections,
        }


CALLS: Mapping[str, int] = {
    "upload_image": FRAMES,
    "save_frames": 1,
    "get_frames": READS,
    "generate_video": 1,
    "render_clip": FRAMES,
    "merge_clips": 1,
}


def offered(costs: Mapping[str, Cost], per_minute: float) -> dict[str, float]:
    """Return how many places of each pool storyboards at this rate would keep busy, if there were enough of them."""
    a_second = per_minute / 60
    work = {name: calls * max(costs[name].total, costs[name].database) for name, calls in CALLS.items()}
    return {
        "Lambda": a_second * sum(work.values()),
        "renderers": a_second * work["render_clip"],
        "mergers": a_second * work["merge_clips"],
        "database": a_second * sum(calls * costs[name].database for name, calls in CALLS.items()),
    }


@dataclass
class Pool:
    """So many places, and how busy they were."""

    places: simpy.Resource
    busy: float = 0.0
    """Seconds that places were taken for, all together."""
    most: int = 0

    def utilisation(self, seconds: float) -> float:
        """Return which share of its places was taken over this time."""
        return self.busy / (seconds * self.places.capacity)


@dataclass(frozen=True)
class Outcome:
    """What became of the storyboards of one simulated stretch of time; all times are seconds."""

    per_minute: float
    begun: int
    finished: int
    upload_p95: float
    save_p95: float
    video_p50: float
    video_p95: float
    utilisation: Mapping[str, float]
    most_environments: int
    waiting: int
    """Clips that had not begun when the last storyboard came."""


class Simulation:
    """One stretch of time at one rate of arrivals."""

    def __init__(
        self, costs: Mapping[str, Cost], platform: Platform, per_minute: float, minutes: float, seed: int
    ) -> None:
        self._costs = costs
        self._per_minute = per_minute
        self._seconds = minutes * 60
        self._chance = random.Random(seed)
        self._clock = simpy.Environment()
        self._pools = {name: Pool(simpy.Resource(self._clock, places)) for name, places in platform.places().items()}
        self._begun = self._waiting = 0
        self._uploads: list[float] = []
        self._saves: list[float] = []
        self._videos: list[float] = []

    def run(self) -> Outcome:
        """Let storyboards arrive for the whole time, and go on until they are through, or for nine times as long."""
        self._clock.process(self._arrivals())
        self._clock.run(until=self._seconds)
        utilisation = {name: pool.utilisation(self._seconds) for name, pool in self._pools.items()}
        waiting = len(self._pools["renderers"].places.queue)
        self._clock.run(until=self._seconds * 10)
        return Outcome(
            per_minute=self._per_minute,
            begun=self._begun,
            finished=len(self._videos),
            upload_p95=_percentile(self._uploads, 95),
            save_p95=_percentile(self._saves, 95),
            video_p50=_percentile(self._videos, 50),
            video_p95=_percentile(self._videos, 95),
            utilisation=utilisation,
            most_environments=self._pools["Lambda"].most,
            waiting=waiting,
        )

    def _arrivals(self) -> Process:
        while True:
            yield self._clock.timeout(self._chance.expovariate(self._per_minute / 60))
            if self._clock.now >= self._seconds:
                return
            self._begun += 1
            self._clock.process(self._storyboard())

    def _storyboard(self) -> Process:
        connections = simpy.Resource(self._clock, AT_ONCE)
        yield self._clock.all_of([self._clock.process(self._upload(connections)) for _ in range(FRAMES)])
        started = self._clock.now
        yield self._clock.process(self._invoke("save_frames"))
        self._saves.append(self._clock.now - started)
        for _ in range(READS):
            yield self._clock.process(self._invoke("get_frames"))
        started = self._clock.now
        yield self._clock.process(self._invoke("generate_video"))
        yield self._clock.all_of([self._clock.process(self._invoke("render_clip", "renderers")) for _ in range(FRAMES)])
        yield self._clock.process(self._invoke("merge_clips", "mergers"))
        self._videos.append(self._clock.now - started)

    def _upload(self, connections: simpy.Resource) -> Process:
        with connections.request() as free:
            yield free
            started = self._clock.now
            yield self._clock.process(self._invoke("upload_image"))
            self._uploads.append(self._clock.now - started)

    def _invoke(self, function: str, workers: str | None = None) -> Process:
        """Take an environment, within the function's own limit, for as long as its work and its database take."""
        cost = self._costs[function]
        if workers:
            yield from self._within(workers, self._within("Lambda", self._work(cost)))
        else:
            yield from self._within("Lambda", self._work(cost))

    def _work(self, cost: Cost) -> Process:
        yield self._clock.timeout(self._taking(cost.total - cost.database))
        yield from self._within("database", self._pass(self._taking(cost.database)))

    def _pass(self, seconds: float) -> Process:
        yield self._clock.timeout(seconds)

    def _within(self, name: str, work: Process) -> Process:
        pool = self._pools[name]
        with pool.places.request() as place:
            yield place
            begun = self._clock.now
            pool.most = max(pool.most, pool.places.count)
            try:
                yield from work
            finally:
                end = min(self._clock.now, self._seconds)
                pool.busy += max(0.0, end - min(begun, self._seconds))

    def _taking(self, mean_seconds: float) -> float:
        return self._chance.expovariate(1 / mean_seconds) if mean_seconds > 0 else 0.0


def _percentile(values: list[float], percent: int) -> float:
    if len(values) < 2:
        return mean(values) if values else 0.0
    return quantiles(values, n=100)[percent - 1]
