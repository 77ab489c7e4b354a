-- Saving a storyboard: session and frames in one transaction, as the caller, so that row level security decides.
-- Refusals carry an error code of the API as their message, and PTxxx as SQLSTATE, which PostgREST turns into the HTTP status.

create or replace function private.session_is_taken(p_session_id text) returns boolean
language sql stable security definer set search_path = '' as $$
  select exists (select from public.video_sessions where session_id = p_session_id)
$$;
comment on function private.session_is_taken(text) is 'Whether a session has this id, be it anybody''s.';
revoke execute on function private.session_is_taken(text) from public, anon;
grant execute on function private.session_is_taken(text) to authenticated, service_role;

create or replace function public.check_storyboard(p_session_id text, p_if_version integer, p_image_paths text[])
returns void
language plpgsql stable security invoker set search_path = '' as $$
declare
  current_version integer;
  foreign_images jsonb;
begin
  select version into current_version from public.video_sessions where session_id = p_session_id;
  if not found and private.session_is_taken(p_session_id) then
    raise exception using errcode = 'PT404', message = 'session_not_found';
  end if;
  if private.role_in(p_session_id) = 'viewer' then
    raise exception using errcode = 'PT403', message = 'forbidden';
  end if;
  if p_if_version is not null and current_version is distinct from p_if_version then
    raise exception using errcode = 'PT412', message = 'version_conflict',
      detail = jsonb_build_object('currentVersion', current_version)::text;
  end if;
  select jsonb_agg(jsonb_build_object(
      'path', format('frames[%s].imageUrl', position - 1), 'message', 'not an image of yours') order by position)
    into foreign_images
    from unnest(p_image_paths) with ordinality as image (path, position)
    where not private.may_use_image(path);
  if foreign_images is not null then
    raise exception using errcode = 'PT422', message = 'foreign_image_url',
      detail = jsonb_build_object('errors', foreign_images)::text;
  end if;
end $$;
comment on function public.check_storyboard(text, integer, text[]) is
  'Raises what save_storyboard would: a session that is not the caller''s to change, another version than expected, '
  'images that the caller may not use (given by their paths in the media bucket, in the order of the frames).';

create or replace function public.save_storyboard(
  p_session jsonb,
  p_frames jsonb,
  p_if_version integer default null,
  p_idempotency_key text default null,
  p_request_hash text default null)
returns jsonb
language plpgsql security invoker set search_path = '' as $$
declare
  caller constant text := (select auth.uid())::text;
  wanted public.video_sessions := jsonb_populate_record(null::public.video_sessions, p_session);
  stored public.video_sessions;
  is_new boolean;
  paths constant text[] := array(select f ->> 'image_path' from jsonb_array_elements(p_frames) f);
  changed integer;
  removed integer;
  answer jsonb;
