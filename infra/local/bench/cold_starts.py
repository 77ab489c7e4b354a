"""How long an environment takes to begin: process start to handler ready."""

import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

from infra.local.bench.figures import Figure, compared, in_turn
from infra.local.state import TOP

# httpx imports its command line where these are installed, which no artifact holds.
ONLY_HERE = "import sys; sys.modules.update(rich=None, click=None, pygments=None)"
FLOOR = "import fastapi, mangum, pydantic"
NAIVE = """
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
READY = "import os; os._exit(0)"  # what an interpreter clears away at its end does not count
STARTS = 21
FUNCTIONS = ("get_frames", "save_frames", "upload_image")


def measure() -> list[Figure]:
    """Return each function beside the bare framework, and beside a handler as one would write it at first."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "naive_handler.py").write_text(NAIVE)
        contenders = {
            "floor": FLOOR,
            "naive": f"sys.path.insert(0, {folder!r}); import naive_handler",
            **{name: f"import functions.{name}.handler" for name in FUNCTIONS},
        }
        times = in_turn({name: partial(_start, code) for name, code in contenders.items()}, STARTS)
    peers = (("floor", FLOOR), ("naive", "a handler that begins with create_client"))
    return [
        compared(f"INIT of {name}", "ms", peer, list(zip(times[name], times[key], strict=True)))
        for name in FUNCTIONS
        for key, peer in peers
    ]


def _start(code: str) -> None:
    subprocess.run([sys.executable, "-c", f"{ONLY_HERE}; {code}; {READY}"], cwd=TOP, check=True)
