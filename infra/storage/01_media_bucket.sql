-- The media bucket: verified, re-encoded files only. `videomaker.bucket_access` is set by the migration from
-- BUCKET_ACCESS; without it an existing bucket stays as public or private as it is.

insert into storage.buckets (id, name, public, file_size_limit, allowed_mime_types)
values (
  'videomaker', 'videomaker', coalesce(current_setting('videomaker.bucket_access', true), 'public') <> 'private',
  524288000,
  array['image/webp', 'image/jpeg', 'image/png', 'image/gif', 'image/avif', 'video/mp4', 'audio/mpeg', 'audio/mp4',
        'audio/wav', 'audio/ogg', 'audio/flac', 'video/webm', 'text/vtt', 'application/zip'])
on conflict (id) do update set
  public = case
    when coalesce(current_setting('videomaker.bucket_access', true), '') = '' then storage.buckets.public
    else excluded.public end,
  file_size_limit = excluded.file_size_limit,
  allowed_mime_types = excluded.allowed_mime_types;
