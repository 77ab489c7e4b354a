"""The process of one environment: imports a handler, then gives it one event after the other."""

import importlib
import json
import os
import socket
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from typing import Any

from infra.local.gateway import channel
from infra.local.gateway.configuration import Function
from infra.local.gateway.context import LambdaContext
from infra.local.gateway.errors import PAYLOAD_LIMIT

Handler = Callable[[Any, LambdaContext], Any]


def run(
    function: Function,
    variables: Mapping[str, str],
    gateway: socket.socket,
    log: "Connection[bytes, bytes]",
    cache_bytecode: bool,
) -> None:
    """Serve `function` until the gateway closes its end of the socket; output goes to `log`."""
    os.setsid()  # so that what the handler started ends with it
    _redirect_output(log)
    enter_task_root(variables)
    sys.dont_write_bytecode |= not cache_bytecode
    try:
        handler = load_handler(function)
    except Exception as error:
        traceback.print_exc()
        gateway.sendall(channel.pack(channel.FAILURE, f"init error: {error!r}".encode()))
        return
    gateway.sendall(channel.pack(channel.READY))
    while (message := channel.receive(gateway)) is not None:
        about = json.loads(message[1])
        event = channel.receive(gateway)
        if event is None:
            return
        os.environ["_X_AMZN_TRACE_ID"] = about["traceId"]
        context = LambdaContext(function, about["requestId"])
        gateway.sendall(channel.pack(*_invoke(handler, event[1], context)))


def enter_task_root(variables: Mapping[str, str]) -> None:
    """Give this process an environment's variables, working directory and import path."""
    os.environ.update(variables)
    time.tzset()
    root = variables["LAMBDA_TASK_ROOT"]
    os.chdir(root)
    sys.path.insert(0, root)


def load_handler(function: Function) -> Handler:
    """The function's handler, its module imported; whatever the import raises goes through."""
    handler: Handler = getattr(importlib.import_module(function.module), function.handler.rpartition(".")[2])
    return handler


def _invoke(handler: Handler, event: bytes, context: LambdaContext) -> channel.Message:
    try:
        result = json.dumps(handler(json.loads(event), context), ensure_ascii=False).encode()
    except Exception as error:
        traceback.print_exc()
        return channel.FAILURE, f"{type(error).__name__} raised".encode()
    if len(result) > PAYLOAD_LIMIT:
        return channel.FAILURE, f"the result has {len(result)} bytes, Lambda takes {PAYLOAD_LIMIT}".encode()
    return channel.RESULT, result


def _redirect_output(log: "Connection[bytes, bytes]") -> None:
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
        os.dup2(log.fileno(), stream.fileno())
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    log.close()
