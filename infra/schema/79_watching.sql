-- What a share link shows, to whom: see 78_shares.sql. All of it goes by the link that the caller's token names, and a
-- person's token names none. open_share and shared_files are the ways in; the others run within them, as their owner.

create or replace function private.shared_token_hash() returns text
language sql stable set search_path = '' as $$
  select claims ->> 'share'
  from (select (select auth.jwt()) -> 'app_metadata') as token (claims)
  where claims ->> 'provider' = 'share'
$$;
comment on function private.shared_token_hash() is
  'The share link that the caller''s token names; the claim lies in app_metadata, which users cannot write.';

create or replace function private.shared_video(p_session_id text, p_video_id uuid) returns setof public.final_videos
language sql stable security invoker set search_path = '' as $$
  select * from public.final_videos
  where session_id = p_session_id and (p_video_id is null or video_id = p_video_id)
    and status = 'completed' and private.media_path(video_url) is not null
  order by created_at desc, id desc limit 1
$$;
comment on function private.shared_video(text, uuid) is
  'This video of a session, or its newest one; nothing where it is not completed.';

create or replace function private.shared_files() returns setof text
language sql stable security definer set search_path = '' as $$
  with link as (
    select session_id, video_id from public.share_links
    where token_hash = private.shared_token_hash() and revoked_at is null and (expires_at is null or expires_at > now())
  ), video as (
    select shown.* from link, private.shared_video(link.session_id, link.video_id) shown
  )
  select private.media_path(url) from video, unnest(array[video_url, poster_url, captions_url]) url
  union all
  select path from link join public.video_frames f using (session_id), unnest(array[image_path, thumbnail_path]) path
  where path is not null and link.video_id is null and not exists (select from video)
$$;
comment on function private.shared_files() is
  'The files of the media bucket that the link of the caller''s token shows: those of its video, and where a session has '
  'none yet, those of its frames.';

create or replace function private.shared_frames(p_session_id text) returns jsonb
language sql stable security invoker set search_path = '' as $$
  select coalesce(jsonb_agg(
    jsonb_build_object(
      'number', frame_number, 'path', image_path, 'description', description, 'width', width, 'height', height)
    order by frame_number), '[]')
  from (
    select * from public.video_frames where session_id = p_session_id and image_path is not null
    order by frame_number limit 200) f
$$;
comment on function private.shared_frames(text) is 'The first 200 frames, as the page of a session without a video shows them.';

drop function if exists public.open_share(text, text, text);
drop function if exists private.open_share(text, text, text);
drop function if exists private.shared_page(text, uuid);

create or replace function private.shared_page(p_session_id text, p_video_id uuid, p_known_stamp text) returns jsonb
language plpgsql stable security invoker set search_path = '' as $$
declare
  video public.final_videos;
  frames jsonb := '[]';
  stamp text;
  wanted_status text;
begin
  select * into video from private.shared_video(p_session_id, p_video_id);
  if video.id is null then
    select status into wanted_status from public.final_videos
      where session_id = p_session_id and (p_video_id is null or video_id = p_video_id)
      order by created_at desc, id desc limit 1;
    if p_video_id is null then
      stamp := public.frames_stamp(s) from public.video_sessions s where s.session_id = p_session_id;
      frames := case when stamp is distinct from p_known_stamp then private.shared_frames(p_session_id) end;
    end if;
    if frames = '[]' then
      return jsonb_build_object(
        'state', case when wanted_status in ('failed', 'canceled') then 'failed' else 'not_ready' end);
    end if;
  end if;
  return (
    select jsonb_build_object(
      'state', 'shown',
      'prompt', s.original_prompt,
      'title', (
        select story_title from public.video_frames f
        where f.session_id = s.session_id and story_title <> '' order by frame_number limit 1),
      'overview', (
        select story_overview from public.video_frames f
        where f.session_id = s.session_id and story_overview <> '' order by frame_number limit 1),
      'created_at', coalesce(video.created_at, s.created_at),
      'video', case when video.id is not null then jsonb_build_object(
        'path', private.media_path(video.video_url), 'poster', private.media_path(video.poster_url),
        'captions', private.media_path(video.captions_url), 'width', video.width, 'height', video.height,
        'seconds', video.duration_seconds) end,
      'frames', frames,
      'frames_stamp', stamp,
      'is_rendering', coalesce(wanted_status in ('queued', 'rendering', 'merging'), false))
    from public.video_sessions s where s.session_id = p_session_id);
end $$;
comment on function private.shared_page(text, uuid, text) is
  'What the page of a link shows: the video, or the frames of a session that has none yet, or why there is neither. '
  'Frames that are known by their stamp are not said again: null.';

