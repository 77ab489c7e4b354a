-- What policies and triggers call. The API exposes `public` only, so nothing here can be called from outside.

create schema if not exists private;
comment on schema private is 'Functions for policies and triggers, and upkeep tables; not exposed by the API.';
revoke all on schema private from public, anon;
grant usage on schema private to authenticated, service_role;
alter default privileges in schema private revoke execute on functions from public;

create or replace function private.touch_updated_at() returns trigger
language plpgsql set search_path = '' as $$
begin
  new.updated_at := now();
  return new;
end $$;
comment on function private.touch_updated_at() is 'Trigger: keeps updated_at.';

create or replace function private.is_guest() returns boolean
language sql stable set search_path = '' as $$
  select coalesce((select auth.jwt()) -> 'app_metadata' ->> 'provider' = 'guest', false)
$$;
comment on function private.is_guest() is
  'Whether the caller is a guest; the claim lies in app_metadata, which users cannot write.';

create or replace function private.mark_guest() returns trigger
language plpgsql set search_path = '' as $$
begin
  new.is_guest := private.is_guest();
  return new;
end $$;
comment on function private.mark_guest() is 'Trigger: a caller cannot say itself whether it is a guest.';

create or replace function private.check_status_change() returns trigger
language plpgsql set search_path = '' as $$
declare
  legal jsonb := tg_argv[0]::jsonb;
begin
  if new.status is distinct from old.status
     and not coalesce(legal -> old.status ? new.status, false) then
    raise exception using
      errcode = '23514',
      message = format('%s cannot change from %s to %s', tg_table_name, old.status, new.status);
  end if;
  return new;
end $$;
comment on function private.check_status_change() is
  'Trigger: lets a status change only as its argument says, a JSON object from old status to a list of new ones.';

revoke execute on all functions in schema private from public, anon;
grant execute on function private.is_guest() to authenticated, service_role;
