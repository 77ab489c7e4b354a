-- Many videos at once: made in one transaction, let go a few at a time, within one budget.

create table if not exists public.batches (
  id bigint generated always as identity primary key,
  batch_id uuid not null unique default gen_random_uuid(),
  user_id varchar(255) not null,
  tags varchar(64)[] not null default '{}',
  max_cost numeric(12, 6),
  parallel integer not null default 10,
  spent numeric(12, 6) not null default 0,
  canceled_at timestamptz,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint batches_max_cost_check check (max_cost > 0),
  constraint batches_parallel_check check (parallel between 1 and 100)
);
comment on table public.batches is 'Up to a hundred videos that were asked for at once.';
comment on column public.batches.max_cost is 'US dollars that all its videos may take; no further one begins beyond that.';
comment on column public.batches.spent is 'US dollars that videos took which were made again since.';
comment on column public.batches.parallel is 'How many of its videos are rendered at once.';
create index if not exists batches_owner_idx on public.batches (user_id, id desc);

create table if not exists public.batch_items (
  batch_id uuid not null references public.batches (batch_id) on delete cascade,
  item_number integer not null,
  session_id varchar(255) references public.video_sessions (session_id) on delete set null,
  video_id uuid references public.final_videos (video_id) on delete set null,
  options jsonb,
  error jsonb,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  primary key (batch_id, item_number),
  constraint batch_items_number_check check (item_number between 1 and 100)
);
comment on table public.batch_items is 'What became of each thing that a batch asked for.';
comment on column public.batch_items.error is 'Why no video of it could be begun: code and detail of the API.';
create index if not exists batch_items_session_idx on public.batch_items (session_id);
create index if not exists batch_items_video_idx on public.batch_items (video_id);

create or replace trigger batches_touch before update on public.batches
  for each row execute function private.touch_updated_at();
create or replace trigger batch_items_touch before update on public.batch_items
  for each row execute function private.touch_updated_at();

alter table public.batches enable row level security;
alter table public.batch_items enable row level security;
revoke all on public.batches, public.batch_items from anon, authenticated;
grant select on public.batches, public.batch_items to authenticated;
grant all on public.batches, public.batch_items to service_role;

drop policy if exists "Callers can read their batches" on public.batches;
create policy "Callers can read their batches" on public.batches
  for select to authenticated using (user_id = (select auth.uid())::text);
drop policy if exists "Callers can read the items of their batches" on public.batch_items;
create policy "Callers can read the items of their batches" on public.batch_items
  for select to authenticated using (
    batch_id in (select b.batch_id from public.batches b where b.user_id = (select auth.uid())::text));

create or replace function private.open_batch(p_batch jsonb) returns public.batches
language plpgsql security definer set search_path = '' as $$
declare
  wanted constant public.batches := jsonb_populate_record(null::public.batches, p_batch);
  opened public.batches;
begin
  if private.is_guest() then
    raise exception using errcode = 'PT403', message = 'account_required';
  end if;
  if wanted.batch_id is null then
    insert into public.batches (user_id, tags, max_cost, parallel)
      values ((select auth.uid())::text, coalesce(wanted.tags, '{}'), wanted.max_cost, coalesce(wanted.parallel, 10))
      returning * into opened;
    return opened;
  end if;
  update public.batches set canceled_at = null, max_cost = coalesce(wanted.max_cost, max_cost)
    where batch_id = wanted.batch_id and user_id = (select auth.uid())::text
    returning * into opened;
  if not found then
    raise exception using errcode = 'PT404', message = 'batch_not_found';
  end if;
  return opened;
end $$;
comment on function private.open_batch(jsonb) is 'A new batch of the caller''s, or one of its own that is to go on.';

create or replace function private.note_item(
  p_batch_id uuid, p_number integer, p_session_id text, p_options jsonb, p_video_id uuid, p_error jsonb)
