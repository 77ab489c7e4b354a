-- How people become members of a session, change their roles, and go. The public functions look up what they are asked
-- about as the caller, so that row level security says what is there. The private ones know who may do it, and write; each
-- locks the session first, so that its people change one after the other. Of a session in which the caller is nothing they
-- know it by its role alone: policies, which compute sets for a row that is there, would take longer for one than for none.

create or replace function private.address_of(p_user_id text) returns text
language sql stable security definer set search_path = '' as $$
  select u.email from auth.users u
  where u.id = case when p_user_id ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' then p_user_id::uuid end
$$;
comment on function private.address_of(text) is 'The e-mail address of a user, where the project has one.';

create or replace function private.lock_members(p_session_id text) returns text
language plpgsql security definer set search_path = '' as $$
begin
  perform from public.video_sessions where session_id = p_session_id for no key update;
  return private.role_in(p_session_id);
end $$;
comment on function private.lock_members(text) is
  'Lets nobody else change the session''s people until the transaction ends, and returns what the caller is in it.';

create or replace function private.invite(p_session_id text, p_email text, p_role text) returns public.session_members
language plpgsql security definer set search_path = '' as $$
declare
  address constant text := lower(p_email);
  invited public.session_members;
begin
  if coalesce(((select auth.jwt()) ->> 'is_anonymous')::boolean, false) then
    raise exception using errcode = 'PT403', message = 'account_required';
  elsif private.lock_members(p_session_id) is distinct from 'owner' then
    raise exception using errcode = 'PT403', message = 'forbidden';
  end if;
  select * into invited from public.session_members
    where session_id = p_session_id and email = address and status = 'accepted';
  if found and invited.role = p_role then
    return invited;
  elsif found or address = private.caller_email() then
    raise exception using errcode = 'PT409', message = 'already_member';
  end if;
  insert into public.session_members (session_id, email, role, invited_by, expires_at)
    values (p_session_id, address, p_role, (select auth.uid())::text, now() + interval '14 days')
    on conflict (session_id, email) where user_id is null do update set
      role = excluded.role, status = 'invited', invited_by = excluded.invited_by, expires_at = excluded.expires_at
    returning * into invited;
  if (select count(*) from public.session_members where session_id = p_session_id and status <> 'former') > 100 then
    raise exception using errcode = 'PT409', message = 'too_many_members';
  end if;
  return invited;
end $$;
comment on function private.invite(text, text, text) is
  'Invites an address into the caller''s session. One that was invited and did not accept is invited anew, with this role.';

create or replace function private.accept(p_id uuid) returns public.session_members
language plpgsql security definer set search_path = '' as $$
declare
  caller constant text := (select auth.uid())::text;
  invitation public.session_members;
  role_before text;
  edited boolean;
begin
  select * into invitation from public.session_members
    where member_id = p_id and status <> 'former' and (email = private.caller_email() or user_id = caller);
  role_before := private.lock_members(invitation.session_id);
  select * into invitation from public.session_members where id = invitation.id;
  if not found or invitation.user_id <> caller then
    raise exception using errcode = 'PT404', message = 'invitation_not_found';
  elsif invitation.status = 'accepted' then
    return invitation;
  elsif invitation.status = 'declined' or invitation.expires_at <= now() then
    raise exception using errcode = 'PT410', message = 'invitation_expired';
  elsif role_before = 'owner' then
    raise exception using errcode = 'PT409', message = 'already_member';
  end if;
  -- It takes the place of a membership that there was, or is under another address.
  delete from public.session_members where session_id = invitation.session_id and user_id = caller
    returning has_edited into edited;
  update public.session_members
    set user_id = caller, status = 'accepted', joined_at = now(), has_edited = coalesce(edited, false)
    where member_id = p_id
    returning * into invitation;
  return invitation;
end $$;
comment on function private.accept(uuid) is
  'Makes the caller a member, where this invitation is for the address that it is signed in with.';

create or replace function private.change_role(p_id uuid, p_session_id text, p_role text) returns public.session_members
language plpgsql security definer set search_path = '' as $$
declare
  changed public.session_members;
