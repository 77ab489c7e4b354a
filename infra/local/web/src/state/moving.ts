/** Another account: the storyboard on the table moves along, its images sent anew, since the old ones are somebody else's. */

import { batch } from "@preact/signals";
import { keep } from "./memory.ts";
import { startAnew } from "./saving.ts";
import * as story from "./story.ts";
import { proceed } from "./uploading.ts";
import { leave } from "./video.ts";

/** Takes the storyboard along into the account that was just entered. Until its images are here they wait. */
export async function moveAlong(): Promise<void> {
  leave();
  if (story.role.value !== "owner") return startAnew();
  const behind = story.cards.value.filter(({ file, imageUrl }) => !file && imageUrl);
  batch(() => {
    story.sessionId.value = undefined;
    story.version.value = undefined;
    story.savedContent.value = "";
    for (const { id } of behind) story.change(id, { upload: { state: "waiting" } });
  });
  keep("sessionId", undefined);
  await Promise.all(behind.map(fetchImage));
}

async function fetchImage({ id, imageUrl }: story.Card): Promise<void> {
  try {
    const file = await (await fetch(imageUrl)).blob();
    story.change(id, { file, shown: URL.createObjectURL(file), imageUrl: "", thumbnailUrl: "" });
    proceed();
  } catch {
    const advice = { title: "The image stayed behind", detail: "Choose it again, or remove it.", remedy: "replace" as const };
    story.change(id, { upload: { state: "failed", advice } });
  }
}
