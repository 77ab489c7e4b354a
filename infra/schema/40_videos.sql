-- What is rendered from a session: final videos, and the clips they are joined from. Callers read them; the
-- workers write them.

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
comment on table public.final_videos is 'One rendering of a session, which can have several.';
comment on column public.final_videos.progress is '0 to 1.';
comment on column public.final_videos.estimated_cost is 'US dollars.';
comment on column public.final_videos.cost is 'US dollars.';
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
comment on table public.video_clips is 'The stretch of a final video that one frame makes, its leading transition included.';
comment on column public.video_clips.leased_until is 'Until when one worker has claimed the clip.';
comment on column public.video_clips.content_hash is 'SHA-256 of all that determines the clip, so that an equal one is not rendered again.';
create index if not exists video_clips_session_idx on public.video_clips (session_id);
create index if not exists video_clips_content_hash_idx on public.video_clips (content_hash);

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
create policy "Owners can read the videos of their sessions" on public.final_videos
  for select to authenticated using (session_id in (select private.readable_sessions()));
drop policy if exists "Owners can read the clips of their sessions" on public.video_clips;
create policy "Owners can read the clips of their sessions" on public.video_clips
  for select to authenticated using (session_id in (select private.readable_sessions()));
