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
_STARTS: Final = 11


def measure() -> list[Figure]:
    """Return each function beside the bare framework, and three beside a handler as one would write it at first."""
    target = Target.deployed() if Target.deployed().runs_here else Target.local()
    budget = json.loads(BUDGET.read_text())
    with tempfile.TemporaryDirectory() as folder:
        contenders = _contenders(target, Path(folder))
        times = in_turn(contenders, _STARTS, cpu_of)
    functions = [name for name in contenders if name not in {"floor", *(key for key, _, _ in _NAIVES)}]
    found = [
        compared(
            f"INIT of {name}, CPU", "ms", _FLOOR, _pairs(times, name, "floor"), budget.get(name, budget["default"])
        )
        for name in functions
    ]
    return found + [
        compared(f"INIT of {name}, CPU", "ms", peer, _pairs(times, name, key), limit)
        for name in _STORYBOARD
        for key, peer, limit in _NAIVES
    ]


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


def _pairs(times: Mapping[str, list[float]], ours: str, theirs: str) -> list[tuple[float, float]]:
    return list(zip(times[ours], times[theirs], strict=True))


if __name__ == "__main__":
    print(table(measure()))
