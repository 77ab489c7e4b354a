-- How a video gets rendered: started, canceled by its people; claimed, renewed and settled by the workers.
-- Whoever changes a video or its clips locks the session, then the video, so that all wait for one another in one order.

create or replace function private.finished_clip(p_owner text, p_content_hash text) returns text
language sql stable security definer set search_path = '' as $$
  select c.video_url
  from public.video_clips c
  join public.video_sessions s using (session_id)
  -- A file without an owner was written by this service, not put in its place by somebody.
  join storage.objects o on o.bucket_id = 'videomaker' and o.name = c.video_path and o.owner_id is null
  where c.content_hash = p_content_hash and c.status = 'completed' and s.user_id = p_owner
  limit 1
$$;
comment on function private.finished_clip(text, text) is
  'The address of a finished clip of the same owner that everything equal has determined, if its file is still there.';

create or replace function private.planned_clips(p_session_id text, p_owner text, p_look jsonb, p_clips jsonb)
returns table (
  clip_number integer, frame_number integer, start_seconds numeric, duration_seconds numeric, caption text,
  provider text, spec jsonb, content_hash text, cost numeric, is_missing boolean, finished_url text)
language sql stable security definer set search_path = '' as $$
  with source as materialized (
    select f.frame_number, coalesce(f.clip_provider, 'render') as provider, o.id is null as is_missing,
      jsonb_build_object(
        case when f.clip_path is null then 'image' else 'clip' end, coalesce(f.clip_path, f.image_path),
        'version', o.version) as file
    from public.video_frames f
    left join storage.objects o on o.bucket_id = 'videomaker' and o.name = coalesce(f.clip_path, f.image_path)
    where f.session_id = p_session_id
  ), wanted as materialized (
    select w.*, own.provider, own.is_missing is distinct from false as is_missing,
      w.recipe || jsonb_build_object('look', p_look, 'source', own.file, 'previousSource', previous.file) as spec
    from jsonb_to_recordset(p_clips) as w (
      clip_number integer, frame_number integer, previous_frame integer, start_seconds numeric,
      duration_seconds numeric, caption text, cost numeric, recipe jsonb)
    left join source own on own.frame_number = w.frame_number
    left join source previous on previous.frame_number = w.previous_frame
  ), hashed as materialized (
    select w.*, encode(sha256(convert_to(w.spec::text, 'UTF8')), 'hex') as content_hash from wanted w
  )
  select h.clip_number, h.frame_number, h.start_seconds, h.duration_seconds, h.caption, h.provider, h.spec,
    h.content_hash, h.cost, h.is_missing, private.finished_clip(p_owner, h.content_hash)
  from hashed h
$$;
comment on function private.planned_clips(text, text, jsonb, jsonb) is
  'The rows that a plan becomes. Which files a clip is made from is told by the session''s frames, never by the caller, '
  'and the hash is over these files, in the version that they have now, and the recipe.';

create or replace function private.video_progress(p_video_id integer) returns double precision
language sql stable security invoker set search_path = '' as $$
  select 0.9 * sum(duration_seconds * case when status = 'completed' then 1 else progress end) / sum(duration_seconds)
  from public.video_clips where final_video_id = p_video_id
$$;
comment on function private.video_progress(integer) is
  'How much of a video is done before its merge, which is the last tenth.';

create or replace function private.lock_video(p_video_id integer) returns public.final_videos
language plpgsql security invoker set search_path = '' as $$
declare
  video public.final_videos;
begin
  perform from public.video_sessions s
    where s.session_id = (select v.session_id from public.final_videos v where v.id = p_video_id)
    for no key update;
  select * into video from public.final_videos where id = p_video_id for update;
  return video;
end $$;
comment on function private.lock_video(integer) is 'Locks a video, so that one after the other changes it, and returns it.';

create or replace function private.close_video(p_video_id integer, p_status text, p_error jsonb default null)
returns void
language plpgsql security invoker set search_path = '' as $$
declare
  closed public.final_videos;
