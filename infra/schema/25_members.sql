-- Who may see and change a session: its owner (video_sessions.user_id) and the members it invited. The policies of every
-- table that hangs on a session ask the predicates of this file.

create table if not exists public.session_members (
  id serial primary key,
  member_id uuid not null unique default gen_random_uuid(),
  session_id varchar(255) not null references public.video_sessions (session_id) on delete cascade,
  user_id varchar(255),
  email varchar(320),
  role varchar(10) not null,
  status varchar(10) not null default 'invited',
  has_edited boolean not null default false,
  invited_by varchar(255),
  expires_at timestamptz,
  joined_at timestamptz,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint session_members_role_check check (role in ('editor', 'viewer')),
  constraint session_members_status_check check (status in ('invited', 'declined', 'accepted', 'former')),
  constraint session_members_person_check check (
    case when status in ('invited', 'declined') then user_id is null and email is not null
    else user_id is not null end),
  constraint session_members_former_check check (status <> 'former' or email is null),
  constraint session_members_email_check check (email = lower(email))
);
comment on table public.session_members is
  'One person beside the owner who may see a session, was invited to, or could once.';
comment on column public.session_members.member_id is 'Names the invitation, and the membership that it becomes.';
comment on column public.session_members.user_id is 'The subject of its access token; null until the invitation is accepted.';
comment on column public.session_members.email is 'The address that was invited, in lower case; forgotten when the member goes.';
comment on column public.session_members.status is
  'former: was a member; kept, because what it gave to the session stays with the session.';
comment on column public.session_members.has_edited is
  'Whether the person has ever been an editor here: files of its folder may then be part of the session.';
comment on column public.session_members.invited_by is 'The subject of the owner who invited.';
comment on column public.session_members.expires_at is 'Until when the invitation can be accepted.';

-- Also serve the foreign key, and the lists of a session's people.
create unique index if not exists session_members_person_key on public.session_members (session_id, user_id);
create unique index if not exists session_members_invitation_key on public.session_members (session_id, email)
  where user_id is null;
create index if not exists session_members_user_idx on public.session_members (user_id, session_id, role)
  where status = 'accepted';
create index if not exists session_members_anybody_idx on public.session_members (user_id);  -- former ones too: erasure
create index if not exists session_members_email_idx on public.session_members (email) where status = 'invited';

create or replace function private.note_editor() returns trigger
language plpgsql set search_path = '' as $$
begin
  new.has_edited := new.has_edited or (new.status = 'accepted' and new.role = 'editor');
  return new;
end $$;
comment on function private.note_editor() is 'Trigger: remembers who was an editor once.';

create or replace trigger session_members_note_editor before insert or update on public.session_members
  for each row execute function private.note_editor();
create or replace trigger session_members_touch before update on public.session_members
  for each row execute function private.touch_updated_at();

-- Policies ask for sets, which are computed once for a statement, not for each of its rows: a hashed SubPlan for the tables
-- that hang on sessions; for the sessions themselves an array, with which even a list without a filter goes by index (0.6 ms;
-- 19 ms by a hashed SubPlan, which reads the whole table). Measured with 50,000 sessions of 5,000 users and 1,000,000
-- frames: get_frames' query takes 2 ms for somebody with 20 sessions, 6 ms with 2,000 and 18 ms with 10,000, of which
-- nearly all is the set; 80 ms if these were SQL functions, which are planned at every call and return row by row. The owner's
-- subject in each row of each table would make it 1 ms for an owner of 10,000, and change nothing for anybody else: not worth a
-- column, a trigger and a cascade in every table to come.
create or replace function private.owned_sessions() returns setof text
language plpgsql stable security definer set search_path = '' as $$
declare
  caller constant text := (select auth.uid())::text;
begin
  return query select s.session_id::text from public.video_sessions s where s.user_id = caller;
end $$;
comment on function private.owned_sessions() is 'The sessions that the caller owns.';

create or replace function private.shared_sessions(p_roles text[] default '{editor,viewer}') returns setof text
language plpgsql stable security definer set search_path = '' as $$
declare
  caller constant text := (select auth.uid())::text;
begin
  return query
    select m.session_id::text from public.session_members m
    where m.user_id = caller and m.status = 'accepted' and m.role = any (p_roles);
end $$;
comment on function private.shared_sessions(text[]) is 'The sessions of others in which the caller has one of these roles.';

create or replace function private.readable_sessions() returns setof text
language plpgsql stable security definer set search_path = '' as $$
declare
  caller constant text := (select auth.uid())::text;
begin
  return query
    select s.session_id::text from public.video_sessions s where s.user_id = caller
    union all
    select m.session_id::text from public.session_members m
    where m.user_id = caller and m.status = 'accepted';
end $$;
comment on function private.readable_sessions() is 'The sessions that the caller may read: its own, and those it is a member of.';

