-- Where finished work is announced, and each announcement: the outbox, which is the log as well.

insert into private.quotas (name, amount) values ('webhook_endpoints', 20) on conflict do nothing;

create table if not exists public.webhook_endpoints (
  id bigint generated always as identity primary key,
  endpoint_id uuid not null unique default gen_random_uuid(),
  user_id varchar(255) not null,
  url varchar(2048) not null,
  events text[] not null default '{video.completed,video.failed,upload.rejected}',
  description varchar(255),
  enabled boolean not null default true,
  disabled_reason varchar(50),
  failures integer not null default 0,
  failing_since timestamptz,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint webhook_endpoints_url_check check (url ~ '^https?://[^[:space:]]+$'),
  constraint webhook_endpoints_events_check check (
    cardinality(events) > 0 and events <@ '{video.completed,video.failed,upload.rejected}'::text[]),
  constraint webhook_endpoints_reason_check check (disabled_reason in ('by_owner', 'gone', 'failing'))
);
comment on table public.webhook_endpoints is 'An address of a user that events are announced to.';
comment on column public.webhook_endpoints.url is 'Only its form is checked here: which addresses it leads to is checked at each delivery.';
comment on column public.webhook_endpoints.disabled_reason is 'Its owner disabled it, it answered 410, or nothing got through for long.';
comment on column public.webhook_endpoints.failures is 'Attempts that failed in a row, over all deliveries.';
comment on column public.webhook_endpoints.failing_since is 'When the first of them failed.';
create index if not exists webhook_endpoints_owner_idx on public.webhook_endpoints (user_id, id desc);

create or replace function private.new_webhook_secret() returns text
language sql volatile set search_path = '' as $$
  select 'whsec_' || encode(sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())), 'base64')
$$;
comment on function private.new_webhook_secret() is 'A random key of 32 bytes, written as Standard Webhooks does.';

create table if not exists private.webhook_secrets (
  id bigint generated always as identity primary key,
  user_id varchar(255) not null,
  endpoint_id uuid references public.webhook_endpoints (endpoint_id) on delete cascade,
  secret text not null default private.new_webhook_secret(),
  expires_at timestamptz,
  created_at timestamptz not null default now()
);
comment on table private.webhook_secrets is
  'What deliveries are signed with. Shown to the owner when made, read by the deliverer, and by nobody else.';
comment on column private.webhook_secrets.endpoint_id is 'Null: signs for the addresses that the owner gave for single videos.';
comment on column private.webhook_secrets.expires_at is 'Null for the current one; one that was replaced still signs for a while.';
create index if not exists webhook_secrets_owner_idx on private.webhook_secrets (user_id, endpoint_id);
create unique index if not exists webhook_secrets_endpoint_key on private.webhook_secrets (endpoint_id)
  where expires_at is null and endpoint_id is not null;
create unique index if not exists webhook_secrets_user_key on private.webhook_secrets (user_id)
  where expires_at is null and endpoint_id is null;
alter table private.webhook_secrets enable row level security;
revoke all on private.webhook_secrets from public, anon, authenticated;
grant select on private.webhook_secrets to service_role;

create table if not exists public.webhook_deliveries (
  id bigint generated always as identity primary key,
  delivery_id uuid not null unique default gen_random_uuid(),
  user_id varchar(255) not null,
  endpoint_id uuid references public.webhook_endpoints (endpoint_id) on delete cascade,
  url varchar(2048),
  video_id uuid references public.final_videos (video_id) on delete cascade,
  event_id varchar(64) not null,
  type varchar(50) not null,
  payload jsonb not null,
  redelivery_of uuid,
  status varchar(50) not null default 'pending',
  attempts integer not null default 0,
  claimed_by varchar(100),
  leased_until timestamptz,
  next_attempt_at timestamptz default now(),
  announce_at timestamptz not null default now(),
  attempted_at timestamptz,
  status_code integer,
  error varchar(50),
  response text,
  duration_ms integer,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint webhook_deliveries_status_check check (status in ('pending', 'delivering', 'delivered', 'failed')),
  constraint webhook_deliveries_target_check check (num_nonnulls(endpoint_id, url) = 1)
);
comment on table public.webhook_deliveries is 'One event for one endpoint, or for the address that was given for one video.';
comment on column public.webhook_deliveries.url is 'Where to, where there is no endpoint.';
comment on column public.webhook_deliveries.event_id is 'The same for all deliveries of one event: receivers know repeats by it.';
comment on column public.webhook_deliveries.claimed_by is 'The message that the claiming worker handles.';
comment on column public.webhook_deliveries.announce_at is 'When the sweep tells the queue of it, unless somebody is at work on it before.';
comment on column public.webhook_deliveries.error is 'Why the last attempt failed: a code of the API.';
comment on column public.webhook_deliveries.response is 'The beginning of the last answer.';