begin
  update public.final_videos
    set status = p_status, error = p_error, finished_at = now(), leased_until = null,
      progress = case when p_status = 'completed' then 1 else progress end,
      cost = coalesce(cost, 0) + (
        select coalesce(sum(c.cost), 0) from public.video_clips c where c.final_video_id = p_video_id)
    where id = p_video_id and status in ('queued', 'rendering', 'merging')
    returning * into closed;
  if not found then
    return;
  end if;
  update public.video_clips set status = 'canceled' where final_video_id = p_video_id and status = 'queued';
  update public.video_sessions s
    set status = case
      when p_status <> 'canceled' then p_status
      when exists (
        select from public.final_videos v where v.session_id = s.session_id and v.status = 'completed') then 'completed'
      else 'failed' end
    where s.session_id = closed.session_id and s.status = 'generating'
      and not exists (
        select from public.final_videos v
        where v.session_id = s.session_id and v.status in ('queued', 'rendering', 'merging'));
end $$;
comment on function private.close_video(integer, text, jsonb) is
  'Ends a locked video as completed, failed or canceled. What has not been started is canceled, and the session leaves '
  '`generating` with its last video.';

create or replace function private.advance_video(p_video_id integer) returns boolean
language plpgsql security invoker set search_path = '' as $$
declare
  unfinished constant boolean := exists (
    select from public.video_clips where final_video_id = p_video_id and status <> 'completed');
begin
  update public.final_videos
    set progress = greatest(progress, private.video_progress(p_video_id)),
      started_at = coalesce(started_at, now()),
      status = case when status = 'queued' then 'rendering' else status end
    where id = p_video_id and status in ('queued', 'rendering');
  if unfinished then
    return false;
  end if;
  update public.final_videos set status = 'merging' where id = p_video_id and status = 'rendering';
  return found;
end $$;
comment on function private.advance_video(integer) is
  'Notes what is done of a locked video. True for the one call that finds no clip left: merging begins.';


create or replace function private.most_attempts() returns integer
language sql immutable set search_path = '' as $$ select 3 $$;
comment on function private.most_attempts() is
  'After how many attempts a dead message fails its clip or merge. One whose attempts never began, while the database '
  'was away for instance, is still worth trying.';

create or replace function private.messages_of(p_video_id integer) returns jsonb
language sql stable security invoker set search_path = '' as $$
  select jsonb_build_object(
    'clips', (
      select coalesce(jsonb_agg(c.id order by c.clip_number), '[]') from public.video_clips c
      where c.final_video_id = v.id and c.status = 'queued' and not v.held),
    'merge', v.status = 'merging' and v.leased_until is null and not v.held)
  from public.final_videos v where v.id = p_video_id
$$;
comment on function private.messages_of(integer) is 'For which clips of a video, and whether for its merge, a message is due.';

-- For the people of a session.

create or replace function private.start_video(
  p_session_id text, p_version integer, p_video jsonb, p_clips jsonb, p_dry_run boolean, p_idempotency_key text,
  p_request_hash text)
returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  wanted constant public.final_videos := jsonb_populate_record(null::public.final_videos, p_video);
  audio_upload_id constant uuid := p_video ->> 'audio_upload_id';
  look constant jsonb := jsonb_build_object(
    'width', wanted.width, 'height', wanted.height, 'fps', wanted.fps, 'fit', wanted.options -> 'fit');
  session public.video_sessions;
  audio text;
  planned jsonb;
  missing jsonb;
  answer jsonb;
  made public.final_videos;
