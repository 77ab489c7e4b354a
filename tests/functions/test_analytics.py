"""analytics: each number is that of the raw events, each user sees its own, and the page shows them to everybody."""

import csv
import io
import re
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from functions.analytics.words import dollars
from infra.local.keys import Keys
from shared.pricing import PRICES
from tests.client import Client, event, invoke
from tests.people import Claims, User

Database = psycopg.Connection[Any]

TODAY = datetime.now(UTC).date()


def put(database: Database, user: User | None, days_ago: int = 0, **columns: object) -> None:
    """Write one raw event."""
    given = {"user_id": user.subject if user else None, "kind": "request", **columns}
    given["created_at"] = datetime.now(UTC) - timedelta(days=days_ago)
    names = ", ".join(given)
    database.execute(
        f"insert into public.usage_events ({names}) values ({', '.join(['%s'] * len(given))})", list(given.values())
    )


def days_of(first: str, last: str) -> dict[str, Any]:
    return {"from": first, "to": last}


def busy(database: Database, user: User) -> None:
    """One day of everything."""
    for time in (100, 200, 300):
        put(database, user, function="upload_image", status=200, total_ms=time, db_ms=time / 10, amount=1,
            bytes_in=1000, bytes_stored=400, memory_mb=1024)  # fmt: skip
    put(database, user, function="get_frames", status=404, code="session_not_found", total_ms=5, memory_mb=1024)
    put(database, user, kind="frames", session_id="s1", amount=6)
    put(database, user, kind="clip", session_id="s1", amount=1, total_ms=2000, render_seconds=2)
    put(database, user, kind="clip", session_id="s1", amount=0, code="rendering_failed")
    put(database, user, kind="video", session_id="s1", amount=1, bytes_stored=5000, estimated_cost=0.02, cost=0.01)
    put(database, user, kind="video", session_id="s2", code="rendering_failed", estimated_cost=1, cost=0.005)
    put(database, user, kind="video", session_id="s2", code="canceled", cost=0.001)
    put(database, user, kind="share_view", session_id="s1", amount=1, bytes_out=5000)
    put(database, user, kind="batch", amount=1)


def test_a_day_is_summed_up(alice: User, bob: User, database: Database) -> None:
    busy(database, alice)
    busy(database, bob)
    answer = alice.get("analytics").json
    day = answer["days"][-1]
    assert day["day"] == str(TODAY)
    expected = {
        "requests": 4, "failures": 1, "uploads": 3, "bytesIn": 3000, "bytesStored": 6200, "bytesOut": 5000, "frames": 6,
        "batches": 1, "videos": 1, "videosFailed": 1, "renderSeconds": 2, "shareViews": 1, "uploadP50Ms": 200,
        "uploadP95Ms": 290, "dbP50Ms": 20, "dbP95Ms": 29, "renderP50Ms": 2000, "renderP95Ms": 2000,
        "estimatedCost": 0.02,
    }  # fmt: skip
    assert day["errors"] == {"rendering_failed": 2, "session_not_found": 1}
    assert {name: day[name] for name in expected} == pytest.approx(expected)
    assert day["cost"]["workers"] == pytest.approx(0.016)
    functions = 4 * PRICES["lambda_request"].dollars + 0.605 * PRICES["lambda_gb_second"].dollars
    assert day["cost"]["functions"] == pytest.approx(functions, rel=0.25)  # the processor's price
    assert day["cost"]["total"] == pytest.approx(sum(day["cost"][one] for one in day["cost"] if one != "total"))
    assert answer["totals"]["uploads"] == 3
    assert answer["budget"] == pytest.approx(100)


def test_sessions_are_told_apart(alice: User, database: Database) -> None:
    busy(database, alice)
    first, second = alice.get("analytics").json["sessions"]
    assert (first["sessionId"], first["frames"], first["videos"], first["shareViews"]) == ("s1", 6, 1, 1)
    assert (first["cost"], first["renderSeconds"], second["cost"]) == (0.01, 2, 0.006)


def test_no_day_of_the_range_is_missing(alice: User) -> None:
    days = alice.get("analytics", **days_of("2026-01-30", "2026-03-01")).json["days"]
    assert len(days) == 31
    assert [days[0]["day"], days[-1]["day"]] == ["2026-01-30", "2026-03-01"]
    assert days[3]["uploadP50Ms"] is None and days[3]["errors"] == {}
    assert len(alice.get("analytics").json["days"]) == 30


