/** What a browser app needs of the functions: uploads, saving, reading, waiting; on nothing but `fetch`. */

import { Calls, type HelperOptions } from "./calls";
import { readStoryboard, saveStoryboard } from "./storyboards";
import { uploadImage, uploadOrKeep } from "./uploads";
import { waitForVideo } from "./videos";

export { Calls, type CallOptions, type HelperOptions, newKey, ProblemError } from "./calls";
export { dataUrl, fromDataUrl } from "./images";
export { type Wait, retryAfter, sleep, withRetries } from "./retries";
export type { SaveOptions, Storyboard } from "./storyboards";
export { BODY_LIMIT, type Kept, type UploadOptions } from "./uploads";
export type { WaitOptions } from "./videos";
export type * from "./types";

/** All of it for one caller. */
export function createHelper(options: HelperOptions = {}) {
  const calls = new Calls(options);
  type Rest<F> = F extends (calls: Calls, ...rest: infer R) => infer A ? (...rest: R) => A : never;
  const bound = <F extends (calls: Calls, ...rest: never[]) => unknown>(call: F) =>
    ((...rest: never[]) => call(calls, ...rest)) as Rest<F>;
  return {
    calls,
    uploadImage: bound(uploadImage),
    uploadOrKeep: bound(uploadOrKeep),
    saveStoryboard: bound(saveStoryboard),
    readStoryboard: bound(readStoryboard),
    waitForVideo: bound(waitForVideo),
  };
}

export type Helper = ReturnType<typeof createHelper>;
