/** What went wrong, in words that somebody can act on. */

import { ProblemError } from "@videomaker/client/helper";

export type Remedy = "retry" | "shrink" | "replace" | "sign_in" | "restart";

export interface Advice {
  title: string;
  detail: string;
  remedy?: Remedy;
}

const AWAY: Advice = {
  title: "The service is away for a moment",
  detail: "Nothing is lost: what you have made is kept in this browser. Try again in a moment.",
  remedy: "retry",
};
const OFFLINE: Advice = {
  title: "No connection",
  detail: "It is kept in this browser, and sent when you are online again.",
  remedy: "retry",
};
const TOO_LARGE: Advice = {
  title: "The image is too large",
  detail: "It can be scaled down here, and then be sent again.",
  remedy: "shrink",
};
const UNREADABLE: Advice = {
  title: "This image cannot be read",
  detail: "Choose a PNG, JPEG, WebP, GIF or AVIF file that opens elsewhere, or remove it.",
  remedy: "replace",
};
const BY_CODE: Record<string, Advice> = {
  image_too_large: TOO_LARGE,
  too_many_pixels: TOO_LARGE,
  http_413: TOO_LARGE,
  not_an_image: UNREADABLE,
  unsupported_image_type: UNREADABLE,
  image_truncated: UNREADABLE,
  authentication_required: { title: "Sign in first", detail: "This needs an account.", remedy: "sign_in" },
  account_required: { title: "Sign in first", detail: "Sharing needs an account.", remedy: "sign_in" },
  token_expired: { title: "You were signed out", detail: "Sign in again to go on.", remedy: "sign_in" },
  invalid_token: { title: "You were signed out", detail: "Sign in again to go on.", remedy: "sign_in" },
  session_not_found: {
    title: "This storyboard is not to be found",
    detail: "It was deleted, or belongs to another account. Start a new one, or look into the history.",
    remedy: "restart",
  },
  forbidden: { title: "You may only look", detail: "Ask the owner of this storyboard to let you edit it." },
};

/** Title, what to do, and by which button. */
export function advice(error: unknown): Advice {
  if (error instanceof ProblemError) return adviceOn(error);
  if (error instanceof TypeError) return OFFLINE;
  return { title: "That did not work", detail: error instanceof Error ? error.message : String(error), remedy: "retry" };
}

function adviceOn({ problem, status, code, retryAfterSeconds }: ProblemError): Advice {
  if (status === 429) {
    const pause = retryAfterSeconds ? `${pauseOf(retryAfterSeconds)}` : "a minute";
    return { title: "Too much at once", detail: `The service asks for a pause of ${pause}. Then try again.`, remedy: "retry" };
  }
  if (status === 503 || code === "http_502" || code === "http_504") return AWAY;
  const known = BY_CODE[code];
  if (known) return known;
  const errors = (problem.errors ?? []).slice(0, 3).map(({ path, message }) => `${named(path)}: ${message}`);
  const plain = problem.detail.replaceAll("`", "");
  const detail = errors.length ? `Mend this and try again. ${errors.join("; ")}.` : plain;
  const trace = status >= 500 && problem.requestId ? ` (Request ${problem.requestId})` : "";
  return { title: problem.title, detail: detail + trace, ...(status >= 500 && { remedy: "retry" as const }) };
}

function pauseOf(seconds: number): string {
  return seconds < 90 ? `${seconds} second${seconds === 1 ? "" : "s"}` : `${Math.round(seconds / 60)} minutes`;
}

const FIELDS: Record<string, string> = {
  originalPrompt: "Prompt",
  videoDuration: "Length",
  style: "Style",
  mood: "Mood",
  frames: "Frames",
  email: "E-mail",
};

/** `frames[2].description` as somebody sees it. */
function named(path: string): string {
  const frame = /^frames\[(\d+)\]/.exec(path);
  if (frame) return `Frame ${Number(frame[1]) + 1}`;
  return FIELDS[path] ?? path.replace(/^templateData\./, "");
}
