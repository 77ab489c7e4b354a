-- What the functions `webhooks` (as the caller) and `deliver_webhook` and `maintenance` (as the service) ask.

-- Secrets: made here, and shown only to their owner by the call that makes them

create or replace function private.webhook_secret(p_endpoint_id uuid) returns text
language sql stable security definer set search_path = '' as $$
  select s.secret from private.webhook_secrets s
  where s.user_id = (select auth.uid())::text and s.endpoint_id is not distinct from p_endpoint_id
    and s.expires_at is null
$$;
comment on function private.webhook_secret(uuid) is 'The current secret of an endpoint of the caller''s; of null, its own.';

create or replace function private.replace_webhook_secret(p_endpoint_id uuid, p_overlap_hours integer)
returns timestamptz
language plpgsql security definer set search_path = '' as $$
declare
  caller constant text := (select auth.uid())::text;
  expiry constant timestamptz := now() + make_interval(hours => p_overlap_hours);
begin
  perform pg_advisory_xact_lock(hashtextextended('webhook_secret:' || coalesce(p_endpoint_id::text, caller), 0));
  update private.webhook_secrets s set expires_at = least(s.expires_at, expiry)
    where s.user_id = caller and s.endpoint_id is not distinct from p_endpoint_id;
  delete from private.webhook_secrets s
    where s.user_id = caller and s.endpoint_id is not distinct from p_endpoint_id
      and (s.expires_at <= now() or s.id not in (
        select newest.id from private.webhook_secrets newest
        where newest.user_id = caller and newest.endpoint_id is not distinct from p_endpoint_id
        order by newest.id desc limit 2));
  -- Where an event of the caller's makes the first one at this very moment, that one is taken.
  insert into private.webhook_secrets (user_id, endpoint_id) values (caller, p_endpoint_id) on conflict do nothing;
  return (
    select max(s.expires_at) from private.webhook_secrets s
    where s.user_id = caller and s.endpoint_id is not distinct from p_endpoint_id);
end $$;
comment on function private.replace_webhook_secret(uuid, integer) is
  'Makes a new secret for an endpoint that the caller is known to own, or for null its own, and returns until when the '
  'one before still signs. Two that were replaced do at most.';

create or replace function private.add_delivery(
  p_endpoint_id uuid, p_url text, p_video_id uuid, p_event_id text, p_type text, p_payload jsonb, p_redelivery_of uuid)
returns jsonb
language sql volatile security definer set search_path = '' as $$
  insert into public.webhook_deliveries as d
    (user_id, endpoint_id, url, video_id, event_id, type, payload, redelivery_of, announce_at)
    values (
      (select auth.uid())::text, p_endpoint_id, p_url, p_video_id, p_event_id, p_type, p_payload, p_redelivery_of,
      now() + interval '1 minute')
    returning to_jsonb(d)
$$;
comment on function private.add_delivery(uuid, text, uuid, text, text, jsonb, uuid) is
  'Adds a delivery that the caller asks for, to where it is known to be allowed to. The caller tells the queue of it.';

-- As the caller

create or replace function private.own_endpoint(p_endpoint_id uuid, p_enabled boolean)
returns public.webhook_endpoints
language plpgsql stable security invoker set search_path = '' as $$
declare
  found_one public.webhook_endpoints;
begin
  select * into found_one from public.webhook_endpoints where endpoint_id = p_endpoint_id;
  if not found then
    raise exception using errcode = 'PT404', message = 'webhook_not_found';
  end if;
  if p_enabled and not found_one.enabled then
    raise exception using errcode = 'PT409', message = 'webhook_disabled';
  end if;
  return found_one;
end $$;
comment on function private.own_endpoint(uuid, boolean) is 'The endpoint, if the caller may see it and, where asked, it is enabled.';

create or replace function public.list_webhook_endpoints(p_before bigint, p_limit integer)
returns setof public.webhook_endpoints
language sql stable security invoker set search_path = '' as $$
  select * from public.webhook_endpoints e where p_before is null or e.id < p_before order by e.id desc limit p_limit
$$;
comment on function public.list_webhook_endpoints(bigint, integer) is 'The caller''s endpoints, newest first, behind an id.';

create or replace function public.webhook_log(p_endpoint_id uuid, p_video_id uuid, p_before bigint, p_limit integer)
returns jsonb
language plpgsql stable security invoker set search_path = '' as $$
declare
  endpoint public.webhook_endpoints;
