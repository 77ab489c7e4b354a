-- How much a caller may have and spend; the amounts are rows of private.quotas (70_uploads.sql). Storage counts what
-- there is, whatever way it came; videos and money are counted by the calendar month, in UTC.

insert into private.quotas (name, amount) values
  ('renders_per_month', 1000), ('guest_renders_per_month', 50),
  ('spending_cents_per_month', 10000), ('guest_spending_cents_per_month', 500)
  on conflict do nothing;

create table if not exists private.storage_counts (
  user_id varchar(255) primary key,
  bytes bigint not null,
  counted_at timestamptz not null default now()
);
comment on table private.storage_counts is 'How much a caller had in its folder of the media bucket when it was last counted.';
alter table private.storage_counts enable row level security;
revoke all on private.storage_counts from public, anon, authenticated;

create or replace function private.stored_bytes(p_user_id text, p_quota bigint) returns bigint
language plpgsql security definer set search_path = '' as $$
declare
  known private.storage_counts;
begin
  select * into known from private.storage_counts where user_id = p_user_id;
  -- Counted anew before the rest could be filled at 20 MB a second.
  if known.counted_at > clock_timestamp() - make_interval(
       secs => least(greatest((p_quota - known.bytes) / 20000000.0, 5), 3600)) then
    return known.bytes;
  end if;
  select p_user_id, coalesce(sum((o.metadata ->> 'size')::bigint), 0), clock_timestamp() into known
    from storage.objects o
    where o.bucket_id = 'videomaker'
      -- What lies in the folder, by the index for prefixes: `0` follows `/`.
      and o.name ~>=~ (p_user_id || '/') and o.name ~<~ (p_user_id || '0')
      and o.metadata ->> 'size' ~ '^[0-9]{1,15}$';
  insert into private.storage_counts values (known.*)
    on conflict (user_id) do update set bytes = excluded.bytes, counted_at = excluded.counted_at;
  return known.bytes;
end $$;
comment on function private.stored_bytes(text, bigint) is
  'How much lies in a caller''s folder of the media bucket. It was counted an hour ago at most, and the later the closer '
  'the caller is to its quota.';

create or replace function private.forget_storage_count() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  delete from private.storage_counts where user_id = new.user_id;
  return null;
end $$;
comment on function private.forget_storage_count() is
  'Trigger: lets storage be counted anew, since what was announced is there now.';
create or replace trigger uploads_forget_storage_count after update of status on public.uploads
  for each row when (new.status = 'ready') execute function private.forget_storage_count();

create or replace function private.check_storage_quota() returns void
language plpgsql security definer set search_path = '' as $$
declare
  subject constant text := (select auth.uid())::text;
  quota private.quotas;
begin
  select * into quota from private.quotas
    where name = case when private.is_guest() then 'guest_upload_bytes' else 'upload_bytes' end;
  if private.stored_bytes(subject, quota.amount) >= quota.amount then
    raise exception using errcode = 'PT403', message = 'quota_exceeded',
      detail = jsonb_build_object('quota', quota.name, 'amount', quota.amount)::text;
  end if;
end $$;
comment on function private.check_storage_quota() is 'Raises `quota_exceeded` where the caller''s storage is full.';

create table if not exists private.render_usage (
  final_video_id integer primary key,
  user_id varchar(255) not null,
  is_counted boolean not null default true,
  cost numeric(12, 6) not null,
  created_at timestamptz not null default now()
);
comment on table private.render_usage is
  'Which videos count against whose month. A video that is deleted stays here: it was rendered.';
comment on column private.render_usage.user_id is 'The owner of the session at that time.';
comment on column private.render_usage.is_counted is 'False for a video that failed or was canceled, which costs what it did.';
comment on column private.render_usage.cost is 'US dollars; estimated until it is known.';
create index if not exists render_usage_owner_idx on private.render_usage (user_id, created_at);
alter table private.render_usage enable row level security;
revoke all on private.render_usage from public, anon, authenticated;

