-- What was done, when, and what it took. Business facts are written by triggers, in the transaction of the fact itself; how a
-- request went is told by the function that answered it, as its caller. Raw rows are kept for 30 days, their sums for good.

create or replace function private.is_admin() returns boolean
language sql stable set search_path = '' as $$
  select coalesce((select auth.jwt()) -> 'app_metadata' ->> 'role' = 'admin', false) and private.is_person()
$$;
comment on function private.is_admin() is
  'Whether the caller is an admin of this service; the claim lies in app_metadata, which users cannot write.';

create table if not exists public.usage_events (
  id bigint generated always as identity primary key,
  user_id varchar(255),
  kind varchar(20) not null,
  session_id varchar(255),
  request_id varchar(128),
  function varchar(64),
  status smallint,
  code varchar(64),
  cold_start boolean,
  memory_mb integer,
  total_ms real,
  auth_ms real,
  image_ms real,
  storage_ms real,
  db_ms real,
  amount integer not null default 0,
  bytes_in bigint not null default 0,
  bytes_stored bigint not null default 0,
  bytes_out bigint not null default 0,
  render_seconds numeric(12, 3) not null default 0,
  estimated_cost numeric(12, 6) not null default 0,
  cost numeric(12, 6) not null default 0,
  created_at timestamptz not null default clock_timestamp(),
  constraint usage_events_kind_check
    check (kind in ('request', 'upload', 'frames', 'clip', 'video', 'share_view', 'batch'))
);
comment on table public.usage_events is 'What was done, one row each; kept for 30 days.';
comment on column public.usage_events.user_id is
  'Whose figures it goes into; null for a request that was refused before it was known whose it is.';
comment on column public.usage_events.amount is 'How many of them: images, frames, videos that were completed.';
comment on column public.usage_events.code is 'Of an error: a code of the API.';
comment on column public.usage_events.bytes_out is 'What was sent for it at most: of a share view, the video.';
comment on column public.usage_events.render_seconds is 'How long workers were busy with what they have finished.';
comment on column public.usage_events.cost is 'US dollars that workers took.';
create index if not exists usage_events_owner_idx on public.usage_events (user_id, created_at);
create index if not exists usage_events_created_idx on public.usage_events (created_at);
create index if not exists usage_events_request_idx on public.usage_events (request_id);

create table if not exists public.usage_daily (
  day date not null,
  user_id varchar(255) not null,
  requests bigint not null default 0,
  failures bigint not null default 0,
  cold_starts bigint not null default 0,
  gb_seconds double precision not null default 0,
  uploads bigint not null default 0,
  bytes_in bigint not null default 0,
  bytes_stored bigint not null default 0,
  bytes_out bigint not null default 0,
  frames bigint not null default 0,
  batches bigint not null default 0,
  videos bigint not null default 0,
  videos_failed bigint not null default 0,
  render_seconds numeric(14, 3) not null default 0,
  share_views bigint not null default 0,
  upload_p50_ms double precision,
  upload_p95_ms double precision,
  db_p50_ms double precision,
  db_p95_ms double precision,
  render_p50_ms double precision,
  render_p95_ms double precision,
  errors jsonb not null default '{}',
  estimated_cost numeric(14, 6) not null default 0,
  cost numeric(14, 6) not null default 0,
  storage_bytes bigint,
  rolled_at timestamptz not null default now(),
  primary key (day, user_id)
);
comment on table public.usage_daily is 'The usage of one day, in UTC: of each user, and of all together.';
comment on column public.usage_daily.user_id is '`*` are all users together; empty is what was nobody''s.';
comment on column public.usage_daily.gb_seconds is 'Of the functions that answer requests: memory in GB, times seconds.';
comment on column public.usage_daily.errors is 'How often each code of the API was answered, or ended a video.';
comment on column public.usage_daily.storage_bytes is 'What lay in the media bucket when that day was last looked at.';
create index if not exists usage_daily_owner_idx on public.usage_daily (user_id, day);

