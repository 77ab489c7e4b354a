/** Storyboards: saved whole, read whole. */

import { type CallOptions, type Calls, newKey } from "./calls";
import { fromDataUrl } from "./images";
import type { FrameInput, SavedStoryboard, StoryboardInput, StoryboardPage } from "./types";
import { uploadImage } from "./uploads";

/** Bytes of a request that a function takes, less some for what its headers become. */
const REQUEST_LIMIT = 6_000_000;

export interface SaveOptions extends Pick<CallOptions, "signal" | "onWait"> {
  /** Save only on top of this version; else a ProblemError `version_conflict` says which one there is. */
  ifVersion?: number | undefined;
  /** Makes a save without `sessionId` safe to repeat; made here where it is left out. */
  idempotencyKey?: string;
}

/**
 * Saves a session and its frames. Frames whose `imageUrl` is a `data:` URL are healed: they come back with an address.
 * More of them than fit into one request are uploaded before.
 */
export async function saveStoryboard(
  calls: Calls,
  storyboard: StoryboardInput,
  { ifVersion, idempotencyKey = newKey(), ...retries }: SaveOptions = {},
): Promise<SavedStoryboard> {
  const frames = await lightened(calls, storyboard.frames, retries);
  return calls.naming((userId) =>
    calls.call<SavedStoryboard>("POST", "save_frames", {
      ...retries,
      body: { ...storyboard, userId, frames, frameCount: frames.length },
      headers: {
        "If-Match": ifVersion === undefined ? undefined : `"${ifVersion}"`,
        "Idempotency-Key": storyboard.sessionId ? undefined : idempotencyKey,
      },
    }),
  );
}

export interface Storyboard extends Omit<StoryboardPage, "nextCursor" | "success"> {
  /** For `ifVersion` of the next save. */
  version: number;
}

/** A session with all of its frames; begins anew where it was changed between two pages. */
export async function readStoryboard(
  calls: Calls,
  sessionId: string,
  { limit, ...retries }: Pick<CallOptions, "signal" | "onWait"> & { limit?: number } = {},
): Promise<Storyboard> {
  for (;;) {
    const first = await page(calls, { sessionId, limit }, retries);
    const frames = [...first.frames];
    let next = first;
    while (next.nextCursor && next.session.version === first.session.version) {
      next = await page(calls, { sessionId, limit, cursor: next.nextCursor }, retries);
      frames.push(...next.frames);
    }
    if (next.session.version === first.session.version) {
      return { session: first.session, frames, expiresAt: first.expiresAt, version: first.session.version };
    }
  }
}

type Asked = { sessionId: string; limit?: number | undefined; cursor?: string };

async function page(calls: Calls, query: Asked, retries: CallOptions): Promise<StoryboardPage> {
  const asked = { ...query, userId: await calls.guestId() };
  return (await calls.call<StoryboardPage>("GET", "get_frames", { ...retries, query: asked })).data;
}

/** The frames, those that weigh most uploaded until the rest fits into one request. */
async function lightened(calls: Calls, frames: FrameInput[], retries: CallOptions): Promise<FrameInput[]> {
  const lighter = [...frames];
  const carried = lighter.map((frame, place) => ({ place, size: weight(frame) })).filter(({ size }) => size > 0);
  let total = carried.reduce((sum, { size }) => sum + size, 0);
  for (const { place, size } of carried.sort((a, b) => b.size - a.size)) {
    if (total <= REQUEST_LIMIT - 200 * frames.length) break;
    const frame = lighter[place] as FrameInput;
    const frameId = frame.frameId ?? place + 1;
    const { imageUrl } = await uploadImage(calls, fromDataUrl(frame.imageUrl), { frameId, ...(retries.signal && { signal: retries.signal }) });
    lighter[place] = { ...frame, imageUrl };
    total -= size;
  }
  return lighter;
}

function weight({ imageUrl }: FrameInput): number {
  return imageUrl.startsWith("data:") ? imageUrl.length : 0;
}
