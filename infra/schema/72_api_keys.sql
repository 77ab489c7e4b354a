-- Keys by which programs act for their owner. A key is shown once; only its SHA-256 is kept.
-- A key is known to the database by the token that the functions mint for it: app_metadata, which users cannot write,
-- then says `{"provider": "api_key", "key": "<prefix>"}`. What it may do is read from its row each time, so that
-- revoking it takes effect at once.

create table if not exists public.api_keys (
  id bigint generated always as identity primary key,
  prefix varchar(12) not null unique,
  key_hash varchar(64) not null,
  user_id varchar(255) not null,
  name varchar(100) not null,
  scopes text[] not null,
  expires_at timestamptz,
  last_used_at timestamptz,
  created_at timestamptz not null default now(),
  constraint api_keys_prefix_check check (prefix ~ '^[a-z0-9]{12}$'),
  constraint api_keys_hash_check check (key_hash ~ '^[0-9a-f]{64}$'),
  constraint api_keys_expiry_check check (expires_at < '9999-01-01T00:00:00Z'),
  constraint api_keys_scopes_check check (cardinality(scopes) > 0 and scopes <@ array['read', 'write', 'render'])
);
comment on table public.api_keys is 'One key by which a program acts for its owner. Revoking it deletes the row.';
comment on column public.api_keys.prefix is 'The part of the key that names it, and is shown in lists.';
comment on column public.api_keys.key_hash is 'SHA-256 of the whole key, hexadecimal.';
comment on column public.api_keys.user_id is 'The owner: the subject of its access token.';
comment on column public.api_keys.last_used_at is 'To about a minute.';

create index if not exists api_keys_owner_idx on public.api_keys (user_id, id desc);

create or replace function private.is_api_key() returns boolean
language sql stable set search_path = '' as $$
  select coalesce((select auth.jwt()) -> 'app_metadata' ->> 'provider' = 'api_key', false)
$$;
comment on function private.is_api_key() is 'Whether an API key acts here for its owner.';

create or replace function private.is_person() returns boolean
language sql stable set search_path = '' as $$
  select not private.is_guest() and not private.is_api_key()
$$;
comment on function private.is_person() is 'Whether the caller has signed in: no guest, no API key.';

create or replace function private.key_may(p_scopes text[] default '{read,write,render}') returns boolean
language sql stable security definer set search_path = '' as $$
  select not private.is_api_key() or exists (
    select from public.api_keys k
    where k.prefix = (select auth.jwt()) -> 'app_metadata' ->> 'key'
      and k.user_id = (select auth.uid())::text
      and (k.expires_at is null or k.expires_at > now())
      and not exists (select from auth.users u where u.id = (select auth.uid()) and u.banned_until > now())
      and k.scopes && p_scopes)
$$;
comment on function private.key_may(text[]) is
  'Whether the API key that acts here was neither revoked nor has expired, its owner is not banned, and it has one of '
  'these scopes. True for callers that are no API keys.';

create or replace function private.check_key_scope() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  if not private.key_may() then
    raise exception using errcode = 'PT401', message = 'invalid_api_key';
  elsif not private.key_may(tg_argv) then
    raise exception using errcode = 'PT403', message = 'insufficient_scope';
  end if;
  return null;
end $$;
comment on function private.check_key_scope() is
  'Trigger: refuses an API key without one of the scopes that are its arguments, in functions that pass row level '
  'security by too.';

create or replace trigger final_videos_key_scope before insert on public.final_videos
  for each statement execute function private.check_key_scope('render');

create or replace function private.guard_tables() returns void
language plpgsql set search_path = '' as $$
declare
  guarded regclass;
  operation text;
