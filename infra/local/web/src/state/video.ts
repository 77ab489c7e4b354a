/** The video: estimated first, then made, watched until it plays. */

import { signal } from "@preact/signals";
import { ProblemError, type Video } from "@videomaker/client/helper";
import { answered, api, helper, once, type Schemas, whose } from "./api.ts";
import { complain, say } from "./notices.ts";
import { type Advice, advice } from "./problems.ts";
import { save } from "./saving.ts";
import { sessionId } from "./story.ts";

export type Options = Required<Pick<Schemas["VideoRequest"], "aspect" | "resolution" | "motion" | "transition" | "captions">>;

type Request = Schemas["VideoRequest"];
type Estimate = Schemas["DryRun"] | Schemas["StartedVideo"];

export type Stage =
  | { state: "empty" }
  | { state: "estimating" }
  | { state: "estimated"; estimate: Estimate }
  | { state: "making"; video?: Video; clips?: Schemas["Clip"][] }
  | { state: "done"; video: Video }
  | { state: "failed"; advice: Advice; canRetry: boolean };

export const DEFAULTS: Options = { aspect: "16:9", resolution: 480, motion: "auto", transition: "crossfade", captions: "none" };

export const options = signal<Options>(DEFAULTS);
export const stage = signal<Stage>({ state: "empty" });
export const videoId = signal<string | undefined>(undefined);

let watching: AbortController | undefined;

/** Saves, and says what the video would take. */
export async function estimate(): Promise<void> {
  if (stage.value.state === "estimating") return;
  const before = stage.value;
  stage.value = { state: "estimating" };
  if (!(await save())) {
    stage.value = before;
    return;
  }
  try {
    const found = await started({ ...request(), dryRun: true });
    stage.value = { state: "estimated", estimate: found };
    say(`Ready in about ${Math.ceil(found.estimatedSeconds)} seconds.`);
  } catch (error) {
    stage.value = before;
    complain(error, { retry: () => void estimate() });
  }
}

export async function make(): Promise<void> {
  await begin(request());
}

/** Makes a failed or canceled video again, from the clips that are finished. */
export async function makeAgain(): Promise<void> {
  await (videoId.value ? begin({ retryVideoId: videoId.value }) : estimate());
}

export async function cancelVideo(): Promise<void> {
  if (!videoId.value) return;
  try {
    const query = { videoId: videoId.value, ...whose() };
    await answered(api().DELETE("/api/get_video", { params: { query } }));
  } catch (error) {
    complain(error);
  }
}

/** Watches a video that was begun before. */
export function resume(id: string): void {
  videoId.value = id;
  stage.value = { state: "making" };
  void watch(id);
}

/** Shows no video any more. */
export function leave(): void {
  watching?.abort();
  videoId.value = undefined;
  stage.value = { state: "empty" };
}

function request(): Request {
  return { sessionId: sessionId.value ?? null, ...options.value };
}

function started(body: Request) {
  const params = { header: once() };
  return answered(api().POST("/api/generate_video", { body: { ...body, ...whose() }, params }));
}

async function begin(body: Request): Promise<void> {
  const before = stage.value;
  stage.value = { state: "making" };
  try {
    const answer = await started(body);
    say("The video is being made.");
    if ("videoId" in answer) resume(answer.videoId);
  } catch (error) {
    stage.value = before;
    complain(error, { retry: () => void begin(body) });
  }
}

async function watch(id: string): Promise<void> {
  watching?.abort();
  const mine = new AbortController();
  watching = mine;
  try {
    const video = await helper.waitForVideo(id, {
      signal: mine.signal,
      interval: 700,
      onProgress: (video, clips) => {
        if (video.status !== "completed" && !mine.signal.aborted) stage.value = { state: "making", video, clips };
      },
    });
    stage.value = { state: "done", video };
    say("The video is ready.");
  } catch (error) {
    if (mine.signal.aborted) return;
    if (error instanceof ProblemError && error.code === "video_not_found") return leave();
    // Of a video that failed its frame is named; of a question that failed the answer is still to come.
    const canRetry = error instanceof ProblemError;
    stage.value = { state: "failed", advice: advised(error), canRetry };
    say(advised(error).title);
  }
}

function advised(error: unknown): Advice {
  const found = advice(error);
  const frame = error instanceof ProblemError ? error.problem.frameNumber : undefined;
  return frame ? { ...found, title: `${found.title}: frame ${frame}` } : found;
}

/** Asks again after a lost connection. */
export function askAgain(): void {
  if (videoId.value) resume(videoId.value);
}

/** The newest completed video of a storyboard that was opened from the history. */
export async function showVideo(id: string): Promise<void> {
  try {
    const { video } = await answered(api().GET("/api/get_video", { params: { query: { videoId: id, ...whose() } } }));
    if (video.status === "completed") {
      videoId.value = id;
      stage.value = { state: "done", video };
    } else if (!["failed", "canceled"].includes(video.status)) resume(id);
  } catch (error) {
    complain(error);
  }
}
