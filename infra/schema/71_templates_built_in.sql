-- The templates that come with the service. A changed one gets a new version; one that was taken out stays.

insert into public.video_templates (template_id, user_id, name, description, video, storyboard, fields)
select t.id, null, t.name, t.description, t.video::jsonb, t.storyboard::jsonb,
  jsonb_build_object('type', 'object', 'properties', t.properties::jsonb)
from (values
  ('cinematic-widescreen', 'Cinematic widescreen',
   'Slow camera moves and long crossfades in 16:9, for stories that take their time.',
   '{"aspect": "16:9", "resolution": 1080, "fps": 24, "motion": "auto", "transition": "crossfade", "transitionSeconds": 1, "fit": "cover"}',
   '{"style": "cinematic, anamorphic, shallow depth of field", "mood": "epic", "videoDuration": 30, "prompt": "{{subject}}, told as a film: wide establishing shots, golden light, a slow build towards {{ending}}"}',
   '{"subject": {"type": "string", "title": "Subject", "default": "A lone traveller crossing a desert", "maxLength": 300}, "ending": {"type": "string", "title": "How it ends", "default": "a quiet reveal at dusk", "maxLength": 200}}'),
  ('vertical-social', 'Vertical social',
   'Quick cuts, close framing and burned captions in 9:16, for Reels, Shorts and TikTok.',
   '{"aspect": "9:16", "resolution": 1080, "fps": 30, "motion": "zoom_in", "transition": "cut", "fit": "cover", "captions": "burned"}',
   '{"style": "bold, high contrast, close framing", "mood": "energetic", "videoDuration": 15, "prompt": "{{topic}} in fifteen seconds: a hook in the first frame, three quick points, and {{callToAction}}"}',
   '{"topic": {"type": "string", "title": "Topic", "default": "Three coffee mistakes", "maxLength": 200}, "callToAction": {"type": "string", "title": "Call to action", "default": "a reason to follow", "maxLength": 120}}'),
  ('product-showcase', 'Product showcase',
   'A clean square product film on a plain background, from detail to the whole.',
   '{"aspect": "1:1", "resolution": 1080, "fps": 30, "motion": "zoom_out", "transition": "crossfade", "transitionSeconds": 0.5, "fit": "cover"}',
   '{"style": "studio product photography, seamless backdrop, soft shadows", "mood": "premium", "videoDuration": 20, "prompt": "{{product}} in {{material}}: macro details first, then the whole product, then in use by {{audience}}"}',
   '{"product": {"type": "string", "title": "Product", "default": "A wristwatch", "maxLength": 120}, "material": {"type": "string", "title": "Material or colour", "default": "brushed steel", "maxLength": 80}, "audience": {"type": "string", "title": "Who uses it", "default": "a young architect", "maxLength": 120}}'),
  ('documentary', 'Documentary',
   'Photographs brought to life by slow pans, with captions beside the video.',
   '{"aspect": "16:9", "resolution": 1080, "fps": 25, "motion": "auto", "transition": "crossfade", "transitionSeconds": 1.2, "fit": "contain", "captions": "sidecar"}',
   '{"style": "documentary photography, natural light, film grain", "mood": "thoughtful", "videoDuration": 60, "prompt": "A documentary about {{topic}} in {{place}}, in the words of those who were there"}',
   '{"topic": {"type": "string", "title": "Topic", "default": "the last lighthouse keepers", "maxLength": 200}, "place": {"type": "string", "title": "Place", "default": "Brittany", "maxLength": 100}}'),
  ('anime', 'Anime',
   'Hand-painted skies and dramatic pans at 24 frames a second.',
   '{"aspect": "16:9", "resolution": 1080, "fps": 24, "motion": "pan_right", "transition": "cut", "fit": "cover"}',
   '{"style": "anime, cel shading, painted backgrounds", "mood": "wondrous", "videoDuration": 24, "prompt": "{{hero}} discovers {{secret}} in a town by the sea, anime film stills, big summer clouds"}',
   '{"hero": {"type": "string", "title": "Hero", "default": "A girl with a paper kite", "maxLength": 120}, "secret": {"type": "string", "title": "What is found", "default": "a door in the sky", "maxLength": 120}}'),
  ('film-noir', 'Film noir',
   'Black and white, hard shadows, and fades through black.',
   '{"aspect": "16:9", "resolution": 1080, "fps": 24, "motion": "zoom_in", "transition": "fade", "transitionSeconds": 0.8, "fit": "cover"}',
   '{"style": "film noir, black and white, hard side light, venetian blinds", "mood": "suspenseful", "videoDuration": 30, "prompt": "{{detective}} follows {{clue}} through a city of rain and neon, film noir of the 1940s"}',
   '{"detective": {"type": "string", "title": "Detective", "default": "A tired private eye", "maxLength": 120}, "clue": {"type": "string", "title": "Clue", "default": "a matchbook from a closed club", "maxLength": 120}}'),
  ('captioned-slideshow', 'Slideshow with captions',
   'Whole pictures over a blurred background, each with its caption: for albums and reports.',
   '{"aspect": "16:9", "resolution": 720, "fps": 30, "motion": "still", "transition": "crossfade", "transitionSeconds": 0.5, "fit": "contain", "captions": "burned"}',
   '{"style": "as photographed", "mood": "warm", "videoDuration": 40, "prompt": "{{occasion}}, in pictures"}',
   '{"occasion": {"type": "string", "title": "Occasion", "default": "Our summer", "maxLength": 200}}'),
  ('storybook', 'Storybook',
   'Pages of a picture book for children, read aloud: soft colours, gentle zooms, captions.',
   '{"aspect": "4:5", "resolution": 1080, "fps": 24, "motion": "zoom_in", "transition": "crossfade", "transitionSeconds": 0.8, "fit": "cover", "captions": "burned"}',
   '{"style": "watercolour picture book, soft edges, paper texture", "mood": "gentle", "videoDuration": 45, "prompt": "A bedtime story about {{animal}} called {{name}}, who learns {{lesson}}, one page a frame"}',
   '{"animal": {"type": "string", "title": "Animal", "default": "a small fox", "maxLength": 80}, "name": {"type": "string", "title": "Name", "default": "Juniper", "maxLength": 40}, "lesson": {"type": "string", "title": "Lesson", "default": "that asking for help is brave", "maxLength": 160}}'),
  ('travel-postcard', 'Travel postcard',
   'Wide pans over places, one after the other, for a trip in half a minute.',
   '{"aspect": "16:9", "resolution": 1080, "fps": 30, "motion": "pan_left", "transition": "crossfade", "transitionSeconds": 0.6, "fit": "cover"}',
   '{"style": "travel photography, vivid colours, drone views", "mood": "adventurous", "videoDuration": 30, "prompt": "{{days}} days in {{place}}: arrival, streets, food, people, landscape, and the last evening"}',
   '{"place": {"type": "string", "title": "Place", "default": "Lisbon", "maxLength": 100}, "days": {"type": "integer", "title": "Days", "default": 5, "minimum": 1, "maximum": 60}}'),
  ('property-tour', 'Property tour',
   'A calm walk through a property, room by room, for listings on a phone.',
   '{"aspect": "4:5", "resolution": 1080, "fps": 30, "motion": "pan_right", "transition": "crossfade", "transitionSeconds": 0.7, "fit": "cover", "captions": "burned"}',
   '{"style": "bright architectural interior photography, wide angle", "mood": "inviting", "videoDuration": 30, "prompt": "A tour of {{property}} in {{place}}: outside, living room, kitchen, bedroom, and {{highlight}}"}',
   '{"property": {"type": "string", "title": "Property", "default": "a two-room flat", "maxLength": 120}, "place": {"type": "string", "title": "Place", "default": "Porto", "maxLength": 100}, "highlight": {"type": "string", "title": "Highlight", "default": "the roof terrace", "maxLength": 120}}')
) as t (id, name, description, video, storyboard, properties)
on conflict (template_id) do update set
  name = excluded.name, description = excluded.description, video = excluded.video,
  storyboard = excluded.storyboard, fields = excluded.fields
  where public.video_templates.user_id is null
    and (public.video_templates.name, public.video_templates.description, public.video_templates.video,
      public.video_templates.storyboard, public.video_templates.fields)
    is distinct from (excluded.name, excluded.description, excluded.video, excluded.storyboard, excluded.fields);
