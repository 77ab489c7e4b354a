-- Share links: whoever has the token of one may watch a session's video, with no account. Owner and editors make, list and
-- revoke them as themselves. `watch` has no caller: it signs a token of five minutes that names one link by its hash and
-- has no subject, so that all it gets is what open_share returns and, of the media bucket, the files that the link shows.

create table if not exists public.share_links (
  id bigint generated always as identity primary key,
  share_id uuid not null unique default gen_random_uuid(),
  session_id varchar(255) not null references public.video_sessions (session_id) on delete cascade,
  video_id uuid references public.final_videos (video_id) on delete cascade,
  token_hash varchar(64) not null unique,
  password_hash varchar(64),
  has_password boolean not null generated always as (password_hash is not null) stored,
  expires_at timestamptz,
  max_views integer,
  views integer not null default 0,
  last_viewed_at timestamptz,
  revoked_at timestamptz,
  created_by varchar(255) not null,
  created_at timestamptz not null default now(),
  constraint share_links_token_hash_check check (token_hash ~ '^[0-9a-f]{64}$'),
  constraint share_links_password_hash_check check (password_hash ~ '^[0-9a-f]{64}$'),
  constraint share_links_max_views_check check (max_views >= 1)
);
comment on table public.share_links is 'A link that shows a session''s video to whoever has it.';
comment on column public.share_links.video_id is 'The one rendering that is shown; null shows the newest completed one.';
comment on column public.share_links.token_hash is 'SHA-256 of the token, hexadecimal; the token itself is kept nowhere.';
comment on column public.share_links.password_hash is
  'SHA-256 of a key that scrypt derives from the password, salted with the token, hexadecimal.';
comment on column public.share_links.views is 'A viewer who comes again within an hour counts once.';
comment on column public.share_links.created_by is 'The subject of the caller who made it.';

create index if not exists share_links_session_idx on public.share_links (session_id, id desc);
create index if not exists share_links_video_idx on public.share_links (video_id);

create table if not exists private.share_views (
  share_id bigint not null references public.share_links (id) on delete cascade,
  viewer text not null,
  counted_at timestamptz not null default now(),
  primary key (share_id, viewer)
);
comment on table private.share_views is
  'Who was counted within the last hour, as a hash over the token, which the database does not know.';
create index if not exists share_views_counted_idx on private.share_views (counted_at);

create table if not exists private.share_tries (
  share_id bigint not null references public.share_links (id) on delete cascade,
  address text not null,
  tried_at timestamptz not null default now()
);
comment on table private.share_tries is 'Wrong passwords of the last minute, by a hash of the address they came from.';
create index if not exists share_tries_address_idx on private.share_tries (share_id, address, tried_at);
create index if not exists share_tries_tried_idx on private.share_tries (tried_at);

alter table private.share_views enable row level security;
alter table private.share_tries enable row level security;
revoke all on private.share_views, private.share_tries from public, anon, authenticated;
grant select, delete on private.share_views, private.share_tries to service_role;

alter table public.share_links enable row level security;
revoke all on public.share_links from anon, authenticated;
-- Nobody reads the hashes. A link is changed in one way: it is revoked, for good.
grant select (
    id, share_id, session_id, video_id, has_password, expires_at, max_views, views, last_viewed_at, revoked_at, created_by,
    created_at)
  on public.share_links to authenticated;
grant insert (session_id, video_id, token_hash, password_hash, expires_at, max_views, created_by)
  on public.share_links to authenticated;
grant update (revoked_at) on public.share_links to authenticated;
grant all on public.share_links to service_role;

drop policy if exists "Editors can read the share links of their sessions" on public.share_links;
create policy "Editors can read the share links of their sessions" on public.share_links
  for select to authenticated using (session_id in (select private.editable_sessions()));
drop policy if exists "Editors can share videos of their sessions" on public.share_links;
create policy "Editors can share videos of their sessions" on public.share_links
  for insert to authenticated with check (
    session_id in (select private.editable_sessions())
    and created_by = (select auth.uid())::text
    and (
      video_id is null
      or exists (
        select from public.final_videos v
        where v.video_id = share_links.video_id and v.session_id = share_links.session_id)));
