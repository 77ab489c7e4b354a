-- Styles to begin with: built-in ones, which belong to nobody and stand in 71_templates_built_in.sql, and callers' own.

create table if not exists public.video_templates (
  id serial primary key,
  template_id varchar(64) not null unique default gen_random_uuid()::text,
  user_id varchar(255),
  name varchar(100) not null,
  description varchar(500) not null default '',
  video jsonb not null default '{}',
  storyboard jsonb not null default '{}',
  fields jsonb not null default '{}',
  version integer not null default 1,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint video_templates_size_check
    check (length(video::text) <= 2000 and length(storyboard::text) <= 50000 and length(fields::text) <= 20000)
);
comment on table public.video_templates is 'A style to begin with: looks, words, and a prompt with merge fields.';
comment on column public.video_templates.user_id is 'The owner; null for a built-in one, which everybody can read and nobody can change.';
comment on column public.video_templates.video is 'Options of generate_video, as the API writes them; what is missing has its usual default.';
comment on column public.video_templates.storyboard is 'Style, mood, prompt and duration of a storyboard, as the API writes them.';
comment on column public.video_templates.fields is 'JSON Schema of the merge fields, {{name}} in prompts, with their defaults.';
comment on column public.video_templates.version is 'Rises by one with each change.';
create index if not exists video_templates_owner_idx on public.video_templates (user_id, id);

create table if not exists public.video_template_versions (
  template_id varchar(64) not null references public.video_templates (template_id) on delete cascade,
  version integer not null,
  name varchar(100) not null,
  description varchar(500) not null,
  video jsonb not null,
  storyboard jsonb not null,
  fields jsonb not null,
  created_at timestamptz not null default now(),
  primary key (template_id, version)
);
comment on table public.video_template_versions is
  'Every version that a template has had: a session and a video remember which one they were made with.';

insert into private.quotas (name, amount) values ('templates', 100) on conflict do nothing;

create or replace function private.count_template_version() returns trigger
language plpgsql set search_path = '' as $$
begin
  new.version := case
    when tg_op = 'INSERT' then 1
    when (new.name, new.description, new.video, new.storyboard, new.fields)
      is distinct from (old.name, old.description, old.video, old.storyboard, old.fields) then old.version + 1
    else old.version end;
  return new;
end $$;
comment on function private.count_template_version() is 'Trigger: a change is a new version.';

create or replace function private.keep_template_version() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  insert into public.video_template_versions (template_id, version, name, description, video, storyboard, fields)
    values (new.template_id, new.version, new.name, new.description, new.video, new.storyboard, new.fields)
    on conflict do nothing;
  return null;
end $$;
comment on function private.keep_template_version() is 'Trigger: keeps each version of a template.';

create or replace function private.check_template_quota() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  if new.user_id is null then
    return null;
  end if;
  perform pg_advisory_xact_lock(hashtextextended('template_quota:' || new.user_id, 0));
  if (select count(*) from public.video_templates t where t.user_id = new.user_id)
      > (select q.amount from private.quotas q where q.name = 'templates') then
    raise exception using errcode = 'PT403', message = 'template_limit_reached';
  end if;
  return null;
end $$;
comment on function private.check_template_quota() is 'Trigger: one owner has so many templates at most.';

create or replace trigger video_templates_touch before update on public.video_templates
  for each row execute function private.touch_updated_at();
create or replace trigger video_templates_version before insert or update on public.video_templates
  for each row execute function private.count_template_version();
create or replace trigger video_templates_keep after insert or update on public.video_templates
  for each row execute function private.keep_template_version();
create or replace trigger video_templates_quota after insert on public.video_templates
  for each row execute function private.check_template_quota();
revoke execute on function
  private.count_template_version(), private.keep_template_version(), private.check_template_quota()
  from public, anon;

alter table public.video_templates enable row level security;
alter table public.video_template_versions enable row level security;
revoke all on public.video_templates, public.video_template_versions from anon, authenticated;
grant select, delete on public.video_templates to authenticated;
grant insert (user_id, name, description, video, storyboard, fields) on public.video_templates to authenticated;
grant update (name, description, video, storyboard, fields) on public.video_templates to authenticated;
grant select on public.video_template_versions to authenticated;
grant all on public.video_templates, public.video_template_versions to service_role;
grant usage on sequence public.video_templates_id_seq to authenticated, service_role;

drop policy if exists "Callers can read built-in templates and their own" on public.video_templates;
create policy "Callers can read built-in templates and their own" on public.video_templates
  for select to authenticated using (
    user_id = (select auth.uid())::text or (user_id is null and (select auth.uid()) is not null));
drop policy if exists "Users can create templates of their own" on public.video_templates;
create policy "Users can create templates of their own" on public.video_templates
  for insert to authenticated
  with check (user_id = (select auth.uid())::text and not (select private.is_guest()));
drop policy if exists "Owners can change their templates" on public.video_templates;
create policy "Owners can change their templates" on public.video_templates
  for update to authenticated
  using (user_id = (select auth.uid())::text) with check (user_id = (select auth.uid())::text);
