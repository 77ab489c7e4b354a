"""What stands in front of moto, which checks no form and answers every origin alike.

Forms that browsers post to a bucket are checked here as S3 does; so are preflight requests. All else goes on to moto.
"""

import re
import tempfile
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from http import HTTPMethod
from typing import IO, Any

from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.moto_server.werkzeug_app import BackendRequest
from moto.s3.models import s3_backends
from moto.s3.responses import S3Response
from moto.s3.utils import bucket_name_from_url
from werkzeug.wrappers import Request, Response

from infra.local.aws.cors import CorsRule, answer_headers, preflight_headers
from infra.local.aws.errors import S3Error, malformed_form
from infra.local.aws.post_form import UploadForm, write_form
from infra.local.aws.post_policy import PostPolicy
from infra.local.aws.post_signature import Account, check_signature

Environ = dict[str, Any]
Application = Callable[[Environ, Any], Iterable[bytes]]

HEALTH = "/health"

_SERVICE = re.compile(r"Credential=[^/,]+/\d{8}/[^/,]+/([^/,]+)/aws4_request")


class Front:
    """A WSGI application; `ready` is whether `/health` says that buckets and queues are there."""

    def __init__(self, moto: Application, account: Account) -> None:
        self.ready = False
        self._moto = moto
        self._account = account

    def __call__(self, environ: Environ, start_response: Any) -> Iterable[bytes]:
        """Answers one request."""
        request = BackendRequest(environ)
        return self._application(request)(environ, start_response)

    def _application(self, request: Request) -> Application:
        if request.path == HEALTH:
            return Response("ok" if self.ready else "not ready", 200 if self.ready else 503)
        bucket, key = _bucket_and_key(request)
        if request.method == HTTPMethod.OPTIONS and bucket:
            return _preflight(request, bucket)
        if request.method == HTTPMethod.POST and bucket and not key and _is_for_s3(request):
            return self._upload(request, bucket)
        return self._moto

    def _upload(self, request: Request, bucket: str) -> Response:
        """The answer to a form that is posted to a bucket: moto's, where S3 would take it."""
        with tempfile.TemporaryFile() as body:
            try:
                content_type = self._check(request, bucket, body)
                response = self._store(request, content_type, body)
            except S3Error as error:
                response = error.response()
        response.headers.update(answer_headers(_cors(bucket), request.headers.get("Origin"), request.method))
        return response

    def _check(self, request: Request, bucket: str, target: IO[bytes]) -> str:
        """Writes a form of nothing but what S3 looks at in this one; the answer is its content type."""
        form = UploadForm(request.stream, _boundary(request))
        check_signature(form.fields, self._account)
        policy = PostPolicy.parse(form.fields["policy"])
        sizes = policy.check(form.fields | {"bucket": bucket}, datetime.now(UTC))

        def copy(file: IO[bytes]) -> None:
            sizes.check(form.copy_file(file, sizes.highest))

        return write_form(target, form.fields, copy)

    def _store(self, request: Request, content_type: str, body: IO[bytes]) -> Response:
        """moto's answer to a form that has been checked, which `body` is at the end of."""
        length = body.tell()
        body.seek(0)
        environ = {**request.environ, "wsgi.input": body, "CONTENT_TYPE": content_type, "CONTENT_LENGTH": str(length)}
        return Response.from_app(self._moto, environ, buffered=True)


def _preflight(request: Request, bucket: str) -> Response:
    origin = request.headers.get("Origin")
    method = request.headers.get("Access-Control-Request-Method", "")
    asked = request.headers.get("Access-Control-Request-Headers", "")
    try:
        return Response(status=200, headers=preflight_headers(_cors(bucket), origin, method, asked))
    except S3Error as error:
        return error.response()


def _boundary(request: Request) -> str:
    """What separates the parts of the form. Raises S3Error for a request without a form or a length."""
    if request.mimetype != "multipart/form-data":
        raise S3Error(
            412,
            "PreconditionFailed",
            "At least one of the pre-conditions you specified did not hold",
            Condition="Bucket POST must be of the enclosure-type multipart/form-data",
        )
    if request.content_length is None:
        raise S3Error(411, "MissingContentLength", "You must provide the Content-Length HTTP header.")
    boundary = request.mimetype_params.get("boundary", "")
    if not boundary:
        raise malformed_form()
    return boundary


def _bucket_and_key(request: Request) -> tuple[str, str]:
    """Both from a path like `/bucket/key`, or from a host like `bucket.localhost` and the path `/key`."""
    path = request.path.strip("/")
    if S3Response.subdomain_based_buckets(request):
        return bucket_name_from_url(request.url) or "", path
    bucket, _, key = path.partition("/")
    return bucket, key


def _is_for_s3(request: Request) -> bool:
    """Whether a POST to a bucket is an upload: no other service's call, and no deletion of many objects."""
    signed_for = _SERVICE.search(request.headers.get("Authorization", ""))
    return (signed_for is None or signed_for[1] == "s3") and "delete" not in request.args


def _cors(bucket: str) -> list[CorsRule]:
    """The rules of a bucket; none where there is no such bucket."""
    found = s3_backends[DEFAULT_ACCOUNT_ID]["aws"].buckets.get(bucket)
    return [
        CorsRule(
            origins=tuple(rule.allowed_origins or ()),
            methods=tuple(rule.allowed_methods or ()),
            headers=tuple(rule.allowed_headers or ()),
            exposed=tuple(rule.exposed_headers or ()),
            max_age=None if rule.max_age_seconds is None else int(rule.max_age_seconds),
        )
        for rule in (found.cors if found else [])
    ]
