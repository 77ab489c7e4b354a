-- The still images of a session, numbered from 1.

create table if not exists public.video_frames (
  id serial primary key,
  session_id varchar(255) not null references public.video_sessions (session_id) on delete cascade,
  frame_number integer not null,
  timestamp varchar(50) not null,
  image_url text not null,
  description text not null,
  prompt text not null,
  scene_story text,
  story_title varchar(255),
  story_overview text,
  style varchar(100),
  mood varchar(100),
  created_at timestamptz default now()
);
alter table public.video_frames
  add column if not exists frame_id varchar(64),
  -- The name of the object in the media bucket, from a public, signed or authenticated URL or from a bare path;
  -- null for an image that lies elsewhere.
  add column if not exists image_path text generated always as (
    case
      when image_url ~ '^https?://[^/]+/storage/v1/object/(public|sign|authenticated)/videomaker/' then
        split_part(
          regexp_replace(image_url, '^https?://[^/]+/storage/v1/object/(public|sign|authenticated)/videomaker/', ''),
          '?', 1)
      when image_url !~ '^[A-Za-z][A-Za-z0-9+.-]*:' then image_url
    end) stored,
  add column if not exists thumbnail_path text,
  add column if not exists width integer,
  add column if not exists height integer,
  add column if not exists bytes integer,
  add column if not exists mime_type varchar(100),
  add column if not exists placeholder text,
  add column if not exists clip_path text,
  add column if not exists clip_provider varchar(50);

comment on table public.video_frames is 'One still image of a session.';
comment on column public.video_frames.timestamp is 'Where the frame begins, as the client writes it: 5, 5s, 0:05, 0-5s.';
comment on column public.video_frames.image_url is 'The public URL of the image; in a private bucket its path there, never a signed URL.';
comment on column public.video_frames.image_path is 'The name of the image in the media bucket.';
comment on column public.video_frames.thumbnail_path is 'The name of the 320-pixel thumbnail in the media bucket.';
comment on column public.video_frames.bytes is 'Size of the stored image.';
comment on column public.video_frames.placeholder is 'ThumbHash of the image, base64.';
comment on column public.video_frames.clip_path is
  'The name in the media bucket of a clip that was made elsewhere and takes the place of a rendered one.';
comment on column public.video_frames.clip_provider is 'Who made that clip.';
comment on column public.video_frames.frame_id is 'The client''s own name for the frame, where it is not a number.';

-- Numbers are unique within a session. Also serves every list of a session's frames.
create unique index if not exists video_frames_session_number_key on public.video_frames (session_id, frame_number);
create index if not exists video_frames_image_path_idx on public.video_frames (image_path);
create index if not exists video_frames_thumbnail_path_idx on public.video_frames (thumbnail_path);
create index if not exists video_frames_clip_path_idx on public.video_frames (clip_path) where clip_path is not null;

create or replace function private.drop_outdated_clip() returns trigger
language plpgsql set search_path = '' as $$
begin
  new.clip_path := null;
  new.clip_provider := null;
  return new;
end $$;
comment on function private.drop_outdated_clip() is 'Trigger: a clip that was made from another picture goes with it.';
create or replace trigger video_frames_drop_outdated_clip before update of image_url on public.video_frames
  for each row when (old.image_url is distinct from new.image_url and old.clip_path is not distinct from new.clip_path)
  execute function private.drop_outdated_clip();

alter table public.video_frames drop constraint if exists video_frames_number_check;
alter table public.video_frames add constraint video_frames_number_check check (frame_number >= 1) not valid;
-- Pixels belong into Storage: a data: URL never reaches the database.
alter table public.video_frames drop constraint if exists video_frames_image_url_check;
alter table public.video_frames add constraint video_frames_image_url_check
  check (length(image_url) <= 2048 and image_url !~* '^data:') not valid;

create or replace function private.may_use_image(path text) returns boolean
language plpgsql stable security definer set search_path = '' as $$
begin
  return path is not null
    and path !~ '(^|/)\.{0,2}(/|$)'
    and (split_part(path, '/', 1) in ((select auth.uid())::text, 'guests') or private.can_read_file(path));
end $$;
comment on function private.may_use_image(text) is
  'Whether the caller may put this object of the media bucket into a session: it lies in its own folder, among the '
  'guests'' (whose names are secrets of 128 bits), or in a session that the caller can read. Without this rule, '
  'saving an address would be a way to read somebody else''s private file.';

create or replace function private.image_facts(paths text[])
returns table (
  path text, thumbnail_path text, width integer, height integer, bytes integer, mime_type text, placeholder text)
language sql stable security definer set search_path = '' as $$
  select o.name,
    case when o.user_metadata ->> 'thumbnail' = 'true'
      then regexp_replace(o.name, '(^|/)frames/([^/]+)\.[a-z]+$', '\1thumbnails/\2.webp') end,
    case when o.user_metadata ->> 'width' ~ '^[0-9]{1,6}$' then (o.user_metadata ->> 'width')::integer end,
    case when o.user_metadata ->> 'height' ~ '^[0-9]{1,6}$' then (o.user_metadata ->> 'height')::integer end,
    case when o.metadata ->> 'size' ~ '^[0-9]{1,9}$' then (o.metadata ->> 'size')::integer end,
    left(o.metadata ->> 'mimetype', 100),
    case when o.user_metadata ->> 'placeholder' ~ '^[A-Za-z0-9+/]{4,60}={0,2}$' then o.user_metadata ->> 'placeholder' end
  from storage.objects o
  where o.bucket_id = 'videomaker' and o.name = any (paths)
$$;
comment on function private.image_facts(text[]) is
  'What is known of stored images. The owner of a file can write its user_metadata, so every field is checked.';

revoke execute on all functions in schema private from public, anon;
grant execute on function private.may_use_image(text), private.image_facts(text[]) to authenticated, service_role;

alter table public.video_frames enable row level security;
revoke all on public.video_frames from anon, authenticated;
grant select, insert, update, delete on public.video_frames to authenticated;
grant all on public.video_frames to service_role;
grant usage on sequence public.video_frames_id_seq to authenticated, service_role;

drop policy if exists "Owners can read the frames of their sessions" on public.video_frames;
drop policy if exists "Members can read the frames of their sessions" on public.video_frames;
create policy "Members can read the frames of their sessions" on public.video_frames
  for select to authenticated using (session_id in (select private.readable_sessions()));
drop policy if exists "Owners can add frames to their sessions" on public.video_frames;
drop policy if exists "Editors can add frames to their sessions" on public.video_frames;
create policy "Editors can add frames to their sessions" on public.video_frames
  for insert to authenticated with check (
    private.may_use_image(image_path)
    and (thumbnail_path is null or private.may_use_image(thumbnail_path))
    and (clip_path is null or private.may_use_image(clip_path))
    and session_id in (select private.editable_sessions()));
drop policy if exists "Owners can change the frames of their sessions" on public.video_frames;
drop policy if exists "Editors can change the frames of their sessions" on public.video_frames;
create policy "Editors can change the frames of their sessions" on public.video_frames
  for update to authenticated
  using (session_id in (select private.editable_sessions()))
  with check (
    private.may_use_image(image_path)
    and (thumbnail_path is null or private.may_use_image(thumbnail_path))
    and (clip_path is null or private.may_use_image(clip_path))
    and session_id in (select private.editable_sessions()));
drop policy if exists "Owners can delete the frames of their sessions" on public.video_frames;
drop policy if exists "Editors can delete the frames of their sessions" on public.video_frames;
create policy "Editors can delete the frames of their sessions" on public.video_frames
  for delete to authenticated using (session_id in (select private.editable_sessions()));
