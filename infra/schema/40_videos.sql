-- What is rendered from a session: final videos, and the clips they are joined from. Callers read them; the
-- workers write them.

create or replace function private.media_path(url text) returns text
language sql immutable parallel safe set search_path = '' as $$
  select case
    when url ~ '^https?://[^/]+/storage/v1/object/(public|sign|authenticated)/videomaker/' then
      split_part(
        regexp_replace(url, '^https?://[^/]+/storage/v1/object/(public|sign|authenticated)/videomaker/', ''), '?', 1)
    when url !~ '^[A-Za-z][A-Za-z0-9+.-]*:' then url
  end
$$;
comment on function private.media_path(text) is
  'The name of an object of the media bucket, by its public, signed or authenticated URL or by itself; else null.';
revoke execute on function private.media_path(text) from public, anon;
grant execute on function private.media_path(text) to authenticated, service_role;

create table if not exists public.final_videos (
  id serial primary key,
  video_id uuid not null unique default gen_random_uuid(),
  session_id varchar(255) not null references public.video_sessions (session_id) on delete cascade,
  options jsonb not null default '{}',
  status varchar(50) not null default 'queued',
  progress double precision not null default 0,
  video_url text,
  poster_url text,
  preview_url text,
  captions_url text,
  duration_seconds numeric(10, 3),
  width integer,
  height integer,
  fps integer,
  bytes bigint,
  estimated_cost numeric(12, 6),
  cost numeric(12, 6),
  error jsonb,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint final_videos_status_check
    check (status in ('queued', 'rendering', 'merging', 'completed', 'failed', 'canceled')),
  constraint final_videos_progress_check check (progress between 0 and 1)
);
alter table public.final_videos
  add column if not exists audio_path text,
  add column if not exists held boolean not null default false,
  add column if not exists template_id varchar(64),
  add column if not exists template_version integer,
  add column if not exists warnings jsonb not null default '[]',
  add column if not exists attempts integer not null default 0,
  add column if not exists claimed_by varchar(100),
  add column if not exists leased_until timestamptz,
  add column if not exists started_at timestamptz,
  add column if not exists finished_at timestamptz,
  -- The names of its files in the media bucket.
  add column if not exists files text[] generated always as (
    array_remove(
      array[
        private.media_path(video_url), private.media_path(poster_url), private.media_path(preview_url),
        private.media_path(captions_url)],
      null)) stored;
alter table public.final_videos drop constraint if exists final_videos_size_check;
alter table public.final_videos add constraint final_videos_size_check check (
  width between 2 and 1920 and height between 2 and 1920 and fps between 1 and 60
  and duration_seconds between 0 and 3600) not valid;
comment on table public.final_videos is 'One rendering of a session, which can have several.';
comment on column public.final_videos.progress is '0 to 1.';
comment on column public.final_videos.estimated_cost is 'US dollars.';
comment on column public.final_videos.cost is 'US dollars: what the workers took for it.';
comment on column public.final_videos.error is 'Why it failed: code and detail of the API, and the number of the frame.';
comment on column public.final_videos.audio_path is 'The name of its soundtrack in the media bucket.';
comment on column public.final_videos.held is 'Whether it waits for its turn in a batch: no message is due until then.';
comment on column public.final_videos.template_version is 'Of the template whose looks it has.';
comment on column public.final_videos.warnings is 'What was done otherwise than asked, in words.';
comment on column public.final_videos.attempts is 'How often a worker has begun to merge it.';
comment on column public.final_videos.claimed_by is 'The message that the merging worker handles.';
comment on column public.final_videos.leased_until is 'Until when one worker has claimed the merge.';
create index if not exists final_videos_files_idx on public.final_videos using gin (files);
create index if not exists final_videos_active_idx on public.final_videos (updated_at)
  where status in ('queued', 'rendering', 'merging');
create index if not exists final_videos_session_idx on public.final_videos (session_id, created_at desc);