begin
  for guarded in
    select c.oid from pg_catalog.pg_class c
    where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and c.relrowsecurity
      -- Here no API key may do anything, but a lookup notes that one is used.
      and c.oid <> 'public.api_keys'::regclass
  loop
    execute format('drop policy if exists "API keys read while they are valid" on %s', guarded);
    execute format(
      'create policy "API keys read while they are valid" on %s as restrictive for select to authenticated'
      ' using ((select private.key_may()))', guarded);
    -- What was done is noted of reading too; nobody writes there but functions that see to it themselves.
    continue when guarded::text in ('usage_events', 'public.usage_events');
    execute format(
      'create or replace trigger check_key_scope before insert or update or delete on %s'
      ' for each statement execute function private.check_key_scope(''write'', ''render'')', guarded);
  end loop;
  foreach operation in array array['select', 'insert', 'update', 'delete'] loop
    execute format('drop policy if exists "API keys %s files within their scopes" on storage.objects', operation);
    execute format(
      'create policy "API keys %1$s files within their scopes" on storage.objects as restrictive for %1$s'
      ' to authenticated %2$s ((select private.key_may(%3$L)))',
      operation,
      case operation when 'insert' then 'with check' else 'using' end,
      case operation when 'select' then '{read,write,render}' else '{write,render}' end);
  end loop;
end $$;
comment on function private.guard_tables() is
  'Lets API keys change nothing without `write` or `render`, nor read once they are revoked, in every table there is and '
  'in Storage; called after each migration. Which of the two scopes it takes is mostly for the functions to say.';

create or replace function private.check_key_quota() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  perform pg_advisory_xact_lock(hashtextextended('api_keys:' || coalesce((select auth.uid())::text, ''), 0));
  if exists (
    select from (select distinct user_id from issued) as owner
    join private.quotas q on q.name = 'api_keys'
    where q.amount < (select count(*) from public.api_keys k where k.user_id = owner.user_id)
  ) then
    raise exception using errcode = 'PT403', message = 'quota_exceeded', detail = '{"quota": "api_keys"}';
  end if;
  return null;
end $$;
comment on function private.check_key_quota() is 'Trigger: a caller has as many keys as its quota allows.';
insert into private.quotas (name, amount) values ('api_keys', 50) on conflict do nothing;

create or replace trigger api_keys_check_quota after insert on public.api_keys
  referencing new table as issued for each statement execute function private.check_key_quota();

create or replace function private.forget_api_keys() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  delete from public.api_keys where user_id = old.id::text;
  return null;
end $$;
comment on function private.forget_api_keys() is 'Trigger: no API key acts for a user who was deleted.';
do $$
begin
  create or replace trigger videomaker_forget_api_keys after delete on auth.users
    for each row execute function private.forget_api_keys();
exception when insufficient_privilege then
  raise warning 'API keys of deleted users stay valid: %. Revoke them, or delete accounts by history first.', sqlerrm;
end $$;

create or replace function private.find_api_key() returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  claims constant jsonb := (select auth.jwt()) -> 'app_metadata';
  -- How long two salted hashes take to compare tells nothing of what was hashed.
  salt constant text := gen_random_uuid()::text;
  known public.api_keys;
begin
  if claims ->> 'provider' = 'api_key' then
    select * into known from public.api_keys where prefix = claims ->> 'key';
  end if;
  if sha256(convert_to(known.key_hash || salt, 'UTF8'))
     is distinct from sha256(convert_to(claims ->> 'hash' || salt, 'UTF8')) or known.id is null
     or exists (select from auth.users u where u.id = known.user_id::uuid and u.banned_until > now()) then
    raise exception using errcode = 'PT401', message = 'invalid_api_key';
  elsif known.expires_at <= now() then
    raise exception using errcode = 'PT401', message = 'api_key_expired';
  end if;
  -- Nobody waits for this: neither for the disk, nor for another request that notes the same.
  perform set_config('synchronous_commit', 'off', true);
  update public.api_keys set last_used_at = now()
    where id = (
      select k.id from public.api_keys k
      where k.id = known.id and (k.last_used_at is null or k.last_used_at < now() - interval '1 minute')
      for no key update skip locked);
  return jsonb_build_object('user_id', known.user_id, 'scopes', known.scopes, 'expires_at', known.expires_at);
end $$;
comment on function private.find_api_key() is 'What public.find_api_key does, past row level security.';