begin
  if p_idempotency_key is not null and not p_dry_run then
    answer := private.recall_answer(p_idempotency_key, p_request_hash);
    if answer is not null then
      return answer || coalesce(private.messages_of((answer ->> 'id')::integer), '{}');
    end if;
  end if;
  perform private.check_editable(p_session_id, 'session_not_found');
  select * into session from public.video_sessions where session_id = p_session_id for no key update;
  if session.version <> p_version then
    raise exception using errcode = 'PT412', message = 'version_conflict',
      detail = jsonb_build_object('currentVersion', session.version)::text;
  end if;
  if audio_upload_id is not null then
    audio := private.usable_upload(audio_upload_id, 'audio', 'audioUploadId');
  end if;
  select jsonb_agg(to_jsonb(p) order by p.clip_number),
      jsonb_agg(p.frame_number order by p.clip_number) filter (where p.is_missing)
    into planned, missing
    from private.planned_clips(p_session_id, session.user_id, look, p_clips) p;
  if missing is not null then
    raise exception using errcode = 'PT422', message = 'frame_image_missing',
      detail = jsonb_build_object('frameNumber', missing -> 0, 'frameNumbers', missing)::text;
  end if;
  answer := jsonb_build_object('finished', (
    select coalesce(jsonb_agg(p -> 'clip_number'), '[]') from jsonb_array_elements(planned) p
    where p ->> 'finished_url' is not null));
  if p_dry_run then
    return answer;
  end if;

  insert into public.final_videos (
      session_id, options, duration_seconds, width, height, fps, audio_path, held, template_id, template_version,
      warnings, estimated_cost)
    values (
      p_session_id, wanted.options, wanted.duration_seconds, wanted.width, wanted.height, wanted.fps, audio,
      coalesce(wanted.held, false), wanted.template_id, wanted.template_version, coalesce(wanted.warnings, '[]'),
      wanted.estimated_cost + (
        select coalesce(sum((p ->> 'cost')::numeric), 0) from jsonb_array_elements(planned) p
        where p ->> 'finished_url' is null))
    returning * into made;
  insert into public.video_clips (
      session_id, final_video_id, clip_number, frame_number, start_seconds, duration_seconds, caption, provider, spec,
      content_hash, status, video_url)
    select
      p_session_id, made.id, p.clip_number, p.frame_number, p.start_seconds, p.duration_seconds, p.caption, p.provider,
      p.spec, p.content_hash, case when p.finished_url is null then 'queued' else 'completed' end, p.finished_url
    from jsonb_to_recordset(planned) as p (
      clip_number integer, frame_number integer, start_seconds numeric, duration_seconds numeric, caption text,
      provider text, spec jsonb, content_hash text, finished_url text);
  update public.video_sessions set status = 'generating'
    where session_id = p_session_id and status in ('frames_generated', 'completed', 'failed');
  if jsonb_array_length(answer -> 'finished') = jsonb_array_length(planned) then
    perform private.advance_video(made.id);
  end if;

  select answer || jsonb_build_object(
      'id', v.id, 'video_id', v.video_id, 'status', v.status, 'estimated_cost', v.estimated_cost)
    into answer from public.final_videos v where v.id = made.id;
  if p_idempotency_key is not null then
    perform private.remember_answer(p_idempotency_key, answer);
  end if;
  return answer || private.messages_of(made.id);
end $$;
comment on function private.start_video(text, integer, jsonb, jsonb, boolean, text, text) is
  'What public.start_video does, past the privileges of the caller, who may not write these tables.';

create or replace function public.start_video(
  p_session_id text, p_version integer, p_video jsonb, p_clips jsonb, p_dry_run boolean default false,
  p_idempotency_key text default null, p_request_hash text default null)
returns jsonb
language sql security invoker set search_path = '' as $$
  select private.start_video(p_session_id, p_version, p_video, p_clips, p_dry_run, p_idempotency_key, p_request_hash)
$$;
comment on function public.start_video(text, integer, jsonb, jsonb, boolean, text, text) is
  'Writes a video (columns of final_videos, and audio_upload_id; its cost without that of its clips) of a session in this '
  'version, and its clips (clip_number, frame_number, previous_frame, start_seconds, duration_seconds, caption, cost, '
  'recipe). Returns which are finished already, and which messages are due now.';

drop function if exists public.cancel_video(uuid);
drop function if exists private.cancel_video(uuid);
create or replace function private.cancel_video(p_video_id uuid) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  video public.final_videos;
begin
  select * into video from public.final_videos where video_id = p_video_id;
  perform private.check_editable(video.session_id, 'video_not_found');
  video := private.lock_video(video.id);
  if video.status in ('completed', 'failed') then
    raise exception using errcode = 'PT409', message = 'video_finished';
  end if;
  perform private.close_video(video.id, 'canceled');
  return private.release_next(video.id);
