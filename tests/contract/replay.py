"""Sends the recorded requests to a stand-in and tells what it answers differently."""

import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import httpx
import psycopg
from psycopg.pq import DiagnosticField
from psycopg.pq.abc import PGresult

from infra.local.keys import Keys
from tests.contract import recording
from tests.contract.recording import Entry
from tests.contract.tokens import describe, fill_in, named_tokens

TAMPERED = (110,)  # the recording shows this token as it was before
UNRECORDED_HEADERS = {"accept-profile": "public", "content-profile": "public"}  # supabase-py sends them
BOUNDARY = "----recorded"
TRIGGER_LOG = """
create table public.contract_log (id bigint generated always as identity, entry jsonb);
grant all on public.contract_log to public;
create function public.contract_log() returns trigger language plpgsql as $$
begin
  insert into public.contract_log (entry) values (jsonb_build_object(
    'payload', jsonb_build_object(
      'type', tg_op, 'table', tg_table_name, 'schema', tg_table_schema,
      'record', case when tg_op <> 'DELETE' then to_jsonb(new) end,
      'old_record', case when tg_op <> 'INSERT' then to_jsonb(old) end),
    'session_user', session_user, 'role', current_setting('role'), 'auth_uid', auth.uid(),
    'jwt_claims', current_setting('request.jwt.claims', true),
    'storage_operation', current_setting('storage.operation', true)));
  return null;
end $$;
create trigger contract_log after insert or update or delete on storage.objects
  for each row execute function public.contract_log();
"""


@dataclass(frozen=True)
class Project:
    """A running stand-in with nothing in it yet."""

    url: str
    keys: Keys
    database_url: str
    superuser_url: str


class Replay:
    """Goes through the recording in order."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self.tokens = named_tokens(project.keys)
        self._http = httpx.Client(base_url=project.url, timeout=30)
        self._postgres = psycopg.connect(project.database_url, autocommit=True)
        self._superuser = psycopg.connect(project.superuser_url, autocommit=True)
        self._superuser.execute(TRIGGER_LOG.encode())

    def close(self) -> None:
        self._http.close()
        self._postgres.close()
        self._superuser.close()

    def send(self, method: str, path: str, key: str, content: bytes = b"", **headers: str) -> httpx.Response:
        """A request of the replay's own, which must succeed."""
        all_headers = {"authorization": f"Bearer {self.tokens[key]}"}
        all_headers |= {name.replace("_", "-"): value for name, value in headers.items()}
        response = self._http.request(method, path, headers=all_headers, content=content)
        response.raise_for_status()
        return response

    def clear_trigger_log(self) -> None:
        self._superuser.execute("truncate public.contract_log")

    def wait_for_schema(self) -> None:
        """Lets PostgREST see the tables that were made since it started."""
        self._superuser.execute("notify pgrst, 'reload schema'")
        headers = {"apikey": self.tokens["<SERVICE_KEY>"]}
        deadline = time.monotonic() + 10
        while "/notes" not in self._http.get("/rest/v1/", headers=headers).json()["paths"]:
            assert time.monotonic() < deadline, "PostgREST did not reload its schema"
            time.sleep(0.02)

    def differences(self, entry: Entry) -> list[str]:
        """What the stand-in answers differently to one entry; empty where it is the same."""
        kinds: dict[str, Callable[[Entry], list[str]]] = {
            "meta": lambda _: [],
            "sql": self._replay_sql,
            "trigger-rows": self._replay_trigger_rows,
            "exchange": self._replay_exchange,
        }
        return [f"{_title(entry)}: {line}" for line in kinds[entry.get("kind", "exchange")](entry)]

    def _replay_exchange(self, entry: Entry) -> list[str]:
        self.clear_trigger_log()
        expected = entry["response"]
        response = self._http.send(self._request(entry))
        compared = {
            "status": response.status_code,
            **{f"header {name}": self.normal(response.headers.get(name)) for name in expected["headers"]},
            "body": self._body(response, expected["body"]),
        }
        wanted = {
            "status": expected["status"],
            **{f"header {name}": value for name, value in expected["headers"].items()},
            "body": expected["body"],
        }
        return unequal(wanted, compared)

    def _request(self, entry: Entry) -> httpx.Request:
        request = entry["request"]
        headers = {name: self._filled(value) for name, value in request["headers"].items()}
        headers.pop("content-length", None)
        path = self._filled(request["path"])
        if path.startswith("/rest/") and entry["via"].startswith("supabase-py"):
            headers |= UNRECORDED_HEADERS
        if entry["n"] in TAMPERED:
            token, _, signature = path.rpartition(".")
            path = f"{token}.{'B' if signature[0] == 'A' else 'A'}{signature[1:]}"
        return self._http.build_request(request["method"], path, headers=headers, content=_content(request["body"]))

    def _body(self, response: httpx.Response, expected: object) -> object:
        if isinstance(expected, dict) and expected.keys() == {"bytes", "md5"}:
            return recording.described_bytes(response.content)
        return self.normal(response.json()) if response.content else None

    def _replay_sql(self, entry: Entry) -> list[str]:
        connection = self._superuser if entry["role"] == "super" else self._postgres
        result = connection.pgconn.exec_(entry["sql"].encode())
        error = [f"{field}: {text}" for field, text in _diagnosis(result).items()]
        answered = {"out": _loaded(self.normal(_printed(result))), "error": error}
        return unequal({"out": _loaded(entry["out"]), "error": _main_lines(entry["err"])}, answered)

    def _replay_trigger_rows(self, entry: Entry) -> list[str]:
        found = self._superuser.execute("select entry from public.contract_log order by id").fetchall()
        return unequal({"rows": entry["rows"]}, {"rows": [self.normal(row) for (row,) in found]})

    def _filled(self, text: str) -> str:
        return fill_in(text, self.tokens, self.project.keys).replace("<boundary>", BOUNDARY)

    def normal(self, value: Any) -> Any:
        """The value with what differs from run to run replaced as in the recording."""
        match value:
            case str():
                return recording.without_run(describe(value, self.tokens))
            case list():
                return [self.normal(item) for item in value]
            case dict():
                return {name: self.normal(item) for name, item in value.items()}
        return value


