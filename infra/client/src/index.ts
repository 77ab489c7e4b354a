/** A typed client of the Videomaker functions; paths, bodies and answers come from `infra/openapi.json`. */

import createClient, { type Client } from "openapi-fetch";
import type { components, paths } from "./schema";

export type { components, operations, paths } from "./schema";

export type Schemas = components["schemas"];
export type Problem = Schemas["ProblemDetails"];
export type ProblemCode = Schemas["ProblemCode"];
export type VideomakerClient = Client<paths>;

type Maybe<T> = T | undefined;
type Token = Maybe<string> | (() => Maybe<string> | Promise<Maybe<string>>);

export interface VideomakerOptions {
  /** Where `/api/<function>` is answered: a front end that rewrites it, or `make up`. */
  baseUrl?: string;
  /** Function URLs by function, as `make deploy` writes them; they count before `baseUrl`. */
  functionUrls?: Readonly<Record<string, string>>;
  /** Of a user signed in with Supabase Auth; as a function it is asked before each request, so that it is never stale. */
  accessToken?: Token;
  /** `vm_<prefix>_<secret>`, for programs; it counts before an access token. */
  apiKey?: string;
  fetch?: (request: Request) => Promise<Response>;
}

/** Return a client, signed in where it is given a token or a key; else its caller is a guest. */
export function createVideomakerClient(options: VideomakerOptions = {}): VideomakerClient {
  const { accessToken, apiKey, functionUrls = {} } = options;
  const client = createClient<paths>({
    baseUrl: (options.baseUrl ?? "http://function.invalid").replace(/\/$/, ""),
    ...(options.fetch && { fetch: options.fetch }),
  });
  client.use({
    async onRequest({ request, schemaPath }) {
      const token = typeof accessToken === "function" ? await accessToken() : accessToken;
      if (apiKey) request.headers.set("X-Api-Key", apiKey);
      else if (token) request.headers.set("Authorization", `Bearer ${token}`);
      const own = functionUrls[schemaPath.split("/")[2] ?? ""];
      if (!own && options.baseUrl === undefined) throw new Error(`Neither a baseUrl nor a URL for ${schemaPath}`);
      if (!own) return undefined;
      const { pathname, search } = new URL(request.url);
      return new Request(own.replace(/\/$/, "") + pathname.slice(pathname.indexOf("/api/")) + search, request);
    },
  });
  return client;
}

/** A refusal: `problem.code` is stable, and the message says what to do next. */
export class VideomakerError extends Error {
  override readonly name = "VideomakerError";
  readonly status: number;
  readonly problem: Maybe<Problem>;
  /** Seconds to wait before the same request may succeed, where the answer says so. */
  readonly retryAfter: Maybe<number>;

  constructor(response: Response, error: unknown) {
    const problem = isProblem(error) ? error : undefined;
    super(problem?.detail ?? `${response.url} answered ${response.status}`);
    this.status = response.status;
    this.problem = problem;
    const wait = response.headers.get("Retry-After");
    this.retryAfter = wait === null ? undefined : Number(wait);
  }

  get code(): Maybe<ProblemCode> {
    return this.problem?.code;
  }
}

/** Return what a call answered, or throw a `VideomakerError`: `const { sessionId } = await answer(api.POST(…))`. */
export async function answer<T extends { data?: unknown; error?: unknown; response: Response }>(
  call: Promise<T>,
): Promise<NonNullable<T["data"]>> {
  const { data, error, response } = await call;
  if (data === undefined || data === null) throw new VideomakerError(response, error);
  return data;
}

export interface Waiting {
  /** Who asks, where it is a guest. */
  userId?: string;
  onProgress?: (video: Schemas["Video"]) => void;
  signal?: AbortSignal;
}

/** Ask for a video until it is completed; throws where it has failed or was canceled, and when `signal` aborts. */
export async function completedVideo(api: VideomakerClient, videoId: string, waiting: Waiting = {}): Promise<Schemas["Video"]> {
  const { userId, onProgress, signal } = waiting;
  for (;;) {
    signal?.throwIfAborted();
    const query = userId === undefined ? { videoId } : { videoId, userId };
    const { video } = await answer(api.GET("/api/get_video", { params: { query }, ...(signal && { signal }) }));
    onProgress?.(video);
    if (video.status === "completed") return video;
    if (video.status === "failed" || video.status === "canceled") throw new Error(video.error?.detail ?? `The video is ${video.status}.`);
    await new Promise((resolve) => setTimeout(resolve, 1000 * Math.min(5, Math.max(0.5, (video.etaSeconds ?? 4) / 4))));
  }
}

function isProblem(error: unknown): error is Problem {
  return typeof error === "object" && error !== null && "code" in error && "detail" in error;
}
