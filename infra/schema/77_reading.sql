-- Reading a storyboard: counted and read in one round trip, as the caller, so that row level security decides.

create or replace function public.read_frames(p_session_id text, p_after integer, p_limit integer) returns json
language plpgsql security invoker set search_path = '' as $$
declare
  storyboard json;
begin
  -- Only each row is jsonb, whose keys are in the order of PostgREST's embedded rows: a large jsonb takes twice the time.
  select row_to_json(whole) into storyboard from (
    select s.*, public.caller_role(s) as caller_role,
      (select coalesce(json_agg(to_jsonb(f)), '[]') from (
        select * from public.video_frames
        where session_id = p_session_id and frame_number > p_after order by frame_number limit p_limit) f) as frames,
      (select coalesce(json_agg(f), '[]') from (
        select frame_number from public.video_frames
        where session_id = p_session_id order by frame_number desc limit 1) f) as last
    from public.video_sessions s where s.session_id = p_session_id) whole;
  -- At the end: the caller's other requests wait to be counted until the transaction ends.
  return json_build_object('read', storyboard, 'verdict', public.admit('read'));
end $$;
comment on function public.read_frames(text, integer, integer) is
  'Counts a request to read, and returns what admit does as `verdict`; and as `read` the session, or null: with '
  '`caller_role`, `frames` (`p_limit` of them, numbered above `p_after`) and `last`, the number of its last frame.';

revoke execute on function public.read_frames(text, integer, integer) from public, anon;
grant execute on function public.read_frames(text, integer, integer) to authenticated, service_role;
