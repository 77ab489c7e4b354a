-- Direct uploads: a ticket's reservation, and what became of the file.

create table if not exists private.quotas (
  name text primary key,
  amount bigint not null
);
comment on table private.quotas is 'How much one caller may have; change the amounts as you like.';
alter table private.quotas enable row level security;
revoke all on private.quotas from public, anon, authenticated;
insert into private.quotas (name, amount) values
  ('upload_bytes', 10737418240), ('guest_upload_bytes', 1073741824)
  on conflict do nothing;

create table if not exists public.uploads (
  id uuid primary key default gen_random_uuid(),
  user_id varchar(255) not null,
  is_guest boolean not null default false,
  kind varchar(10) not null,
  frame_id varchar(64),
  content_type varchar(100) not null,
  bytes bigint not null,
  sha256 varchar(64),
  object_name text unique,
  status varchar(50) not null default 'waiting',
  result jsonb,
  code varchar(64),
  detail text,
  attempts integer not null default 0,
  claimed_by varchar(100),
  leased_until timestamptz,
  expires_at timestamptz not null default now() + interval '1 hour',
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint uploads_kind_check check (kind in ('frame', 'clip', 'audio')),
  constraint uploads_status_check check (status in ('waiting', 'processing', 'ready', 'rejected', 'expired')),
  constraint uploads_bytes_check check (bytes between 1 and 524288000)
);
comment on table public.uploads is 'One file that was announced for a direct upload, or arrived in Storage by itself.';
comment on column public.uploads.bytes is 'As announced; the policy of the ticket lets no larger file in.';
comment on column public.uploads.sha256 is 'As announced, hexadecimal; a file that differs is rejected.';
comment on column public.uploads.object_name is 'Name and version in the media bucket, of a file that came straight to Storage.';
comment on column public.uploads.result is 'Where the file lies in the media bucket, and what is known of it.';
comment on column public.uploads.code is 'Why it was rejected: a code of the API.';
comment on column public.uploads.claimed_by is 'The message that the claiming worker handles.';
comment on column public.uploads.leased_until is 'Until when one worker has claimed the file.';
comment on column public.uploads.expires_at is 'Until when the ticket can be used.';

create index if not exists uploads_owner_idx on public.uploads (user_id, status);
create index if not exists uploads_expiry_idx on public.uploads (expires_at) where status = 'waiting';

create or replace trigger uploads_mark_guest before insert on public.uploads
  for each row execute function private.mark_guest();
create or replace trigger uploads_touch before update on public.uploads
  for each row execute function private.touch_updated_at();
-- A file may arrive just before its ticket ends and be processed after it; a worker that gave up leaves it waiting.
create or replace trigger uploads_status before update of status on public.uploads
  for each row execute function private.check_status_change('{
    "waiting": ["processing", "rejected", "expired"],
    "processing": ["ready", "rejected", "waiting"],
    "expired": ["processing", "rejected"]}');

create or replace function private.lock_upload_quota() returns trigger
language plpgsql set search_path = '' as $$
begin
  perform pg_advisory_xact_lock(hashtextextended('upload_quota:' || coalesce((select auth.uid())::text, ''), 0));
  return null;
end $$;
comment on function private.lock_upload_quota() is 'Trigger: reservations of one caller are made one after the other.';

create or replace function private.check_upload_quota() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  if exists (
    select from (select distinct user_id, is_guest from reserved where status = 'waiting') as owner
    join private.quotas q on q.name = case when owner.is_guest then 'guest_upload_bytes' else 'upload_bytes' end
    where q.amount < private.stored_bytes(owner.user_id, q.amount) + (
      select sum(u.bytes) from public.uploads u
      where u.user_id = owner.user_id
        and (u.status = 'processing' or (u.status = 'waiting' and u.expires_at > now())))
  ) then
    raise exception using errcode = 'PT403', message = 'quota_exceeded', detail = '{"quota": "upload_bytes"}';
  end if;
  return null;
end $$;
comment on function private.check_upload_quota() is
  'Trigger: what a caller has in Storage, and what its open tickets announce, stays within its quota.';

create or replace trigger uploads_lock_quota before insert on public.uploads
  for each statement execute function private.lock_upload_quota();
create or replace trigger uploads_check_quota after insert on public.uploads
  referencing new table as reserved for each statement execute function private.check_upload_quota();
revoke execute on function private.lock_upload_quota(), private.check_upload_quota() from public, anon;

alter table public.uploads enable row level security;
revoke all on public.uploads from anon, authenticated;
grant select on public.uploads to authenticated;
grant insert (id, user_id, kind, frame_id, content_type, bytes, sha256) on public.uploads to authenticated;
grant all on public.uploads to service_role;

drop policy if exists "Callers can read their uploads" on public.uploads;
create policy "Callers can read their uploads" on public.uploads
  for select to authenticated using (user_id = (select auth.uid())::text);
drop policy if exists "Callers can announce uploads of their own" on public.uploads;
create policy "Callers can announce uploads of their own" on public.uploads
  for insert to authenticated with check (user_id = (select auth.uid())::text);

create or replace function public.announce_uploads(
  p_files jsonb, p_idempotency_key text default null, p_request_hash text default null)
returns jsonb
language plpgsql security invoker set search_path = '' as $$
declare
  answer jsonb;
