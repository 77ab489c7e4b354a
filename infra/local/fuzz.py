"""Damaged files in great number, against all that decodes images and media: `make fuzz SECONDS=120`.

Each must end in an image, a clip, a soundtrack or a refusal, within 5 s and 600 MB. What does not is kept as a file.
"""

import multiprocessing
import os
import resource
import sys
import tempfile
import time
from collections import Counter
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random
from threading import Lock, Thread

from infra.local.fuzz_subjects import SUBJECTS, Subject
from shared.errors import AppError

SECONDS_PER_FILE = 5
_MEGABYTE = 1024 * 1024
PEAK_BYTES = 600 * _MEGABYTE
# A crash by want of memory beats a machine that swaps; address space is taken in larger pieces than memory.
_ADDRESS_SPACE = 4096 * _MEGABYTE


class Fuzzing:
    """Workers in processes of their own, so that a crash is noticed and survived."""

    def __init__(self, subject: Subject, seconds: float, seed: int, folder: Path) -> None:
        self._subject = subject
        self.outcomes: Counter[str] = Counter()
        self.failures: list[Path] = []
        self._end, self._seed, self._folder = time.monotonic() + seconds, seed, folder
        self._lock = Lock()

    def run(self, workers: int) -> None:
        """Feed the workers until the time is over."""
        threads = [Thread(target=self._feed, args=(Random(f"{self._seed} {number}"),)) for number in range(workers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _feed(self, random: Random) -> None:
        worker = _Worker(self._subject)
        while time.monotonic() < self._end:
            data = self._subject.damaged(random)
            outcome = worker.outcome(data)
            with self._lock:
                self.outcomes[outcome] += 1
                if is_failure(outcome):
                    self.failures.append(self._folder / f"{len(self.failures)}.bin")
                    self.failures[-1].write_bytes(data)
            if is_failure(outcome):
                worker.stop()
                worker = _Worker(self._subject)
        worker.stop()


class _Worker:
    def __init__(self, subject: Subject) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_work, args=(theirs, subject), daemon=True)
        self._process.start()
        theirs.close()
        self._pipe.recv()

    def outcome(self, data: bytes) -> str:
        """Return what became of the file; `crash`, `timeout`, `memory` and `error …` are failures."""
        try:
            self._pipe.send_bytes(data)
            if not self._pipe.poll(SECONDS_PER_FILE):
                return "timeout"
            answer: str = self._pipe.recv()
        except (EOFError, OSError):
            return "crash"
        return answer

    def stop(self) -> None:
        self._process.kill()
        self._process.join()


def is_failure(outcome: str) -> bool:
    """Tell whether an outcome is neither something made nor a refusal."""
    return outcome.startswith(("crash", "timeout", "memory", "error"))


def peak_bytes() -> int:
    """Return the most memory that this process has held at once."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text(encoding="ascii").splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _work(pipe: Connection, subject: Subject) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (_ADDRESS_SPACE, _ADDRESS_SPACE))
    # The decoders' remarks on what they meet.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())
    pipe.send("ready")
    while True:
        outcome = _outcome(subject, pipe.recv_bytes())
        pipe.send("memory" if peak_bytes() > PEAK_BYTES else outcome)


def _outcome(subject: Subject, data: bytes) -> str:
    try:
        return subject.judged(data)
    except AppError as error:
        return error.code if error.status < 500 else f"error {error.code}"
    except Exception as error:
        return f"error {type(error).__name__}"


def main() -> int:
    """Print how many files ended in what; fail where one ended badly."""
    seconds = float(os.environ.get("SECONDS", "120")) / len(SUBJECTS)
    return max(_fuzzed(subject, seconds, time.time_ns()) for subject in SUBJECTS)


def _fuzzed(subject: Subject, seconds: float, seed: int) -> int:
    fuzzing = Fuzzing(subject, seconds, seed, Path(tempfile.mkdtemp(prefix="videomaker-fuzz-")))
    print(f"Damaging {subject.name} for {seconds:g} s, seed {seed} …")
    fuzzing.run(workers=2)
    for outcome, count in fuzzing.outcomes.most_common():
        print(f"{count:8,} {outcome}")
    if fuzzing.failures:
        print(f"{len(fuzzing.failures)} failed: see {fuzzing.failures[0].parent}")
    return 1 if fuzzing.failures else 0


if __name__ == "__main__":
    sys.exit(main())
