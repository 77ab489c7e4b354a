-- Figures from what 90_usage.sql notes: per day, rolled up by maintenance, of the last two days fresh; and per session.

create or replace function private.usage_figures(p_day date, p_user_id text default null) returns setof public.usage_daily
language sql stable security definer set search_path = '' as $$
  with events as materialized (
    select e.*, coalesce(e.user_id, '') as who
    from public.usage_events e
    where e.created_at >= p_day::timestamp at time zone 'utc' and e.created_at < (p_day + 1)::timestamp at time zone 'utc'
      and (p_user_id is null or p_user_id = '*' or e.user_id = p_user_id)
  ), codes as (
    select coalesce(who, '*') as who, jsonb_object_agg(code, n order by code) as errors
    from (
      select who, code, count(*) as n from events where code is not null and code <> 'canceled'
      group by grouping sets ((who, code), (code))) as counted
    group by who
  ), sums as (
    select
      case when grouping(who) = 1 then '*' else who end as who,
      count(*) filter (where kind = 'request') as requests,
      count(*) filter (where kind = 'request' and status >= 400) as failures,
      count(*) filter (where kind = 'request' and cold_start) as cold_starts,
      coalesce(sum(total_ms / 1000.0 * memory_mb / 1024.0) filter (where kind = 'request'), 0) as gb_seconds,
      coalesce(sum(amount) filter (where kind = 'upload' or (kind = 'request' and amount > 0)), 0) as uploads,
      coalesce(sum(bytes_in), 0) as bytes_in,
      coalesce(sum(bytes_stored), 0) as bytes_stored,
      coalesce(sum(bytes_out), 0) as bytes_out,
      coalesce(sum(amount) filter (where kind = 'frames'), 0) as frames,
      coalesce(sum(amount) filter (where kind = 'batch'), 0) as batches,
      coalesce(sum(amount) filter (where kind = 'video'), 0) as videos,
      count(*) filter (where kind = 'video' and amount = 0 and code <> 'canceled') as videos_failed,
      coalesce(sum(render_seconds), 0) as render_seconds,
      coalesce(sum(amount) filter (where kind = 'share_view'), 0) as share_views,
      percentile_cont(0.5) within group (order by total_ms) filter (where is_upload) as upload_p50_ms,
      percentile_cont(0.95) within group (order by total_ms) filter (where is_upload) as upload_p95_ms,
      percentile_cont(0.5) within group (order by db_ms) filter (where kind = 'request') as db_p50_ms,
      percentile_cont(0.95) within group (order by db_ms) filter (where kind = 'request') as db_p95_ms,
      percentile_cont(0.5) within group (order by total_ms) filter (where kind = 'clip' and amount > 0) as render_p50_ms,
      percentile_cont(0.95) within group (order by total_ms) filter (where kind = 'clip' and amount > 0) as render_p95_ms,
      coalesce(sum(estimated_cost) filter (where amount > 0), 0) as estimated_cost,
      coalesce(sum(cost), 0) as cost
    from (select *, amount > 0 and kind in ('request', 'upload') as is_upload from events) as e
    group by grouping sets ((who), ())
  )
  select
    p_day, s.who, s.requests, s.failures, s.cold_starts, s.gb_seconds, s.uploads, s.bytes_in, s.bytes_stored, s.bytes_out,
    s.frames, s.batches, s.videos, s.videos_failed, s.render_seconds, s.share_views, s.upload_p50_ms, s.upload_p95_ms,
    s.db_p50_ms, s.db_p95_ms, s.render_p50_ms, s.render_p95_ms, coalesce(c.errors, '{}'), s.estimated_cost, s.cost,
    null::bigint, now()
  from sums s left join codes c using (who)
  where p_user_id is null or s.who = p_user_id
$$;
comment on function private.usage_figures(date, text) is
  'The rows of usage_daily that the raw events of a day make: of everybody and of all together, or of one of these alone.';

create or replace function private.stored_by_user() returns table (user_id text, bytes bigint)
language sql stable security definer set search_path = '' as $$
  select coalesce(o.folder, '*'), sum(o.size)::bigint
  from (
    select split_part(name, '/', 1) as folder,
      case when metadata ->> 'size' ~ '^[0-9]{1,15}$' then (metadata ->> 'size')::bigint else 0 end as size
    from storage.objects where bucket_id = 'videomaker') as o
  group by grouping sets ((o.folder), ())
$$;
comment on function private.stored_by_user() is 'How much lies in each folder of the media bucket, and in all of it (`*`).';

create or replace function public.roll_up_usage(p_dry_run boolean) returns jsonb
language plpgsql security invoker set search_path = '' as $$
declare
  today constant date := (now() at time zone 'utc')::date;
  -- The last two days again, for what came late; and what no run has seen.
  first_day constant date := greatest(
    today - 30,
    least(today - 1, (select max(d.day) from public.usage_daily d where d.user_id = '*'),
      case when not exists (select from public.usage_daily) then
        (select (min(e.created_at) at time zone 'utc')::date from public.usage_events e) end));
  oldest constant timestamptz := (today - 30)::timestamp at time zone 'utc';
  forgotten bigint;
