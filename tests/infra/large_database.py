"""A database in which a table that is read from end to end is felt, and how to count what a statement does in it.

All is generated within one transaction that is rolled back in the end. What a statement did is read from what Postgres
counts for the transaction, which reaches into functions, where EXPLAIN does not.
"""

import hashlib
import uuid
from collections import Counter
from collections.abc import Mapping

from tests.infra.access import Database

# 10,000 sessions of 300 people. Number 0 owns 400 of them and is an editor of 200 others.
GENERATE = """
    set local session_replication_role = replica;
    insert into public.video_sessions (
        session_id, user_id, original_prompt, video_duration, frame_count, style, mood, created_at)
      select md5('s' || n)::uuid, md5('u' || case when n <= 400 then 0 else 1 + n % 299 end)::uuid, 'plans', 60, 10,
        's', 'm', now() - n * interval '1 minute'
      from generate_series(1, 10000) n;
    insert into public.video_frames (
        session_id, frame_number, timestamp, image_url, thumbnail_path, description, prompt)
      select session_id, n, '0s', format('%s/frames/%s_%s.webp', user_id, session_id, n),
        format('%s/thumbnails/%s_%s.webp', user_id, session_id, n), 'd', 'p'
      from public.video_sessions, generate_series(1, 5) n where original_prompt = 'plans';
    insert into public.session_members (session_id, user_id, email, role, status)
      select md5('s' || n)::uuid, md5('u' || (n + k) % 299)::uuid, 'x@example.com', 'viewer', 'accepted'
      from generate_series(1001, 10000) n, generate_series(2, 3) k;
    insert into public.session_members (session_id, user_id, email, role, status)
      select md5('s' || n)::uuid, md5('u0')::uuid, 'u0@example.com', 'editor', 'accepted'
      from generate_series(1001, 1200) n on conflict do nothing;
    insert into public.session_members (session_id, user_id, email, role, status)
      values (md5('s7')::uuid, md5('u7')::uuid, 'u7@example.com', 'viewer', 'accepted');
    insert into public.session_members (session_id, email, role, expires_at)
      select md5('s' || n)::uuid, format('u%s@example.com', n % 400), 'viewer', now() + interval '1 day'
      from generate_series(1501, 5000) n;
    insert into public.final_videos (session_id, video_url)
      select session_id, format('%s/videos/%s.mp4', user_id, session_id)
      from public.video_sessions where original_prompt = 'plans';
    insert into public.video_clips (
        session_id, final_video_id, clip_number, frame_number, start_seconds, duration_seconds)
      select session_id, v.id, n, n, 0, 5
      from public.final_videos v join public.video_sessions s using (session_id), generate_series(1, 2) n
      where s.original_prompt = 'plans';
    insert into public.video_frames (
        session_id, frame_number, timestamp, image_url, thumbnail_path, description, prompt)
      select session_id, n, '0s', format('%s/frames/%s_%s.webp', user_id, session_id, n),
        format('%s/thumbnails/%s_%s.webp', user_id, session_id, n), 'd', 'p'
      from public.video_sessions, generate_series(6, 60) n where session_id = md5('s1006')::uuid::text;
    insert into storage.objects (bucket_id, name, version)
      select 'videomaker', image_path, 'v' from public.video_frames where description = 'd' and prompt = 'p'
      on conflict do nothing;
    insert into private.session_documents
      select session_id, to_tsvector('simple', 'plans boat' || id % 50)
      from public.video_sessions where original_prompt = 'plans';
    insert into private.render_usage (final_video_id, user_id, cost)
      select v.id, s.user_id, 0 from public.final_videos v join public.video_sessions s using (session_id)
      where s.original_prompt = 'plans';
    insert into public.uploads (id, user_id, kind, content_type, bytes, object_name, status, attempts, expires_at)
      select md5('f' || n)::uuid, md5('u' || n % 300)::uuid, 'frame', 'image/png', 1, 'f' || n,
        case n when 300 then 'waiting' when 600 then 'processing' else 'rejected' end, n / 600, now() - interval '1 day'
      from generate_series(1, 10000) n;
    insert into public.api_keys (prefix, key_hash, user_id, name, scopes)
      select left(md5('k' || n), 12), encode(sha256(('k' || n)::bytea), 'hex'), md5('u' || n % 300)::uuid, 'n', '{read}'
      from generate_series(1, 10000) n;
    insert into public.share_links (share_id, session_id, token_hash, created_by)
      select md5('l' || n)::uuid, md5('s' || n)::uuid, encode(sha256(('l' || n)::bytea), 'hex'), md5('u0')::uuid
      from generate_series(1, 10000) n;
    insert into public.webhook_endpoints (endpoint_id, user_id, url)
      select md5('e' || n)::uuid, md5('u' || n % 5000)::uuid, 'https://example.com/' from generate_series(1, 10000) n;
    insert into public.webhook_deliveries (
        delivery_id, user_id, endpoint_id, video_id, event_id, type, payload, status, announce_at)
      select md5('d' || n)::uuid, md5('u' || n % 5000)::uuid, md5('e' || n)::uuid, v.video_id, n, 'video.completed',
        '{}', case when n = 5000 then 'pending' else 'delivered' end, now() - n * interval '1 minute'
      from generate_series(1, 10000) n join public.final_videos v on v.session_id = md5('s' || n)::uuid::text;
    insert into public.batches (batch_id, user_id)
      select md5('b' || n)::uuid, md5('u' || n % 300)::uuid from generate_series(1, 6000) n;
    insert into public.batch_items (batch_id, item_number, session_id, video_id)
      select md5('b' || n)::uuid, 1, md5('s' || n)::uuid, v.video_id
      from generate_series(1, 6000) n join public.final_videos v on v.session_id = md5('s' || n)::uuid::text;
    insert into public.video_templates (template_id, user_id, name)
      select md5('t' || n), md5('u' || n % 300)::uuid, 'plans' from generate_series(1, 6000) n;
    insert into public.video_template_versions (template_id, version, name, description, video, storyboard, fields)
      select template_id, n, name, description, '{}', '{}', '{}'
      from public.video_templates, generate_series(1, 2) n where name = 'plans';
    insert into public.idempotency_keys (user_id, key, request_hash)
      select md5('u' || n % 300)::uuid, 'i' || n, 'h' from generate_series(1, 10000) n;
    analyze public.video_sessions, public.video_frames, public.session_members, public.final_videos,
      public.video_clips, storage.objects, private.session_documents, private.render_usage, public.uploads,
      public.api_keys, public.share_links, public.webhook_endpoints, public.webhook_deliveries, public.batches,
      public.batch_items, public.video_templates, public.video_template_versions, public.idempotency_keys;
    select gin_clean_pending_list('public.final_videos_files_idx');
    set local session_replication_role = origin;
    set local track_functions = 'all';
"""
LARGE = {
    "video_sessions", "video_frames", "session_members", "final_videos", "video_clips", "objects", "session_documents",
    "render_usage", "uploads", "api_keys", "share_links", "webhook_endpoints", "webhook_deliveries", "batches",
    "batch_items", "video_templates", "video_template_versions", "idempotency_keys",
}  # fmt: skip


