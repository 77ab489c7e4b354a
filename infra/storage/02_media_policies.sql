-- Who may do what with files of the media bucket. The first folder of a name is its owner's subject. `guests` takes the
-- uploads of clients that have no id yet, under names of 128 random bits: nobody can list or change them.
-- What a former editor gave to a session stays as it is. `watch` comes with a token that has no subject, and reads what
-- its share link shows.
-- `storage.objects` belongs to Supabase: RLS is on already, and no comment can be put on a policy there.

drop policy if exists "Callers can read their files and those of their sessions" on storage.objects;
create policy "Callers can read their files and those of their sessions" on storage.objects
  for select to authenticated using (
    bucket_id = 'videomaker'
    and (
      (storage.foldername(name))[1] = (select auth.uid())::text
      or owner_id = (select auth.uid())::text
      or private.can_read_file(name)
      or name in (select private.shared_files())));

drop policy if exists "Callers can add files to their folder" on storage.objects;
create policy "Callers can add files to their folder" on storage.objects
  for insert to authenticated with check (
    bucket_id = 'videomaker'
    and (
      (storage.foldername(name))[1] = (select auth.uid())::text
      or ((storage.foldername(name))[1] = 'guests' and (select private.is_guest()))));

drop policy if exists "Callers can change files in their own folder" on storage.objects;
create policy "Callers can change files in their own folder" on storage.objects
  for update to authenticated
  using (
    bucket_id = 'videomaker'
    and (storage.foldername(name))[1] = (select auth.uid())::text
    and not private.is_given_away(name))
  with check (bucket_id = 'videomaker' and (storage.foldername(name))[1] = (select auth.uid())::text);

drop policy if exists "Callers can delete files in their own folder" on storage.objects;
create policy "Callers can delete files in their own folder" on storage.objects
  for delete to authenticated using (
    bucket_id = 'videomaker'
    and (storage.foldername(name))[1] = (select auth.uid())::text
    and not private.is_given_away(name));
