-- How often a caller may ask. `private.take` and the script in shared/rate_limits.py, for Redis, are the same algorithm
-- (GCRA, a token bucket of which only the time is kept at which it will be full again), in whole microseconds.

create table if not exists private.rate_limits (
  policy text not null,
  work text not null,
  amount integer not null,
  seconds integer not null default 60,
  primary key (policy, work),
  constraint rate_limits_policy_check check (policy in ('user', 'guest', 'address', 'key')),
  constraint rate_limits_work_check check (work in ('read', 'write', 'upload', 'render')),
  constraint rate_limits_amount_check check (amount > 0 and seconds > 0 and seconds::bigint * 1000000 >= amount)
);
comment on table private.rate_limits is
  'How many requests of a kind are let through in so many seconds, all at once or evenly; change the amounts as you like. '
  'Without its row a policy sets no limit.';
comment on column private.rate_limits.policy is
  'Whose requests are counted together: a signed-in user''s, its API keys'' included; a guest''s; those of all guests at an '
  'address; an API key''s.';
comment on column private.rate_limits.work is 'What is asked for: read, write, upload or render.';
alter table private.rate_limits enable row level security;
revoke all on private.rate_limits from public, anon, authenticated;
insert into private.rate_limits (policy, work, amount) values
  ('user', 'read', 1200), ('user', 'write', 300), ('user', 'upload', 1200), ('user', 'render', 60),
  ('key', 'read', 1200), ('key', 'write', 300), ('key', 'upload', 1200), ('key', 'render', 60),
  ('guest', 'read', 300), ('guest', 'write', 60), ('guest', 'upload', 300), ('guest', 'render', 10),
  ('address', 'read', 1200), ('address', 'write', 240), ('address', 'upload', 600), ('address', 'render', 30)
  on conflict do nothing;

-- Nothing is lost with it but a minute's counting, so it is not logged, and nobody waits for the disk.
create unlogged table if not exists private.rate_buckets (
  name text primary key,
  full_at bigint not null
) with (fillfactor = 50);
comment on table private.rate_buckets is 'Who has asked lately, by policy, name and kind of work.';
comment on column private.rate_buckets.full_at is
  'When everything that the limit allows can be asked for at once again: microseconds since 1970.';
alter table private.rate_buckets enable row level security;
revoke all on private.rate_buckets from public, anon, authenticated;

create or replace function private.take(
  p_names text[], p_amounts integer[], p_seconds integer[], p_now bigint default null)
returns table (allowed boolean, full_in bigint[])
language plpgsql security definer set search_path = '' as $$
declare
  present bigint;
begin
  insert into private.rate_buckets (name, full_at) select name, 0 from unnest(p_names) as name order by name
    on conflict do nothing;
  -- In one order, so that two requests with two buckets each do not wait for one another.
  perform from private.rate_buckets where name = any (p_names) order by name for update;
  present := coalesce(p_now, (extract(epoch from clock_timestamp()) * 1000000)::bigint);
  with wanted as materialized (
    select w.position, w.name, greatest(b.full_at - present, 0) as wait, w.amount,
      w.seconds * 1000000::bigint / w.amount as step
    from unnest(p_names, p_amounts, p_seconds) with ordinality as w (name, amount, seconds, position)
    left join private.rate_buckets b using (name)
  ), judged as materialized (
    select coalesce(bool_and(wait + step <= step * amount), true) as allowed from wanted
  ), taken as (
    update private.rate_buckets b set full_at = present + w.wait + w.step
    from wanted w, judged j where b.name = w.name and j.allowed
  )
  select j.allowed, array(
      select w.wait + case when j.allowed then w.step else 0 end from wanted w order by w.position)
    into allowed, full_in
    from judged j;
  return next;
end $$;
comment on function private.take(text[], integer[], integer[], bigint) is
  'Takes one from each of these buckets, or from none where one of them has too little. Returns which, and in how many '
  'microseconds each will be full. `p_now` is for tests.';

create or replace function private.check_key() returns void
language plpgsql stable security definer set search_path = '' as $$
begin
  if not private.key_may() then
    raise exception using errcode = 'PT401', message = 'invalid_api_key';
  end if;
end $$;
comment on function private.check_key() is 'Raises `invalid_api_key` for an API key that was revoked or has expired.';

create or replace function private.check_caller(p_work text) returns void
language plpgsql security definer set search_path = '' as $$
begin
  perform private.check_key();
  if p_work = 'upload' then
    perform private.check_storage_quota();
  end if;
end $$;
comment on function private.check_caller(text) is 'What public.check_caller does.';

create or replace function private.admit(p_work text) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  claims constant jsonb := (select auth.jwt()) -> 'app_metadata';
  subject constant text := (select auth.uid())::text;
  names text[];
  policies text[];
  amounts integer[];
  seconds integer[];
  taken record;
begin
  perform private.check_key();
  select array_agg(concat_ws(':', l.policy, who.name, l.work) order by l.policy), array_agg(l.policy order by l.policy),
      array_agg(l.amount order by l.policy), array_agg(l.seconds order by l.policy)
    into names, policies, amounts, seconds
    from (values
      (case when private.is_guest() then 'guest' else 'user' end, subject),
      ('address', case when private.is_guest() then claims ->> 'address' end),
      ('key', case when private.is_api_key() then claims ->> 'key' end)) as who (policy, name)
    join private.rate_limits l on l.policy = who.policy and l.work = p_work
    where who.name is not null;
  select * into taken from private.take(names, amounts, seconds);
  if taken.allowed and p_work = 'upload' then
    perform private.check_storage_quota();
  end if;
  return jsonb_build_object('allowed', taken.allowed, 'buckets', (
    select coalesce(jsonb_agg(jsonb_build_object(
        'policy', b.policy || '-' || p_work, 'amount', b.amount, 'seconds', b.seconds, 'full_in', b.full_in) order by b.policy), '[]')
    from unnest(policies, amounts, seconds, taken.full_in) as b (policy, amount, seconds, full_in)));
end $$;
comment on function private.admit(text) is 'What public.admit does; the buckets are not the caller''s to write.';

create or replace function public.admit(p_work text) returns jsonb
language sql security invoker set search_path = '' as $$
  select private.admit(p_work)
$$;
comment on function public.admit(text) is
  'Counts a request of the caller''s of this kind (read, write, upload, render). Who is counted is what the token says; '
  'so a caller can use up nobody''s limit but its own. Returns whether it is within its limits, and how full they are; '
  'raises `invalid_api_key`, and for an upload `quota_exceeded`.';

create or replace function public.check_caller(p_work text) returns void
language sql security invoker set search_path = '' as $$
  select private.check_caller(p_work)
$$;
comment on function public.check_caller(text) is 'Raises what public.admit does, and counts nothing.';

create or replace function private.list_rate_limits() returns jsonb
language sql stable security definer set search_path = '' as $$
  select coalesce(jsonb_agg(to_jsonb(l)), '[]') from private.rate_limits l
$$;
comment on function private.list_rate_limits() is 'What public.list_rate_limits does.';

create or replace function public.list_rate_limits() returns jsonb
language sql stable security invoker set search_path = '' as $$
  select private.list_rate_limits()
$$;
comment on function public.list_rate_limits() is 'The limits, for those who count in Redis.';

revoke execute on all functions in schema private from public, anon;
revoke execute on function public.admit(text), public.check_caller(text), public.list_rate_limits() from public, anon;
grant execute on function
  private.admit(text), private.check_caller(text), private.list_rate_limits(),
  public.admit(text), public.check_caller(text), public.list_rate_limits()
  to authenticated, service_role;