alter table public.usage_events enable row level security;
alter table public.usage_daily enable row level security;
revoke all on public.usage_events, public.usage_daily from anon, authenticated;
grant select on public.usage_events, public.usage_daily to authenticated;
grant all on public.usage_events, public.usage_daily to service_role;

drop policy if exists "Users can read their usage, admins everybody's" on public.usage_events;
create policy "Users can read their usage, admins everybody's" on public.usage_events
  for select to authenticated using (user_id = (select auth.uid())::text or (select private.is_admin()));
drop policy if exists "Users can read their days, admins everybody's" on public.usage_daily;
create policy "Users can read their days, admins everybody's" on public.usage_daily
  for select to authenticated using (user_id = (select auth.uid())::text or (select private.is_admin()));

create or replace function private.current_request() returns text
language plpgsql stable set search_path = '' as $$
begin
  return substring(
    nullif(current_setting('request.headers', true), '')::json ->> 'x-videomaker-request-id' from '^[A-Za-z0-9._-]{8,128}$');
exception when invalid_text_representation then
  return null;
end $$;
comment on function private.current_request() is 'The id of the request that this statement works for, by its header.';

-- How a request went.

create or replace function private.record_usage(p_event jsonb) returns void
language plpgsql security definer set search_path = '' as $$
declare
  told constant public.usage_events := jsonb_populate_record(null::public.usage_events, p_event);
begin
  if told.function !~ '^[a-z_]{1,64}$' or told.request_id !~ '^[A-Za-z0-9._-]{8,128}$' or told.code !~ '^[a-z0-9_]{1,64}$'
     or told.status not between 100 and 599 or told.memory_mb not between 0 and 10240
     or coalesce(told.amount, 0) not between 0 and 1000
     or greatest(told.bytes_in, told.bytes_stored, 0) > 1073741824 or least(told.bytes_in, told.bytes_stored, 0) < 0
     or greatest(told.total_ms, told.auth_ms, told.image_ms, told.storage_ms, told.db_ms, 0) > 900000
     or least(told.total_ms, told.auth_ms, told.image_ms, told.storage_ms, told.db_ms, 0) < 0
     or told.function is null or told.request_id is null or told.status is null or told.total_ms is null then
    raise exception using errcode = '22023', message = 'not a record of a request';
  end if;
  -- Nobody waits for the disk: what is lost when the machine fails is a second's timings.
  perform set_config('synchronous_commit', 'off', true);
  insert into public.usage_events (
      user_id, kind, request_id, function, status, code, cold_start, memory_mb, total_ms, auth_ms, image_ms, storage_ms,
      db_ms, amount, bytes_in, bytes_stored)
    values (
      (select auth.uid())::text, 'request', told.request_id, told.function, told.status, told.code, told.cold_start,
      told.memory_mb, told.total_ms, told.auth_ms, told.image_ms, told.storage_ms, told.db_ms,
      coalesce(told.amount, 0), coalesce(told.bytes_in, 0), coalesce(told.bytes_stored, 0));
end $$;
comment on function private.record_usage(jsonb) is 'What public.record_usage does, into a table that callers may not write.';

create or replace function public.record_usage(p_event jsonb) returns void
language sql security invoker set search_path = '' as $$
  select private.record_usage(p_event)
$$;
comment on function public.record_usage(jsonb) is
  'Notes how a request went (columns of usage_events) and which images it stored. It goes into the caller''s own figures, '
  'whatever the event says, or into nobody''s where the token has no subject.';

-- Business facts, which nobody can make up.

create or replace function private.note_upload() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  insert into public.usage_events (user_id, kind, request_id, code, amount, bytes_in, bytes_stored, total_ms)
    values (
      new.user_id, 'upload', private.current_request(), new.code, (new.status = 'ready')::integer, new.bytes,
      case when new.status = 'ready' then coalesce((new.result ->> 'bytes')::bigint, new.bytes) else 0 end,
      case when tg_op = 'UPDATE' and old.status = 'processing' then
        extract(epoch from clock_timestamp() - old.updated_at) * 1000 end);
  return null;
