/** When to try again: after `Retry-After` where the service says it, else after a backoff with jitter. */

export interface Wait {
  /** Of the failed try, from 1. */
  attempt: number;
  milliseconds: number;
  /** The HTTP status that was answered; 0 where nothing was. */
  status: number;
}

export interface Retries {
  /** Tries in all; 5 where it is left out. */
  attempts?: number;
  /** Milliseconds of the first backoff, which doubles; 500 where it is left out. */
  backoff?: number;
  signal?: AbortSignal | undefined;
  /** Told before each wait. */
  onWait?: ((wait: Wait) => void) | undefined;
}

const BUSY = [429, 503];
const LONGEST_BACKOFF = 20_000;
/** A longer `Retry-After` (of a month's quota, for instance) is for a person to judge. */
const LONGEST_ASKED = 120_000;

/** Resolves after a time; rejects at once when the signal is aborted. */
export function sleep(milliseconds: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const stop = () => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", stop);
      resolve();
    }, milliseconds);
    signal?.addEventListener("abort", stop, { once: true });
  });
}

/** The milliseconds that a `Retry-After` asks for, in seconds or as a date; undefined where it says nothing. */
export function retryAfter(header: string | null, now = Date.now()): number | undefined {
  if (!header) return undefined;
  if (/^\d+$/.test(header.trim())) return Number(header) * 1000;
  const date = Date.parse(header);
  return Number.isNaN(date) ? undefined : Math.max(0, date - now);
}

/**
 * Makes a request, and makes it again while it is answered 429 or 503 or, where `again` allows it, not at all.
 * What is sent must be safe to send twice. Returns the last answer; throws the last failure, or the signal's reason.
 */
export async function withRetries(
  request: () => Promise<Response>,
  { attempts = 5, backoff = 500, signal, onWait }: Retries,
  again = true,
): Promise<Response> {
  for (let attempt = 1; ; attempt++) {
    let answer: Response | undefined;
    let failure: unknown;
    try {
      answer = await request();
    } catch (error) {
      failure = error;
    }
    signal?.throwIfAborted();
    const asked = answer && retryAfter(answer.headers.get("retry-after"));
    const worthwhile = answer ? BUSY.includes(answer.status) && (asked ?? 0) <= LONGEST_ASKED : again;
    if (!worthwhile || attempt >= attempts) {
      if (answer) return answer;
      throw failure;
    }
    const grown = Math.min(LONGEST_BACKOFF, backoff * 2 ** (attempt - 1));
    const milliseconds = Math.round(asked ?? grown * (0.5 + Math.random() / 2));
    onWait?.({ attempt, milliseconds, status: answer?.status ?? 0 });
    await answer?.body?.cancel();
    await sleep(milliseconds, signal);
  }
}
