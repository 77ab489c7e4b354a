/** The functions, as whoever uses the page: the helper for images, storyboards and waiting, the typed client for the rest. */

import { answer, createVideomakerClient, type Schemas, VideomakerError, type VideomakerClient } from "@videomaker/client";
import { createHelper, type Helper, newKey, ProblemError, withRetries } from "@videomaker/client/helper";
import { account, token } from "./account.ts";
import { baseUrl, config } from "./config.ts";
import { keep, recall } from "./memory.ts";

export type { Schemas };

export const helper: Helper = createHelper({
  baseUrl,
  token,
  userId: recall("userId"),
  onUserId: (userId) => keep("userId", userId),
});

let made: VideomakerClient | undefined;

export function api(): VideomakerClient {
  made ??= createVideomakerClient({
    baseUrl: config().apiUrl || location.origin,
    ...(config().functionUrls && { functionUrls: config().functionUrls }),
    accessToken: token,
    fetch: (request) => withRetries(() => fetch(request.clone()), { signal: request.signal }),
  });
  return made;
}

/** What a call answered; what is thrown is what the helper throws too. */
export async function answered<T extends { data?: unknown; error?: unknown; response: Response }>(call: Promise<T>) {
  try {
    return await answer(call);
  } catch (error) {
    if (!(error instanceof VideomakerError)) throw error;
    const { problem, status, retryAfter, message } = error;
    const own = { success: false as const, type: "about:blank", title: `HTTP ${status}`, detail: message, requestId: "" };
    throw new ProblemError(problem ?? { ...own, status, code: `http_${status}` }, retryAfter);
  }
}

/** A guest's id, which its requests carry. */
export function whose(): { userId?: string } {
  const userId = account.value.kind === "guest" ? helper.calls.userId : undefined;
  return userId ? { userId } : {};
}

/** The header that makes a POST safe to repeat. */
export const once = () => ({ "Idempotency-Key": newKey() });