returns void
language sql security definer set search_path = '' as $$
  update public.batches b set spent = b.spent + coalesce(v.cost, 0)
    from public.batch_items i join public.final_videos v using (video_id)
    where b.batch_id = p_batch_id and b.user_id = (select auth.uid())::text
      and i.batch_id = p_batch_id and i.item_number = p_number and p_video_id is not null;
  insert into public.batch_items (batch_id, item_number, session_id, options, video_id, error)
    select p_batch_id, p_number,
      (select s.session_id from public.video_sessions s where s.session_id = p_session_id), p_options, p_video_id, p_error
    where exists (
      select from public.batches b where b.batch_id = p_batch_id and b.user_id = (select auth.uid())::text)
    on conflict (batch_id, item_number) do update set
      session_id = coalesce(excluded.session_id, public.batch_items.session_id), options = excluded.options,
      video_id = coalesce(excluded.video_id, public.batch_items.video_id), error = excluded.error
$$;
comment on function private.note_item(uuid, integer, text, jsonb, uuid, jsonb) is
  'Writes down what became of an item of a batch of the caller''s.';

create or replace function private.batch_estimate(p_batch_id uuid) returns numeric
language sql stable security definer set search_path = '' as $$
  select b.spent + coalesce((
    select sum(case
      when v.status in ('completed', 'failed', 'canceled') then coalesce(v.cost, 0) else v.estimated_cost end)
    from public.batch_items i join public.final_videos v using (video_id) where i.batch_id = b.batch_id), 0)
  from public.batches b where b.batch_id = p_batch_id
$$;
comment on function private.batch_estimate(uuid) is
  'What a batch has taken and is going to: the cost of what has ended, the estimate of the rest. US dollars.';

create or replace function private.release_batch(p_batch_id uuid) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  batch public.batches;
  item record;
  spent numeric;
  running integer;
  messages jsonb := '{"clips": [], "merges": []}';
  due jsonb;
begin
  select * into batch from public.batches where batch_id = p_batch_id for no key update;
  select
      batch.spent + coalesce(sum(case
        when v.status in ('completed', 'failed', 'canceled') then coalesce(v.cost, 0) else v.estimated_cost end), 0),
      count(*) filter (where v.status in ('queued', 'rendering', 'merging'))
    into spent, running
    from public.batch_items i join public.final_videos v using (video_id)
    where i.batch_id = p_batch_id and not v.held;
  for item in
    select v.id, v.estimated_cost from public.batch_items i join public.final_videos v using (video_id)
    where i.batch_id = p_batch_id and v.held and v.status in ('queued', 'rendering', 'merging')
    order by i.item_number
  loop
    if batch.max_cost is not null and spent + item.estimated_cost > batch.max_cost then
      perform private.lock_video(item.id);
      update public.final_videos set held = false where id = item.id;
      perform private.close_video(item.id, 'canceled', '{"code": "budget_reached"}');
      continue;
    end if;
    exit when running >= batch.parallel;
    perform private.lock_video(item.id);
    update public.final_videos set held = false where id = item.id;
    due := private.messages_of(item.id);
    messages := jsonb_build_object(
      'clips', (messages -> 'clips') || (due -> 'clips'),
      'merges', (messages -> 'merges') || case when (due -> 'merge')::boolean then jsonb_build_array(item.id) else '[]' end);
    spent := spent + item.estimated_cost;
    running := running + 1;
  end loop;
  return messages;
end $$;
comment on function private.release_batch(uuid) is
  'Lets the next videos of a batch go, as many as may run at once, and returns which messages are due. Those that its '
  'budget has no room for any more are canceled.';

create or replace function private.release_own_batch(p_batch_id uuid) returns jsonb
language sql security definer set search_path = '' as $$
  select private.release_batch(b.batch_id) from public.batches b
  where b.batch_id = p_batch_id and b.user_id = (select auth.uid())::text
$$;
comment on function private.release_own_batch(uuid) is 'The same, where the batch is the caller''s.';

create or replace function private.release_next(p_video_id integer) returns jsonb
language sql security definer set search_path = '' as $$
  select private.release_batch(i.batch_id)
  from public.batch_items i join public.final_videos v using (video_id)
  where v.id = p_video_id
  limit 1
