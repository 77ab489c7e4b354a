-- What maintenance does besides: guests who left, what has ended, what is stuck; and what it has done.

create table if not exists private.maintenance_runs (
  id bigint generated always as identity primary key,
  report jsonb not null,
  started_at timestamptz not null,
  finished_at timestamptz not null default clock_timestamp()
);
comment on table private.maintenance_runs is 'What each run of maintenance has done; kept for 90 days.';
create index if not exists maintenance_runs_started_idx on private.maintenance_runs (started_at);
alter table private.maintenance_runs enable row level security;
revoke all on private.maintenance_runs from public, anon, authenticated;
grant select, insert, delete on private.maintenance_runs to service_role;

create or replace function public.record_maintenance(p_report jsonb, p_seconds double precision) returns bigint
language sql security invoker set search_path = '' as $$
  delete from private.maintenance_runs where started_at < now() - interval '90 days';
  insert into private.maintenance_runs (report, started_at)
    values (p_report, clock_timestamp() - make_interval(secs => p_seconds)) returning id;
$$;
comment on function public.record_maintenance(jsonb, double precision) is 'Keeps the report of a run that took so long.';

create or replace function private.left_guest_sessions(p_days integer) returns setof public.video_sessions
language sql stable security definer set search_path = '' as $$
  select s.* from public.video_sessions s
  where s.is_guest and s.updated_at < now() - make_interval(days => p_days)
    and not exists (
      select from public.final_videos v
      where v.session_id = s.session_id
        and (v.status in ('queued', 'rendering', 'merging') or v.updated_at >= now() - make_interval(days => p_days)))
$$;
comment on function private.left_guest_sessions(integer) is 'Sessions of guests that nobody has changed or rendered for so long.';

create or replace function public.forget_guests(p_days integer, p_limit integer, p_dry_run boolean) returns jsonb
language plpgsql security invoker set search_path = '' as $$
declare
  chosen text[];
  erased jsonb;
  uploads bigint;
begin
  if p_dry_run then
    return jsonb_build_object(
      'sessions', (select count(*) from private.left_guest_sessions(p_days)),
      'uploads', (
        select count(*) from public.uploads u
        where u.is_guest and u.updated_at < now() - make_interval(days => p_days) and u.status <> 'processing'),
      'files', '[]'::jsonb);
  end if;
  -- What another run is at, it does.
  select coalesce(array_agg(locked.session_id), '{}') into chosen from (
    select s.session_id from public.video_sessions s
    where s.session_id in (
      select l.session_id from private.left_guest_sessions(p_days) l order by l.updated_at limit p_limit)
    for update skip locked) as locked;
  erased := private.erase_sessions(chosen);
  delete from public.uploads
    where is_guest and updated_at < now() - make_interval(days => p_days) and status <> 'processing';
  get diagnostics uploads = row_count;
  return jsonb_build_object('sessions', cardinality(chosen), 'uploads', uploads, 'files', erased -> 'files');
end $$;
comment on function public.forget_guests(integer, integer, boolean) is
  'Deletes what guests made and have left for so many days: so many sessions at once, and their uploads. Returns how much, '
  'and the files that are nobody''s now.';

create or replace function public.forget_ended(p_dry_run boolean) returns jsonb
language plpgsql security invoker set search_path = '' as $$
declare
  shares bigint;
  keys bigint;
begin
  select count(*) into shares from public.share_links
    where least(expires_at, revoked_at) < now() - interval '30 days';
  select count(*) into keys from public.idempotency_keys where created_at < now() - interval '24 hours';
  if not p_dry_run then
    delete from public.share_links where least(expires_at, revoked_at) < now() - interval '30 days';
    get diagnostics shares = row_count;
    delete from public.idempotency_keys where created_at < now() - interval '24 hours';
    get diagnostics keys = row_count;
  end if;
  return jsonb_build_object('shares', shares, 'idempotencyKeys', keys);
end $$;
comment on function public.forget_ended(boolean) is
  'Deletes share links that ended 30 days ago, until when they say that they have, and idempotency keys of yesterday.';