create unique index if not exists webhook_deliveries_event_key
  on public.webhook_deliveries (event_id, coalesce(endpoint_id::text, '')) where redelivery_of is null;
create index if not exists webhook_deliveries_endpoint_idx on public.webhook_deliveries (endpoint_id, id desc);
create index if not exists webhook_deliveries_video_idx on public.webhook_deliveries (video_id, id desc);
create index if not exists webhook_deliveries_owner_idx on public.webhook_deliveries (user_id, id desc);
create index if not exists webhook_deliveries_created_idx on public.webhook_deliveries (created_at);
create index if not exists webhook_deliveries_due_idx on public.webhook_deliveries (announce_at)
  where status in ('pending', 'delivering');

create or replace trigger webhook_deliveries_touch before update on public.webhook_deliveries
  for each row execute function private.touch_updated_at();
create or replace trigger webhook_deliveries_status before update of status on public.webhook_deliveries
  for each row execute function private.check_status_change('{
    "pending": ["delivering", "failed"],
    "delivering": ["pending", "delivered", "failed"]}');

-- Endpoints

create or replace function private.check_webhook_quota() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  perform pg_advisory_xact_lock(hashtextextended('webhook_endpoints:' || new.user_id, 0));
  if (select count(*) from public.webhook_endpoints e where e.user_id = new.user_id)
      >= (select q.amount from private.quotas q where q.name = 'webhook_endpoints') then
    raise exception using errcode = 'PT403', message = 'too_many_webhooks';
  end if;
  return new;
end $$;
comment on function private.check_webhook_quota() is 'Trigger: one user has a limited number of endpoints.';

create or replace function private.add_webhook_secret() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  insert into private.webhook_secrets (user_id, endpoint_id) values (new.user_id, new.endpoint_id);
  return null;
end $$;
comment on function private.add_webhook_secret() is 'Trigger: no endpoint is without a secret.';

create or replace function private.mark_webhook_change() returns trigger
language plpgsql set search_path = '' as $$
begin
  if new.url <> old.url or (new.enabled and not old.enabled) then
    new.failures := 0;
    new.failing_since := null;
  end if;
  if new.enabled then
    new.disabled_reason := null;
  elsif old.enabled then
    new.disabled_reason := coalesce(new.disabled_reason, 'by_owner');
  end if;
  return new;
end $$;
comment on function private.mark_webhook_change() is 'Trigger: says why an endpoint is disabled, and lets one begin anew.';

create or replace trigger webhook_endpoints_quota before insert on public.webhook_endpoints
  for each row execute function private.check_webhook_quota();
create or replace trigger webhook_endpoints_secret after insert on public.webhook_endpoints
  for each row execute function private.add_webhook_secret();
create or replace trigger webhook_endpoints_mark before update on public.webhook_endpoints
  for each row execute function private.mark_webhook_change();
create or replace trigger webhook_endpoints_touch before update on public.webhook_endpoints
  for each row execute function private.touch_updated_at();

-- Events: written in the transaction of the change itself