$$;
comment on function private.release_next(integer) is
  'Lets the next videos of the batch that this one, which has just ended, belongs to go; null where it belongs to none.';

create or replace function public.start_batch(
  p_batch jsonb, p_items jsonb, p_idempotency_key text default null, p_request_hash text default null)
returns jsonb
language plpgsql security invoker set search_path = '' as $$
declare
  answer jsonb;
  batch public.batches;
  item jsonb;
  saved jsonb;
  started jsonb;
  problem text;
  problem_detail text;
  estimate numeric;
begin
  if p_idempotency_key is not null then
    answer := private.recall_answer(p_idempotency_key, p_request_hash);
    if answer is not null then
      return answer;
    end if;
  end if;
  batch := private.open_batch(p_batch);
  for item in select * from jsonb_array_elements(p_items) loop
    if item ? 'error' then
      perform private.note_item(
        batch.batch_id, (item ->> 'number')::integer, item ->> 'session_id', item -> 'options', null, item -> 'error');
      continue;
    end if;
    -- What fails here is undone, and is this item's alone.
    begin
      if item ? 'session' then
        saved := public.save_storyboard(item -> 'session', item -> 'frames');
        item := jsonb_set(item, '{version}', saved -> 'session' -> 'version');
      end if;
      update public.video_sessions set tags = batch.tags
        where session_id = item ->> 'session_id' and cardinality(batch.tags) > 0;
      started := public.start_video(
        item ->> 'session_id', (item ->> 'version')::integer, (item -> 'video') || '{"held": true}', item -> 'clips');
      perform private.note_item(
        batch.batch_id, (item ->> 'number')::integer, item ->> 'session_id', item -> 'options',
        (started ->> 'video_id')::uuid, null);
    exception when others then
      get stacked diagnostics problem = message_text, problem_detail = pg_exception_detail;
      if sqlstate not like 'PT%' then
        raise;
      end if;
      perform private.note_item(
        batch.batch_id, (item ->> 'number')::integer, item ->> 'session_id', item -> 'options', null,
        jsonb_build_object('code', problem)
          || case when problem_detail like '{%' then problem_detail::jsonb else '{}' end);
    end;
  end loop;
  estimate := private.batch_estimate(batch.batch_id);
  if batch.max_cost is not null and estimate > batch.max_cost then
    raise exception using errcode = 'PT422', message = 'budget_too_small',
      detail = jsonb_build_object('estimatedCost', estimate)::text;
  end if;
  answer := jsonb_build_object('batch_id', batch.batch_id);
  if p_idempotency_key is not null then
    perform private.remember_answer(p_idempotency_key, answer);
  end if;
  return answer || private.release_own_batch(batch.batch_id);
end $$;
comment on function public.start_batch(jsonb, jsonb, text, text) is
  'Makes a batch (tags, max_cost, parallel; or batch_id of one that goes on) of items: number, session_id, options, and '
  'either error, or version, video and clips as start_video takes them, before them session and frames where it is still '
  'to be saved. One that fails fails alone; a budget that is too small fails all. Returns which messages are due.';

create or replace function public.read_batch(p_batch_id uuid) returns jsonb
language sql stable security invoker set search_path = '' as $$
  select to_jsonb(b) || jsonb_build_object('estimated_cost', private.batch_estimate(b.batch_id), 'items', (
    select coalesce(jsonb_agg(jsonb_build_object(
        'item_number', i.item_number, 'session_id', i.session_id, 'options', i.options, 'error', coalesce(i.error, v.error),
        'video_id', v.video_id, 'status', v.status, 'held', v.held, 'progress', v.progress, 'video_url', v.video_url,
        'estimated_cost', v.estimated_cost, 'cost', v.cost) order by i.item_number), '[]')
    from public.batch_items i left join public.final_videos v using (video_id) where i.batch_id = b.batch_id))
  from public.batches b where b.batch_id = p_batch_id