begin
  if p_dry_run then
    return jsonb_build_object(
      'days', today - first_day + 1,
      'forgotten', (select count(*) from public.usage_events where created_at < oldest));
  end if;
  perform pg_advisory_xact_lock(hashtextextended('roll_up_usage', 0));
  insert into public.usage_daily as kept
    select f.* from generate_series(first_day, today, interval '1 day') as d (day)
    cross join lateral private.usage_figures(d.day::date) f
    on conflict (day, user_id) do update set (
        requests, failures, cold_starts, gb_seconds, uploads, bytes_in, bytes_stored, bytes_out, frames, batches, videos,
        videos_failed, render_seconds, share_views, upload_p50_ms, upload_p95_ms, db_p50_ms, db_p95_ms, render_p50_ms,
        render_p95_ms, errors, estimated_cost, cost, rolled_at)
      = (
        excluded.requests, excluded.failures, excluded.cold_starts, excluded.gb_seconds, excluded.uploads,
        excluded.bytes_in, excluded.bytes_stored, excluded.bytes_out, excluded.frames, excluded.batches, excluded.videos,
        excluded.videos_failed, excluded.render_seconds, excluded.share_views, excluded.upload_p50_ms,
        excluded.upload_p95_ms, excluded.db_p50_ms, excluded.db_p95_ms, excluded.render_p50_ms, excluded.render_p95_ms,
        excluded.errors, excluded.estimated_cost, excluded.cost, excluded.rolled_at);
  insert into public.usage_daily as kept (day, user_id, storage_bytes)
    select today, s.user_id, s.bytes from private.stored_by_user() s
    on conflict (day, user_id) do update set storage_bytes = excluded.storage_bytes;
  delete from public.usage_events where created_at < oldest;
  get diagnostics forgotten = row_count;
  return jsonb_build_object('days', today - first_day + 1, 'forgotten', forgotten);
end $$;
comment on function public.roll_up_usage(boolean) is
  'Sums up what was used, per day and user, as often as one likes, and forgets raw events of more than 30 days ago.';

create or replace function private.usage_report(p_from date, p_to date, p_all boolean) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
declare
  today constant date := (now() at time zone 'utc')::date;
  who constant text := case when p_all then '*' else (select auth.uid())::text end;
begin
  perform private.check_key();
  if p_all and not private.is_admin() then
    raise exception using errcode = 'PT403', message = 'forbidden';
  end if;
  return jsonb_build_object(
    'today', today,
    'days', (
      select coalesce(jsonb_agg(to_jsonb(d) - 'user_id' - 'rolled_at' order by d.day), '[]')
      from (
        select * from public.usage_daily where user_id = who and day between p_from and least(p_to, today - 2)
        union all
        select f.* from generate_series(greatest(p_from, today - 1), least(p_to, today), interval '1 day') as g (day)
          cross join lateral private.usage_figures(g.day::date, who) f) as d (
        day, user_id, requests, failures, cold_starts, gb_seconds, uploads, bytes_in, bytes_stored, bytes_out, frames,
        batches, videos, videos_failed, render_seconds, share_views, upload_p50_ms, upload_p95_ms, db_p50_ms, db_p95_ms,
        render_p50_ms, render_p95_ms, errors, estimated_cost, cost, storage_bytes, rolled_at)),
    'held', (
      select jsonb_object_agg(h.day, h.storage_bytes) from public.usage_daily h
      where h.user_id = who and h.storage_bytes is not null and h.day between p_from and p_to),
    'storage_bytes', (
      select coalesce(sum((o.metadata ->> 'size')::bigint), 0) from storage.objects o
      where o.bucket_id = 'videomaker' and o.metadata ->> 'size' ~ '^[0-9]{1,15}$'
        and (p_all or (o.name ~>=~ (who || '/') and o.name ~<~ (who || '0')))),
    'budget_cents', case when not p_all then (
      select q.amount from private.quotas q
      where q.name = case when private.is_guest() then 'guest_' else '' end || 'spending_cents_per_month') end,
    'sessions', (
      select coalesce(jsonb_agg(to_jsonb(s) order by s.cost desc, s.frames desc, s.session_id), '[]')
      from (
        select e.session_id, sum(e.amount) filter (where e.kind = 'frames') as frames,
          sum(e.amount) filter (where e.kind = 'video') as videos, sum(e.render_seconds) as render_seconds,
          sum(e.bytes_stored) as bytes_stored, sum(e.amount) filter (where e.kind = 'share_view') as share_views,
          sum(e.estimated_cost) filter (where e.amount > 0) as estimated_cost, sum(e.cost) as cost
        from public.usage_events e
        where e.session_id is not null and (p_all or e.user_id = who)
          and e.created_at >= p_from::timestamp at time zone 'utc'
          and e.created_at < (p_to + 1)::timestamp at time zone 'utc'
        group by e.session_id order by sum(e.cost) desc, 2 desc nulls last, e.session_id limit 50) as s));
end $$;
comment on function private.usage_report(date, date, boolean) is 'What public.usage_report does, over what callers cannot read.';

create or replace function public.usage_report(p_from date, p_to date, p_all boolean default false) returns jsonb
language sql stable security invoker set search_path = '' as $$
  select private.usage_report(p_from, p_to, p_all)
$$;
comment on function public.usage_report(date, date, boolean) is
  'The caller''s usage, or everybody''s for an admin: its days, with today and yesterday as they are now; the 50 sessions '
  'that cost most, of the last 30 days; the storage that is held, and the month''s budget in cents.';

revoke execute on all functions in schema private from public, anon;
revoke execute on function public.roll_up_usage(boolean), public.usage_report(date, date, boolean)
  from public, anon, authenticated;
grant execute on function private.usage_report(date, date, boolean) to authenticated, service_role;
grant execute on function public.usage_report(date, date, boolean) to authenticated, service_role;
grant execute on function public.roll_up_usage(boolean), private.usage_figures(date, text), private.stored_by_user()
  to service_role;
