"""The errors of the storage server: every handled one answers HTTP 400 and names its intended status in the body."""

import psycopg
from psycopg import errors as postgres


class StorageError(Exception):
    """An answer of the storage server other than success.

    `status` is the intended status; `http_status` is what goes over the wire. `is_undecided` where the database was
    asked to commit, and never said whether it has.
    """

    is_undecided = False

    def __init__(
        self, status: int, code: str, message: str, *, error: str | None = None, http_status: int = 400
    ) -> None:
        super().__init__(message)
        self.http_status = http_status
        self.body = {
            "statusCode": str(status),
            "error": error or code,
            "message": message,
            "code": code,
        }


def access_denied(message: str = "Access denied") -> StorageError:
    return StorageError(403, "AccessDenied", message, error="Unauthorized")


def invalid_request(message: str) -> StorageError:
    return StorageError(400, "InvalidRequest", message, error="Error")


def no_such_bucket() -> StorageError:
    return StorageError(404, "NoSuchBucket", "Bucket not found", error="Bucket not found")


def no_such_key() -> StorageError:
    return StorageError(404, "NoSuchKey", "Object not found", error="not_found")


def duplicate(code: str) -> StorageError:
    return StorageError(409, code, "The resource already exists", error="Duplicate")


def invalid_key(key: str) -> StorageError:
    return StorageError(400, "InvalidKey", f"Invalid key: {key}")


def invalid_bucket_name() -> StorageError:
    return StorageError(400, "InvalidBucketName", "Bucket name invalid", error="Invalid Input")


def bucket_not_empty() -> StorageError:
    return StorageError(409, "ResourceNotEmpty", "The bucket you tried to delete is not empty")


def invalid_mime_type(mime_type: str) -> StorageError:
    message = f"mime type {mime_type} is not supported"
    return StorageError(415, "InvalidMimeType", message, error="invalid_mime_type")


def entity_too_large() -> StorageError:
    message = "The object exceeded the maximum allowed size"
    return StorageError(413, "EntityTooLarge", message, error="Payload too large")


def invalid_range() -> StorageError:
    return StorageError(416, "InvalidRange", "invalid range provided", error="invalid_range", http_status=416)


def invalid_jwt(message: str) -> StorageError:
    return StorageError(400, "InvalidJWT", message)


def invalid_signature() -> StorageError:
    return StorageError(400, "InvalidSignature", "Invalid signature")


def internal_error() -> StorageError:
    return StorageError(500, "InternalError", "Internal server error", http_status=500)


def from_database(error: psycopg.Error, duplicate_code: str = "KeyAlreadyExists") -> StorageError:
    """What a refused or failed statement means to the client."""
    message = str(error.diag.message_primary)
    result = StorageError(500, "DatabaseError", f"database error, code: {error.sqlstate}", http_status=500)
    match error:
        case postgres.InsufficientPrivilege():
            is_policy = "row-level security" in message
            result = access_denied("new row violates row-level security policy" if is_policy else message)
        case postgres.UniqueViolation():
            result = duplicate(duplicate_code)
        case postgres.ForeignKeyViolation():
            result = StorageError(404, "InvalidRequest", "The related resource does not exist")
        case postgres.LockNotAvailable():
            result = StorageError(423, "ResourceLocked", "The resource is locked")
        case postgres.InvalidTextRepresentation():
            result = StorageError(400, "InvalidParameter", message)
        case _ if is_connection_failure(error):
            message = "The connection to the database timed out"
            result = StorageError(544, "DatabaseTimeout", message, http_status=544)
    return result


def is_connection_failure(error: psycopg.Error) -> bool:
    """No connection could be had, it broke, or the server is shutting down or ended the statement."""
    return isinstance(error, psycopg.OperationalError) and (error.sqlstate or "08")[:2] in ("08", "57")