end $$;
comment on function private.cancel_video(uuid) is 'What public.cancel_video does, past the privileges of the caller.';

create or replace function public.cancel_video(p_video_id uuid) returns jsonb
language sql security invoker set search_path = '' as $$
  select private.cancel_video(p_video_id)
$$;
comment on function public.cancel_video(uuid) is
  'Cancels a video. What has not been started is not; a clip that a worker is at is finished, and serves the next video. '
  'Returns which messages are due in its batch.';

-- For the workers.

create or replace function public.claim_clip(
  p_id integer, p_worker text, p_lease_seconds integer, p_is_dead boolean default false)
returns jsonb
language plpgsql security invoker set search_path = '' as $$
declare
  video public.final_videos;
  clip public.video_clips;
  owner text;
  finished text;
  given_up boolean;
  merge_is_due boolean := false;
begin
  video := private.lock_video((select final_video_id from public.video_clips where id = p_id));
  select * into clip from public.video_clips where id = p_id for update;
  if not found then
    return null;
  end if;
  if clip.status = 'queued'
     or (clip.status = 'rendering' and (clip.leased_until < now() or clip.claimed_by = p_worker)) then
    select user_id into owner from public.video_sessions where session_id = clip.session_id;
    finished := private.finished_clip(owner, clip.content_hash);
    if finished is not null then
      update public.video_clips
        set status = 'completed', video_url = finished, progress = 1, error = null, leased_until = null
        where id = p_id;
      merge_is_due := private.advance_video(video.id);
    elsif video.status not in ('queued', 'rendering') then
      update public.video_clips set status = 'canceled', leased_until = null where id = p_id;
    else
      given_up := p_is_dead and clip.attempts >= private.most_attempts();
      update public.video_clips
        set status = 'rendering', attempts = attempts + (not given_up)::integer, claimed_by = p_worker, progress = 0,
          leased_until = now() + make_interval(secs => p_lease_seconds)
        where id = p_id
        returning * into clip;
      perform private.advance_video(video.id);
      return to_jsonb(clip) || jsonb_build_object(
        'claimed', true,
        'given_up', given_up,
        'owner', owner,
        'previous_frame', (
          select p.frame_number from public.video_clips p
          where p.final_video_id = video.id and p.clip_number = clip.clip_number - 1));
    end if;
  elsif clip.status = 'completed' then
    merge_is_due := video.status = 'merging' and video.leased_until is null;
  end if;
  return jsonb_build_object(
    'claimed', false, 'busy', clip.status = 'rendering' and finished is null and clip.leased_until >= now(),
    'final_video_id', video.id, 'merge', merge_is_due);
end $$;
comment on function public.claim_clip(integer, text, integer, boolean) is
  'Claims a clip for one worker, for so many seconds. Returns the row with `claimed` and the owner of the session, or '
  'whether another one is busy with it and whether a message for the merge is due; null where there is no such clip. A '
  'message that comes again may take over its own claim at once: whoever handled it before is gone. `given_up` says '
  'that it is only claimed to be failed: the message is dead, and the clip was tried often enough.';

create or replace function public.renew_clip(
  p_id integer, p_attempt integer, p_progress double precision, p_lease_seconds integer)
returns boolean
language plpgsql security invoker set search_path = '' as $$
declare
  video constant public.final_videos := private.lock_video(
    (select final_video_id from public.video_clips where id = p_id));
begin
  update public.video_clips
    set progress = greatest(progress, least(p_progress, 1)),
      leased_until = now() + make_interval(secs => p_lease_seconds)
    where id = p_id and status = 'rendering' and attempts = p_attempt;
  if not found then
    return false;
  end if;
  perform private.advance_video(video.id);
  return true;
end $$;
comment on function public.renew_clip(integer, integer, double precision, integer) is
  'Renews the lease of a clip and says how far it is. False for a worker whose claim was taken over.';

create or replace function public.settle_clip(p_id integer, p_attempt integer, p_status text, p_result jsonb) returns jsonb
language plpgsql security invoker set search_path = '' as $$
declare
  video constant public.final_videos := private.lock_video(
    (select final_video_id from public.video_clips where id = p_id));
  clip public.video_clips;