create or replace function private.webhook_payload(p_event_id text, p_type text, p_data jsonb) returns jsonb
language sql stable set search_path = '' as $$
  select jsonb_build_object(
    'id', p_event_id, 'type', p_type, 'data', p_data,
    'timestamp', to_char(now() at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'))
$$;
comment on function private.webhook_payload(text, text, jsonb) is 'What a receiver gets of an event.';

create or replace function private.announce_event(
  p_user_id text, p_type text, p_subject text, p_data jsonb, p_video_id uuid default null, p_url text default null)
returns void
language plpgsql security definer set search_path = '' as $$
declare
  event constant text := 'evt_' || md5(p_type || ':' || p_subject);
  payload constant jsonb := private.webhook_payload(event, p_type, p_data);
begin
  if p_url is not null then
    insert into private.webhook_secrets (user_id) values (p_user_id) on conflict do nothing;
  end if;
  insert into public.webhook_deliveries (user_id, endpoint_id, url, video_id, event_id, type, payload)
    select p_user_id, target.endpoint_id, target.url, p_video_id, event, p_type, payload
    from (
      select e.endpoint_id, null as url from public.webhook_endpoints e
        where e.user_id = p_user_id and e.enabled and p_type = any (e.events)
      union all
      select null, p_url where p_url is not null
    ) as target
    on conflict do nothing;
end $$;
comment on function private.announce_event(text, text, text, jsonb, uuid, text) is
  'Puts an event into the outbox, once for each endpoint of the user that asks for it, and for the address given. What '
  'happens once to a subject is one event: announced again, it changes nothing.';

create or replace function private.announce_video() returns trigger
language plpgsql security definer set search_path = '' as $$
declare
  owner constant text := (select s.user_id from public.video_sessions s where s.session_id = new.session_id);
  wanted constant text := new.options ->> 'webhookUrl';
  about jsonb := jsonb_build_object('videoId', new.video_id, 'sessionId', new.session_id, 'status', new.status);
begin
  if new.status = 'completed' then
    about := about || jsonb_build_object(
      'videoUrl', new.video_url, 'posterUrl', new.poster_url, 'previewUrl', new.preview_url,
      'captionsUrl', new.captions_url, 'durationSeconds', new.duration_seconds, 'width', new.width,
      'height', new.height, 'fps', new.fps, 'bytes', new.bytes, 'cost', new.cost);
  else
    -- A receiver gets no more than it will read.
    about := about || jsonb_build_object('error', case when length(new.error::text) <= 8000 then new.error end);
  end if;
  perform private.announce_event(
    owner, 'video.' || new.status, new.video_id::text, about, new.video_id,
    case when length(wanted) <= 2048 and wanted ~ '^https?://[^[:space:]]+$' then wanted end);
  return null;
end $$;
comment on function private.announce_video() is 'Trigger: announces a video that was completed or has failed.';

create or replace function private.announce_upload() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  perform private.announce_event(
    new.user_id, 'upload.rejected', new.id::text, jsonb_build_object(
      'uploadId', new.id, 'kind', new.kind, 'frameId', new.frame_id, 'contentType', new.content_type,
      'bytes', new.bytes, 'code', new.code, 'detail', left(new.detail, 1000)));
  return null;
end $$;
comment on function private.announce_upload() is 'Trigger: announces an upload that was rejected.';

create or replace trigger final_videos_announce_new after insert on public.final_videos
  for each row when (new.status in ('completed', 'failed')) execute function private.announce_video();
create or replace trigger final_videos_announce after update on public.final_videos
  for each row when (new.status is distinct from old.status and new.status in ('completed', 'failed'))
  execute function private.announce_video();
-- A file that came straight to Storage gets its row when it is judged.
create or replace trigger uploads_announce_new after insert on public.uploads
  for each row when (new.status = 'rejected') execute function private.announce_upload();
create or replace trigger uploads_announce after update on public.uploads
  for each row when (new.status is distinct from old.status and new.status = 'rejected')
  execute function private.announce_upload();

-- Who may see and do what

alter table public.webhook_endpoints enable row level security;
alter table public.webhook_deliveries enable row level security;
revoke all on public.webhook_endpoints, public.webhook_deliveries from anon, authenticated;
grant select, delete on public.webhook_endpoints to authenticated;
grant insert (user_id, url, events, description) on public.webhook_endpoints to authenticated;
grant update (url, events, description, enabled) on public.webhook_endpoints to authenticated;
grant select on public.webhook_deliveries to authenticated;
grant all on public.webhook_endpoints, public.webhook_deliveries to service_role;

drop policy if exists "Users can read their webhook endpoints" on public.webhook_endpoints;
create policy "Users can read their webhook endpoints" on public.webhook_endpoints
  for select to authenticated using (user_id = (select auth.uid())::text);
drop policy if exists "Users can add webhook endpoints of their own" on public.webhook_endpoints;
create policy "Users can add webhook endpoints of their own" on public.webhook_endpoints
  for insert to authenticated with check (user_id = (select auth.uid())::text and not (select private.is_guest()));
drop policy if exists "Users can change their webhook endpoints" on public.webhook_endpoints;
create policy "Users can change their webhook endpoints" on public.webhook_endpoints
  for update to authenticated
  using (user_id = (select auth.uid())::text) with check (user_id = (select auth.uid())::text);
drop policy if exists "Users can delete their webhook endpoints" on public.webhook_endpoints;
create policy "Users can delete their webhook endpoints" on public.webhook_endpoints
  for delete to authenticated using (user_id = (select auth.uid())::text);
drop policy if exists "Users can read the deliveries of their events" on public.webhook_deliveries;
create policy "Users can read the deliveries of their events" on public.webhook_deliveries
  for select to authenticated using (user_id = (select auth.uid())::text);

revoke execute on all functions in schema private from public, anon;
