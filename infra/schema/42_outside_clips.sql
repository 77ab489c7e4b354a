-- Clips that were made elsewhere, to be merged in place of rendered ones; and who may read the files of videos.

create or replace function public.save_clips(p_session_id text, p_clips jsonb) returns jsonb
language plpgsql security invoker set search_path = '' as $$
declare
  wanted record;
  frame public.video_frames;
  chosen text;
  field text;
  changed boolean := false;
begin
  perform private.check_editable(p_session_id, 'session_not_found');
  for wanted in
    select * from rows from (jsonb_to_recordset(p_clips) as (
      frame_number integer, frame_id text, upload_id uuid, path text, provider text)) with ordinality
      as w (frame_number, frame_id, upload_id, path, provider, place)
  loop
    select * into frame from public.video_frames f
      where f.session_id = p_session_id
        and case when wanted.frame_number is null then f.frame_id = wanted.frame_id
          else f.frame_number = wanted.frame_number end
      order by f.frame_number limit 1 for update;
    if not found then
      field := format('clips[%s].frameId', wanted.place - 1);
      raise exception using errcode = 'PT404', message = 'frame_not_found', detail = jsonb_build_object(
        'errors', jsonb_build_array(jsonb_build_object('path', field, 'message', 'no such frame')))::text;
    end if;
    chosen := wanted.path;
    if wanted.upload_id is not null then
      chosen := private.usable_upload(wanted.upload_id, 'clip', format('clips[%s].uploadId', wanted.place - 1));
    elsif chosen is not null and not (
        private.may_use_image(chosen)
        and exists (select from private.image_facts(array[chosen]) f where f.mime_type like 'video/%')) then
      field := format('clips[%s].videoUrl', wanted.place - 1);
      raise exception using errcode = 'PT422', message = 'foreign_clip_url', detail = jsonb_build_object(
        'errors', jsonb_build_array(jsonb_build_object('path', field, 'message', 'not a video of yours')))::text;
    end if;
    update public.video_frames f
      set clip_path = chosen, clip_provider = case when chosen is not null then wanted.provider end
      where f.id = frame.id
        and (f.clip_path, f.clip_provider)
          is distinct from (chosen, case when chosen is not null then wanted.provider end);
    changed := changed or found;
  end loop;
  if changed then
    update public.video_sessions set version = version + 1 where session_id = p_session_id;
  end if;
  return (
    select coalesce(jsonb_agg(to_jsonb(f) order by f.frame_number), '[]')
    from public.video_frames f where f.session_id = p_session_id and f.clip_path is not null);
end $$;
comment on function public.save_clips(text, jsonb) is
  'Puts clips (upload_id or path, with their provider) in the place of those of the frames that frame_number or frame_id '
  'names, or takes them away where both are null. All or none; returns all frames of the session that have one.';

revoke execute on function public.save_clips(text, jsonb) from public, anon;
grant execute on function public.save_clips(text, jsonb) to authenticated, service_role;
