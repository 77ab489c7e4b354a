-- Tells the function `storage_webhook` of each file that an app puts into the media bucket by itself. pg_net sends the
-- request after the commit: Supabase's Database Webhooks (`supabase_functions.http_request`) stand on it too. Where it is
-- missing, or no address was given, nothing is sent, and it begins as soon as both are there.

create table if not exists private.webhook_targets (
  name text primary key,
  url text not null,
  secret text not null
);
comment on table private.webhook_targets is
  'Where the database announces changes, and the secret that it proves itself with; set by the migration.';
alter table private.webhook_targets enable row level security;
revoke all on private.webhook_targets from public, anon, authenticated, service_role;

create or replace function private.announce_object() returns trigger
language plpgsql security definer set search_path = '' as $$
declare
  target record;
begin
  if tg_op = 'UPDATE'
     and (new.bucket_id, new.name, new.version, new.metadata)
       is not distinct from (old.bucket_id, old.name, old.version, old.metadata) then
    return null;
  end if;
  select url, secret into target from private.webhook_targets where name = 'storage_webhook';
  if not found or to_regprocedure('net.http_post(text, jsonb, jsonb, jsonb, integer)') is null then
    return null;
  end if;
  perform net.http_post(
    url := target.url,
    body := jsonb_build_object(
      'type', tg_op, 'table', tg_table_name, 'schema', tg_table_schema,
      'record', to_jsonb(new), 'old_record', case when tg_op = 'UPDATE' then to_jsonb(old) end),
    headers := jsonb_build_object(
      'Content-Type', 'application/json',
      'X-Webhook-Secret', target.secret,
      'X-Webhook-Timestamp', extract(epoch from clock_timestamp())::bigint::text),
    timeout_milliseconds := 10000);
  return null;
exception when others then
  raise warning 'A new file is not announced: %', sqlerrm;
  return null;
end $$;
comment on function private.announce_object() is
  'Trigger: announces a new or changed file in the form of a Database Webhook. It never fails the write that it tells of.';
revoke execute on function private.announce_object() from public, anon, authenticated;

-- A file without an owner was written with the service key, which is to say by ourselves.
do $$
begin
  create or replace trigger videomaker_announce_object after insert or update on storage.objects
    for each row when (new.bucket_id = 'videomaker' and new.owner_id is not null)
    execute function private.announce_object();
exception when insufficient_privilege then
  raise warning 'Files put straight into Storage are not announced: %. Make a Database Webhook on storage.objects.', sqlerrm;
end $$;
