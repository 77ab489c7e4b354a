/** The draft: written whenever something changes, laid on the table again after a reload. */

import { batch, effect } from "@preact/signals";
import { account } from "./account.ts";
import { readDraft, recall, writeDraft } from "./memory.ts";
import { open } from "./saving.ts";
import * as story from "./story.ts";
import { proceed } from "./uploading.ts";
import { resume, videoId } from "./video.ts";

interface Draft {
  cards: story.Card[];
  details: story.Details;
  sessionId: string | undefined;
  version: number | undefined;
  role: "owner" | "editor" | "viewer";
  savedContent: string;
  followsFrames: boolean;
  videoId: string | undefined;
  of: string | undefined;
}

const PAUSE = 150;

/** Lays out what there was last time: the draft; else the stored storyboard. */
export async function restoreDraft(): Promise<void> {
  const draft = await readDraft<Draft>();
  const known = recall("sessionId");
  if (draft?.cards.length && draft.sessionId === known && draft.of === account.value.id) {
    batch(() => {
      story.cards.value = draft.cards.map(restored);
      story.details.value = draft.details;
      story.sessionId.value = draft.sessionId;
      story.version.value = draft.version;
      story.role.value = draft.role;
      story.followsFrames.value = draft.followsFrames;
      story.savedContent.value = draft.savedContent;
    });
    proceed();
    if (draft.videoId) resume(draft.videoId);
  } else if (known) await open(known);
}

/** Writes the draft from now on. */
export function keepDraft(): void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  effect(() => {
    const draft: Draft = {
      cards: story.cards.value,
      details: story.details.value,
      sessionId: story.sessionId.value,
      version: story.version.value,
      role: story.role.value,
      savedContent: story.savedContent.value,
      followsFrames: story.followsFrames.value,
      videoId: videoId.value,
      of: account.value.id,
    };
    clearTimeout(timer);
    timer = setTimeout(() => void writeDraft(draft), PAUSE);
  });
}

/** A card as it goes on: what was on its way begins again. */
function restored(card: story.Card): story.Card {
  const { file, upload, thumbnailUrl, imageUrl } = card;
  const shown = file ? URL.createObjectURL(file) : thumbnailUrl || imageUrl;
  const begun = ["sending", "checking", "pausing"].includes(upload.state);
  return { ...card, shown, upload: begun ? { state: "waiting" } : upload };
}
