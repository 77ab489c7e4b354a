-- The storyboards of many people, for infra/local/population.py. Triggers are off (session_replication_role), so what they
-- would write is written here. A connection fills the sessions from %(first)s to %(last)s of %(sessions)s.

-- Who owns a session, and what its words are drawn by: all that person 0 can read, and has, is the same in a population of
-- any size.
create temporary table plan as
select n, 'p' || owner as person, md5('person ' || owner)::uuid::text as user_id, md5('session ' || n)::uuid::text as session_id,
  case
    when owner = 0 then n / (%(sessions)s / 10)
    when n %% (%(sessions)s / 4) = 7 then 100 + n / (%(sessions)s / 4)
    when owner = 1 then 1000 + n / (%(sessions)s / %(heavy)s)
    else 1000000 + n end as seed,
  now() - n * interval '10 minutes' as created_at
from (
  select n, case
      when n %% (%(sessions)s / 10) = 3 then 0
      when n %% (%(sessions)s / %(heavy)s) = 1 then 1
      else 2 + floor((%(users)s - 2) * ((hashint8extended(n, 1) & 65535) / 65536.0)) end::integer as owner
  from generate_series(%(first)s, %(last)s) n) as chosen;

-- Plain, or each use would unpack it.
create temporary table vocabulary (
  subjects text[] storage plain, manners text[] storage plain, deeds text[] storage plain,
  things text[] storage plain, places text[] storage plain, times text[] storage plain,
  lenses text[] storage plain, styles text[] storage plain, moods text[] storage plain,
  syllables text[] storage plain);
insert into vocabulary select
  string_to_array('keeper,whale,fox,baker,astronaut,gardener,violinist,courier,captain,librarian,cartographer,glassblower,'
    'orphan,beekeeper,clockmaker,detective,heron,robot,painter,shepherd,diver,tailor,acrobat,owl,ferryman,cook,falconer,'
    'botanist,puppeteer,signalman,weaver,locksmith,dancer,badger,pilot,poet,blacksmith,archivist,otter,stonemason', ','),
  string_to_array('weary,curious,silver,quiet,stubborn,young,forgotten,brave,restless,old,gentle,lonely,clever,wandering,'
    'barefoot,cheerful,blind,patient,reckless,solemn,shy,hopeful,stern,sleepless,golden,tattered', ','),
  string_to_array('climbs,follows,repairs,remembers,crosses,paints,hides,carries,opens,discovers,guards,leaves,buries,'
    'answers,measures,lights,mends,steals,waters,circles,translates,abandons,counts,rescues,builds,watches,unfolds,'
    'shelters,draws,returns', ','),
  string_to_array('the letter,a lantern,the broken bell,a map of stars,the last boat,an iron key,the winding stairs,'
    'a paper crane,the old engine,a jar of fireflies,the flooded road,a wooden bridge,the garden wall,a music box,'
    'the northern gate,a sleeping child,the compass,a torn sail,the empty theatre,an orange umbrella,the hidden door,'
    'a kite,the mirror,a basket of apples,the telescope,a red bicycle,the harvest,a frozen fountain', ','),
  string_to_array('lighthouse,harbour,orchard,observatory,monastery,rooftop,canyon,railway station,greenhouse,marsh,'
    'desert,market,library,glacier,vineyard,submarine,village,cathedral,jungle,subway,castle,meadow,volcano,dockyard,'
    'planetarium,mill,beach,museum,workshop,island,quarry,aquarium,carnival,fjord,temple,opera house,tundra,bakery', ','),
  string_to_array('at dawn,in heavy rain,under a full moon,before the storm,in thick fog,at noon,by candlelight,in the first '
    'snow,at midnight,in late autumn,after the flood,on market day,in the blue hour,during an eclipse', ','),
  string_to_array('35 mm film grain,wide angle,shallow depth of field,soft rim light,low camera,drone view,long exposure,'
    'macro lens,golden hour light,neon reflections,volumetric haze,hand-held camera', ','),
  string_to_array('cinematic,watercolour,anime,noir,documentary,storybook,stop motion,pixel art', ','),
  string_to_array('hopeful,melancholy,tense,calm,playful,eerie,epic,tender', ','),
  string_to_array('al,bren,cor,da,el,fen,gal,hu,is,jo,kel,lor,mi,nor,ola,per,quin,ros,sel,tam,ul,ver,wil,yar,zen', ',');

-- The first words of a list come up more often than the last, as words do.
create function pg_temp.pick(list text[], seed bigint, salt bigint) returns text language sql immutable as $$
  select list[1 + floor(cardinality(list) * ((hashint8extended(seed, salt) & 65535) / 65536.0)::double precision ^ 1.6)::integer]
$$;