create or replace function private.stuck_clips(p_since interval) returns setof public.video_clips
language sql stable security definer set search_path = '' as $$
  select c.* from public.video_clips c join public.final_videos v on v.id = c.final_video_id
  where c.status = 'rendering' and c.leased_until < now() - p_since and v.status in ('queued', 'rendering')
$$;
comment on function private.stuck_clips(interval) is 'Clips whose worker''s lease ran out so long ago, and nobody took them over.';

create or replace function public.fail_stuck(p_since interval, p_error jsonb, p_dry_run boolean) returns jsonb
language plpgsql security invoker set search_path = '' as $$
declare
  stuck public.video_clips;
  video public.final_videos;
  clips integer := 0;
  merges integer := 0;
  uploads bigint;
  requests text[] := '{}';
  rejected text[];
begin
  if p_dry_run then
    return jsonb_build_object(
      'clips', (select count(*) from private.stuck_clips(p_since)),
      'merges', (select count(*) from public.final_videos where status = 'merging' and leased_until < now() - p_since),
      'uploads', (select count(*) from public.uploads where status = 'processing' and leased_until < now() - p_since));
  end if;
  for stuck in select * from private.stuck_clips(p_since) c order by c.session_id, c.final_video_id, c.clip_number loop
    perform private.lock_video(stuck.final_video_id);
    -- Somebody may have taken it over meanwhile, or another run have failed it.
    update public.video_clips set status = 'failed', error = p_error, leased_until = null
      where id = stuck.id and status = 'rendering' and leased_until < now() - p_since;
    if found then
      clips := clips + 1;
      requests := requests || stuck.request_id::text;
      perform private.close_video(
        stuck.final_video_id, 'failed', jsonb_build_object('frameNumber', stuck.frame_number) || p_error);
    end if;
  end loop;
  for video in
    select * from public.final_videos v where v.status = 'merging' and v.leased_until < now() - p_since order by v.session_id, v.id
  loop
    video := private.lock_video(video.id);
    if video.status = 'merging' and video.leased_until < now() - p_since then
      merges := merges + 1;
      requests := requests || video.request_id::text;
      perform private.close_video(video.id, 'failed', p_error);
    end if;
  end loop;
  with lost as (
    update public.uploads
      set status = 'rejected', code = p_error ->> 'code', detail = p_error ->> 'detail', leased_until = null
      where status = 'processing' and leased_until < now() - p_since returning request_id)
  select count(*), array_agg(request_id::text) into uploads, rejected from lost;
  return jsonb_build_object(
    'clips', clips, 'merges', merges, 'uploads', uploads, 'requests', to_jsonb(array_remove(requests || rejected, null)));
end $$;
comment on function public.fail_stuck(interval, jsonb, boolean) is
  'Fails what a worker had claimed and lost, when nobody took it over for so long after its lease, with this as the cause. '
  'Returns how many of each, and the ids of the requests that had asked for them.';

create or replace function public.missing_video_files(p_limit integer) returns table (video_id uuid, path text)
language sql stable security invoker set search_path = '' as $$
  select v.video_id, f.path
  from public.final_videos v cross join lateral unnest(v.files) as f (path)
  where v.status = 'completed'
    and not exists (select from storage.objects o where o.bucket_id = 'videomaker' and o.name = f.path)
  order by v.id desc
  limit p_limit
$$;
comment on function public.missing_video_files(integer) is
  'Files of completed videos that are not in the media bucket, those that were made last first.';

revoke execute on all functions in schema private from public, anon;
revoke execute on function
  public.record_maintenance(jsonb, double precision), public.forget_guests(integer, integer, boolean),
  public.forget_ended(boolean), public.fail_stuck(interval, jsonb, boolean), public.missing_video_files(integer)
  from public, anon, authenticated;
grant execute on function
  private.left_guest_sessions(integer), private.stuck_clips(interval), private.erase_sessions(text[]),
  public.record_maintenance(jsonb, double precision), public.forget_guests(integer, integer, boolean),
  public.forget_ended(boolean), public.fail_stuck(interval, jsonb, boolean), public.missing_video_files(integer)
  to service_role;
