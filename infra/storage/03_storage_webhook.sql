-- Tells the function `storage_webhook` of each file that an app puts into the media bucket by itself. pg_net sends the
-- request after the commit: Supabase's Database Webhooks (`supabase_functions.http_request`) stand on it too. Where it is
-- missing, or no address was given, nothing is sent, and it begins as soon as both are there. pg_net sends once, so it is
-- written down what was sent, until the function says what became of the file; upkeep sends the rest again.

create table if not exists private.webhook_targets (
  name text primary key,
  url text not null,
  secret text not null
);
comment on table private.webhook_targets is
  'Where the database announces changes, and the secret that it proves itself with; set by the migration.';
alter table private.webhook_targets enable row level security;
revoke all on private.webhook_targets from public, anon, authenticated, service_role;

create table if not exists private.object_announcements (
  object_id uuid primary key,
  version text,
  attempts integer not null default 1,
  first_at timestamptz not null default now(),
  last_at timestamptz not null default now()
);
comment on table private.object_announcements is
  'Files that `storage_webhook` was told of, this version of them, and has not said yet what became of.';
create index if not exists object_announcements_last_idx on private.object_announcements (last_at);
alter table private.object_announcements enable row level security;
revoke all on private.object_announcements from public, anon, authenticated;
grant select, delete on private.object_announcements to service_role;

create or replace function private.send_announcement(p_operation text, p_object jsonb, p_before jsonb) returns boolean
language plpgsql security definer set search_path = '' as $$
declare
  target record;
begin
  select url, secret into target from private.webhook_targets where name = 'storage_webhook';
  if not found or to_regprocedure('net.http_post(text, jsonb, jsonb, jsonb, integer)') is null then
    return false;
  end if;
  perform net.http_post(
    url := target.url,
    body := jsonb_build_object(
      'type', p_operation, 'table', 'objects', 'schema', 'storage', 'record', p_object, 'old_record', p_before),
    headers := jsonb_build_object(
      'Content-Type', 'application/json',
      'X-Webhook-Secret', target.secret,
      'X-Webhook-Timestamp', extract(epoch from clock_timestamp())::bigint::text),
    timeout_milliseconds := 10000);
  return true;
end $$;
comment on function private.send_announcement(text, jsonb, jsonb) is
  'Sends a row of storage.objects in the form of a Database Webhook; false where there is nobody to tell, or no way.';
revoke execute on function private.send_announcement(text, jsonb, jsonb) from public, anon, authenticated;

create or replace function private.announce_object() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  if tg_op = 'UPDATE'
     and (new.bucket_id, new.name, new.version, new.metadata)
       is not distinct from (old.bucket_id, old.name, old.version, old.metadata) then
    return null;
  end if;
  if private.send_announcement(tg_op, to_jsonb(new), case when tg_op = 'UPDATE' then to_jsonb(old) end) then
    insert into private.object_announcements (object_id, version) values (new.id, new.version)
      on conflict (object_id) do update set version = excluded.version, attempts = 1, first_at = now(), last_at = now();
  end if;
  return null;
exception when others then
  raise warning 'A new file is not announced: %', sqlerrm;
  return null;
end $$;
comment on function private.announce_object() is
  'Trigger: announces a new or changed file in the form of a Database Webhook. It never fails the write that it tells of.';
revoke execute on function private.announce_object() from public, anon, authenticated;

create or replace function public.settle_announcement(p_object_id uuid, p_version text) returns void
language sql security invoker set search_path = '' as $$
  delete from private.object_announcements where object_id = p_object_id and version is not distinct from p_version
$$;
comment on function public.settle_announcement(uuid, text) is
  'Notes that it is known what became of a file; of another version of it that is not said.';

create or replace function private.announce_again(p_limit integer) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  waiting private.object_announcements;
  file jsonb;
  sent integer := 0;
  given_up integer := 0;
begin
  for waiting in
    select * from private.object_announcements a
    where a.last_at < now() - interval '5 minutes'
      and a.last_at < now() - interval '5 minutes' * 4 ^ (a.attempts - 1)
    order by a.last_at limit p_limit for update skip locked
  loop
    select to_jsonb(o) into file from storage.objects o
      where o.id = waiting.object_id and o.version is not distinct from waiting.version;
    if file is null or waiting.first_at < now() - interval '24 hours' then
      delete from private.object_announcements where object_id = waiting.object_id;
      given_up := given_up + (file is not null)::integer;
    elsif private.send_announcement('UPDATE', file, file) then
      update private.object_announcements set attempts = attempts + 1, last_at = now()
        where object_id = waiting.object_id;
      sent := sent + 1;
    end if;
  end loop;
  return jsonb_build_object('sent', sent, 'givenUp', given_up);
end $$;
comment on function private.announce_again(integer) is 'What public.announce_objects_again does, which may not send by itself.';

create or replace function public.announce_objects_again(p_limit integer) returns jsonb
language sql security invoker set search_path = '' as $$
  select private.announce_again(p_limit)
$$;
comment on function public.announce_objects_again(integer) is
  'Announces files again of which nothing was heard for 5, 20, 80 … minutes; those of a day ago are given up and stay as '
  'they are. Returns how many of each.';

revoke execute on function
  private.announce_again(integer), public.announce_objects_again(integer), public.settle_announcement(uuid, text)
  from public, anon, authenticated;
grant execute on function
  private.announce_again(integer), public.announce_objects_again(integer), public.settle_announcement(uuid, text)
  to service_role;

-- A file without an owner was written with the service key, which is to say by ourselves.
do $$
begin
  create or replace trigger videomaker_announce_object after insert or update on storage.objects
    for each row when (new.bucket_id = 'videomaker' and new.owner_id is not null)
    execute function private.announce_object();
exception when insufficient_privilege then
  raise warning 'Files put straight into Storage are not announced: %. Make a Database Webhook on storage.objects.', sqlerrm;
end $$;