create table if not exists public.video_clips (
  id serial primary key,
  session_id varchar(255) not null references public.video_sessions (session_id) on delete cascade,
  final_video_id integer not null references public.final_videos (id) on delete cascade,
  clip_number integer not null,
  frame_number integer not null,
  start_seconds numeric(10, 3) not null,
  duration_seconds numeric(10, 3) not null,
  video_url text,
  status varchar(50) not null default 'queued',
  attempts integer not null default 0,
  leased_until timestamptz,
  content_hash varchar(64),
  provider varchar(50) not null default 'render',
  error jsonb,
  timings jsonb,
  cost numeric(12, 6),
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint video_clips_number_key unique (final_video_id, clip_number),
  constraint video_clips_status_check check (status in ('queued', 'rendering', 'completed', 'failed', 'canceled'))
);
alter table public.video_clips
  add column if not exists caption text,
  add column if not exists spec jsonb not null default '{}',
  add column if not exists claimed_by varchar(100),
  add column if not exists progress double precision not null default 0,
  add column if not exists video_path text generated always as (private.media_path(video_url)) stored;
comment on table public.video_clips is 'The stretch of a final video that one frame makes, its leading transition included.';
comment on column public.video_clips.leased_until is 'Until when one worker has claimed the clip.';
comment on column public.video_clips.content_hash is 'SHA-256 of all that determines the clip, so that an equal one is not rendered again.';
comment on column public.video_clips.provider is 'Who made it: `render` is this service.';
comment on column public.video_clips.spec is 'All that determines the clip: the files that it is made from, and how.';
comment on column public.video_clips.caption is 'What is said meanwhile, for the captions beside the video.';
comment on column public.video_clips.claimed_by is 'The message that the claiming worker handles.';
comment on column public.video_clips.progress is '0 to 1, of the attempt that runs.';
comment on column public.video_clips.video_path is 'The name of the clip in the media bucket.';
create index if not exists video_clips_session_idx on public.video_clips (session_id);
create index if not exists video_clips_content_hash_idx on public.video_clips (content_hash);
create index if not exists video_clips_path_idx on public.video_clips (video_path);
create index if not exists video_clips_lease_idx on public.video_clips (leased_until) where status = 'rendering';

create or replace trigger final_videos_touch before update on public.final_videos
  for each row execute function private.touch_updated_at();
create or replace trigger video_clips_touch before update on public.video_clips
  for each row execute function private.touch_updated_at();
create or replace trigger final_videos_status before update of status on public.final_videos
  for each row execute function private.check_status_change('{
    "queued": ["rendering", "failed", "canceled"],
    "rendering": ["merging", "completed", "failed", "canceled"],
    "merging": ["completed", "failed", "canceled"]}');
-- A lost worker's clip goes back into the queue.
create or replace trigger video_clips_status before update of status on public.video_clips
  for each row execute function private.check_status_change('{
    "queued": ["rendering", "completed", "failed", "canceled"],
    "rendering": ["queued", "completed", "failed", "canceled"]}');

alter table public.final_videos enable row level security;
alter table public.video_clips enable row level security;
revoke all on public.final_videos, public.video_clips from anon, authenticated;
grant select on public.final_videos, public.video_clips to authenticated;
grant all on public.final_videos, public.video_clips to service_role;
grant usage on sequence public.final_videos_id_seq, public.video_clips_id_seq to service_role;

drop policy if exists "Owners can read the videos of their sessions" on public.final_videos;
drop policy if exists "Members can read the videos of their sessions" on public.final_videos;
create policy "Members can read the videos of their sessions" on public.final_videos
  for select to authenticated using (session_id in (select private.readable_sessions()));
drop policy if exists "Owners can read the clips of their sessions" on public.video_clips;
drop policy if exists "Members can read the clips of their sessions" on public.video_clips;
create policy "Members can read the clips of their sessions" on public.video_clips
  for select to authenticated using (session_id in (select private.readable_sessions()));
