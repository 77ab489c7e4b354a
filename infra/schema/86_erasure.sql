-- Deleting for good: the rows here, the files then through the Storage API.

create or replace function private.is_used_elsewhere(p_path text, p_session_ids text[]) returns boolean
language sql stable security definer set search_path = '' as $$
  select exists (select from private.sessions_of_file(p_path) s (session_id) where s.session_id <> all (p_session_ids))
$$;
comment on function private.is_used_elsewhere(text, text[]) is 'Whether a session that is not among these names the file.';

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

create or replace function private.erase_sessions(p_session_ids text[]) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  counts jsonb := jsonb_build_object('video_sessions', cardinality(p_session_ids));
  files jsonb;
  counted bigint;
  hanging record;
begin
  -- Renderings that are under way find nothing left of theirs, and end.
  perform from public.video_sessions where session_id = any (p_session_ids) order by session_id for update;
  for hanging in
    select t.relname as name from pg_catalog.pg_constraint c join pg_catalog.pg_class t on t.oid = c.conrelid
    where c.confrelid = 'public.video_sessions'::regclass and c.confdeltype = 'c'
      and t.relnamespace = 'public'::regnamespace
    order by t.relname
  loop
    execute format('select count(*) from public.%I where session_id = any ($1)', hanging.name)
      into counted using p_session_ids;
    counts := counts || jsonb_build_object(hanging.name, counted);
  end loop;
  select coalesce(jsonb_agg(jsonb_build_object('path', f.path, 'bytes', f.bytes) order by f.path), '[]')
    into files from private.session_files(p_session_ids) f;
  delete from public.video_sessions where session_id = any (p_session_ids);
  return jsonb_build_object('rows', counts, 'files', files);
end $$;
comment on function private.erase_sessions(text[]) is
  'Deletes sessions with all that hangs on them; returns how many rows of each table that was, and which files are nobody''s '
  'now. Only for functions that have made sure whose they are.';

create or replace function public.erase_session(p_session_id text) returns jsonb
language plpgsql security invoker set search_path = '' as $$
begin
  return private.erase_own_session(p_session_id);
end $$;
comment on function public.erase_session(text) is 'Deletes a session of the caller''s own for good; see private.erase_sessions.';

create or replace function private.erase_own_session(p_session_id text) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  role constant text := private.role_in(p_session_id);
begin
  if role is null then
    raise exception using errcode = 'PT404', message = 'session_not_found';
  elsif role <> 'owner' then
    raise exception using errcode = 'PT403', message = 'forbidden';
  end if;
  return private.erase_sessions(array[p_session_id]);
end $$;
comment on function private.erase_own_session(text) is 'Deletes a session where the caller owns it.';

create or replace function public.erase_account() returns jsonb
language plpgsql security invoker set search_path = '' as $$
begin
  return private.erase_own_account();
end $$;
comment on function public.erase_account() is
  'Deletes all that is the caller''s; what it gave to sessions of others stays with them.';

create or replace function private.erase_own_account() returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  caller constant text := (select auth.uid())::text;
  erased jsonb;
  counted bigint;
  owned record;
begin
  erased := private.erase_sessions(array(select session_id from public.video_sessions where user_id = caller));
  -- Every table of ours with a `user_id` holds what is one caller's.
  for owned in
    select c.table_schema as schema, c.table_name as name from information_schema.columns c
    join information_schema.tables t using (table_schema, table_name)
    where c.table_schema in ('public', 'private') and c.column_name = 'user_id' and t.table_type = 'BASE TABLE'
      and c.table_name <> 'video_sessions'
    order by c.table_name
  loop
    execute format('delete from %I.%I where user_id = $1', owned.schema, owned.name) using caller;
    get diagnostics counted = row_count;
    erased := jsonb_set(
      erased, array['rows', owned.name],
      to_jsonb(counted + coalesce((erased -> 'rows' ->> owned.name)::bigint, 0)));
  end loop;
  return jsonb_set(erased, '{files}', (
    select coalesce(jsonb_agg(file order by file ->> 'path'), '[]') from (
      select jsonb_array_elements(erased -> 'files') as file
      union
      select jsonb_build_object('path', o.name, 'bytes', coalesce((o.metadata ->> 'size')::bigint, 0))
      from storage.objects o
      where o.bucket_id = 'videomaker' and starts_with(o.name, caller || '/')
        and not private.is_used_elsewhere(o.name, '{}')) f));
end $$;
comment on function private.erase_own_account() is 'Deletes all that is the caller''s.';

revoke execute on all functions in schema private from public, anon;
revoke execute on function private.erase_sessions(text[]) from authenticated;
grant execute on function private.erase_own_session(text), private.erase_own_account() to authenticated;
revoke execute on function public.erase_session(text), public.erase_account() from public, anon;
grant execute on function public.erase_session(text), public.erase_account() to authenticated;
