/** Videos: asked about until they are done. */

import { type CallOptions, type Calls, ownProblem, ProblemError } from "./calls";
import { sleep } from "./retries";
import type { ProblemDetails, Video, VideoAnswer } from "./types";

export interface WaitOptions extends Pick<CallOptions, "signal" | "onWait"> {
  /** Told whenever something has changed. */
  onProgress?: (video: Video, clips: VideoAnswer["clips"]) => void;
  /** Milliseconds between two questions; 1000 where it is left out. */
  interval?: number;
}

const DONE = ["completed", "failed", "canceled"];

/** The video once it is completed. Throws a ProblemError where it has failed, with what to do, or was canceled. */
export async function waitForVideo(
  calls: Calls,
  videoId: string,
  { onProgress, interval = 1000, ...retries }: WaitOptions = {},
): Promise<Video> {
  let etag: string | undefined;
  for (;;) {
    const found = await asked(calls, videoId, etag, retries);
    if (found) {
      etag = found.etag;
      onProgress?.(found.video, found.clips);
      if (found.video.status === "completed") return found.video;
      if (DONE.includes(found.video.status)) throw new ProblemError(ended(found.video));
    }
    await sleep(interval, retries.signal);
  }
}

/** The video as it is now; undefined where it has not changed. */
async function asked(calls: Calls, videoId: string, etag: string | undefined, retries: CallOptions) {
  try {
    const { data, headers } = await calls.call<VideoAnswer>("GET", "get_video", {
      ...retries,
      query: { videoId, userId: await calls.guestId() },
      headers: { "If-None-Match": etag },
    });
    return { video: data.video, clips: data.clips, etag: headers.get("etag") ?? undefined };
  } catch (error) {
    if (error instanceof ProblemError && error.status === 304) return undefined;
    throw error;
  }
}

function ended({ status, error }: Video): ProblemDetails {
  const title = status === "failed" ? "Video failed" : "Video canceled";
  const detail = error?.detail ?? "It was canceled. Try it again: finished clips stay.";
  const problem = ownProblem(error?.code ?? "video_canceled", title, detail);
  return error?.frameNumber ? { ...problem, frameNumber: error.frameNumber } : problem;
}