begin
  if p_endpoint_id is not null then
    endpoint := private.own_endpoint(p_endpoint_id, false);
  end if;
  return jsonb_build_object(
    'endpoint', case when p_endpoint_id is not null then to_jsonb(endpoint) end,
    'deliveries', coalesce((
      select jsonb_agg(to_jsonb(page) order by page.id desc)
      from (
        select * from public.webhook_deliveries d
        where (p_endpoint_id is null or d.endpoint_id = p_endpoint_id)
          and (p_video_id is null or d.video_id = p_video_id)
          and (p_before is null or d.id < p_before)
        order by d.id desc limit p_limit) as page), '[]'));
end $$;
comment on function public.webhook_log(uuid, uuid, bigint, integer) is
  'An endpoint of the caller''s and its deliveries, or those of a video, newest first, behind an id.';

create or replace function public.create_webhook_endpoint(
  p_url text, p_events text[], p_description text,
  p_idempotency_key text default null, p_request_hash text default null)
returns jsonb
language plpgsql security invoker set search_path = '' as $$
declare
  answer jsonb;
begin
  if p_idempotency_key is not null then
    answer := private.recall_answer(p_idempotency_key, p_request_hash);
  end if;
  if answer is null then
    insert into public.webhook_endpoints as e (user_id, url, events, description)
      values ((select auth.uid())::text, p_url, p_events, p_description)
      returning jsonb_build_object('endpoint', to_jsonb(e)) into answer;
    if p_idempotency_key is not null then
      perform private.remember_answer(p_idempotency_key, answer);
    end if;
  end if;
  -- What is kept of an answer never holds the secret.
  return answer || jsonb_build_object('secret', private.webhook_secret((answer -> 'endpoint' ->> 'endpoint_id')::uuid));
end $$;
comment on function public.create_webhook_endpoint(text, text[], text, text, text) is 'Adds an endpoint, and returns it with its secret.';

create or replace function public.rotate_webhook_secret(
  p_endpoint_id uuid, p_overlap_hours integer, p_idempotency_key text default null, p_request_hash text default null)
returns jsonb
language plpgsql security invoker set search_path = '' as $$
declare
  answer jsonb;
begin
  if p_endpoint_id is not null then
    perform private.own_endpoint(p_endpoint_id, false);
  end if;
  if p_idempotency_key is not null then
    answer := private.recall_answer(p_idempotency_key, p_request_hash);
  end if;
  if answer is null then
    answer := jsonb_build_object(
      'endpoint_id', p_endpoint_id,
      'previous_secret_expires_at', private.replace_webhook_secret(p_endpoint_id, p_overlap_hours));
    if p_idempotency_key is not null then
      perform private.remember_answer(p_idempotency_key, answer);
    end if;
  end if;
  return answer || jsonb_build_object('secret', private.webhook_secret(p_endpoint_id));
end $$;
comment on function public.rotate_webhook_secret(uuid, integer, text, text) is
  'Replaces the secret of an endpoint, or of null: the one for addresses given for single videos. Returns the new one.';

create or replace function public.update_webhook_endpoint(p_endpoint_id uuid, p_changes jsonb) returns jsonb
language plpgsql security invoker set search_path = '' as $$
declare
  changed public.webhook_endpoints;
begin
  perform private.own_endpoint(p_endpoint_id, false);
  update public.webhook_endpoints e set
      url = coalesce(p_changes ->> 'url', e.url),
      events = case when p_changes ? 'events' then array(select jsonb_array_elements_text(p_changes -> 'events'))
        else e.events end,
      description = case when p_changes ? 'description' then p_changes ->> 'description' else e.description end,
      enabled = coalesce((p_changes ->> 'enabled')::boolean, e.enabled)
    where e.endpoint_id = p_endpoint_id returning * into changed;
  return to_jsonb(changed);
end $$;
comment on function public.update_webhook_endpoint(uuid, jsonb) is 'Changes those of url, events, description and enabled that are given.';

create or replace function public.delete_webhook_endpoint(p_endpoint_id uuid) returns void
language plpgsql security invoker set search_path = '' as $$
begin
  perform private.own_endpoint(p_endpoint_id, false);
  delete from public.webhook_endpoints where endpoint_id = p_endpoint_id;
end $$;
comment on function public.delete_webhook_endpoint(uuid) is 'Removes an endpoint with its secrets and its log.';

