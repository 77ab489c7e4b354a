-- One storyboard: its prompt, length, looks and state. The frames are in 30_frames.sql, who may see it in 25_members.sql.

create table if not exists public.video_sessions (
  id serial primary key,
  session_id varchar(255) not null unique,
  user_id varchar(255) not null,
  original_prompt text not null,
  video_duration integer not null,
  frame_count integer not null,
  style varchar(100) not null,
  mood varchar(100) not null,
  status varchar(50) default 'frames_generated',
  created_at timestamptz default now(),
  updated_at timestamptz default now()
);
alter table public.video_sessions
  add column if not exists version integer not null default 1,
  add column if not exists template_id varchar(64),
  add column if not exists template_version integer,
  add column if not exists is_guest boolean not null default false;

comment on table public.video_sessions is 'One storyboard of one owner.';
comment on column public.video_sessions.user_id is 'The owner: the subject of its access token, for a guest the derived UUID.';
comment on column public.video_sessions.video_duration is 'Seconds.';
comment on column public.video_sessions.version is 'Rises by one with each save that changed something; compared by If-Match.';
comment on column public.video_sessions.is_guest is 'Whether the owner was a guest, whose data is kept for a limited time.';

-- An owner's list; and, never touching the table, the set of an owner's sessions that policies ask for.
create index if not exists video_sessions_owned_idx on public.video_sessions (user_id, created_at desc, id desc)
  include (session_id);
drop index if exists public.video_sessions_owner_idx;

-- `not valid` lets rows that were there before us stay as they are; every new one is checked.
alter table public.video_sessions drop constraint if exists video_sessions_status_check;
alter table public.video_sessions add constraint video_sessions_status_check
  check (status in ('frames_generated', 'generating', 'completed', 'failed')) not valid;
alter table public.video_sessions drop constraint if exists video_sessions_duration_check;
alter table public.video_sessions add constraint video_sessions_duration_check
  check (video_duration between 1 and 3600) not valid;
alter table public.video_sessions drop constraint if exists video_sessions_frame_count_check;
alter table public.video_sessions add constraint video_sessions_frame_count_check
  check (frame_count between 1 and 1000) not valid;

create or replace trigger video_sessions_mark_guest before insert on public.video_sessions
  for each row execute function private.mark_guest();
create or replace trigger video_sessions_touch before update on public.video_sessions
  for each row execute function private.touch_updated_at();
-- A finished or failed session may be rendered again.
create or replace trigger video_sessions_status before update of status on public.video_sessions
  for each row execute function private.check_status_change('{
    "frames_generated": ["generating"],
    "generating": ["completed", "failed"],
    "completed": ["generating"],
    "failed": ["generating"]}');

alter table public.video_sessions enable row level security;
revoke all on public.video_sessions from anon, authenticated;
-- Status, owner and times are not the caller's to set.
grant select, delete on public.video_sessions to authenticated;
grant insert (session_id, user_id, original_prompt, video_duration, frame_count, style, mood, template_id, template_version)
  on public.video_sessions to authenticated;
grant update (original_prompt, video_duration, frame_count, style, mood, template_id, template_version, version)
  on public.video_sessions to authenticated;
grant all on public.video_sessions to service_role;
grant usage on sequence public.video_sessions_id_seq to authenticated, service_role;