revoke execute on all functions in schema private from public, anon;
grant execute on function private.is_api_key(), private.is_person(), private.key_may(text[]), private.find_api_key()
  to authenticated, service_role;

alter table public.api_keys enable row level security;
revoke all on public.api_keys from anon, authenticated;
grant select (id, prefix, user_id, name, scopes, expires_at, last_used_at, created_at), delete
  on public.api_keys to authenticated;
grant insert (prefix, key_hash, user_id, name, scopes, expires_at) on public.api_keys to authenticated;
grant all on public.api_keys to service_role;

drop policy if exists "People can see their API keys" on public.api_keys;
create policy "People can see their API keys" on public.api_keys
  for select to authenticated using (user_id = (select auth.uid())::text and (select private.is_person()));
drop policy if exists "People can issue API keys for themselves" on public.api_keys;
create policy "People can issue API keys for themselves" on public.api_keys
  for insert to authenticated with check (user_id = (select auth.uid())::text and (select private.is_person()));
drop policy if exists "People can revoke their API keys" on public.api_keys;
create policy "People can revoke their API keys" on public.api_keys
  for delete to authenticated using (user_id = (select auth.uid())::text and (select private.is_person()));

create or replace function public.find_api_key() returns jsonb
language sql security invoker set search_path = '' as $$
  select private.find_api_key()
$$;
comment on function public.find_api_key() is
  'The owner, scopes and expiry of the key whose prefix and SHA-256 the token says (`key` and `hash` of app_metadata); '
  'only who signs tokens of this project can ask. Notes that the key is used.';

create or replace function public.list_api_keys(p_limit integer, p_before bigint default null) returns jsonb
language sql stable security invoker set search_path = '' as $$
  select coalesce(jsonb_agg(to_jsonb(page) order by page.id desc), '[]')
  from (
    select k.id, k.prefix, k.name, k.scopes, k.expires_at, k.last_used_at, k.created_at
    from public.api_keys k
    where k.user_id = (select auth.uid())::text and (p_before is null or k.id < p_before)
    order by k.id desc
    limit p_limit) as page
$$;
comment on function public.list_api_keys(integer, bigint) is 'The caller''s keys, newest first, below an id.';

create or replace function public.issue_api_key(
  p_prefix text, p_key_hash text, p_name text, p_scopes text[], p_expires_at timestamptz default null,
  p_idempotency_key text default null, p_request_hash text default null)
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
  insert into public.api_keys as k (prefix, key_hash, user_id, name, scopes, expires_at)
    values (p_prefix, p_key_hash, (select auth.uid())::text, p_name, p_scopes, p_expires_at)
    returning jsonb_build_object(
      'id', k.id, 'prefix', k.prefix, 'name', k.name, 'scopes', k.scopes, 'expires_at', k.expires_at,
      'last_used_at', k.last_used_at, 'created_at', k.created_at)
    into answer;
  if p_idempotency_key is not null then
    perform private.remember_answer(p_idempotency_key, answer);
  end if;
  return answer;
end $$;
comment on function public.issue_api_key(text, text, text, text[], timestamptz, text, text) is
  'Stores a new key of the caller, and returns what list_api_keys does of it.';

create or replace function public.revoke_api_key(p_prefix text) returns void
language plpgsql security invoker set search_path = '' as $$
begin
  delete from public.api_keys where prefix = p_prefix and user_id = (select auth.uid())::text;
  if not found then
    raise exception using errcode = 'PT404', message = 'api_key_not_found';
  end if;
end $$;
comment on function public.revoke_api_key(text) is 'Ends a key of the caller, at once and for good.';

revoke execute on function
  public.find_api_key(), public.list_api_keys(integer, bigint),
  public.issue_api_key(text, text, text, text[], timestamptz, text, text), public.revoke_api_key(text)
  from public, anon;
grant execute on function
  public.find_api_key(), public.list_api_keys(integer, bigint),
  public.issue_api_key(text, text, text, text[], timestamptz, text, text), public.revoke_api_key(text)
  to authenticated, service_role;