begin
  if p_idempotency_key is not null then
    answer := private.recall_answer(p_idempotency_key, p_request_hash);
    if answer is not null then
      return answer;
    end if;
  end if;

  perform public.check_storyboard(wanted.session_id, p_if_version, paths);

  insert into public.video_sessions (
      session_id, user_id, original_prompt, video_duration, frame_count, style, mood, template_id,
      template_version)
    values (
      wanted.session_id, caller, wanted.original_prompt, wanted.video_duration, wanted.frame_count,
      wanted.style, wanted.mood, wanted.template_id, wanted.template_version)
    on conflict (session_id) do nothing;
  is_new := found;
  -- One save of a session at a time; whoever waited here sees what the other one committed.
  select * into stored from public.video_sessions where session_id = wanted.session_id for update;
  if not found then
    raise exception using errcode = 'PT404', message = 'session_not_found';
  end if;
  if p_if_version is not null and stored.version <> p_if_version then
    raise exception using errcode = 'PT412', message = 'version_conflict',
      detail = jsonb_build_object('currentVersion', stored.version)::text;
  end if;

  with facts as materialized (select * from private.image_facts(paths))
  insert into public.video_frames as kept (
      session_id, frame_number, frame_id, timestamp, image_url, description, prompt, scene_story, story_title,
      story_overview, style, mood, thumbnail_path, width, height, bytes, mime_type, placeholder)
    select
      wanted.session_id, f.frame_number, f.frame_id, f.timestamp, f.image_url, f.description, f.prompt, f.scene_story,
      f.story_title, f.story_overview, f.style, f.mood, facts.thumbnail_path, facts.width, facts.height, facts.bytes,
      facts.mime_type, facts.placeholder
    from jsonb_to_recordset(p_frames) as f (
      frame_number integer, frame_id text, timestamp text, image_url text, image_path text, description text,
      prompt text, scene_story text, story_title text, story_overview text, style text, mood text)
    left join facts on facts.path = f.image_path
    on conflict (session_id, frame_number) do update set
      frame_id = excluded.frame_id, timestamp = excluded.timestamp, image_url = excluded.image_url,
      description = excluded.description, prompt = excluded.prompt, scene_story = excluded.scene_story,
      story_title = excluded.story_title, story_overview = excluded.story_overview, style = excluded.style,
      mood = excluded.mood, thumbnail_path = excluded.thumbnail_path, width = excluded.width,
      height = excluded.height, bytes = excluded.bytes, mime_type = excluded.mime_type,
      placeholder = excluded.placeholder
    where (
      kept.frame_id, kept.timestamp, kept.image_url, kept.description, kept.prompt, kept.scene_story,
      kept.story_title, kept.story_overview, kept.style, kept.mood, kept.thumbnail_path, kept.width, kept.height,
      kept.bytes, kept.mime_type, kept.placeholder)
      is distinct from (
      excluded.frame_id, excluded.timestamp, excluded.image_url, excluded.description, excluded.prompt,
      excluded.scene_story, excluded.story_title, excluded.story_overview, excluded.style, excluded.mood,
      excluded.thumbnail_path, excluded.width, excluded.height, excluded.bytes, excluded.mime_type,
      excluded.placeholder);
  get diagnostics changed = row_count;

  -- Only now: that a frame of the session has it is what lets an editor use an image from another one's folder.
  delete from public.video_frames
    where session_id = wanted.session_id
      and frame_number not in (select (f ->> 'frame_number')::integer from jsonb_array_elements(p_frames) f);
  get diagnostics removed = row_count;

  if not is_new and (
      changed > 0 or removed > 0
      or (stored.original_prompt, stored.video_duration, stored.frame_count, stored.style, stored.mood,
          stored.template_id, stored.template_version)
        is distinct from (wanted.original_prompt, wanted.video_duration, wanted.frame_count, wanted.style,
          wanted.mood, wanted.template_id, wanted.template_version)) then
    update public.video_sessions set
      original_prompt = wanted.original_prompt, video_duration = wanted.video_duration,
      frame_count = wanted.frame_count, style = wanted.style, mood = wanted.mood,
      template_id = wanted.template_id, template_version = wanted.template_version, version = stored.version + 1
      where session_id = wanted.session_id
      returning * into stored;
  end if;

  select jsonb_build_object(
      'session', to_jsonb(stored) || jsonb_build_object('caller_role', private.role_in(stored.session_id)),
      'frames', (
        select jsonb_agg(to_jsonb(f) order by f.frame_number)
        from public.video_frames f where f.session_id = wanted.session_id))
    into answer;
  if p_idempotency_key is not null then
    perform private.remember_answer(p_idempotency_key, answer);
  end if;
  return answer;
end $$;
comment on function public.save_storyboard(jsonb, jsonb, integer, text, text) is
  'Writes the session (columns of video_sessions) and its frames (columns of video_frames, and image_path), removes '
  'frames that are not in the list, and returns both as stored. The version rises by one where anything changed.';

revoke execute on function public.check_storyboard(text, integer, text[]) from public, anon;
revoke execute on function public.save_storyboard(jsonb, jsonb, integer, text, text) from public, anon;
grant execute on function public.check_storyboard(text, integer, text[]) to authenticated, service_role;
grant execute on function public.save_storyboard(jsonb, jsonb, integer, text, text) to authenticated, service_role;
