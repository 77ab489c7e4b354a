"""S3's errors: the codes, messages and elements that its clients know.

https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html; where S3's answers differ from that table (a failed
condition is 403 AccessDenied, a missing field InvalidArgument), its answers count.
"""

from uuid import uuid4
from xml.sax.saxutils import escape

from werkzeug.wrappers import Response


class S3Error(Exception):
    """A refusal: HTTP status, S3's code and message, and the further elements of its XML body."""

    def __init__(self, status: int, code: str, message: str, **elements: object) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.elements = elements

    def response(self) -> Response:
        """The error as S3 sends it."""
        request_id = uuid4().hex[:16].upper()
        elements = {"Code": self.code, "Message": self.message, **self.elements, "RequestId": request_id, "HostId": ""}
        content = "".join(f"<{name}>{_xml(value)}</{name}>" for name, value in elements.items())
        body = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error>{content}</Error>'
        return Response(body, self.status, {"x-amz-request-id": request_id}, content_type="application/xml")


def access_denied(message: str = "Access Denied") -> S3Error:
    """The request is understood, and not allowed."""
    return S3Error(403, "AccessDenied", message)


def violates_policy(reason: str) -> S3Error:
    """The form is not what its policy allows."""
    return access_denied(f"Invalid according to Policy: {reason}")


def invalid_policy(reason: str) -> S3Error:
    """The policy itself is not one."""
    return S3Error(400, "InvalidPolicyDocument", f"Invalid Policy: {reason}")


def invalid_argument(message: str, name: str, value: str = "", **elements: object) -> S3Error:
    """The field of this name cannot be used."""
    return S3Error(400, "InvalidArgument", message, ArgumentName=name, ArgumentValue=value, **elements)


def missing_field(name: str) -> S3Error:
    """The form lacks a field, or has it behind the file."""
    order = "If it is specified, please check the order of the fields."
    return invalid_argument(f"Bucket POST must contain a field named '{name}'.  {order}", name)


def malformed_form() -> S3Error:
    """The body cannot be read as a form."""
    message = "The body of your POST request is not well-formed multipart/form-data."
    return S3Error(400, "MalformedPOSTRequest", message)


def _xml(value: object) -> str:
    """Text for XML, without the control characters that it cannot hold."""
    return escape("".join(character for character in str(value) if character >= " " or character in "\t\r\n"))
