"""Each database function that our functions call, and each table that they ask, goes by index where it is large."""

import ast
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.infra.access import Database
from tests.infra.large_database import NAMES, md5, scans, work
from tests.infra.test_query_plans import CALLS

TOP = Path(__file__).parents[2]


def hashed(algorithm: str, text: str) -> str:
    return hashlib.new(algorithm, text.encode()).hexdigest()


KEY = "left(md5('k300'), 12)"
VIDEO = "(select v.video_id from public.final_videos v where v.session_id = %(own)s)"
VIDEO_ID = "(select v.id from public.final_videos v where v.session_id = %(own)s)"
CLIP_ID = "(select c.id from public.video_clips c where c.session_id = %(own)s order by c.clip_number limit 1)"
INVITED = """(select m.member_id from public.session_members m
    where m.email = 'u0@example.com' and m.status = 'invited' limit 1)"""
MEMBER = "(select m.member_id from public.session_members m where m.session_id = %(lent)s)"
ENDPOINT, DELIVERY, UPLOAD, BATCH = (f"'{md5(name)}'" for name in ("e5000", "d5000", "f300", "b300"))
TEMPLATE = "md5('t300')"
RECIPE = '[{"clip_number": 1, "frame_number": 1, "start_seconds": 0, "duration_seconds": 5, "cost": 0.1, "recipe": {}}]'
LOOK = '{"width": 1280, "height": 720, "fps": 30, "duration_seconds": 5, "estimated_cost": 0.1, "options": {}}'
LOOKS = '{"name": "n", "description": "", "video": {}, "storyboard": {}, "fields": {}}'

