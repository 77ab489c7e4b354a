"""The local stack: `python -m infra.local up | demo | invoke | logs | env | status | reset`, with STATE and PORT."""

import argparse
import shutil
import signal
import sys
from pathlib import Path
from threading import Event
from types import FrameType

from infra.local import exports, logs
from infra.local.postgres import delete_cluster
from infra.local.stack import Stack
from infra.local.state import StackError, State, default_folder, running_info

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main(arguments: list[str] | None = None) -> int:
    """Runs one command; answers the exit status."""
    parser = argparse.ArgumentParser(prog="python -m infra.local", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("up", help="run the stack until interrupted")
    commands.add_parser("demo", help="make a storyboard on a stack, and show it", add_help=False)
    invoke = commands.add_parser("invoke", help="invoke one function with the event of a file")
    invoke.add_argument("function")
    invoke.add_argument("event", help="a JSON file")
    reader = commands.add_parser("logs", help="show what a request has led to, or all that was logged")
    reader.add_argument("--request-id", help="`requestId` of an answer, or X-Request-Id as it was sent")
    reader.add_argument("--errors", action="store_true", help="only what failed")
    reader.add_argument("--json", action="store_true", help="the lines as they are")
    commands.add_parser("env", help="print the running stack's environment for a shell")
    commands.add_parser("status", help="say whether the stack runs, and where")
    commands.add_parser("reset", help="delete all that a stopped stack has stored")
    options, rest = parser.parse_known_args(arguments)
    if rest and options.command != "demo":
        parser.error(f"unknown arguments: {' '.join(rest)}")
    try:
        return _run(options, rest)
    except (StackError, PermissionError) as error:
        print(error, file=sys.stderr)
        return 1


def _run(options: argparse.Namespace, rest: list[str]) -> int:  # noqa: PLR0911  # one for each command
    match options.command:
        case "up":
            return up(default_folder())
        case "env":
            return exports.main(default_folder())
        case "status":
            return status(default_folder())
        case "reset":
            return reset(default_folder())
        case "logs":
            return logs.main(default_folder(), options.request_id, errors=options.errors, as_json=options.json)
        case "demo":
            from infra.local.demo import run as demo  # noqa: PLC0415 - what it draws with takes long to load

            return demo.main(rest)
        case _:
            from infra.local import invoke  # noqa: PLC0415 - loads the functions

            return invoke.main(options.function, options.event)


def up(folder: Path) -> int:
    """Runs the stack until SIGINT, SIGTERM or SIGHUP. Raises StackError when a part of it ends by itself."""
    for number in STOP_SIGNALS:
        signal.signal(number, _interrupt)
    try:
        with Stack(folder) as stack:
            _show(stack.info)
            print("\nCtrl-C stops it.", flush=True)
            while not _interrupted.wait(0.5):
                stack.watch()
    except KeyboardInterrupt:
        pass
    print("\nStopped.")
    return 0


def status(folder: Path) -> int:
    """Shows the running stack's addresses; answers 1 when none runs."""
    info = running_info(folder)
    if info is None:
        print(f"No stack runs on {folder}.")
        return 1
    _show(info)
    return 0


def reset(folder: Path) -> int:
    """Deletes the state folder and the database. Raises StackError while a stack runs on it."""
    if folder.exists():
        state = State(folder)
        with state.locked():
            delete_cluster(state)
            shutil.rmtree(folder)
    print(f"{folder} is deleted.")
    return 0


# An interrupt that came while a destructor or a callback ran was swallowed by it.
_interrupted = Event()


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    _interrupted.set()
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)  # what follows is the orderly stop, which has deadlines of its own
    raise KeyboardInterrupt


def _show(info: dict[str, str]) -> None:
    width = max(map(len, info))
    for name, value in info.items():
        print(f"{name:<{width}}  {value}")


if __name__ == "__main__":
    sys.exit(main())
