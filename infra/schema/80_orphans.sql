-- Files that no row names, and rows whose file is gone. For the service role only.

create or replace function public.orphaned_files(p_older_than interval, p_after text, p_limit integer)
returns table (name text, bytes bigint)
language sql stable security invoker set search_path = '' as $$
  select o.name, (o.metadata ->> 'size')::bigint
  from storage.objects o
  where o.bucket_id = 'videomaker'
    and o.name ~ '^[^/]+/(frames|thumbnails|clips|audio|videos|exports)/'
    and o.created_at < now() - p_older_than
    and o.name > p_after
    and not exists (select from public.video_frames f where f.image_path = o.name)
    and not exists (select from public.video_frames f where f.thumbnail_path = o.name)
    and not exists (select from public.video_frames f where f.clip_path = o.name)
    and not exists (select from public.video_clips c where c.video_path = o.name)
    and not exists (select from public.final_videos v where v.files @> array[o.name])
    and not exists (
      select from public.uploads u
      where u.status = 'ready' and u.kind <> 'frame' and u.result ->> 'path' = o.name)
  order by o.name
  limit p_limit
$$;
comment on function public.orphaned_files(interval, text, integer) is
  'Files of the media bucket that are older than this and belong to nothing, by name, behind a name.';

create or replace function public.missing_files(p_limit integer)
returns table (session_id text, frame_number integer, path text)
language sql stable security invoker set search_path = '' as $$
  select f.session_id, f.frame_number, f.image_path
  from public.video_frames f
  where f.image_path is not null
    and not exists (
      select from storage.objects o where o.bucket_id = 'videomaker' and o.name = f.image_path)
  order by f.id desc
  limit p_limit
$$;
comment on function public.missing_files(integer) is
  'Frames whose image is not in the media bucket, those that were saved last first.';

revoke execute on function public.orphaned_files(interval, text, integer), public.missing_files(integer)
  from public, anon, authenticated;
grant execute on function public.orphaned_files(interval, text, integer), public.missing_files(integer)
  to service_role;
create index if not exists uploads_result_path_idx on public.uploads ((result ->> 'path')) where status = 'ready';