# What callers have sent, as the person with number 0. Those of CALLS are held by the tests beside this one.
BY_CALLERS = {
    "accept_invitation": f"select public.accept_invitation({INVITED})",
    "admit": "select public.admit('upload')",
    "announce_uploads":
        """select public.announce_uploads('[{"kind": "frame", "content_type": "image/png", "bytes": 1}]')""",
    "cancel_batch": f"select public.cancel_batch({BATCH})",
    "cancel_video": f"select public.cancel_video({VIDEO})",
    "change_member": f"select public.change_member({MEMBER}, 'editor')",
    "check_caller": "select public.check_caller('upload')",
    "create_share":
        "select public.create_share("
        " jsonb_build_object('session_id', %(own)s::text, 'token_hash', repeat('a', 64)), 'n')",
    "create_template": f"select public.create_template('{LOOKS}')",
    "create_webhook_endpoint":
        "select public.create_webhook_endpoint('https://example.com/', '{video.completed}', null, 'key', 'hash')",
    "delete_template": f"select public.delete_template({TEMPLATE})",
    "delete_webhook_endpoint": f"select public.delete_webhook_endpoint({ENDPOINT})",
    "erase_session": "select public.erase_session(%(own)s)",
    "find_template": f"select public.find_template({TEMPLATE}, 1)",
    "history, searched": "select public.list_history('all', '{}', 20, 'boat7')",
    "history, searched, behind": "select public.list_history('all', '{}', 20, 'plans', null, 0.05, 900000000)",
    "history, filtered": """select public.list_history('shared', '{"style": "none"}', 20)""",
    "history, behind": "select public.list_history('own', '{}', 20, null, now() - interval '5 hours', null, 900000000)",
    "issue_api_key": "select public.issue_api_key('abcdefghijkl', repeat('a', 64), 'n', '{read}')",
    "list_api_keys": "select public.list_api_keys(20, 900000000)",
    "list_batches": "select public.list_batches(900000000, 20)",
    "list_rate_limits": "select public.list_rate_limits()",
    "list_shares": "select public.list_shares(%(own)s, 900000000, 20)",
    "list_templates": "select public.list_templates(true, 1, 20)",
    "list_webhook_endpoints": "select public.list_webhook_endpoints(900000000, 20)",
    "ping_webhook_endpoint": f"select public.ping_webhook_endpoint({ENDPOINT})",
    "read_batch": f"select public.read_batch({BATCH})",
    "read_storyboards": "select public.read_storyboards(array[%(own)s, %(shared)s])",
    "redeliver_webhook": f"select public.redeliver_webhook('{md5('d10000')}')",
    "remove_member": f"select public.remove_member({MEMBER})",
    "replace_template":
        f"select public.replace_template({TEMPLATE}, '{LOOKS}', 1)",
    "revoke_api_key": f"select public.revoke_api_key({KEY})",
    "revoke_share": f"select public.revoke_share('{md5('l5')}')",
    "rotate_webhook_secret": f"select public.rotate_webhook_secret({ENDPOINT}, 24)",
    "save_clips":
        """select public.save_clips(%(own)s, '[{"frame_number": 1, "path": null, "provider": null}]')""",
    "start_batch":
        f"select public.start_batch('{{}}', jsonb_build_array(jsonb_build_object('number', 1, 'version', 1,"
        f" 'session_id', %(own)s::text, 'video', '{LOOK}'::jsonb, 'clips', '{RECIPE}'::jsonb)))",
    "start_video": f"select public.start_video(%(own)s, 1, '{LOOK}', '{RECIPE}')",
    "templates_stamp": "select public.templates_stamp()",
    "update_webhook_endpoint": f"""select public.update_webhook_endpoint({ENDPOINT}, '{{"enabled": false}}')""",
    "webhook_log": f"select public.webhook_log({ENDPOINT}, null, 900000000, 20)",
    "webhook_log, of a video": f"select public.webhook_log(null, {VIDEO}, null, 20)",
    "usage_report": "select public.usage_report(current_date - 29, current_date)",
    "a video": f"select * from public.final_videos where video_id = {VIDEO}",
    "the newest video":
        "select * from public.final_videos where session_id = %(own)s and status = 'completed' order by id desc",
    "an upload": f"select * from public.uploads where id = {UPLOAD}",
}  # fmt: skip
# What workers have sent.
BY_SERVICE = {
    "announce_deliveries": "select public.announce_deliveries(100)",
    "announce_objects_again": "select public.announce_objects_again(200)",
    "record_maintenance": "select public.record_maintenance('{}', 1)",
    "claim_clip": f"select public.claim_clip({CLIP_ID}, 'worker', 60)",
    "claim_delivery": f"select public.claim_delivery({DELIVERY}, 'worker', 60)",
    "claim_merge": f"select public.claim_merge({VIDEO_ID}, 'worker', 60)",
    "claim_upload": f"select public.claim_upload({UPLOAD}, 'worker', 60)",
    "expire_uploads": "select public.expire_uploads(false)",
    "lost_renderings": "select public.lost_renderings(interval '1 hour')",
    "record_storage_upload": "select public.record_storage_upload('u', 'o', 1, 'image/png', 'ready')",
    "release_next": f"select public.release_next({VIDEO_ID})",
    "release_stalled": "select public.release_stalled()",
    "renew_clip": f"select public.renew_clip({CLIP_ID}, 1, 0.5, 60)",
    "renew_merge": f"select public.renew_merge({VIDEO_ID}, 1, 0.5, 60)",
    "settle_announcement": f"select public.settle_announcement({UPLOAD}, 'v')",
    "settle_clip": f"select public.settle_clip({CLIP_ID}, 1, 'completed', '{{}}')",
    "settle_delivery":
        f"select public.settle_delivery({DELIVERY}, 1, 'delivered', 200, null, null, 10, null, false)",
    "settle_merge": f"select public.settle_merge({VIDEO_ID}, 1, 'completed', '{{}}')",
    "settle_upload": f"select public.settle_upload('{md5('f600')}', 1, 'ready', '{{}}')",
}  # fmt: skip
KEY_CLAIMS = {"provider": "api_key", "key": hashed("md5", "k300")[:12], "hash": hashed("sha256", "k300")}
# What has another token: a key's, a share link's, that of somebody with 34 sessions instead of 400.
BY_OTHERS = {
    "erase_account": ("select public.erase_account()", {"sub": md5("u7")}),
    "find_api_key": ("select public.find_api_key()", {"app_metadata": KEY_CLAIMS}),
    "open_share":
        ("select public.open_share('v', 'a', null)",
        {"app_metadata": {"provider": "share", "share": hashed("sha256", "l5")}}),
}  # fmt: skip
# They look once a day at all that there is, in a run that nobody waits for.
SWEEPS = {
    "fail_stuck",
    "forget_counts",
    "forget_deliveries",
    "forget_ended",
    "forget_guests",
    "forget_share_visits",
    "missing_files",
    "missing_video_files",
    "orphaned_files",
    "roll_up_usage",
}


def sent() -> Iterator[str]:
    """Yield the names of all database functions that are called by our functions."""
    for path in (*TOP.joinpath("functions").rglob("*.py"), *TOP.joinpath("shared").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Call(
                    func=ast.Attribute(attr="rpc" | "with_reading"), args=[ast.Constant(value=str(name)), *_]
                ):
                    yield name


def test_each_database_function_that_is_called_is_held_here() -> None:
    held = {*CALLS, *BY_CALLERS, *BY_SERVICE, *BY_OTHERS, *SWEEPS}
    assert set(sent()) - held == set()


@pytest.mark.parametrize("name", BY_CALLERS)
def test_a_callers_query_reads_no_large_table_from_end_to_end(person: Database, name: str) -> None:
    assert scans(work(person, BY_CALLERS[name], NAMES)) == set()


@pytest.mark.parametrize("name", BY_SERVICE)
def test_a_workers_query_reads_no_large_table_from_end_to_end(large: Database, name: str) -> None:
    with large.transaction(force_rollback=True):
        large.execute("set local role service_role")
        assert scans(work(large, BY_SERVICE[name], NAMES)) == set()


@pytest.mark.parametrize("name", BY_OTHERS)
def test_a_query_with_another_token_reads_no_large_table_from_end_to_end(person: Database, name: str) -> None:
    statement, claims = BY_OTHERS[name]
    person.execute("select set_config('request.jwt.claims', %s, true)", (json.dumps(claims),))
    assert scans(work(person, statement, {})) == set()