begin
  if p_idempotency_key is not null then
    answer := private.recall_answer(p_idempotency_key, p_request_hash);
    if answer is not null then
      return answer;
    end if;
  end if;
  with wanted as materialized (
    select gen_random_uuid() as id, f.*
    from rows from (jsonb_to_recordset(p_files) as (
      kind text, frame_id text, content_type text, bytes bigint, sha256 text)) with ordinality
      as f (kind, frame_id, content_type, bytes, sha256, position)
  ), announced as (
    insert into public.uploads (id, user_id, kind, frame_id, content_type, bytes, sha256)
      select id, (select auth.uid())::text, kind, frame_id, content_type, bytes, sha256 from wanted
      returning id, content_type, bytes, expires_at
  )
  select jsonb_agg(to_jsonb(announced) order by wanted.position) into answer from announced join wanted using (id);
  if p_idempotency_key is not null then
    perform private.remember_answer(p_idempotency_key, answer);
  end if;
  return answer;
end $$;
comment on function public.announce_uploads(jsonb, text, text) is
  'Reserves uploads (kind, frame_id, content_type, bytes, sha256), all or none, and returns their rows in that order.';
revoke execute on function public.announce_uploads(jsonb, text, text) from public, anon;
grant execute on function public.announce_uploads(jsonb, text, text) to authenticated, service_role;

create or replace function private.usable_upload(p_upload_id uuid, p_kind text, p_path text) returns text
language plpgsql stable security definer set search_path = '' as $$
declare
  upload public.uploads;
begin
  select * into upload from public.uploads where id = p_upload_id and user_id = (select auth.uid())::text;
  if not found then
    raise exception using errcode = 'PT404', message = 'upload_not_found';
  elsif upload.kind <> p_kind or upload.status <> 'ready' then
    raise exception using errcode = 'PT422', message = 'upload_not_usable',
      detail = jsonb_build_object('errors', jsonb_build_array(jsonb_build_object(
        'path', p_path, 'message', format('must be a ready upload of the kind `%s`', p_kind))))::text;
  end if;
  return upload.result ->> 'path';
end $$;
comment on function private.usable_upload(uuid, text, text) is
  'The name in the media bucket of a ready upload of the caller''s, of this kind; `p_path` is the field that names it.';

revoke execute on function private.usable_upload(uuid, text, text) from public, anon;
grant execute on function private.usable_upload(uuid, text, text) to authenticated, service_role;

create or replace function public.claim_upload(p_id uuid, p_worker text, p_lease_seconds integer) returns jsonb
language plpgsql security invoker set search_path = '' as $$
declare
  claimed public.uploads;
begin
  update public.uploads
    set status = 'processing', attempts = attempts + 1, claimed_by = p_worker,
      leased_until = now() + make_interval(secs => p_lease_seconds)
    where id = p_id
      and (
        status in ('waiting', 'expired')
        or (status = 'processing' and (leased_until < now() or claimed_by = p_worker)))
    returning * into claimed;
  if found then
    return to_jsonb(claimed) || '{"claimed": true}';
  end if;
  return (select to_jsonb(u) || '{"claimed": false}' from public.uploads u where id = p_id);
end $$;
comment on function public.claim_upload(uuid, text, integer) is
  'Claims an upload for one worker, for so many seconds. Returns the row with `claimed`, or null where there is none. A '
  'message that comes again may take over its own claim at once: whoever handled it before is gone.';

create or replace function public.settle_upload(
  p_id uuid, p_attempt integer, p_status text,
  p_result jsonb default null, p_code text default null, p_detail text default null)
returns boolean
language plpgsql security invoker set search_path = '' as $$
begin
  update public.uploads
    set status = p_status, result = p_result, code = p_code, detail = p_detail, leased_until = null
    where id = p_id and status = 'processing' and attempts = p_attempt;
  return found;
end $$;
comment on function public.settle_upload(uuid, integer, text, jsonb, text, text) is
  'Says what became of an upload: ready with a result, rejected with a code, waiting for another try. False for a '
  'worker whose claim was taken over: its attempt is not the current one.';

create or replace function public.record_storage_upload(
  p_user_id text, p_object_name text, p_bytes bigint, p_content_type text, p_status text,
  p_result jsonb default null, p_code text default null, p_detail text default null)
returns void
language sql security invoker set search_path = '' as $$
  insert into public.uploads (user_id, kind, content_type, bytes, object_name, status, result, code, detail)
    values (
      p_user_id, 'frame', left(p_content_type, 100), least(greatest(p_bytes, 1), 524288000), p_object_name, p_status,
      p_result, p_code, p_detail)
    on conflict (object_name) do nothing
$$;
comment on function public.record_storage_upload(text, text, bigint, text, text, jsonb, text, text) is
  'Notes what became of a file that came straight to Storage, by its name and version; a repeat changes nothing.';

create or replace function public.expire_uploads(p_dry_run boolean) returns bigint
language plpgsql security invoker set search_path = '' as $$
declare
  counted bigint;
begin
  if p_dry_run then
    return (select count(*) from public.uploads where status = 'waiting' and expires_at < now());
  end if;
  update public.uploads set status = 'expired' where status = 'waiting' and expires_at < now();
  get diagnostics counted = row_count;
  return counted;
end $$;
comment on function public.expire_uploads(boolean) is 'Marks tickets that nobody used in time, and returns how many.';

revoke execute on function
  public.claim_upload(uuid, text, integer), public.settle_upload(uuid, integer, text, jsonb, text, text),
  public.record_storage_upload(text, text, bigint, text, text, jsonb, text, text), public.expire_uploads(boolean)
  from public, anon, authenticated;
grant execute on function
  public.claim_upload(uuid, text, integer), public.settle_upload(uuid, integer, text, jsonb, text, text),
  public.record_storage_upload(text, text, bigint, text, text, jsonb, text, text), public.expire_uploads(boolean)
  to service_role;
