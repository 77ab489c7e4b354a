-- Answers of POSTs that carried an Idempotency-Key, replayed for 24 hours.

create table if not exists public.idempotency_keys (
  user_id varchar(255) not null,
  key varchar(255) not null,
  request_hash varchar(64) not null,
  response jsonb,
  created_at timestamptz not null default now(),
  primary key (user_id, key)
);
comment on table public.idempotency_keys is 'What was answered to a request that the client may send again.';
comment on column public.idempotency_keys.request_hash is 'SHA-256 of the request, hexadecimal.';
create index if not exists idempotency_keys_created_idx on public.idempotency_keys (created_at);

alter table public.idempotency_keys enable row level security;
revoke all on public.idempotency_keys from anon, authenticated;
grant select, insert, update, delete on public.idempotency_keys to authenticated;
grant all on public.idempotency_keys to service_role;

drop policy if exists "Callers can read their idempotency keys" on public.idempotency_keys;
create policy "Callers can read their idempotency keys" on public.idempotency_keys
  for select to authenticated using (user_id = (select auth.uid())::text);
drop policy if exists "Callers can add idempotency keys of their own" on public.idempotency_keys;
create policy "Callers can add idempotency keys of their own" on public.idempotency_keys
  for insert to authenticated with check (user_id = (select auth.uid())::text);
drop policy if exists "Callers can change their idempotency keys" on public.idempotency_keys;
create policy "Callers can change their idempotency keys" on public.idempotency_keys
  for update to authenticated
  using (user_id = (select auth.uid())::text) with check (user_id = (select auth.uid())::text);
drop policy if exists "Callers can delete their idempotency keys" on public.idempotency_keys;
create policy "Callers can delete their idempotency keys" on public.idempotency_keys
  for delete to authenticated using (user_id = (select auth.uid())::text);

create or replace function private.recall_answer(p_key text, p_request_hash text) returns jsonb
language plpgsql security invoker set search_path = '' as $$
declare
  caller constant text := (select auth.uid())::text;
  known public.idempotency_keys;
begin
  delete from public.idempotency_keys
    where user_id = caller and key = p_key and created_at < now() - interval '24 hours';
  insert into public.idempotency_keys (user_id, key, request_hash) values (caller, p_key, p_request_hash)
    on conflict do nothing;
  select * into known from public.idempotency_keys where user_id = caller and key = p_key for update;
  if known.request_hash <> p_request_hash then
    raise exception using errcode = 'PT409', message = 'idempotency_key_reused';
  end if;
  return known.response;
end $$;
comment on function private.recall_answer(text, text) is
  'The stored answer of this key, or null where the request is new: then the key stays locked until the '
  'transaction ends, so that a second request with it waits for the first one''s answer.';

create or replace function private.remember_answer(p_key text, p_response jsonb) returns void
language sql security invoker set search_path = '' as $$
  update public.idempotency_keys set response = p_response
    where user_id = (select auth.uid())::text and key = p_key
$$;
comment on function private.remember_answer(text, jsonb) is 'Stores the answer to replay.';

revoke execute on all functions in schema private from public, anon;
grant execute on function private.recall_answer(text, text), private.remember_answer(text, jsonb)
  to authenticated, service_role;
