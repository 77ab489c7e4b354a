"""What a function URL answers when the function did not.

GatewayError
├── PayloadTooLargeError  413  the event is larger than Lambda accepts; the function was not invoked
├── ThrottledError        429  every environment was busy for too long; the function was not invoked
└── FunctionFailedError   502  the function raised, timed out, died, or returned what is no HTTP response
"""

import json

PAYLOAD_LIMIT = 6_291_556  # bytes of JSON that a synchronous invocation may take or return


class GatewayError(Exception):
    """An answer of the function URL itself: `status`, `error_type` (header `x-amzn-ErrorType`), `body`."""

    status: int
    error_type: str
    body: str


class PayloadTooLargeError(GatewayError):
    """The event has more than `PAYLOAD_LIMIT` bytes."""

    status = 413
    error_type = "RequestEntityTooLargeException"
    body = json.dumps(
        {"Message": f"Request must be smaller than {PAYLOAD_LIMIT} bytes for the InvokeFunction operation"}
    )


class ThrottledError(GatewayError):
    """No environment became free in time."""

    status = 429
    error_type = "TooManyRequestsException"
    body = json.dumps({"Reason": "ConcurrentInvocationLimitExceeded", "Type": "User", "message": "Rate Exceeded."})


class FunctionFailedError(GatewayError):
    """The function gave no usable result; the message says why, and is for the log only."""

    status = 502
    error_type = "InternalFailure"
    body = "Internal Server Error"
