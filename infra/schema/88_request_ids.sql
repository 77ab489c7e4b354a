-- Which request has led to a piece of work. A message may be lost and sent again by the sweep, or by whoever ends other
-- work: the row alone knows whose work it is, and its worker logs under that id.

create or replace function private.note_request() returns trigger
language plpgsql security invoker set search_path = '' as $$
declare
  -- PostgREST keeps the headers of a request here; elsewhere there are none.
  headers constant jsonb := nullif(current_setting('request.headers', true), '')::jsonb;
begin
  new.request_id := substring(headers ->> 'x-videomaker-request-id' from '^[A-Za-z0-9._-]{8,128}$');
  return new;
end $$;
comment on function private.note_request() is
  'Notes the request in whose name a row is written, as the header X-Videomaker-Request-Id has it.';

alter table public.uploads add column if not exists request_id varchar(128);
alter table public.final_videos add column if not exists request_id varchar(128);
alter table public.video_clips add column if not exists request_id varchar(128);
alter table public.webhook_deliveries add column if not exists request_id varchar(128);

comment on column public.uploads.request_id is 'The request that the ticket was given to.';
comment on column public.final_videos.request_id is 'The request that asked for it.';
comment on column public.video_clips.request_id is 'The request that asked for the video.';
comment on column public.webhook_deliveries.request_id is 'The request that has led to the event.';

create or replace trigger uploads_note_request before insert on public.uploads
  for each row execute function private.note_request();
create or replace trigger final_videos_note_request before insert on public.final_videos
  for each row execute function private.note_request();
create or replace trigger video_clips_note_request before insert on public.video_clips
  for each row execute function private.note_request();
create or replace trigger webhook_deliveries_note_request before insert on public.webhook_deliveries
  for each row execute function private.note_request();

revoke execute on function private.note_request() from public, anon;
