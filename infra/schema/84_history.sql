-- A caller's sessions with their videos, newest first, and the search in them.

alter table public.video_sessions add column if not exists tags varchar(64)[] not null default '{}';
comment on column public.video_sessions.tags is 'Words that the caller groups sessions by.';
alter table public.video_sessions drop constraint if exists video_sessions_tags_check;
alter table public.video_sessions add constraint video_sessions_tags_check check (cardinality(tags) <= 20) not valid;
grant insert (tags), update (tags) on public.video_sessions to authenticated;

create table if not exists private.session_documents (
  session_id varchar(255) primary key references public.video_sessions (session_id) on delete cascade,
  document tsvector not null
);
comment on table private.session_documents is
  'The words of each session: of its prompt (A), titles and stories (B), and its frames'' texts (C).';
create index if not exists session_documents_idx on private.session_documents using gin (document);
alter table private.session_documents enable row level security;
revoke all on private.session_documents from public, anon, authenticated, service_role;
grant select on private.session_documents to authenticated;
drop policy if exists "Members can search their sessions" on private.session_documents;
create policy "Members can search their sessions" on private.session_documents
  for select to authenticated using (session_id in (select private.readable_sessions()));

create or replace function private.words(p_text text) returns tsvector
language sql immutable set search_path = '' as $$
  select to_tsvector('pg_catalog.simple', t.plain) || to_tsvector('pg_catalog.english', t.plain)
  from (select translate(coalesce(p_text, ''), '<>', '  ')) as t (plain)
$$;
comment on function private.words(text) is
  'Words as they are written in any language, and English ones by their stems. Postgres would leave tags out.';

create or replace function private.search_query(p_text text) returns tsquery
language sql immutable set search_path = '' as $$
  select websearch_to_tsquery('pg_catalog.simple', p_text) || websearch_to_tsquery('pg_catalog.english', p_text)
$$;
comment on function private.search_query(text) is
  'What a person types into a search box: words, "phrases", or, and -words to leave out.';

create or replace function private.index_sessions(p_session_ids text[]) returns void
language sql security definer set search_path = '' as $$
  insert into private.session_documents (session_id, document)
  select s.session_id,
    setweight(private.words(left(s.original_prompt, 20000)), 'A')
    || setweight(private.words(concat_ws(' ', s.style, s.mood, f.titles, f.stories)), 'B')
    || setweight(private.words(f.texts), 'C')
  from public.video_sessions s
  cross join lateral (
    select
      left(string_agg(distinct concat_ws(' ', story_title, story_overview), ' '), 50000) as titles,
      left(string_agg(scene_story, ' ' order by frame_number), 50000) as stories,
      left(string_agg(
        case when prompt = description then description else concat_ws(' ', description, prompt) end, ' '
        order by frame_number), 100000) as texts
    from public.video_frames where session_id = s.session_id) f
  where s.session_id = any (p_session_ids)
  on conflict (session_id) do update set document = excluded.document
    where private.session_documents.document is distinct from excluded.document
$$;
comment on function private.index_sessions(text[]) is 'Writes the words of these sessions anew; of very long ones, the first.';

create or replace function private.index_session() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  perform private.index_sessions(array[new.session_id]);
  return null;
end $$;
comment on function private.index_session() is 'Trigger: keeps the words of a session.';

create or replace function private.index_frames() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  perform private.index_sessions(array(select distinct session_id from changed));
  return null;
end $$;
comment on function private.index_frames() is 'Trigger: keeps the words of sessions whose frames have changed.';

create or replace trigger video_sessions_index after insert or update of original_prompt, style, mood
  on public.video_sessions for each row execute function private.index_session();
create or replace trigger video_frames_index_new after insert on public.video_frames
  referencing new table as changed for each statement execute function private.index_frames();
create or replace trigger video_frames_index_changed after update on public.video_frames
  referencing new table as changed for each statement execute function private.index_frames();
