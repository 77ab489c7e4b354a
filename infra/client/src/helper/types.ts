/** The shapes that the helper speaks of. */

export interface ProblemDetails {
  success: false; type: string; title: string; status: number; detail: string; code: string; requestId: string;
  errors?: { path: string; message: string }[]; currentVersion?: number; frameNumber?: number;
}
export interface StoredFrameImage {
  imageUrl: string; thumbnailUrl: string; frameId: number | string; userId: string; width: number; height: number; bytes: number;
  originalBytes: number; mimeType: string; sha256: string; placeholder: string;
}
export interface Tickets { userId: string; uploads: { uploadId: string; url: string; fields: Record<string, string>; expiresAt: string }[] }
export interface UploadState { uploadId: string; status: "waiting" | "processing" | "ready" | "rejected" | "expired"; code?: string; detail?: string }
export interface FrameInput {
  frameId?: number | string; frameNumber?: number; imageUrl: string; description: string; timestamp?: string;
}
export interface StoryboardInput {
  sessionId?: string; originalPrompt?: string; videoDuration?: number; style?: string; mood?: string; templateId?: string;
  templateData?: Record<string, unknown>; frames: FrameInput[]; frameCount?: number;
}
export interface Frame {
  id: number; sessionId: string; frameNumber: number; frameId: string | null; timestamp: string; imageUrl: string;
  thumbnailUrl: string | null; description: string; width: number | null; height: number | null; placeholder: string | null;
}
export interface Session {
  sessionId: string; userId: string; role: "owner" | "editor" | "viewer"; originalPrompt: string; videoDuration: number; frameCount: number;
  style: string; mood: string; templateId: string | null; status: string | null; version: number; createdAt: string | null; updatedAt: string | null;
}
export interface SavedStoryboard { sessionId: string; userId: string; frameCount: number; version: number; frames: Frame[]; nextCursor: string | null }
export interface StoryboardPage { session: Session; frames: Frame[]; expiresAt: string | null; nextCursor: string | null }
export interface Video {
  videoId: string; sessionId: string; status: string; progress: number; etaSeconds: number | null; videoUrl: string | null; posterUrl: string | null;
  captionsUrl: string | null; durationSeconds: number | null; width: number | null; height: number | null; fps: number | null; bytes: number | null;
  estimatedCost: number | null; cost: number | null; error: { code: string; detail: string; frameNumber: number | null } | null; warnings: string[];
}
export interface VideoAnswer { video: Video }