def test_what_was_rolled_up_is_what_was_counted_live(alice: User, database: Database) -> None:
    for days_ago in (0, 1, 2, 7):
        put(database, alice, days_ago, status=200, total_ms=50, amount=1, bytes_in=10, memory_mb=512)
        put(database, alice, days_ago, status=500, code="internal_error", total_ms=9, memory_mb=512)
    database.execute("delete from public.usage_daily")
    rolled = database.execute("select public.roll_up_usage(false)").fetchone()
    again = database.execute("select public.roll_up_usage(false)").fetchone()
    assert rolled and again and rolled[0]["days"] >= 8 and again[0]["days"] == 2
    days = alice.get("analytics").json["days"]
    for days_ago in (0, 1, 2, 7):
        day = days[-1 - days_ago]
        assert (day["requests"], day["failures"], day["uploads"]) == (2, 1, 1), days_ago
        assert day["errors"] == {"internal_error": 1}
    assert sum(day["requests"] for day in days) == 8


def test_an_event_that_comes_late_is_counted_by_the_next_roll_up(alice: User, database: Database) -> None:
    put(database, alice, 1, status=200, total_ms=50)
    database.execute("select public.roll_up_usage(false)")
    put(database, alice, 1, status=200, total_ms=50)
    database.execute("select public.roll_up_usage(false)")
    found = database.execute(
        "select requests from public.usage_daily where user_id = %s and day = %s",
        (alice.subject, TODAY - timedelta(days=1)),
    ).fetchone()
    assert found == (2,)


def test_raw_events_go_after_thirty_days_and_their_sums_stay(alice: User, database: Database) -> None:
    put(database, alice, 29, status=200, total_ms=50)
    database.execute("delete from public.usage_daily")
    database.execute("select public.roll_up_usage(false)")
    database.execute(
        "update public.usage_events set created_at = created_at - interval '2 days' where user_id = %s",
        (alice.subject,),
    )
    dry = database.execute("select public.roll_up_usage(true)").fetchone()
    assert dry and dry[0]["forgotten"] == 1
    database.execute("select public.roll_up_usage(false)")
    assert database.execute("select from public.usage_events where user_id = %s", (alice.subject,)).fetchall() == []
    assert alice.get("analytics").json["totals"]["requests"] == 1


def test_storage_held_is_known_at_present_and_by_day(alice: User, database: Database) -> None:
    database.execute(
        "insert into storage.objects (bucket_id, name, metadata) values ('videomaker', %s, '{\"size\": 1500000000}')",
        (f"{alice.subject}/frames/{uuid.uuid4()}.webp",),
    )
    database.execute("select public.roll_up_usage(false)")
    answer = alice.get("analytics").json
    assert answer["heldBytes"] == answer["days"][-1]["heldBytes"] == 1_500_000_000
    assert answer["days"][-1]["cost"]["storage"] == pytest.approx(1.5 * PRICES["storage_gb_month"].dollars / 30)


@pytest.fixture
def admin(keys: Keys, claims: Claims, function_environment: pytest.MonkeyPatch) -> Client:
    return Client(keys.sign(claims(app_metadata={"role": "admin"})))


def test_an_admin_sees_all_users_and_what_is_nobodys(admin: Client, alice: User, bob: User, database: Database) -> None:
    before = admin.get("analytics", scope="all").json
    busy(database, alice)
    busy(database, bob)
    put(database, None, status=401, code="invalid_token", total_ms=1)
    after = admin.get("analytics", scope="all").json
    assert after["totals"]["requests"] - before["totals"]["requests"] == 9
    told = after["totals"]["errors"]["invalid_token"] - before["totals"]["errors"].get("invalid_token", 0)
    assert told == 1
    assert after["budget"] is None
    assert admin.get("analytics").json["totals"]["requests"] == 0


@pytest.mark.parametrize("metadata", [{}, {"role": "user"}, {"role": "admin", "provider": "api_key", "key": "x"}])
def test_nobody_else_sees_all_users(metadata: dict[str, str], keys: Keys, claims: Claims, alice: User) -> None:
    pretender = Client(keys.sign(claims(app_metadata=metadata, user_metadata={"role": "admin"}, role="authenticated")))
    answer = pretender.get("analytics", scope="all")
    assert answer.status in (401, 403)
    assert alice.get("analytics", scope="all").code == "forbidden"