def md5(text: str) -> str:
    return str(uuid.UUID(hashlib.md5(text.encode()).hexdigest()))


NAMES = {
    "own": md5("s5"),
    "shared": md5("s1005"),
    "lent": md5("s7"),
    "long": md5("s1006"),
    "theirs": md5("s2500"),
    "own_image": f"{md5('u0')}/frames/{md5('s5')}_1.webp",
    "shared_image": f"{md5(f'u{1 + 1005 % 299}')}/frames/{md5('s1005')}_1.webp",
    "shared_video": f"{md5(f'u{1 + 1005 % 299}')}/videos/{md5('s1005')}.mp4",
    "folder": f"{md5(f'u{1 + 1005 % 299}')}/frames/{md5('s1005')}",
}


def counted(connection: Database) -> Counter[str]:
    """Return how often each function was called, and how often each table was read from end to end."""
    found = connection.execute(
        "select funcname, calls::int from pg_stat_xact_user_functions"
        " union all select relname || ' scans', seq_scan::int from pg_stat_xact_user_tables"
        " where schemaname in ('public', 'private', 'storage')"
    ).fetchall()
    return Counter(dict(found))


def work(connection: Database, statement: str, names: Mapping[str, object]) -> Counter[str]:
    before = counted(connection)
    connection.execute(statement, names, prepare=False)
    return counted(connection) - before


def scans(done: Counter[str]) -> set[str]:
    return {table for table in LARGE if done[f"{table} scans"]}