$$;
comment on function public.read_batch(uuid) is 'A batch of the caller''s with what became of its items.';

create or replace function public.list_batches(p_before bigint, p_limit integer) returns setof public.batches
language sql stable security invoker set search_path = '' as $$
  select b.* from public.batches b
  where b.user_id = (select auth.uid())::text and (p_before is null or b.id < p_before)
  order by b.id desc limit p_limit
$$;
comment on function public.list_batches(bigint, integer) is 'The caller''s batches, newest first, behind an id.';

create or replace function private.cancel_batch(p_batch_id uuid) returns void
language plpgsql security definer set search_path = '' as $$
declare
  item record;
begin
  update public.batches set canceled_at = now() where batch_id = p_batch_id and user_id = (select auth.uid())::text;
  if not found then
    raise exception using errcode = 'PT404', message = 'batch_not_found';
  end if;
  for item in
    select v.id from public.batch_items i join public.final_videos v using (video_id)
    where i.batch_id = p_batch_id and v.status in ('queued', 'rendering', 'merging')
    order by i.item_number
  loop
    perform private.lock_video(item.id);
    perform private.close_video(item.id, 'canceled');
  end loop;
end $$;
comment on function private.cancel_batch(uuid) is 'What public.cancel_batch does, past the privileges of the caller.';

create or replace function public.cancel_batch(p_batch_id uuid) returns void
language sql security invoker set search_path = '' as $$
  select private.cancel_batch(p_batch_id)
$$;
comment on function public.cancel_batch(uuid) is 'Cancels all videos of a batch that have not ended.';

create or replace function public.release_next(p_video_id integer) returns jsonb
language sql security invoker set search_path = '' as $$
  select private.release_next(p_video_id)
$$;
comment on function public.release_next(integer) is 'For the worker that has ended a video; see private.release_next.';

create or replace function public.read_storyboards(p_session_ids text[]) returns jsonb
language sql stable security invoker set search_path = '' as $$
  select coalesce(jsonb_object_agg(s.session_id, to_jsonb(s) || jsonb_build_object('frames', (
    select jsonb_agg(to_jsonb(f) order by f.frame_number)
    from public.video_frames f where f.session_id = s.session_id))), '{}')
  from public.video_sessions s where s.session_id = any (p_session_ids)
$$;
comment on function public.read_storyboards(text[]) is 'Those of these sessions that the caller may read, with their frames, by id.';

create or replace function public.release_stalled() returns jsonb
language sql security invoker set search_path = '' as $$
  select coalesce(jsonb_agg(private.release_batch(b.batch_id)), '[]') from (
    select distinct i.batch_id from public.final_videos v join public.batch_items i using (video_id)
    where v.held and v.status in ('queued', 'rendering', 'merging')
    order by i.batch_id limit 100) b
$$;
comment on function public.release_stalled() is
  'The same for every batch with videos that wait: for the sweep, where the message of an end was lost.';
create index if not exists final_videos_held_idx on public.final_videos (video_id) where held;

revoke execute on all functions in schema private from public, anon;
revoke execute on function private.release_batch(uuid), private.release_next(integer) from authenticated;
grant execute on function
  private.release_own_batch(uuid),
  private.open_batch(jsonb), private.note_item(uuid, integer, text, jsonb, uuid, jsonb), private.batch_estimate(uuid),
  private.cancel_batch(uuid) to authenticated, service_role;
revoke execute on function
  public.start_batch(jsonb, jsonb, text, text), public.read_batch(uuid), public.cancel_batch(uuid),
  public.release_next(integer), public.release_stalled(), public.read_storyboards(text[]),
  public.list_batches(bigint, integer)
  from public, anon, authenticated;
grant execute on function
  public.start_batch(jsonb, jsonb, text, text), public.read_batch(uuid), public.cancel_batch(uuid),
  public.read_storyboards(text[]), public.list_batches(bigint, integer)
  to authenticated, service_role;
grant execute on function
  private.release_batch(uuid), private.release_next(integer), public.release_next(integer), public.release_stalled()
  to service_role;
