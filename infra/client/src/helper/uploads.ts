/** Uploads of images: in the body of a request while they are small, by a ticket straight into the ingest bucket above. */

import { type Calls, newKey, ownProblem, ProblemError } from "./calls";
import { dataUrl, typeOf } from "./images";
import { sleep, type Wait } from "./retries";
import { send } from "./sending";
import type { StoredFrameImage, Tickets, UploadState } from "./types";

/** Bytes that `upload_image` takes in a body. */
export const BODY_LIMIT = 4 * 1024 * 1024;

export interface UploadOptions {
  frameId: number | string;
  signal?: AbortSignal;
  /** Told the part that is sent, from 0 to 1; 1 before the image is checked and stored. */
  onProgress?: (part: number) => void;
  /** Told before each wait for another try. */
  onWait?: (wait: Wait) => void;
  attempts?: number;
}

/** What can be put into a frame. Where the upload failed `imageUrl` is the image itself, and `failure` says why. */
export type Kept = StoredFrameImage | { imageUrl: string; frameId: number | string; failure: unknown };

/** Where the image is stored now. Throws a ProblemError, the failure of the connection, or the signal's reason. */
export async function uploadImage(calls: Calls, image: Blob, options: UploadOptions): Promise<StoredFrameImage> {
  if (image.size > BODY_LIMIT) return uploadByTicket(calls, image, options);
  try {
    return await uploadInBody(calls, image, options);
  } catch (error) {
    // Whatever stands before the function may take less than the function itself.
    if (error instanceof ProblemError && error.status === 413) return uploadByTicket(calls, image, options);
    throw error;
  }
}

/**
 * The same, falling back to a `data:` URL where the upload failed, which `saveStoryboard` heals. What can never be
 * saved is thrown all the same: an image that is refused, one that is too large for that, a signal.
 */
export async function uploadOrKeep(calls: Calls, image: Blob, options: UploadOptions): Promise<Kept> {
  try {
    return await uploadImage(calls, image, options);
  } catch (failure) {
    options.signal?.throwIfAborted();
    const refused = failure instanceof ProblemError && failure.status < 500 && failure.status !== 429;
    if (refused || image.size > BODY_LIMIT) throw failure;
    return { imageUrl: await dataUrl(image), frameId: options.frameId, failure };
  }
}

async function uploadInBody(calls: Calls, image: Blob, options: UploadOptions): Promise<StoredFrameImage> {
  const { frameId, onProgress, ...retries } = options;
  // Without `userId`: a guest's uploads that run in parallel need not know of one another.
  const { data } = await calls.call<StoredFrameImage>("POST", "upload_image", {
    ...retries,
    body: { imageData: await dataUrl(image), frameId },
    onProgress: onProgress && ((sent, total) => onProgress(sent / total)),
  });
  onProgress?.(1);
  return data;
}

async function uploadByTicket(calls: Calls, image: Blob, options: UploadOptions): Promise<StoredFrameImage> {
  const { frameId, onProgress, ...retries } = options;
  const file = { frameId, kind: "frame", contentType: await typeOf(image), bytes: image.size };
  const key = newKey();
  const { uploads, userId } = await calls.naming((guest) =>
    calls.call<Tickets>("POST", "create_upload", {
      ...retries,
      body: { files: [file], userId: guest },
      headers: { "Idempotency-Key": key },
    }),
  );
  const [ticket] = uploads;
  if (!ticket) throw new Error("No ticket was given.");
  const told = onProgress && ((sent: number, total: number) => onProgress(sent / total));
  const answer = await calls.retried(() => {
    const body = new FormData();
    for (const [name, value] of Object.entries(ticket.fields)) body.append(name, value);
    body.append("file", image); // last: S3 ignores what follows it
    return send(ticket.url, { method: "POST", headers: {}, body }, calls.fetch, options.signal, told);
  }, retries);
  if (!answer.ok) {
    const detail = "The file is not the one that was announced. Upload it again.";
    throw new ProblemError(ownProblem("upload_refused", "Upload refused", detail));
  }
  onProgress?.(1);
  return settled(calls, ticket.uploadId, userId, options);
}

/** Asks until the upload is ready, less and less often. */
async function settled(calls: Calls, uploadId: string, userId: string, options: UploadOptions): Promise<StoredFrameImage> {
  const { signal, onWait } = options;
  for (let pause = 250; ; pause = Math.min(pause * 1.5, 3000)) {
    const { data } = await calls.call<UploadState>("GET", "create_upload", {
      query: { uploadId, userId },
      signal,
      onWait,
    });
    if (data.status === "ready") return data as unknown as StoredFrameImage;
    if (data.status === "rejected" || data.status === "expired") throw new ProblemError(rejected(data));
    await sleep(pause, signal);
  }
}

function rejected({ status, code, detail }: UploadState) {
  const title = status === "expired" ? "Upload expired" : "Upload rejected";
  return ownProblem(code ?? "upload_expired", title, detail ?? "The file did not arrive in time. Upload it again.");
}