create or replace trigger video_frames_index_gone after delete on public.video_frames
  referencing old table as changed for each statement execute function private.index_frames();

select private.index_sessions(array(
  select s.session_id from public.video_sessions s
  where not exists (select from private.session_documents d where d.session_id = s.session_id)));

create or replace function private.session_matches(s public.video_sessions, p_filter jsonb) returns boolean
language plpgsql stable set search_path = '' as $$
begin
  return (not p_filter ? 'status' or s.status = p_filter ->> 'status')
    and (not p_filter ? 'style' or s.style = p_filter ->> 'style')
    and (not p_filter ? 'mood' or s.mood = p_filter ->> 'mood')
    and (not p_filter ? 'template_id' or s.template_id = p_filter ->> 'template_id')
    and (not p_filter ? 'tag' or p_filter ->> 'tag' = any (s.tags))
    and (not p_filter ? 'since' or s.created_at >= (p_filter ->> 'since')::timestamptz)
    and (not p_filter ? 'until' or s.created_at < (p_filter ->> 'until')::timestamptz);
end $$;
comment on function private.session_matches(public.video_sessions, jsonb) is
  'Whether a session passes a filter: an object of status, style, mood, template_id, tag, since, until, each optional. In '
  'PL/pgSQL, which keeps its plan: of all that a caller has each is asked.';

-- Each branch reads an index in the order of the list and stops at the page's end; row level security judges the rows
-- besides. An `or` over both would have to sort all of a caller's sessions.
create or replace function private.history_page(
  p_scope text, p_filter jsonb, p_after_created timestamptz, p_after_id integer, p_limit integer)
returns setof public.video_sessions
language sql stable security invoker set search_path = '' as $$
  (select s.* from public.video_sessions s
    where p_scope <> 'shared' and s.user_id = (select auth.uid())::text
      and (p_after_id is null or (s.created_at, s.id) < (p_after_created, p_after_id))
      and (p_filter = '{}' or private.session_matches(s, p_filter))
    order by s.created_at desc, s.id desc limit p_limit)
  union all
  (select s.* from public.video_sessions s
    where p_scope <> 'own' and s.session_id = any (array(select private.shared_sessions()))
      and (p_after_id is null or (s.created_at, s.id) < (p_after_created, p_after_id))
      and (p_filter = '{}' or private.session_matches(s, p_filter))
    order by s.created_at desc, s.id desc limit p_limit)
  order by created_at desc, id desc limit p_limit
$$;

comment on function private.history_page(text, jsonb, timestamptz, integer, integer) is
  'The sessions of one page, newest first, behind a time and an id.';

create or replace function private.search_page(
  p_query tsquery, p_scope text, p_filter jsonb, p_after_rank real, p_after_id integer, p_limit integer)
returns table (session public.video_sessions, rank real)
language sql stable security invoker set search_path = '' as $$
  select f.session, f.rank
  from (
    select s as session, ts_rank(d.document, p_query) as rank, (s).id as id
    from public.video_sessions s
    join private.session_documents d using (session_id)
    where d.document @@ p_query
      and ((p_scope <> 'shared' and s.user_id = (select auth.uid())::text)
        or (p_scope <> 'own' and s.session_id = any (array(select private.shared_sessions()))))
      and (p_filter = '{}' or private.session_matches(s, p_filter))) f
  where p_after_id is null or (f.rank, f.id) < (p_after_rank, p_after_id)
  order by f.rank desc, f.id desc limit p_limit
$$;
comment on function private.search_page(tsquery, text, jsonb, real, integer, integer) is
  'The sessions of one page that fit a search, best first, behind a rank and an id.';