end $$;
comment on function private.note_upload() is 'Trigger: an upload is there, or was rejected.';
create or replace trigger uploads_note_usage after update of status on public.uploads
  for each row when (new.status in ('ready', 'rejected') and old.status <> new.status)
  execute function private.note_upload();
create or replace trigger uploads_note_arrival after insert on public.uploads
  for each row when (new.status in ('ready', 'rejected') and new.object_name is not null)
  execute function private.note_upload();

create or replace function private.note_frames() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  insert into public.usage_events (user_id, kind, session_id, request_id, amount)
    select coalesce((select auth.uid())::text, s.user_id), 'frames', s.session_id, private.current_request(), saved.frames
    from (select n.session_id, count(*) as frames from added n group by n.session_id) as saved
    join public.video_sessions s using (session_id);
  return null;
end $$;
comment on function private.note_frames() is 'Trigger: so many new frames of a session were saved.';
create or replace trigger video_frames_note_usage after insert on public.video_frames
  referencing new table as added for each statement execute function private.note_frames();

create or replace function private.note_clip() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  insert into public.usage_events (
      user_id, kind, session_id, request_id, function, code, amount, total_ms, render_seconds)
    select
      s.user_id, 'clip', s.session_id, private.current_request(), 'render_clip', new.error ->> 'code',
      (new.status = 'completed')::integer, (new.timings ->> 'render')::real * 1000,
      coalesce((new.timings ->> 'render')::numeric, 0)
    from public.video_sessions s where s.session_id = new.session_id;
  return null;
end $$;
comment on function private.note_clip() is 'Trigger: a worker has rendered a clip, or failed at it, whether or not it is tried again.';
create or replace trigger video_clips_note_usage after update of status on public.video_clips
  for each row when (
    old.status = 'rendering'
    and (new.status = 'failed' or (new.status = 'queued' and new.error is not null)
      or (new.status = 'completed' and new.timings is distinct from old.timings)))
  execute function private.note_clip();

create or replace function private.note_video() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  insert into public.usage_events (
      user_id, kind, session_id, request_id, function, code, amount, bytes_stored, estimated_cost, cost)
    select
      s.user_id, 'video', s.session_id, private.current_request(), 'merge_clips',
      case when new.status <> 'completed' then coalesce(new.error ->> 'code', new.status) end,
      (new.status = 'completed')::integer, coalesce(new.bytes, 0), coalesce(new.estimated_cost, 0), coalesce(new.cost, 0)
    from public.video_sessions s where s.session_id = new.session_id;
  return null;
end $$;
comment on function private.note_video() is 'Trigger: a video was completed, has failed or was canceled, at this cost.';
create or replace trigger final_videos_note_usage after update of status on public.final_videos
  for each row when (new.status in ('completed', 'failed', 'canceled') and old.status <> new.status)
  execute function private.note_video();

create or replace function private.note_view() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  insert into public.usage_events (user_id, kind, session_id, request_id, amount, bytes_out)
    select
      s.user_id, 'share_view', s.session_id, private.current_request(), new.views - old.views,
      (new.views - old.views) * coalesce((select v.bytes from private.shared_video(new.session_id, new.video_id) v), 0)
    from public.video_sessions s where s.session_id = new.session_id;
  return null;
end $$;
comment on function private.note_view() is 'Trigger: a share link was viewed, which counts for the owner of its session.';
create or replace trigger share_links_note_usage after update of views on public.share_links
  for each row when (new.views > old.views) execute function private.note_view();

create or replace function private.note_batch() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  insert into public.usage_events (user_id, kind, request_id, amount)
    values (new.user_id, 'batch', private.current_request(), 1);
  return null;
end $$;
comment on function private.note_batch() is 'Trigger: a batch was begun.';
create or replace trigger batches_note_usage after insert on public.batches
  for each row execute function private.note_batch();

revoke execute on all functions in schema private from public, anon;
grant execute on function private.is_admin(), private.record_usage(jsonb), private.current_request()
  to authenticated, service_role;
revoke execute on function public.record_usage(jsonb) from public, anon;
grant execute on function public.record_usage(jsonb) to authenticated, service_role;