def test_guests_and_those_without_credentials_are_asked_to_sign_in(guest: Client) -> None:
    assert guest.get("analytics").code == "authentication_required"


@pytest.mark.parametrize(
    ("query", "path"),
    [
        ({"from": "2026-02-01", "to": "2026-01-01"}, "from"),
        ({"from": "2020-01-01", "to": "2026-01-01"}, "from"),
        ({"to": "9999-12-31"}, "to"),
        ({"to": "0001-01-01"}, "to"),
        ({"from": "yesterday"}, "from"),
        ({"scope": "everybody"}, "scope"),
        ({"format": "pdf"}, "format"),
    ],
)
def test_what_cannot_be_a_range_is_named(alice: User, query: dict[str, Any], path: str) -> None:
    answer = alice.get("analytics", **query)
    assert (answer.status, answer.json["errors"][0]["path"]) == (422, path)


def test_csv_has_a_line_for_each_day(alice: User, database: Database) -> None:
    busy(database, alice)
    answer = alice.get("analytics", format="csv")
    assert answer.headers["content-type"].startswith("text/csv")
    assert "attachment" in answer.headers["content-disposition"]
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert len(rows) == 30
    assert (rows[-1]["uploads"], rows[-1]["errors"]) == ("3", "rendering_failed=2 session_not_found=1")
    assert float(rows[-1]["costWorkers"]) == pytest.approx(0.016)


def page(user: Client, **query: object) -> str:
    answer = user.get("analytics", headers={"Accept": "text/html,*/*"}, **query)
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    return answer.text


def test_the_page_has_a_table_behind_each_plot(alice: User, database: Database) -> None:
    busy(database, alice)
    database.execute(
        "insert into storage.objects (bucket_id, name, metadata) values ('videomaker', %s, '{\"size\": 1500}')",
        (f"{alice.subject}/frames/{uuid.uuid4()}.webp",),
    )
    text = page(alice)
    figures = re.findall(r"<figure>.*?</figure>", text, re.S)
    assert len(figures) == 12
    for figure in figures:
        assert figure.count("<svg") == figure.count('role="img"') == figure.count("<desc") == 1
        assert "<details>" in figure and "<tbody><tr>" in figure
    assert "<script" not in text and " style=" not in text


def test_the_page_of_an_empty_account_says_so(alice: User) -> None:
    text = page(alice)
    assert "Nothing was used" in text
    assert "<svg" not in text


def test_what_costs_next_to_nothing_is_written_out() -> None:
    amounts = (0, 3e-7, 9e-6, 0.00041, 0.0123, 0.5, 1234.5)
    shown = ["$0.00", "under $0.000001", "$0.000009", "$0.00041", "$0.012", "$0.50", "$1,234.50"]
    assert [dollars(amount) for amount in amounts] == shown


def test_codes_are_escaped_on_the_page(alice: User, database: Database) -> None:
    put(database, alice, kind="frames", session_id="<b>bold</b>", amount=1)
    assert "<b>bold" not in page(alice)


def sign_in(key: str) -> Any:
    headers = {"content-type": "application/x-www-form-urlencoded", "accept": "text/html"}
    return invoke("analytics", event("POST", "/api/analytics", headers=headers, body=f"key={key}"))


def test_a_browser_signs_in_by_a_form(alice: User, function_environment: pytest.MonkeyPatch) -> None:
    asked = Client().get("analytics", headers={"Accept": "text/html"})
    assert asked.status == 401 and "<form" in asked.text
    answer = sign_in(alice.token or "")
    assert (answer.status, answer.headers["location"]) == (303, "?format=html")
    cookie = answer.cookies[0]
    assert "HttpOnly" in cookie and "samesite=lax" in cookie.lower()
    given = event("GET", "/api/analytics", headers={"accept": "text/html"}) | {"cookies": [cookie.partition(";")[0]]}
    shown = invoke("analytics", given)
    assert shown.status == 200 and "your account" in shown.text


def test_a_wrong_key_is_asked_for_again(alice: User) -> None:
    for wrong in ("", "nonsense", "vm_abc_def", "%C3%A9"):
        answer = sign_in(wrong)
        assert answer.status == 401 and "not valid" in answer.text
        assert not answer.cookies