create or replace function private.password_refusal(p_link public.share_links, p_address text, p_password_hash text)
returns jsonb
language plpgsql security invoker set search_path = '' as $$
declare
  tries integer;
  first_try timestamptz;
begin
  if p_link.password_hash is null then
    return null;
  elsif p_password_hash is null then
    return '{"state": "password_required"}';
  end if;
  select count(*), min(tried_at) into tries, first_try from private.share_tries
    where share_id = p_link.id and address = p_address and tried_at > now() - interval '1 minute';
  if tries >= 10 then
    return jsonb_build_object(
      'state', 'too_many_tries',
      'retry_after', greatest(1, ceil(extract(epoch from first_try + interval '1 minute' - now()))::integer));
  elsif p_password_hash = p_link.password_hash then
    return null;
  end if;
  insert into private.share_tries (share_id, address) values (p_link.id, p_address);
  return '{"state": "wrong_password"}';
end $$;
comment on function private.password_refusal(public.share_links, text, text) is
  'Why this password does not open the link, or null. Ten wrong ones a minute are looked at from one address; after them '
  'not even the right one. The caller holds the lock on the link''s row.';

create or replace function private.count_view(p_link public.share_links, p_viewer text) returns boolean
language plpgsql security invoker set search_path = '' as $$
begin
  if exists (
    select from private.share_views
    where share_id = p_link.id and viewer = p_viewer and counted_at > now() - interval '1 hour'
  ) then
    return true;
  elsif p_link.views >= p_link.max_views then
    return false;
  elsif p_viewer is not null then
    insert into private.share_views (share_id, viewer) values (p_link.id, p_viewer)
      on conflict (share_id, viewer) do update set counted_at = now();
    update public.share_links set views = views + 1, last_viewed_at = now() where id = p_link.id;
  end if;
  return true;
end $$;
comment on function private.count_view(public.share_links, text) is
  'Counts a view, once an hour of each viewer; false where the link has no view left. The caller holds the lock on its row.';

create or replace function private.open_share(
  p_viewer text, p_address text, p_password_hash text, p_known_stamp text)
returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  link public.share_links;
  answer jsonb;
begin
  select * into link from public.share_links
    where token_hash = private.shared_token_hash() and revoked_at is null for update;
  if not found then
    return null;
  elsif link.expires_at <= now() then
    return '{"state": "expired"}';
  end if;
  answer := coalesce(
    private.password_refusal(link, p_address, p_password_hash),
    private.shared_page(
      link.session_id, link.video_id,
      case when p_viewer is not null or link.max_views is null then p_known_stamp end));
  if answer ->> 'state' <> 'shown' then
    return answer;
  elsif not private.count_view(link, p_viewer) then
    return '{"state": "used_up"}';
  elsif p_viewer is null and link.max_views is not null then
    return (answer - 'frames_stamp') #- '{video,path}'
      || jsonb_build_object('frames', jsonb_path_query_array(answer, '$.frames[0]'));
  end if;
  return answer;
end $$;
comment on function private.open_share(text, text, text, text) is 'See public.open_share.';

create or replace function public.open_share(
  p_viewer text, p_address text, p_password_hash text, p_known_stamp text default null)
returns jsonb
language sql security invoker set search_path = '' as $$
  select private.open_share(p_viewer, p_address, p_password_hash, p_known_stamp)
$$;
comment on function public.open_share(text, text, text, text) is
  'What the link of the caller''s token shows, and the view counted; null where there is no such link or it was revoked. '
  'Without a viewer nothing is counted, and where views are limited only what a preview needs is shown. Frames whose '
  '`frames_stamp` is the known one are not said again: null.';

create or replace function public.forget_share_visits() returns bigint
language sql security invoker set search_path = '' as $$
  with views as (
    delete from private.share_views where counted_at <= now() - interval '1 hour' returning 1
  ), tries as (
    delete from private.share_tries where tried_at <= now() - interval '1 minute' returning 1
  )
  select (select count(*) from views) + (select count(*) from tries)
$$;
comment on function public.forget_share_visits() is 'Deletes what is no longer needed of who watched, and returns how much.';

revoke execute on all functions in schema private from public, anon;
revoke execute on function public.open_share(text, text, text, text), public.forget_share_visits()
  from public, anon, authenticated;
grant execute on function public.open_share(text, text, text, text) to authenticated;
grant execute on function public.forget_share_visits() to service_role;
grant execute on function private.open_share(text, text, text, text), private.shared_files() to authenticated, service_role;