begin
  if private.lock_members(p_session_id) is distinct from 'owner' then
    raise exception using errcode = 'PT403', message = 'forbidden';
  end if;
  update public.session_members set role = p_role
    where member_id = p_id and session_id = p_session_id and status <> 'former'
    returning * into changed;
  if not found then
    raise exception using errcode = 'PT404', message = 'member_not_found';
  end if;
  return changed;
end $$;
comment on function private.change_role(uuid, text, text) is
  'Gives a member of the caller''s session, or an invitation to it, another role.';

create or replace function private.hand_over(p_id uuid, p_session_id text) returns void
language plpgsql security definer set search_path = '' as $$
declare
  heir text;
begin
  if private.lock_members(p_session_id) is distinct from 'owner' then
    raise exception using errcode = 'PT403', message = 'forbidden';
  end if;
  delete from public.session_members where member_id = p_id and session_id = p_session_id and status = 'accepted'
    returning user_id into heir;
  if not found then
    raise exception using errcode = 'PT409', message = 'not_a_member';
  end if;
  update public.video_sessions set user_id = heir where session_id = p_session_id;
  insert into public.session_members (session_id, user_id, email, role, status, joined_at)
    values (
      p_session_id, (select auth.uid())::text, lower(private.address_of((select auth.uid())::text)), 'editor',
      'accepted', now());
end $$;
comment on function private.hand_over(uuid, text) is
  'Makes a member the owner of the caller''s session, and the caller an editor. Files stay where they lie.';

create or replace function private.remove_member(p_id uuid, p_session_id text) returns text
language plpgsql security definer set search_path = '' as $$
declare
  caller_role constant text := private.lock_members(p_session_id);
  caller constant text := (select auth.uid())::text;
  gone public.session_members;
begin
  select * into gone from public.session_members
    where member_id = p_id and session_id = p_session_id and status <> 'former';
  if not found then
    raise exception using errcode = 'PT404', message = 'member_not_found';
  elsif caller_role is distinct from 'owner' and gone.user_id is null and gone.email = private.caller_email() then
    update public.session_members set status = 'declined' where member_id = p_id;
    return 'declined';
  elsif caller_role is distinct from 'owner' and gone.user_id is distinct from caller then
    raise exception using errcode = 'PT403', message = 'forbidden';
  end if;
  update public.session_members set status = 'former', email = null where member_id = p_id and has_edited;
  delete from public.session_members where member_id = p_id and not has_edited;
  return case when gone.user_id = caller then 'left' when gone.user_id is null then 'withdrawn' else 'removed' end;
end $$;
comment on function private.remove_member(uuid, text) is
  'Ends a membership: the caller''s own, or one in its session; withdraws or declines an invitation. Says which it was.';

create or replace function private.open_invitations() returns table (
  id integer, member_id uuid, session_id text, role text, invited_by text, original_prompt text,
  created_at timestamptz, expires_at timestamptz)
language sql stable security definer set search_path = '' as $$
  select m.id, m.member_id, m.session_id, m.role, private.address_of(m.invited_by), left(s.original_prompt, 200),
    m.created_at, m.expires_at
  from public.session_members m join public.video_sessions s using (session_id)
  where m.email = private.caller_email() and m.status = 'invited' and m.expires_at > now()
$$;
comment on function private.open_invitations() is
  'What the caller is invited to: by whom, and the beginning of the prompt, so that one invitation can be told from another.';

revoke execute on all functions in schema private from public, anon;
grant execute on function
  private.address_of(text), private.invite(text, text, text), private.accept(uuid),
  private.change_role(uuid, text, text), private.hand_over(uuid, text), private.remove_member(uuid, text),
  private.open_invitations() to authenticated, service_role;

create or replace function public.list_members(p_session_id text) returns jsonb
language plpgsql stable security invoker set search_path = '' as $$
declare
  caller_role constant text := private.role_in(p_session_id);
  owner text;
begin
  if caller_role is null then
    raise exception using errcode = 'PT404', message = 'session_not_found';
  end if;
  select user_id into owner from public.video_sessions where session_id = p_session_id;
  return jsonb_build_object(
    'role', caller_role,
    'members',
    jsonb_build_array(jsonb_build_object(
      'user_id', owner, 'email', private.address_of(owner), 'role', 'owner', 'status', 'accepted'))
    || coalesce(
      (select jsonb_agg(to_jsonb(m) order by m.id)
       from public.session_members m where m.session_id = p_session_id and m.status <> 'former'), '[]'));
