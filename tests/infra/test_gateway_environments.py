"""One environment per concurrent invocation: reuse, isolation, limits, failures, reloading, shutdown."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psutil
import pytest

from tests.infra.gateway_functions import RunningGateway, make_task_root, running_gateway


@pytest.fixture
def task_root(tmp_path: Path) -> Path:
    return make_task_root(tmp_path)


@pytest.fixture
def gateway(task_root: Path) -> Iterator[RunningGateway]:
    with running_gateway(task_root) as running:
        yield running


def eventually(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 30
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def is_gone(pid: int) -> bool:
    """Whether a process has ended, be it that nobody has collected its status yet."""
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def all_gone(pids: Path) -> bool:
    return all(is_gone(int(pid)) for pid in pids.read_text().split())


def about(gateway: RunningGateway, name: str = "probe") -> dict[str, object]:
    response = gateway.client.get(f"/api/{name}/about")
    assert response.status_code == 200, gateway.log
    seen: dict[str, object] = response.json()
    return seen


def at_once(gateway: RunningGateway, count: int, folder: Path) -> list[httpx.Response]:
    """The answers to `count` invocations of which none ends before all have begun."""
    folder.mkdir()
    asked = {"folder": str(folder), "count": str(count)}
    with ThreadPoolExecutor(count) as pool:
        answers = [pool.submit(gateway.client.get, "/api/probe/meet", params=asked) for _ in range(count)]
        return [answer.result() for answer in answers]


def test_concurrent_invocations_never_share_an_environment(gateway: RunningGateway, tmp_path: Path) -> None:
    first = [response.json() for response in at_once(gateway, 6, tmp_path / "first")]
    assert len({answer["pid"] for answer in first}) == 6
    again = [response.json() for response in at_once(gateway, 6, tmp_path / "again")]
    assert {answer["pid"] for answer in again} == {answer["pid"] for answer in first}
    assert [answer["calls"] for answer in again] == [2] * 6
    assert not any(answer["shared"] for answer in first + again)


def test_a_warm_environment_is_used_again(gateway: RunningGateway) -> None:
    first, second = about(gateway), about(gateway)
    assert (first["pid"], first["calls"]) == (second["pid"], 1)
    assert second["calls"] == 2


def test_functions_do_not_share_environments(gateway: RunningGateway) -> None:
    assert about(gateway)["pid"] != about(gateway, "hasty")["pid"]


def test_invocations_above_the_limit_wait_their_turn(task_root: Path) -> None:
    with running_gateway(task_root, GATEWAY_FUNCTION_ENVIRONMENTS="2") as gateway, ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda _: about(gateway), range(12)))
    assert len({answer["pid"] for answer in answers}) <= 2


def test_who_waits_too_long_is_throttled(task_root: Path, tmp_path: Path) -> None:
    settings = {"GATEWAY_FUNCTION_ENVIRONMENTS": "1", "GATEWAY_WAIT_SECONDS": "0.2"}
    with running_gateway(task_root, **settings) as gateway, ThreadPoolExecutor(1) as pool:
        asked = {name: str(tmp_path / name) for name in ("started", "after", "then")}
        holder = pool.submit(gateway.client.get, "/api/probe/touch", params=asked)
        assert eventually((tmp_path / "started").exists)
        response = gateway.client.get("/api/probe/about")
        (tmp_path / "after").touch()
        assert holder.result().status_code == 200
    assert response.status_code == 429
    assert response.json()["Reason"] == "ConcurrentInvocationLimitExceeded"


def test_idle_environments_give_way_to_other_functions(task_root: Path) -> None:
    with running_gateway(task_root, GATEWAY_ENVIRONMENTS="1") as gateway:
        first = about(gateway)["pid"]
        assert isinstance(first, int)
        about(gateway, "hasty")
        assert eventually(lambda: is_gone(first))
        assert about(gateway)["calls"] == 1


def edit(path: Path, old: str, new: str, modified: int) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    os.utime(path, ns=(modified, modified))


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("functions/probe/handler.py", '"greeting": GREETING', '"greeting": "howdy" '),
        ("shared/greeting.py", "'hello'", "'howdy'"),
    ],
)
def test_changed_code_is_used_by_the_next_invocation(
    gateway: RunningGateway, task_root: Path, file: str, old: str, new: str
) -> None:
    just_now = time.time_ns() + 10**12  # however slow this machine is
    edit(task_root / file, old, old, just_now)
    assert about(gateway)["greeting"] == "hello"
    # The same length in the same second: Python's bytecode cache cannot tell the two apart.
    edit(task_root / file, old, new, just_now + 1)
    assert eventually(lambda: about(gateway)["greeting"] == "howdy")


def test_a_change_elsewhere_keeps_environments_warm(gateway: RunningGateway, task_root: Path) -> None:
    first = about(gateway)["pid"]
    (task_root / "functions" / "pets" / "handler.py").write_text("app = None\n")
    time.sleep(0.3)  # longer than versions are cached
    assert about(gateway)["pid"] == first


def test_a_changed_serverless_yml_counts_at_once(gateway: RunningGateway, task_root: Path) -> None:
    about(gateway)
    path = task_root / "serverless.yml"
    path.write_text(path.read_text().replace("memorySize: 512", "memorySize: 640"))
    context = about(gateway)["context"]
    assert isinstance(context, dict)
    assert context["memory_limit_in_mb"] == "640"


def test_a_function_that_takes_too_long_is_ended_with_all_it_started(gateway: RunningGateway, tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    response = gateway.client.get("/api/hasty/hang", params={"pids": str(pids)})
    assert (response.status_code, response.text) == (502, "Internal Server Error")
    assert eventually(lambda: all_gone(pids))
    assert about(gateway, "hasty")["calls"] == 1
    assert "timed out after 1.00 seconds" in gateway.log


def test_an_environment_that_dies_is_replaced(gateway: RunningGateway, tmp_path: Path) -> None:
    first = about(gateway)
    pids = tmp_path / "pids"
    assert gateway.client.get("/api/probe/die", params={"pids": str(pids)}).status_code == 502
    assert eventually(lambda: all_gone(pids))
    second = about(gateway)
    assert second["pid"] != first["pid"]
    assert second["calls"] == 1


def test_an_idle_environment_that_was_killed_is_replaced(gateway: RunningGateway) -> None:
    pid = about(gateway)["pid"]
    assert isinstance(pid, int)
    os.kill(pid, signal.SIGKILL)
    assert eventually(lambda: is_gone(pid))
    assert about(gateway)["pid"] != pid


def test_an_import_error_is_a_bad_gateway_until_it_is_mended(gateway: RunningGateway, task_root: Path) -> None:
    for _ in range(2):
        assert gateway.client.get("/api/broken").status_code == 502
    assert gateway.log.count("RuntimeError: broken at import") >= 2
    mended = "def handler(event, context):\n    return 'mended'\n"
    (task_root / "functions" / "broken" / "handler.py").write_text(mended)
    assert eventually(lambda: gateway.client.get("/api/broken").text == "mended")


def test_an_invocation_outlives_its_client(gateway: RunningGateway, tmp_path: Path) -> None:
    asked = {name: str(tmp_path / name) for name in ("started", "after", "then")}
    with pytest.raises(httpx.ReadTimeout):
        gateway.client.get("/api/probe/touch", params=asked, timeout=httpx.Timeout(30, read=0.2))
    assert eventually((tmp_path / "started").exists)
    (tmp_path / "after").touch()
    assert eventually((tmp_path / "then").exists)


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_no_process_is_left_after_a_stop(task_root: Path, tmp_path: Path, stop: signal.Signals) -> None:
    pids = tmp_path / "pids"
    with running_gateway(task_root) as gateway, ThreadPoolExecutor(1) as pool:
        at_once(gateway, 3, tmp_path / "meeting")
        hanging = pool.submit(gateway.client.get, "/api/probe/hang", params={"pids": str(pids)})
        assert eventually(pids.exists)
        family = psutil.Process(gateway.process.pid).children(recursive=True)
        assert len(family) >= 4
        gateway.process.send_signal(stop)
        assert gateway.process.wait(30) == 0
        hanging.exception()
    assert eventually(lambda: all(is_gone(member.pid) for member in family))
    assert "Traceback" not in gateway.log


def test_environments_end_when_the_gateway_is_killed(task_root: Path) -> None:
    with running_gateway(task_root) as gateway:
        about(gateway)
        family = psutil.Process(gateway.process.pid).children(recursive=True)
        gateway.process.kill()
        gateway.process.wait(30)
    assert eventually(lambda: all(is_gone(member.pid) for member in family))
