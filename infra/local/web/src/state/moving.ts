/** Another account: the storyboard on the table moves along, its images sent anew, since the old ones are somebody else's. */

import { batch } from "@preact/signals";
import { keep } from "./memory.ts";
import { startAnew } from "./saving.ts";
import * as story from "./story.ts";
import { proceed } from "./uploading.ts";
import { leave } from "./video.ts";

/** Takes the storyboard along into the account that was just entered. */
export async function moveAlong(): Promise<void> {
  leave();
  if (story.role.value !== "owner") return startAnew();
  const fetched = await Promise.all(story.cards.value.map(withImage));
  batch(() => {
    story.sessionId.value = undefined;
    story.version.value = undefined;
    story.savedContent.value = "";
    story.cards.value = fetched;
  });
  keep("sessionId", undefined);
  proceed();
}

async function withImage(card: story.Card): Promise<story.Card> {
  if (card.file || !card.imageUrl) return card;
  try {
    const file = await (await fetch(card.imageUrl)).blob();
    return { ...card, file, shown: URL.createObjectURL(file), imageUrl: "", thumbnailUrl: "", upload: { state: "waiting" } };
  } catch {
    const advice = { title: "The image stayed behind", detail: "Choose it again, or remove it.", remedy: "replace" as const };
    return { ...card, upload: { state: "failed", advice } };
  }
}