end $$;
comment on function public.list_members(text) is
  'The caller''s role in a session, and its people, the owner first; invitations only for the owner.';

create or replace function public.list_invitations(p_before bigint, p_limit integer) returns setof jsonb
language sql stable security invoker set search_path = '' as $$
  select to_jsonb(i) from private.open_invitations() i where p_before is null or i.id < p_before
  order by i.id desc limit p_limit
$$;
comment on function public.list_invitations(bigint, integer) is
  'Open invitations to the address that the caller is signed in with, newest first, behind one of them.';

create or replace function public.invite_member(
  p_session_id text, p_email text, p_role text, p_idempotency_key text default null, p_request_hash text default null)
returns jsonb
language plpgsql security invoker set search_path = '' as $$
declare
  answer jsonb;
begin
  if p_idempotency_key is not null then
    answer := private.recall_answer(p_idempotency_key, p_request_hash);
    if answer is not null then
      return answer;
    end if;
  end if;
  if private.role_in(p_session_id) is null then
    raise exception using errcode = 'PT404', message = 'session_not_found';
  end if;
  answer := to_jsonb(private.invite(p_session_id, p_email, p_role));
  if p_idempotency_key is not null then
    perform private.remember_answer(p_idempotency_key, answer);
  end if;
  return answer;
end $$;
comment on function public.invite_member(text, text, text, text, text) is
  'Invites an address into the caller''s session, and returns the row; to do it again changes nothing but the expiry.';

create or replace function public.accept_invitation(p_id uuid) returns jsonb
language sql security invoker set search_path = '' as $$
  select to_jsonb(private.accept(p_id))
$$;
comment on function public.accept_invitation(uuid) is 'Makes the caller a member, and returns the row.';

create or replace function public.change_member(p_id uuid, p_role text) returns jsonb
language plpgsql security invoker set search_path = '' as $$
declare
  session text := (select session_id from public.session_members where member_id = p_id and status <> 'former');
begin
  if session is null then
    raise exception using errcode = 'PT404', message = 'member_not_found';
  elsif p_role <> 'owner' then
    perform private.change_role(p_id, session, p_role);
  else
    perform private.hand_over(p_id, session);
  end if;
  return public.list_members(session) || jsonb_build_object('session_id', session);
end $$;
comment on function public.change_member(uuid, text) is
  'Changes a member''s role; `owner` hands the session over. Returns its people as they are then.';

create or replace function public.remove_member(p_id uuid) returns text
language plpgsql security invoker set search_path = '' as $$
declare
  session text := (select session_id from public.session_members where member_id = p_id and status <> 'former');
begin
  if session is null then
    raise exception using errcode = 'PT404', message = 'member_not_found';
  end if;
  return private.remove_member(p_id, session);
end $$;
comment on function public.remove_member(uuid) is 'Ends a membership or an invitation: removed, left, withdrawn or declined.';

create or replace function public.leave_session(p_session_id text) returns text
language plpgsql security invoker set search_path = '' as $$
declare
  caller_role constant text := private.role_in(p_session_id);
begin
  if caller_role is null then
    raise exception using errcode = 'PT404', message = 'session_not_found';
  elsif caller_role = 'owner' then
    raise exception using errcode = 'PT409', message = 'owner_cannot_leave';
  end if;
  return private.remove_member(
    (select member_id from public.session_members
     where session_id = p_session_id and user_id = (select auth.uid())::text),
    p_session_id);
end $$;
comment on function public.leave_session(text) is 'Ends the caller''s own membership.';

revoke execute on function
  public.list_members(text), public.list_invitations(bigint, integer),
  public.invite_member(text, text, text, text, text), public.accept_invitation(uuid), public.change_member(uuid, text),
  public.remove_member(uuid), public.leave_session(text) from public, anon;
grant execute on function
  public.list_members(text), public.list_invitations(bigint, integer),
  public.invite_member(text, text, text, text, text), public.accept_invitation(uuid), public.change_member(uuid, text),
  public.remove_member(uuid), public.leave_session(text) to authenticated, service_role;