begin
  update public.video_clips
    set status = p_status, video_url = p_result ->> 'video_url', error = p_result -> 'error',
      timings = coalesce(p_result -> 'timings', timings),
      cost = coalesce(cost, 0) + coalesce((p_result ->> 'cost')::numeric, 0),
      progress = case when p_status = 'completed' then 1 else progress end, leased_until = null
    where id = p_id and status = 'rendering' and attempts = p_attempt
    returning * into clip;
  if not found then
    return '{"settled": false, "merge": false}';
  end if;
  if p_status = 'failed' then
    perform private.close_video(
      video.id, 'failed', jsonb_build_object('frameNumber', clip.frame_number) || clip.error);
  end if;
  return jsonb_build_object('settled', true, 'merge', private.advance_video(video.id));
end $$;
comment on function public.settle_clip(integer, integer, text, jsonb) is
  'Says what became of a clip: completed (video_url), failed (error), or queued for another try (error); with timings and '
  'cost. `settled` is false for a worker whose claim was taken over; `merge` is true for the one that finds none left.';

create or replace function public.claim_merge(
  p_video_id integer, p_worker text, p_lease_seconds integer, p_is_dead boolean default false)
returns jsonb
language plpgsql security invoker set search_path = '' as $$
declare
  video public.final_videos := private.lock_video(p_video_id);
  is_due constant boolean := video.status = 'merging';
  given_up constant boolean := p_is_dead and video.attempts >= private.most_attempts();
begin
  if video.id is null then
    return null;
  end if;
  update public.final_videos
    set attempts = attempts + (not given_up)::integer, claimed_by = p_worker,
      leased_until = now() + make_interval(secs => p_lease_seconds)
    where id = p_video_id and status = 'merging'
      and (leased_until is null or leased_until < now() or claimed_by = p_worker)
    returning * into video;
  if not found then
    return jsonb_build_object('claimed', false, 'busy', is_due);
  end if;
  return to_jsonb(video) || jsonb_build_object(
    'claimed', true,
    'given_up', given_up,
    'owner', (select s.user_id from public.video_sessions s where s.session_id = video.session_id),
    'clips', (
      select jsonb_agg(jsonb_build_object(
          'clip_number', c.clip_number, 'frame_number', c.frame_number, 'video_path', c.video_path,
          'start_seconds', c.start_seconds, 'duration_seconds', c.duration_seconds, 'caption', c.caption,
          'burned', c.spec ? 'caption') order by c.clip_number)
      from public.video_clips c where c.final_video_id = p_video_id));
end $$;
comment on function public.claim_merge(integer, text, integer, boolean) is
  'Claims the merge of a video for one worker, as claim_clip does a clip. Returns the row with its `owner` and `clips`.';

create or replace function public.renew_merge(
  p_video_id integer, p_attempt integer, p_progress double precision, p_lease_seconds integer)
returns boolean
language sql security invoker set search_path = '' as $$
  update public.final_videos
    set progress = greatest(progress, 0.9 + 0.1 * least(p_progress, 1)),
      leased_until = now() + make_interval(secs => p_lease_seconds)
    where id = p_video_id and status = 'merging' and attempts = p_attempt
    returning true
$$;
comment on function public.renew_merge(integer, integer, double precision, integer) is
  'Renews the lease of a merge and says how far it is. Null for a worker whose claim was taken over.';

create or replace function public.settle_merge(p_video_id integer, p_attempt integer, p_status text, p_result jsonb)
returns boolean
language plpgsql security invoker set search_path = '' as $$
declare
  video public.final_videos := private.lock_video(p_video_id);
