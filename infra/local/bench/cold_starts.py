"""What it costs an environment to begin: process start to handler ready, from the artifacts, as Lambda has them.

In CPU, which is what imports take once their files are there, so that the figures hold on a busy machine too.
"""

import json
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from statistics import median
from typing import Final

from infra.local.bench.figures import Figure, compared, cpu_of, in_turn, table
from infra.package.build import artifacts
from infra.package.cache import cached
from infra.package.site import compile_tree, install
from infra.package.target import Target

BUDGET: Final = Path(__file__).parents[2] / "package" / "cold_starts.json"

_FLOOR: Final = "import fastapi, mangum, pydantic"
_NAIVE: Final = """
import os
from fastapi import FastAPI
from mangum import Mangum
from pydantic import BaseModel
from supabase import create_client
client = create_client(os.environ["SUPABASE_URL"], os.environ["SUPABASE_ANON_KEY"])
app = FastAPI()
@app.get("/")
def read(session_id: str):
    return client.table("video_sessions").select("*, video_frames(*)").eq("session_id", session_id).execute().data
handler = Mangum(app, lifespan="off")
"""
_NAIVES: Final = (
    ("bytecode", "naive handler, with create_client, compiled", 0.5),
    ("source", "the same, from source", 0.25),
)
_STORYBOARD: Final = ("get_frames", "save_frames", "upload_image")
_STARTS, _STARTS_OF_STORYBOARD = 5, 9

Times = Mapping[str, list[float]]


def measure() -> list[Figure]:
    """Return each function beside the bare framework, and three beside a handler as one would write it at first."""
    target = Target.deployed() if Target.deployed().runs_here else Target.local()
    with tempfile.TemporaryDirectory() as folder:
        contenders = _contenders(target, Path(folder))
        peers = ("floor", *(key for key, _, _ in _NAIVES))
        others = [name for name in contenders if name not in {*peers, *_STORYBOARD}]
        most = in_turn({name: contenders[name] for name in (*peers[:1], *others)}, _STARTS, cpu_of)
        times = in_turn({name: contenders[name] for name in (*peers, *_STORYBOARD)}, _STARTS_OF_STORYBOARD, cpu_of)
    return [
        *(_beside_floor(times, name) for name in _STORYBOARD),
        *(_beside_naive(times, name, *naive) for name in _STORYBOARD for naive in _NAIVES),
        *(_beside_floor(most, name) for name in others),
    ]


def _beside_floor(times: Times, name: str) -> Figure:
    budget = json.loads(BUDGET.read_text())
    limit = budget.get(name, budget["default"])
    cause = "About half of what comes on top is httpx and postgrest, which call Supabase, the rest our own modules."
    return compared(f"INIT of {name}, CPU", "ms", _FLOOR, _pairs(times, name, "floor"), limit, cause=cause)


def _beside_naive(times: Times, name: str, key: str, peer: str, limit: float) -> Figure:
    floor = median(floor / naive for floor, naive in _pairs(times, "floor", key))
    cause = f"What every function here must import, {_FLOOR.removeprefix('import ')}, is {floor:.2f} × of it alone."
    return compared(f"INIT of {name}, CPU", "ms", peer, _pairs(times, name, key), limit, cause=cause)


def _contenders(target: Target, folder: Path) -> dict[str, Callable[[], None]]:
    """Return what is started, by name: each function alone in a folder, the floor in one of theirs."""
    found: dict[str, Callable[[], None]] = {}
    runtime = cached(f"{target.name}-boto3", partial(_compiled, target, ["boto3"]))
    for artifact in artifacts(target):
        place = folder / artifact.function
        artifact.unpack(place)
        found[artifact.function] = partial(
            _start, target, place, f"import functions.{artifact.function}.handler", behind=runtime
        )
    found["floor"] = partial(_start, target, folder / "get_frames", _FLOOR)
    for key, _, _ in _NAIVES:
        place = cached(f"{target.name}-naive-{key}", partial(_naive, target, key))
        found[key] = partial(_start, target, place, "import naive_handler")
    return found


def _naive(target: Target, key: str, folder: Path) -> None:
    (folder / "naive_handler.py").write_text(_NAIVE)
    fill = _compiled if key == "bytecode" else install
    fill(target, ["supabase", "fastapi", "mangum"], folder)


def _compiled(target: Target, wanted: Iterable[str], folder: Path) -> None:
    install(target, wanted, folder)
    compile_tree(target, folder, sourceless=False)


def _start(target: Target, folder: Path, code: str, behind: Path | None = None) -> None:
    """Start a Python that has the folder, behind it what the runtime has, and nothing else; its end does not count."""
    path = [str(one) for one in (folder, behind) if one]
    program = f"import sys; sys.path[:0] = {path[:1]}; sys.path += {path[1:]}; {code}; import os; os._exit(0)"
    environment = {"PATH": os.defpath, "SUPABASE_URL": "http://127.0.0.1:9", "SUPABASE_ANON_KEY": "key"}
    subprocess.run([target.interpreter(), "-ISB", "-c", program], env=environment, check=True)


def _pairs(times: Times, ours: str, theirs: str) -> list[tuple[float, float]]:
    return list(zip(times[ours], times[theirs], strict=True))


if __name__ == "__main__":
    print(table(measure()))
