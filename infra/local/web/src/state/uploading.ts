/** Images on their way in: four at a time, each with its progress, retried, canceled, kept where it fails. */

import { batch } from "@preact/signals";
import type { Wait } from "@videomaker/client/helper";
import { arrive } from "./account.ts";
import { helper } from "./api.ts";
import { say } from "./notices.ts";
import { advice } from "./problems.ts";
import { type Card, cardOf, cards, change, fitLength, newId } from "./story.ts";

const AT_ONCE = 4;
const FIRST_TRIES = 4;

const running = new Map<string, AbortController>();

/** Puts images on the table and sends them in. */
export function add(files: Iterable<File>): void {
  const images = [...files].filter((file) => file.type.startsWith("image/") || file.type === "");
  const added = images.map((file): Card => ({
    id: newId(),
    caption: "",
    upload: { state: "waiting" },
    file,
    name: file.name,
    shown: URL.createObjectURL(file),
    imageUrl: "",
    thumbnailUrl: "",
  }));
  const skipped = [...files].length - added.length;
  batch(() => {
    cards.value = [...cards.value, ...added];
    fitLength();
  });
  const extra = skipped ? ` ${skipped} that ${skipped === 1 ? "is no image was" : "are no images were"} left out.` : "";
  say(`${added.length} ${added.length === 1 ? "image" : "images"} added.${extra}`);
  proceed();
}

export function retry(id: string): void {
  change(id, { upload: { state: "waiting" } });
  proceed();
}

export function retryAll(): void {
  for (const { id, upload, file } of cards.value) {
    const stopped = upload.state === "kept" || (upload.state === "failed" && upload.advice.remedy === "retry");
    if (file && stopped) change(id, { upload: { state: "waiting" } });
  }
  proceed();
}

export function cancel(id: string): void {
  change(id, { upload: { state: "canceled" } });
  running.get(id)?.abort();
}

export function discard(id: string): void {
  running.get(id)?.abort();
  const gone = cardOf(id);
  if (gone?.shown.startsWith("blob:")) URL.revokeObjectURL(gone.shown);
  batch(() => {
    cards.value = cards.value.filter((card) => card.id !== id);
    fitLength();
  });
}

/** Puts another image into a card. */
export function replace(id: string, file: Blob, name: string): void {
  change(id, { file, name, shown: URL.createObjectURL(file), imageUrl: "", upload: { state: "waiting" } });
  proceed();
}

/** Scales an image down to what is shown of it at most, and sends it again. */
export async function shrink(id: string): Promise<void> {
  const card = cardOf(id);
  if (!card?.file) return;
  try {
    const whole = await createImageBitmap(card.file);
    const scale = Math.min(1, 1920 / Math.max(whole.width, whole.height));
    const canvas = document.createElement("canvas");
    canvas.width = Math.round(whole.width * scale);
    canvas.height = Math.round(whole.height * scale);
    canvas.getContext("2d")?.drawImage(whole, 0, 0, canvas.width, canvas.height);
    const smaller = await new Promise<Blob | null>((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.9));
    if (smaller) replace(id, smaller, card.name);
  } catch (error) {
    change(id, { upload: { state: "failed", advice: { ...advice(error), remedy: "replace" } } });
  }
}

/** Begins with as many as may run. */
export function proceed(): void {
  for (const card of cards.value) {
    if (running.size >= AT_ONCE) return;
    if (card.upload.state === "waiting" && card.file && !running.has(card.id)) void send(card);
  }
}

async function send({ id, file }: Card): Promise<void> {
  const canceling = new AbortController();
  running.set(id, canceling);
  change(id, { upload: { state: "sending", part: 0 } });
  try {
    await arrive();
    const stored = await helper.uploadOrKeep(file as Blob, {
      frameId: cards.value.findIndex((card) => card.id === id) + 1,
      signal: canceling.signal,
      attempts: FIRST_TRIES,
      onProgress: (part) => progress(id, part),
      onWait: (wait) => pause(id, wait),
    });
    if ("failure" in stored) keepImage(id, stored.imageUrl, stored.failure);
    else finish(id, stored.imageUrl, stored.thumbnailUrl);
  } catch (error) {
    if (!canceling.signal.aborted) change(id, { upload: { state: "failed", advice: advice(error) } });
  } finally {
    running.delete(id);
    proceed();
  }
}

function progress(id: string, part: number): void {
  if (cardOf(id)?.upload.state === "canceled") return;
  change(id, { upload: part < 1 ? { state: "sending", part } : { state: "checking" } });
}

function pause(id: string, { milliseconds, status }: Wait): void {
  const why = status ? "busy" : "connection";
  change(id, { upload: { state: "pausing", until: Date.now() + milliseconds, why } });
}

/** The picture that is seen stays the one that was chosen: nothing flickers. */
function finish(id: string, imageUrl: string, thumbnailUrl: string): void {
  const shown = cardOf(id)?.shown || thumbnailUrl;
  change(id, { imageUrl, thumbnailUrl, shown, upload: { state: "ready" }, file: undefined });
}

function keepImage(id: string, imageUrl: string, failure: unknown): void {
  change(id, { imageUrl, upload: { state: "kept", advice: advice(failure) } });
}