begin
  update public.final_videos
    set leased_until = null, error = p_result -> 'error',
      cost = coalesce(cost, 0) + coalesce((p_result ->> 'cost')::numeric, 0)
    where id = p_video_id and status = 'merging' and attempts = p_attempt
    returning * into video;
  if not found then
    return false;
  end if;
  if p_status = 'completed' then
    update public.final_videos
      set video_url = p_result ->> 'video_url', poster_url = p_result ->> 'poster_url',
        preview_url = p_result ->> 'preview_url', captions_url = p_result ->> 'captions_url',
        duration_seconds = (p_result ->> 'duration_seconds')::numeric, bytes = (p_result ->> 'bytes')::bigint
      where id = p_video_id;
    perform private.close_video(p_video_id, 'completed');
  elsif p_status = 'failed' then
    -- The next video of this session must not stumble over the same clip.
    update public.video_clips set content_hash = null
      where final_video_id = p_video_id and clip_number = (p_result ->> 'bad_clip_number')::integer;
    perform private.close_video(p_video_id, 'failed', p_result -> 'error');
  end if;
  return true;
end $$;
comment on function public.settle_merge(integer, integer, text, jsonb) is
  'Says what became of a merge: completed (the addresses, duration_seconds, bytes), failed (error, bad_clip_number), or '
  'merging for another try (error); with cost. False for a worker whose claim was taken over.';

create or replace function public.lost_renderings(p_still_for interval) returns table (kind text, id integer)
language sql security invoker set search_path = '' as $$
  with stalled as (
    update public.final_videos v set updated_at = now()
      where v.status in ('queued', 'rendering', 'merging') and not v.held and v.updated_at < now() - p_still_for
        and (v.leased_until is null or v.leased_until < now())
      returning v.id, v.status
  )
  select 'merge', s.id from stalled s where s.status = 'merging'
  union
  select 'clip', c.id from public.video_clips c join stalled s on s.id = c.final_video_id where c.status = 'queued'
  union
  select 'clip', c.id from public.video_clips c where c.status = 'rendering' and c.leased_until < now()
$$;
comment on function public.lost_renderings(interval) is
  'For which clips and merges a message is to be sent again: those that wait in videos where nothing has moved for so '
  'long, and clips whose worker''s lease has run out. Asked again at once, it leaves out what it has just named as waiting.';

revoke execute on all functions in schema private from public, anon;
revoke execute on function
  public.start_video(text, integer, jsonb, jsonb, boolean, text, text), public.cancel_video(uuid),
  public.claim_clip(integer, text, integer, boolean), public.renew_clip(integer, integer, double precision, integer),
  public.settle_clip(integer, integer, text, jsonb), public.claim_merge(integer, text, integer, boolean),
  public.renew_merge(integer, integer, double precision, integer),
  public.settle_merge(integer, integer, text, jsonb), public.lost_renderings(interval)
  from public, anon, authenticated;
grant execute on function
  private.start_video(text, integer, jsonb, jsonb, boolean, text, text), private.cancel_video(uuid),
  public.start_video(text, integer, jsonb, jsonb, boolean, text, text), public.cancel_video(uuid)
  to authenticated, service_role;
grant execute on function
  private.finished_clip(text, text), private.video_progress(integer), private.lock_video(integer),
  private.close_video(integer, text, jsonb), private.advance_video(integer), private.messages_of(integer),
  private.most_attempts(),
  public.claim_clip(integer, text, integer, boolean), public.renew_clip(integer, integer, double precision, integer),
  public.settle_clip(integer, integer, text, jsonb), public.claim_merge(integer, text, integer, boolean),
  public.renew_merge(integer, integer, double precision, integer),
  public.settle_merge(integer, integer, text, jsonb), public.lost_renderings(interval)
  to service_role;

-- Who watches a video hears of its progress, where there is Realtime; row level security holds there too.
do $$
declare
  missing text;
begin
  for missing in
    select format('%I.%I', 'public', wanted) from unnest(array['final_videos', 'video_clips']) as wanted
    where exists (select from pg_publication where pubname = 'supabase_realtime' and not puballtables)
      and not exists (
        select from pg_publication_tables
        where pubname = 'supabase_realtime' and schemaname = 'public' and tablename = wanted)
  loop
    execute format('alter publication supabase_realtime add table %s', missing);
  end loop;
exception when insufficient_privilege then
  raise warning 'Progress is not sent by Realtime: %. Add final_videos and video_clips to its publication.', sqlerrm;
end $$;