create or replace function public.ping_webhook_endpoint(p_endpoint_id uuid) returns jsonb
language plpgsql security invoker set search_path = '' as $$
declare
  event constant text := 'evt_' || replace(gen_random_uuid()::text, '-', '');
begin
  perform private.own_endpoint(p_endpoint_id, true);
  return private.add_delivery(
    p_endpoint_id, null, null, event, 'ping', private.webhook_payload(
      event, 'ping', jsonb_build_object('endpointId', p_endpoint_id)), null);
end $$;
comment on function public.ping_webhook_endpoint(uuid) is 'Adds a delivery of an event that tells nothing, for trying out.';

create or replace function public.redeliver_webhook(p_delivery_id uuid) returns jsonb
language plpgsql security invoker set search_path = '' as $$
declare
  past public.webhook_deliveries;
begin
  select * into past from public.webhook_deliveries where delivery_id = p_delivery_id;
  if not found then
    raise exception using errcode = 'PT404', message = 'delivery_not_found';
  end if;
  if past.endpoint_id is not null then
    perform private.own_endpoint(past.endpoint_id, true);
  end if;
  return private.add_delivery(
    past.endpoint_id, past.url, past.video_id, past.event_id, past.type, past.payload, p_delivery_id);
end $$;
comment on function public.redeliver_webhook(uuid) is 'Adds another delivery of the same event to the same place.';

-- As the service

create or replace function public.announce_deliveries(p_limit integer)
returns table (delivery_id uuid, attempts integer)
language sql volatile security invoker set search_path = '' as $$
  with due as (
    select d.id from public.webhook_deliveries d
    where d.status in ('pending', 'delivering') and d.announce_at <= now()
    order by d.announce_at, d.id limit p_limit for update skip locked
  ), announced as (
    update public.webhook_deliveries d set announce_at = now() + interval '15 minutes'
      from due where d.id = due.id returning d.id, d.delivery_id, d.attempts
  )
  select a.delivery_id, a.attempts from announced a order by a.id
$$;
comment on function public.announce_deliveries(integer) is
  'Takes deliveries that the queue must be told of. They are taken once, and again where nobody begins within 15 minutes.';

create or replace function public.claim_delivery(p_delivery_id uuid, p_worker text, p_lease_seconds integer)
returns jsonb
language plpgsql security invoker set search_path = '' as $$
declare
  claimed public.webhook_deliveries;
begin
  update public.webhook_deliveries d
    set status = 'failed', error = 'endpoint_disabled', leased_until = null, next_attempt_at = null
    from public.webhook_endpoints e
    where d.delivery_id = p_delivery_id and e.endpoint_id = d.endpoint_id and not e.enabled
      and (d.status = 'pending' or (d.status = 'delivering' and d.leased_until < now()));
  update public.webhook_deliveries d
    set status = 'delivering', attempts = d.attempts + 1, claimed_by = p_worker,
      leased_until = now() + make_interval(secs => p_lease_seconds),
      announce_at = now() + make_interval(secs => p_lease_seconds + 60)
    where d.delivery_id = p_delivery_id
      and (
        (d.status = 'pending' and d.next_attempt_at <= now())
        or (d.status = 'delivering' and (d.leased_until < now() or d.claimed_by = p_worker)))
    returning * into claimed;
  if found then
    return to_jsonb(claimed) || jsonb_build_object(
      'claimed', true,
      'url', coalesce(
        claimed.url, (select e.url from public.webhook_endpoints e where e.endpoint_id = claimed.endpoint_id)),
      'secrets', (
        select jsonb_agg(s.secret order by s.id desc) from private.webhook_secrets s
        where s.user_id = claimed.user_id and s.endpoint_id is not distinct from claimed.endpoint_id
          and (s.expires_at is null or s.expires_at > now())),
      'age_seconds', extract(epoch from now() - claimed.created_at));
  end if;
  return (
    select jsonb_build_object(
      'claimed', false, 'status', d.status, 'attempts', d.attempts,
      'wait_seconds', ceil(extract(epoch from d.next_attempt_at - now())))
    from public.webhook_deliveries d where d.delivery_id = p_delivery_id);
end $$;
comment on function public.claim_delivery(uuid, text, integer) is
  'Claims a delivery that is due, for so many seconds, and returns it with its address and secrets and `claimed`; or why '
  'it could not be claimed; or null where there is none. A message that comes again may take over its own claim.';