insert into public.video_sessions (
    session_id, user_id, original_prompt, video_duration, frame_count, style, mood, status, template_id, template_version, tags,
    created_at, updated_at)
  select p.session_id, p.user_id,
    'A ' || pg_temp.pick(v.manners, seed, 1) || ' ' || pg_temp.pick(v.subjects, seed, 2) || ' called '
      || initcap(pg_temp.pick(v.syllables, seed, 3) || pg_temp.pick(v.syllables, seed, 4)) || ' finds '
      || pg_temp.pick(v.things, seed, 5) || ' in the ' || pg_temp.pick(v.places, seed, 6) || ' '
      || pg_temp.pick(v.times, seed, 7),
    60, 20, pg_temp.pick(v.styles, seed, 8), pg_temp.pick(v.moods, seed, 9),
    case when seed %% 2 = 0 then 'completed' else 'frames_generated' end,
    case when seed %% 3 = 0 then 'cinematic' end, case when seed %% 3 = 0 then 1 end,
    case when seed %% 5 = 0 then '{spring}'::text[] else '{}' end, created_at, created_at
  from plan p, vocabulary v;

create temporary table themes as
select p.*, pg_temp.pick(subjects, seed, 2) as subject, pg_temp.pick(places, seed, 6) as place, pg_temp.pick(things, seed, 5) as thing
from plan p, vocabulary;

insert into public.video_frames (
    session_id, frame_number, timestamp, image_url, thumbnail_path, width, height, bytes, mime_type, placeholder,
    description, prompt, scene_story, story_title, created_at)
  select session_id, number, number * 3 - 3 || 's', %(media)s || user_id || '/frames/frame_' || named,
    user_id || '/thumbnails/frame_' || named, 1344, 768, 41000, 'image/webp', 'HygOJIRWeYd5eIiAeIN3c4BnCA==',
    said, said || ', ' || pg_temp.pick(lenses, drawn, 5) || ', ' || pg_temp.pick(lenses, drawn, 6),
    case when drawn %% 2 = 0 then
      'Nobody in the ' || place || ' ' || pg_temp.pick(deeds, drawn, 7) || ' ' || pg_temp.pick(things, drawn, 8) end,
    'The ' || subject || ' and ' || thing, created_at
  from themes t, vocabulary v, generate_series(1, 20) number,
  lateral (
    select seed * 1000 + number as drawn, number || '_' || left(md5(session_id || number), 16) || '.webp' as named
    offset 0) as numbered,
  lateral (
    select 'The ' || pg_temp.pick(manners, drawn, 1) || ' ' || subject || ' ' || pg_temp.pick(deeds, drawn, 2) || ' '
      || pg_temp.pick(things, drawn, 3) || ' near the ' || place || ' ' || pg_temp.pick(times, drawn, 4) as said
    offset 0) as words;

insert into storage.objects (bucket_id, name, version, owner_id, metadata, user_metadata)
  select 'videomaker', f.image_path, 'v', p.user_id, '{"size": 41000, "mimetype": "image/webp"}',
    '{"width": "1344", "height": "768", "thumbnail": "true"}'
  from plan p join public.video_frames f using (session_id);

insert into public.session_members (session_id, user_id, email, role, status, has_edited, joined_at)
  select distinct on (session_id, member) session_id, md5('person ' || member)::uuid, 'p' || member || '@example.com',
    case when n %% 2 = 0 then 'editor' else 'viewer' end, 'accepted', n %% 2 = 0, created_at
  from plan p, generate_series(0, 1) k,
    lateral (select case when n %% (%(sessions)s / 4) = 7 and k = 0 then 0 else 2 + (n * 7 + k) %% (%(users)s - 2) end) as m (member)
  where n %% 5 = 2 and 'p' || member <> person;
insert into public.session_members (session_id, email, role, expires_at)
  select session_id, 'guest' || n || '@example.com', 'viewer', now() + interval '7 days' from plan where n %% 10 = 4;

insert into public.final_videos (
    session_id, status, progress, video_url, poster_url, preview_url, duration_seconds, width, height, fps, bytes,
    estimated_cost, cost, created_at, finished_at)
  select session_id, 'completed', 1, %(media)s || file || '.mp4', %(media)s || file || '.webp', %(media)s || file || '_preview.webp',
    60, 1280, 720, 30, 9000000, 0.003, 0.003, created_at, created_at
  from plan, lateral (select user_id || '/videos/' || md5('video ' || n) as file) as named
  where seed %% 2 = 0;
insert into public.video_clips (
    session_id, final_video_id, clip_number, frame_number, start_seconds, duration_seconds, video_url, status, content_hash)
  select p.session_id, v.id, k, k, k * 3 - 3, 3, %(media)s || user_id || '/clips/' || md5(v.id || '/' || k) || '.mp4',
    'completed', encode(sha256((v.id || '/' || k)::bytea), 'hex')
  from plan p join public.final_videos v using (session_id), generate_series(1, 20) k
  where seed %% 10 = 0;
insert into private.render_usage (final_video_id, user_id, cost, created_at)
  select v.id, p.user_id, v.cost, v.created_at from plan p join public.final_videos v using (session_id);

insert into public.video_templates (template_id, user_id, name, storyboard, created_at)
  select 'own-' || n, user_id, 'Look ' || n, '{"style": "cinematic", "mood": "calm"}', created_at from plan where n %% 10 = 6;
insert into public.video_template_versions (template_id, version, name, description, video, storyboard, fields)
  select template_id, version, name, description, video, storyboard, fields
  from plan p join public.video_templates on template_id = 'own-' || n;

select private.index_sessions(array(select session_id from plan));