create or replace function private.editable_sessions() returns setof text
language plpgsql stable security definer set search_path = '' as $$
declare
  caller constant text := (select auth.uid())::text;
begin
  return query
    select s.session_id::text from public.video_sessions s where s.user_id = caller
    union all
    select m.session_id::text from public.session_members m
    where m.user_id = caller and m.status = 'accepted' and m.role = 'editor';
end $$;
comment on function private.editable_sessions() is 'The sessions that the caller may change: its own, and those it is an editor of.';

create or replace function private.role_in(p_session_id text) returns text
language plpgsql stable security definer set search_path = '' as $$
declare
  caller constant text := (select auth.uid())::text;
begin
  return coalesce(
    (select 'owner' from public.video_sessions s where s.session_id = p_session_id and s.user_id = caller),
    (select m.role from public.session_members m
     where m.session_id = p_session_id and m.user_id = caller and m.status = 'accepted'));
end $$;
comment on function private.role_in(text) is 'What the caller is in a session: owner, editor or viewer; null for all others.';

create or replace function private.check_editable(p_session_id text, p_code text) returns void
language plpgsql stable security definer set search_path = '' as $$
declare
  caller_role constant text := private.role_in(p_session_id);
begin
  if caller_role is null then
    raise exception using errcode = 'PT404', message = p_code;
  elsif caller_role = 'viewer' then
    raise exception using errcode = 'PT403', message = 'forbidden';
  end if;
end $$;
comment on function private.check_editable(text, text) is
  'Raises `forbidden` where the caller may read the session and not change it, and this code where it may do neither.';

create or replace function public.caller_role(session public.video_sessions) returns text
language sql stable security invoker set search_path = '' as $$
  select private.role_in(session.session_id)
$$;
comment on function public.caller_role(public.video_sessions) is
  'What the caller is in this session; PostgREST gives it as a column that can be asked for.';
revoke execute on function public.caller_role(public.video_sessions) from public, anon;
grant execute on function public.caller_role(public.video_sessions) to authenticated, service_role;

create or replace function private.caller_email() returns text
language sql stable security definer set search_path = '' as $$
  select nullif(lower((select auth.jwt()) ->> 'email'), '')
  where not coalesce(((select auth.jwt()) ->> 'is_anonymous')::boolean, false)
    and not exists (
      select from auth.users u
      where u.id = (select auth.uid())
        and (u.email_confirmed_at is null or lower(u.email) is distinct from lower((select auth.jwt()) ->> 'email')))
$$;
comment on function private.caller_email() is
  'The address that the caller is signed in with; null for guests, and where the project knows that the address was '
  'never confirmed or is another one by now.';

revoke execute on all functions in schema private from public, anon;
grant execute on function
  private.owned_sessions(), private.shared_sessions(text[]), private.readable_sessions(),
  private.editable_sessions(), private.role_in(text), private.check_editable(text, text),
  private.caller_email() to authenticated, service_role;

drop policy if exists "Owners can read their sessions" on public.video_sessions;
drop policy if exists "Members can read their sessions" on public.video_sessions;
create policy "Members can read their sessions" on public.video_sessions
  for select to authenticated using (
    user_id = (select auth.uid())::text or session_id = any (array(select private.shared_sessions())));
drop policy if exists "Callers can create sessions of their own" on public.video_sessions;
create policy "Callers can create sessions of their own" on public.video_sessions
  for insert to authenticated with check (user_id = (select auth.uid())::text);
drop policy if exists "Owners can change their sessions" on public.video_sessions;
drop policy if exists "Editors can change their sessions" on public.video_sessions;
create policy "Editors can change their sessions" on public.video_sessions
  for update to authenticated
  using (user_id = (select auth.uid())::text or session_id = any (array(select private.shared_sessions('{editor}'))))
  with check (user_id = (select auth.uid())::text or session_id = any (array(select private.shared_sessions('{editor}'))));
drop policy if exists "Owners can delete their sessions" on public.video_sessions;
create policy "Owners can delete their sessions" on public.video_sessions
  for delete to authenticated using (user_id = (select auth.uid())::text);

-- Rows are written by the functions of 65_invitations.sql only: nobody becomes a member without having agreed to it.
alter table public.session_members enable row level security;
revoke all on public.session_members from anon, authenticated;
grant select on public.session_members to authenticated;
grant all on public.session_members to service_role;
grant usage on sequence public.session_members_id_seq to service_role;

drop policy if exists "Members can see one another and the invited their invitations" on public.session_members;
create policy "Members can see one another and the invited their invitations" on public.session_members
  for select to authenticated using (
    session_id in (select private.owned_sessions())
    or (status = 'accepted' and session_id in (select private.shared_sessions()))
    or (status = 'invited' and expires_at > now() and email = (select private.caller_email())));
