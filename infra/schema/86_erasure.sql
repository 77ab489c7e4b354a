-- Deleting for good: the rows here, the files then through the Storage API.

create or replace function private.session_files(p_session_ids text[]) returns table (path text, bytes bigint)
language sql stable security definer set search_path = '' as $$
  with named (session_id, path) as (
    select f.session_id, p.path from public.video_frames f
      cross join lateral unnest(array[f.image_path, f.thumbnail_path, f.clip_path]) as p (path)
      where f.session_id = any (p_session_ids)
    union
    select c.session_id, c.video_path from public.video_clips c where c.session_id = any (p_session_ids)
    union
    select v.session_id, p.path from public.final_videos v cross join lateral unnest(v.files) as p (path)
      where v.session_id = any (p_session_ids))
  select o.name, coalesce((o.metadata ->> 'size')::bigint, 0)
  from (select distinct n.path from named n) n
  join storage.objects o on o.bucket_id = 'videomaker' and o.name = n.path
  where not private.is_used_elsewhere(o.name, p_session_ids)
$$;
comment on function private.session_files(text[]) is 'The files that these sessions name and no other does, and their sizes.';

create or replace function private.is_used_elsewhere(p_path text, p_session_ids text[]) returns boolean
language sql stable security definer set search_path = '' as $$
  select exists (
      select from public.video_frames f where f.image_path = p_path and f.session_id <> all (p_session_ids))
    or exists (
      select from public.video_frames f where f.thumbnail_path = p_path and f.session_id <> all (p_session_ids))
    or exists (select from public.video_frames f where f.clip_path = p_path and f.session_id <> all (p_session_ids))
    or exists (select from public.video_clips c where c.video_path = p_path and c.session_id <> all (p_session_ids))
    or exists (
      select from public.final_videos v where v.files @> array[p_path] and v.session_id <> all (p_session_ids))
$$;
comment on function private.is_used_elsewhere(text, text[]) is 'Whether a session that is not among these names the file.';

create or replace function private.erase_sessions(p_session_ids text[]) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  receipt jsonb;
begin
  -- Renderings that are under way find nothing left of theirs, and end.
  perform from public.video_sessions where session_id = any (p_session_ids) order by session_id for update;
  select jsonb_build_object(
      'sessions', cardinality(p_session_ids),
      'frames', (select count(*) from public.video_frames where session_id = any (p_session_ids)),
      'videos', (select count(*) from public.final_videos where session_id = any (p_session_ids)),
      'clips', (select count(*) from public.video_clips where session_id = any (p_session_ids)),
      'share_links', (select count(*) from public.share_links where session_id = any (p_session_ids)),
      'members', (
        select count(*) from public.session_members
        where session_id = any (p_session_ids) and status in ('accepted', 'invited')),
      'files', (
        select coalesce(jsonb_agg(jsonb_build_object('path', f.path, 'bytes', f.bytes) order by f.path), '[]')
        from private.session_files(p_session_ids) f))
    into receipt;
  delete from public.video_sessions where session_id = any (p_session_ids);
  return receipt;
end $$;
comment on function private.erase_sessions(text[]) is
  'Deletes sessions with all that hangs on them, and returns how much that was and which files are nobody''s now. '
  'Whoever calls this has made sure that they are the caller''s.';

create or replace function public.erase_session(p_session_id text) returns jsonb
language plpgsql security invoker set search_path = '' as $$
declare
  role constant text := private.role_in(p_session_id);
begin
  if role is null then
    raise exception using errcode = 'PT404', message = 'session_not_found';
  elsif role <> 'owner' then
    raise exception using errcode = 'PT403', message = 'forbidden';
  end if;
  return private.erase_owned(array[p_session_id]);
end $$;
comment on function public.erase_session(text) is 'Deletes a session of the caller''s own for good.';