def _content(body: object) -> bytes | None:
    """The body that a recorded description stands for."""
    match body:
        case None:
            return None
        case str():
            return body.encode()
        case {"md5": md5}:
            return recording.file_of(md5)
        case {"multipart": parts}:
            return b"".join(map(_part, parts)) + f"--{BOUNDARY}--\r\n".encode()
    return json.dumps(body, separators=(",", ":")).encode()


def _part(part: Mapping[str, Any]) -> bytes:
    headers = "".join(f"{name}: {value}\r\n" for name, value in part["headers"].items())
    content = part["value"].encode() if "value" in part else recording.file_of(part["md5"])
    return f"--{BOUNDARY}\r\n{headers}\r\n".encode() + content + b"\r\n"


def _printed(result: PGresult) -> str:
    """Rows as `psql` prints them without decoration."""
    rows = range(result.ntuples)
    return "\n".join(
        "|".join((result.get_value(row, column) or b"").decode() for column in range(result.nfields)) for row in rows
    )


def _diagnosis(result: PGresult) -> dict[str, str]:
    fields = {"ERROR": DiagnosticField.MESSAGE_PRIMARY, "HINT": DiagnosticField.MESSAGE_HINT}
    found = {name: result.error_field(field) for name, field in fields.items()}
    return {name: value.decode() for name, value in found.items() if value}


def _main_lines(text: str) -> list[str]:
    """The message and the hint of a recorded error; where it was raised is each server's own."""
    lines = [line for line in text.splitlines() if line.startswith(("ERROR", "HINT"))]
    return [re.sub(r":\s+(\w{5}: )?", ": ", line, count=1) for line in lines]


def _loaded(text: str) -> object:
    """JSON as its value: how it is indented, and its order, differ between versions of Postgres."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _title(entry: Entry) -> str:
    return f"{entry['n']} {entry['case']}" if "n" in entry else str(entry["case"])


def unequal(expected: Mapping[str, object], actual: Mapping[str, object]) -> list[str]:
    """One description for each expected value that is another one, or absent."""
    return [
        f"{name}\n  recorded {value}\n  answered {actual.get(name)}"
        for name, value in expected.items()
        if actual.get(name) != value
    ]
