-- Which sessions a file of the media bucket belongs to, and what follows for those who are no owners of its folder. Policies
-- ask this of one file at a time, by index; in PL/pgSQL, which keeps its plans.

create or replace function private.sessions_of_file(path text) returns setof text
language plpgsql stable security definer rows 3 set search_path = '' as $$
begin
  return query
    select f.session_id::text from public.video_frames f where f.image_path = path
    union all
    select f.session_id::text from public.video_frames f where f.thumbnail_path = path
    union all
    select f.session_id::text from public.video_frames f where f.clip_path = path
    union all
    select c.session_id::text from public.video_clips c where c.video_path = path
    union all
    select v.session_id::text from public.final_videos v where v.files @> array[path];
end $$;
comment on function private.sessions_of_file(text) is
  'The sessions that show this file: as an image, a thumbnail, a clip, a video, or what goes with one.';

create or replace function private.can_read_file(path text) returns boolean
language plpgsql stable security definer set search_path = '' as $$
begin
  return exists (select from private.sessions_of_file(path) s (session_id) where private.role_in(s.session_id) is not null);
end $$;
comment on function private.can_read_file(text) is 'Whether the file belongs to a session that the caller can read.';

create or replace function private.is_given_away(path text) returns boolean
language plpgsql stable security definer set search_path = '' as $$
begin
  return exists (
    select from private.sessions_of_file(path) s (session_id)
    join public.session_members m on m.session_id = s.session_id and m.user_id = (select auth.uid())::text
    where m.has_edited and (m.status, m.role) <> ('accepted', 'editor'));
end $$;
comment on function private.is_given_away(text) is
  'Whether the file belongs to a session that the caller was an editor of and is no longer. It lies in the caller''s folder '
  'still, but what it shows is the session''s.';

revoke execute on all functions in schema private from public, anon;
grant execute on function private.can_read_file(text), private.is_given_away(text) to authenticated, service_role;
