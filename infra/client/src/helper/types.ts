/** The shapes that the helper speaks of, as they were generated. */

import type { components } from "../schema";

type Schemas = components["schemas"];

export type Frame = Schemas["Frame"];
export type FrameInput = Schemas["FrameInput"];
/** A problem of the service, or one that the helper found out by itself: its codes are others. */
export type ProblemDetails = Omit<Schemas["ProblemDetails"], "code"> & { code: Schemas["ProblemCode"] | (string & {}) };
export type SavedStoryboard = Schemas["SavedStoryboard"];
export type Session = Schemas["Session"];
export type StoredFrameImage = Schemas["StoredFrameImage"];
export type StoryboardInput = Omit<Schemas["StoryboardInput"], "frameCount" | "userId">;
export type StoryboardPage = Schemas["StoryboardPage"];
export type Tickets = Schemas["Tickets"];
export type UploadState = Schemas["UploadState"];
export type Video = Schemas["Video"];
export type VideoAnswer = Schemas["VideoAnswer"];