drop policy if exists "Owners can delete their templates" on public.video_templates;
create policy "Owners can delete their templates" on public.video_templates
  for delete to authenticated using (user_id = (select auth.uid())::text);
drop policy if exists "Callers can read the versions of templates that they can read" on public.video_template_versions;
create policy "Callers can read the versions of templates that they can read" on public.video_template_versions
  for select to authenticated using (
    template_id in (
      select t.template_id from public.video_templates t
      where t.user_id = (select auth.uid())::text or (t.user_id is null and (select auth.uid()) is not null)));

create or replace function public.list_templates(p_after_own boolean, p_after_id integer, p_limit integer)
returns setof public.video_templates
language sql stable security invoker set search_path = '' as $$
  (select t.* from public.video_templates t
    where t.user_id is null and not p_after_own and t.id > p_after_id order by t.id limit p_limit)
  union all
  (select t.* from public.video_templates t
    where t.user_id = (select auth.uid())::text and (not p_after_own or t.id > p_after_id)
    order by t.id limit p_limit)
  limit p_limit
$$;
comment on function public.list_templates(boolean, integer, integer) is
  'The built-in templates, then the caller''s own in the order of their making, behind the one with this id.';

create or replace function public.find_template(p_template_id text, p_version integer default null)
returns jsonb
language sql stable security invoker set search_path = '' as $$
  select to_jsonb(t) || coalesce(to_jsonb(v), '{}')
  from public.video_templates t
  left join public.video_template_versions v on v.template_id = t.template_id and v.version = p_version
  where t.template_id = p_template_id and (p_version is null or v.version is not null)
$$;
comment on function public.find_template(text, integer) is
  'A template as it is, or as it was in one of its versions; null where there is none that the caller may read.';

create or replace function public.create_template(
  p_template jsonb, p_idempotency_key text default null, p_request_hash text default null)
returns jsonb
language plpgsql security invoker set search_path = '' as $$
declare
  wanted public.video_templates := jsonb_populate_record(null::public.video_templates, p_template);
  answer jsonb;
begin
  if p_idempotency_key is not null then
    answer := private.recall_answer(p_idempotency_key, p_request_hash);
    if answer is not null then
      return answer;
    end if;
  end if;
  insert into public.video_templates as t (user_id, name, description, video, storyboard, fields)
    values (
      (select auth.uid())::text, wanted.name, wanted.description, wanted.video, wanted.storyboard, wanted.fields)
    returning to_jsonb(t) into answer;
  if p_idempotency_key is not null then
    perform private.remember_answer(p_idempotency_key, answer);
  end if;
  return answer;
end $$;
comment on function public.create_template(jsonb, text, text) is 'Makes a template of the caller''s own and returns it.';

create or replace function public.replace_template(p_template_id text, p_template jsonb, p_if_version integer)
returns jsonb
language plpgsql security invoker set search_path = '' as $$
declare
  wanted public.video_templates := jsonb_populate_record(null::public.video_templates, p_template);
  stored public.video_templates;
begin
  perform private.own_template(p_template_id);
  select * into stored from public.video_templates t where t.template_id = p_template_id for update;
  if p_if_version is not null and stored.version <> p_if_version then
    raise exception using errcode = 'PT412', message = 'version_conflict',
      detail = jsonb_build_object('currentVersion', stored.version)::text;
  end if;
  update public.video_templates set
    name = wanted.name, description = wanted.description, video = wanted.video, storyboard = wanted.storyboard,
    fields = wanted.fields
    where template_id = p_template_id
    returning * into stored;
  return to_jsonb(stored);
end $$;
comment on function public.replace_template(text, jsonb, integer) is
  'Replaces a template of the caller''s own, where it still has the expected version, and returns it.';

create or replace function public.delete_template(p_template_id text) returns void
language plpgsql security invoker set search_path = '' as $$
begin
  perform private.own_template(p_template_id);
  delete from public.video_templates where template_id = p_template_id;
end $$;
comment on function public.delete_template(text) is 'Deletes a template of the caller''s own, with all its versions.';

create or replace function private.own_template(p_template_id text) returns void
language plpgsql stable security invoker set search_path = '' as $$
declare
  owner varchar;
begin
  select t.user_id into owner from public.video_templates t where t.template_id = p_template_id;
  if not found then
    raise exception using errcode = 'PT404', message = 'template_not_found';
  elsif owner is null then
    raise exception using errcode = 'PT403', message = 'template_built_in';
  end if;
end $$;
comment on function private.own_template(text) is 'Raises where the caller may not change this template.';

revoke execute on function
  public.list_templates(boolean, integer, integer), public.find_template(text, integer),
  public.create_template(jsonb, text, text), public.replace_template(text, jsonb, integer),
  public.delete_template(text), private.own_template(text)
  from public, anon;
grant execute on function
  public.list_templates(boolean, integer, integer), public.find_template(text, integer),
  public.create_template(jsonb, text, text), public.replace_template(text, jsonb, integer),
  public.delete_template(text), private.own_template(text)
  to authenticated, service_role;