drop policy if exists "Editors can revoke the share links of their sessions" on public.share_links;
create policy "Editors can revoke the share links of their sessions" on public.share_links
  for update to authenticated
  using (session_id in (select private.editable_sessions()))
  with check (revoked_at is not null and session_id in (select private.editable_sessions()));

-- Managing, as the caller.

create or replace function private.described_shares(p_ids bigint[]) returns jsonb
language sql stable security invoker set search_path = '' as $$
  select coalesce(jsonb_agg(
    jsonb_build_object(
      'id', id, 'share_id', share_id, 'session_id', session_id, 'video_id', video_id, 'has_password', has_password,
      'expires_at', expires_at, 'max_views', max_views, 'views', views, 'last_viewed_at', last_viewed_at,
      'revoked_at', revoked_at, 'created_at', created_at,
      'state', case
        when revoked_at is not null then 'revoked'
        when expires_at <= now() then 'expired'
        when views >= max_views then 'used_up'
        else 'active' end)
    order by id desc), '[]')
  from public.share_links where id = any (p_ids)
$$;
comment on function private.described_shares(bigint[]) is 'What a caller gets to know of share links, newest first.';

create or replace function public.create_share(
  p_share jsonb, p_nonce text, p_idempotency_key text default null, p_request_hash text default null)
returns jsonb
language plpgsql security invoker set search_path = '' as $$
declare
  wanted public.share_links := jsonb_populate_record(null::public.share_links, p_share);
  answer jsonb;
  new_id bigint;
begin
  if p_idempotency_key is not null then
    answer := private.recall_answer(p_idempotency_key, p_request_hash);
    if answer is not null then
      return answer;
    end if;
  end if;
  perform private.check_editable(wanted.session_id, 'session_not_found');
  if wanted.video_id is not null and not exists (
    select from public.final_videos where video_id = wanted.video_id and session_id = wanted.session_id
  ) then
    raise exception using errcode = 'PT404', message = 'video_not_found';
  end if;
  insert into public.share_links (
      session_id, video_id, token_hash, password_hash, expires_at, max_views, created_by)
    values (
      wanted.session_id, wanted.video_id, wanted.token_hash, wanted.password_hash, wanted.expires_at, wanted.max_views,
      (select auth.uid())::text)
    returning id into new_id;
  answer := private.described_shares(array[new_id]) -> 0 || jsonb_build_object('nonce', p_nonce);
  if p_idempotency_key is not null then
    perform private.remember_answer(p_idempotency_key, answer);
  end if;
  return answer;
end $$;
comment on function public.create_share(jsonb, text, text, text) is
  'Makes a share link (columns of share_links) and returns it with the nonce, from which `share` derives the token '
  'again where a request is repeated: without that function''s secret a nonce is worth nothing.';

create or replace function public.list_shares(p_session_id text, p_before bigint, p_limit integer) returns jsonb
language plpgsql stable security invoker set search_path = '' as $$
begin
  perform private.check_editable(p_session_id, 'session_not_found');
  return private.described_shares(array(
    select id from public.share_links
    where session_id = p_session_id and (p_before is null or id < p_before)
    order by id desc limit p_limit));
end $$;
comment on function public.list_shares(text, bigint, integer) is 'The share links of a session that were made before one.';

create or replace function public.revoke_share(p_share_id uuid) returns jsonb
language plpgsql security invoker set search_path = '' as $$
declare
  answer jsonb;
begin
  update public.share_links set revoked_at = now() where share_id = p_share_id and revoked_at is null;
  answer := private.described_shares(array(select id from public.share_links where share_id = p_share_id)) -> 0;
  if answer is null then
    raise exception using errcode = 'PT404', message = 'share_not_found';
  end if;
  return answer;
end $$;
comment on function public.revoke_share(uuid) is 'Ends a share link for good and returns it; a repeat changes nothing.';

revoke execute on all functions in schema private from public, anon;
revoke execute on function
  public.create_share(jsonb, text, text, text), public.list_shares(text, bigint, integer), public.revoke_share(uuid)
  from public, anon;
grant execute on function
  public.create_share(jsonb, text, text, text), public.list_shares(text, bigint, integer), public.revoke_share(uuid)
  to authenticated, service_role;
grant execute on function private.described_shares(bigint[]) to authenticated, service_role;