create or replace function private.highlights(p_session public.video_sessions, p_query tsquery) returns jsonb
language sql stable security invoker set search_path = '' as $$
  select jsonb_agg(jsonb_build_object(
    'frame_number', t.frame_number,
    'text', ts_headline(
      'pg_catalog.english', translate(left(t.text, 2000), '<>', chr(57344) || chr(57345)), p_query,
      format('StartSel=%s, StopSel=%s, MaxWords=24, MinWords=8', chr(2), chr(3)))) order by t.frame_number nulls first)
  from (
    select null::integer as frame_number, p_session.original_prompt as text
    where private.words(p_session.original_prompt) @@ p_query
    union all (
      select f.frame_number, f.text
      from (
        select f.frame_number, concat_ws(' — ', f.story_title, f.description, f.scene_story) as text
        from public.video_frames f
        where f.session_id = p_session.session_id and f.frame_number <= 100) f
      where private.words(f.text) @@ p_query
      order by f.frame_number limit 3)) t
$$;
comment on function private.highlights(public.video_sessions, tsquery) is
  'Where a session fits a search: in its prompt, and in three of its first 100 frames. What fits stands between U+0002 '
  'and U+0003; U+E000 and U+E001 stand for the brackets of tags, which Postgres would leave out.';

create or replace function private.history_parts(p_session_id text) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
declare
  caller_role constant text := private.role_in(p_session_id);
begin
  if caller_role is null then
    return null;
  end if;
  return jsonb_build_object(
    'caller_role', caller_role,
    'frames', (
      select jsonb_agg(to_jsonb(f) order by f.frame_number) from (
        select frame_number, image_path, thumbnail_path, placeholder, width, height
        from public.video_frames where session_id = p_session_id
        order by frame_number limit 4) f),
    'videos', (
      select jsonb_agg(to_jsonb(v) order by v.id desc) from (
        select * from public.final_videos where session_id = p_session_id
        order by created_at desc, id desc limit 3) v));
end $$;
comment on function private.history_parts(text) is
  'What a list shows of a session: the caller''s role in it, its first four frames and last three videos; null for those who '
  'cannot read it. As definer: the policies would first make the set of all that the caller can read, twice, 2 ms each for '
  'somebody with 2,000 sessions.';

create or replace function public.list_history(
  p_scope text, p_filter jsonb, p_limit integer, p_query text default null,
  p_after_created timestamptz default null, p_after_rank real default null, p_after_id integer default null)
returns jsonb
language plpgsql stable security invoker set search_path = '' as $$
declare
  wanted constant tsquery := private.search_query(p_query);
  page jsonb;
begin
  with found as materialized (
    select s as session, null::real as rank
      from private.history_page(p_scope, p_filter, p_after_created, p_after_id, p_limit) s where p_query is null
    union all
    select f.session, f.rank
      from private.search_page(wanted, p_scope, p_filter, p_after_rank, p_after_id, p_limit) f where p_query is not null)
  select jsonb_agg(
      to_jsonb(found.session) || jsonb_build_object(
        'rank', found.rank,
        'highlights', case when p_query is not null then private.highlights(found.session, wanted) end)
        || private.history_parts((found.session).session_id)
      order by found.rank desc, (found.session).created_at desc, (found.session).id desc)
    into page from found;
  return coalesce(page, '[]');
end $$;
comment on function public.list_history(text, jsonb, integer, text, timestamptz, real, integer) is
  'Sessions of the scope own, shared or all, with the first four frames and the last three videos of each: newest first, '
  'with a query those that fit it, best first.';

revoke execute on all functions in schema private from public, anon;
grant execute on function
  private.history_page(text, jsonb, timestamptz, integer, integer), private.history_parts(text),
  private.session_matches(public.video_sessions, jsonb),
  private.search_page(tsquery, text, jsonb, real, integer, integer),
  private.highlights(public.video_sessions, tsquery), private.words(text), private.search_query(text)
  to authenticated, service_role;
revoke execute on function public.list_history(text, jsonb, integer, text, timestamptz, real, integer) from public, anon;
grant execute on function public.list_history(text, jsonb, integer, text, timestamptz, real, integer)
  to authenticated, service_role;
