/** One call of one function: address, credentials, retries; a good answer is returned, a problem is thrown. */

import { type Retries, withRetries } from "./retries";
import { type Progress, send } from "./sending";
import type { ProblemDetails } from "./types";

export interface HelperOptions {
  /** Where `/api/<function>` begins; the page's own origin where it is left out. A function gives each its own URL. */
  baseUrl?: string | ((name: string) => string);
  /** The access token of who is signed in; without it the caller is a guest. */
  token?: () => string | undefined | Promise<string | undefined>;
  /** A guest's own id, as an earlier answer told it. It is a secret. */
  userId?: string | undefined;
  /** Told when a guest gets an id, which is to be kept. */
  onUserId?: (userId: string) => void;
  fetch?: typeof fetch;
  attempts?: number;
  backoff?: number;
}

export interface CallOptions extends Pick<Retries, "signal" | "onWait" | "attempts"> {
  query?: Record<string, string | number | undefined>;
  body?: object;
  headers?: Record<string, string | undefined>;
  onProgress?: Progress | undefined;
}

/** What the service answered instead of success. `code` is stable, `message` says what to do next. */
export class ProblemError extends Error {
  override readonly name = "ProblemError";

  constructor(
    readonly problem: ProblemDetails,
    readonly retryAfterSeconds?: number,
  ) {
    super(problem.detail);
  }

  get code(): string {
    return this.problem.code;
  }

  get status(): number {
    return this.problem.status;
  }
}

export interface Called<T> {
  data: T;
  headers: Headers;
}

export class Calls {
  userId: string | undefined;
  readonly fetch: typeof fetch;
  private turn: Promise<unknown> = Promise.resolve();

  constructor(private readonly options: HelperOptions = {}) {
    this.userId = options.userId;
    this.fetch = options.fetch ?? ((input, init) => globalThis.fetch(input, init));
  }

  /** The id that a guest must send along; undefined where somebody is signed in, or there is none yet. */
  async guestId(): Promise<string | undefined> {
    return (await this.options.token?.()) ? undefined : this.userId;
  }

  /** Makes a call that may give a guest its id: one after the other until there is one, so that there is only one. */
  naming<T extends { userId: string }>(call: (userId: string | undefined) => Promise<Called<T>>): Promise<T> {
    const ask = async () => {
      const { data } = await call(await this.guestId());
      this.remember(data.userId);
      return data;
    };
    if (this.userId) return ask();
    const answer = this.turn.then(ask);
    this.turn = answer.catch(() => undefined);
    return answer;
  }

  private remember(userId: string): void {
    if (this.userId || !userId.startsWith("guest_")) return;
    this.userId = userId;
    this.options.onUserId?.(userId);
  }

  async call<T>(method: string, name: string, options: CallOptions = {}): Promise<Called<T>> {
    const { query = {}, body, headers = {}, onProgress, ...retries } = options;
    const text = body && JSON.stringify(body);
    const answer = await this.retried(async () => {
      const token = await this.options.token?.(); // asked for each try, since it may have run out meanwhile
      const named = { "Content-Type": text && "application/json", Authorization: token && `Bearer ${token}`, ...headers };
      const outgoing = { method, headers: present(named), ...(text && { body: text }) };
      return send(this.address(name, query), outgoing, this.fetch, retries.signal, onProgress);
    }, retries);
    const found: unknown = answer.status === 204 ? {} : await answer.json().catch(() => undefined);
    if (answer.ok && found) return { data: found as T, headers: answer.headers };
    const seconds = Number(answer.headers.get("retry-after")) || undefined;
    throw new ProblemError(asProblem(found, answer.status), seconds);
  }

  retried(request: () => Promise<Response>, retries: Retries): Promise<Response> {
    return withRetries(request, { ...present({ attempts: this.options.attempts, backoff: this.options.backoff }), ...present(retries) });
  }

  private address(name: string, query: Record<string, string | number | undefined>): string {
    const { baseUrl = "" } = this.options;
    const base = typeof baseUrl === "string" ? baseUrl : baseUrl(name);
    const asked = String(new URLSearchParams(Object.entries(present(query)).map(([key, value]) => [key, String(value)])));
    return `${base.replace(/\/$/, "")}/api/${name}${asked && `?${asked}`}`;
  }
}

/** A problem as the functions word it, also where something before them refused the request, as Lambda does with 6 MB. */
function asProblem(found: unknown, status: number): ProblemDetails {
  if (found && typeof found === "object" && "code" in found && "detail" in found) return found as ProblemDetails;
  const detail =
    status === 413
      ? "The request is larger than the service takes. Send less at once, or use `create_upload`."
      : "Something broke on the way. Try again in a moment.";
  return { ...ownProblem(`http_${status}`, `HTTP ${status}`, detail), status };
}

/** A new `Idempotency-Key`; not by `randomUUID`, which a page has only behind HTTPS and on this very machine. */
export function newKey(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** A problem that no function has worded. */
export function ownProblem(code: string, title: string, detail: string): ProblemDetails {
  return { success: false, type: "about:blank", title, status: 422, detail, code, requestId: "" };
}

type Present<T> = { [K in keyof T]: Exclude<T[K], undefined> };

function present<T extends object>(given: T): Present<T> {
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined && value !== "")) as Present<T>;
}
