-- What tells a cache whether an entry is still what the database would answer. A stamp is made, at each reading and by
-- the caller's own rights, from what Postgres itself writes at every change of a row (xmin), whoever makes it: no
-- writer has to tell the cache anything, and so none can fail to.

create or replace function public.frames_stamp(session public.video_sessions) returns text
language sql stable security invoker set search_path = '' as $$
  select md5(coalesce(string_agg(f.id || ':' || f.xmin, ',' order by f.frame_number), ''))
  from public.video_frames f
  where f.session_id = session.session_id
$$;
comment on function public.frames_stamp(public.video_sessions) is
  'Another one after each change of a session''s frames; PostgREST gives it as a column that can be asked for.';

create or replace function public.history_stamp(p_scope text, p_filter jsonb, p_limit integer) returns text
language sql stable security invoker set search_path = '' as $$
  select md5(coalesce(string_agg(concat_ws('|', s::text, private.role_in(s.session_id), f.stamp, v.stamp), '/'
    order by s.created_at desc, s.id desc), ''))
  from private.history_page(p_scope, p_filter, null, null, p_limit) s
  cross join lateral (
    select string_agg(f.id || ':' || f.changed, ',' order by f.frame_number) as stamp
    from (
      select id, frame_number, xmin as changed from public.video_frames where session_id = s.session_id
      order by frame_number limit 4) f) f
  cross join lateral (
    select string_agg(v.id || ':' || v.changed, ',' order by v.id desc) as stamp
    from (
      select id, xmin as changed from public.final_videos where session_id = s.session_id
      order by created_at desc, id desc limit 3) v) v
$$;
comment on function public.history_stamp(text, jsonb, integer) is
  'Another one after each change of what list_history shows on its first page.';

create or replace function public.templates_stamp() returns text
language sql stable security invoker set search_path = '' as $$
  select md5(coalesce(string_agg(t.id || ':' || t.xmin, ',' order by t.id), '')) from public.video_templates t
$$;
comment on function public.templates_stamp() is 'Another one after each change of a template that the caller can read.';

revoke execute on function
  public.frames_stamp(public.video_sessions), public.history_stamp(text, jsonb, integer), public.templates_stamp()
  from public, anon;
grant execute on function
  public.frames_stamp(public.video_sessions), public.history_stamp(text, jsonb, integer), public.templates_stamp()
  to authenticated, service_role;