create or replace function public.settle_delivery(
  p_delivery_id uuid, p_attempt integer, p_status text, p_status_code integer, p_error text, p_response text,
  p_duration_ms integer, p_wait_seconds integer, p_gone boolean)
returns boolean
language plpgsql security invoker set search_path = '' as $$
declare
  endpoint public.webhook_endpoints;
begin
  update public.webhook_deliveries d
    set status = p_status, status_code = p_status_code, error = p_error, response = p_response,
      duration_ms = p_duration_ms, attempted_at = now(), leased_until = null,
      next_attempt_at = case when p_status = 'pending' then now() + make_interval(secs => p_wait_seconds) end,
      announce_at = now() + make_interval(secs => coalesce(p_wait_seconds, 0)) + interval '15 minutes'
    where d.delivery_id = p_delivery_id and d.status = 'delivering' and d.attempts = p_attempt
    returning d.endpoint_id into endpoint.endpoint_id;
  if not found then
    return false;
  end if;
  if p_status = 'delivered' then
    update public.webhook_endpoints e set failures = 0, failing_since = null
      where e.endpoint_id = endpoint.endpoint_id and e.failures > 0;
    return true;
  end if;
  update public.webhook_endpoints e
    set failures = e.failures + 1, failing_since = coalesce(e.failing_since, now())
    where e.endpoint_id = endpoint.endpoint_id returning * into endpoint;
  if p_gone or (endpoint.failures >= 20 and endpoint.failing_since <= now() - interval '24 hours') then
    update public.webhook_endpoints e
      set enabled = false, disabled_reason = case when p_gone then 'gone' else 'failing' end
      where e.endpoint_id = endpoint.endpoint_id and e.enabled;
  end if;
  return true;
end $$;
comment on function public.settle_delivery(uuid, integer, text, integer, text, text, integer, integer, boolean) is
  'Says what became of an attempt: delivered, failed, or pending for another one after so many seconds. Disables an '
  'endpoint that is gone, or where nothing got through for a day in 20 attempts. False where the claim was taken over.';

create or replace function public.forget_deliveries(p_dry_run boolean) returns bigint
language plpgsql security invoker set search_path = '' as $$
declare
  counted bigint;
begin
  if p_dry_run then
    return (select count(*) from public.webhook_deliveries where created_at < now() - interval '30 days');
  end if;
  delete from public.webhook_deliveries where created_at < now() - interval '30 days';
  get diagnostics counted = row_count;
  return counted;
end $$;
comment on function public.forget_deliveries(boolean) is 'Removes deliveries from the log after 30 days, and returns how many.';

revoke execute on all functions in schema private from public, anon;
grant execute on function
  private.webhook_secret(uuid), private.replace_webhook_secret(uuid, integer), private.own_endpoint(uuid, boolean),
  private.add_delivery(uuid, text, uuid, text, text, jsonb, uuid), private.webhook_payload(text, text, jsonb)
  to authenticated;

revoke execute on function
  public.list_webhook_endpoints(bigint, integer), public.webhook_log(uuid, uuid, bigint, integer),
  public.create_webhook_endpoint(text, text[], text, text, text),
  public.rotate_webhook_secret(uuid, integer, text, text), public.update_webhook_endpoint(uuid, jsonb),
  public.delete_webhook_endpoint(uuid), public.ping_webhook_endpoint(uuid), public.redeliver_webhook(uuid)
  from public, anon;
grant execute on function
  public.list_webhook_endpoints(bigint, integer), public.webhook_log(uuid, uuid, bigint, integer),
  public.create_webhook_endpoint(text, text[], text, text, text),
  public.rotate_webhook_secret(uuid, integer, text, text), public.update_webhook_endpoint(uuid, jsonb),
  public.delete_webhook_endpoint(uuid), public.ping_webhook_endpoint(uuid), public.redeliver_webhook(uuid)
  to authenticated;

revoke execute on function
  public.announce_deliveries(integer), public.claim_delivery(uuid, text, integer),
  public.settle_delivery(uuid, integer, text, integer, text, text, integer, integer, boolean),
  public.forget_deliveries(boolean)
  from public, anon, authenticated;
grant execute on function
  public.announce_deliveries(integer), public.claim_delivery(uuid, text, integer),
  public.settle_delivery(uuid, integer, text, integer, text, text, integer, integer, boolean),
  public.forget_deliveries(boolean)
  to service_role;