create or replace function private.check_render_quota() returns trigger
language plpgsql security definer set search_path = '' as $$
declare
  month constant timestamptz := date_trunc('month', now() at time zone 'utc') at time zone 'utc';
  next_month constant timestamptz :=
    (date_trunc('month', now() at time zone 'utc') + interval '1 month') at time zone 'utc';
  owner record;
  quota record;
begin
  insert into private.render_usage (final_video_id, user_id, cost, created_at)
    select c.id, s.user_id, coalesce(c.cost, c.estimated_cost, 0), c.created_at
    from created c join public.video_sessions s using (session_id);
  if (select auth.uid()) is null then
    return null;
  end if;
  for owner in
    select distinct s.user_id, s.is_guest from created c join public.video_sessions s using (session_id) order by 1
  loop
    -- Whoever waited here counts what the other one has committed.
    perform pg_advisory_xact_lock(hashtextextended('renders:' || owner.user_id, 0));
    select q.name, q.amount into quota
      from (
        select count(*) filter (where is_counted) as renders, sum(cost) * 100 as cents
        from private.render_usage u where u.user_id = owner.user_id and u.created_at >= month) as used
      join private.quotas q on
        (q.name = case when owner.is_guest then 'guest_' else '' end || 'renders_per_month' and q.amount < renders)
        or (q.name = case when owner.is_guest then 'guest_' else '' end || 'spending_cents_per_month' and q.amount < cents)
      order by q.name limit 1;
    if found then
      raise exception using errcode = 'PT403', message = 'quota_exceeded', detail = jsonb_build_object(
        'quota', quota.name, 'amount', quota.amount, 'resetsAt', next_month,
        'retryAfter', ceil(extract(epoch from next_month - now()))::integer)::text;
    end if;
  end loop;
  return null;
end $$;
comment on function private.check_render_quota() is
  'Trigger: notes new videos, and keeps those that callers ask for within the month''s quotas of the session''s owner.';
create or replace trigger final_videos_check_quota after insert on public.final_videos
  referencing new table as created for each statement execute function private.check_render_quota();

create or replace function private.note_render_cost() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  update private.render_usage set
    is_counted = new.status not in ('failed', 'canceled'),
    cost = case
      when new.status in ('failed', 'canceled') then coalesce(new.cost, 0)
      when new.status = 'completed' then coalesce(new.cost, new.estimated_cost, 0)
      else greatest(new.cost, new.estimated_cost, 0) end
    where final_video_id = new.id;
  return null;
end $$;
comment on function private.note_render_cost() is 'Trigger: a video that failed does not count, but costs what it did.';
create or replace trigger final_videos_note_cost after update of status, cost on public.final_videos
  for each row execute function private.note_render_cost();

-- Videos from before.
insert into private.render_usage (final_video_id, user_id, is_counted, cost, created_at)
  select v.id, s.user_id, v.status not in ('failed', 'canceled'), coalesce(v.cost, 0), v.created_at
  from public.final_videos v join public.video_sessions s using (session_id)
  on conflict do nothing;

create or replace function public.forget_counts(p_dry_run boolean) returns bigint
language plpgsql security invoker set search_path = '' as $$
declare
  present constant bigint := extract(epoch from now()) * 1000000;
  forgotten bigint;
begin
  select (select count(*) from private.rate_buckets where full_at < present)
      + (select count(*) from private.storage_counts where counted_at < now() - interval '1 day')
      + (select count(*) from private.render_usage where created_at < now() - interval '2 months')
    into forgotten;
  if not p_dry_run then
    delete from private.rate_buckets where full_at < present;
    delete from private.storage_counts where counted_at < now() - interval '1 day';
    delete from private.render_usage where created_at < now() - interval '2 months';
  end if;
  return forgotten;
end $$;
comment on function public.forget_counts(boolean) is
  'Removes what was counted and says nothing any more: buckets that are full again, old counts of storage, and videos of '
  'months that are over. Returns how much that is.';

revoke execute on all functions in schema private from public, anon;
revoke execute on function public.forget_counts(boolean) from public, anon, authenticated;
grant execute on function public.forget_counts(boolean) to service_role;
grant select, delete on private.rate_buckets, private.storage_counts, private.render_usage to service_role;
